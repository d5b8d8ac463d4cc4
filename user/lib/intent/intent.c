// SPDX-License-Identifier: GPL-2.0-only
/*
 * The truth table of intent.h: on one backend, and on all of a configuration about which anything is said.
 */
#include "intent/intent.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "intent/intent_verdicts.h"

/* Everything that is said of one backend and counts now. */
struct said {
	const struct lb_word *word[LB_WORD_COUNT];        /* NULL: none */
	const struct lb_verdict *verdict[LB_LAYER_COUNT]; /* NULL: none, or on something else */
};

static enum lb_state worse(enum lb_state a, enum lb_state b)
{
	return a > b ? a : b;
}

/* Rounded up: what is given a share gets some. */
static __u32 share_of(__u32 weight, __u32 share)
{
	return (__u32)(((__u64)weight * share + LB_SHARE_ALL - 1) / LB_SHARE_ALL);
}

/* A verdict is on the backend as it is configured now. */
static bool is_about(const struct lb_verdict *verdict, const struct lb_config_backend *backend, __u64 check)
{
	return verdict && verdict->check == check && lb_address_equal(&verdict->address, &backend->address);
}

static void collect(const struct lb_intent *intent, const struct lb_config_service *service,
		    const struct lb_config_backend *backend, struct said *ret_said)
{
	const struct lb_judged *judged = lb_verdicts_judged(intent->verdicts, service->name, backend->name);
	__u64 check = judged && intent->check_of ? intent->check_of(service, backend) : 0;
	const struct lb_word *words = NULL;
	size_t n = 0;

	memset(ret_said, 0, sizeof(*ret_said));
	if (intent->words)
		words = lb_words_of(intent->words, service->name, backend->name, &n);
	for (size_t i = 0; i < n; i++) {
		if (!lb_word_is_over(&words[i], intent->now_s))
			ret_said->word[words[i].key] = &words[i];
	}
	for (size_t i = 0; judged && i < LB_LAYER_COUNT; i++) {
		if (is_about(judged->verdict[i], backend, check))
			ret_said->verdict[i] = judged->verdict[i];
	}
}

static enum lb_breaker breaker_of(const struct said *said)
{
	const struct lb_word *word = said->word[LB_WORD_BREAKER];

	return word ? (enum lb_breaker)word->value : LB_BREAKER_AUTO;
}

struct operational {
	enum lb_state state;
	__u32 share; /* permille */
};

static struct operational operational_of(const struct said *said)
{
	enum lb_breaker breaker = breaker_of(said);
	struct operational operational = { .state = LB_STATE_ACTIVE, .share = LB_SHARE_ALL };

	if (breaker == LB_BREAKER_OFF)
		return operational;
	if (breaker == LB_BREAKER_OPEN)
		operational.state = LB_STATE_DRAIN;
	for (size_t i = 0; i < LB_LAYER_COUNT; i++) {
		const struct lb_verdict *verdict = said->verdict[i];

		if (!verdict)
			continue;
		operational.state = worse(operational.state, verdict->state);
		if (verdict->share < operational.share)
			operational.share = verdict->share;
	}
	return operational;
}

static struct lb_statement *add(struct lb_effective *effective, enum lb_origin origin)
{
	struct lb_statement *statement = &effective->statements[effective->n_statements++];

	*statement = (struct lb_statement){ .origin = origin, .text = "" };
	return statement;
}

static void state_configured(const struct lb_config_service *service, const struct lb_config_backend *backend,
			     const struct said *said, struct lb_effective *effective)
{
	struct lb_statement *statement;
	bool state_holds = !said->word[LB_WORD_STATE] && backend->state == effective->state;

	if (backend->state == LB_STATE_ACTIVE && backend->weight)
		return;
	statement = add(effective, service->source[0] ? LB_ORIGIN_SOURCE : LB_ORIGIN_FILE);
	statement->source = service->source[0] ? service->source : NULL;
	statement->has_state = backend->state != LB_STATE_ACTIVE;
	statement->state = backend->state;
	statement->has_weight = !backend->weight;
	statement->weight = backend->weight;
	statement->holds = (statement->has_state && state_holds) ||
			   (statement->has_weight && !said->word[LB_WORD_WEIGHT]);
}

static void state_word(const struct lb_word *word, const struct operational *operational,
		       struct lb_effective *effective)
{
	struct lb_statement *statement = add(effective, LB_ORIGIN_OPERATOR);

