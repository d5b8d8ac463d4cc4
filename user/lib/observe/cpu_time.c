// SPDX-License-Identifier: GPL-2.0-only
/* Reads /proc/stat; see cpu_time.h. */
#include "observe/cpu_time.h"

#include <stdlib.h>
#include <string.h>

#define COLUMNS 8

/* "N user nice system ...": behind "cpu". */
static void parse_line(const char *line, const char *end, struct lb_cpu_time *ret, size_t n)
{
	__u64 column[COLUMNS];
	unsigned long cpu;
	char *next;

	if (*line < '0' || *line > '9')
		return;
	cpu = strtoul(line, &next, 10);
	for (size_t i = 0; i < COLUMNS; i++) {
		line = next;
		column[i] = strtoull(line, &next, 10);
		if (next == line || next > end)
			return;
	}
	if (cpu >= n)
		return;
	ret[cpu] = (struct lb_cpu_time){ .online = true,
#define X(name, number) .name = column[number],
					 LB_CPU_TIMES(X)
#undef X
	};
}

void lb_cpu_time_parse(const char *text, struct lb_cpu_time *ret, size_t n)
{
	memset(ret, 0, n * sizeof(*ret));
	while (strncmp(text, "cpu", 3) == 0) {
		const char *end = text + strcspn(text, "\n");

		parse_line(text + 3, end, ret, n);
		text = *end ? end + 1 : end;
	}
}

struct lb_cpu_time lb_cpu_time_between(const struct lb_cpu_time *before, const struct lb_cpu_time *after)
{
	return (struct lb_cpu_time){ .online = before->online && after->online,
#define X(name, column) .name = after->name > before->name ? after->name - before->name : 0,
				     LB_CPU_TIMES(X)
#undef X
	};
}

__u64 lb_cpu_time_all(const struct lb_cpu_time *time)
{
	__u64 all = 0;

#define X(name, column) all += time->name;
	LB_CPU_TIMES(X)
#undef X
	return all;
}
