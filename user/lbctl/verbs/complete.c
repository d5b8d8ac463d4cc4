// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the bash completion asks: `lbctl __complete WORD...` prints one candidate a line for the last,
 * unfinished word. A line ":file" asks the shell to offer file names. Names of services and backends come
 * from the agent, if it answers within a second; nothing is ever said on stderr.
 */
#include <string.h>

#include "lbctl/agent.h"

#define COMPLETE_TIMEOUT_S 1.0

struct completion {
	struct lbctl *c;
	const char *last; /* the unfinished word */
	const char *word[LBCTL_ARGUMENTS_MAX + 2];
	size_t n_words; /* finished ones, without options */
};

static void offer(const struct completion *k, const char *candidate)
{
	if (strncmp(candidate, k->last, strlen(k->last)) == 0)
		puts(candidate);
}

static void offer_names(struct completion *k, const char *path, const char *list)
{
	struct request request = { .method = "GET", .path = path, .key = list };
	struct reply reply = { 0 };
	cJSON *error = NULL;
	const cJSON *item;

	k->c->timeout_s = COMPLETE_TIMEOUT_S;
	if (agent_try(k->c, &request, &reply, &error) < 0) {
		cJSON_Delete(error);
		return;
	}
	cJSON_ArrayForEach (item, json_get(reply.root, list))
		offer(k, json_text(item, "name"));
	reply_done(&reply);
}

static void offer_backends(struct completion *k, const char *service)
{
	_cleanup_(freep) char *name = NULL, *path = NULL;

	if (!service) {
		offer_names(k, "/v1/backends", "backends");
		return;
	}
	name = agent_escape(service);
	path = lbctl_format("/v1/services/%s", name);
	offer_names(k, path, "backends");
}

/* Verbs, or what follows the words of a verb that has two. */
static void offer_verbs(const struct completion *k)
{
	const char *done = "";

	for (const struct verb *verb = lbctl_verbs; verb->name; verb++) {
		size_t length = strcspn(verb->name, " ");
		char first[32];

		snprintf(first, sizeof(first), "%.*s", (int)length, verb->name);
		if (k->n_words && strcmp(k->word[0], first) == 0 && verb->name[length])
			offer(k, verb->name + length + 1);
		if (!k->n_words && strncmp(done, verb->name, length + 1) != 0)
			offer(k, first);
		done = verb->name;
	}
}

static void offer_hint(struct completion *k, enum hint hint, const char *service)
{
	switch (hint) {
	case HINT_FILE:
		puts(":file");
		break;
	case HINT_SERVICE:
		offer_names(k, "/v1/services", "services");
		break;
	case HINT_BACKEND:
		offer_backends(k, service);
		break;
	case HINT_PROTOCOL:
		offer(k, "tcp");
		offer(k, "udp");
		break;
	case HINT_STATE:
		offer(k, "active");
		offer(k, "drain");
		offer(k, "down");
		break;
	case HINT_VERB:
		/* As if "help" were not there. */
		k->word[0] = k->word[1];
		k->n_words--;
		offer_verbs(k);
		break;
	case HINT_NONE:
		break;
	}
}

/* The option that a word is, or -1; *ret_value: what stands behind its "=", or NULL. */
static int option_of(const char *word, const char **ret_value)
{
	*ret_value = NULL;
	for (int i = 0; i < OPTIONS_MAX; i++) {
		size_t length = strlen(lbctl_options[i].name);

		if (word[0] == '-' && word[1] && word[1] == lbctl_options[i].letter && !word[2])
			return i;
		if (strncmp(word, "--", 2) != 0 || strncmp(word + 2, lbctl_options[i].name, length) != 0)
			continue;
		if (word[2 + length] == '=')
			*ret_value = word + 3 + length;
		if (word[2 + length] == '=' || !word[2 + length])
			return i;
	}
	return -1;
}

/* Reads the finished words; returns the option that waits for its value, or -1. */
static int read_words(struct completion *k, int n_words, char **words)
{
	int waiting = -1;

	for (int i = 0; i < n_words - 1; i++) {
		const char *value;
		int id = waiting < 0 ? option_of(words[i], &value) : -1;

		if (waiting == OPTION_SOCKET)
			k->c->socket = words[i];
		if (id == OPTION_SOCKET && value)
			k->c->socket = value;
		if (waiting < 0 && id < 0 && words[i][0] != '-' && k->n_words < LBCTL_ARGUMENTS_MAX)
			k->word[k->n_words++] = words[i];
		waiting = id >= 0 && lbctl_options[id].value && !value ? id : -1;
	}
	return waiting;
}

static const struct verb *verb_of(const struct completion *k, size_t *ret_used)
{
	char two[80];

	*ret_used = 1;
	snprintf(two, sizeof(two), "%s %s", k->n_words ? k->word[0] : "", k->n_words > 1 ? k->word[1] : "");
	for (const struct verb *verb = lbctl_verbs; verb->name; verb++) {
		if (k->n_words && strcmp(verb->name, k->word[0]) == 0)
			return verb;
		if (k->n_words > 1 && strcmp(verb->name, two) == 0) {
			*ret_used = 2;
			return verb;
		}
	}
	return NULL;
}

static void offer_options(const struct completion *k, const struct verb *verb)
{
	unsigned long long allowed = OPTIONS_GLOBAL | (verb ? verb->options : OPTION_BIT(OPTION_VERSION));

	for (int i = 0; i < OPTIONS_MAX; i++) {
		_cleanup_(freep) char *name = lbctl_format("--%s", lbctl_options[i].name);

		if (allowed & OPTION_BIT(i))
			offer(k, name);
	}
}

int lbctl_complete(struct lbctl *c, int n_words, char **words)
{
	struct completion k = { .c = c, .last = words[n_words - 1] };
	int waiting = read_words(&k, n_words, words);
	const struct verb *verb;
	const char *value;
	size_t used, at;
	int id;

	verb = verb_of(&k, &used);
	id = waiting < 0 ? option_of(k.last, &value) : -1;
	if (id >= 0 && value) {
		waiting = id;
		k.last = value;
	}
	at = k.n_words - used;
	if (waiting >= 0)
		offer_hint(&k, lbctl_options[waiting].hint, NULL);
	else if (k.last[0] == '-')
		offer_options(&k, verb);
	else if (!verb)
		offer_verbs(&k);
	else if (at < 2 && at < verb->most)
		offer_hint(&k, verb->hint[at], at ? k.word[used] : NULL);
	return EXIT_DONE;
}
