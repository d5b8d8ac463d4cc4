// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loads and unloads lb_capture.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lbd/capture/capture_program.h"
#include "base/cleanup.h"
#include "lbd/kernel/flat_tables.h"
#include "lbd/kernel/maps.h"

#include "lb_capture.skel.h"

static size_t filters_bytes(void)
{
	size_t page = sysconf(_SC_PAGESIZE);

	return (sizeof(struct lb_capture_filters) + page - 1) / page * page;
}

static int reuse(struct bpf_map *map, const struct bpf_map *of)
{
	return bpf_map__reuse_fd(map, bpf_map__fd(of));
}

int capture_program_open(const struct maps *maps, bool several_interfaces, const struct capture_program *of,
			 struct lb_capture_bpf **ret_skeleton, struct lb_error *error)
{
	struct lb_capture_bpf *skeleton = lb_capture_bpf__open();
	int r;

	if (!skeleton)
		return lb_error_set(error, errno, "Failed to open the capturing program's object: %m");
	lb_flat_constants(skeleton->rodata, &maps->tables.sizes, maps->flat);
	skeleton->rodata->lb_several_interfaces = several_interfaces;
	skeleton->rodata->lb_observe_on = 1;
	r = program_reuse_maps(maps, skeleton->obj, error);
	if (r == 0 && of &&
	    (reuse(skeleton->maps.lb_capture_ring, of->skeleton->maps.lb_capture_ring) < 0 ||
	     reuse(skeleton->maps.lb_capture_filters, of->skeleton->maps.lb_capture_filters) < 0 ||
	     reuse(skeleton->maps.lb_capture_counts, of->skeleton->maps.lb_capture_counts) < 0))
		r = lb_error_set(error, errno, "Failed to share the maps of the capturing program: %m");
	if (r < 0) {
		lb_capture_bpf__destroy(skeleton);
		return r;
	}
	*ret_skeleton = skeleton;
	return 0;
}

int capture_program_load(const struct maps *maps, bool several_interfaces, bool maps_only, bool frags,
			 struct capture_program *ret, struct lb_error *error)
{
	struct lb_capture_bpf *skeleton;
	void *filters;
	int r = capture_program_open(maps, several_interfaces, NULL, &skeleton, error);

	if (r < 0)
		return r;
	if (maps_only)
		bpf_program__set_autoload(skeleton->progs.lb_capture, false);
	if (frags)
		program_set_frags(skeleton->progs.lb_capture);
	maps_messages_clear();
	r = lb_capture_bpf__load(skeleton);
	if (r < 0) {
		lb_error_set(error, -r, "the kernel refuses the capturing program: %s (%s)", strerror(-r),
			     maps_message());
		goto undo;
	}
	filters = mmap(NULL, filters_bytes(), PROT_READ | PROT_WRITE, MAP_SHARED,
		       bpf_map__fd(skeleton->maps.lb_capture_filters), 0);
	if (filters == MAP_FAILED) {
		r = lb_error_set(error, errno, "Failed to map lb_capture_filters into memory: %m");
		goto undo;
	}
	*ret = (struct capture_program){
		.skeleton = skeleton,
		.fd = maps_only ? -1 : bpf_program__fd(skeleton->progs.lb_capture),
		.id = map_id_of(bpf_map__fd(skeleton->maps.lb_capture_ring)),
		.ring_fd = bpf_map__fd(skeleton->maps.lb_capture_ring),
		.counts_fd = bpf_map__fd(skeleton->maps.lb_capture_counts),
		.filters = filters,
	};
	return 0;
undo:
	lb_capture_bpf__destroy(skeleton);
	return r;
}

void capture_program_unload(struct capture_program *program)
{
	if (!program->skeleton)
		return;
	munmap(program->filters, filters_bytes());
	lb_capture_bpf__destroy(program->skeleton);
	*program = (struct capture_program){ .fd = -1 };
}

void capture_program_count(const struct capture_program *program, __u32 number,
			   struct lb_capture_count *ret_count)
{
	int cpus = libbpf_num_possible_cpus();
	_cleanup_(freep) struct lb_capture_counts *counts = calloc(cpus > 0 ? cpus : 1, sizeof(*counts));
	__u32 zero = 0;

	*ret_count = (struct lb_capture_count){};
	if (!counts || cpus < 0 || bpf_map_lookup_elem(program->counts_fd, &zero, counts) < 0)
		return;
	for (int cpu = 0; cpu < cpus; cpu++) {
		ret_count->matched += counts[cpu].capture[number].matched;
		ret_count->lost += counts[cpu].capture[number].lost;
	}
}
