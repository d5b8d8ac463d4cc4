// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loading lb_check over the tables of the packet path, and keeping it where marked packets are led to. Done
 * in tasks, and what the kernel makes wait beside the loop.
 */
#include "lbd/kernel/check_path.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "health/message.h"
#include "lbd/kernel/check_device.h"
#include "lbd/kernel/flat_tables.h"
#include "lbd/lbd.h"

#include "lb_check.skel.h"

/* Our place among the filters of clsact egress. */
#define TC_HANDLE   1
#define TC_PRIORITY 1
/* The guard's, on the interfaces of packets. */
#define TC_GUARD_PRIORITY 6081

#define ROOM_MIN 16384u /* targets */

/* An interface that the guard is on. */
struct guarded {
	int ifindex; /* 0: free */
	bool made;   /* clsact, by us */
};

struct check_path {
	struct lb_check_bpf *skeleton;
	struct check_device device;
	struct lb_config_checker settings;
	struct guarded guarded[LB_PORTS_MAX];
	size_t room;
	__u32 control_id;  /* the kernel's, of the lb_control that its programs look into */
	const __u64 *seen; /* lb_check_seen; room of them */
};

/* --- the program -----------------------------------------------------------------------------------------
 */

/* The tables that it has in common with the packet path; it does without the others. */
static int reuse_maps(const struct maps *maps, struct bpf_object *object)
{
	int r = 0;

	for (size_t i = 0; i < maps->n && r == 0; i++) {
		struct bpf_map *map = maps_find(object, maps->name[i]);

		r = map ? bpf_map__reuse_fd(map, maps->fd[i]) : 0;
	}
	return r;
}

struct loading {
	const struct lbd *lbd;
	size_t room;
	struct lb_check_bpf *skeleton;
	struct lb_error error;
	int r;
};

static int load(const struct lbd *lbd, size_t room, struct lb_check_bpf **ret_skeleton,
		struct lb_error *error)
{
	struct lb_check_bpf *skeleton = lb_check_bpf__open();
	int r;

	if (!skeleton)
		return lb_error_set(error, errno, "Failed to open the program of checks: %m");
	lb_flat_constants(skeleton->rodata, &lbd->maps.tables.sizes, lbd->maps.flat);
	bpf_map__set_max_entries(skeleton->maps.lb_check_targets, (__u32)room);
	bpf_map__set_max_entries(skeleton->maps.lb_check_seen, (__u32)room);
	r = reuse_maps(&lbd->maps, skeleton->obj);
	maps_messages_clear();
	if (r == 0)
		r = lb_check_bpf__load(skeleton);
	if (r < 0) {
		lb_error_set(error, -r, "the kernel refuses the program of checks: %s (%s)", strerror(-r),
			     maps_message());
		lb_check_bpf__destroy(skeleton);
		return r;
	}
	*ret_skeleton = skeleton;
	return 0;
}

static void load_beside(void *context)
{
	struct loading *loading = context;

	loading->r = load(loading->lbd, loading->room, &loading->skeleton, &loading->error);
}

/* A place of ours at clsact egress. */
static bool is_attached(int ifindex, __u32 priority, __u32 id)
{
	LIBBPF_OPTS(bpf_tc_hook, place, .ifindex = ifindex, .attach_point = BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, filter, .handle = TC_HANDLE, .priority = priority);

	return bpf_tc_query(&place, &filter) == 0 && filter.prog_id == id;
}

/* 0, 1: clsact was made for it, or -errno. */
static int attach(int ifindex, __u32 priority, int fd)
{
	LIBBPF_OPTS(bpf_tc_hook, place, .ifindex = ifindex, .attach_point = BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, filter, .handle = TC_HANDLE, .priority = priority, .prog_fd = fd,
		    .flags = BPF_TC_F_REPLACE);
	struct program_identity program;
	int made, r;

	program_identify(fd, &program);
	if (is_attached(ifindex, priority, program.id))
		return 0;
	made = bpf_tc_hook_create(&place);
	if (made < 0 && made != -EEXIST)
		return made;
	r = bpf_tc_attach(&place, &filter);
	return r < 0 ? r : made == 0;
}

/* --- the guard -------------------------------------------------------------------------------------------
 */

