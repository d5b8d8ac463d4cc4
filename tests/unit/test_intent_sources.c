// SPDX-License-Identifier: GPL-2.0-only
/*
 * What sources may do, as sentences; and that what runs is the file's services with those that fit.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/config_diff.h"
#include "intent/sources.h"

#define HEAD                                                                                                 \
	"{\"version\":1,\"hash_seed\":\"unit-test-seed\",\"interfaces\":[{\"name\":\"eth0\"}],\"services\":" \
	"["
#define WEB                                                                                                  \
	"{\"name\":\"web\",\"vip\":\"203.0.113.1\",\"protocol\":\"tcp\",\"port\":\"80-90\",\"backends\":["   \
	"{\"name\":\"b\",\"address\":\"10.0.0.1\"}]}"
#define SOURCES                                                                                              \
	"],\"sources\":[{\"name\":\"kube\",\"uid\":7,\"vips\":[{\"prefix\":\"203.0.113.0/24\"}],"            \
	"\"max_services\":3,\"max_backends\":8,\"max_loss_percent\":50},"                                    \
	"{\"name\":\"other\",\"uid\":8,\"vips\":[{\"prefix\":\"203.0.113.0/25\"},{\"prefix\":\"2001:db8::/"  \
	"32\"}]}]}"

struct fixture {
	struct lb_config *file;
	struct lb_sources sources;
	struct lb_error error;
	__s64 now_s;
};

static struct lb_config *parse(const char *before, const char *services, const char *after)
{
	struct lb_config *config = NULL;
	struct lb_error error = {};
	char text[8192];

	snprintf(text, sizeof(text), "%s%s%s", before, services, after);
	if (lb_config_parse(text, strlen(text), &config, &error) < 0)
		print_error("%s: %s\n", error.path, error.text);
	assert_non_null(config);
	return config;
}

static void setup(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	f->file = parse(HEAD, WEB, SOURCES);
	f->now_s = 1000;
}

static void teardown(struct fixture *f)
{
	lb_sources_done(&f->sources);
	lb_config_free(f->file);
}

static unsigned int source_net = 1; /* whom services let in */

/* A service with so many backends of weight 100, of which some are down. */
static const char *service(const char *name, const char *vip, const char *port, int backends, int down)
{
	static char text[4][2048];
	static unsigned int turn;
	char *at = text[turn++ % 4];
	size_t used = (size_t)sprintf(at,
				      "{\"name\":\"%s\",\"vip\":\"%s\",\"protocol\":\"tcp\",\"port\":%s,"
				      "\"source_ranges\":[{\"prefix\":\"%s%u%s\"}],\"backends\":[",
				      name, vip, port, strchr(vip, ':') ? "fd00:" : "10.", source_net,
				      strchr(vip, ':') ? "::/32" : ".0.0/16");

	for (int i = 0; i < backends; i++)
		used += (size_t)sprintf(at + used,
					"%s{\"name\":\"b%d\",\"address\":\"10.0.1.%d\",\"state\":\"%s\"}",
					i ? "," : "", i, i + 1, i < down ? "down" : "active");
	sprintf(at + used, "]}");
	return at;
}

/* Sends services: the error, or how many changed. */
static int put(struct fixture *f, const char *name, __u64 revision, bool whole, bool exceed,
	       const char *services)
{
	struct lb_source_put put = { .file = f->file,
				     .source = lb_source_named(f->file, name),
				     .services = parse(HEAD, services, "]}"),
				     .whole = whole,
				     .revision = revision,
				     .exceed = exceed,
				     .now_s = f->now_s };
	int r = lb_sources_judge(&f->sources, &put, &f->error);

	if (r == 0)
		r = lb_sources_put(&f->sources, &put);
	lb_config_free(put.services);
	return r;
}

static void runs(struct fixture *f, const char *expected)
{
	struct lb_config *merged = NULL;
	char names[512] = "";

	assert_int_equal(lb_sources_merge(&f->sources, f->file, &merged), 0);
	for (size_t i = 0; i < merged->n_services; i++) {
		strcat(names, i ? " " : "");
		strcat(names, merged->services[i].name);
	}
	assert_string_equal(names, expected);
	lb_sources_mark(&f->sources, merged);
	lb_config_free(merged);
}

