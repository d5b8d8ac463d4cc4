// SPDX-License-Identifier: GPL-2.0-only
/*
 * lbd, by its sources API: service by service, a few at a time. What it has is asked at the start and every
 * few seconds: so a service that somebody took away, or an lbd that lost its state, comes to have it again,
 * and a source that says nothing is not taken for dead.
 *
 * A revision is above all that have been; lbd refuses an older one.
 *
 * lbd lets a source take away so much of a service at once, unless the source says that it means it. We say
 * so where objects do (meant). The rest is tried without the word: what lbd then refuses is held. Where that
 * is no more than half of what lbd has of ours, it is what has happened while we were not looking, and is
 * meant after all; where it is more, a list has been wrong, and everything stays.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM               1
#define HASH_FUNCTION(key, bytes, hash) ((hash) = (unsigned int)XXH3_64bits(key, bytes))
#define uthash_nonfatal_oom(element)    ((element)->lost = true)
#include <uthash.h>
#include <xxhash.h>

#include "base/cleanup.h"
#include "lb-kubed/kubed.h"

#define FLYING_MAX   4
#define ASK_MS       5000 /* between two looks at what lbd has */
#define TIMEOUT_MS   10000
#define LOSS_REFUSED 422   /* status: more would be lost than a source may take away without a word */
#define REFUSED      6     /* times that lbd refuses something before it is told of... */
#define REFUSED_MS   10000 /* ...and tried again less often */
#define HOLD_MS      3000  /* in which all that is held comes together */

/* One service at lbd. */
struct part {
	char name[LB_NAME_MAX];
	char key[LB_KUBE_LABEL_MAX + LB_KUBE_NAME_MAX]; /* of its Service; empty: not known */
	__u64 wanted, has; /* digests; 0: not to be there, not there (or not known what) */
	bool there;        /* lbd has something of that name */
	bool kept;         /* it stays as it is, though it is not wanted in a form that we know */
	bool meant;        /* objects say that it is so, whatever is lost by it */
	bool held;         /* lbd has refused the loss */
	char *json;        /* owned; to be sent; NULL: taken away, or nothing to do */
	struct request *request;
	__u64 sending;
	__u64 due_ms;
	unsigned int failures;
	bool queued;
	struct part *next;
	__u64 seen; /* round of the last look that had it */
	bool lost;
	UT_hash_handle hh;
};

struct agent {
	struct kubed *kubed;
	struct part *parts;
	struct part *first, **last; /* the queue */
	size_t waiting, there, held;
	unsigned int flying;
	bool known, reachable;
	struct request *ask;
	__u64 ask_due_ms, round, revision;
	__u64 judge_ms; /* when what is held is looked at; 0: nothing is */
	__u64 puts, deletes, failures;
};

/* --- the queue ---------------------------------------------------------------------------------------------
 */

static void enqueue(struct agent *agent, struct part *part)
{
	if (part->queued || part->request)
		return;
	part->queued = true;
	part->next = NULL;
	*agent->last = part;
	agent->last = &part->next;
	agent->waiting++;
}

/* The first that is due, off the queue; the others go on waiting in their order. */
static struct part *dequeue(struct agent *agent, __u64 now, __u64 *due)
{
	for (struct part **at = &agent->first; *at; at = &(*at)->next) {
		struct part *part = *at;

		if (part->due_ms > now) {
			*due = part->due_ms < *due ? part->due_ms : *due;
			continue;
		}
		*at = part->next;
		if (!*at)
			agent->last = at;
		part->queued = false;
		agent->waiting--;
		return part;
	}
	return NULL;
}

static struct part *find(const struct agent *agent, const char *name)
{
	struct part *part;

	HASH_FIND(hh, agent->parts, name, strlen(name), part);
	return part;
}

static struct part *make(struct agent *agent, const char *name)
{
	struct part *part = find(agent, name);

	if (part)
		return part;
	part = calloc(1, sizeof(*part));
	if (!part)
		return NULL;
	snprintf(part->name, sizeof(part->name), "%s", name);
	HASH_ADD_KEYPTR(hh, agent->parts, part->name, strlen(part->name), part);
	if (!part->lost)
		return part;
	free(part);
	return NULL;
}

