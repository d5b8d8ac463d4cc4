/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The intent layer: who says what a backend shall be, and what it shall be then. Pure: words and verdicts in,
 * effective state, weight and reasons out. Administrative words (of the file, a source, the operator) and
 * operational verdicts (of health, a breaker) are kept apart and never overwrite each other, as HAProxy keeps
 * admin flags from the operational state (server-t.h).
 *
 * The truth table, for one backend:
 *
 *   administrative state   the operator's, if he says one; otherwise that of who configured it (file or
 *                          source)
 *   administrative weight  the same way
 *   operational state      the operator's word on the breaker is "off":  active, whatever the verdicts say
 *                          ... is "open":  drain, or what a verdict says if that is worse
 *                          ... is "auto" (nothing said):  the worst that a verdict says
 *   operational share      "off": all of the weight; otherwise the smallest that a verdict gives
 *   effective state        the worse one of the two: active < drain < down
 *   effective weight       the share of the administrative weight, rounded up: 0 only where one of them is 0
 *
 * Hence a check that passes does not lift an operator's "down", nor does one that fails erase his "drain":
 * when it passes again, "drain" is what is left. A word whose time is over, and a verdict on another address
 * or by another check than what is configured, say nothing.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"
#include "engine/engine.h"

/* From the least to the most urgent. The names are what people and the API see. */
#define LB_ORIGINS(X)                                                                                        \
	X(FILE, "file")                                                                                      \
	X(SOURCE, "source")                                                                                  \
	X(OPERATOR, "operator")                                                                              \
	X(HEALTH, "health")                                                                                  \
	X(BREAKER, "breaker")

enum lb_origin {
#define X(name, text) LB_ORIGIN_##name,
	LB_ORIGINS(X)
#undef X
		LB_ORIGIN_COUNT,
};
const char *lb_origin_name(enum lb_origin origin);

/* --- the operator's words --------------------------------------------------------------------------------
 */

/* What the operator may say of a breaker: nothing, take the backend out of use, never mind the verdicts. */
enum lb_breaker { LB_BREAKER_AUTO, LB_BREAKER_OPEN, LB_BREAKER_OFF };
const char *lb_breaker_name(enum lb_breaker value);
int lb_breaker_parse(const char *name, enum lb_breaker *ret_value); /* 0 or -EINVAL */

/* What a word is about; names as in the API. */
#define LB_WORDS(X)                                                                                          \
	X(STATE, "state")                                                                                    \
	X(WEIGHT, "weight")                                                                                  \
	X(BREAKER, "breaker")

enum lb_word_key {
#define X(name, text) LB_WORD_##name,
	LB_WORDS(X)
#undef X
		LB_WORD_COUNT,
};
const char *lb_word_key_name(enum lb_word_key key);

#define LB_WHY_MAX 128 /* bytes of what somebody gives as a reason, with the terminating zero */

/* One thing that an operator says of one backend, over what is configured. */
struct lb_word {
	char service[LB_NAME_MAX];
	char backend[LB_NAME_MAX];
	enum lb_word_key key;
	__u32 value; /* enum lb_state, a weight of 0..65535, enum lb_breaker (never AUTO: that is no word) */
	__s64 since_s;           /* wall clock */
	__s64 until_s;           /* wall clock; 0: until it is taken back */
	__u32 uid, pid;          /* of who said it; pid 0: not known */
	char reason[LB_WHY_MAX]; /* may be empty */
};

/* "drain", "50", "open": the value as it was said. Returns the buffer or a static string. */
#define LB_WORD_TEXT_MAX 16
const char *lb_word_text(const struct lb_word *word, char buffer[LB_WORD_TEXT_MAX]);

/* All that is said, ordered by service, backend and key. Zeroed: nothing. */
struct lb_words {
	struct lb_word *all; /* owned */
	size_t n, room;
};
void lb_words_done(struct lb_words *words);

/* A copy. 0 or -ENOMEM; *ret_words is then untouched. */
int lb_words_copy(const struct lb_words *from, struct lb_words *ret_words);

/* Says a word, in place of the one about the same (service, backend, key). 0 or -ENOMEM. */
int lb_words_set(struct lb_words *words, const struct lb_word *word);

/* Takes a word back. False: there was none. */
bool lb_words_clear(struct lb_words *words, const char *service, const char *backend, enum lb_word_key key);

/* The word, whether its time is over or not; NULL: none. Valid until the words change. */
const struct lb_word *lb_words_find(const struct lb_words *words, const char *service, const char *backend,
				    enum lb_word_key key);

/* The words on one backend, at most LB_WORD_COUNT; *ret_n of them. */
const struct lb_word *lb_words_of(const struct lb_words *words, const char *service, const char *backend,
				  size_t *ret_n);

/* Whether the same is said, by the same, for the same reason, until the same time. */
bool lb_words_equal(const struct lb_words *a, const struct lb_words *b);

static inline bool lb_word_is_over(const struct lb_word *word, __s64 now_s)
{
	return word->until_s && now_s >= word->until_s;
}

/* When the next word is over (wall clock, s); 0: none ends. It may be past. */
__s64 lb_words_next_end(const struct lb_words *words);

