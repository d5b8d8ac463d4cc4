// SPDX-License-Identifier: GPL-2.0-only
/*
 * The words of agents, as a table of lines.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "health/agent.h"

static const struct {
	const char *line;
	bool good, down, drain;
	__u32 percent;
} rows[] = {
	{ "up\n", true, false, false, 100 },
	{ "UP", true, false, false, 100 },
	{ "75%\n", true, false, false, 75 },
	{ "ready up 50%\r\n", true, false, false, 50 },
	{ "up,0%", true, false, false, 0 },
	{ "200%", true, false, false, 100 },
	{ "drain", true, false, true, 100 },
	{ "maint\tready", true, false, true, 100 },
	{ "down#disk full\n", true, true, false, 100 },
	{ "stopped # up 20%", true, true, false, 100 },
	{ "failed", true, true, false, 100 },
	{ "up maxconn:30 20%", true, false, false, 20 },
	{ "up\ndown\n", true, false, false, 100 },
	{ "", false, false, false, 0 },
	{ "\n", false, false, false, 0 },
	{ " , \t", false, false, false, 0 },
	{ "# up", false, false, false, 0 },
	{ "upp", false, false, false, 0 },
	{ "%", false, false, false, 0 },
	{ "-5%", false, false, false, 0 },
	{ "99999%", false, false, false, 0 },
	{ "maxconn:", false, false, false, 0 },
	{ "HTTP/1.1 400 Bad Request\r\n", false, false, false, 0 },
	{ "up \x01", false, false, false, 0 },
};

static void test_lines_say_what_they_say(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct lb_agent_says says = { .percent = 7 }, again;
		bool good = lb_agent_parse(rows[i].line, strlen(rows[i].line), &says);

		if (good != rows[i].good)
			fail_msg("\"%s\"", rows[i].line);
		if (!good) {
			assert_int_equal(says.percent, 7);
			continue;
		}
		if (says.down != rows[i].down || says.drain != rows[i].drain ||
		    says.percent != rows[i].percent)
			fail_msg("\"%s\": down %d, drain %d, %u %%", rows[i].line, says.down, says.drain,
				 says.percent);
		lb_agent_of_detail(lb_agent_detail(&says), &again);
		assert_true(again.drain == says.drain && again.percent == says.percent);
	}
}

/* What is behind the length does not count, and need not be there. */
static void test_no_byte_behind_the_line_is_read(void **state)
{
	struct lb_agent_says says;

	assert_true(lb_agent_parse("50%9", 3, &says));
	assert_int_equal(says.percent, 50);
	assert_false(lb_agent_parse("up", 0, &says));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines_say_what_they_say),
		cmocka_unit_test(test_no_byte_behind_the_line_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