	switch (word->key) {
	case LB_WORD_STATE:
		statement->has_state = true;
		statement->state = (enum lb_state)word->value;
		statement->holds = statement->state == effective->state;
		break;
	case LB_WORD_WEIGHT:
		statement->has_weight = true;
		statement->weight = word->value;
		statement->holds = true;
		break;
	default:
		statement->has_breaker = true;
		statement->breaker = (enum lb_breaker)word->value;
		statement->holds =
			statement->breaker == LB_BREAKER_OFF ||
			(operational->state == LB_STATE_DRAIN && effective->state == LB_STATE_DRAIN);
		break;
	}
	statement->text = word->reason;
	statement->since_s = word->since_s;
	statement->until_s = word->until_s;
	statement->uid = word->uid;
	statement->pid = word->pid;
}

static void state_verdict(const struct lb_verdict *verdict, enum lb_origin origin, bool heeded,
			  const struct operational *operational, struct lb_effective *effective)
{
	struct lb_statement *statement;

	if (verdict->state == LB_STATE_ACTIVE && verdict->share == LB_SHARE_ALL)
		return;
	statement = add(effective, origin);
	statement->has_state = verdict->state != LB_STATE_ACTIVE;
	statement->state = verdict->state;
	statement->has_share = verdict->share != LB_SHARE_ALL;
	statement->share = verdict->share;
	statement->holds = heeded && ((statement->has_state && verdict->state == effective->state) ||
				      (statement->has_share && verdict->share == operational->share));
	statement->stale = verdict->stale;
	statement->text = verdict->reason;
	statement->since_s = verdict->since_s;
}

static void resolve(const struct said *said, const struct lb_config_service *service,
		    const struct lb_config_backend *backend, struct lb_effective *ret_effective)
{
	const struct lb_word *state = said->word[LB_WORD_STATE], *weight = said->word[LB_WORD_WEIGHT];
	struct operational operational = operational_of(said);
	bool heeded = breaker_of(said) != LB_BREAKER_OFF;

	ret_effective->state = worse(state ? (enum lb_state)state->value : backend->state, operational.state);
	ret_effective->weight = share_of(weight ? weight->value : backend->weight, operational.share);
	ret_effective->n_statements = 0;
	state_configured(service, backend, said, ret_effective);
	for (size_t i = 0; i < LB_WORD_COUNT; i++) {
		if (said->word[i])
			state_word(said->word[i], &operational, ret_effective);
	}
	if (said->verdict[LB_LAYER_HEALTH])
		state_verdict(said->verdict[LB_LAYER_HEALTH], LB_ORIGIN_HEALTH, heeded, &operational,
			      ret_effective);
	if (said->verdict[LB_LAYER_BREAKER])
		state_verdict(said->verdict[LB_LAYER_BREAKER], LB_ORIGIN_BREAKER, heeded, &operational,
			      ret_effective);
}

void lb_intent_resolve(const struct lb_intent *intent, const struct lb_config_service *service,
		       const struct lb_config_backend *backend, struct lb_effective *ret_effective)
{
	struct said said;

	collect(intent, service, backend, &said);
	resolve(&said, service, backend, ret_effective);
}

/* --- all backends ----------------------------------------------------------------------------------------
 */

/* A backend about which something is said; the names are of words and verdicts. */
struct mention {
	const char *service;
	const char *backend;
};

static int compare_mentions(const void *a, const void *b)
{
	const struct mention *x = a, *y = b;
	int r = strcmp(x->service, y->service);

	return r ? r : strcmp(x->backend, y->backend);
}

