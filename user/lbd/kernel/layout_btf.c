// SPDX-License-Identifier: GPL-2.0-only
/*
 * See layout_btf.h. Structures within structures are told as their members; so are those in an array, once
 * for all of its places. An array of numbers is one field.
 */
#include "lbd/kernel/layout_btf.h"

#include <bpf/btf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "carry/carry.h"

/* Where members are: so many times, so far apart. */
struct place {
	const char *structure;
	const char *prefix;
	__u32 offset, count, stride;
};

struct describing {
	const struct btf *btf;
	struct lb_layout_text *text;
	size_t at;
	struct lb_error *error;
};

static int members(struct describing *d, const struct btf_type *type, const struct place *place);

static int line(struct describing *d, const struct place *place, const char *name, __u32 offset, __u32 bytes)
{
	size_t room = sizeof(d->text->text) - d->at;
	int n = snprintf(d->text->text + d->at, room, "%s %s%s %u %u %u %u\n", place->structure,
			 place->prefix, name, place->offset + offset, bytes, place->count, place->stride);

	if (n < 0 || (size_t)n >= room)
		return lb_error_set(d->error, E2BIG, "the description of the layout has no room for %s",
				    place->structure);
	d->at += (size_t)n;
	return 0;
}

static int cannot(struct describing *d, const struct place *place, const char *name)
{
	return lb_error_set(d->error, EPROTO, "the layout of %s.%s%s cannot be described", place->structure,
			    place->prefix, name);
}

static int within(struct describing *d, const struct place *place, const char *name, __u32 offset,
		  const struct btf_type *type, __u32 count, __u32 stride)
{
	char prefix[LB_LAYOUT_NAME];
	struct place inner = { .structure = place->structure,
			       .prefix = prefix,
			       .offset = place->offset + offset,
			       .count = place->count,
			       .stride = place->stride };

	if (count > 1 && place->count > 1)
		return cannot(d, place, name);
	if (count > 1) {
		inner.count = count;
		inner.stride = stride;
	}
	if (snprintf(prefix, sizeof(prefix), "%s%s%s", place->prefix, name, name[0] ? "." : "") >=
	    (int)sizeof(prefix))
		return cannot(d, place, name);
	return members(d, type, &inner);
}

static int member(struct describing *d, const struct place *place, const char *name, __u32 offset, __u32 id)
{
	const struct btf_type *type, *element;
	__u32 size;

	id = (__u32)btf__resolve_type(d->btf, id);
	type = btf__type_by_id(d->btf, id);
	if (!type)
		return cannot(d, place, name);
	if (btf_is_composite(type))
		return within(d, place, name, offset, type, 1, 0);
	if (btf_is_array(type)) {
		element = btf__type_by_id(d->btf, btf__resolve_type(d->btf, btf_array(type)->type));
		if (element && btf_is_composite(element))
			return within(d, place, name, offset, element, btf_array(type)->nelems,
				      element->size);
	}
	size = (__u32)btf__resolve_size(d->btf, id);
	return size ? line(d, place, name, offset, size) : cannot(d, place, name);
}

static int members(struct describing *d, const struct btf_type *type, const struct place *place)
{
	const struct btf_member *list = btf_members(type);
	int r = 0;

	for (__u32 i = 0; r == 0 && i < btf_vlen(type); i++) {
		const char *name = btf__name_by_offset(d->btf, list[i].name_off);

		if (btf_member_bitfield_size(type, i) || btf_member_bit_offset(type, i) % 8)
			return cannot(d, place, name);
		r = member(d, place, name, btf_member_bit_offset(type, i) / 8, list[i].type);
	}
	return r;
}

/* Numbers have no members. */
static __u32 number_bytes(const char *name)
{
	return strcmp(name, "__u32") == 0 ? 4 : strcmp(name, "__u64") == 0 ? 8 : 0;
}

static int structure(struct describing *d, const char *name)
{
	struct place place = { .structure = name, .prefix = "", .count = 1 };
	__s32 id = btf__find_by_name_kind(d->btf, name, BTF_KIND_STRUCT);
	const struct btf_type *type = id < 0 ? NULL : btf__type_by_id(d->btf, id);
	int r;

	if (number_bytes(name))
		return line(d, &place, ".", 0, number_bytes(name));
	if (!type)
		return lb_error_set(d->error, EPROTO, "the packet path's object does not know struct %s",
				    name);
	r = line(d, &place, ".", 0, type->size);
	return r == 0 ? members(d, type, &place) : r;
}

/* Some maps have values of the same structure. */
static bool described(size_t i)
{
	for (size_t j = 0; j < i; j++)
		if (strcmp(lb_carry_maps[j].structure, lb_carry_maps[i].structure) == 0)
			return true;
	return false;
}

int layout_describe(const struct bpf_object *object, struct lb_layout_text *ret_text, struct lb_error *error)
{
	struct describing d = { .btf = bpf_object__btf(object), .text = ret_text, .error = error };
	int r = 0;

	memset(ret_text, 0, sizeof(*ret_text));
	if (!d.btf)
		return lb_error_set(error, EPROTO, "the packet path's object tells no types");
	for (size_t i = 0; r == 0 && i < LB_CARRIED_COUNT; i++)
		r = described(i) ? 0 : structure(&d, lb_carry_maps[i].structure);
	return r;
}
