// SPDX-License-Identifier: GPL-2.0-only
/*
 * The operator's words in text: in events and causes.
 */
#include "lbd/state/words.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lbd/lbd.h"
#include "lbd/log.h"
#include "lbd/state/configured.h"
#include "lbd/state/intent.h"

/* Events for one change at most; a rollback may bring hundreds of words back. */
#define TOLD_MAX 50u

size_t words_filter(struct lb_words *words, const struct lb_config *config)
{
	size_t kept = 0, n = words->n;

	for (size_t i = 0; i < n; i++) {
		const struct lb_word *word = &words->all[i];

		if (config_has_backend(config, word->service, word->backend))
			words->all[kept++] = *word;
	}
	words->n = kept;
	return n - kept;
}

/* --- telling ---------------------------------------------------------------------------------------------
 */

/* What a backend is by all that is said. False: it is not configured. */
static bool effective_of(struct lbd *lbd, const struct desired *desired, const char *service,
			 const char *backend, struct lb_effective *ret_effective)
{
	const struct lb_config_service *config =
		desired->config ? config_find_service(desired->config, service) : NULL;
	struct lb_intent intent = intent_of(lbd, &desired->words);

	for (size_t i = 0; config && i < config->n_backends; i++) {
		if (strcmp(config->backends[i].name, backend) != 0)
			continue;
		lb_intent_resolve(&intent, config, &config->backends[i], ret_effective);
		return true;
	}
	return false;
}

/* A key's value as it is in effect: "drain", "100"; for the breaker what the operator says of it. */
static void value_text(const struct lb_effective *effective, const struct lb_words *words,
		       const char *service, const char *backend, enum lb_word_key key,
		       char text[LB_WORD_TEXT_MAX])
{
	const struct lb_word *word = lb_words_find(words, service, backend, key);

	if (key == LB_WORD_STATE)
		snprintf(text, LB_WORD_TEXT_MAX, "%s", lb_state_name(effective->state));
	else if (key == LB_WORD_WEIGHT)
		snprintf(text, LB_WORD_TEXT_MAX, "%u", effective->weight);
	else
		snprintf(text, LB_WORD_TEXT_MAX, "%s",
			 lb_breaker_name(word ? (enum lb_breaker)word->value : LB_BREAKER_AUTO));
}

static size_t append(char *text, size_t size, size_t used, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static size_t append(char *text, size_t size, size_t used, const char *format, ...)
{
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(text + used, size - used, format, ap);
	va_end(ap);
	used += n < 0 ? 0 : (size_t)n;
	return used < size ? used : size - 1;
}

/* ' by uid 0 pid 123, "disk"' */
static void append_who(const struct lb_word *word, char *text, size_t size, size_t used)
{
	if (word->pid)
		used = append(text, size, used, " by uid %u pid %u", word->uid, word->pid);
	if (word->until_s)
		used = append(text, size, used, " for %lld s", word->until_s - word->since_s);
	if (word->reason[0])
		append(text, size, used, ", \"%s\"", word->reason);
}

void word_cause(struct lbd *lbd, const struct lb_word *word, const char *service, const char *backend,
		enum lb_word_key key, char *text, size_t size)
{
	char from[LB_WORD_TEXT_MAX] = "", to[LB_WORD_TEXT_MAX];
	struct lb_effective effective;
	size_t used = 0;

	text[0] = '\0';
	if (effective_of(lbd, &lbd->running, service, backend, &effective))
		value_text(&effective, &lbd->running.words, service, backend, key, from);
	used = append(text, size, used, "%s/%s %s %s -> ", service, backend, lb_word_key_name(key), from);
	if (!word) {
		append(text, size, used, "as configured");
		return;
	}
	used = append(text, size, used, "%s", lb_word_text(word, to));
	append_who(word, text, size, used);
}

/* The same for an event. */
static void who_of(const struct lb_word *word, char *text, size_t size)
{
	char reason[EVENTS_QUOTED_MAX];
	size_t used = 0;

	if (word->pid)
		used = append(text, size, used, " uid=%u pid=%u", word->uid, word->pid);
	if (word->until_s)
		used = append(text, size, used, " for_s=%lld", word->until_s - word->since_s);
	if (word->reason[0])
		append(text, size, used, " reason=\"%s\"", events_quoted(word->reason, reason));
}

static bool same_word(const struct lb_word *a, const struct lb_word *b)
{
	struct lb_words x = { .all = (struct lb_word *)a, .n = 1 };
	struct lb_words y = { .all = (struct lb_word *)b, .n = 1 };

	return a && b && lb_words_equal(&x, &y);
}

/* word: the new one, or the one that went. */
static void tell(struct lbd *lbd, const struct lb_word *word, bool went, const struct desired *before,
		 const struct desired *after)
{
	struct lb_effective was, is;
	char from[LB_WORD_TEXT_MAX] = "none", to[LB_WORD_TEXT_MAX], who[640] = "";

	if (went && lb_word_is_over(word, intent_now_s(lbd)))
		snprintf(from, sizeof(from), "%s", lb_word_text(word, to));
	else if (effective_of(lbd, before, word->service, word->backend, &was))
		value_text(&was, &before->words, word->service, word->backend, word->key, from);
	snprintf(to, sizeof(to), "gone");
	if (effective_of(lbd, after, word->service, word->backend, &is))
		value_text(&is, &after->words, word->service, word->backend, word->key, to);
	if (!went)
		who_of(word, who, sizeof(who));
	events_add(&lbd->events, LOG_LEVEL_INFO, "override",
		   "service=%s backend=%s key=%s from=%s to=%s override=%s%s", word->service, word->backend,
		   lb_word_key_name(word->key), from, to, went ? "ends" : "set", who);
}

void words_tell(struct lbd *lbd, const struct desired *before, const struct desired *after)
{
	size_t told = 0;

	for (size_t i = 0; i < before->words.n; i++) {
		const struct lb_word *word = &before->words.all[i];

		if (!lb_words_find(&after->words, word->service, word->backend, word->key) &&
		    told++ < TOLD_MAX)
			tell(lbd, word, true, before, after);
	}
	for (size_t i = 0; i < after->words.n; i++) {
		const struct lb_word *word = &after->words.all[i];

		if (!same_word(word,
			       lb_words_find(&before->words, word->service, word->backend, word->key)) &&
		    told++ < TOLD_MAX)
			tell(lbd, word, false, before, after);
	}
	if (told > TOLD_MAX)
		events_add(&lbd->events, LOG_LEVEL_INFO, "override", "more_overrides=%zu", told - TOLD_MAX);
}
