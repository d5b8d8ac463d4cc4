// SPDX-License-Identifier: GPL-2.0-only
/*
 * What nodes say: healthCheckNodePort of a Service (externalTrafficPolicy Local), and /healthz of kube-proxy
 * (Cluster; KEP-3836). One that has never said yes gets no flow; one that says no several times in a row, or
 * nothing, drains. What is asked for is kept as long as somebody plans with it. With healthCheckNodePort a
 * node also says how many endpoints it has (X-Load-Balancing-Endpoint-Weight); where slices say more, it is
 * asked again soon.
 *
 * Those that are due wait in one of four queues, by how soon they are asked again: each is in order by
 * itself.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM               1
#define HASH_FUNCTION(key, bytes, hash) ((hash) = (unsigned int)XXH3_64bits(key, bytes))
#define uthash_nonfatal_oom(element)    ((element)->lost = true)
#include <uthash.h>
#include <utlist.h>
#include <xxhash.h>

#include "base/cleanup.h"
#include "lb-kubed/kubed.h"

#define FLYING_MAX   64
#define TIMEOUT_MS   1000
#define FALL         3
#define HURRIES      10    /* questions in a row at the fast pace, for a number that is to grow */
#define UNUSED_MS    90000 /* nobody has planned with it for so long */
#define REPLAN_MS    1000  /* between two of these parts: everybody is planned for anew that often... */
#define REPLAN_PARTS 30u   /* ...times this, which is how what is asked is seen to be used */

enum pace { AT_ONCE, FAST, PROXY, SERVICE, PACES };
static const __u32 pace_ms[PACES] = { [FAST] = 500, [PROXY] = 2000, [SERVICE] = 5000 };

struct place {
	struct lb_address address;
	__u16 port;
	__u8 pad;
};

struct probe {
	struct place place;
	char key[LB_KUBE_LABEL_MAX + LB_KUBE_NAME_MAX]; /* whose; empty: everybody's */
	enum lb_kube_proof proof;
	bool answered; /* once, whatever */
	unsigned int failures;
	__u32 endpoints, expected; /* that it says (0: it does not) and the slices */
	unsigned int hurries;
	struct request *request;
	enum pace pace;
	__u64 due_ms, used_ms;
	struct probe *prev, *next;
	bool lost;
	UT_hash_handle hh;
};

struct probes {
	struct kubed *kubed;
	struct probe *all;
	struct probe *queues[PACES];
	unsigned int flying;
	size_t counts[LB_KUBE_FAILED + 1];
	__u64 replan_ms;
	unsigned int part, visited; /* of the store's groups */
};

/* --- queues ------------------------------------------------------------------------------------------------
 */

static void enqueue(struct probes *probes, struct probe *probe, enum pace pace, __u64 due)
{
	probe->pace = pace;
	probe->due_ms = due;
	DL_APPEND(probes->queues[pace], probe);
}

static struct probe *dequeue(struct probes *probes, __u64 now, __u64 *due)
{
	for (int i = 0; i < PACES; i++) {
		struct probe *probe = probes->queues[i];

		if (!probe)
			continue;
		if (probe->due_ms > now) {
			*due = probe->due_ms < *due ? probe->due_ms : *due;
			continue;
		}
		DL_DELETE(probes->queues[i], probe);
		return probe;
	}
	return NULL;
}

/* --- answers -----------------------------------------------------------------------------------------------
 */

static void touch(struct kubed *kubed, const struct probe *probe)
{
	struct lb_kube_group *group;

	if (!probe->key[0]) {
		lb_kube_store_touch_all(kubed->store);
		return;
	}
	group = lb_kube_store_find(kubed->store, probe->key);
	if (group)
		lb_kube_store_touch(kubed->store, group);
}

static void set_proof(struct probes *probes, struct probe *probe, enum lb_kube_proof proof)
{
	probes->counts[probe->proof]--;
	probes->counts[proof]++;
	probe->proof = proof;
}

static void judge(struct probes *probes, struct probe *probe, bool good, __u32 endpoints)
{
	enum lb_kube_proof before = probe->proof;
	bool other = !probe->answered || (good && endpoints != probe->endpoints);

	probe->answered = true;
	if (good)
		probe->endpoints = endpoints;
	probe->failures = good ? 0 : probe->failures + 1;
	if (good)
		set_proof(probes, probe, LB_KUBE_PROVEN);
	else if (probe->failures >= FALL && probe->proof == LB_KUBE_PROVEN)
		set_proof(probes, probe, LB_KUBE_FAILED);
	if (other || before != probe->proof)
		touch(probes->kubed, probe);
}

static void on_answer(struct request *request)
{
	struct probes *probes = request->kubed->probes;
	struct probe *probe = request->context;
	enum pace pace = probe->key[0] ? SERVICE : PROXY;

	probe->request = NULL;
	probes->flying--;
	judge(probes, probe, request->status == 200, request->endpoints);
	if (probe->failures) {
		pace = FAST;
	} else if (probe->hurries && probe->endpoints && probe->endpoints < probe->expected) {
		probe->hurries--;
		pace = FAST;
	}
	enqueue(probes, probe, pace, now_ms() + pace_ms[pace]);
}

/* --- asking ------------------------------------------------------------------------------------------------
 */

