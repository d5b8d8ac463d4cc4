// SPDX-License-Identifier: GPL-2.0-only
/*
 * Makes, pins, adopts and memory-maps the maps of bpf/maps.h. lb_control is pinned last: it says that all the
 * others are there.
 */
#include "lbd/kernel/maps.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/cleanup.h"
#include "lbd/kernel/bpffs.h"
#include "lbd/kernel/flat_tables.h"
#include "lbd/kernel/layout_btf.h"
#include "lbd/kernel/maps_internal.h"
#include "lbd/kernel/maps_layout.h"
#include "lbd/kernel/maps_set.h"

#include "lb/observe.h"
#include "lb/types.h"
#include "lb_ingress.skel.h"

static const char *const known_names[MAP_KNOWN] = {
#define X(id, name, mapped) [MAP_##id] = #name,
	MAPS(X)
#undef X
};

static const bool map_mapped[MAP_KNOWN] = {
#define X(id, name, mapped) [MAP_##id] = mapped,
	MAPS(X)
#undef X
};

static void pin_path(const struct maps *maps, const char *name, char path[PATH_MAX + 64])
{
	snprintf(path, PATH_MAX + 64, "%.*s/%s", PATH_MAX, maps->pins, name);
}

/* The process that holds a lock on an open file, by /proc/locks; 0 when that does not tell. */
static long lock_holder(int fd)
{
	_cleanup_(fclosep) FILE *locks = fopen("/proc/locks", "re");
	char line[256];
	struct stat st;

	if (!locks || fstat(fd, &st) < 0)
		return 0;
	while (fgets(line, sizeof(line), locks)) {
		unsigned int major_number, minor_number;
		unsigned long inode;
		long pid;

		if (sscanf(line, "%*d: FLOCK %*s %*s %ld %x:%x:%lu", &pid, &major_number, &minor_number,
			   &inode) == 4 &&
		    inode == st.st_ino && makedev(major_number, minor_number) == st.st_dev)
			return pid;
	}
	return 0;
}

int maps_lock(struct maps *maps, const char *directory, struct lb_error *error)
{
	int r;

	memset(maps, 0, sizeof(*maps));
	maps->directory_fd = -1;
	for (size_t i = 0; i < MAPS_MAX; i++)
		maps->fd[i] = -1;
	snprintf(maps->directory, sizeof(maps->directory), "%s", directory);
	snprintf(maps->pins, sizeof(maps->pins), "%s", directory);
	r = bpffs_mount(directory, error);
	if (r == 0)
		r = bpffs_make_directory(directory, error);
	if (r < 0)
		return r;
	maps->made_directory = r > 0;
	maps->directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (maps->directory_fd < 0)
		return lb_error_set(error, errno, "Failed to open %s: %m", directory);
	if (flock(maps->directory_fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK)
			return lb_error_set(error, errno, "Failed to lock %s: %m", directory);
		r = lb_error_set(
			error, EBUSY,
			"another lbd (pid %ld) runs the packet path pinned in %s: stop it first, or give "
			"this one its own --bpffs, --state-dir and --socket",
			lock_holder(maps->directory_fd), directory);
		close(maps->directory_fd);
		maps->directory_fd = -1;
		return r;
	}
	return 0;
}

bool maps_exist(const struct maps *maps)
{
	return faccessat(maps->directory_fd, "lb_control", F_OK, 0) == 0;
}

struct bpf_map *maps_find(const struct bpf_object *object, const char *name)
{
	/* Data sections to their program. */
	if (strcmp(name, "lb_control") == 0)
		name = LB_CONTROL_MAP;
	else if (strcmp(name, "lb_stations") == 0)
		name = LB_STATIONS_MAP;
	else if (strcmp(name, "lb_filters") == 0)
		name = LB_FILTERS_MAP;
	else if (strcmp(name, "lb_observe") == 0)
		name = LB_OBSERVE_MAP;
	return bpf_object__find_map_by_name(object, name);
}

static struct bpf_map *object_map(const struct maps *maps, const struct lb_ingress_bpf *program, size_t i)
{
	return maps_find(program->obj, maps->name[i]);
}

