// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which checks go through the packet path, by which record, and whether they do: a result counts only if the
 * program saw a packet of its target since the check began. Whatever else may answer for a VIP on this host
 * (an address of its own, another's NAT, a route) is thereby never read as a backend's health.
 */
#include "engine/vip_table.h"
#include "lbd/clock.h"
#include "lbd/health/health_internal.h"
#include "lbd/kernel/check_device.h"
#include "lbd/kernel/check_path.h"

#define MEMBERS_MAX 512 /* looked at again in one turn of the clock */
#define REPAIR_NS   (1000 * LB_NS_PER_MS)

static const char *const texts[] = {
	[LB_PATH_WELL] = "",
	[LB_PATH_IS_LOCAL] = "the VIP is an address of this host: what answers there is no backend",
	[LB_PATH_MISSING] = "the packet path for checks could not be made (event: checks)",
	[LB_PATH_MAY_NOT_MARK] = "lb-checkd may not mark its packets: it needs CAP_NET_RAW",
	[LB_PATH_ASTRAY] = "packets of the check go another way than by " CHECK_DEVICE
			   ": a rule, a route or NAT of others",
	[LB_PATH_STRICT] = "answers from the VIP may be dropped here: rp_filter is 1 on the interface to the "
			   "backend; 2 lets "
			   "them in",
};

const char *path_trouble_text(enum path_trouble trouble)
{
	return texts[trouble];
}

static bool wants_path(const struct health_target *target)
{
	return target && !target->removing && target->check.target == LB_CHECK_TARGET_VIP;
}

/* --- what the host says ----------------------------------------------------------------------------------
 */

static bool is_own(const struct lbd *lbd, const struct lb_address *address)
{
	size_t n;
	const struct lb_host_address *own = lb_nexthops_addresses(lbd->netlink.nexthops, &n);

	for (size_t i = 0; i < n; i++) {
		if (lb_address_equal(&own[i].address, address))
			return true;
	}
	return false;
}

static bool is_link_local(const struct lb_address *address)
{
	return address->family == LB_FAMILY_V6 && address->bytes[0] == 0xfe &&
	       (address->bytes[1] & 0xc0) == 0x80;
}

/* The address that backends answer to: that of the way to them, or one of its interface in the VIP's family;
 * family 0: the kernel's choice. */
static struct lb_address source_for(const struct lbd *lbd, const struct lb_nexthop_state *way, __u8 family)
{
	size_t n;
	const struct lb_host_address *own = lb_nexthops_addresses(lbd->netlink.nexthops, &n);

	if (way->source_address.family == family)
		return way->source_address;
	for (size_t i = 0; i < n; i++) {
		if (own[i].ifindex == way->ifindex && own[i].address.family == family &&
		    !is_link_local(&own[i].address))
			return own[i].address;
	}
	return (struct lb_address){};
}

static int read_rp_filter(const char *name)
{
	char path[96];
	FILE *file;
	int value = 0;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/rp_filter", name);
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (fscanf(file, "%d", &value) != 1)
		value = 0;
	fclose(file);
	return value;
}

/* The stricter of both counts (ip-sysctl). Kept for the interface that was asked of last. */
static bool is_strict(struct health *health, int ifindex, __u64 now_ns)
{
	const struct lb_link *link = lb_nexthops_link(health->lbd->netlink.nexthops, ifindex);
	int all, own;

	if (!link)
		return false;
	if (health->rp_ifindex == ifindex && now_ns < health->rp_ns + REPAIR_NS)
		return health->rp_strict;
	all = read_rp_filter("all");
	own = read_rp_filter(link->name);
	health->rp_ifindex = ifindex;
	health->rp_ns = now_ns;
	health->rp_strict = (all > own ? all : own) == 1;
	return health->rp_strict;
}

/* --- a target --------------------------------------------------------------------------------------------
 */

static void enter(struct health *health, struct health_target *target, const struct lb_check_target *entry)
{
	if (target->entered && memcmp(&target->entry, entry, sizeof(*entry)) == 0)
		return;
	target->entry = *entry;
	target->entered = check_path_set(health->path, target->id, entry) == 0;
	if (!target->entered)
		target->trouble = LB_PATH_MISSING;
}

static enum path_trouble trouble_of(const struct health *health, const struct health_target *target,
				    bool is_local)
{
	__u8 family = target->check.address.family;

	if (is_local)
		return LB_PATH_IS_LOCAL;
	if (!health->path || !check_path_leads(health->path, family))
		return LB_PATH_MISSING;
	return health->may_not_mark ? LB_PATH_MAY_NOT_MARK : LB_PATH_WELL;
}

/* How it is asked now: told to lb-checkd where that is another way than before. */
static void settle(struct health *health, struct health_target *target, struct lb_check_target *entry,
		   bool is_local)
{
	struct lb_nexthop_state way;
	struct lb_address source;
	bool direct, held;

	lb_nexthops_get(health->lbd->netlink.nexthops, &target->check.via, now_ms(), &way);
	direct = way.resolved && way.local; /* the backend is this host */
	target->trouble = direct ? LB_PATH_WELL : trouble_of(health, target, is_local);
	if (!direct && target->trouble == LB_PATH_WELL)
		enter(health, target, entry);
	held = target->trouble != LB_PATH_WELL;
	source = source_for(health->lbd, &way, target->check.address.family);
	if (!way.resolved)
		source = target->source;
	target->strict = target->check.address.family == LB_FAMILY_V4 && way.ifindex &&
			 is_strict(health, way.ifindex, lb_now_ns());
	if (target->direct == direct && target->held == held && lb_address_equal(&target->source, &source))
		return;
	target->direct = direct;
	target->held = held;
	target->source = source;
	target->doubt = LB_PATH_WELL;
	target->generation = ++health->generation; /* nothing of the other way counts */
	link_queue(health, target);
}

/* --- a service -------------------------------------------------------------------------------------------
 */

static void tell(struct health *health, struct health_service *service, enum path_trouble trouble)
{
	if (service->path_trouble == trouble)
		return;
	service->path_trouble = trouble;
	events_add(&health->lbd->events, trouble ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO, "checks",
		   "service=%s %s%s%s", service->name, trouble ? "not_checked cause=\"" : "checked=again",
		   texts[trouble], trouble ? "\"" : "");
}

static void settle_member(struct health *health, struct health_service *service, struct health_member *member,
			  const __u64 key[3], __u32 index, enum path_trouble *worst)
{
	struct health_target *target = member->target;
	struct lb_check_target entry = { .index = index };

	memcpy(entry.key, key, sizeof(entry.key));
	memcpy(entry.address, target->check.address.bytes, sizeof(entry.address));
	/* Of several services that ask the same of the same backend, the first one's record. */
	if (target->members == member)
		settle(health, target, &entry, service->vip_is_own);
	if (path_trouble_of(target) > *worst)
		*worst = path_trouble_of(target);
}

static struct health_member *member_of(struct health_service *service, const char *name, size_t near)
{
	if (near < service->n_members && strcmp(service->members[near].name, name) == 0)
		return &service->members[near];
	for (size_t i = 0; i < service->n_members; i++) {
		if (strcmp(service->members[i].name, name) == 0)
			return &service->members[i];
	}
	return NULL;
}

static void settle_service(struct health *health, struct health_service *service)
{
	enum path_trouble worst = LB_PATH_WELL;
	__u64 keys[LB_VIP_KEYS_MAX][3];
	struct lb_service_view view;
	struct lb_service_key key;

	if (lb_engine_service_by_name(health->lbd->engine, service->name, &view) < 0 || !view.config)
		return;
	lb_service_key_of(view.config, &key);
	lb_vip_expand(&key, keys);
	service->vip_is_own = false;
	for (size_t i = 0; i < service->n_members && !service->vip_is_own; i++) {
		if (wants_path(service->members[i].target))
			service->vip_is_own = is_own(health->lbd, &service->members[i].target->check.address);
	}
	for (size_t i = 0; i < view.n_backends; i++) {
		const struct lb_backend_view *backend = &view.backends[i];
		struct health_member *member = backend->leaving ? NULL : member_of(service, backend->name, i);

		if (member && wants_path(member->target))
			settle_member(health, service, member, keys[0], backend->index, &worst);
	}
	tell(health, service, worst);
}

/* --- all -------------------------------------------------------------------------------------------------
 */

/* What the kernel needs for it, as far as it is missing. In a task: the loop turns meanwhile. */
static void put_up(struct health *health)
{
	struct check_path *had = health->path;
	struct lb_error error = {};
	int r = check_path_up(health->lbd, health->next_id, &health->path, &error);

	if (r < 0 && strcmp(health->path_error, error.text) != 0)
		events_told(&health->lbd->events, LOG_LEVEL_ERROR, "checks", "error", error.text);
	snprintf(health->path_error, sizeof(health->path_error), "%s", r < 0 ? error.text : "");
	if (health->path == had)
		return;
	for (struct health_target *target = health->targets; target; target = target->hh.next)
		target->entered = false;
	link_path(health);
}

/* Somebody may have taken away what leads packets there, and the kernel is not asked in the loop: each answer
 * of it may wait for whoever changes interfaces. */
static void repair(void *context)
{
	struct health *health = context;

	if (health->path || health->path_error[0])
		put_up(health);
}

void path_settle(struct health *health)
{
	for (struct health_service *service = health->services; service; service = service->hh.next) {
		if (service->uses_path)
			settle_service(health, service);
	}
}

void path_configure(struct health *health)
{
	size_t n = 0;

	for (struct health_service *service = health->services; service; service = service->hh.next) {
		service->uses_path = false;
		for (size_t i = 0; i < service->n_members && !service->uses_path; i++)
			service->uses_path = wants_path(service->members[i].target);
		n += service->uses_path;
	}
	health->path_turn = health->services;
	if (!n) {
		path_close(health);
		return;
	}
	put_up(health);
	health->path_ns = lb_now_ns();
	path_settle(health);
}

void path_tick(struct health *health, __u64 now_ns)
{
	size_t members = 0;

	if (!health->path && !health->path_error[0])
		return;
	if (now_ns > health->path_ns + REPAIR_NS) {
		health->path_ns = now_ns;
		task_call(health->lbd->tasks, &health->repair, repair, health);
	}
	while (health->path_turn && members < MEMBERS_MAX) {
		if (health->path_turn->uses_path) {
			settle_service(health, health->path_turn);
			members += health->path_turn->n_members;
		} else {
			members++;
		}
		health->path_turn = health->path_turn->hh.next;
	}
	if (!health->path_turn)
		health->path_turn = health->services;
	if (health->first_unsent && !health->blocked)
		link_flush(health);
}

void path_forget(struct health *health, struct health_target *target)
{
	if (health->path && target->entered)
		check_path_unset(health->path, target->id);
	target->entered = false;
}

void path_close(struct health *health)
{
	if (health->path || !health->path_looked)
		check_path_down(health->path);
	health->path_looked = true;
	health->path = NULL;
	health->path_error[0] = '\0';
}

enum lb_outcome path_judge(const struct health *health, struct health_target *target,
			   const struct lb_result *result)
{
	if (!wants_path(target) || target->direct || result->outcome == LB_OUTCOME_NONE ||
	    result->outcome == LB_OUTCOME_LIMITED)
		return result->outcome;
	target->doubt = LB_PATH_WELL;
	if (!health->path || !check_path_saw(health->path, target->id, result->begin_ns))
		target->doubt = LB_PATH_ASTRAY;
	else if (result->outcome != LB_OUTCOME_TIMEOUT)
		target->answered = true;
	else if (target->strict && !target->answered)
		target->doubt = LB_PATH_STRICT;
	return target->doubt ? LB_OUTCOME_NONE : result->outcome;
}