static void test_what_it_may(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f);
	assert_int_equal(put(&f, "kube", 1, false, false, service("a", "203.0.113.2", "80", 2, 0)), 1);
	assert_int_equal(put(&f, "kube", 1, false, false, service("b", "203.0.113.0/28", "\"any\"", 2, 0)),
			 1);
	runs(&f, "web a b");
	assert_int_equal(put(&f, "kube", 1, false, false, service("c", "203.0.114.2", "80", 1, 0)), -EPERM);
	assert_int_equal(put(&f, "kube", 1, false, false, service("c", "203.0.112.0/23", "80", 1, 0)),
			 -EPERM);
	assert_int_equal(put(&f, "kube", 1, false, false, service("c", "2001:db8::1", "80", 0, 0)), -EPERM);
	assert_int_equal(put(&f, "other", 1, false, false, service("o", "2001:db8::1", "80", 0, 0)), 1);
	assert_int_equal(put(&f, "kube", 1, false, false, service("web", "203.0.113.3", "80", 1, 0)), -EPERM);
	assert_int_equal(put(&f, "other", 1, false, false, service("a", "203.0.113.3", "80", 1, 0)), -EPERM);
	/* The file has 80-90 of that address: within it one may be, across its end none. */
	assert_int_equal(put(&f, "kube", 1, false, false, service("c", "203.0.113.1", "\"85-95\"", 1, 0)),
			 -EPERM);
	assert_int_equal(put(&f, "kube", 1, false, false, service("c", "203.0.113.1", "\"80-90\"", 1, 0)),
			 -EPERM);
	assert_int_equal(put(&f, "other", 1, false, false, service("o2", "203.0.113.2", "80", 1, 0)), -EPERM);
	assert_non_null(strstr(f.error.text, "service \"a\" of kube has its vip"));
	assert_int_equal(put(&f, "kube", 1, false, false, service("c", "203.0.113.1", "81", 4, 0)), 1);
	assert_int_equal(put(&f, "kube", 1, false, false, service("d", "203.0.113.4", "80", 0, 0)), -EPERM);
	assert_int_equal(put(&f, "kube", 2, false, false, service("c", "203.0.113.1", "81", 5, 0)), -EPERM);
	runs(&f, "web a b c o");
	teardown(&f);
}

static void test_revisions(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f);
	assert_int_equal(put(&f, "kube", 5, false, false, service("a", "203.0.113.2", "80", 2, 0)), 1);
	assert_int_equal(put(&f, "kube", 5, false, false, service("a", "203.0.113.2", "80", 2, 0)), 0);
	assert_int_equal(put(&f, "kube", 5, false, false, service("a", "203.0.113.2", "80", 3, 0)), -ESTALE);
	assert_int_equal(put(&f, "kube", 4, false, false, service("a", "203.0.113.2", "80", 2, 0)), -ESTALE);
	assert_int_equal(put(&f, "kube", 6, false, false, service("a", "203.0.113.2", "80", 2, 0)), 0);
	assert_int_equal(lb_sources_find(&f.sources, "kube", "a")->revision, 6);
	/* After a relist the whole counts. */
	assert_int_equal(put(&f, "kube", 1, true, false, service("a", "203.0.113.2", "80", 3, 0)), 1);
	assert_int_equal(lb_sources_find(&f.sources, "kube", "a")->revision, 1);
	teardown(&f);
}

