/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The description of our own layout (lb/layout.h), made from the types that the packet path's object brings.
 */
#pragma once

#include <bpf/libbpf.h>

#include "base/error.h"
#include "lb/layout.h"

/* Of all structures of carry.h that the object knows. Zeroes behind the text. 0, -E2BIG: it has no room;
 * -EPROTO: the object has no such type, or one that cannot be described. */
int layout_describe(const struct bpf_object *object, struct lb_layout_text *ret_text, struct lb_error *error);