int maps_map_memory(struct maps *maps, size_t i, struct lb_error *error)
{
	size_t page = sysconf(_SC_PAGESIZE);
	struct bpf_map_info info = {};
	__u32 length = sizeof(info);
	void *memory;

	if (i >= MAP_KNOWN || !map_mapped[i])
		return 0;
	if (bpf_obj_get_info_by_fd(maps->fd[i], &info, &length) < 0)
		return lb_error_set(error, errno, "Failed to ask about the map %s: %m", maps->name[i]);
	maps->length[i] = (size_t)(info.value_size + 7) / 8 * 8 * info.max_entries;
	maps->bytes[i] = (maps->length[i] + page - 1) / page * page;
	memory = mmap(NULL, maps->bytes[i], PROT_READ | PROT_WRITE, MAP_SHARED, maps->fd[i], 0);
	if (memory == MAP_FAILED)
		return lb_error_set(error, errno, "Failed to map %s into memory: %m", maps->name[i]);
	maps->memory[i] = memory;
	return 0;
}

/* declared: what the object says of a map that is not the agent's. */
__u32 maps_entries(const struct maps *maps, const struct lb_table_sizes *sizes, size_t i, __u32 declared)
{
	const char *name = maps->name[i];

	if (strcmp(name, "lb_samples") == 0)
		return sizes->cpus * LB_REASONS_MAX;
	if (maps->flat && lb_flat_bytes(sizes, name))
		return 1;
	switch (i) {
	case MAP_VIPS:
	case MAP_BANKS:
		return LB_BANKS;
	case MAP_RINGS:
		return sizes->ring_lines / LB_CHUNK_LINES;
	case MAP_STAMPS:
		return sizes->stamp_lines / LB_CHUNK_LINES;
	case MAP_BACKENDS:
	case MAP_BACKEND_IDS:
		return sizes->backends / LB_CHUNK_LINES;
	case MAP_COUNTERS:
		return sizes->cpus * sizes->counters;
	case MAP_SERVICE_COUNTERS:
		return sizes->cpus * sizes->services;
	case MAP_REASONS:
	case MAP_OBSERVED:
		return sizes->cpus;
	case MAP_FLOWS:
		return sizes->flow_buckets;
	case MAP_SERVICE_META:
		return sizes->services;
	case MAP_BACKEND_META:
		return sizes->counters;
	case MAP_DEVMAP:
	case MAP_PORTS:
		return LB_PORTS_MAX;
	case MAP_CONTROL:
	case MAP_STATIONS:
	case MAP_FILTERS:
	case MAP_OBSERVE:
	case MAP_LAYOUT:
	case MAP_NEIGHBORS:
		return 1;
	default:
		return declared;
	}
}

static int check_control(const struct maps *maps, struct lb_error *error)
{
	const struct lb_control *control = maps->memory[MAP_CONTROL];
	int cpus = libbpf_num_possible_cpus();

	if (control->magic != LB_LAYOUT_MAGIC)
		return lb_error_set(error, EPROTO, "%s/lb_control is not a map of Weir", maps->directory);
	if (control->layout != LB_LAYOUT_VERSION)
		return lb_error_set(
			error, EPROTO,
			"the maps in %s have layout %u (made by lbd %.63s), this lbd knows layout %u",
			maps->directory, control->layout, control->version, LB_LAYOUT_VERSION);
	if (control->hash_version != LB_HASH_VERSION || control->ring_rule != LB_RING_RULE_VERSION)
		return lb_error_set(
			error, EPROTO,
			"the maps in %s place flows by version %u of the hash and %u of the rule for ring "
			"sizes, this lbd knows %u and %u",
			maps->directory, control->hash_version, control->ring_rule, LB_HASH_VERSION,
			LB_RING_RULE_VERSION);
	if (control->cpus != (__u32)cpus)
		return lb_error_set(error, EPROTO, "the maps in %s are for %u CPUs, this machine has %d",
				    maps->directory, control->cpus, cpus);
	return 0;
}

void maps_read_sizes(struct maps *maps)
{
	const struct lb_control *control = maps->memory[MAP_CONTROL];

	maps->tables.sizes = (struct lb_table_sizes){
		.cpus = control->cpus,
		.vip_buckets = control->vip_buckets,
		.ring_lines = control->ring_lines,
		.stamp_lines = control->stamp_lines,
		.backends = control->backends,
		.counters = control->counters,
		.services = control->services,
		.flow_buckets = control->flow_buckets,
	};
}

static int check_adopted(const struct maps *maps, const struct lb_ingress_bpf *program, size_t i,
			 struct lb_error *error)
{
	struct bpf_map_info info = {};
	__u32 length = sizeof(info), entries;
	const struct bpf_map *map = object_map(maps, program, i);
	__u64 flat_bytes = maps->flat ? lb_flat_bytes(&maps->tables.sizes, maps->name[i]) : 0;
	int r = map_layout_check(maps->fd[i], program->obj, map, flat_bytes, error);

