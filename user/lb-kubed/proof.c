// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whether a node's service proxy knows an address and port of a Service yet. A SYN that comes before it does
 * is lost, or refused; and neither /healthz of the proxy nor healthCheckNodePort, which may be open before
 * the address is given, says so.
 *
 * Proxies watch Services in the order of their versions, and open the healthCheckNodePort of a Service in the
 * same round in which they write the rules of all that they have seen. So one Service of our own is the
 * witness: with each of its new ports an epoch begins, and a node that answers at the port knows all that the
 * API server had before it. An epoch is wanted when an address or port is seen that no epoch is later than;
 * it is two writes, and one request to each node, for however many Services.
 *
 * The witness is of type LoadBalancer, of a class that is nobody's, and has no endpoints. Its port changes
 * when its externalTrafficPolicy goes to Cluster and back to Local. One that is left at Cluster, by somebody
 * else or by a member that ended between the two, is opened again while some node is waited for; the more
 * often that is needed the later. Where there is no witness, a node that is healthy is taken to know
 * everything.
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

#define FLYING_MAX   64
#define TIMEOUT_MS   1000 /* of a question to a node */
#define WRITE_MS     3000 /* of a write */
#define FIRST_MS     50   /* between two questions at first, and twice as long each time... */
#define LONGEST_MS   1000 /* ...up to this */
#define PAUSE_MS     500  /* between two epochs of ours, at least */
#define FOLLOWERS_MS 1000 /* that those who do not lead leave to the leader */
#define UNUSED_MS    90000
#define SHUT_MS      2000  /* no member of ours leaves the witness closed for so long */
#define CALM_MS      60000 /* between two that open it for that reason, at most; nothing for so long: anew */

/* An address of a node. */
struct knower {
	struct lb_address address;
	__u64 epoch; /* that it has shown; 0: none */
	bool wanted; /* somebody waits for a later one */
	bool tried;  /* since it is wanted */
	struct request *request;
	__u64 asked_epoch, due_ms, used_ms;
	unsigned int failures;
	bool lost;
	UT_hash_handle hh;
};

struct proof {
	struct kubed *kubed;
	char key[LB_KUBE_LABEL_MAX + LB_KUBE_NAME_MAX]; /* of the witness */
	struct knower *knowers;
	bool there, local; /* the witness as it was seen last */
	__u16 port;        /* the last that was seen */
	__u64 epoch;
	__u64 wanted, wanted_ms; /* an epoch that somebody waits for, and since when */
	bool asked;              /* some knower is wanted */
	unsigned int flying;
	struct request *write;
	bool opens; /* the write under way, or the next, is the one that opens a port */
	__u64 write_due_ms, forget_ms;
	unsigned int failures;
	__u64 shut_ms;         /* the witness is seen closed since then; 0: it is not */
	__u64 reopen_ms;       /* not before, where it was left closed... */
	unsigned int reopened; /* ...and has been opened so often */
	struct serving teller; /* of its Events */
};

/* --- the witness -----------------------------------------------------------------------------------------
 */

/* Seen alike by all members, whoever opens it: so they wait together. */
static void note_opening(struct proof *proof, __u64 now)
{
	__u64 wait_ms;

	if (!proof->shut_ms || now - proof->shut_ms < SHUT_MS)
		return;
	if (now > proof->reopen_ms + CALM_MS)
		proof->reopened = 0;
	proof->reopened += proof->reopened < 8;
	wait_ms = (__u64)SHUT_MS << proof->reopened;
	proof->reopen_ms = now + (wait_ms < CALM_MS ? wait_ms : CALM_MS);
}

static void look_at_gate(struct proof *proof, bool local, __u64 now)
{
	if (local)
		note_opening(proof, now);
	if (local)
		proof->shut_ms = 0;
	else if (!proof->shut_ms)
		proof->shut_ms = now;
	proof->local = local;
}

