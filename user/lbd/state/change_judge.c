// SPDX-License-Identifier: GPL-2.0-only
/*
 * The comparison of configurations, told for people and programs. What it costs is bounded: a change of
 * everything is counted to its end, and told in its first part.
 */
#include "lbd/state/change_judge.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "base/cleanup.h"
#include "config/config_diff.h"
#include "lbd/kernel/interfaces.h"
#include "lbd/state/change.h"
#include "lbd/state/change_reverts.h"

/* --- changes ---------------------------------------------------------------------------------------------
 */

/* Beside the loop: what links are called is looked up before. */
struct telling {
	const struct lb_config *from;
	const struct lb_config_interface **called_now; /* by interface of from: what is wanted of it by the
							  name that it has now, or NULL */
	struct judgement *judgement;
	int r;
	const struct desired *to;
	const struct reverts *reverts; /* NULL: nothing is */
};

/* A value of the file that an operator's word hides. */
static void write_note(const struct telling *telling, const struct lb_difference *difference,
		       struct json *json)
{
	const char *key = difference->key->name;
	enum lb_word_key said = strcmp(key, "weight") == 0 ? LB_WORD_WEIGHT : LB_WORD_STATE;
	char value[LB_WORD_TEXT_MAX];
	const struct lb_word *word;

	if (!difference->service || !difference->backend || difference->kind != LB_DIFFERENCE_VALUE ||
	    (said == LB_WORD_STATE && strcmp(key, "state") != 0))
		return;
	word = lb_words_find(&telling->to->words, difference->service->name, difference->backend->name, said);
	if (word)
		json_format(json, "note", "an override hides it: the %s stays %s", key,
			    lb_word_text(word, value));
}

void judgement_write_difference(const struct lb_difference *difference, struct json *json)
{
	static const char *const kinds[] = { [LB_DIFFERENCE_VALUE] = "modify",
					     [LB_DIFFERENCE_ADDED] = "add",
					     [LB_DIFFERENCE_REMOVED] = "remove" };

	json_object(json, NULL);
	json_string(json, "path", difference->path);
	json_string(json, "change", kinds[difference->kind]);
	if (difference->kind == LB_DIFFERENCE_VALUE) {
		json_raw(json, "from", difference->from, strlen(difference->from));
		json_raw(json, "to", difference->to, strlen(difference->to));
	}
	json_string(json, "effect", lb_schema_effect_name(difference->effect));
	json_string(json, "when", lb_schema_effect_text(difference->effect));
}

static void write_change(const struct telling *telling, const struct lb_difference *difference)
{
	struct json *json = &telling->judgement->changes;

	judgement_write_difference(difference, json);
	if (telling->reverts && reverts_has(telling->reverts, difference->path))
		json_bool(json, "reverts", true);
	write_note(telling, difference, json);
	json_object_end(json);
}

#define INTERFACES "interfaces["

/* The name of the interface that a path is of; empty: it is of none. */
static void interface_of(const char *path, char ret_name[IF_NAMESIZE])
{
	const char *end = strrchr(path, ']');
	size_t before = strlen(INTERFACES);

	ret_name[0] = '\0';
	if (end && strncmp(path, INTERFACES, before) == 0)
		snprintf(ret_name, IF_NAMESIZE, "%.*s", (int)(end - path - before), path + before);
}

/* Whether its program is taken off and put on again. A renamed interface stays what it is. */
static bool changes_mode(const struct telling *telling, const struct lb_difference *difference,
			 const char *name, const struct lb_config_interface *now)
{
	const struct lb_config *from = telling->from;

	if (!now)
		return difference->kind == LB_DIFFERENCE_VALUE &&
		       strcmp(difference->key->name, "xdp_mode") == 0;
	for (size_t i = 0; i < from->n_interfaces; i++) {
		if (strcmp(from->interfaces[i].name, name) == 0)
			return from->interfaces[i].xdp_mode != now->xdp_mode;
	}
	return false;
}

