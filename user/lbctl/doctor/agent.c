// SPDX-License-Identifier: GPL-2.0-only
/* Checks that ask the agent: does it run, what it warns of, and whether it runs what the file says. */
#include "lbctl/doctor/doctor.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "lbctl/agent.h"
#include "lbctl/peer.h"

static void check_agent(struct doctor *doctor)
{
	if (doctor->status)
		return;
	doctor_found(doctor,
		     "packets flow on as they do, but nothing follows: no change, no next hop, no drain ends",
		     "systemctl start lbd; journalctl -u lbd", "lbd does not answer at %s",
		     doctor->c->socket);
}

static void check_warnings(struct doctor *doctor)
{
	const cJSON *warning;

	cJSON_ArrayForEach (warning, json_get(doctor->status, "warnings"))
		if (cJSON_IsString(warning))
			doctor_found(doctor, "the agent itself warns of it", "lbctl status; lbctl events",
				     "%s", warning->valuestring);
}

#define UNREACHED_MAX 5u /* more of the same tells nothing more */

static void report_unreached(struct doctor *doctor, const cJSON *backend, const cJSON *check)
{
	bool vip = strcmp(json_text(check, "target"), "vip") == 0;
	const cJSON *path = json_get(check, "path");

	if (cJSON_IsString(path))
		doctor_found(doctor, "what its checks say says nothing of the way that packets take",
			     "lbctl health SERVICE BACKEND",
			     "checks of backend %s of %s do not go their way: %s",
			     json_text(backend, "backend"), json_text(backend, "service"), path->valuestring);
	else
		doctor_found(doctor,
			     vip ? "checks take the way of packets: the tunnel does not end there, or nobody "
				   "listens at the VIP"
				 : "nobody listens there",
			     vip ? "on the backend: VIP on lo, rp_filter 0, the tunnel's device; then: lbctl "
				   "health "
				   "SERVICE BACKEND"
				 : "lbctl health SERVICE BACKEND",
			     "backend %s of %s fails its check%s: %s", json_text(backend, "backend"),
			     json_text(backend, "service"), vip ? " through the tunnel" : "",
			     json_text(check, "last_text"));
}

/* Whether lb-checkd reaches the backends, where it runs. */
static void check_reached(struct doctor *doctor)
{
	const struct request request = { .method = "GET", .path = "/v1/health", .key = "backends" };
	_cleanup_(reply_done) struct reply reply = { 0 };
	_cleanup_(cjson_freep) cJSON *error = NULL;
	const cJSON *backend;
	size_t n = 0;

	if (!doctor->status || agent_try(doctor->c, &request, &reply, &error) < 0)
		return;
	cJSON_ArrayForEach (backend, json_get(reply.root, "backends")) {
		const cJSON *check = json_get(backend, "check"), *last = json_get(check, "last");

		if (cJSON_IsString(last) && strcmp(last->valuestring, "ok") != 0 && ++n <= UNREACHED_MAX)
			report_unreached(doctor, backend, check);
	}
	if (n > UNREACHED_MAX)
		doctor_found(doctor, "they are as good as gone", "lbctl health",
			     "%zu backends more fail their checks", n - UNREACHED_MAX);
}

static char *file_text(const char *path, size_t *ret_length)
{
	_cleanup_(fclosep) FILE *file = fopen(path, "re");
	char *text;
	long size;

	if (!file || fseek(file, 0, SEEK_END) < 0 || (size = ftell(file)) < 0)
		return NULL;
	rewind(file);
	text = malloc((size_t)size + 1);
	if (!text)
		lbctl_memory();
	*ret_length = fread(text, 1, (size_t)size, file);
	text[*ret_length] = '\0';
	return text;
}

static void check_drift(struct doctor *doctor)
{
	_cleanup_(freep) char *text = NULL;
	_cleanup_(reply_done) struct reply reply = { 0 };
	_cleanup_(cjson_freep) cJSON *error = NULL;
	struct request request = { .method = "POST", .path = "/v1/diff", .key = "services" };
	int n;

	if (!doctor->status)
		return;
	text = file_text(doctor->config_file, &request.length);
	request.body = text;
	if (!text || agent_try(doctor->c, &request, &reply, &error) < 0)
		return;
	n = cJSON_GetArraySize(json_get(reply.root, "services"));
	if (n || cJSON_GetArraySize(json_get(reply.root, "changes")))
		doctor_found(doctor,
			     "the next reload, or start after the file was touched, changes what runs",
			     "lbctl diff -f FILE, then lbctl apply -f FILE, or write what runs into the file",
			     "what runs differs from %s (%d service%s)", doctor->config_file, n,
			     n == 1 ? "" : "s");
}

/* --peer: whether it and the other one build the same rings. */
static void check_peer(struct doctor *doctor)
{
	const char *url = doctor->c->option[OPTION_PEER];
	_cleanup_(cjson_freep) cJSON *list = NULL;
	_cleanup_(cjson_freep) cJSON *error = NULL;
	const cJSON *item;
	size_t services;

	if (!url || !doctor->status)
		return;
	list = peer_differences(doctor->c, url, &services, &error);
	if (!list)
		doctor_found(doctor, "whether both build the same rings cannot be told",
			     "set api.metrics of that balancer to an address that this host reaches",
			     "the balancer at %s does not tell of its rings", url);
	cJSON_ArrayForEach (item, list)
		doctor_found(
			doctor, "a flow that moves between the two may find another backend there, and break",
			"have both run the same weir.json: lbctl apply", "%s: %s", url, item->valuestring);
}

const struct check doctor_agent_checks[] = {
	{ "agent", "lbd answers", check_agent, false, false },
	{ "warnings", "what lbd warns of", check_warnings, false, false },
	{ "reached", "checks of backends, through the tunnel", check_reached, false, false },
	{ "drift", "file and what runs", check_drift, true, false },
	{ "peer", "another balancer's rings (--peer URL)", check_peer, false, false },
	{ NULL, NULL, NULL, false, false },
};