static void ask(struct kubed *kubed, struct probe *probe, __u64 now)
{
	char url[LB_ADDRESS_TEXT_MAX + 40], address[LB_ADDRESS_TEXT_MAX];
	struct asking asking = {
		.peer = PEER_NODE,
		.method = "GET",
		.url = url,
		.timeout_ms = TIMEOUT_MS,
		.done = on_answer,
		.context = probe,
	};

	lb_address_text(&probe->place.address, address);
	snprintf(url, sizeof(url),
		 probe->place.address.family == LB_FAMILY_V6 ? "http://[%s]:%u/healthz"
							     : "http://%s:%u/healthz",
		 address, probe->place.port);
	probe->request = http_ask(kubed, &asking);
	if (probe->request)
		kubed->probes->flying++;
	else
		enqueue(kubed->probes, probe, FAST, now + pace_ms[FAST]);
}

static void forget(struct probes *probes, struct probe *probe)
{
	probes->counts[probe->proof]--;
	HASH_DELETE(hh, probes->all, probe);
	http_abandon(probe->request);
	free(probe);
}

/* One part after the other: all at once would be a moment in which nothing else is done. */
static void touch_part(void *context, struct lb_kube_group *group)
{
	struct kubed *kubed = context;

	if (kubed->probes->visited++ % REPLAN_PARTS == kubed->probes->part)
		lb_kube_store_touch(kubed->store, group);
}

__u64 probes_turn(struct kubed *kubed, __u64 now)
{
	struct probes *probes = kubed->probes;
	__u64 due = ~0ull;
	struct probe *probe;

	if (now >= probes->replan_ms) {
		probes->replan_ms = now + REPLAN_MS;
		probes->part = (probes->part + 1) % REPLAN_PARTS;
		probes->visited = 0;
		lb_kube_store_each(kubed->store, touch_part, kubed);
	}
	while (probes->flying < FLYING_MAX && (probe = dequeue(probes, now, &due))) {
		if (probe->used_ms + UNUSED_MS < now)
			forget(probes, probe);
		else
			ask(kubed, probe, now);
	}
	return due < probes->replan_ms ? due : probes->replan_ms;
}

static struct probe *make(struct probes *probes, const struct place *place, const char *key)
{
	struct probe *probe = calloc(1, sizeof(*probe));

	if (!probe)
		return NULL;
	memcpy(&probe->place, place, sizeof(*place));
	snprintf(probe->key, sizeof(probe->key), "%s", key);
	probe->proof = LB_KUBE_UNPROVEN;
	HASH_ADD(hh, probes->all, place, sizeof(*place), probe);
	if (probe->lost) {
		free(probe);
		return NULL;
	}
	probes->counts[LB_KUBE_UNPROVEN]++;
	enqueue(probes, probe, AT_ONCE, 0);
	return probe;
}

/* Slices say more than the node did: it will say so too, as soon as it has heard of them. */
static void hurry(struct probes *probes, struct probe *probe, __u32 expected)
{
	bool more = expected > probe->expected && probe->endpoints && expected > probe->endpoints;

	probe->expected = expected;
	if (!more)
		return;
	probe->hurries = HURRIES;
	if (probe->request || probe->pace != SERVICE)
		return;
	DL_DELETE(probes->queues[probe->pace], probe);
	enqueue(probes, probe, AT_ONCE, 0);
}

struct lb_kube_shown probes_ask(struct kubed *kubed, const char *key, const struct lb_kube_question *question,
				bool *pending)
{
	const struct lb_kube_service *service = question->service;
	struct lb_kube_shown shown = { .proof = LB_KUBE_PROVEN };
	struct probes *probes = kubed->probes;
	bool own = service->local && service->health_check_node_port;
	struct place place;
	struct probe *probe;

	memset(&place, 0, sizeof(place));
	place.address = question->node->addresses[question->vip->family == LB_FAMILY_V6];
	place.port = own ? service->health_check_node_port : (__u16)kubed->options.proxy_port;
	if (!place.port)
		return shown;
	HASH_FIND(hh, probes->all, &place, sizeof(place), probe);
	if (!probe)
		probe = make(probes, &place, own ? key : "");
	shown.proof = probe ? probe->proof : LB_KUBE_UNPROVEN;
	if (!probe)
		return shown;
	/* A port may be another Service's by now. */
	if (own && strcmp(probe->key, key) != 0)
		snprintf(probe->key, sizeof(probe->key), "%s", key);
	probe->used_ms = now_ms();
	*pending |= !probe->answered;
	if (own)
		hurry(probes, probe, question->endpoints);
	shown.endpoints = own ? probe->endpoints : 0;
	return shown;
}

size_t probes_count(const struct kubed *kubed, enum lb_kube_proof proof)
{
	return kubed->probes->counts[proof];
}

int probes_start(struct kubed *kubed)
{
	struct probes *probes = calloc(1, sizeof(*probes));

	if (!probes)
		return -ENOMEM;
	probes->kubed = kubed;
	probes->replan_ms = now_ms() + REPLAN_MS;
	kubed->probes = probes;
	return 0;
}

void probes_stop(struct kubed *kubed)
{
	struct probe *probe, *next;

	HASH_ITER (hh, kubed->probes->all, probe, next)
		forget(kubed->probes, probe);
	free(kubed->probes);
}