void proof_look(struct kubed *kubed)
{
	struct proof *proof = kubed->proof;
	const struct lb_kube_group *group = lb_kube_store_find(kubed->store, proof->key);
	const struct lb_kube_service *witness = group ? group->service : NULL;

	proof->there = witness && witness->load_balancer && !witness->meta.deleting;
	if (!proof->there)
		return;
	look_at_gate(proof, witness->local, now_ms());
	if (!witness->local || !witness->health_check_node_port ||
	    witness->health_check_node_port == proof->port)
		return;
	proof->port = witness->health_check_node_port;
	proof->epoch++;
	for (struct knower *knower = proof->knowers; knower; knower = knower->hh.next) {
		knower->tried = false;
		knower->failures = 0;
		knower->due_ms = 0;
	}
}

static void on_written(struct request *request)
{
	struct kubed *kubed = request->kubed;
	struct proof *proof = kubed->proof;
	char why[300];

	proof->write = NULL;
	if (request->status != 200) {
		say("Failed to write the witness of proofs service=%s why=\"%s\"", proof->key,
		    http_why(request, why));
		proof->opens = false;
		proof->write_due_ms =
			now_ms() + lb_kube_backoff_ms(++proof->failures, 500, 10000, &kubed->random);
		return;
	}
	proof->failures = 0;
	/* Closed: opened at once. Opened: that is to be seen by the watch. */
	proof->write_due_ms = proof->opens ? now_ms() + PAUSE_MS : 0;
	proof->opens = !proof->opens;
}

static void write_witness(struct kubed *kubed)
{
	struct proof *proof = kubed->proof;
	_cleanup_(freep) char *path = NULL;
	struct asking asking = {
		.peer = PEER_API,
		.method = "PATCH",
		.type = MERGE_PATCH,
		.timeout_ms = WRITE_MS,
		.done = on_written,
	};

	proof->opens |= !proof->local;
	asking.body = strdup(
		proof->opens
			? "{\"spec\":{\"externalTrafficPolicy\":\"Local\"}}"
			: "{\"spec\":{\"externalTrafficPolicy\":\"Cluster\",\"healthCheckNodePort\":null}}");
	if (asprintf(&path, "/api/v1/namespaces/%s/services/%s?fieldManager=lb-kubed",
		     kubed->options.namespace, kubed->options.witness) < 0)
		path = NULL;
	asking.url = path;
	if (path && asking.body)
		proof->write = http_ask(kubed, &asking);
	else
		free(asking.body);
	if (!proof->write)
		proof->write_due_ms = now_ms() + PAUSE_MS;
}

/* The leader at once; the others where it has not, each at a time of its own. */
static __u64 epoch_due_ms(const struct kubed *kubed)
{
	const struct proof *proof = kubed->proof;
	__u64 due = proof->wanted_ms;

	if (!kubed->leads)
		due += FOLLOWERS_MS + kubed->random % FOLLOWERS_MS;
	return due > proof->write_due_ms ? due : proof->write_due_ms;
}

/* --- nodes -----------------------------------------------------------------------------------------------
 */

static void plan_waiting(void *context, struct lb_kube_group *group)
{
	struct kubed *kubed = context;
	struct serving *serving = group->mine;

	if (serving && serving->waits_for_proof)
		plan_wanted(kubed, serving, now_ms());
}

/* The port may have been another Service's, and still be so on a node that is late: the answer says whose it
 * is. */
static bool is_of_witness(const struct kubed *kubed, const struct request *request)
{
	_cleanup_(cjson_freep) cJSON *answer = request->answer ? cJSON_Parse(request->answer) : NULL;
	const cJSON *service = cJSON_GetObjectItemCaseSensitive(answer, "service");
	const char *namespace = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(service, "namespace"));
	const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(service, "name"));

	return (request->status == 200 || request->status == 503) && namespace && name &&
	       strcmp(namespace, kubed->options.namespace) == 0 && strcmp(name, kubed->options.witness) == 0;
}

static void on_answer(struct request *request)
{
	struct kubed *kubed = request->kubed;
	struct knower *knower = request->context;
	unsigned int shift = knower->failures < 5 ? knower->failures : 5;

	knower->request = NULL;
	kubed->proof->flying--;
	if (is_of_witness(kubed, request)) {
		knower->epoch = knower->asked_epoch;
		knower->wanted = knower->epoch < kubed->proof->epoch;
		knower->failures = 0;
		knower->due_ms = 0;
	} else {
		knower->failures++;
		knower->due_ms = now_ms() + (FIRST_MS << shift < LONGEST_MS ? FIRST_MS << shift : LONGEST_MS);
	}
	/* One that has never said anything else: somebody may have waited for any answer. */
	if (!knower->failures || !knower->tried)
		lb_kube_store_each(kubed->store, plan_waiting, kubed);
	knower->tried = true;
}