static void test_losses(void **state)
{
	struct lb_source_put gone = { .revision = 99 };
	struct fixture f;

	(void)state;
	setup(&f);
	assert_int_equal(put(&f, "kube", 1, false, false, service("a", "203.0.113.2", "80", 4, 0)), 1);
	assert_int_equal(put(&f, "kube", 2, false, false, service("a", "203.0.113.2", "80", 4, 3)), -EDQUOT);
	assert_int_equal(put(&f, "kube", 2, false, false, service("a", "203.0.113.2", "80", 4, 1)), 1);
	assert_int_equal(put(&f, "kube", 3, false, false, service("a", "203.0.113.2", "80", 4, 2)), 1);
	/* Half is gone: no more within the minute, however small the step; a gain between changes nothing. */
	assert_int_equal(put(&f, "kube", 4, false, false, service("a", "203.0.113.2", "80", 4, 3)), -EDQUOT);
	assert_int_equal(put(&f, "kube", 4, false, false, service("a", "203.0.113.2", "80", 4, 1)), 1);
	assert_int_equal(put(&f, "kube", 5, false, false, service("a", "203.0.113.2", "80", 4, 3)), -EDQUOT);
	gone.file = f.file;
	gone.source = lb_source_named(f.file, "kube");
	gone.now_s = f.now_s;
	assert_int_equal(lb_sources_judge_delete(&f.sources, &gone, "a", &f.error), -EDQUOT);
	assert_int_equal(lb_sources_judge_delete(&f.sources, &gone, "none", &f.error), -ESRCH);
	assert_int_equal(put(&f, "kube", 6, true, false, service("b", "203.0.113.3", "80", 4, 0)), -EDQUOT);
	f.now_s += 59;
	assert_int_equal(put(&f, "kube", 6, false, false, service("a", "203.0.113.2", "80", 4, 3)), -EDQUOT);
	f.now_s += 1;
	assert_int_equal(put(&f, "kube", 6, false, false, service("a", "203.0.113.2", "80", 4, 2)), 1);
	assert_int_equal(put(&f, "kube", 7, false, true, service("a", "203.0.113.2", "80", 4, 4)), 1);
	/* Of nothing nothing is lost. */
	assert_int_equal(lb_sources_judge_delete(&f.sources, &gone, "a", &f.error), -EDQUOT);
	gone.now_s = f.now_s + 60;
	assert_int_equal(lb_sources_judge_delete(&f.sources, &gone, "a", &f.error), 0);
	teardown(&f);
}

static void forgotten(void *context, const struct lb_source_service *gone)
{
	strcat(context, gone->service.name);
}

/* The file changes under them. */
static void test_the_file_comes_first(void **state)
{
	char names[64] = "";
	struct fixture f;

	(void)state;
	setup(&f);
	assert_int_equal(put(&f, "kube", 1, false, false, service("a", "203.0.113.2", "80", 2, 0)), 1);
	assert_int_equal(put(&f, "other", 1, false, false, service("o", "203.0.113.3", "80", 1, 0)), 1);
	lb_config_free(f.file);
	f.file = parse(HEAD, service("a", "203.0.113.9", "80", 1, 0), SOURCES);
	runs(&f, "a o");
	assert_true(lb_sources_find(&f.sources, "kube", "a")->hidden);
	assert_false(lb_sources_find(&f.sources, "other", "o")->hidden);
	lb_config_free(f.file);
	f.file = parse(HEAD, service("x", "203.0.113.3", "80", 1, 0), SOURCES);
	runs(&f, "x a");
	assert_true(lb_sources_find(&f.sources, "other", "o")->hidden);
	lb_config_free(f.file);
	f.file = parse(HEAD, WEB, "]}");
	runs(&f, "web");
	assert_int_equal(lb_sources_forget(&f.sources, f.file, forgotten, names), 2);
	assert_string_equal(names, "ao");
	assert_int_equal(f.sources.n, 0);
	teardown(&f);
}

static int no_difference(void *context, const struct lb_difference *difference)
{
	(void)context;
	fail_msg("%s differs", difference->path);
	return 1;
}