static void unguard(struct check_path *path, struct guarded *one)
{
	LIBBPF_OPTS(bpf_tc_hook, place, .ifindex = one->ifindex, .attach_point = BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, filter, .handle = TC_HANDLE, .priority = TC_GUARD_PRIORITY);

	bpf_tc_detach(&place, &filter);
	place.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS;
	/* The qdisc goes when we made it and nobody else has come to use it. */
	if (one->made && !check_device_has_filters(&path->device, one->ifindex))
		bpf_tc_hook_destroy(&place);
	*one = (struct guarded){};
}

static bool runs_packets(const struct lbd *lbd, int ifindex)
{
	for (size_t i = 0; i < lbd->n_attachments; i++) {
		if (lbd->attachments[i].ifindex == ifindex)
			return true;
	}
	return false;
}

static struct guarded *place_of(struct check_path *path, int ifindex)
{
	struct guarded *spare = NULL;

	for (size_t i = 0; i < LB_PORTS_MAX; i++) {
		if (path->guarded[i].ifindex == ifindex)
			return &path->guarded[i];
		if (!path->guarded[i].ifindex && !spare)
			spare = &path->guarded[i];
	}
	return spare;
}

/* Where it cannot be, late resets go to some backend, which does not know them: no reason to check nobody. */
static void guard(struct check_path *path, const struct lbd *lbd)
{
	int fd = bpf_program__fd(path->skeleton->progs.lb_check_guard);

	for (size_t i = 0; i < LB_PORTS_MAX; i++) {
		if (path->guarded[i].ifindex && !runs_packets(lbd, path->guarded[i].ifindex))
			unguard(path, &path->guarded[i]);
	}
	for (size_t i = 0; i < lbd->n_attachments; i++) {
		int ifindex = lbd->attachments[i].ifindex, r;
		struct guarded *one = ifindex ? place_of(path, ifindex) : NULL;

		r = one ? attach(ifindex, TC_GUARD_PRIORITY, fd) : -ENOSPC;
		if (r < 0)
			continue;
		one->ifindex = ifindex;
		one->made |= r == 1;
	}
}

/* --- life ------------------------------------------------------------------------------------------------
 */

static void path_free(struct check_path *path)
{
	if (path->seen)
		munmap((void *)path->seen, path->room * sizeof(*path->seen));
	check_device_close(&path->device);
	lb_check_bpf__destroy(path->skeleton);
	free(path);
}

static int path_new(const struct lbd *lbd, size_t room, struct check_path **ret_path, struct lb_error *error)
{
	struct check_path *path = calloc(1, sizeof(*path));
	struct loading loading = { .lbd = lbd };
	void *seen;
	int r;

	if (!path)
		return lb_error_set(error, ENOMEM, "out of memory");
	path->settings = lbd->running.config->checker;
	path->control_id = map_id_of(lbd->maps.fd[MAP_CONTROL]);
	path->room = ROOM_MIN;
	while (path->room < room)
		path->room *= 2;
	loading.room = path->room;
	task_beside(load_beside, &loading);
	if (loading.r < 0) {
		*error = loading.error;
		free(path);
		return loading.r;
	}
	path->skeleton = loading.skeleton;
	seen = mmap(NULL, path->room * sizeof(*path->seen), PROT_READ, MAP_SHARED,
		    bpf_map__fd(path->skeleton->maps.lb_check_seen), 0);
	if (seen == MAP_FAILED) {
		r = lb_error_set(error, errno, "Failed to map what checks were seen: %m");
		path_free(path);
		return r;
	}
	path->seen = seen;
	*ret_path = path;
	return 0;
}

/* What is asked of the kernel beside the loop, which looks at the path itself meanwhile. */
struct leading {
	struct check_path path; /* a copy */
	const struct lbd *lbd;
	struct lb_error error;
	int r;
};

static void lead_beside(void *context)
{
	struct leading *leading = context;
	struct check_path *path = &leading->path;
	const char *step;

	leading->r = check_device_up(&path->device, &path->settings, &step);
	if (leading->r < 0) {
		lb_error_set(&leading->error, -leading->r, "Failed to %s: %s", step, strerror(-leading->r));
		return;
	}
	leading->r =
		attach(path->device.ifindex, TC_PRIORITY, bpf_program__fd(path->skeleton->progs.lb_check));
	if (leading->r < 0)
		lb_error_set(&leading->error, -leading->r,
			     "Failed to attach the program of checks to " CHECK_DEVICE ": %s",
			     strerror(-leading->r));
	else
		guard(path, leading->lbd);
}

