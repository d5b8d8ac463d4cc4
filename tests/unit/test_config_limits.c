// SPDX-License-Identifier: GPL-2.0-only
/*
 * Configurations at and beyond every limit, files that are no configurations, bytes that no person types,
 * and random damage. The texts are made by the program.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "test_config_cases.h"

/* A text that grows. */
struct text {
	char *bytes;
	size_t length;
	FILE *out;
};

static void text_open(struct text *text)
{
	text->out = open_memstream(&text->bytes, &text->length);
	assert_non_null(text->out);
}

static void text_close(struct text *text)
{
	fclose(text->out);
}

static void start(struct text *text)
{
	text_open(text);
	fputs("{\"version\":1,\"hash_seed\":\"s\",\"interfaces\":[{\"name\":\"eth0\"}],\"services\":[",
	      text->out);
}

/* One service with n backends; vip and backends unique for each index. */
static void add_service(struct text *text, unsigned int index, unsigned int n_backends)
{
	fprintf(text->out,
		"%s\n{\"name\":\"s%u\",\"vip\":\"203.%u.%u.%u\",\"protocol\":\"tcp\",\"port\":80,"
		"\"backends\":[",
		index ? "," : "", index, index >> 16, index >> 8 & 255, index & 255);
	for (unsigned int i = 0; i < n_backends; i++)
		fprintf(text->out, "%s\n{\"name\":\"b%u\",\"address\":\"10.%u.%u.%u\",\"weight\":100}",
			i ? "," : "", i, index & 255, i >> 8, i & 255);
	fputs("]}", text->out);
}

static void finish(struct text *text)
{
	fputs("]}\n", text->out);
	text_close(text);
}

static void accept_text(const struct text *text, size_t n_services, size_t n_backends)
{
	struct lb_config *config = NULL;
	struct lb_error error;

	if (lb_config_parse(text->bytes, text->length, &config, &error) < 0)
		fail_msg("%s (%s, %s)", error.text, error.path, error.value);
	assert_int_equal(config->n_services, n_services);
	for (size_t i = 0; i < n_services; i++)
		assert_int_equal(config->services[i].n_backends, n_backends);
	lb_config_free(config);
}

