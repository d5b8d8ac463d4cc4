// SPDX-License-Identifier: GPL-2.0-only
/*
 * The words of an agent.
 */
#include "health/agent.h"

#include <string.h>
#include <strings.h>

enum meaning { SERVES, DRAINS, DOWN };

static const struct {
	const char *word;
	enum meaning meaning;
} words[] = {
	{ "up", SERVES }, { "ready", SERVES }, { "drain", DRAINS }, { "maint", DRAINS },
	{ "down", DOWN }, { "failed", DOWN },  { "fail", DOWN },    { "stopped", DOWN },
};

static bool read_percent(const char *word, size_t length, __u32 *ret_percent)
{
	__u32 percent = 0;

	if (length < 2 || length > 5 || word[length - 1] != '%')
		return false;
	for (size_t i = 0; i < length - 1; i++) {
		if (word[i] < '0' || word[i] > '9')
			return false;
		percent = percent * 10 + (__u32)(word[i] - '0');
	}
	*ret_percent = percent < 100 ? percent : 100;
	return true;
}

static bool take(const char *word, size_t length, struct lb_agent_says *says)
{
	if (read_percent(word, length, &says->percent))
		return true;
	if (length > 8 && strncasecmp(word, "maxconn:", 8) == 0)
		return true;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strlen(words[i].word) != length || strncasecmp(words[i].word, word, length) != 0)
			continue;
		says->drain |= words[i].meaning == DRAINS;
		says->down |= words[i].meaning == DOWN;
		return true;
	}
	return false;
}

bool lb_agent_parse(const char *line, size_t length, struct lb_agent_says *ret_says)
{
	static const char separators[] = " \t,";
	struct lb_agent_says says = { .percent = 100 };
	size_t at = 0, n = 0;

	while (at < length && !memchr("\r\n#", line[at], 3)) {
		size_t begin = at;

		if (memchr(separators, line[at], 3)) {
			at++;
			continue;
		}
		while (at < length && !memchr(" \t,\r\n#", line[at], 6))
			at++;
		if (!take(line + begin, at - begin, &says))
			return false;
		n++;
	}
	if (!n)
		return false;
	*ret_says = says;
	return true;
}
