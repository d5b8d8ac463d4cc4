/* SPDX-License-Identifier: GPL-2.0-only */
/* See flat_tables.h. */
#include "lbd/kernel/flat_tables.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "program/insns.h"

#include "lb/types.h"

#define OFFSET_MAX (512ull << 20) /* BPF_MAX_VAR_OFF */

static const char *const names[] = { "lb_vips", "lb_rings", "lb_backends", "lb_backend_ids", "lb_counters" };
#define N_NAMES ((int)(sizeof(names) / sizeof(names[0])))

__u64 lb_flat_bytes(const struct lb_table_sizes *sizes, const char *name)
{
	if (strcmp(name, "lb_vips") == 0)
		return LB_BANKS * (__u64)sizes->vip_buckets * sizeof(struct lb_vip);
	if (strcmp(name, "lb_rings") == 0)
		return (__u64)sizes->ring_lines * sizeof(struct lb_ring_line);
	if (strcmp(name, "lb_backends") == 0)
		return (__u64)sizes->backends * sizeof(struct lb_backend);
	if (strcmp(name, "lb_backend_ids") == 0)
		return (__u64)sizes->backends * sizeof(__u32);
	if (strcmp(name, "lb_counters") == 0)
		return (__u64)sizes->cpus * sizes->counters * sizeof(struct lb_counter);
	return 0;
}

int lb_flat_create(const char *name, __u64 bytes)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_MMAPABLE);
	int fd;

	if (bytes > OFFSET_MAX)
		return -E2BIG;
	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, name, sizeof(__u32), (__u32)bytes, 1, &options);
	return fd < 0 ? -errno : fd;
}

bool lb_flat_possible(const struct lb_table_sizes *sizes)
{
	__u64 largest = 0;
	int fd;

	for (int i = 0; i < N_NAMES; i++) {
		__u64 bytes = lb_flat_bytes(sizes, names[i]);

		largest = bytes > largest ? bytes : largest;
	}
	/* By trying: before Linux 6.8 the limit differs between architectures and builds (KMALLOC_MAX_SIZE).
	 */
	fd = lb_flat_create("lb_probe", largest);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

bool lb_flat_is(int vips_fd)
{
	struct bpf_map_info info = {};
	__u32 length = sizeof(info);

	return bpf_obj_get_info_by_fd(vips_fd, &info, &length) == 0 && info.max_entries == 1;
}

/* --- a program that is about to be loaded --------------------------------------------------------- */

/* The map's number in names; N_NAMES: none of them, -1: the constants. */
static int identify(int fd, struct bpf_map_info *info)
{
	__u32 length = sizeof(*info);
	int i = 0;

	memset(info, 0, sizeof(*info));
	if (bpf_obj_get_info_by_fd(fd, info, &length) < 0)
		return N_NAMES;
	while (i < N_NAMES && strcmp(info->name, names[i]) != 0)
		i++;
	return strstr(info->name, ".rodata") ? -1 : i;
}

static int fold_constants(struct bpf_insn *insns, size_t n, int fd, const struct bpf_map_info *info)
{
	_cleanup_(freep) void *value = calloc(1, info->value_size);
	__u32 zero = 0;

	if (!value)
		return -ENOMEM;
	if (bpf_map_lookup_elem(fd, &zero, value) < 0)
		return -errno;
	return lb_insns_fold(insns, n, fd, value, info->value_size) < 0 ? -ENOMEM : 0;
}

/* Whatever names a map is looked at; what was changed for an earlier one of its kind stays as it is. */
static int change_all(struct bpf_insn *insns, size_t n, bool flat)
{
	struct bpf_map_info info;
	int r = 0;

	for (size_t i = 0; r == 0 && i + 1 < n; i++) {
		__u8 kind = insns[i].src_reg;
		int which, fd = insns[i].imm;

		if (insns[i].code != (BPF_LD | BPF_IMM | BPF_DW))
			continue;
		which = kind == BPF_PSEUDO_MAP_FD || kind == BPF_PSEUDO_MAP_VALUE ? identify(fd, &info)
										  : N_NAMES;
		if (which < 0)
			r = fold_constants(insns, n, fd, &info);
		else if (which < N_NAMES && flat)
			lb_insns_take_value(insns, n, fd);
		i++;
	}
	return r;
}

/* Descriptor of lb_vips in these instructions, or -1. */
static int find_vips(const struct bpf_insn *insns, size_t n)
{
	struct bpf_map_info info;

	for (size_t i = 0; i + 1 < n; i++) {
		if (insns[i].code != (BPF_LD | BPF_IMM | BPF_DW))
			continue;
		if (insns[i].src_reg == BPF_PSEUDO_MAP_FD && identify(insns[i].imm, &info) == 0)
			return insns[i].imm;
		i++;
	}
	return -1;
}

static int prepare(struct bpf_program *program, struct bpf_prog_load_opts *options, long cookie)
{
	const struct bpf_insn *insns = bpf_program__insns(program);
	size_t n = bpf_program__insn_cnt(program);
	_cleanup_(freep) struct bpf_insn *changed = NULL;
	int vips, r;

	(void)options;
	(void)cookie;
	vips = find_vips(insns, n);
	if (vips < 0)
		return 0;
	changed = malloc(n * sizeof(*changed));
	if (!changed)
		return -ENOMEM;
	memcpy(changed, insns, n * sizeof(*changed));
	r = change_all(changed, n, lb_flat_is(vips));
	return r < 0 ? r : bpf_program__set_insns(program, changed, n);
}

int lb_flat_install(void)
{
	LIBBPF_OPTS(libbpf_prog_handler_opts, options, .prog_prepare_load_fn = prepare);
	int r = libbpf_register_prog_handler("xdp", BPF_PROG_TYPE_XDP, BPF_XDP, &options);

	if (r >= 0)
		r = libbpf_register_prog_handler("tc", BPF_PROG_TYPE_SCHED_CLS, 0, &options);
	return r < 0 ? r : 0;
}