static void refuse_bytes(const char *bytes, size_t length, int code, const char *text, const char *path)
{
	struct lb_config *config = NULL;
	struct lb_error error;

	assert_int_equal(lb_config_parse(bytes, length, &config, &error), -code);
	assert_null(config);
	assert_string_equal(error.text, text);
	assert_string_equal(error.path, path);
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void five_thousand_services_of_twenty_backends(void **state)
{
	struct text text;
	double began;

	start(&text);
	for (unsigned int i = 0; i < 5000; i++)
		add_service(&text, i, 20);
	finish(&text);
	began = seconds();
	accept_text(&text, 5000, 20);
	print_message("# %.1f MB parsed and freed in %.0f ms, with sanitizers\n", (double)text.length / 1e6,
		      (seconds() - began) * 1e3);
	/* Far above what it takes, far below what anything quadratic would take. */
	assert_true(seconds() - began < 15);
	free(text.bytes);
}

static void as_many_backends_as_fit(void **state)
{
	struct text text;

	start(&text);
	add_service(&text, 0, LB_BACKENDS_PER_SERVICE_MAX);
	finish(&text);
	accept_text(&text, 1, LB_BACKENDS_PER_SERVICE_MAX);
	free(text.bytes);
	start(&text);
	add_service(&text, 0, LB_BACKENDS_PER_SERVICE_MAX + 1);
	finish(&text);
	refuse_bytes(text.bytes, text.length, EINVAL,
		     "backends must be a list of 0 to 16383 objects; it has 16384", "services[0].backends");
	free(text.bytes);
}

static void as_many_services_as_fit(void **state)
{
	struct text text;

	start(&text);
	for (unsigned int i = 0; i < LB_SERVICES_MAX; i++)
		add_service(&text, i, 0);
	finish(&text);
	accept_text(&text, LB_SERVICES_MAX, 0);
	free(text.bytes);
	start(&text);
	for (unsigned int i = 0; i <= LB_SERVICES_MAX; i++)
		add_service(&text, i, 0);
	finish(&text);
	refuse_bytes(text.bytes, text.length, EINVAL,
		     "services must be a list of 0 to 65535 objects; it has 65536", "services");
	free(text.bytes);
}

static void one_interface_too_many(void **state)
{
	struct text text;

	text_open(&text);
	fputs("{\"version\":1,\"hash_seed\":\"s\",\"interfaces\":[", text.out);
	for (unsigned int i = 0; i <= LB_PORTS_MAX; i++)
		fprintf(text.out, "%s{\"name\":\"eth%u\"}", i ? "," : "", i);
	fputs("],\"services\":[]}", text.out);
	text_close(&text);
	refuse_bytes(text.bytes, text.length, EINVAL,
		     "interfaces must be a list of 1 to 64 objects; it has 65", "interfaces");
	free(text.bytes);
}

/* A configuration with a string of n times the letter x at %s. */
static void long_string(const char *format, size_t n, const char *text, const char *path)
{
	char *string = calloc(1, n + 1), *json = NULL;
	struct lb_config *config = NULL;
	struct lb_error error = { .text = "" };
	int r;

	memset(string, 'x', n);
	format = unquote(format);
	assert_true(asprintf(&json, format, string) > 0);
	r = lb_config_parse(json, strlen(json), &config, &error);
	assert_int_equal(r, text ? -EINVAL : 0);
	if (text) {
		assert_string_equal(error.text, text);
		assert_string_equal(error.path, path);
		assert_true(strlen(error.value) < sizeof(error.value));
	}
	lb_config_free(config);
	free(string);
	free(json);
	free((char *)format);
}

static void strings_at_their_limits(void **state)
{
	static const char seed[] = "{'version':1,'hash_seed':'%s','interfaces':[{'name':'e'}],'services':[]}";
	static const char interface[] =
		"{'version':1,'hash_seed':'s','interfaces':[{'name':'%s'}],'services':[]}";
	static const char socket[] = TOP("'api':{'socket':'/%s'}");
	static const char name[] =
		SERVICES("{'name':'%s','vip':'192.0.2.1','protocol':'tcp','port':1,'backends':[]}");

	long_string(seed, 128, NULL, NULL);
	long_string(seed, 129, "hash_seed must be a string of 1 to 128 bytes; it has 129 bytes", "hash_seed");
	long_string(seed, 1000000, "hash_seed must be a string of 1 to 128 bytes; it has 1000000 bytes",
		    "hash_seed");
	long_string(interface, 15, NULL, NULL);
	long_string(interface, 16,
		    "name must be the name of an interface: 1 to 15 printable characters without '/', ':' "
		    "and blanks; "
		    "it has 16 bytes",
		    "interfaces[0].name");
	long_string(socket, 106, NULL, NULL);
	long_string(socket, 107, "socket must be an absolute path of at most 107 bytes; it has 108 bytes",
		    "api.socket");
	long_string(name, 63, NULL, NULL);
	long_string(name, 64,
		    "name must be a name of 1 to 63 letters, digits, '.', '_' or '-'; it has 64 bytes",
		    "services[0].name");
}

static void a_key_without_end(void **state)
{
	struct lb_config *config = NULL;
	struct lb_error error;
	char *json;

	assert_true(asprintf(&json, "{\"%0*d\":1}", 100000, 0) > 0);
	assert_int_equal(lb_config_parse(json, strlen(json), &config, &error), -EINVAL);
	assert_int_equal(strlen(error.path), sizeof(error.path) - 1);
	assert_string_equal(error.path + strlen(error.path) - 4, "0...");
	assert_non_null(strstr(error.text, "...; the keys here are: version, "));
	free(json);
}

static void nested_too_deep(void **state)
{
	static char deep[1000000];

	memset(deep, '[', sizeof(deep));
	refuse_bytes(deep, sizeof(deep), EINVAL, "line 1, column 33: nested deeper than 32 levels", "");
	/* As deep as may be: then it is the content that is wrong. */
	memset(deep + 32, ']', 32);
	refuse_bytes(deep, 64, EINVAL, "the configuration must be an object, not a list", "");
	for (size_t i = 0; i + 5 <= sizeof(deep); i += 5)
		memcpy(deep + i, "{\"a\":", 5);
	refuse_bytes(deep, sizeof(deep), EINVAL, "line 1, column 161: nested deeper than 32 levels", "");
}

static void numbers_without_end(void **state)
{
	char json[300];

	snprintf(json, sizeof(json), "{\"version\":1%063d}", 0);
	refuse_bytes(json, strlen(json), EINVAL, "line 1, column 12: a number of more than 63 characters",
		     "");
	snprintf(json, sizeof(json), "{\"version\":1%062d}", 0);
	refuse_bytes(json, strlen(json), EINVAL, "version must be 1", "version");
}

static void zero_bytes(void **state)
{
	static const char within[] = "{\"version\":1,\"hash_seed\":\"a\0b\"}";
	static const char between[] = "{\"version\":1,\0}";
	static const char behind[] = "{\"version\":1}\0";

	refuse_bytes(within, sizeof(within) - 1, EINVAL, "line 1, column 28: a zero byte in a string", "");
	refuse_bytes(between, sizeof(between) - 1, EINVAL,
		     "line 1, column 14: a zero byte; expected a key in double quotes", "");
	refuse_bytes(behind, sizeof(behind) - 1, EINVAL,
		     "line 1, column 14: a zero byte; expected nothing more after the last closing bracket",
		     "");
}

static void what_is_not_utf8(void **state)
{
	static const char *const cases[] = {
		"\x80",
		"\xc3",
		"\xc3(",
		"\xc0\xaf",
		"\xe0\x80\xaf",
		"\xed\xa0\x80",
		"\xf0\x80\x80\x80",
		"\xf4\x90\x80\x80",
		"\xf8\x88\x80\x80",
		"\xff",
		"\xe2\x82",
		"\xf0\x9f\x98",
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char json[64];

		snprintf(json, sizeof(json), "\n{\"hash_seed\":\"\xc3\xbc%s\"}", cases[i]);
		refuse_bytes(json, strlen(json), EINVAL, "line 2, column 16: not UTF-8", "");
	}
}

static void a_text_beyond_the_limit(void **state)
{
	size_t length = LB_CONFIG_BYTES_MAX + 1u;
	char *json = malloc(length);

	assert_non_null(json);
	memset(json, ' ', length);
	refuse_bytes(json, length, E2BIG,
		     "the configuration is larger than 64 MiB, the most that is accepted", "");
	refuse_bytes(json, length - 1, EINVAL,
		     "line 1, column 1: there is no text; expected a configuration: { \"version\": 1, ... }",
		     "");
	free(json);
}

/* --- files -----------------------------------------------------------------------------------------------
 */

/* Loads a file with this content; the error is what comes behind the file's name. */
static void load_bytes(const void *bytes, size_t length, int code, const char *text)
{
	char path[] = "/tmp/weir-config-XXXXXX";
	struct lb_config *config = NULL;
	struct lb_error error = { .text = "" };
	int fd = mkstemp(path), r;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, length), length);
	close(fd);
	r = lb_config_load(path, &config, &error);
	unlink(path);
	assert_int_equal(r, -code);
	if (code) {
		assert_memory_equal(error.text, path, strlen(path));
		assert_string_equal(error.text + strlen(path), text);
	}
	lb_config_free(config);
}