/* What a change within a service leaves of the others is what was there, not a copy of it. */
static void test_only_what_changed_is_made_anew(void **state)
{
	struct lb_config *running, *patched, *merged;
	struct fixture f;

	(void)state;
	setup(&f);
	put(&f, "kube", 1, false, false, service("a", "203.0.113.2", "80", 2, 0));
	put(&f, "kube", 1, false, false, service("b", "203.0.113.3", "80", 2, 0));
	put(&f, "other", 1, false, false, service("o", "203.0.113.4", "80", 2, 0));
	assert_int_equal(lb_sources_merge(&f.sources, f.file, &running), 0);
	lb_sources_planned(&f.sources);
	assert_int_equal(put(&f, "kube", 2, false, false, service("b", "203.0.113.3", "80", 3, 1)), 1);
	assert_int_equal(lb_sources_patch(&f.sources, running, &patched), 0);
	assert_int_equal(lb_sources_merge(&f.sources, f.file, &merged), 0);
	assert_int_equal(lb_config_diff(patched, merged, no_difference, NULL), 0);
	lb_config_free(merged);
	for (size_t i = 0; i < running->n_services; i++) {
		if (strcmp(running->services[i].name, "b") == 0)
			assert_ptr_not_equal(running->services[i].backends, patched->services[i].backends);
		else
			assert_ptr_equal(running->services[i].backends, patched->services[i].backends);
	}
	/* Whom it lets in is content, too, and everybody has his own copy of it. */
	assert_int_equal(put(&f, "kube", 3, false, false, service("b", "203.0.113.3", "80", 3, 1)), 0);
	source_net = 2;
	assert_int_equal(put(&f, "kube", 4, false, false, service("b", "203.0.113.3", "80", 3, 1)), 1);
	source_net = 1;
	assert_int_equal(patched->services[2].source_ranges[0].prefix.address.bytes[1], 1);
	/* It failed, and is made anew with one more; then it runs. */
	lb_config_unshare(patched, running);
	put(&f, "other", 2, false, false, service("o", "203.0.113.4", "80", 1, 0));
	assert_int_equal(lb_sources_patch(&f.sources, running, &patched), 0);
	assert_int_equal(patched->services[2].n_backends, 3);
	assert_int_equal(patched->services[2].source_ranges[0].prefix.address.bytes[1], 2);
	assert_int_equal(running->services[2].source_ranges[0].prefix.address.bytes[1], 1);
	assert_int_equal(patched->services[3].n_backends, 1);
	lb_config_unshare(running, patched);
	lb_sources_planned(&f.sources);
	lb_config_free(patched);
	teardown(&f);
}

/* Whether what runs could be patched after something has happened. */
static int patch(struct fixture *f, struct lb_config *running)
{
	struct lb_config *patched = NULL;
	int r = lb_sources_patch(&f->sources, running, &patched);

	if (r == 0)
		lb_config_unshare(patched, running);
	return r;
}

static void test_what_comes_and_goes_is_merged_anew(void **state)
{
	struct lb_config *running;
	struct fixture f;

	(void)state;
	setup(&f);
	put(&f, "kube", 1, false, false, service("a", "203.0.113.2", "80", 2, 0));
	put(&f, "other", 1, false, false, service("o", "203.0.113.3", "80", 2, 0));
	assert_int_equal(lb_sources_merge(&f.sources, f.file, &running), 0);
	lb_sources_planned(&f.sources);
	assert_int_equal(patch(&f, running), 0);
	put(&f, "other", 2, false, false, service("o", "203.0.113.3", "81", 2, 0));
	assert_int_equal(patch(&f, running), -EAGAIN);
	lb_sources_planned(&f.sources);
	assert_int_equal(patch(&f, running), 0);
	put(&f, "other", 3, true, true, "");
	assert_int_equal(patch(&f, running), -EAGAIN);
	lb_sources_planned(&f.sources);
	assert_int_equal(patch(&f, running), -EAGAIN); /* what runs has it still */
	lb_config_free(running);
	assert_int_equal(lb_sources_merge(&f.sources, f.file, &running), 0);
	assert_int_equal(patch(&f, running), 0);
	put(&f, "other", 4, false, false, service("o", "203.0.113.5", "80", 2, 0));
	assert_int_equal(patch(&f, running), -EAGAIN);
	lb_sources_planned(&f.sources);
	lb_sources_delete(&f.sources, "other", "o");
	assert_int_equal(patch(&f, running), -EAGAIN);
	lb_config_free(running);
	teardown(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_it_may),
		cmocka_unit_test(test_revisions),
		cmocka_unit_test(test_losses),
		cmocka_unit_test(test_the_file_comes_first),
		cmocka_unit_test(test_only_what_changed_is_made_anew),
		cmocka_unit_test(test_what_comes_and_goes_is_merged_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