static void ask(struct kubed *kubed, struct knower *knower, __u64 now)
{
	char url[LB_ADDRESS_TEXT_MAX + 40], address[LB_ADDRESS_TEXT_MAX];
	struct asking asking = {
		.peer = PEER_NODE,
		.method = "GET",
		.url = url,
		.timeout_ms = TIMEOUT_MS,
		.done = on_answer,
		.context = knower,
	};

	lb_address_text(&knower->address, address);
	snprintf(url, sizeof(url),
		 knower->address.family == LB_FAMILY_V6 ? "http://[%s]:%u/" : "http://%s:%u/", address,
		 kubed->proof->port);
	knower->asked_epoch = kubed->proof->epoch;
	knower->request = http_ask(kubed, &asking);
	if (knower->request)
		kubed->proof->flying++;
	else
		knower->due_ms = now + LONGEST_MS;
}

static void forget(struct proof *proof, struct knower *knower)
{
	if (knower->request)
		proof->flying--;
	http_abandon(knower->request);
	HASH_DELETE(hh, proof->knowers, knower);
	free(knower);
}

static __u64 ask_nodes(struct kubed *kubed, __u64 now)
{
	struct proof *proof = kubed->proof;
	struct knower *knower, *next;
	bool forgets = now >= proof->forget_ms;
	__u64 due = ~0ull;

	if (!proof->asked && !forgets)
		return due;
	if (forgets)
		proof->forget_ms = now + UNUSED_MS;
	proof->asked = false;
	HASH_ITER (hh, proof->knowers, knower, next) {
		if (forgets && knower->used_ms + UNUSED_MS < now) {
			forget(proof, knower);
			continue;
		}
		if (!knower->wanted)
			continue;
		proof->asked = true;
		if (knower->request || proof->epoch <= knower->epoch || proof->flying >= FLYING_MAX)
			continue;
		if (knower->due_ms <= now)
			ask(kubed, knower, now);
		else
			due = knower->due_ms < due ? knower->due_ms : due;
	}
	return due;
}

static struct knower *knower_of(struct proof *proof, const struct lb_address *address)
{
	struct knower *knower;

	HASH_FIND(hh, proof->knowers, address, sizeof(*address), knower);
	if (knower)
		return knower;
	knower = calloc(1, sizeof(*knower));
	if (!knower)
		return NULL;
	knower->address = *address;
	HASH_ADD(hh, proof->knowers, address, sizeof(*address), knower);
	if (!knower->lost)
		return knower;
	free(knower);
	return NULL;
}

/* --- what is asked ---------------------------------------------------------------------------------------
 */

/* NULL: out of memory. */
static struct seen_port *find(struct seen_port *all, size_t n, const struct lb_address *vip,
			      const struct lb_kube_port *port)
{
	for (size_t i = 0; i < n; i++)
		if (all[i].port == port->port && all[i].protocol == port->protocol &&
		    lb_address_equal(&all[i].vip, vip))
			return &all[i];
	return NULL;
}

/* What lbd has already, of an earlier one of us, was proven then: the epoch that there is will do. */
static __u64 epoch_of_new(struct kubed *kubed, const struct serving *serving, const struct lb_address *vip,
			  const struct lb_kube_port *port)
{
	struct lb_kube_short name;

	lb_kube_part_name(serving->group->service, port, vip->family, &name);
	return !serving->planned && agent_has(kubed, name.text) ? 0 : kubed->proof->epoch;
}