	if (r < 0)
		return r;
	entries = maps_entries(maps, &maps->tables.sizes, i, bpf_map__max_entries(map));
	if (bpf_obj_get_info_by_fd(maps->fd[i], &info, &length) < 0)
		return lb_error_set(error, errno, "Failed to ask about the map %s: %m", maps->name[i]);
	if (info.max_entries != entries)
		return lb_error_set(error, EPROTO,
				    "the pinned map %s has %u entries where lb_control says %u",
				    maps->name[i], info.max_entries, entries);
	return 0;
}

static int get_pinned(struct maps *maps, size_t i, struct lb_error *error)
{
	char path[PATH_MAX + 64];

	pin_path(maps, maps->name[i], path);
	maps->fd[i] = bpf_obj_get(path);
	if (maps->fd[i] < 0)
		maps->fd[i] = -errno;
	if (maps->fd[i] < 0)
		return lb_error_set(error, errno == ENOENT ? EPROTO : errno,
				    "Failed to open the pinned map %s: %m", path);
	return 0;
}

/* Removes the pins of maps: all there are, also of versions that had others. */
static int remove_pins(struct maps *maps, struct lb_error *error)
{
	_cleanup_(closedirp) DIR *directory = opendir(maps->directory);
	struct dirent *entry;

	/* lb_control first: what is left after an interruption is then seen as leftovers. */
	if (unlinkat(maps->directory_fd, "lb_control", 0) < 0 && errno != ENOENT)
		return lb_error_set(error, errno, "Failed to remove %s/lb_control: %m", maps->directory);
	while (directory && (entry = readdir(directory))) {
		if (strncmp(entry->d_name, "lb_", 3) == 0 &&
		    unlinkat(maps->directory_fd, entry->d_name, 0) < 0)
			return lb_error_set(error, errno, "Failed to remove %s/%s: %m", maps->directory,
					    entry->d_name);
	}
	return 0;
}

int maps_pin(struct maps *maps, size_t i, struct lb_error *error)
{
	char path[PATH_MAX + 64];

	pin_path(maps, maps->name[i], path);
	if (bpf_obj_pin(maps->fd[i], path) < 0)
		return lb_error_set(error, errno, "Failed to pin %s: %m", path);
	return 0;
}

/* A map that is missing gets its size; a flat one is made at once, which libbpf could not. */
static int size_map(struct maps *maps, size_t i, struct bpf_map *map, const struct lb_table_sizes *sizes)
{
	__u64 flat_bytes = maps->flat ? lb_flat_bytes(sizes, maps->name[i]) : 0;

	if (maps->fd[i] < 0 && flat_bytes)
		maps->fd[i] = lb_flat_create(maps->name[i], flat_bytes);
	if (maps->fd[i] >= 0)
		return bpf_map__reuse_fd(map, maps->fd[i]);
	if (flat_bytes)
		return maps->fd[i];
	return bpf_map__set_max_entries(map, maps_entries(maps, sizes, i, bpf_map__max_entries(map)));
}

/* What to do about it, to end a message with. */
static const char *too_large(int r)
{
	return r == -ENOMEM || r == -E2BIG ? ": lower \"limits\" in the configuration" : "";
}

/* Makes the maps that there is no descriptor of, and pins them, lb_control last. */
int maps_make_missing(struct maps *maps, struct lb_ingress_bpf *program, const struct lb_table_sizes *sizes,
		      struct lb_error *error)
{
	bool missing[MAPS_MAX] = {};
	size_t n = 0;
	int r;

	for (size_t i = 0; i < maps->n; i++) {
		struct bpf_map *map = object_map(maps, program, i);

		missing[i] = maps->fd[i] < 0;
		n += missing[i];
		r = size_map(maps, i, map, sizes);
		if (r < 0)
			return lb_error_set(error, -r, "Failed to make the map %s: %s%s", maps->name[i],
					    strerror(-r), too_large(r));
	}
	if (!n)
		return 0;
	bpf_program__set_autoload(program->progs.lb_ingress, false);
	maps_messages_clear();
	r = lb_ingress_bpf__load(program);
	if (r < 0)
		return lb_error_set(error, -r, "Failed to make the maps: %s (%s)%s", strerror(-r),
				    maps_message(), too_large(r));
	for (size_t i = 0; r == 0 && i < maps->n; i++) {
		if (!missing[i])
			continue;
		if (maps->fd[i] < 0)
			maps->fd[i] = fcntl(bpf_map__fd(object_map(maps, program, i)), F_DUPFD_CLOEXEC, 3);
		if (maps->fd[i] < 0)
			return lb_error_set(error, errno, "Failed to keep a map: %m");
		r = maps_map_memory(maps, i, error);
		if (r == 0 && i != MAP_CONTROL)
			r = maps_pin(maps, i, error);
	}
	return r;
}

