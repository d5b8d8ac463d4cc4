// SPDX-License-Identifier: GPL-2.0-only
/*
 * Events: what is to be said of a Service is said once, by the leader, and anew when it changes. What is no
 * longer the case may be said again when it comes back. There are a few a second at most.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <xxhash.h>

#include "base/cleanup.h"
#include "lb-kubed/kubed.h"

#define BURST      50.0
#define PER_SECOND 10.0
#define TIMEOUT_MS 5000

static void on_told(struct request *request)
{
	char why[300];

	if (request->status != 200 && request->status != 201)
		say("Failed to make an Event why=\"%s\"", http_why(request, why));
}

static void add_object(cJSON *event, const struct lb_kube_service *service)
{
	cJSON *object = cJSON_AddObjectToObject(event, "involvedObject");

	cJSON_AddStringToObject(object, "apiVersion", "v1");
	cJSON_AddStringToObject(object, "kind", "Service");
	cJSON_AddStringToObject(object, "namespace", service->meta.namespace);
	cJSON_AddStringToObject(object, "name", service->meta.name);
	if (service->meta.uid)
		cJSON_AddStringToObject(object, "uid", service->meta.uid);
}

/* Names of Events are a name and a suffix of few letters: the name is cut where it would not fit. What stands
 * before the suffix must be a name but for a dash at its end. */
static cJSON *make_event(const struct kubed *kubed, const struct lb_kube_service *service,
			 const struct lb_kube_note *note)
{
	cJSON *event = cJSON_CreateObject(), *meta = cJSON_AddObjectToObject(event, "metadata"), *source;
	time_t seconds = time(NULL);
	char name[240], now[32];
	struct tm tm;

	snprintf(name, sizeof(name), "%.200s-", service->meta.name);
	strftime(now, sizeof(now), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &tm));
	cJSON_AddStringToObject(meta, "generateName", name);
	cJSON_AddStringToObject(meta, "namespace", service->meta.namespace);
	add_object(event, service);
	cJSON_AddStringToObject(event, "reason", lb_kube_reason_name(note->reason));
	cJSON_AddStringToObject(event, "type", lb_kube_reason_type(note->reason));
	cJSON_AddStringToObject(event, "message", note->text);
	cJSON_AddStringToObject(event, "firstTimestamp", now);
	cJSON_AddStringToObject(event, "lastTimestamp", now);
	cJSON_AddNumberToObject(event, "count", 1);
	source = cJSON_AddObjectToObject(event, "source");
	cJSON_AddStringToObject(source, "component", "lb-kubed");
	cJSON_AddStringToObject(source, "host", kubed->options.node);
	return event;
}

static void send_event(struct kubed *kubed, const struct lb_kube_service *service,
		       const struct lb_kube_note *note)
{
	_cleanup_(cjson_freep) cJSON *event = make_event(kubed, service, note);
	_cleanup_(freep) char *path = NULL;
	struct asking asking = {
		.peer = PEER_API, .method = "POST", .timeout_ms = TIMEOUT_MS, .done = on_told
	};

	asking.body = cJSON_PrintUnformatted(event);
	if (!asking.body)
		return;
	if (asprintf(&path, "/api/v1/namespaces/%s/events", service->meta.namespace) < 0) {
		path = NULL;
		free(asking.body);
		return;
	}
	asking.url = path;
	if (http_ask(kubed, &asking))
		kubed->counts.events++;
}

static bool may_tell(struct kubed *kubed, __u64 now)
{
	if (now > kubed->event_ms) {
		kubed->event_tokens += (double)(now - kubed->event_ms) * PER_SECOND / 1000;
		kubed->event_ms = now;
	}
	if (kubed->event_tokens > BURST)
		kubed->event_tokens = BURST;
	if (kubed->event_tokens < 1)
		return false;
	kubed->event_tokens--;
	return true;
}

static bool was_told(const struct serving *serving, __u64 digest)
{
	for (unsigned int i = 0; i < serving->n_told; i++)
		if (serving->told[i] == digest)
			return true;
	return false;
}

/* The oldest is forgotten. */
static void remember(struct serving *serving, __u64 digest)
{
	if (serving->n_told == TOLD_MAX)
		memmove(serving->told, serving->told + 1, --serving->n_told * sizeof(serving->told[0]));
	serving->told[serving->n_told++] = digest;
}

void tell(struct kubed *kubed, struct serving *serving, const struct lb_kube_notes *notes, __u64 now)
{
	const struct lb_kube_service *service = serving->group->service;

	for (unsigned int i = 0; i < notes->n && service; i++) {
		const struct lb_kube_note *note = &notes->all[i];
		__u64 digest = XXH3_64bits_withSeed(note->text, strlen(note->text), note->reason);

		if (was_told(serving, digest))
			continue;
		/* What lbd refuses is of one member. */
		if (!kubed->leads && note->reason != LB_KUBE_REASON_RefusedByAgent)
			continue;
		if (!may_tell(kubed, now))
			return;
		remember(serving, digest);
		say("%s service=%s message=\"%s\"", lb_kube_reason_name(note->reason), serving->group->key,
		    note->text);
		send_event(kubed, service, note);
	}
}
