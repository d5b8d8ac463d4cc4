/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Parts of maps.c for those who make another set of maps (maps_set.c).
 */
#pragma once

#include "lbd/kernel/maps.h"

/* Names all maps: the agent's own first, then whatever else the object has. */
int maps_name(struct maps *maps, const struct lb_ingress_bpf *program, struct lb_error *error);

/* How many entries a map has in tables of these sizes. declared: what the object says of a map that is not
 * the agent's. */
__u32 maps_entries(const struct maps *maps, const struct lb_table_sizes *sizes, size_t i, __u32 declared);

/* Maps memory over a map that there is a descriptor of, if the agent looks into it. */
int maps_map_memory(struct maps *maps, size_t i, struct lb_error *error);

/* Makes the maps that there is no descriptor of, and pins them, all but lb_control. */
int maps_make_missing(struct maps *maps, struct lb_ingress_bpf *program, const struct lb_table_sizes *sizes,
		      struct lb_error *error);
int maps_pin(struct maps *maps, size_t i, struct lb_error *error);

/* The description of our own layout (layout_btf.h). */
struct lb_layout_text;
int maps_describe(struct lb_layout_text *ret_text, struct lb_error *error);

/* From lb_control; then the pointers of maps->tables. */
void maps_read_sizes(struct maps *maps);
void maps_fill_tables(struct maps *maps);
