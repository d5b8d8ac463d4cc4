// SPDX-License-Identifier: GPL-2.0-only
/*
 * The word of an election by lease: what has the file's name, and is none, is not waited for.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "announce/neighbors.h"
#include "lb-neighbor/lead_file.h"

static char directory[] = "/tmp/lead_file.XXXXXX";
static char path[sizeof(directory) + 8], other[sizeof(directory) + 8];

static int make_directory(void **state)
{
	if (!mkdtemp(directory))
		return -1;
	snprintf(path, sizeof(path), "%s/lead-7", directory);
	snprintf(other, sizeof(other), "%s/other", directory);
	return 0;
}

static int remove_directory(void **state)
{
	unlink(path);
	unlink(other);
	return rmdir(directory);
}

static void write_word(const char *at, const char *word)
{
	FILE *file = fopen(at, "we");

	assert_non_null(file);
	assert_true(fputs(word, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static bool heeds(struct lead_file *file)
{
	static struct lb_neighbors all;

	return lead_file_heed(file, directory, 7, false, &all);
}

static void test_a_word_is_taken_and_stays_when_the_file_is_gone(void **state)
{
	struct lead_file file = {};

	assert_false(heeds(&file));
	write_word(path, "follow\n");
	assert_true(heeds(&file));
	assert_string_equal(file.word, "follow");
	unlink(path);
	assert_true(heeds(&file));
	write_word(path, "lead 12\n");
	assert_true(heeds(&file));
	assert_string_equal(file.word, "lead 12");
	write_word(path, "");
	assert_true(heeds(&file));
	assert_string_equal(file.word, "lead 12");
	unlink(path);
}

static void test_a_fifo_is_not_waited_for(void **state)
{
	struct lead_file file = {};

	assert_int_equal(mkfifo(path, 0600), 0);
	alarm(5); /* that it hangs is a failure */
	assert_false(heeds(&file));
	alarm(0);
	unlink(path);
}

static void test_no_link_is_followed(void **state)
{
	struct lead_file file = {};

	write_word(other, "follow\n");
	assert_int_equal(symlink(other, path), 0);
	assert_false(heeds(&file));
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_word_is_taken_and_stays_when_the_file_is_gone),
		cmocka_unit_test(test_a_fifo_is_not_waited_for),
		cmocka_unit_test(test_no_link_is_followed),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