/* Whatever of it is missing. */
static int lead_there(struct check_path *path, const struct lbd *lbd, struct lb_error *error)
{
	struct leading leading = { .path = *path, .lbd = lbd };

	task_beside(lead_beside, &leading);
	path->device = leading.path.device;
	memcpy(path->guarded, leading.path.guarded, sizeof(path->guarded));
	if (leading.r < 0) {
		*error = leading.error;
		return leading.r;
	}
	return 0;
}

int check_path_up(const struct lbd *lbd, size_t room, struct check_path **path, struct lb_error *error)
{
	struct check_path *had = *path, *other = NULL;
	int r;

	if (had && had->room >= room && had->control_id == map_id_of(lbd->maps.fd[MAP_CONTROL]))
		return lead_there(had, lbd, error);
	r = path_new(lbd, room, &other, error);
	if (r < 0)
		return r;
	if (had) {
		other->settings = had->settings;
		memcpy(other->guarded, had->guarded, sizeof(other->guarded));
	}
	r = lead_there(other, lbd, error);
	if (r < 0) {
		if (!had)
			check_device_down(&other->device);
		path_free(other);
		return r;
	}
	/* The device is the other one's now. */
	if (had)
		path_free(had);
	*path = other;
	return 0;
}

/* What an agent that was killed left on interfaces; clsact may be anybody's, and stays. */
static void drop_guards(void)
{
	struct if_nameindex *all = if_nameindex();

	for (const struct if_nameindex *one = all; one && one->if_index; one++) {
		LIBBPF_OPTS(bpf_tc_hook, place, .ifindex = (int)one->if_index, .attach_point = BPF_TC_EGRESS);
		LIBBPF_OPTS(bpf_tc_opts, filter, .handle = TC_HANDLE, .priority = TC_GUARD_PRIORITY);

		if (bpf_tc_query(&place, &filter) < 0)
			continue;
		filter.prog_id = 0;
		filter.flags = filter.prog_fd = 0;
		bpf_tc_detach(&place, &filter);
	}
	if (all)
		if_freenameindex(all);
}

void check_path_down(struct check_path *path)
{
	struct check_device left = {};

	if (!path)
		drop_guards();

	for (size_t i = 0; path && i < LB_PORTS_MAX; i++) {
		if (path->guarded[i].ifindex)
			unguard(path, &path->guarded[i]);
	}
	check_device_down(path ? &path->device : &left);
	if (path)
		path_free(path);
}

/* --- what is asked ---------------------------------------------------------------------------------------
 */

bool check_path_leads(const struct check_path *path, __u8 family)
{
	return family == LB_FAMILY_V4 ? path->device.v4 : path->device.v6;
}

int check_path_ports(const struct check_path *path)
{
	return bpf_map__fd(path->skeleton->maps.lb_check_ports);
}

int check_path_set(struct check_path *path, __u32 number, const struct lb_check_target *target)
{
	int fd = bpf_map__fd(path->skeleton->maps.lb_check_targets);

	return bpf_map_update_elem(fd, &number, target, BPF_ANY) < 0 ? -errno : 0;
}

void check_path_unset(struct check_path *path, __u32 number)
{
	bpf_map_delete_elem(bpf_map__fd(path->skeleton->maps.lb_check_targets), &number);
}

bool check_path_saw(const struct check_path *path, __u32 number, __u64 since_ns)
{
	return __atomic_load_n(&path->seen[number], __ATOMIC_RELAXED) >= since_ns;
}

void check_path_counts(const struct check_path *path, __u64 counts[LB_CHECK_COUNT])
{
	int cpus = libbpf_num_possible_cpus();
	_cleanup_(freep) __u64 *values = cpus < 0 ? NULL : calloc((size_t)cpus, sizeof(*values));

	memset(counts, 0, LB_CHECK_COUNT * sizeof(*counts));
	for (__u32 i = 0; values && i < LB_CHECK_COUNT; i++) {
		if (bpf_map_lookup_elem(bpf_map__fd(path->skeleton->maps.lb_check_counts), &i, values) < 0)
			return;
		for (int cpu = 0; cpu < cpus; cpu++)
			counts[i] += values[cpu];
	}
}