/* Whether the agent fills it in whenever it starts, so that versions that have not had it left nothing out.
 */
static bool map_may_begin_empty(size_t i)
{
	return i == MAP_STATIONS || i == MAP_FILTERS || i == MAP_LAYOUT || i == MAP_OBSERVE ||
	       i == MAP_OBSERVED || i == MAP_OBSERVE_EVENTS || i == MAP_NEIGHBORS || i == MAP_BACKEND_IDS;
}

static int adopt_all(struct maps *maps, struct lb_ingress_bpf *program, struct lb_error *error)
{
	int r = get_pinned(maps, MAP_CONTROL, error);

	if (r == 0)
		r = map_layout_check(maps->fd[MAP_CONTROL], program->obj,
				     object_map(maps, program, MAP_CONTROL), 0, error);
	/* The version word first: it gives the clearer message. It only needs the map to be long enough. */
	if (r == 0 || r == -EPROTO) {
		struct lb_error version = {};
		int mapped = maps_map_memory(maps, MAP_CONTROL, &version);

		if (mapped == 0 && maps->bytes[MAP_CONTROL] >= sizeof(struct lb_control))
			mapped = check_control(maps, &version);
		if (mapped < 0) {
			*error = version;
			r = mapped;
		}
	}
	if (r < 0)
		return r;
	maps_read_sizes(maps);
	for (size_t i = 0; i < maps->n; i++) {
		if (i == MAP_CONTROL)
			continue;
		r = get_pinned(maps, i, error);
		if (r == 0 && i == MAP_VIPS)
			maps->flat = lb_flat_is(maps->fd[i]);
		/* A later version may have maps that only packets use, or that the agent fills in whenever it
		 * starts: they begin empty. */
		if (r < 0 && (i >= MAP_KNOWN || map_may_begin_empty(i)) && maps->fd[i] == -ENOENT) {
			maps->fd[i] = -1;
			continue;
		}
		if (r == 0)
			r = check_adopted(maps, program, i, error);
		if (r == 0)
			r = maps_map_memory(maps, i, error);
		if (r < 0)
			return r;
	}
	return maps_make_missing(maps, program, &maps->tables.sizes, error);
}

static int adopt(struct maps *maps, struct lb_ingress_bpf *program, struct lb_error *error)
{
	struct lb_error why = {};
	int r = adopt_all(maps, program, &why);

	if (r == -EPROTO)
		return lb_error_set(
			error, EPROTO,
			"%.300s. Nothing was changed, packets keep flowing. Start the lbd that made "
			"them, or give them up: lbd --detach --bpffs %.80s, then start",
			why.text, maps->directory);
	if (r < 0)
		*error = why;
	return r;
}

static int fill_control(struct maps *maps, const struct lb_table_sizes *sizes, __u64 generation,
			struct lb_error *error)
{
	struct lb_control *control = maps->memory[MAP_CONTROL];

	if (getrandom(control->flow_key, sizeof(control->flow_key), 0) != sizeof(control->flow_key))
		return lb_error_set(error, EIO, "Failed to draw a key: %m");
	lb_tables_init_control(sizes, control);
	/* An empty bank: every packet passes. Numbers go on after a reboot. */
	control->active = LB_ACTIVE(0, 0, 0, generation);
	return 0;
}

static int create(struct maps *maps, struct lb_ingress_bpf *program, const struct lb_table_sizes *sizes,
		  bool chunked, __u64 generation, struct lb_error *error)
{
	/* Pins left by a start that did not live to pin lb_control: no packet has ever used them. */
	int r = remove_pins(maps, error);

	maps->flat = !chunked && lb_flat_possible(sizes);
	if (r == 0)
		r = maps_make_missing(maps, program, sizes, error);
	if (r == 0)
		r = fill_control(maps, sizes, generation, error);
	if (r == 0)
		r = maps_pin(maps, MAP_CONTROL, error);
	if (r < 0) {
		remove_pins(maps, NULL);
		return r;
	}
	maps_read_sizes(maps);
	maps->created = true;
	return 0;
}

