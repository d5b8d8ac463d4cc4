// SPDX-License-Identifier: GPL-2.0-only
/*
 * From services and backends to announced VIPs. Looked at when something changed, and then all of it: what is
 * compared with the kernel's tables cannot drift from them.
 */
#include "lbd/announce/announce.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "announce/announce.h"
#include "base/cleanup.h"
#include "lbd/announce/lan.h"
#include "lbd/announce/routes.h"
#include "lbd/clock.h"
#include "lbd/health/health.h"
#include "lbd/lbd.h"
#include "lbd/log.h"
#include "lbd/metrics/exposition.h"
#include "lbd/stats/stats.h"

#define NOTE           "left" /* in the state directory: what a restart must know */
#define QUIET_MS       5000u
#define WITHDRAWN_MS   60000u
#define RESTORE_LOG_MS 10000u /* what others remove again and again is told of so often */

/* One VIP, with the services that want it announced. */
struct announced {
	struct lb_prefix prefix;
	struct lb_announce_vip vip;
	struct lb_announce_service *services; /* owned; of the running look */
	size_t n_services;
	bool told;    /* the kernel's tables say what vip.state says */
	bool claimed; /* by the configuration, in the running look */
	__u8 ways;    /* that the configuration wants: bits of enum lb_announce_by */
	__u8 ways_told;
};

struct announce {
	struct routes routes;
	struct announced *vips; /* owned, sorted by prefix */
	size_t n_vips, capacity;
	struct lb_leave leave;
	sd_event_source *look;  /* deferred */
	sd_event_source *later; /* a hold-down ends */
	__u64 restored_ms;      /* when a restored route was last told of */
};

static int compare_prefixes(const struct lb_prefix *a, const struct lb_prefix *b)
{
	return memcmp(a, b, sizeof(*a));
}

