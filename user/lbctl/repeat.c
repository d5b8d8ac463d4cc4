// SPDX-License-Identifier: GPL-2.0-only
/* --interval and --count; see repeat.h. */
#include "repeat.h"

#include <time.h>

int repeat_init(struct repeat *repeat, const struct lbctl *c)
{
	*repeat = (struct repeat){ .interval_s = 1, .left = 1, .first = true };
	if (option_given(c, OPTION_INTERVAL))
		repeat->left = ~0ull;
	if (!option_seconds(c, OPTION_INTERVAL, 0.1, &repeat->interval_s) ||
	    !option_number(c, OPTION_COUNT, 1, 1ull << 40, &repeat->left))
		return EXIT_WRONG_USAGE;
	return EXIT_DONE;
}

bool repeat_next(struct repeat *repeat)
{
	if (!repeat->left || fflush(stdout) != 0)
		return false;
	repeat->left--;
	if (repeat->first)
		repeat->next_ns = 0;
	else
		return lbctl_pace(repeat->interval_s, &repeat->next_ns);
	return true;
}

void repeat_heading(const struct repeat *repeat)
{
	time_t now = time(NULL);
	char text[32];
	struct tm tm;

	if (repeat->first && !repeat->left)
		return;
	if (localtime_r(&now, &tm) && strftime(text, sizeof(text), "%H:%M:%S", &tm))
		printf("%s%s\n", repeat->first ? "" : "\n", text);
}
