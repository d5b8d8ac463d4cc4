// SPDX-License-Identifier: GPL-2.0-only
/*
 * Leases that one member holds (kube/lease.h), and the one by which a member of the fleet leads. At rest that
 * is one small request a member every two seconds.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "lb-kubed/kubed.h"

#define TIMEOUT_MS 3000
#define LEASES     "/apis/coordination.k8s.io/v1/namespaces"

void election_init(struct election *election, struct kubed *kubed, const char *name)
{
	election->kubed = kubed;
	election->name = name;
	lb_kube_lease_init(&election->lease, kubed->options.node);
}

static void on_answer(struct request *request)
{
	struct election *election = request->context;
	_cleanup_(cjson_freep) cJSON *object = request->answer ? cJSON_Parse(request->answer) : NULL;
	struct lb_error error = {};
	__u64 now = now_ms();
	char why[300];
	int r = -EIO;

	election->request = NULL;
	if (election->reads && request->status == 404)
		r = lb_kube_lease_read(&election->lease, NULL, now, &error);
	else if (election->reads && request->status == 200 && object)
		r = lb_kube_lease_read(&election->lease, object, now, &error);
	else if (!election->reads && (request->status == 200 || request->status == 201) && object)
		r = lb_kube_lease_written(&election->lease, object, now, &error);
	if (r < 0) {
		lb_kube_lease_failed(&election->lease, now);
		if (request->status != 409)
			say("Failed to %s the lease name=%s why=\"%s%s%s\"",
			    election->reads ? "read" : "write", election->name, http_why(request, why),
			    error.text[0] ? ": " : "", error.text);
	}
	if (election->answered)
		election->answered(election, now);
}

static void ask(struct election *election, enum lb_kube_lease_turn turn, cJSON *object)
{
	const struct options *options = &election->kubed->options;
	_cleanup_(freep) char *path = NULL;
	struct asking asking = {
		.peer = PEER_API,
		.method = turn == LB_KUBE_LEASE_READ     ? "GET"
			  : turn == LB_KUBE_LEASE_CREATE ? "POST"
							 : "PUT",
		.body = object ? cJSON_PrintUnformatted(object) : NULL,
		.timeout_ms = TIMEOUT_MS,
		.done = on_answer,
		.context = election,
	};

	cJSON_Delete(object);
	election->reads = turn == LB_KUBE_LEASE_READ;
	if (asprintf(&path, LEASES "/%s/leases%s%s", options->namespace,
		     turn == LB_KUBE_LEASE_CREATE ? "" : "/",
		     turn == LB_KUBE_LEASE_CREATE ? "" : election->name) < 0)
		path = NULL;
	asking.url = path;
	if (path && (asking.body || election->reads))
		election->request = http_ask(election->kubed, &asking);
	else
		free(asking.body);
	if (!election->request)
		lb_kube_lease_failed(&election->lease, now_ms());
}

__u64 election_turn(struct election *election, __u64 now)
{
	enum lb_kube_lease_turn turn = lb_kube_lease_turn(&election->lease, now);

	if (turn != LB_KUBE_LEASE_NOTHING)
		ask(election, turn,
		    turn == LB_KUBE_LEASE_READ
			    ? NULL
			    : lb_kube_lease_object(&election->lease, election->kubed->options.namespace,
						   election->name, wall_us()));
	return election->lease.busy ? ~0ull : election->lease.due_ms;
}

static void on_left(struct request *request)
{
	struct election *election = request->context;

	election->request = NULL;
}

/* A second is given to that. */
void election_leave(struct election *election)
{
	struct kubed *kubed = election->kubed;
	cJSON *object;
	int running = 1;

	http_abandon(election->request);
	election->request = NULL;
	election->lease.busy = false;
	object =
		lb_kube_lease_released(&election->lease, kubed->options.namespace, election->name, wall_us());
	if (!object)
		return;
	ask(election, LB_KUBE_LEASE_WRITE, object);
	if (!election->request)
		return;
	election->request->done = on_left;
	for (__u64 end = now_ms() + 1000; election->request && now_ms() < end;) {
		curl_multi_poll(kubed->multi, NULL, 0, 50, NULL);
		curl_multi_perform(kubed->multi, &running);
		http_collect(kubed);
	}
	http_abandon(election->request);
	election->request = NULL;
}

/* --- who leads -------------------------------------------------------------------------------------------
 */

static void note_change(struct election *election, __u64 now)
{
	struct kubed *kubed = election->kubed;
	bool leads = lb_kube_lease_leads(&election->lease, now);

	if (leads == kubed->leads)
		return;
	kubed->leads = leads;
	say("%s event=leader leads=%s", leads ? "this member leads" : "this member leads no more",
	    leads ? "yes" : "no");
	if (leads)
		lb_kube_store_touch_all(kubed->store);
}

void leader_init(struct kubed *kubed)
{
	election_init(&kubed->leader, kubed, kubed->options.lease);
	kubed->leader.answered = note_change;
}

__u64 leader_turn(struct kubed *kubed, __u64 now)
{
	__u64 due = election_turn(&kubed->leader, now), until = lb_kube_lease_until_ms(&kubed->leader.lease);

	note_change(&kubed->leader, now);
	return kubed->leads && until < due ? until : due;
}

void leader_leave(struct kubed *kubed)
{
	election_leave(&kubed->leader);
}
