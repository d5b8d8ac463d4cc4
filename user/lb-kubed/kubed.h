/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * lb-kubed: watches Services of Kubernetes and has lbd serve them. One thread, one loop (libcurl's). Files:
 *
 *   resources.c   lists and watches; what they bring goes to the store
 *   lead.c        what only the leader does: ring sizes, finalizers, addresses; leader.c: whether we lead
 *   lan.c         whether this member answers for VIPs on a flat LAN
 *   plan.c        from what is seen to services of lbd, once for all that changes within 20 ms
 *   agent.c       lbd: services one by one, and what it has of ours
 *   probes.c      whether nodes' service proxies are healthy, and have endpoints of a Service
 *   proof.c       whether they know its address yet
 *   tell.c        Events
 *   http.c        requests; metrics.c: answers
 *
 * It has no privilege and needs none. When it is away, or the API server is, lbd goes on with what it has.
 */
#pragma once

#include <curl/curl.h>
#include <linux/types.h>
#include <stdbool.h>

#include "kube/ledger.h"
#include "kube/lease.h"
#include "kube/split.h"
#include "kube/store.h"
#include "kube/translate.h"
#include "kube/watch.h"

struct agent;
struct probes;
struct proof;
struct lan;
struct metrics;
struct request;

struct options {
	char *api;         /* URL of the API server */
	const char *ca;    /* file of its certificates; NULL: the system's */
	const char *token; /* file; NULL: none is sent */
	const char *node;  /* who we are */
	const char *namespace;
	const char *pools, *lease;   /* names of the ConfigMap and the Lease */
	const char *witness;         /* of the Service that proves what nodes know */
	const char *socket, *source; /* of lbd */
	const char *lan;             /* directory that lb-neighbor shares; empty: off */
	const char *lan_lease;
	unsigned int lan_group;
	const char *metrics; /* address and port; empty: off */
	const char *edge_label;
	unsigned int proxy_port; /* where kube-proxy says whether it is healthy */
	unsigned int silence_s;  /* of a watch */
	bool give_back;          /* all that the fleet gave to Services, and exit */
	struct lb_kube_defaults defaults;
};

/* What is watched: the kinds of the store, and the ConfigMap. */
enum resource_kind { RESOURCE_POOLS = LB_KUBE_KINDS, RESOURCES };

struct resource {
	struct kubed *kubed;
	int kind; /* enum lb_kube_kind, or RESOURCE_POOLS */
	struct lb_kube_watch watch;
	struct lb_kube_watch_limits limits;
	struct lb_kube_split split;
	struct request *request;      /* NULL: none */
	struct lb_kube_ending ending; /* what was said of it in the stream */
	bool in_list;
};

#define TOLD_MAX 16

/* An address and port of a Service, and the epoch of proofs (proof.c) in which it was seen first. */
struct seen_port {
	struct lb_address vip;
	__u16 port;
	__u8 protocol;
	__u64 epoch;
};

/* What is kept of a Service beside its object (group->mine). */
struct serving {
	struct lb_kube_group *group;
	struct lb_address addresses[LB_KUBE_FAMILIES]; /* that its status says and that are its own */
	size_t n_addresses;
	struct lb_address reserved[LB_KUBE_FAMILIES]; /* being written into its status */
	size_t n_reserved;

	struct request *write; /* of the leader, under way */
	char *awaited;         /* the version that it made, until it has been seen; NULL: none */
	__u64 write_due_ms;    /* not before; also: awaited no longer */
	unsigned int write_failures;
	bool wants_write; /* in the queue for one */
	struct serving *next_write;

	bool wants_plan; /* in the queue */
	bool planned;    /* once at least, since we run */
	struct serving *next_plan;

	struct lb_kube_short *parts; /* services at lbd that it has, by our word */
	size_t n_parts;
	struct seen_port *seen;
	size_t n_seen;
	bool waits_for_proof; /* of a node, that it knows one of them */
	__u64 waiting_ms;     /* since when no node has */
	__u64 told[TOLD_MAX]; /* digests of Events */
	unsigned int n_told;
};

struct serving_queue {
	struct serving *first, **last;
};

/* A Lease that one member holds. */
struct election {
	struct kubed *kubed;
	const char *name;
	struct lb_kube_lease lease;
	struct request *request;
	bool reads; /* that request */
	/* After each answer and each failure. */
	void (*answered)(struct election *election, __u64 now);
};

struct kubed {
	struct options options;
	CURLM *multi;
	struct lb_kube_store *store;
	struct lb_kube_ledger *ledger;
	struct lb_kube_pools pools;
	bool have_pools; /* the ConfigMap has been read, or is not there */
	bool pools_seen; /* in the list that is being read */
	struct resource resources[RESOURCES];
	struct election leader;
	bool leads;      /* as it was when it was looked at last */
	struct lan *lan; /* NULL: off */

	struct serving_queue plans, writes;
	__u64 plan_due_ms; /* 0: nothing waits */
	unsigned int n_writes;
	bool swept; /* services at lbd that nobody wants have gone, since we run */
	double event_tokens;
	__u64 event_ms;

	struct agent *agent;
	struct probes *probes;
	struct proof *proof;
	struct metrics *metrics;
	char *bearer; /* "Authorization: Bearer ..." */
	__s64 bearer_mtime_ns;
	__u64 bearer_read_ms;
	__u64 random;
	bool stop;

	struct {
		__u64 requests, errors, writes, conflicts, events, plans, objects_bad;
		__u64 exhausted, pools_bad;
	} counts;
};

__u64 now_ms(void);  /* CLOCK_MONOTONIC */
__u64 wall_us(void); /* CLOCK_REALTIME */
/* One line to standard error: what happened, then key=value. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* --- http.c ------------------------------------------------------------------------------------------------
 */

/* A request; it is freed when its done() has returned. */
struct request {
	struct kubed *kubed;
	CURL *easy;
	struct curl_slist *headers;
	char *body;   /* owned */
	char *answer; /* terminated; of at most ANSWER_MAX bytes; NULL: empty, or data() takes it */
	size_t n_answer;
	int status; /* 0: there was no answer */
	__u32 retry_after_s;
	__u32 endpoints; /* of a node, X-Load-Balancing-Endpoint-Weight; 0: it is not there */
	CURLcode code;
	bool ok; /* it came to its end */
	/* Takes bytes of an answer of 200; negative: no more is wanted, and done() is called. */
	int (*data)(struct request *request, const char *bytes, size_t n);
	void (*done)(struct request *request);
	void *context;
};

enum peer { PEER_API, PEER_AGENT, PEER_NODE };

struct asking {
	enum peer peer;
	const char *method;
	const char *url;         /* a path for PEER_API and PEER_AGENT */
	const char *type;        /* of the body; NULL: JSON */
	char *body;              /* taken over, also where it fails; NULL: none */
	unsigned int timeout_ms; /* 0: none */
	int (*data)(struct request *request, const char *bytes, size_t n);
	void (*done)(struct request *request);
	void *context;
};

/* NULL: out of memory; done() is not called then. */
struct request *http_ask(struct kubed *kubed, const struct asking *asking);
void http_abandon(struct request *request); /* done() is not called; takes NULL */
int http_start(struct kubed *kubed);
void http_stop(struct kubed *kubed);
void http_collect(struct kubed *kubed); /* calls done() of what is over */
/* The answer's message, for people. */
const char *http_why(const struct request *request, char buffer[300]);

#define MERGE_PATCH "application/merge-patch+json"

/* --- resources.c -------------------------------------------------------------------------------------------
 */
void resources_start(struct kubed *kubed);
void resources_stop(struct kubed *kubed);
__u64 resources_turn(struct kubed *kubed, __u64 now); /* these return when they are due again */
bool resources_listed(const struct kubed *kubed);     /* all of them, once */
bool resources_can_lead(const struct kubed *kubed);   /* those that addresses and ring sizes are made from */
extern const char *const resource_names[RESOURCES];

/* --- lead.c, leader.c --------------------------------------------------------------------------------------
 */
void election_init(struct election *election, struct kubed *kubed, const char *name);
/* Tries to hold the Lease where that is due; when it is due again. */
__u64 election_turn(struct election *election, __u64 now);
/* Gives it back, if it is held: another may have it at once. */
void election_leave(struct election *election);
void leader_init(struct kubed *kubed);
__u64 leader_turn(struct kubed *kubed, __u64 now);
void leader_leave(struct kubed *kubed);
void lead(struct kubed *kubed, struct serving *serving, __u64 now);
__u64 lead_turn(struct kubed *kubed, __u64 now);
void lead_forget(struct kubed *kubed, struct serving *serving);
/* How many Services have our finalizer. */
size_t lead_count_given(struct kubed *kubed);

/* --- lan.c -------------------------------------------------------------------------------------------------
 */
int lan_start(struct kubed *kubed);
void lan_stop(struct kubed *kubed);
__u64 lan_turn(struct kubed *kubed, __u64 now);
bool lan_leads(const struct kubed *kubed);

/* --- plan.c ------------------------------------------------------------------------------------------------
 */
void plan_look(struct kubed *kubed, __u64 now); /* at what the store says has changed */
/* Whether a Service (NULL: gone) is to have addresses and to be served. */
bool plan_serves(const struct kubed *kubed, const struct lb_kube_service *service);
void plan_wanted(struct kubed *kubed, struct serving *serving, __u64 now);
__u64 plan_turn(struct kubed *kubed, __u64 now);
void plan_sent(struct kubed *kubed, const char *key); /* lbd has a service of it as it is wanted */
void plan_stop(struct kubed *kubed);

/* --- agent.c -----------------------------------------------------------------------------------------------
 */
int agent_start(struct kubed *kubed);
void agent_stop(struct kubed *kubed);
__u64 agent_turn(struct kubed *kubed, __u64 now);
bool agent_known(const struct kubed *kubed); /* what it has has been read */
/* lbd shall have a service as it is in json (taken over), or not have it. meant: by what objects say,
 * whatever is lost by it. */
void agent_put(struct kubed *kubed, const char *name, const char *key, char *json, bool meant);
void agent_delete(struct kubed *kubed, const char *name, bool meant);
/* lbd has it otherwise than it is wanted. */
bool agent_holds(const struct kubed *kubed, const char *name);
bool agent_has(const struct kubed *kubed, const char *name); /* by its word, or ours */
/* It stays as it is, if it is there. */
void agent_keep(struct kubed *kubed, const char *name);
/* Takes away all that is neither wanted nor kept. */
void agent_sweep(struct kubed *kubed);
struct agent_counts {
	size_t services, waiting, held;
	__u64 puts, deletes, failures;
	bool reachable;
};
struct agent_counts agent_count(const struct kubed *kubed);

/* --- probes.c ----------------------------------------------------------------------------------------------
 */
int probes_start(struct kubed *kubed);
void probes_stop(struct kubed *kubed);
__u64 probes_turn(struct kubed *kubed, __u64 now);
/* *pending is set where it has been asked and has not answered yet. */
struct lb_kube_shown probes_ask(struct kubed *kubed, const char *key, const struct lb_kube_question *question,
				bool *pending);
size_t probes_count(const struct kubed *kubed, enum lb_kube_proof proof);

/* --- proof.c -----------------------------------------------------------------------------------------------
 */
int proof_start(struct kubed *kubed);
void proof_stop(struct kubed *kubed);
__u64 proof_turn(struct kubed *kubed, __u64 now);
void proof_look(struct kubed *kubed); /* at the witness; before what has been seen with it is planned for */
/* Notes which addresses and ports a Service has, before it is planned for. 0 or -ENOMEM. */
int proof_see(struct kubed *kubed, struct serving *serving);
/* Whether the node's proxy knows the address and port. *pending is set where that is not known yet. */
bool proof_given(struct kubed *kubed, const struct serving *serving, const struct lb_kube_question *question,
		 bool *pending);
__u64 proof_epoch(const struct kubed *kubed);

/* --- tell.c ------------------------------------------------------------------------------------------------
 */
void tell(struct kubed *kubed, struct serving *serving, const struct lb_kube_notes *notes, __u64 now);

/* --- metrics.c ---------------------------------------------------------------------------------------------
 */
int metrics_start(struct kubed *kubed);
void metrics_stop(struct kubed *kubed);
int metrics_fd(const struct kubed *kubed); /* -1: none */
void metrics_run(struct kubed *kubed);