static const struct lb_config_interface *called_now(const struct telling *telling, const char *name)
{
	for (size_t i = 0; i < telling->from->n_interfaces; i++)
		if (strcmp(telling->from->interfaces[i].name, name) == 0)
			return telling->called_now[i];
	return NULL;
}

/* What comes in by an interface is lost with it, and while its program is taken off and put on again. */
static void judge_interface(const struct telling *telling, const struct lb_difference *difference)
{
	struct judgement *judgement = telling->judgement;
	const struct lb_config_interface *now = NULL;
	char name[IF_NAMESIZE];

	interface_of(difference->path, name);
	if (!name[0] || judgement->why_breaks[0])
		return;
	if (difference->kind == LB_DIFFERENCE_REMOVED)
		now = called_now(telling, name);
	if (difference->kind == LB_DIFFERENCE_REMOVED && !now)
		snprintf(judgement->why_breaks, sizeof(judgement->why_breaks),
			 INTERFACES "%s] goes: packets that come in by it are no longer forwarded", name);
	else if (changes_mode(telling, difference, name, now))
		snprintf(judgement->why_breaks, sizeof(judgement->why_breaks),
			 INTERFACES "%s] changes its xdp_mode: the program is detached for a moment, and "
				    "packets of that moment are not forwarded",
			 name);
}

/* "services[web].weight 100 -> 50", beside others; what does not fit is counted (judgement_cause). */
static void say(struct judgement *judgement, const struct lb_difference *difference)
{
	size_t at = strlen(judgement->set), room = sizeof(judgement->set) - at;
	const char *semicolon = at ? "; " : "";
	int n;

	if (difference->kind == LB_DIFFERENCE_VALUE)
		n = snprintf(judgement->set + at, room, "%s%s %s -> %s", semicolon, difference->path,
			     difference->from, difference->to);
	else
		n = snprintf(judgement->set + at, room, "%s%s %s", semicolon, difference->path,
			     difference->kind == LB_DIFFERENCE_ADDED ? "added" : "removed");
	if (n < 0 || (size_t)n >= room)
		judgement->set[at] = '\0';
	else
		judgement->n_set++;
}

const char *judgement_cause(const struct judgement *judgement, const char *cause,
			    char buffer[RECORD_CAUSE_MAX])
{
	size_t more = judgement->n - judgement->n_set;
	int n = snprintf(buffer, RECORD_CAUSE_MAX, "%s%s%s", cause, judgement->set[0] ? ": " : "",
			 judgement->set);

	if (more && n > 0 && n < RECORD_CAUSE_MAX)
		snprintf(buffer + n, RECORD_CAUSE_MAX - (size_t)n, "%s%zu keys%s",
			 judgement->set[0] ? "; and " : ": ", more, judgement->set[0] ? " more" : "");
	return buffer;
}

static int on_difference(void *context, const struct lb_difference *difference)
{
	struct telling *telling = context;
	struct judgement *judgement = telling->judgement;
	size_t at = strlen(judgement->paths), room = sizeof(judgement->paths) - at;

	judge_interface(telling, difference);
	say(judgement, difference);
	if (judgement->n++ < JUDGEMENT_TOLD_MAX)
		write_change(telling, difference);
	if (strlen(difference->path) + 2 < room)
		snprintf(judgement->paths + at, room, "%s%s", at ? " " : "", difference->path);
	return judgement->changes.failed ? -ENOMEM : 0;
}

static int differs(void *context, const struct lb_difference *difference)
{
	return 1;
}

struct looking {
	const struct desired *from, *to;
	bool differs;
};

static void look_beside(void *context)
{
	struct looking *looking = context;

	looking->differs = !lb_words_equal(&looking->from->words, &looking->to->words) ||
			   lb_config_diff(looking->from->config, looking->to->config, differs, NULL);
}

bool judgement_differs(const struct desired *from, const struct desired *to)
{
	struct looking looking = { from, to, false };

	if (from->config)
		task_beside(look_beside, &looking);
	return looking.differs;
}