static int compare_services(const void *a, const void *b)
{
	const struct lb_config_service *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

static int find_service(const void *name, const void *service)
{
	return strcmp(name, (*(const struct lb_config_service *const *)service)->name);
}

/* Sorted, some of them more than once. */
static struct mention *mentions_of(const struct lb_intent *intent, size_t *ret_n)
{
	size_t n_words = intent->words ? intent->words->n : 0, n = 0;
	const struct lb_judged *first = intent->verdicts ? intent->verdicts->judged : NULL;
	struct mention *mentions = calloc(n_words + HASH_COUNT(first) + 1, sizeof(*mentions));

	if (!mentions)
		return NULL;
	for (size_t i = 0; i < n_words; i++)
		mentions[n++] =
			(struct mention){ intent->words->all[i].service, intent->words->all[i].backend };
	for (const struct lb_judged *judged = first; judged; judged = judged->hh.next)
		mentions[n++] = (struct mention){ judged->key.service, judged->key.backend };
	qsort(mentions, n, sizeof(*mentions), compare_mentions);
	*ret_n = n;
	return mentions;
}

/* The override that makes the engine take a backend as it is to be. False: none is needed. */
static bool override_of(const struct lb_intent *intent, const struct lb_config_service *service,
			const struct lb_config_backend *backend, struct lb_override *ret_override)
{
	struct lb_effective effective;

	lb_intent_resolve(intent, service, backend, &effective);
	if (effective.state == backend->state && effective.weight == backend->weight)
		return false;
	*ret_override = (struct lb_override){
		.has_state = effective.state != backend->state,
		.has_weight = effective.weight != backend->weight,
		.state = effective.state,
		.weight = effective.weight,
	};
	snprintf(ret_override->service, sizeof(ret_override->service), "%s", service->name);
	snprintf(ret_override->backend, sizeof(ret_override->backend), "%s", backend->name);
	return true;
}

/* The backends of one service that are mentioned; mentions: n of this service. How many overrides. */
static size_t overrides_of_service(const struct lb_intent *intent, const struct lb_config_service *service,
				   const struct mention *mentions, size_t n, struct lb_override *overrides)
{
	size_t count = 0;

	for (size_t i = 0; i < service->n_backends; i++) {
		const struct lb_config_backend *backend = &service->backends[i];
		struct mention wanted = { mentions->service, backend->name };

		if (bsearch(&wanted, mentions, n, sizeof(*mentions), compare_mentions))
			count += override_of(intent, service, backend, &overrides[count]);
	}
	return count;
}

static const struct lb_config_service **sorted_services(const struct lb_config *config)
{
	const struct lb_config_service **services = calloc(config->n_services + 1, sizeof(*services));

	for (size_t i = 0; services && i < config->n_services; i++)
		services[i] = &config->services[i];
	if (services)
		qsort(services, config->n_services, sizeof(*services), compare_services);
	return services;
}

int lb_intent_overrides(const struct lb_intent *intent, const struct lb_config *config,
			struct lb_override **ret_overrides, size_t *ret_n)
{
	size_t n = 0, count = 0, end;
	_cleanup_(freep) struct mention *mentions = mentions_of(intent, &n);
	_cleanup_(freep) const struct lb_config_service **services = NULL;
	struct lb_override *overrides;

	if (!mentions)
		return -ENOMEM;
	overrides = calloc(n + 1, sizeof(*overrides));
	services = n ? sorted_services(config) : NULL;
	if (!overrides || (n && !services)) {
		free(overrides);
		return -ENOMEM;
	}
	for (size_t i = 0; i < n; i = end) {
		const struct lb_config_service *const *service;

		for (end = i + 1; end < n && strcmp(mentions[end].service, mentions[i].service) == 0;)
			end++;
		service = bsearch(mentions[i].service, services, config->n_services, sizeof(*services),
				  find_service);
		if (service)
			count += overrides_of_service(intent, *service, &mentions[i], end - i,
						      &overrides[count]);
	}
	*ret_overrides = overrides;
	*ret_n = count;
	return 0;
}

/* --- text ------------------------------------------------------------------------------------------------
 */

static size_t append(char *buffer, size_t used, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static size_t append(char *buffer, size_t used, const char *format, ...)
{
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(buffer + used, LB_STATEMENT_TEXT_MAX - used, format, ap);
	va_end(ap);
	used += n < 0 ? 0 : (size_t)n;
	return used < LB_STATEMENT_TEXT_MAX ? used : LB_STATEMENT_TEXT_MAX - 1;
}

const char *lb_statement_text(const struct lb_statement *statement, char buffer[LB_STATEMENT_TEXT_MAX])
{
	size_t used = 0;

	buffer[0] = '\0';
	if (statement->has_state)
		used = append(buffer, used, "%s", lb_state_name(statement->state));
	if (statement->has_weight)
		used = append(buffer, used, "%sweight %u", used ? ", " : "", statement->weight);
	if (statement->has_share)
		used = append(buffer, used, "%s%u.%u %% of its weight", used ? ", " : "",
			      statement->share / 10, statement->share % 10);
	if (statement->has_breaker)
		used = append(buffer, used, "%sbreaker %s", used ? ", " : "",
			      lb_breaker_name(statement->breaker));
	used = append(buffer, used, " by %s", lb_origin_name(statement->origin));
	if (statement->source)
		used = append(buffer, used, " %s", statement->source);
	if (statement->origin == LB_ORIGIN_OPERATOR && statement->pid)
		used = append(buffer, used, " (uid %u, pid %u)", statement->uid, statement->pid);
	if (statement->text[0])
		append(buffer, used, ": %s", statement->text);
	return buffer;
}
