// SPDX-License-Identifier: GPL-2.0-only
/*
 * Compares map definitions and, member by member, the BTF of their values. lb_control's version word is
 * the first line of defence; this catches a layout that changed without it.
 */
#include "lbd/kernel/maps_layout.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "lb/types.h"
#include "lbd/kernel/maps.h"

#define DEPTH_MAX 8

static void btf_freep(struct btf **btf)
{
	btf__free(*btf);
}

static bool same_type(const struct btf *a, __u32 a_id, const struct btf *b, __u32 b_id, int depth,
		      const char **culprit);

static bool same_members(const struct btf *a, const struct btf_type *a_type, const struct btf *b,
			 const struct btf_type *b_type, int depth, const char **culprit)
{
	const struct btf_member *x = btf_members(a_type), *y = btf_members(b_type);

	for (int i = 0; i < btf_vlen(a_type); i++) {
		*culprit = btf__name_by_offset(b, y[i].name_off);
		if (strcmp(btf__name_by_offset(a, x[i].name_off), *culprit) != 0 ||
		    btf_member_bit_offset(a_type, i) != btf_member_bit_offset(b_type, i) ||
		    !same_type(a, x[i].type, b, y[i].type, depth - 1, culprit))
			return false;
	}
	return true;
}

static bool same_type(const struct btf *a, __u32 a_id, const struct btf *b, __u32 b_id, int depth,
		      const char **culprit)
{
	const struct btf_type *x, *y;

	if (depth == 0)
		return true;
	a_id = btf__resolve_type(a, a_id);
	b_id = btf__resolve_type(b, b_id);
	x = btf__type_by_id(a, a_id);
	y = btf__type_by_id(b, b_id);
	if (!x || !y || btf_kind(x) != btf_kind(y) ||
	    btf__resolve_size(a, a_id) != btf__resolve_size(b, b_id))
		return false;
	if (btf_is_composite(x))
		return btf_vlen(x) == btf_vlen(y) && same_members(a, x, b, y, depth, culprit);
	if (btf_is_array(x))
		return btf_array(x)->nelems == btf_array(y)->nelems &&
		       same_type(a, btf_array(x)->type, b, btf_array(y)->type, depth - 1, culprit);
	return true;
}

int map_layout_check(int fd, const struct bpf_object *object, const struct bpf_map *map, __u64 flat_bytes,
		     struct lb_error *error)
{
	__u64 value_size = flat_bytes ? flat_bytes : bpf_map__value_size(map);
	_cleanup_(btf_freep) struct btf *pinned = NULL;
	const struct btf *own = bpf_object__btf(object);
	const char *name = bpf_map__name(map), *culprit = "its type";
	struct bpf_map_info info = {};
	__u32 length = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &length) < 0)
		return lb_error_set(error, errno, "Failed to ask about the pinned map %s: %m", name);
	if (info.type != bpf_map__type(map))
		return lb_error_set(error, EPROTO, "the pinned map %s is of type %u, not %u", name, info.type,
				    bpf_map__type(map));
	if (info.key_size != bpf_map__key_size(map) || info.value_size != value_size)
		return lb_error_set(
			error, EPROTO,
			"the pinned map %s has keys of %u and values of %u bytes, not %u and %llu", name,
			info.key_size, info.value_size, bpf_map__key_size(map), value_size);
	if ((info.map_flags & BPF_F_MMAPABLE) != (bpf_map__map_flags(map) & BPF_F_MMAPABLE))
		return lb_error_set(error, EPROTO, "the pinned map %s has other flags (%#x)", name,
				    info.map_flags);
	if (!info.btf_id || !info.btf_value_type_id || !bpf_map__btf_value_type_id(map))
		return 0;
	pinned = btf__load_from_kernel_by_id(info.btf_id);
	if (!pinned)
		return 0;
	if (!same_type(pinned, info.btf_value_type_id, own, bpf_map__btf_value_type_id(map), DEPTH_MAX,
		       &culprit))
		return lb_error_set(error, EPROTO, "the values of the pinned map %s differ from ours at %s",
				    name, culprit);
	return 0;
}

/* The head of lb_control, which is the same in every layout (types.h). False: there is none of ours. */
static bool read_control(const char *directory, struct lb_control *ret_control)
{
	char path[PATH_MAX + 16], value[4096];
	struct bpf_map_info info = {};
	__u32 length = sizeof(info), key = 0;
	_cleanup_(closep) int fd = -1;

	snprintf(path, sizeof(path), "%.*s/lb_control", PATH_MAX, directory);
	fd = bpf_obj_get(path);
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &length) < 0 ||
	    info.value_size < sizeof(*ret_control) || info.value_size > sizeof(value) ||
	    bpf_map_lookup_elem(fd, &key, value) < 0)
		return false;
	memcpy(ret_control, value, sizeof(*ret_control));
	return ret_control->magic == LB_LAYOUT_MAGIC;
}

__u64 maps_generation(const struct maps *maps)
{
	struct lb_control control;

	if (!read_control(maps->directory, &control) || control.layout > LB_LAYOUT_VERSION)
		return 0;
	return LB_ACTIVE_GENERATION(control.active);
}

__u32 maps_layout(const struct maps *maps)
{
	struct lb_control control;

	return read_control(maps->pins, &control) ? control.layout : 0;
}