/* --- identity --------------------------------------------------------------------------------------------
 */

static __u64 mix(__u64 identity, const void *bytes, size_t length)
{
	return XXH3_64bits_withSeed(bytes, length, identity);
}

static void identify(const struct desired *from, const struct desired *to, const struct lb_plan *plan,
		     char ret_identity[17])
{
	__u64 identity = lb_plan_identity(plan);

	identity = mix(identity, from->digest, strlen(from->digest) + 1);
	identity = mix(identity, to->digest, strlen(to->digest) + 1);
	snprintf(ret_identity, 17, "%016llx", identity);
}

/* --- judgement -------------------------------------------------------------------------------------------
 */

static void compare_beside(void *context)
{
	struct telling *telling = context;

	telling->r = lb_config_diff(telling->from, telling->to->config, on_difference, telling);
}

bool judgement_reseeds(const struct lbd *lbd, const struct desired *to)
{
	const struct lb_config *runs = lbd->running.config;

	return runs && lb_engine_services(lbd->engine) && strcmp(runs->hash_seed, to->config->hash_seed) != 0;
}

/* It is a secret and a promise to the other balancers: nobody changes it in passing. */
static void refuse_seed(const struct lbd *lbd, struct judgement *judgement)
{
	snprintf(judgement->refused, sizeof(judgement->refused),
		 "hash_seed stays as it is while services run: with another one nearly all flows of all %zu "
		 "services would move. What is told besides is what would change without it. To change it, "
		 "apply \"services\": [] first, or stop lbd, run lbd --detach and start it: then tables are "
		 "made anew. Balancers that share their flows must change together",
		 lb_engine_services(lbd->engine));
}

int judgement_make(const struct lbd *lbd, const struct desired *to, const struct lb_plan *plan,
		   const struct reverts *reverts, struct judgement *ret, struct lb_error *error)
{
	const struct desired *from = &lbd->running;
	_cleanup_(freep) const struct lb_config_interface **called_now = NULL;
	struct telling telling = { .from = from->config, .judgement = ret, .to = to, .reverts = reverts };

	*ret = (struct judgement){};
	identify(from, to, plan, ret->identity);
	if (!from->config)
		return 0;
	if (judgement_reseeds(lbd, to))
		refuse_seed(lbd, ret);
	ret->overrides = !lb_words_equal(&from->words, &to->words);
	called_now = calloc(from->config->n_interfaces + 1, sizeof(*called_now));
	if (!called_now)
		return lb_error_set(error, ENOMEM, "out of memory");
	for (size_t i = 0; i < from->config->n_interfaces; i++)
		called_now[i] = interfaces_called_now(lbd, to->config, from->config->interfaces[i].name);
	telling.called_now = called_now;
	task_beside(compare_beside, &telling);
	if (telling.r == 0)
		return 0;
	judgement_done(ret);
	return lb_error_set(error, ENOMEM, "out of memory");
}

void judgement_done(struct judgement *judgement)
{
	json_done(&judgement->changes);
}

/* Names, numbers and commas around what is counted below. */
#define AROUND_BYTES 256

size_t judgement_bytes(const struct judgement *judgement)
{
	return judgement->changes.length + 2 * sizeof(judgement->why_breaks) +
	       2 * sizeof(judgement->refused) + AROUND_BYTES;
}

void judgement_write(const struct judgement *judgement, struct json *json)
{
	json_string(json, "plan", judgement->identity);
	json_string(json, "why_breaks", judgement->why_breaks[0] ? judgement->why_breaks : NULL);
	json_string(json, "refused", judgement->refused[0] ? judgement->refused : NULL);
	json_u64(json, "changes_total", judgement->n);
	json_array(json, "changes");
	if (judgement->changes.length)
		json_raw(json, NULL, judgement->changes.text, judgement->changes.length);
	json_array_end(json);
}
