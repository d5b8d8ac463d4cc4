// SPDX-License-Identifier: GPL-2.0-only
/*
 * See maps_carry.h.
 */
#include "lbd/kernel/maps_carry.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "engine/tables.h"
#include "lbd/kernel/maps_internal.h"
#include "lbd/kernel/maps_set.h"

#define VALUE_MAX 4096 /* of a map that is copied by system calls */

static const struct lb_carry_map *line_of(const struct maps *maps, size_t i)
{
	return lb_carry_find(maps->name[i]);
}

/* --- what the two look like -------------------------------------------------------------------------------
 */

struct descriptions {
	struct lb_layout old, next;
	bool same; /* word for word */
};

static void descriptions_done(struct descriptions *both)
{
	lb_layout_done(&both->old);
	lb_layout_done(&both->next);
}

static int parse(const struct maps *maps, struct lb_layout *ret_layout, struct lb_error *error)
{
	const struct lb_layout_text *text = maps->memory[MAP_LAYOUT];

	if (!text || !text->text[0])
		return lb_error_set(error, EPROTO, "the maps in %s have no description", maps->pins);
	return lb_layout_parse(text->text, sizeof(text->text), ret_layout, error);
}

static int describe(const struct maps *old, const struct maps *next, struct descriptions *ret_both,
		    struct lb_error *error)
{
	int r = parse(old, &ret_both->old, error);

	if (r == 0)
		r = parse(next, &ret_both->next, error);
	if (r == 0)
		ret_both->same = memcmp(old->memory[MAP_LAYOUT], next->memory[MAP_LAYOUT],
					sizeof(struct lb_layout_text)) == 0;
	return r;
}

static int make_copies(struct maps_carry *carry, struct lb_error *error)
{
	struct descriptions both = {};
	int r = describe(carry->old, carry->next, &both, error);

	for (size_t i = 0; r == 0 && i < carry->next->n; i++) {
		const struct lb_carry_map *line = line_of(carry->next, i);

		if (!line)
			r = lb_error_set(error, EPROTO, "nothing says how %s is carried over",
					 carry->next->name[i]);
		else if (!carry->shared[i] && line->how != LB_CARRY_SELF)
			r = lb_copy_init(&carry->copy[i], &both.old, &both.next, line->structure, error);
	}
	descriptions_done(&both);
	return r;
}

/* --- maps -------------------------------------------------------------------------------------------------
 */

static __u64 places(const struct maps *maps, size_t i, __u32 size)
{
	return size ? maps->length[i] / size : 0;
}

static int too_small(const struct maps_carry *carry, size_t i, struct lb_error *error)
{
	return lb_error_set(error, EPROTO, "%s: a value of the old layout has no room in the new one",
			    carry->next->name[i]);
}

static int carry_keys(struct maps_carry *carry, size_t i, struct lb_error *error)
{
	char from[VALUE_MAX], to[VALUE_MAX];
	struct bpf_map_info old = {}, next = {};
	__u32 length = sizeof(old), same = sizeof(next);
	const struct lb_copy *copy = &carry->copy[i];

	if (carry->old->fd[i] < 0)
		return 0;
	if (bpf_obj_get_info_by_fd(carry->old->fd[i], &old, &length) < 0 ||
	    bpf_obj_get_info_by_fd(carry->next->fd[i], &next, &same) < 0)
		return lb_error_set(error, errno, "Failed to ask about the map %s: %m", carry->next->name[i]);
	if (old.value_size != copy->old_size || next.value_size != copy->new_size ||
	    old.value_size > VALUE_MAX || next.value_size > VALUE_MAX)
		return lb_error_set(error, EPROTO,
				    "%s has values of %u bytes, which its description does not",
				    carry->next->name[i], old.value_size);
	for (__u32 key = 0; key < old.max_entries && key < next.max_entries; key++) {
		if (bpf_map_lookup_elem(carry->old->fd[i], &key, from) < 0)
			continue;
		lb_copy_record(copy, from, to);
		if (bpf_map_update_elem(carry->next->fd[i], &key, to, BPF_ANY) < 0)
			return lb_error_set(error, errno, "Failed to fill the map %s: %m",
					    carry->next->name[i]);
	}
	return 0;
}