int proof_see(struct kubed *kubed, struct serving *serving)
{
	const struct lb_kube_service *service = serving->group->service;
	struct seen_port *seen = calloc(serving->n_addresses * service->n_ports + 1, sizeof(*seen));
	size_t n = 0;

	if (!seen)
		return -ENOMEM;
	for (size_t i = 0; i < serving->n_addresses; i++)
		for (size_t k = 0; k < service->n_ports; k++) {
			const struct lb_address *vip = &serving->addresses[i];
			const struct lb_kube_port *port = &service->ports[k];
			const struct seen_port *before = find(serving->seen, serving->n_seen, vip, port);

			seen[n++] = (struct seen_port){
				.vip = *vip,
				.port = port->port,
				.protocol = port->protocol,
				.epoch = before ? before->epoch : epoch_of_new(kubed, serving, vip, port),
			};
		}
	free(serving->seen);
	serving->seen = seen;
	serving->n_seen = n;
	return 0;
}

bool proof_given(struct kubed *kubed, const struct serving *serving, const struct lb_kube_question *question,
		 bool *pending)
{
	struct proof *proof = kubed->proof;
	const struct seen_port *seen = find(serving->seen, serving->n_seen, question->vip, question->port);
	const struct lb_address *address = &question->node->addresses[question->vip->family == LB_FAMILY_V6];
	struct knower *knower = proof->there && seen ? knower_of(proof, address) : NULL;

	if (!knower)
		return !proof->there;
	knower->used_ms = now_ms();
	if (knower->epoch > seen->epoch)
		return true;
	knower->wanted = proof->asked = true;
	if (proof->epoch <= seen->epoch && proof->wanted <= proof->epoch) {
		proof->wanted = seen->epoch + 1;
		proof->wanted_ms = knower->used_ms;
	}
	*pending |= proof->epoch <= seen->epoch || !knower->tried;
	return false;
}

/* --- turns -----------------------------------------------------------------------------------------------
 */

static void tell_left_closed(struct kubed *kubed, __u64 now)
{
	struct lb_kube_notes notes = {};

	kubed->proof->teller.group = lb_kube_store_find(kubed->store, kubed->proof->key);
	if (!kubed->proof->teller.group)
		return;
	lb_kube_note(
		&notes, LB_KUBE_REASON_WitnessClosed,
		"its externalTrafficPolicy was left at Cluster, by which no node can be proven: set to Local "
		"again. Who applies it must leave externalTrafficPolicy and healthCheckNodePort alone");
	tell(kubed, &kubed->proof->teller, &notes, now);
}

/* Where the witness was left closed and a node is waited for, an epoch is wanted. When that will be due. */
static __u64 want_open(struct kubed *kubed, __u64 now)
{
	struct proof *proof = kubed->proof;
	__u64 due = proof->shut_ms + SHUT_MS;

	if (proof->local || !proof->asked || proof->wanted > proof->epoch)
		return ~0ull;
	if (due < proof->reopen_ms)
		due = proof->reopen_ms;
	if (due > now)
		return due;
	proof->wanted = proof->epoch + 1;
	proof->wanted_ms = now;
	tell_left_closed(kubed, now);
	return now;
}

__u64 proof_turn(struct kubed *kubed, __u64 now)
{
	struct proof *proof = kubed->proof;
	__u64 due = ask_nodes(kubed, now), write_due;

	if (!proof->there || proof->write)
		return due;
	write_due = want_open(kubed, now);
	due = write_due > now && write_due < due ? write_due : due;
	/* A port that we have closed is opened again, whatever is wanted by now. */
	if (proof->wanted <= proof->epoch && !proof->opens)
		return due;
	write_due = epoch_due_ms(kubed);
	if (write_due <= now) {
		write_witness(kubed);
		return due;
	}
	return write_due < due ? write_due : due;
}

__u64 proof_epoch(const struct kubed *kubed)
{
	return kubed->proof->epoch;
}

int proof_start(struct kubed *kubed)
{
	struct proof *proof = calloc(1, sizeof(*proof));

	if (!proof)
		return -ENOMEM;
	proof->kubed = kubed;
	lb_kube_group_key(kubed->options.namespace, kubed->options.witness, proof->key);
	kubed->proof = proof;
	return 0;
}

void proof_stop(struct kubed *kubed)
{
	struct knower *knower, *next;

	HASH_ITER (hh, kubed->proof->knowers, knower, next)
		forget(kubed->proof, knower);
	http_abandon(kubed->proof->write);
	free(kubed->proof);
}
