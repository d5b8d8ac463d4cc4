// SPDX-License-Identifier: GPL-2.0-only
/*
 * Events outlive the agent, whatever happened to their file; readers are told what they missed; a flood of
 * one kind of line is cut, counted and told.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lbd/events.h"

struct place {
	char path[64];
	int fd;
};

static int make_place(void **state)
{
	static struct place place;

	strcpy(place.path, "/tmp/test_events.XXXXXX");
	assert_non_null(mkdtemp(place.path));
	place.fd = open(place.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(place.fd >= 0);
	*state = &place;
	return 0;
}

static int leave_place(void **state)
{
	struct place *place = *state;

	unlinkat(place->fd, EVENTS_FILE, 0);
	unlinkat(place->fd, EVENTS_FILE ".new", 0);
	close(place->fd);
	return rmdir(place->path);
}

/* The answer to a reader. The caller deletes it. */
static cJSON *answer(const struct events *events, __u64 since)
{
	struct json json = {};
	cJSON *root;

	json_object(&json, NULL);
	events_write(events, since, &json);
	json_object_end(&json);
	root = cJSON_Parse(json.text);
	assert_non_null(root);
	json_done(&json);
	return root;
}

static double number(const cJSON *root, const char *key)
{
	return cJSON_GetObjectItem(root, key)->valuedouble;
}

static void assert_answer(const struct events *events, __u64 since, int n, __u64 first, __u64 missed,
			  bool ahead)
{
	cJSON *root = answer(events, since), *list = cJSON_GetObjectItem(root, "events");

	assert_int_equal(cJSON_GetArraySize(list), n);
	if (n)
		assert_int_equal((__u64)number(cJSON_GetArrayItem(list, 0), "id"), first);
	assert_int_equal((__u64)number(root, "last"), events->last);
	assert_int_equal((__u64)number(root, "missed"), missed);
	assert_int_equal(cJSON_IsTrue(cJSON_GetObjectItem(root, "ahead")), ahead);
	cJSON_Delete(root);
}

static void add(struct events *events, int n)
{
	for (int i = 0; i < n; i++)
		events_add(events, LOG_LEVEL_INFO, "test", "number=%llu", events->last + 1);
}

static void test_missed(void **state)
{
	struct events events = {};

	(void)state;
	assert_answer(&events, 0, 0, 0, 0, false);
	assert_answer(&events, 7, 0, 0, 0, true);
	add(&events, 10);
	assert_answer(&events, 0, 10, 1, 0, false);
	assert_answer(&events, 9, 1, 10, 0, false);
	assert_answer(&events, 10, 0, 0, 0, false);
	add(&events, 1500);
	/* Who has seen 10 of them misses 500 of those that came. */
	assert_answer(&events, 10, 1000, 511, 500, false);
	assert_answer(&events, 509, 1000, 511, 1, false);
	assert_answer(&events, 510, 1000, 511, 0, false);
	assert_answer(&events, 1511, 1000, 511, 0, true);
	events_done(&events);
}

static void test_restart(void **state)
{
	const struct place *place = *state;
	struct events events = {};
	cJSON *root, *event;

	events_add(&events, LOG_LEVEL_INFO, "early", "before=yes");
	events_open(&events, place->fd);
	events_add(&events, LOG_LEVEL_ERROR, "test", "text=\"%s\"", "two\nlines\x01");
	add(&events, 3);
	events_done(&events);
	events_add(&events, LOG_LEVEL_INFO, "start", "again=yes");
	events_open(&events, place->fd);
	assert_answer(&events, 0, 6, 1, 0, false);
	root = answer(&events, 0);
	event = cJSON_GetArrayItem(cJSON_GetObjectItem(root, "events"), 1);
	assert_string_equal(cJSON_GetObjectItem(event, "kind")->valuestring, "test");
	assert_string_equal(cJSON_GetObjectItem(event, "message")->valuestring, "text=\"two lines \"");
	event = cJSON_GetArrayItem(cJSON_GetObjectItem(root, "events"), 5);
	assert_string_equal(cJSON_GetObjectItem(event, "kind")->valuestring, "start");
	cJSON_Delete(root);
	/* An error of the last agent is not this one's. */
	assert_int_equal(events.error.id, 0);
	events_done(&events);
}