static void files_are_named_in_errors(void **state)
{
	char *good = unquote(TOP("'api':{}"));

	load_bytes(good, strlen(good), 0, NULL);
	load_bytes("", 0, EINVAL,
		   ":1:1: there is no text; expected a configuration: { \"version\": 1, ... }");
	load_bytes("{\n\"version\": 1,\n}", 17, EINVAL,
		   ":2:13: a comma before the closing bracket; remove it");
	load_bytes("{\n  \"version\":\n\t2 }", 19, EINVAL, ":3:2: version must be 1");
	load_bytes("[\n]", 3, EINVAL, ":1:1: the configuration must be an object, not a list");
	free(good);
}

static void lines_are_those_of_the_value(void **state)
{
	static const char json[] =
		"{ \"version\": 1, \"hash_seed\": \"s\",\n"
		"  \"interfaces\": [ { \"name\": \"eth0\" } ],\n"
		"  \"services\": [\n"
		"    { \"name\": \"a\", \"vip\": \"192.0.2.1\", \"protocol\": \"tcp\", \"port\": 1,\n"
		"      \"backends\": [\n"
		"        { \"name\": \"\xc3\xbc\", \"address\": \"10.0.0.1\" },\n"
		"        { \"name\": \"b\", \"address\": \"192.0.2.1\" } ] } ] }\n";
	char copy[sizeof(json)];

	load_bytes(json, sizeof(json) - 1, EINVAL,
		   ":6:19: name must be a name of 1 to 63 letters, digits, '.', '_' or '-'; byte 1 is 0xc3");
	memcpy(copy, json, sizeof(json));
	memcpy(strstr(copy, "\xc3\xbc"), "xx", 2);
	load_bytes(copy, sizeof(copy) - 1, EINVAL,
		   ":7:35: the address is the vip of services[0] \"a\", packets would come back; give an "
		   "address of the "
		   "backend's own");
	/* A key that is missing: the object. */
	memcpy(strstr(copy, "\"name\": \"b\""), "\"state\":\"b\"", 11);
	load_bytes(copy, sizeof(copy) - 1, EINVAL, ":7:19: state must be \"active\", \"drain\" or \"down\"");
	memcpy(strstr(copy, "\"state\":\"b\""), "\"weight\": 1", 11);
	load_bytes(copy, sizeof(copy) - 1, EINVAL,
		   ":7:9: name is required; it must be a name of 1 to 63 letters, digits, '.', '_' or '-'");
}

