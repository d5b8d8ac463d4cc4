/* SPDX-License-Identifier: GPL-2.0-only */
/* See packet_path.h. Relies on libbpf and the generated skeleton. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lbd/kernel/flat_tables.h"
#include "packet_path.h"
#include "lb/types.h"
#include "lb_ingress.skel.h"

static size_t map_bytes(const struct bpf_map *map)
{
	size_t page = sysconf(_SC_PAGESIZE);
	size_t bytes = (size_t)((bpf_map__value_size(map) + 7) & ~7u) * bpf_map__max_entries(map);

	return (bytes + page - 1) & ~(page - 1);
}

static void *map_memory(const struct bpf_map *map)
{
	void *memory = mmap(NULL, map_bytes(map), PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);

	return memory == MAP_FAILED ? NULL : memory;
}

static int map_tables(struct lb_ingress_bpf *skeleton, struct lb_tables *t)
{
	t->control = map_memory(skeleton->maps.data_lb_control);
	t->vips = map_memory(skeleton->maps.lb_vips);
	t->banks = map_memory(skeleton->maps.lb_banks);
	t->filters = map_memory(skeleton->maps.data_lb_filters);
	t->rings = map_memory(skeleton->maps.lb_rings);
	t->stamps = map_memory(skeleton->maps.lb_stamps);
	t->backends = map_memory(skeleton->maps.lb_backends);
	t->backend_ids = map_memory(skeleton->maps.lb_backend_ids);
	t->counters = map_memory(skeleton->maps.lb_counters);
	t->service_counters = map_memory(skeleton->maps.lb_service_counters);
	t->reasons = map_memory(skeleton->maps.lb_reasons);
	t->flows = map_memory(skeleton->maps.lb_flows);
	t->service_meta = map_memory(skeleton->maps.lb_service_meta);
	t->backend_meta = map_memory(skeleton->maps.lb_backend_meta);
	if (!t->control || !t->vips || !t->banks || !t->filters || !t->rings || !t->stamps || !t->backends ||
	    !t->backend_ids || !t->counters || !t->service_counters || !t->reasons || !t->flows ||
	    !t->service_meta || !t->backend_meta)
		return -errno;
	return 0;
}

/* Flat as lbd would; CHUNKED in the environment: as it would on an old kernel. */
static int make_flat(struct lb_ingress_bpf *skeleton, const struct lb_table_sizes *s, bool *ret_flat)
{
	struct bpf_map *map;
	int r = 0;

	*ret_flat = !getenv("CHUNKED") && lb_flat_possible(s);
	bpf_object__for_each_map(map, skeleton->obj)
	{
		__u64 bytes = *ret_flat ? lb_flat_bytes(s, bpf_map__name(map)) : 0;
		int fd = bytes ? lb_flat_create(bpf_map__name(map), bytes) : -1;

		if (r < 0 || (bytes && fd < 0))
			return r < 0 ? r : fd;
		if (fd < 0)
			continue;
		r = bpf_map__reuse_fd(map, fd);
		close(fd);
	}
	return r;
}

static int set_sizes(struct lb_ingress_bpf *skeleton, const struct lb_table_sizes *s)
{
	bool flat;
	int r;

	bpf_map__set_max_entries(skeleton->maps.lb_vips, LB_BANKS);
	bpf_map__set_max_entries(skeleton->maps.lb_banks, LB_BANKS);
	bpf_map__set_max_entries(skeleton->maps.lb_rings, s->ring_lines / LB_CHUNK_LINES);
	bpf_map__set_max_entries(skeleton->maps.lb_stamps, s->stamp_lines / LB_CHUNK_LINES);
	bpf_map__set_max_entries(skeleton->maps.lb_backends, s->backends / LB_CHUNK_LINES);
	bpf_map__set_max_entries(skeleton->maps.lb_backend_ids, s->backends / LB_CHUNK_LINES);
	bpf_map__set_max_entries(skeleton->maps.lb_counters, s->cpus * s->counters);
	bpf_map__set_max_entries(skeleton->maps.lb_service_counters, s->cpus * s->services);
	bpf_map__set_max_entries(skeleton->maps.lb_reasons, s->cpus);
	bpf_map__set_max_entries(skeleton->maps.lb_flows, s->flow_buckets);
	bpf_map__set_max_entries(skeleton->maps.lb_service_meta, s->services);
	bpf_map__set_max_entries(skeleton->maps.lb_backend_meta, s->counters);
	bpf_map__set_max_entries(skeleton->maps.lb_ports, LB_PORTS_MAX);
	bpf_map__set_max_entries(skeleton->maps.lb_samples, s->cpus * LB_REASONS_MAX);
	bpf_map__set_max_entries(skeleton->maps.lb_observed, s->cpus);
	r = make_flat(skeleton, s, &flat);
	lb_flat_constants(skeleton->rodata, s, flat);
	return r;
}

int packet_path_open(const struct lb_table_sizes *sizes, int several, struct packet_path *ret_path)
{
	return packet_path_open_rates(sizes, several, NULL, ret_path);
}