/* What the agent alone writes; nobody does meanwhile. */
static int carry_still(struct maps_carry *carry, size_t i, struct lb_error *error)
{
	const struct maps *old = carry->old, *next = carry->next;
	const struct lb_carry_map *line = line_of(next, i);
	const struct lb_copy *copy = &carry->copy[i];

	if (carry->shared[i] || (line->how != LB_CARRY_KEYS && !old->memory[i]))
		return 0;
	if (line->how == LB_CARRY_KEYS)
		return carry_keys(carry, i, error);
	if (line->how != LB_CARRY_RECORDS)
		return 0;
	return lb_carry_records(copy, old->memory[i], places(old, i, copy->old_size), next->memory[i],
				places(next, i, copy->new_size))
		       ? 0
		       : too_small(carry, i, error);
}

static int carry_control(struct maps_carry *carry, const struct lb_table_sizes *sizes, struct lb_error *error)
{
	struct lb_control *control = carry->next->memory[MAP_CONTROL];
	const struct timespec created[2] = { { .tv_sec = (time_t)carry->next->created_s },
					     { .tv_sec = (time_t)carry->next->created_s } };
	char path[2 * PATH_MAX];
	int r;

	if (!lb_copy_record(&carry->copy[MAP_CONTROL], carry->old->memory[MAP_CONTROL], control))
		return too_small(carry, MAP_CONTROL, error);
	if (control->hash_version != LB_HASH_VERSION || control->ring_rule != LB_RING_RULE_VERSION)
		return lb_error_set(error, EPROTO,
				    "the maps in %s place flows by version %u of the hash and %u of the rule "
				    "for ring sizes, this lbd knows %u and %u",
				    carry->old->directory, control->hash_version, control->ring_rule,
				    LB_HASH_VERSION, LB_RING_RULE_VERSION);
	lb_tables_init_control(sizes, control);
	maps_read_sizes(carry->next);
	r = maps_pin(carry->next, MAP_CONTROL, error);
	snprintf(path, sizeof(path), "%s/lb_control", carry->next->pins);
	/* Since when counters count. */
	if (r == 0)
		(void)utimensat(AT_FDCWD, path, created, 0);
	return r;
}

static bool looks_alike(void *context, const char *map)
{
	const struct descriptions *both = context;
	const struct lb_carry_map *line = lb_carry_find(map);

	return line &&
	       (line->how == LB_CARRY_SELF ? both->same
					   : lb_layout_same(&both->old, &both->next, line->structure));
}

/* Our own description, before there is a set that has it. */
static int describe_beside(const struct maps *old, struct descriptions *ret_both, struct lb_error *error)
{
	_cleanup_(freep) struct lb_layout_text *text = malloc(sizeof(*text));
	struct maps own = {};
	int r = text ? maps_describe(text, error) : lb_error_set(error, ENOMEM, "out of memory");

	own.memory[MAP_LAYOUT] = text;
	return r < 0 ? r : describe(old, &own, ret_both, error);
}

int maps_carry_begin(struct maps_carry *carry, struct maps *old, struct maps *next,
		     const struct lb_table_sizes *sizes, bool chunked, struct lb_error *error)
{
	struct descriptions both = {};
	int r;

	*carry = (struct maps_carry){ .old = old, .next = next };
	r = describe_beside(old, &both, error);
	if (r == 0)
		r = maps_set_make(old, sizes, chunked, looks_alike, &both, next, carry->shared, error);
	descriptions_done(&both);
	if (r < 0)
		return r;
	r = make_copies(carry, error);
	for (size_t i = 0; r == 0 && i < next->n; i++)
		r = carry_still(carry, i, error);
	if (r == 0)
		r = carry_control(carry, sizes, error);
	if (r < 0) {
		maps_set_drop(next);
		maps_carry_done(carry);
	}
	return r;
}