static void hold(struct agent *agent, struct part *part, bool held)
{
	agent->held += held && !part->held;
	agent->held -= !held && part->held;
	part->held = held;
}

/* Nothing is to be done for it, and lbd does not have it. */
static void forget_if_gone(struct agent *agent, struct part *part)
{
	if (part->there || part->wanted || part->queued || part->request)
		return;
	hold(agent, part, false);
	HASH_DELETE(hh, agent->parts, part);
	free(part->json);
	free(part);
}

static void set_there(struct agent *agent, struct part *part, bool there)
{
	agent->there += there && !part->there;
	agent->there -= !there && part->there;
	part->there = there;
	if (!there)
		part->has = 0;
}

/* --- what is wanted ----------------------------------------------------------------------------------------
 */

void agent_put(struct kubed *kubed, const char *name, const char *key, char *json, bool meant)
{
	struct part *part = make(kubed->agent, name);
	__u64 digest = XXH3_64bits(json, strlen(json)) | 1;

	if (!part || (part->wanted == digest && (part->queued || part->request || part->has == digest))) {
		free(json);
		return;
	}
	snprintf(part->key, sizeof(part->key), "%s", key);
	part->wanted = digest;
	part->kept = false;
	part->meant = meant;
	hold(kubed->agent, part, false);
	free(part->json);
	part->json = json;
	part->due_ms = 0;
	part->failures = 0;
	enqueue(kubed->agent, part);
}

void agent_delete(struct kubed *kubed, const char *name, bool meant)
{
	/* Before it is known what lbd has, it may have that. */
	struct part *part =
		kubed->agent->known || !meant ? find(kubed->agent, name) : make(kubed->agent, name);

	if (!part)
		return;
	part->meant = meant || (part->meant && !part->wanted);
	if (meant) {
		hold(kubed->agent, part, false);
		part->due_ms = 0;
	}
	part->wanted = 0;
	part->kept = false;
	free(part->json);
	part->json = NULL;
	if (part->there || part->request)
		enqueue(kubed->agent, part);
	else if (kubed->agent->known)
		forget_if_gone(kubed->agent, part);
}

bool agent_holds(const struct kubed *kubed, const char *name)
{
	const struct part *part = find(kubed->agent, name);

	return part && (part->held || part->wanted != part->has);
}

bool agent_has(const struct kubed *kubed, const char *name)
{
	const struct part *part = find(kubed->agent, name);

	return part && part->there;
}

bool agent_known(const struct kubed *kubed)
{
	return kubed->agent->known;
}

void agent_keep(struct kubed *kubed, const char *name)
{
	struct part *part = find(kubed->agent, name);

	if (part)
		part->kept = true;
}

void agent_sweep(struct kubed *kubed)
{
	struct part *part, *next;

	HASH_ITER (hh, kubed->agent->parts, part, next) {
		if (part->wanted || part->kept || !part->there || part->queued || part->request)
			continue;
		say("service that nobody wants is taken away service=%s", part->name);
		agent_delete(kubed, part->name, part->meant);
	}
}

struct agent_counts agent_count(const struct kubed *kubed)
{
	const struct agent *agent = kubed->agent;

	return (struct agent_counts){
		.services = agent->there,
		.waiting = agent->waiting + agent->flying,
		.puts = agent->puts,
		.deletes = agent->deletes,
		.failures = agent->failures,
		.held = agent->held,
		.reachable = agent->reachable,
	};
}

/* --- sending -----------------------------------------------------------------------------------------------
 */

static bool is_done(const struct part *part)
{
	return part->wanted == part->has && !part->wanted == !part->there;
}

/* What lbd refuses is somebody's mistake: the Service says so. */
static void refused(struct kubed *kubed, const struct part *part, const struct request *request,
		    enum lb_kube_reason reason)
{
	struct lb_kube_group *group = lb_kube_store_find(kubed->store, part->key);
	struct lb_kube_notes notes = {};
	char why[300];

	http_why(request, why);
	say("lbd refuses service=%s why=\"%s\"", part->name, why);
	lb_kube_note(&notes, reason, "%s, on %s: %s", part->name, kubed->options.node, why);
	if (group && group->mine)
		tell(kubed, group->mine, &notes, now_ms());
}

