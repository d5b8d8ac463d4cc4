// SPDX-License-Identifier: GPL-2.0-only
/*
 * See maps_set.h. A directory is renamed in one step; so is a pin over another one.
 */
#include "lbd/kernel/maps_set.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "lbd/kernel/flat_tables.h"
#include "lbd/kernel/layout_btf.h"
#include "lbd/kernel/maps_internal.h"
#include "lbd/step.h"

#include "lb/types.h"
#include "lb_ingress.skel.h"

#define NEXT "next"
#define SWAP "swap"
#define DONE "done"

static void set_path(const struct maps *maps, const char *set, char path[PATH_MAX])
{
	if ((size_t)snprintf(path, PATH_MAX, "%.*s/%s", PATH_MAX - 8, maps->directory, set) >= PATH_MAX)
		path[0] = '\0';
}

static bool has(const struct maps *maps, const char *set)
{
	return faccessat(maps->directory_fd, set, F_OK, 0) == 0;
}

/* --- directories ------------------------------------------------------------------------------------------
 */

static bool is_then(const char *name)
{
	return strncmp(name, MAPS_SET_THEN, strlen(MAPS_SET_THEN)) == 0;
}

/* A set's directory with all that is in it. */
static int remove_set(const struct maps *maps, const char *set)
{
	_cleanup_(closedirp) DIR *directory = NULL;
	struct dirent *entry;
	char path[PATH_MAX];

	set_path(maps, set, path);
	directory = opendir(path);
	while (directory && (entry = readdir(directory)))
		if (strncmp(entry->d_name, "lb_", 3) == 0 || is_then(entry->d_name))
			unlinkat(dirfd(directory), entry->d_name, 0);
	return rmdir(path) < 0 && errno != ENOENT ? -errno : 0;
}

/* Its pins take the places of those in the directory above. lb_control last: until then the set is here. */
static int raise_pins(const struct maps *maps, struct lb_error *error)
{
	_cleanup_(closedirp) DIR *directory = NULL;
	struct dirent *entry;
	char path[PATH_MAX];
	int r = 0;

	set_path(maps, DONE, path);
	directory = opendir(path);
	while (r == 0 && directory && (entry = readdir(directory))) {
		if (is_then(entry->d_name))
			unlinkat(dirfd(directory), entry->d_name, 0);
		if (strncmp(entry->d_name, "lb_", 3) != 0 || strcmp(entry->d_name, "lb_control") == 0)
			continue;
		if (renameat(dirfd(directory), entry->d_name, maps->directory_fd, entry->d_name) < 0)
			r = -errno;
	}
	step_reached(NULL, "tables_pinned");
	if (r == 0 && directory &&
	    renameat(dirfd(directory), "lb_control", maps->directory_fd, "lb_control") < 0 && errno != ENOENT)
		r = -errno;
	if (r == 0 && rmdir(path) < 0 && errno != ENOENT)
		r = -errno;
	return r < 0 ? lb_error_set(error, -r, "Failed to move the pins of %s: %s", path, strerror(-r)) : 0;
}

int maps_set_recover(struct maps *maps, struct lb_error *error)
{
	int r = has(maps, NEXT) ? remove_set(maps, NEXT) : 0;

	if (r < 0)
		return lb_error_set(error, -r,
				    "Failed to remove %s/" NEXT ", which a start that did not "
				    "live has left: %s",
				    maps->directory, strerror(-r));
	if (has(maps, DONE))
		return raise_pins(maps, error);
	if (!has(maps, SWAP))
		return 0;
	set_path(maps, SWAP, maps->pins);
	maps->swapping = true;
	return 0;
}

static int move_set(struct maps *maps, const char *from, const char *to)
{
	if (renameat(maps->directory_fd, from, maps->directory_fd, to) < 0)
		return -errno;
	set_path(maps, to, maps->pins);
	return 0;
}

int maps_set_swap(struct maps *maps, struct lb_error *error)
{
	int r = move_set(maps, NEXT, SWAP);

	if (r < 0)
		return lb_error_set(error, -r, "Failed to rename %s/" NEXT ": %s", maps->directory,
				    strerror(-r));
	maps->swapping = true;
	return 0;
}