/* The VIP's place, or where it would be. */
static size_t place_of(const struct announce *announce, const struct lb_prefix *prefix, bool *ret_found)
{
	size_t low = 0, high = announce->n_vips;

	while (low < high) {
		size_t middle = (low + high) / 2;
		int order = compare_prefixes(&announce->vips[middle].prefix, prefix);

		if (order == 0) {
			*ret_found = true;
			return middle;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*ret_found = false;
	return low;
}

/* The VIP, made if need be; NULL: out of memory. */
static struct announced *vip_get(struct announce *announce, const struct lb_prefix *prefix)
{
	bool found;
	size_t at = place_of(announce, prefix, &found);
	struct announced *vips = announce->vips;

	if (found)
		return &vips[at];
	if (announce->n_vips == announce->capacity) {
		size_t capacity = announce->capacity ? 2 * announce->capacity : 16;

		vips = realloc(vips, capacity * sizeof(*vips));
		if (!vips)
			return NULL;
		announce->vips = vips;
		announce->capacity = capacity;
	}
	memmove(&vips[at + 1], &vips[at], (announce->n_vips - at) * sizeof(*vips));
	vips[at] = (struct announced){ .prefix = *prefix, .told = true };
	announce->n_vips++;
	return &vips[at];
}

/* --- what is wanted --------------------------------------------------------------------------------------
 */

/* Those that serve only because all fail are none. */
static __u32 active_backends(const struct lbd *lbd, const struct lb_service_view *view)
{
	__u32 active = 0, passing = health_passing(lbd, view->config->name);

	for (size_t i = 0; i < view->n_backends; i++) {
		const struct lb_backend_view *backend = &view->backends[i];

		active += !backend->leaving && backend->state == LB_STATE_ACTIVE && backend->weight &&
			  backend->nexthop.resolved;
	}
	return active < passing ? active : passing;
}

static __u8 way(enum lb_announce_by by)
{
	return by == LB_ANNOUNCE_BY_NONE ? 0 : (__u8)(1u << by);
}

static int claim(struct lbd *lbd, const struct lb_service_view *view)
{
	struct announce *announce = lbd->announce;
	const struct lb_config_service *config = view->config;
	struct announced *vip = vip_get(announce, &config->vip);
	struct lb_announce_service *services;

	if (!vip)
		return -ENOMEM;
	services = realloc(vip->services, (vip->n_services + 1) * sizeof(*services));
	if (!services)
		return -ENOMEM;
	vip->services = services;
	services[vip->n_services++] = (struct lb_announce_service){ .active = active_backends(lbd, view),
								    .min_active = config->min_active,
								    .on_empty = config->on_empty };
	vip->claimed = true;
	vip->ways |= way(config->announce);
	return 0;
}

static int claim_all(struct lbd *lbd)
{
	struct announce *announce = lbd->announce;
	const struct lb_config *config = lbd->running.config;
	int r = 0;

	for (size_t i = 0; i < announce->n_vips; i++) {
		announce->vips[i].claimed = false;
		announce->vips[i].n_services = 0;
		announce->vips[i].ways = 0;
	}
	for (size_t i = 0; r == 0 && i < config->n_services; i++) {
		struct lb_service_view view;

		if (config->services[i].announce == LB_ANNOUNCE_BY_NONE)
			continue;
		if (lb_engine_service_by_name(lbd->engine, config->services[i].name, &view) == 0 &&
		    view.config)
			r = claim(lbd, &view);
	}
	return r;
}

static bool is_attached(const struct lbd *lbd)
{
	for (size_t i = 0; i < lbd->n_attachments; i++)
		if (lbd->attachments[i].by != ATTACHED_NOT)
			return true;
	return false;
}

static void tell(struct lbd *lbd, const struct announced *vip, enum lb_announce_state before)
{
	char text[LB_PREFIX_TEXT_MAX];

	events_add(&lbd->events, LOG_LEVEL_NOTICE, "announce", "vip=%s from=%s to=%s why=\"%s\"",
		   lb_prefix_text(&vip->prefix, text), lb_announce_state_name(before),
		   lb_announce_state_name(vip->vip.state), vip->vip.why);
}

/* By route, where that is or was wanted. 0 or -errno. */
static int show_route(struct lbd *lbd, const struct announced *vip)
{
	bool wanted = vip->ways & way(LB_ANNOUNCE_BY_ROUTE);

	if (!wanted && !(vip->ways_told & way(LB_ANNOUNCE_BY_ROUTE)))
		return 0;
	return routes_set(&lbd->announce->routes, &vip->prefix,
			  wanted ? vip->vip.state : LB_ANNOUNCE_WITHDRAWN);
}

static int show_on_lan(struct lbd *lbd, const struct announced *vip)
{
	if (vip->ways & way(LB_ANNOUNCE_BY_NEIGHBOR))
		return lan_set(lbd, &vip->prefix, vip->vip.state);
	if (vip->ways_told & way(LB_ANNOUNCE_BY_NEIGHBOR))
		lan_forget(lbd, &vip->prefix);
	return 0;
}

/* Has the kernel's tables say what was decided. */
static void show(struct lbd *lbd, struct announced *vip)
{
	int r = show_route(lbd, vip), on_lan = show_on_lan(lbd, vip);
	char text[LB_PREFIX_TEXT_MAX];

	r = r < 0 ? r : on_lan;
	vip->told = r == 0;
	if (vip->told)
		vip->ways_told = vip->ways;
	if (r < 0)
		events_add(&lbd->events, LOG_LEVEL_ERROR, "announce", "vip=%s error=\"%s\"",
			   lb_prefix_text(&vip->prefix, text), strerror(-r));
}

static void decide_all(struct lbd *lbd, __u64 *ret_again_ms)
{
	const struct lb_config *config = lbd->running.config;
	struct announce *announce = lbd->announce;
	const struct lb_announce_host host = {
		.member = announce->leave.member,
		.attached = is_attached(lbd),
		.serve_if = config->announce.serve_if,
		.hold_down_ms = config->announce.hold_down_s * 1000ull,
	};
	__u64 now = now_ms(), again;

	*ret_again_ms = 0;
	for (size_t i = 0; i < announce->n_vips; i++) {
		struct announced *vip = &announce->vips[i];
		enum lb_announce_state before = vip->vip.state;

		if (lb_announce_decide(&vip->vip, &host, vip->services, vip->n_services, now, &again)) {
			vip->told = false;
			tell(lbd, vip, before);
		}
		if (!vip->told || vip->ways != vip->ways_told)
			show(lbd, vip);
		if (again && (!*ret_again_ms || again < *ret_again_ms))
			*ret_again_ms = again;
	}
}

/* What nobody wants and nobody is told of any more. */
static void forget_gone(struct announce *announce)
{
	size_t kept = 0;

	for (size_t i = 0; i < announce->n_vips; i++) {
		struct announced *vip = &announce->vips[i];

		if (vip->claimed || vip->vip.state != LB_ANNOUNCE_WITHDRAWN || !vip->told)
			announce->vips[kept++] = *vip;
		else
			free(vip->services);
	}
	announce->n_vips = kept;
}

static int on_look(sd_event_source *source, void *context)
{
	struct lbd *lbd = context;
	struct announce *announce = lbd->announce;
	__u64 again;

	announce->routes.table = lbd->running.config->announce.table;
	announce->routes.draining_table = lbd->running.config->announce.draining_table;
	if (claim_all(lbd) < 0) {
		log_error("event=announce error=\"out of memory\"");
		return 0;
	}
	decide_all(lbd, &again);
	forget_gone(announce);
	lan_update(lbd);
	if (!again)
		return sd_event_source_set_enabled(announce->later, SD_EVENT_OFF);
	sd_event_source_set_time(announce->later, again * 1000);
	return sd_event_source_set_enabled(announce->later, SD_EVENT_ONESHOT);
}

static int on_later(sd_event_source *source, uint64_t usec, void *context)
{
	announce_changed(context);
	return 0;
}

void announce_changed(struct lbd *lbd)
{
	if (lbd->announce)
		sd_event_source_set_enabled(lbd->announce->look, SD_EVENT_ONESHOT);
}

/* --- what is there ---------------------------------------------------------------------------------------
 */

/* At a start: what the network was told before. */
static void remember(void *context, const struct lb_prefix *prefix, enum lb_announce_state state,
		     bool partial)
{
	struct lbd *lbd = context;
	struct announced *vip = vip_get(lbd->announce, prefix);

	if (!vip)
		return;
	vip->vip.state = state;
	vip->told = !partial;
	vip->ways_told |= way(LB_ANNOUNCE_BY_ROUTE);
}

static void remember_on_lan(void *context, const struct lb_prefix *prefix, enum lb_announce_state state)
{
	struct lbd *lbd = context;
	struct announced *vip = vip_get(lbd->announce, prefix);

	if (!vip)
		return;
	if (vip->vip.state == LB_ANNOUNCE_WITHDRAWN)
		vip->vip.state = state;
	vip->told &= vip->vip.state == state;
	vip->ways_told |= way(LB_ANNOUNCE_BY_NEIGHBOR);
}

static void found(void *context, const struct lb_prefix *prefix, enum lb_announce_state state, bool partial)
{
	struct lbd *lbd = context;
	bool known;
	size_t at = place_of(lbd->announce, prefix, &known);

	if (known && lbd->announce->vips[at].vip.state == state && !partial)
		lbd->announce->vips[at].told = true;
	else if (!known)
		remember(context, prefix, state, true);
}

/* Somebody changed the tables, we or others (systemd-networkd removes what it does not know). */
static void on_routes(void *context)
{
	struct lbd *lbd = context;
	struct announce *announce = lbd->announce;
	bool missing = false;

	for (size_t i = 0; i < announce->n_vips; i++)
		announce->vips[i].told = announce->vips[i].vip.state == LB_ANNOUNCE_WITHDRAWN ||
					 !(announce->vips[i].ways_told & way(LB_ANNOUNCE_BY_ROUTE));
	if (routes_list(&announce->routes, found, lbd) < 0)
		return;
	for (size_t i = 0; i < announce->n_vips; i++)
		missing |= !announce->vips[i].told;
	if (!missing)
		return;
	if (!announce->restored_ms || now_ms() - announce->restored_ms >= RESTORE_LOG_MS) {
		events_add(&lbd->events, LOG_LEVEL_WARNING, "announce",
			   "others removed or replaced routes of announced VIPs; they are put back");
		announce->restored_ms = now_ms();
	}
	announce_changed(lbd);
}

/* --- leaving and joining ---------------------------------------------------------------------------------
 */

static __u64 packets_balanced(struct lbd *lbd)
{
	struct stats_totals sum;

	stats_all(&lbd->maps.tables, &sum);
	return sum.tx + sum.redirect;
}

static __u32 unsettled_slots(struct lbd *lbd)
{
	__u32 unsettled = 0;
	struct lb_service_view view;

	for (size_t i = 0; lb_engine_service(lbd->engine, i, &view) == 0; i++)
		unsettled += view.unsettled_slots;
	return unsettled;
}

static int keep_note(struct lbd *lbd, struct lb_error *error)
{
	enum lb_fleet member = lbd->announce->leave.member;
	int r = store_put_note(&lbd->store, NOTE, member == LB_FLEET_JOINED ? "joined" : "left");

	if (r < 0)
		return lb_error_set(error, -r, "Failed to write down that this balancer has %s: %s",
				    member == LB_FLEET_JOINED ? "joined" : "left", strerror(-r));
	return 0;
}

static void moved(struct lbd *lbd, enum lb_fleet from)
{
	const struct lb_leave *leave = &lbd->announce->leave;

	events_add(&lbd->events, LOG_LEVEL_NOTICE, "fleet", "from=%s to=%s%s", lb_fleet_name(from),
		   lb_fleet_name(leave->member), leave->gave_up ? " why=\"its time was over\"" : "");
	announce_changed(lbd);
}

void announce_tick(struct lbd *lbd)
{
	struct announce *announce = lbd->announce;
	enum lb_fleet before;
	struct lb_leave_limits limits = { .quiet_ms = QUIET_MS, .withdrawn_ms = WITHDRAWN_MS };

	if (announce)
		lan_update(lbd);
	if (!announce || announce->leave.member == LB_FLEET_JOINED || announce->leave.member == LB_FLEET_LEFT)
		return;
	limits.drain_ms = lbd->running.config->announce.drain_s * 1000ull;
	limits.settle_ms = lbd->running.config->announce.leave_limit_s * 1000ull;
	before = announce->leave.member;
	if (lb_leave_step(&announce->leave, &limits, unsettled_slots(lbd), packets_balanced(lbd), now_ms()))
		moved(lbd, before);
}

/* Leaves or joins, and writes it down: what could not be written down is not done. */
static int change_fleet(struct lbd *lbd, void (*change)(struct lb_leave *leave, __u64 now_ms),
			struct lb_error *error)
{
	struct lb_leave *leave = &lbd->announce->leave, before = *leave;
	int r;

	change(leave, now_ms());
	if (leave->member == before.member)
		return 0;
	r = keep_note(lbd, error);
	if (r < 0)
		*leave = before;
	else
		moved(lbd, before.member);
	return r;
}

int announce_leave(struct lbd *lbd, struct lb_error *error)
{
	return change_fleet(lbd, lb_leave_begin, error);
}

int announce_join(struct lbd *lbd, struct lb_error *error)
{
	return change_fleet(lbd, lb_leave_join, error);
}

/* --- life ------------------------------------------------------------------------------------------------
 */

static int open_timers(struct lbd *lbd)
{
	struct announce *announce = lbd->announce;
	int r = sd_event_add_defer(lbd->event, &announce->look, on_look, lbd);

	if (r >= 0)
		r = sd_event_add_time(lbd->event, &announce->later, CLOCK_MONOTONIC, 0, 1000, on_later, lbd);
	if (r >= 0)
		r = sd_event_source_set_enabled(announce->later, SD_EVENT_OFF);
	return r;
}

int announce_open(struct lbd *lbd, struct lb_error *error)
{
	struct announce *announce = calloc(1, sizeof(*announce));
	char note[16] = "";
	int r;

	if (!announce)
		return lb_error_set(error, ENOMEM, "out of memory");
	lbd->announce = announce;
	announce->routes.table = lbd->running.config->announce.table;
	announce->routes.draining_table = lbd->running.config->announce.draining_table;
	if (store_get_note(&lbd->store, NOTE, note, sizeof(note)) == 0 && strncmp(note, "left", 4) == 0)
		announce->leave.member = LB_FLEET_LEFT;
	r = routes_open(&announce->routes, lbd->event, on_routes, lbd, error);
	if (r < 0)
		return r;
	r = routes_list(&announce->routes, remember, lbd);
	lan_list(lbd, remember_on_lan, lbd);
	if (r == 0)
		r = open_timers(lbd);
	if (r < 0)
		return lb_error_set(error, -r, "Failed to read the routes of announced VIPs: %s",
				    strerror(-r));
	lbd->links_changed = announce_changed;
	announce_changed(lbd);
	return 0;
}

void announce_close(struct lbd *lbd)
{
	struct announce *announce = lbd->announce;

	if (!announce)
		return;
	routes_close(&announce->routes);
	sd_event_source_disable_unref(announce->look);
	sd_event_source_disable_unref(announce->later);
	for (size_t i = 0; i < announce->n_vips; i++)
		free(announce->vips[i].services);
	free(announce->vips);
	free(announce);
	lbd->links_changed = NULL;
	lbd->announce = NULL;
}

void announce_write(struct lbd *lbd, struct json *json)
{
	const struct announce *announce = lbd->announce;
	char text[LB_PREFIX_TEXT_MAX];

	json_object(json, "announce");
	json_string(json, "fleet", lb_fleet_name(announce->leave.member));
	json_array(json, "vips");
	for (size_t i = 0; i < announce->n_vips; i++) {
		const struct announced *vip = &announce->vips[i];

		json_object(json, NULL);
		json_string(json, "vip", lb_prefix_text(&vip->prefix, text));
		json_string(json, "state", lb_announce_state_name(vip->vip.state));
		json_string(json, "why", vip->vip.why);
		json_bool(json, "told", vip->told);
		json_array(json, "by");
		if (vip->ways & way(LB_ANNOUNCE_BY_ROUTE))
			json_string(json, NULL, "route");
		if (vip->ways & way(LB_ANNOUNCE_BY_NEIGHBOR))
			json_string(json, NULL, "neighbor");
		json_array_end(json);
		json_object_end(json);
	}
	json_array_end(json);
	lan_write(lbd, json);
	json_object_end(json);
}

void announce_metrics(struct lbd *lbd, struct json *parts)
{
	const struct announce *announce = lbd->announce;
	__u64 vips[3] = {};
	struct metric_labels labels;

	if (!announce)
		return;
	for (size_t i = 0; i < announce->n_vips; i++)
		vips[announce->vips[i].vip.state]++;
	metric_u64(parts, METRIC_FLEET_MEMBER, NULL, announce->leave.member == LB_FLEET_JOINED);
	metric_labels_begin(&labels);
	for (enum lb_announce_state state = LB_ANNOUNCE_WITHDRAWN; state <= LB_ANNOUNCE_DRAINING; state++)
		metric_u64_of(parts, METRIC_ANNOUNCED_VIPS, &labels, "state", lb_announce_state_name(state),
			      vips[state]);
	metric_u64(parts, METRIC_LAN_UNLED, NULL, lan_is_unled(lbd));
}