static void failed(struct kubed *kubed, struct part *part, const struct request *request)
{
	struct agent *agent = kubed->agent;
	__u64 now = now_ms();

	agent->failures++;
	part->failures++;
	part->due_ms = now + lb_kube_backoff_ms(part->failures, 100, 5000, &kubed->random);
	if (request->status == 0) {
		agent->reachable = false;
	} else if (request->status == 409 || request->status == 404) {
		/* A revision that is later than ours, or a source that is not listed: look at what it has. */
		agent->ask_due_ms = now;
	} else if (request->status == LOSS_REFUSED && !part->meant) {
		if (!part->held)
			refused(kubed, part, request, LB_KUBE_REASON_LossHeld);
		hold(agent, part, true);
		part->due_ms = now + REFUSED_MS;
		agent->judge_ms = now + HOLD_MS;
	} else if (request->status < 500 && part->failures >= REFUSED) {
		/* Not only because what had the address or the name is still there. */
		part->due_ms = now + REFUSED_MS;
		refused(kubed, part, request, LB_KUBE_REASON_RefusedByAgent);
	}
	enqueue(agent, part);
}

static void on_sent(struct request *request)
{
	struct part *part = request->context;
	struct kubed *kubed = request->kubed;
	struct agent *agent = kubed->agent;
	bool put = part->sending != 0;

	agent->flying--;
	part->request = NULL;
	if (request->status != 200 && !(request->status == 404 && !put)) {
		failed(kubed, part, request);
		return;
	}
	agent->reachable = true;
	part->failures = 0;
	hold(agent, part, false);
	set_there(agent, part, put);
	part->has = part->sending;
	if (part->has == part->wanted)
		plan_sent(kubed, part->key);
	if (part->has == part->wanted) {
		free(part->json);
		part->json = NULL;
	} else {
		enqueue(agent, part);
	}
	forget_if_gone(agent, part);
}

static void send_part(struct kubed *kubed, struct part *part)
{
	struct agent *agent = kubed->agent;
	_cleanup_(freep) char *path = NULL;
	struct asking asking = {
		.peer = PEER_AGENT,
		.method = part->wanted ? "PUT" : "DELETE",
		.body = part->wanted && part->json ? strdup(part->json) : NULL,
		.timeout_ms = TIMEOUT_MS,
		.done = on_sent,
		.context = part,
	};

	if (asprintf(&path, "/v1/sources/%s/services/%s?revision=%llu%s", kubed->options.source, part->name,
		     ++agent->revision, part->meant ? "&allow_loss=1" : "") < 0)
		path = NULL;
	asking.url = path;
	part->sending = part->wanted;
	if (path && (asking.body || !part->wanted))
		part->request = http_ask(kubed, &asking);
	else
		free(asking.body);
	if (part->request) {
		agent->flying++;
		agent->puts += part->wanted != 0;
		agent->deletes += !part->wanted;
	} else {
		part->due_ms = now_ms() + 1000;
		enqueue(agent, part);
	}
}

/* --- what it has -------------------------------------------------------------------------------------------
 */

static void see(struct agent *agent, const cJSON *service)
{
	const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(service, "name"));
	const cJSON *revision = cJSON_GetObjectItemCaseSensitive(service, "revision");
	struct part *part = name && strlen(name) < LB_NAME_MAX ? make(agent, name) : NULL;

	if (cJSON_IsNumber(revision) && revision->valuedouble > (double)agent->revision)
		agent->revision = (__u64)revision->valuedouble;
	if (!part)
		return;
	part->seen = agent->round;
	set_there(agent, part, true);
}

/* What is wanted and not there has to be sent again; its Service is planned for again, as its text is gone.
 */
static void miss(struct kubed *kubed, struct part *part)
{
	struct lb_kube_group *group;

	set_there(kubed->agent, part, false);
	if (!part->wanted)
		return;
	say("lbd has lost service=%s", part->name);
	group = lb_kube_store_find(kubed->store, part->key);
	if (group && group->mine && !part->json)
		plan_wanted(kubed, group->mine, now_ms());
}

