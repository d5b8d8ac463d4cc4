/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The operator's words as they are told: what came, changed and went, from what to what, by whom and why.
 */
#pragma once

#include "intent/intent.h"

struct lbd;
struct desired;

/* Keeps the words whose service and backend are configured. Returns how many went. */
size_t words_filter(struct lb_words *words, const struct lb_config *config);

/* Tells by events what words came, changed and went between two states, with the effect that they had. */
void words_tell(struct lbd *lbd, const struct desired *before, const struct desired *after);

/* "web/web-1 state active -> drain by uid 0 pid 123, \"disk\"": what a word changes in what runs. word NULL:
 * it is taken back. */
void word_cause(struct lbd *lbd, const struct lb_word *word, const char *service, const char *backend,
		enum lb_word_key key, char *text, size_t size);