/* --- what packets write -----------------------------------------------------------------------------------
 */

static __u64 slots_of(const struct maps *old)
{
	return old->length[MAP_RINGS] / sizeof(__u32);
}

int maps_carry_hold(struct maps_carry *carry, struct lb_error *error)
{
	/* One flow table for both: nothing can be missed. */
	if (carry->shared[MAP_FLOWS])
		return 0;
	if (carry->copy[MAP_RINGS].old_size && carry->copy[MAP_RINGS].old_size != sizeof(__u32))
		return lb_error_set(error, EPROTO, "slots of the old layout are not understood");
	if (lb_carry_hold(carry->old->memory[MAP_RINGS], slots_of(carry->old), &carry->held) < 0)
		return lb_error_set(error, ENOMEM, "out of memory");
	return 0;
}

void maps_carry_let_go(struct maps_carry *carry)
{
	lb_carry_let_go(carry->old->memory[MAP_RINGS], &carry->held);
}

/* --- counts as they were when they were carried: a map, so that it survives us -----------------------------
 */

static void then_path(const struct maps *next, size_t i, char path[2 * PATH_MAX])
{
	snprintf(path, 2 * PATH_MAX, "%s/" MAPS_SET_THEN "%s", next->pins, next->name[i]);
}

static int look_at_then(struct maps_carry *carry, size_t i, int fd)
{
	const struct maps *next = carry->next;
	void *then = mmap(NULL, next->bytes[i], PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (then == MAP_FAILED)
		return -errno;
	carry->then[i] = then;
	carry->then_bytes[i] = next->bytes[i];
	return 0;
}

static int remember(struct maps_carry *carry, size_t i, struct lb_error *error)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_MMAPABLE);
	const struct maps *next = carry->next;
	__u32 size = carry->copy[i].new_size;
	_cleanup_(closep) int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "lb_then", sizeof(__u32), size,
						  (__u32)places(next, i, size), &options);
	char path[2 * PATH_MAX];

	then_path(next, i, path);
	if (fd < 0 || look_at_then(carry, i, fd) < 0 || bpf_obj_pin(fd, path) < 0)
		return lb_error_set(error, errno, "Failed to make a copy of %s: %m", next->name[i]);
	memcpy(carry->then[i], next->memory[i], next->length[i]);
	return 0;
}

static void remembered(struct maps_carry *carry, size_t i)
{
	char path[2 * PATH_MAX];
	_cleanup_(closep) int fd = -1;

	then_path(carry->next, i, path);
	fd = bpf_obj_get(path);
	if (fd >= 0)
		(void)look_at_then(carry, i, fd);
}

int maps_carry_resume(struct maps_carry *carry, struct maps *old, struct maps *next, struct lb_error *error)
{
	int r;

	*carry = (struct maps_carry){ .old = old, .next = next };
	for (size_t i = 0; i < next->n; i++)
		carry->shared[i] = map_id_of(old->fd[i]) == map_id_of(next->fd[i]);
	r = make_copies(carry, error);
	for (size_t i = 0; r == 0 && i < next->n; i++)
		if (!carry->shared[i] && line_of(next, i)->how == LB_CARRY_COUNTS)
			remembered(carry, i);
	if (r < 0)
		maps_carry_done(carry);
	return r;
}

static void carry_flows(struct maps_carry *carry, size_t i, void (*how)(struct lb_carry_flows *flows))
{
	struct lb_carry_flows flows = {
		.copy = &carry->copy[i],
		.from = carry->old->memory[i],
		.from_buckets = (__u32)places(carry->old, i, carry->copy[i].old_size),
		.to = carry->next->memory[i],
		.to_buckets = carry->next->tables.sizes.flow_buckets,
	};

	how(&flows);
	carry->flow_entries = flows.entries;
	carry->flow_refused = flows.refused;
}