static void look(struct kubed *kubed, const cJSON *source)
{
	struct agent *agent = kubed->agent;
	const cJSON *item;
	struct part *part, *next;

	agent->round++;
	cJSON_ArrayForEach (item, cJSON_GetObjectItemCaseSensitive(source, "service_list"))
		see(agent, item);
	HASH_ITER (hh, agent->parts, part, next)
		if (!part->there)
			forget_if_gone(agent, part);
		else if (part->seen != agent->round && !part->request)
			miss(kubed, part);
	agent->known = true;
	if (kubed->swept)
		agent_sweep(kubed);
}

static void on_asked(struct request *request)
{
	struct agent *agent = request->kubed->agent;
	_cleanup_(cjson_freep) cJSON *source =
		request->status == 200 && request->answer ? cJSON_Parse(request->answer) : NULL;
	char why[300];

	agent->ask = NULL;
	agent->reachable = source != NULL;
	agent->ask_due_ms = now_ms() + (source ? ASK_MS : 1000);
	if (source)
		look(request->kubed, source);
	else
		say("Failed to ask lbd what it has socket=%s source=%s why=\"%s\"",
		    request->kubed->options.socket, request->kubed->options.source, http_why(request, why));
}

static void ask(struct kubed *kubed, __u64 now)
{
	struct agent *agent = kubed->agent;
	_cleanup_(freep) char *path = NULL;
	struct asking asking = {
		.peer = PEER_AGENT, .method = "GET", .timeout_ms = TIMEOUT_MS, .done = on_asked
	};

	agent->ask_due_ms = now + ASK_MS;
	if (asprintf(&path, "/v1/sources/%s", kubed->options.source) < 0) {
		path = NULL;
		return;
	}
	asking.url = path;
	agent->ask = http_ask(kubed, &asking);
}

/* --- what is held ------------------------------------------------------------------------------------------
 */

/* A few losses are what has happened; many at once are a mistake, and not what is there. */
static void judge_held(struct agent *agent, __u64 now)
{
	struct part *part, *next;

	agent->judge_ms = 0;
	if (!agent->held)
		return;
	if (agent->held * 2 > agent->there) {
		say("services stay as they were: lists have lost too much held=%zu of=%zu", agent->held,
		    agent->there);
		return;
	}
	HASH_ITER (hh, agent->parts, part, next) {
		if (!part->held)
			continue;
		hold(agent, part, false);
		part->meant = true;
		part->due_ms = now;
	}
}

/* --- turns -------------------------------------------------------------------------------------------------
 */

__u64 agent_turn(struct kubed *kubed, __u64 now)
{
	struct agent *agent = kubed->agent;
	__u64 due = ~0ull;
	struct part *part;

	if (agent->judge_ms && now >= agent->judge_ms)
		judge_held(agent, now);
	/* What it has is looked at between changes, so that none is on its way meanwhile. */
	if (!agent->ask && now >= agent->ask_due_ms && agent->flying == 0)
		ask(kubed, now);
	while (agent->known && !agent->ask && agent->flying < FLYING_MAX &&
	       (part = dequeue(agent, now, &due))) {
		if (is_done(part))
			forget_if_gone(agent, part);
		else
			send_part(kubed, part);
	}
	if (agent->judge_ms)
		due = agent->judge_ms < due ? agent->judge_ms : due;
	if (!agent->ask)
		due = agent->ask_due_ms < due && agent->flying == 0 ? agent->ask_due_ms : due;
	return due;
}

int agent_start(struct kubed *kubed)
{
	struct agent *agent = calloc(1, sizeof(*agent));

	if (!agent)
		return -ENOMEM;
	agent->kubed = kubed;
	agent->last = &agent->first;
	kubed->agent = agent;
	return 0;
}

void agent_stop(struct kubed *kubed)
{
	struct agent *agent = kubed->agent;
	struct part *part, *next;

	http_abandon(agent->ask);
	HASH_ITER (hh, agent->parts, part, next) {
		http_abandon(part->request);
		HASH_DELETE(hh, agent->parts, part);
		free(part->json);
		free(part);
	}
	free(agent);
}