static void test_bounded(void **state)
{
	const struct place *place = *state;
	struct events events = {};
	char filler[900];
	struct stat st;

	memset(filler, 'x', sizeof(filler) - 1);
	filler[sizeof(filler) - 1] = '\0';
	events_open(&events, place->fd);
	for (int i = 0; i < 6000; i++) {
		events_add(&events, LOG_LEVEL_INFO, "test", "filler=%s", filler);
		assert_int_equal(fstatat(place->fd, EVENTS_FILE, &st, 0), 0);
		assert_true(st.st_size <= (3 << 20));
	}
	events_done(&events);
	events_open(&events, place->fd);
	assert_answer(&events, 5500, 500, 5501, 0, false);
	assert_answer(&events, 4000, 1000, 5001, 1000, false);
	events_done(&events);
}

static void write_file(const struct place *place, const char *text)
{
	int fd = openat(place->fd, EVENTS_FILE, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

/* A line that was cut off, and what others wrote. */
static void test_damaged(void **state)
{
	const struct place *place = *state;
	struct events events = {};

	events_open(&events, place->fd);
	add(&events, 3);
	events_done(&events);
	write_file(place, "nonsense\n4 1 2 6 test after=nonsense\n99 1 2 6 test far=away\n0 0 0 0 a b\n5 17");
	events_open(&events, place->fd);
	assert_answer(&events, 0, 4, 1, 0, false);
	add(&events, 1);
	events_done(&events);
	events_open(&events, place->fd);
	assert_answer(&events, 0, 5, 1, 0, false);
	events_done(&events);
}

/* What is in the way is no file, and is not followed. */
static void test_no_file(void **state)
{
	const struct place *place = *state;
	struct events events = {};

	assert_int_equal(symlinkat("/dev/full", place->fd, EVENTS_FILE), 0);
	events_open(&events, place->fd);
	add(&events, 3);
	assert_answer(&events, 0, 3, 1, 0, false);
	events_done(&events);
	/* It was put in its place. */
	events_open(&events, place->fd);
	assert_answer(&events, 0, 3, 1, 0, false);
	events_done(&events);
}

static void test_flood(void **state)
{
	unsigned long long before = log_suppressed();
	FILE *log = tmpfile();
	char line[256];
	int kept = dup(STDERR_FILENO), flood = 0, other = 0, told = 0;

	(void)state;
	assert_non_null(log);
	dup2(fileno(log), STDERR_FILENO);
	for (int i = 0; i < 5000; i++)
		log_warning("event=flood number=%d", i);
	log_warning("event=quiet heard=yes");
	usleep(150000);
	log_tell_suppressed();
	dup2(kept, STDERR_FILENO);
	close(kept);
	rewind(log);
	while (fgets(line, sizeof(line), log)) {
		unsigned long long suppressed;

		flood += strncmp(line, "lbd: event=flood ", 17) == 0;
		other += strcmp(line, "lbd: event=quiet heard=yes\n") == 0;
		if (sscanf(line, "lbd: event=log kind=flood suppressed=%llu", &suppressed) == 1)
			told += (int)suppressed;
	}
	fclose(log);
	assert_int_equal(other, 1);
	assert_true(flood >= (int)LOG_BURST && flood < 1000);
	assert_int_equal(flood + told, 5000);
	assert_int_equal(log_suppressed() - before, told);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_missed),
		cmocka_unit_test_setup_teardown(test_restart, make_place, leave_place),
		cmocka_unit_test_setup_teardown(test_bounded, make_place, leave_place),
		cmocka_unit_test_setup_teardown(test_damaged, make_place, leave_place),
		cmocka_unit_test_setup_teardown(test_no_file, make_place, leave_place),
		cmocka_unit_test(test_flood),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
