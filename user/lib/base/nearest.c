// SPDX-License-Identifier: GPL-2.0-only
/*
 * The nearest right spelling of a word, for messages like: did you mean "weight"? Distance is the number
 * of letters to insert, remove, change or swap with a neighbour (optimal string alignment); capitals do not
 * count.
 */
#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/nearest.h"

#define WORD_MAX 48

static unsigned int least(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

static bool same(char a, char b)
{
	return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* Both words have at most WORD_MAX letters. */
static unsigned int distance(const char *a, const char *b)
{
	size_t m = strlen(a), n = strlen(b);
	unsigned int rows[3][WORD_MAX + 1];
	unsigned int *before = rows[0], *above = rows[1], *row = rows[2], *spare;

	for (size_t j = 0; j <= n; j++)
		above[j] = (unsigned int)j;
	for (size_t i = 1; i <= m; i++) {
		row[0] = (unsigned int)i;
		for (size_t j = 1; j <= n; j++) {
			row[j] = least(above[j], row[j - 1]) + 1;
			row[j] = least(row[j], above[j - 1] + !same(a[i - 1], b[j - 1]));
			if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]))
				row[j] = least(row[j], before[j - 2] + 1);
		}
		spare = before;
		before = above;
		above = row;
		row = spare;
	}
	return above[n];
}

const char *lb_nearest(const char *word, const char *const *words)
{
	unsigned int best = UINT32_MAX;
	const char *nearest = NULL;
	size_t length = strlen(word);

	if (length == 0 || length > WORD_MAX)
		return NULL;
	for (; *words; words++) {
		unsigned int d;

		if (strlen(*words) > WORD_MAX)
			continue;
		d = distance(word, *words);
		if (d < best && d <= (length < 4 ? 1 : 1 + length / 4)) {
			best = d;
			nearest = *words;
		}
	}
	return nearest;
}