int packet_path_open_rates(const struct lb_table_sizes *sizes, int several,
			   const struct packet_path_rates *rates, struct packet_path *ret_path)
{
	struct packet_path path = { .tables.sizes = *sizes };
	static bool installed;
	int r = installed ? 0 : lb_flat_install();

	installed = true;
	if (r < 0)
		return r;

	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
	path.skeleton = lb_ingress_bpf__open();
	if (!path.skeleton)
		return -errno;
	r = set_sizes(path.skeleton, sizes);
	path.skeleton->rodata->lb_several_interfaces = several;
	path.skeleton->rodata->lb_observe_on = 1;
	if (rates) {
		path.skeleton->rodata->lb_echo_rate = rates->echo;
		path.skeleton->rodata->lb_error_rate = rates->error;
		path.skeleton->rodata->lb_reset_rate = rates->reset;
		path.skeleton->rodata->lb_source_rate = rates->source;
	}
	/* As it runs on an interface that is not shared. */
	bpf_program__set_flags(path.skeleton->progs.lb_ingress, BPF_F_XDP_HAS_FRAGS);
	if (r == 0)
		r = lb_ingress_bpf__load(path.skeleton);
	if (r == 0)
		r = map_tables(path.skeleton, &path.tables);
	if (r == 0) {
		path.stations = map_memory(path.skeleton->maps.data_lb_stations);
		path.observe = map_memory(path.skeleton->maps.data_lb_observe);
		path.observed = map_memory(path.skeleton->maps.lb_observed);
		path.observe_events = bpf_map__fd(path.skeleton->maps.lb_observe_events);
		path.neighbors = map_memory(path.skeleton->maps.lb_neighbors);
		r = path.stations && path.neighbors && path.observe && path.observed ? 0 : -errno;
	}
	if (r < 0) {
		lb_ingress_bpf__destroy(path.skeleton);
		return r;
	}
	lb_tables_init_control(sizes, path.tables.control);
	path.program_fd = bpf_program__fd(path.skeleton->progs.lb_ingress);
	*ret_path = path;
	return 0;
}

/* An opened object over the same maps, with the same constants. */
static int load_over(const struct packet_path *path, struct bpf_object *again, int observed)
{
	__typeof__(*path->skeleton->rodata) constants = *path->skeleton->rodata;
	struct bpf_program *program = bpf_object__find_program_by_name(again, "lb_ingress");
	struct bpf_map *map;
	int r = program ? 0 : -ENOENT;

	constants.lb_observe_on = observed;
	bpf_object__for_each_map(map, again)
	{
		const char *name = bpf_map__name(map);
		const struct bpf_map *same = bpf_object__find_map_by_name(path->skeleton->obj, name);

		if (r < 0)
			return r;
		if (strstr(name, ".rodata"))
			r = bpf_map__set_initial_value(map, &constants, sizeof(constants));
		else
			r = same ? bpf_map__reuse_fd(map, bpf_map__fd(same)) : -ENOENT;
	}
	bpf_program__set_flags(program, BPF_F_XDP_HAS_FRAGS);
	if (r == 0)
		r = bpf_object__load(again);
	if (r == 0)
		r = dup(bpf_program__fd(program));
	return r == -1 ? -errno : r;
}

int packet_path_load_again(const struct packet_path *path, int observed)
{
	struct lb_ingress_bpf *again = lb_ingress_bpf__open();
	int r = again ? load_over(path, again->obj, observed) : -errno;

	lb_ingress_bpf__destroy(again);
	return r;
}

int packet_path_load_file(const struct packet_path *path, const char *file, int observed)
{
	struct bpf_object *again = bpf_object__open_file(file, NULL);
	int r = again ? load_over(path, again, observed) : -errno;

	bpf_object__close(again);
	return r;
}

static void unmap(void *memory, const struct bpf_map *map)
{
	munmap(memory, map_bytes(map));
}

void packet_path_close(struct packet_path *path)
{
	struct lb_ingress_bpf *skeleton = path->skeleton;
	struct lb_tables *t = &path->tables;

	if (!skeleton)
		return;
	unmap(path->neighbors, skeleton->maps.lb_neighbors);
	unmap(path->stations, skeleton->maps.data_lb_stations);
	unmap(path->observe, skeleton->maps.data_lb_observe);
	unmap(path->observed, skeleton->maps.lb_observed);
	unmap(t->control, skeleton->maps.data_lb_control);
	unmap(t->vips, skeleton->maps.lb_vips);
	unmap(t->banks, skeleton->maps.lb_banks);
	unmap(t->filters, skeleton->maps.data_lb_filters);
	unmap(t->rings, skeleton->maps.lb_rings);
	unmap(t->stamps, skeleton->maps.lb_stamps);
	unmap(t->backends, skeleton->maps.lb_backends);
	unmap(t->backend_ids, skeleton->maps.lb_backend_ids);
	unmap(t->counters, skeleton->maps.lb_counters);
	unmap(t->service_counters, skeleton->maps.lb_service_counters);
	unmap(t->reasons, skeleton->maps.lb_reasons);
	unmap(t->flows, skeleton->maps.lb_flows);
	unmap(t->service_meta, skeleton->maps.lb_service_meta);
	unmap(t->backend_meta, skeleton->maps.lb_backend_meta);
	lb_ingress_bpf__destroy(skeleton);
	path->skeleton = NULL;
}
