// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is committed beside the code and made from it, or for it: configs/schema.json and docs/weir.json.5 are
 * what the schema table gives now, and the examples are taken as they are. Finds the source tree from the
 * place of the program (build/tests/unit/).
 */
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "config/schema.h"
#include "test_config_cases.h"

static const char *source(const char *name, char path[PATH_MAX])
{
	char self[PATH_MAX - 64];
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);

	assert_true(length > 0);
	self[length] = 0;
	for (int i = 0; i < 4; i++) {
		char *slash = strrchr(self, '/');

		assert_non_null(slash);
		*slash = 0;
	}
	snprintf(path, PATH_MAX, "%s/%s", self, name);
	return path;
}

static char *contents(const char *name)
{
	char path[PATH_MAX], *text = NULL;
	size_t size = 0;
	FILE *file = fopen(source(name, path), "r");

	if (!file)
		fail_msg("%s is missing", path);
	if (getdelim(&text, &size, 0, file) < 0)
		fail_msg("%s is empty", path);
	fclose(file);
	return text;
}

static void check_generated(const char *name, int (*write_it)(FILE *out))
{
	char *text = NULL, *committed = contents(name);
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	assert_int_equal(write_it(out), 0);
	fclose(out);
	if (strcmp(text, committed) != 0)
		fail_msg("%s is not what the schema table gives: run make config-docs", name);
	free(text);
	free(committed);
}

static void the_json_schema_is_current(void **state)
{
	check_generated("configs/schema.json", lb_config_write_schema);
}

static void the_manual_page_is_current(void **state)
{
	check_generated("docs/weir.json.5", lb_config_write_man);
}

static void the_examples_are_right(void **state)
{
	static const char *const names[] = { "configs/minimal.json", "configs/weir.json" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct lb_config *config = NULL;
		struct lb_error error;
		char path[PATH_MAX];

		if (lb_config_load(source(names[i], path), &config, &error) < 0)
			fail_msg("%s (%s, %s)", error.text, error.path, error.value);
		lb_config_free(config);
	}
}

static void the_example_in_the_manual_page_is_right(void **state)
{
	struct lb_config *config = NULL;
	struct lb_error error;

	if (lb_config_parse(lb_schema_example, strlen(lb_schema_example), &config, &error) < 0)
		fail_msg("%s (%s, %s)", error.text, error.path, error.value);
	lb_config_free(config);
}

/* The ERRORS section shows what lbctl validate makes of a misspelt key in the example (user/lbctl/say.c). */
static void the_error_in_the_manual_page_is_what_comes(void **state)
{
	char path[] = "/tmp/weir-config-XXXXXX", expected[1024], *page = contents("docs/weir.json.5");
	char *text = strdup(lb_schema_example), *weight = strstr(text, "weight");
	struct lb_config *config = NULL;
	struct lb_error error;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	memcpy(weight, "wieght", 6);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	assert_int_equal(lb_config_load(path, &config, &error), -EINVAL);
	unlink(path);
	snprintf(expected, sizeof(expected), "lbctl: weir.json%s\n  at %s: %s\n", error.text + strlen(path),
		 error.path, error.value);
	if (!strstr(page, expected))
		fail_msg("the page does not show: %s", expected);
	free(text);
	free(page);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_json_schema_is_current),
		cmocka_unit_test(the_manual_page_is_current),
		cmocka_unit_test(the_examples_are_right),
		cmocka_unit_test(the_example_in_the_manual_page_is_right),
		cmocka_unit_test(the_error_in_the_manual_page_is_what_comes),
	};

	return cmocka_run_group_tests_name("config_docs", tests, NULL, NULL);
}