static void a_file_beyond_the_limit(void **state)
{
	char path[] = "/tmp/weir-config-XXXXXX";
	struct lb_config *config = NULL;
	struct lb_error error;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	/* A hole: takes no room, reads as zeros. */
	assert_int_equal(ftruncate(fd, (off_t)LB_CONFIG_BYTES_MAX * 4), 0);
	close(fd);
	assert_int_equal(lb_config_load(path, &config, &error), -E2BIG);
	unlink(path);
	assert_string_equal(error.text + strlen(path),
			    ": the configuration is larger than 64 MiB, the most that is accepted");
}

static void what_cannot_be_read(void **state)
{
	struct lb_config *config = NULL;
	struct lb_error error;

	assert_int_equal(lb_config_load("/nonexistent/weir.json", &config, &error), -ENOENT);
	assert_string_equal(error.text,
			    "/nonexistent/weir.json: cannot open the file: No such file or directory");
	assert_int_equal(lb_config_load("/tmp", &config, &error), -EISDIR);
	assert_string_equal(error.text, "/tmp: cannot read the file: Is a directory");
	assert_int_equal(lb_config_load("", &config, &error), -ENOENT);
	assert_null(config);
}

static void a_pipe_is_read_to_its_end(void **state)
{
	char *json = unquote(TOP("'api':{}")), path[64];
	struct lb_config *config = NULL;
	struct lb_error error;
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(write(ends[1], json, strlen(json)), strlen(json));
	close(ends[1]);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", ends[0]);
	assert_int_equal(lb_config_load(path, &config, &error), 0);
	close(ends[0]);
	lb_config_free(config);
	free(json);
}

/* --- damage ----------------------------------------------------------------------------------------------
 */

/* Damages one to four bytes; whatever comes of it is an error with a text, or reads back as it is written. */
static void damaged_texts_are_errors_or_right(void **state)
{
	static const char spare[] = "{}[],:\"\\ 0123456789-.e/truefalsenull\x80\n";
	char *good = unquote(
		SERVICES("{'name':'w','vip':'192.0.2.0/24','protocol':'udp','port':'80-90','echo':true,"
			 "'affinity':'quic','quic':{'configs':[{'rotation':1,'server_id_bytes':1}]},"
			 "'backends':[{'name':'a','address':'10.0.0.1','weight':5,'server_id':'01'},"
			 "{'name':'b','address':'10.0.0.2','server_id':'02'}]}"));
	size_t length = strlen(good), taken = 0;
	char *damaged = malloc(length);

	srandom(7);
	for (int round = 0; round < 20000; round++) {
		struct lb_config *config = NULL, *again = NULL;
		struct lb_error error = { .text = "" };
		struct text text;

		memcpy(damaged, good, length);
		for (long i = random() % 4; i >= 0; i--)
			damaged[(size_t)random() % length] = spare[(size_t)random() % (sizeof(spare) - 1)];
		if (lb_config_parse(damaged, length - (round % 8 == 0 ? (size_t)random() % length : 0),
				    &config, &error) < 0) {
			assert_null(config);
			assert_true(error.text[0]);
			continue;
		}
		taken++;
		text_open(&text);
		assert_int_equal(lb_config_write(config, text.out), 0);
		text_close(&text);
		if (lb_config_parse(text.bytes, text.length, &again, &error) < 0)
			fail_msg("%s (%s, %s) after writing: %s", error.text, error.path, error.value,
				 text.bytes);
		free(text.bytes);
		lb_config_free(config);
		lb_config_free(again);
	}
	/* Or nothing was tested. */
	assert_true(taken > 100);
	free(damaged);
	free(good);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(five_thousand_services_of_twenty_backends),
		cmocka_unit_test(as_many_backends_as_fit),
		cmocka_unit_test(as_many_services_as_fit),
		cmocka_unit_test(one_interface_too_many),
		cmocka_unit_test(strings_at_their_limits),
		cmocka_unit_test(a_key_without_end),
		cmocka_unit_test(nested_too_deep),
		cmocka_unit_test(numbers_without_end),
		cmocka_unit_test(zero_bytes),
		cmocka_unit_test(what_is_not_utf8),
		cmocka_unit_test(a_text_beyond_the_limit),
		cmocka_unit_test(files_are_named_in_errors),
		cmocka_unit_test(lines_are_those_of_the_value),
		cmocka_unit_test(a_file_beyond_the_limit),
		cmocka_unit_test(what_cannot_be_read),
		cmocka_unit_test(a_pipe_is_read_to_its_end),
		cmocka_unit_test(damaged_texts_are_errors_or_right),
	};

	return cmocka_run_group_tests_name("config_limits", tests, NULL, NULL);
}