/*
 * Two clocks: the wall clock alone means something after a boot, so words carry it; how long something has
 * lasted is what a clock says that nobody sets (CLOCK_BOOTTIME). Zeroed at first.
 */
struct lb_clock {
	__s64 wall_ms;
	__s64 run_ms;
};

/* How far the wall clock was set, in s, since the last call: 0 for what is no more than NTP's slewing. */
__s64 lb_clock_jump_s(struct lb_clock *clock, __s64 wall_ms, __s64 run_ms);

/* The wall clock was set: words that end last as long as they were to. */
void lb_words_move(struct lb_words *words, __s64 by_s);

/* Words from the disk: none lasts longer than it was to, whatever the wall clock has become meanwhile. */
void lb_words_bound(struct lb_words *words, __s64 now_s);

/* --- verdicts --------------------------------------------------------------------------------------------
 */

#define LB_SHARE_ALL 1000u /* permille */

/* What a check or a breaker says of a backend. It belongs to the address and the check that it is of. */
struct lb_verdict {
	enum lb_state state; /* active: no objection */
	__u32 share;         /* of the administrative weight, permille: half-open breakers, slow starts */
	bool stale;          /* whoever found it out is away */
	struct lb_address address;
	__u64 check;   /* which check, as lb_check_of says it: any number that changes when the check does */
	__s64 since_s; /* wall clock, when it became so */
	char reason[LB_WHY_MAX]; /* "connect refused 3 of 3" */
};

/* Which check a backend has now, 0: none. */
typedef __u64 lb_check_of(const struct lb_config_service *service, const struct lb_config_backend *backend);

/* The verdicts of health and of breakers, by (service, backend). */
struct lb_verdicts;
int lb_verdicts_new(struct lb_verdicts **ret_verdicts); /* 0 or -ENOMEM */
void lb_verdicts_free(struct lb_verdicts *verdicts);

/*
 * Sets the verdict of an origin (LB_ORIGIN_HEALTH or _BREAKER) on a backend; NULL takes it back. 1: what it
 * says for the backend's state or weight differs from before, so a plan is to be made; 0: it does not;
 * -ENOMEM; -EINVAL: not such an origin, a name that is too long, a share above LB_SHARE_ALL.
 */
int lb_verdicts_set(struct lb_verdicts *verdicts, enum lb_origin origin, const char *service,
		    const char *backend, const struct lb_verdict *verdict);

/* NULL: none. Valid until the verdicts change. */
const struct lb_verdict *lb_verdicts_get(const struct lb_verdicts *verdicts, enum lb_origin origin,
					 const char *service, const char *backend);

size_t lb_verdicts_count(const struct lb_verdicts *verdicts);

/* Calls for each, in no order. The function must not change the verdicts. */
typedef void lb_verdict_visit(void *context, enum lb_origin origin, const char *service, const char *backend,
			      const struct lb_verdict *verdict);
void lb_verdicts_each(const struct lb_verdicts *verdicts, lb_verdict_visit *visit, void *context);

/* --- resolving -------------------------------------------------------------------------------------------
 */

/* All that is said besides the configuration. Borrowed. */
struct lb_intent {
	const struct lb_words *words;       /* NULL: none */
	const struct lb_verdicts *verdicts; /* NULL: none */
	lb_check_of *check_of;              /* NULL: no backend has a check */
	__s64 now_s;                        /* wall clock */
};

/* What one origin says of a backend. Pointers are of the words, the verdicts and the configuration. */
struct lb_statement {
	enum lb_origin origin;
	const char *source; /* the source's name; NULL: another origin */
	bool has_state, has_weight, has_breaker, has_share;
	enum lb_state state;
	__u32 weight;
	enum lb_breaker breaker;
	__u32 share; /* permille */
	bool holds;  /* part of what it says is what the backend is; otherwise something else is stronger */
	bool stale;
	const char *text; /* why, as somebody gave it; "" where nobody did */
	__s64 since_s;    /* wall clock; 0: not known */
	__s64 until_s;    /* 0: not limited */
	__u32 uid, pid;   /* operator */
};

/* The configured state, one reason for each word, and both verdicts. */
#define LB_STATEMENTS_MAX (1 + LB_WORD_COUNT + 2)

struct lb_effective {
	enum lb_state state;
	__u32 weight;
	/* Who says anything but "active, its configured weight", by origin. Empty: nobody. */
	struct lb_statement statements[LB_STATEMENTS_MAX];
	size_t n_statements;
};

/* The truth table on one backend of a configuration. */
void lb_intent_resolve(const struct lb_intent *intent, const struct lb_config_service *service,
		       const struct lb_config_backend *backend, struct lb_effective *ret_effective);

/*
 * The truth table on all backends of a configuration: an override for each whose effective state or weight is
 * not the configured one, in no order that matters. Costs what is said, not what is configured. The caller
 * frees *ret_overrides. 0 or -ENOMEM.
 */
int lb_intent_overrides(const struct lb_intent *intent, const struct lb_config *config,
			struct lb_override **ret_overrides, size_t *ret_n);

/* "drain by operator (uid 0, pid 123): disk", without time: one line for events and logs. */
#define LB_STATEMENT_TEXT_MAX 320
const char *lb_statement_text(const struct lb_statement *statement, char buffer[LB_STATEMENT_TEXT_MAX]);