static int last_of(struct maps_carry *carry, size_t i, struct lb_error *error)
{
	const struct maps *old = carry->old, *next = carry->next;
	const struct lb_copy *copy = &carry->copy[i];
	__u64 n_old = places(old, i, copy->old_size), n_next = places(next, i, copy->new_size);
	__u32 cpus = next->tables.sizes.cpus;

	if (carry->shared[i] || !old->memory[i])
		return 0;
	switch (line_of(next, i)->how) {
	case LB_CARRY_STAMPS:
		lb_carry_stamp_more(copy, slots_of(old), old->memory[i], n_old, next->memory[i], n_next);
		break;
	case LB_CARRY_COUNTS:
		if (!lb_carry_blocks(copy, old->memory[i], n_old / cpus, next->memory[i], n_next / cpus,
				     cpus))
			return too_small(carry, i, error);
		return remember(carry, i, error);
	case LB_CARRY_FLOWS:
		carry_flows(carry, i, lb_carry_flows);
		break;
	default:
		break;
	}
	return 0;
}

int maps_carry_last(struct maps_carry *carry, struct lb_error *error)
{
	const struct lb_control *old = carry->old->memory[MAP_CONTROL];
	struct lb_control *next = carry->next->memory[MAP_CONTROL], now;
	int r = 0;

	(void)lb_copy_record(&carry->copy[MAP_CONTROL], old, &now);
	next->clock_s = now.clock_s;
	for (size_t i = 0; r == 0 && i < carry->next->n; i++)
		r = last_of(carry, i, error);
	return r;
}

/* On each CPU what it has counted: see lb_carry_count_more(). A CPU that we may not run on counts nothing, or
 * is somebody else's: then from here, which is exact but for an instant. */
static void count_again(struct maps_carry *carry, size_t i)
{
	const struct lb_copy *copy = &carry->copy[i];
	__u32 cpus = carry->next->tables.sizes.cpus;
	__u64 n_old = places(carry->old, i, copy->old_size) / cpus;
	__u64 n_next = places(carry->next, i, copy->new_size) / cpus;
	cpu_set_t before, one;
	bool known = sched_getaffinity(0, sizeof(before), &before) == 0;

	for (__u32 cpu = 0; cpu < cpus; cpu++) {
		size_t at = cpu * n_next * copy->new_size;

		CPU_ZERO(&one);
		if (cpu < CPU_SETSIZE)
			CPU_SET(cpu, &one);
		if (known)
			(void)sched_setaffinity(0, sizeof(one), &one);
		lb_carry_count_more(copy, (char *)carry->old->memory[i] + cpu * n_old * copy->old_size, n_old,
				    (char *)carry->then[i] + at, (char *)carry->next->memory[i] + at, n_next);
	}
	if (known)
		(void)sched_setaffinity(0, sizeof(before), &before);
}

void maps_carry_again(struct maps_carry *carry)
{
	const struct maps *old = carry->old, *next = carry->next;

	for (size_t i = 0; i < next->n; i++) {
		const struct lb_carry_map *line = line_of(next, i);

		if (carry->shared[i] || !old->memory[i] || !line)
			continue;
		if (line->how == LB_CARRY_FLOWS)
			carry_flows(carry, i, lb_carry_flows_again);
		if (line->how == LB_CARRY_COUNTS && carry->then[i])
			count_again(carry, i);
		if (line->how == LB_CARRY_STAMPS)
			lb_carry_stamp_more(&carry->copy[i], slots_of(old), old->memory[i],
					    places(old, i, carry->copy[i].old_size), next->memory[i],
					    places(next, i, carry->copy[i].new_size));
	}
}

void maps_carry_done(struct maps_carry *carry)
{
	for (size_t i = 0; i < MAPS_MAX; i++) {
		lb_copy_done(&carry->copy[i]);
		if (carry->then[i])
			munmap(carry->then[i], carry->then_bytes[i]);
		carry->then[i] = NULL;
	}
	free(carry->held.slots);
	carry->held = (struct lb_held_slots){};
}
