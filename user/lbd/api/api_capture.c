// SPDX-License-Identifier: GPL-2.0-only
/*
 * GET /v1/capture: packets as pcapng, for as long as the client stays.
 */
#include "lbd/api/api.h"

#include <errno.h>
#include <string.h>

#include "lbd/capture/capture.h"

#define SECONDS_MAX (7 * 86400ull)

static int find_service(struct api_call *call, const char *name, struct capture_wish *wish,
			struct lb_error *error)
{
	struct lb_service_view view;

	if (lb_engine_service_by_name(call->lbd->engine, name, &view) < 0)
		return lb_error_at(error, ESRCH, "service", name, "there is no service \"%s\"", name);
	wish->filter.service = view.id;
	wish->filter.by |= LB_CAPTURE_BY_SERVICE;
	snprintf(wish->service, sizeof(wish->service), "%s", view.name);
	return 0;
}

/* Names of backends are their services': without a service there must be only one of the name. */
static int find_backend(struct api_call *call, const char *name, struct capture_wish *wish,
			struct lb_error *error)
{
	size_t services = lb_engine_services(call->lbd->engine), found = 0;

	for (size_t i = 0; i < services; i++) {
		struct lb_service_view view;

		if (lb_engine_service(call->lbd->engine, i, &view) < 0 ||
		    (wish->service[0] && strcmp(wish->service, view.name) != 0))
			continue;
		for (size_t j = 0; j < view.n_backends; j++) {
			if (strcmp(view.backends[j].name, name) != 0)
				continue;
			/* The same one, where services share a ring. */
			found += !found || wish->filter.backend != view.backends[j].id;
			wish->filter.backend = view.backends[j].id;
		}
	}
	if (!found)
		return lb_error_at(error, ESRCH, "backend", name, "there is no backend \"%s\"%s%s", name,
				   wish->service[0] ? " in the service " : "", wish->service);
	if (found > 1)
		return lb_error_at(error, EINVAL, "backend", name,
				   "several services have a backend \"%s\": name the service as well", name);
	wish->filter.by |= LB_CAPTURE_BY_BACKEND;
	snprintf(wish->backend, sizeof(wish->backend), "%s", name);
	return 0;
}

static int read_wish(struct api_call *call, struct capture_wish *wish, struct lb_error *error)
{
	const char *service = http_query(call->request, "service");
	const char *backend = http_query(call->request, "backend");
	const char *flow = http_query(call->request, "flow");
	char who[API_WHO_MAX];
	int r = api_number(call, "count", 0, &wish->packets, error);

	if (r == 0)
		r = api_number(call, "seconds", 0, &wish->seconds, error);
	if (r == 0 && wish->seconds > SECONDS_MAX)
		r = lb_error_at(error, EINVAL, "seconds", http_query(call->request, "seconds"),
				"seconds must be %llu at most", SECONDS_MAX);
	if (r == 0 && service)
		r = find_service(call, service, wish, error);
	if (r == 0 && backend)
		r = find_backend(call, backend, wish, error);
	if (r == 0 && flow)
		r = capture_parse_flow(flow, &wish->filter, error);
	if (r == 0 && api_flag(call, "drops"))
		wish->filter.by |= LB_CAPTURE_BY_DROP;
	snprintf(wish->text, sizeof(wish->text), "service=%s backend=%s flow=%.100s drops=%s%s",
		 service ? wish->service : "any", backend ? wish->backend : "any", flow ? flow : "any",
		 wish->filter.by & LB_CAPTURE_BY_DROP ? "yes" : "no", api_who(call, who));
	return r;
}

int api_capture(struct api_call *call, struct lb_error *error)
{
	struct capture_wish wish = {};
	int r = read_wish(call, &wish, error);

	if (r == 0)
		r = capture_start(call->lbd, &wish, &call->answer->stream, error);
	call->answer->type = r < 0 ? NULL : "application/x-pcapng";
	call->answer->lasting = true;
	call->whole = r == 0;
	return r;
}