/* The agent's own maps first, then whatever else the object has. */
int maps_name(struct maps *maps, const struct lb_ingress_bpf *program, struct lb_error *error)
{
	const struct bpf_map *map;

	for (maps->n = 0; maps->n < MAP_KNOWN; maps->n++)
		snprintf(maps->name[maps->n], sizeof(maps->name[0]), "%s", known_names[maps->n]);
	bpf_object__for_each_map(map, program->obj)
	{
		const char *name = bpf_map__name(map);
		size_t i = 0;

		while (i < MAP_KNOWN && strcmp(known_names[i], name) != 0)
			i++;
		if (i < MAP_KNOWN || strncmp(name, "lb_", 3) != 0 || strchr(name, '.'))
			continue;
		if (maps->n == MAPS_MAX || strlen(name) >= sizeof(maps->name[0]))
			return lb_error_set(error, E2BIG,
					    "the packet path has more maps than the agent can keep");
		snprintf(maps->name[maps->n++], sizeof(maps->name[0]), "%s", name);
	}
	return 0;
}

void maps_fill_tables(struct maps *maps)
{
	struct lb_tables *tables = &maps->tables;
	struct stat st;

	tables->control = maps->memory[MAP_CONTROL];
	tables->vips = maps->memory[MAP_VIPS];
	tables->banks = maps->memory[MAP_BANKS];
	tables->filters = maps->memory[MAP_FILTERS];
	tables->rings = maps->memory[MAP_RINGS];
	tables->stamps = maps->memory[MAP_STAMPS];
	tables->backends = maps->memory[MAP_BACKENDS];
	tables->backend_ids = maps->memory[MAP_BACKEND_IDS];
	tables->counters = maps->memory[MAP_COUNTERS];
	tables->service_counters = maps->memory[MAP_SERVICE_COUNTERS];
	tables->reasons = maps->memory[MAP_REASONS];
	tables->flows = maps->memory[MAP_FLOWS];
	tables->service_meta = maps->memory[MAP_SERVICE_META];
	tables->backend_meta = maps->memory[MAP_BACKEND_META];
	maps->ports = maps->memory[MAP_PORTS];
	maps->stations = maps->memory[MAP_STATIONS];
	maps->observe = maps->memory[MAP_OBSERVE];
	maps->observed = maps->memory[MAP_OBSERVED];
	maps->neighbors = maps->memory[MAP_NEIGHBORS];
	if (fstatat(maps->directory_fd, "lb_control", &st, 0) == 0)
		maps->created_s = st.st_mtime; /* maps_set.c keeps it */
}

int maps_open(struct maps *maps, const struct lb_table_sizes *sizes, bool chunked, __u64 generation,
	      struct lb_error *error)
{
	struct lb_ingress_bpf *program = lb_ingress_bpf__open();
	int r;

	if (!program)
		return lb_error_set(error, errno, "Failed to open the packet path's object: %m");
	r = maps_name(maps, program, error);
	if (r == 0)
		r = maps_set_recover(maps, error);
	if (r == 0 && maps_exist(maps))
		r = adopt(maps, program, error);
	else if (r == 0)
		r = create(maps, program, sizes, chunked, generation, error);
	if (r == 0)
		r = layout_describe(program->obj, maps->memory[MAP_LAYOUT], error);
	lb_ingress_bpf__destroy(program);
	if (r < 0)
		return r;
	maps_fill_tables(maps);
	return 0;
}

void maps_close(struct maps *maps)
{
	for (size_t i = 0; i < MAPS_MAX; i++) {
		if (maps->memory[i])
			munmap(maps->memory[i], maps->bytes[i]);
		if (maps->fd[i] > 0)
			close(maps->fd[i]);
		maps->memory[i] = NULL;
		maps->fd[i] = -1;
	}
	if (maps->directory_fd > 0)
		close(maps->directory_fd);
	maps->directory_fd = -1;
}

void maps_undo(struct maps *maps)
{
	if (maps->created)
		remove_pins(maps, NULL);
	if (maps->made_directory)
		rmdir(maps->directory);
	maps->created = maps->made_directory = false;
}

int maps_unpin(struct maps *maps, struct lb_error *error)
{
	int r = remove_pins(maps, error);

	maps_set_remove_all(maps);
	if (r < 0)
		return r;
	if (rmdir(maps->directory) < 0 && errno != ENOTEMPTY && errno != ENOENT && errno != EBUSY &&
	    errno != EACCES)
		return lb_error_set(error, errno, "Failed to remove %s: %m", maps->directory);
	return 0;
}
