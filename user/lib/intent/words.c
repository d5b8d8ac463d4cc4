// SPDX-License-Identifier: GPL-2.0-only
/*
 * The operator's words: a sorted list. They are few; what they say outlives the agent (lbd records them).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "intent/intent.h"

static const char *const origins[LB_ORIGIN_COUNT] = {
#define X(name, text) [LB_ORIGIN_##name] = text,
	LB_ORIGINS(X)
#undef X
};

static const char *const keys[LB_WORD_COUNT] = {
#define X(name, text) [LB_WORD_##name] = text,
	LB_WORDS(X)
#undef X
};

static const char *const breakers[] = {
	[LB_BREAKER_AUTO] = "auto",
	[LB_BREAKER_OPEN] = "open",
	[LB_BREAKER_OFF] = "off",
};

const char *lb_origin_name(enum lb_origin origin)
{
	return origins[origin];
}

const char *lb_word_key_name(enum lb_word_key key)
{
	return keys[key];
}

const char *lb_breaker_name(enum lb_breaker value)
{
	return breakers[value];
}

int lb_breaker_parse(const char *name, enum lb_breaker *ret_value)
{
	for (size_t i = 0; i < sizeof(breakers) / sizeof(breakers[0]); i++) {
		if (strcmp(breakers[i], name) == 0) {
			*ret_value = (enum lb_breaker)i;
			return 0;
		}
	}
	return -EINVAL;
}

const char *lb_word_text(const struct lb_word *word, char buffer[LB_WORD_TEXT_MAX])
{
	switch (word->key) {
	case LB_WORD_STATE:
		return lb_state_name((enum lb_state)word->value);
	case LB_WORD_BREAKER:
		return lb_breaker_name((enum lb_breaker)word->value);
	default:
		snprintf(buffer, LB_WORD_TEXT_MAX, "%u", word->value);
		return buffer;
	}
}

void lb_words_done(struct lb_words *words)
{
	free(words->all);
	memset(words, 0, sizeof(*words));
}

int lb_words_copy(const struct lb_words *from, struct lb_words *ret_words)
{
	struct lb_words copy = { .n = from->n, .room = from->n };

	if (from->n) {
		copy.all = malloc(from->n * sizeof(*copy.all));
		if (!copy.all)
			return -ENOMEM;
		memcpy(copy.all, from->all, from->n * sizeof(*copy.all));
	}
	*ret_words = copy;
	return 0;
}

static int compare(const struct lb_word *word, const char *service, const char *backend, enum lb_word_key key)
{
	int r = strcmp(word->service, service);

	if (r == 0)
		r = strcmp(word->backend, backend);
	return r ? r : (int)word->key - (int)key;
}

/* Where the word is, or would be. */
static size_t place_of(const struct lb_words *words, const char *service, const char *backend,
		       enum lb_word_key key)
{
	size_t low = 0, high = words->n;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (compare(&words->all[middle], service, backend, key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_at(const struct lb_words *words, size_t place, const char *service, const char *backend,
		  enum lb_word_key key)
{
	return place < words->n && compare(&words->all[place], service, backend, key) == 0;
}

static int make_room(struct lb_words *words)
{
	size_t room = words->room ? 2 * words->room : 8;
	struct lb_word *more;

	if (words->n < words->room)
		return 0;
	more = realloc(words->all, room * sizeof(*more));
	if (!more)
		return -ENOMEM;
	words->all = more;
	words->room = room;
	return 0;
}

int lb_words_set(struct lb_words *words, const struct lb_word *word)
{
	struct lb_word copy = *word; /* it may be one of ours */
	size_t place = place_of(words, copy.service, copy.backend, copy.key);

	if (!is_at(words, place, copy.service, copy.backend, copy.key)) {
		if (make_room(words) < 0)
			return -ENOMEM;
		memmove(&words->all[place + 1], &words->all[place], (words->n - place) * sizeof(*words->all));
		words->n++;
	}
	words->all[place] = copy;
	return 0;
}

bool lb_words_clear(struct lb_words *words, const char *service, const char *backend, enum lb_word_key key)
{
	size_t place = place_of(words, service, backend, key);

	if (!is_at(words, place, service, backend, key))
		return false;
	words->n--;
	memmove(&words->all[place], &words->all[place + 1], (words->n - place) * sizeof(*words->all));
	return true;
}

const struct lb_word *lb_words_find(const struct lb_words *words, const char *service, const char *backend,
				    enum lb_word_key key)
{
	size_t place = place_of(words, service, backend, key);

	return is_at(words, place, service, backend, key) ? &words->all[place] : NULL;
}

const struct lb_word *lb_words_of(const struct lb_words *words, const char *service, const char *backend,
				  size_t *ret_n)
{
	size_t first = place_of(words, service, backend, (enum lb_word_key)0), end = first;

	while (end < words->n && compare(&words->all[end], service, backend, words->all[end].key) == 0)
		end++;
	*ret_n = end - first;
	return words->all + first;
}

bool lb_words_equal(const struct lb_words *a, const struct lb_words *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++) {
		const struct lb_word *x = &a->all[i], *y = &b->all[i];

		if (compare(x, y->service, y->backend, y->key) != 0 || x->value != y->value ||
		    x->since_s != y->since_s || x->until_s != y->until_s || x->uid != y->uid ||
		    x->pid != y->pid || strcmp(x->reason, y->reason) != 0)
			return false;
	}
	return true;
}

__s64 lb_words_next_end(const struct lb_words *words)
{
	__s64 end = 0;

	for (size_t i = 0; i < words->n; i++) {
		if (words->all[i].until_s && (!end || words->all[i].until_s < end))
			end = words->all[i].until_s;
	}
	return end;
}

/* A clock that is slewed differs by less from one look to the next, even an hour apart (500 ppm). */
#define JUMP_MS 2000

__s64 lb_clock_jump_s(struct lb_clock *clock, __s64 wall_ms, __s64 run_ms)
{
	__s64 jump_ms = clock->wall_ms ? wall_ms - clock->wall_ms - (run_ms - clock->run_ms) : 0;

	clock->wall_ms = wall_ms;
	clock->run_ms = run_ms;
	return jump_ms >= JUMP_MS || jump_ms <= -JUMP_MS ? jump_ms / 1000 : 0;
}

void lb_words_move(struct lb_words *words, __s64 by_s)
{
	for (size_t i = 0; i < words->n; i++) {
		struct lb_word *word = &words->all[i];

		if (!word->until_s)
			continue;
		word->since_s += by_s;
		word->until_s += by_s;
		/* A clock may be set to before the word, but nothing is recorded of before 1970. */
		if (word->since_s < 0)
			word->since_s = 0;
		if (word->until_s < 1)
			word->until_s = 1;
	}
}

void lb_words_bound(struct lb_words *words, __s64 now_s)
{
	for (size_t i = 0; i < words->n; i++) {
		struct lb_word *word = &words->all[i];
		__s64 lasts_s = word->until_s - word->since_s;

		if (!word->until_s || word->since_s <= now_s)
			continue;
		word->since_s = now_s;
		word->until_s = now_s + lasts_s;
	}
}
