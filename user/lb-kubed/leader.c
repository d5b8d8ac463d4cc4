// SPDX-License-Identifier: GPL-2.0-only
/*
 * The Lease by which one member of the fleet leads (kube/lease.h). At rest that is one small request a member
 * every two seconds.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "lb-kubed/kubed.h"

#define TIMEOUT_MS 3000
#define LEASES     "/apis/coordination.k8s.io/v1/namespaces"

static void note_change(struct kubed *kubed, __u64 now)
{
	bool leads = lb_kube_lease_leads(&kubed->lease, now);

	if (leads == kubed->leads)
		return;
	kubed->leads = leads;
	say("%s event=leader leads=%s", leads ? "this member leads" : "this member leads no more",
	    leads ? "yes" : "no");
	if (leads)
		lb_kube_store_touch_all(kubed->store);
}

static void on_answer(struct request *request)
{
	struct kubed *kubed = request->kubed;
	_cleanup_(cjson_freep) cJSON *object = request->answer ? cJSON_Parse(request->answer) : NULL;
	bool read = request->context != NULL;
	struct lb_error error = {};
	__u64 now = now_ms();
	char why[300];
	int r = -EIO;

	kubed->lease_request = NULL;
	if (read && request->status == 404)
		r = lb_kube_lease_read(&kubed->lease, NULL, now, &error);
	else if (read && request->status == 200 && object)
		r = lb_kube_lease_read(&kubed->lease, object, now, &error);
	else if (!read && (request->status == 200 || request->status == 201) && object)
		r = lb_kube_lease_written(&kubed->lease, object, now, &error);
	if (r < 0) {
		lb_kube_lease_failed(&kubed->lease, now);
		if (request->status != 409)
			say("Failed to %s the lease why=\"%s%s%s\"", read ? "read" : "write",
			    http_why(request, why), error.text[0] ? ": " : "", error.text);
	}
	note_change(kubed, now);
}

static void ask(struct kubed *kubed, enum lb_kube_lease_turn turn, cJSON *object)
{
	const struct options *options = &kubed->options;
	_cleanup_(freep) char *path = NULL;
	struct asking asking = {
		.peer = PEER_API,
		.method = turn == LB_KUBE_LEASE_READ     ? "GET"
			  : turn == LB_KUBE_LEASE_CREATE ? "POST"
							 : "PUT",
		.body = object ? cJSON_PrintUnformatted(object) : NULL,
		.timeout_ms = TIMEOUT_MS,
		.done = on_answer,
		.context = turn == LB_KUBE_LEASE_READ ? kubed : NULL,
	};

	cJSON_Delete(object);
	if (asprintf(&path, LEASES "/%s/leases%s%s", options->namespace,
		     turn == LB_KUBE_LEASE_CREATE ? "" : "/",
		     turn == LB_KUBE_LEASE_CREATE ? "" : options->lease) < 0)
		path = NULL;
	asking.url = path;
	if (path && (asking.body || turn == LB_KUBE_LEASE_READ))
		kubed->lease_request = http_ask(kubed, &asking);
	else
		free(asking.body);
	if (!kubed->lease_request)
		lb_kube_lease_failed(&kubed->lease, now_ms());
}

__u64 leader_turn(struct kubed *kubed, __u64 now)
{
	enum lb_kube_lease_turn turn = lb_kube_lease_turn(&kubed->lease, now);
	__u64 until = lb_kube_lease_until_ms(&kubed->lease);

	if (turn != LB_KUBE_LEASE_NOTHING)
		ask(kubed, turn,
		    turn == LB_KUBE_LEASE_READ ? NULL
					       : lb_kube_lease_object(&kubed->lease, kubed->options.namespace,
								      kubed->options.lease, wall_us()));
	note_change(kubed, now);
	if (kubed->lease.busy)
		return kubed->leads ? until : ~0ull;
	return kubed->leads && until < kubed->lease.due_ms ? until : kubed->lease.due_ms;
}

static void on_left(struct request *request)
{
	request->kubed->lease_request = NULL;
}

/* Another may lead at once. A second is given to that. */
void leader_leave(struct kubed *kubed)
{
	cJSON *object;
	int running = 1;

	http_abandon(kubed->lease_request);
	kubed->lease_request = NULL;
	object = lb_kube_lease_released(&kubed->lease, kubed->options.namespace, kubed->options.lease,
					wall_us());
	if (!object)
		return;
	ask(kubed, LB_KUBE_LEASE_WRITE, object);
	if (!kubed->lease_request)
		return;
	kubed->lease_request->done = on_left;
	for (__u64 end = now_ms() + 1000; kubed->lease_request && now_ms() < end;) {
		curl_multi_poll(kubed->multi, NULL, 0, 50, NULL);
		curl_multi_perform(kubed->multi, &running);
		http_collect(kubed);
	}
	http_abandon(kubed->lease_request);
}