int maps_set_unswap(struct maps *maps)
{
	int r = move_set(maps, SWAP, NEXT);

	maps->swapping = r < 0;
	return r;
}

int maps_set_settle(struct maps *maps, struct lb_error *error)
{
	int r = move_set(maps, SWAP, DONE);

	if (r < 0)
		return lb_error_set(error, -r, "Failed to rename %s/" SWAP ": %s", maps->directory,
				    strerror(-r));
	maps->swapping = false;
	step_reached(NULL, "tables_done");
	r = raise_pins(maps, error);
	if (r == 0)
		snprintf(maps->pins, sizeof(maps->pins), "%s", maps->directory);
	return r;
}

/* --- making -----------------------------------------------------------------------------------------------
 */

static void init_set(const struct maps *like, struct maps *set)
{
	memset(set, 0, sizeof(*set));
	memcpy(set->directory, like->directory, sizeof(set->directory));
	memcpy(set->pins, like->directory, sizeof(set->pins));
	set->directory_fd = like->directory_fd;
	set->created_s = like->created_s;
	for (size_t i = 0; i < MAPS_MAX; i++)
		set->fd[i] = -1;
}

void maps_set_close(struct maps *set)
{
	set->directory_fd = -1; /* not its own */
	maps_close(set);
}

void maps_set_drop(struct maps *next)
{
	remove_set(next, NEXT);
	maps_set_close(next);
}

void maps_set_abandon(const struct maps *maps)
{
	(void)remove_set(maps, NEXT);
}

void maps_set_remove_all(const struct maps *maps)
{
	(void)remove_set(maps, NEXT);
	(void)remove_set(maps, SWAP);
	(void)remove_set(maps, DONE);
}

static __u32 entries_of(int fd)
{
	struct bpf_map_info info = {};
	__u32 length = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &length) < 0 ? 0 : info.max_entries;
}

/* The one map that two sets never have in common is lb_control, which says what its set is. */
static bool may_share(const struct maps *old, const struct maps *next, const struct lb_table_sizes *sizes,
		      size_t i, __u32 declared)
{
	__u64 flat = next->flat ? lb_flat_bytes(sizes, next->name[i]) : 0;

	if (old->fd[i] < 0 || i == MAP_CONTROL)
		return false;
	if (flat)
		return old->flat && old->length[i] == flat;
	return entries_of(old->fd[i]) == maps_entries(next, sizes, i, declared) &&
	       !(old->flat && lb_flat_bytes(sizes, next->name[i]));
}

static int share(const struct maps *old, struct maps *next, size_t i, struct lb_error *error)
{
	int r;

	next->fd[i] = fcntl(old->fd[i], F_DUPFD_CLOEXEC, 3);
	if (next->fd[i] < 0)
		return lb_error_set(error, errno, "Failed to keep a map: %m");
	r = maps_map_memory(next, i, error);
	return r < 0 ? r : maps_pin(next, i, error);
}

static int fill(const struct maps *old, const struct lb_table_sizes *sizes, bool chunked,
		bool (*like_old)(void *context, const char *map), void *context, struct maps *next,
		bool shared[MAPS_MAX], struct lb_ingress_bpf *program, struct lb_error *error)
{
	int r = maps_name(next, program, error);

	next->flat = !chunked && lb_flat_possible(sizes);
	for (size_t i = 0; r == 0 && i < next->n; i++) {
		const struct bpf_map *map = maps_find(program->obj, next->name[i]);

		shared[i] = map && like_old(context, next->name[i]) &&
			    may_share(old, next, sizes, i, bpf_map__max_entries(map));
		if (shared[i])
			r = share(old, next, i, error);
	}
	if (r == 0)
		r = maps_make_missing(next, program, sizes, error);
	if (r == 0 && !shared[MAP_LAYOUT])
		r = layout_describe(program->obj, next->memory[MAP_LAYOUT], error);
	if (r == 0)
		maps_fill_tables(next);
	next->created_s = old->created_s;
	return r;
}

int maps_describe(struct lb_layout_text *ret_text, struct lb_error *error)
{
	struct lb_ingress_bpf *program = lb_ingress_bpf__open();
	int r;

	if (!program)
		return lb_error_set(error, errno, "Failed to open the packet path's object: %m");
	r = layout_describe(program->obj, ret_text, error);
	lb_ingress_bpf__destroy(program);
	return r;
}

int maps_set_make(const struct maps *old, const struct lb_table_sizes *sizes, bool chunked,
		  bool (*like_old)(void *context, const char *map), void *context, struct maps *next,
		  bool shared[MAPS_MAX], struct lb_error *error)
{
	struct lb_ingress_bpf *program;
	int r;

	init_set(old, next);
	memset(shared, 0, MAPS_MAX * sizeof(*shared));
	set_path(next, NEXT, next->pins);
	r = remove_set(next, NEXT);
	if (r == 0 && mkdir(next->pins, 0700) < 0)
		r = -errno;
	if (r < 0)
		return lb_error_set(error, -r, "Failed to make %s: %s", next->pins, strerror(-r));
	program = lb_ingress_bpf__open();
	if (program)
		r = fill(old, sizes, chunked, like_old, context, next, shared, program, error);
	else
		r = lb_error_set(error, errno, "Failed to open the packet path's object: %m");
	lb_ingress_bpf__destroy(program);
	if (r < 0)
		maps_set_drop(next);
	return r;
}

__u64 maps_set_bytes(const struct maps *old, const struct lb_table_sizes *sizes)
{
	const struct lb_table_sizes *now = &old->tables.sizes;
	__u64 bytes = 0;

#define ADD(member, count, size) bytes += sizes->member != now->member ? (__u64)(count) * (size) : 0
	ADD(ring_lines, sizes->ring_lines, sizeof(struct lb_ring_line));
	ADD(stamp_lines, sizes->stamp_lines, sizeof(struct lb_stamp_line));
	ADD(backends, sizes->backends, sizeof(struct lb_backend) + sizeof(__u32));
	ADD(counters, (__u64)sizes->cpus * sizes->counters, 2 * sizeof(struct lb_counter)); /* and a copy */
	ADD(counters, sizes->counters, sizeof(struct lb_backend_meta));
	ADD(services, sizes->services, sizeof(struct lb_service_meta));
	ADD(services, (__u64)sizes->cpus * sizes->services, 2 * sizeof(struct lb_service_counter));
	ADD(flow_buckets, sizes->flow_buckets, sizeof(struct lb_flow_bucket));
#undef ADD
	return bytes;
}

/* --- looking ----------------------------------------------------------------------------------------------
 */

static int open_pins(struct maps *set, struct lb_error *error)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < set->n; i++) {
		char path[2 * PATH_MAX];

		snprintf(path, sizeof(path), "%s/%s", set->pins, set->name[i]);
		set->fd[i] = bpf_obj_get(path);
		if (set->fd[i] < 0 && errno != ENOENT)
			return lb_error_set(error, errno, "Failed to open the pinned map %s: %m", path);
		if (set->fd[i] < 0)
			set->fd[i] = -1;
		else
			r = maps_map_memory(set, i, error);
	}
	if (r == 0 && !set->memory[MAP_CONTROL])
		return lb_error_set(error, ENOENT, "there is no lb_control in %s", set->pins);
	return r;
}

int maps_set_look(const struct maps *maps, struct maps *ret_old, struct lb_error *error)
{
	struct lb_ingress_bpf *program = lb_ingress_bpf__open();
	int r;

	init_set(maps, ret_old);
	if (!program)
		return lb_error_set(error, errno, "Failed to open the packet path's object: %m");
	r = maps_name(ret_old, program, error);
	lb_ingress_bpf__destroy(program);
	if (r == 0)
		r = open_pins(ret_old, error);
	if (r < 0) {
		maps_set_close(ret_old);
		return r;
	}
	ret_old->flat = ret_old->fd[MAP_VIPS] >= 0 && lb_flat_is(ret_old->fd[MAP_VIPS]);
	maps_fill_tables(ret_old);
	return 0;
}
