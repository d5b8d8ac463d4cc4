/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Example packets: the beginning of a packet that was dropped, taken now and then by the packet path for each
 * reason and CPU (sample_drop() in bpf/count.h).
 */
#pragma once

#include <stdbool.h>

#include "lbd/api/json.h"
#include "lbd/kernel/maps.h"

struct samples {
	const struct lb_sample *sample; /* cpu * LB_REASONS_MAX + reason; NULL: there are none */
	size_t bytes;
	__u32 cpus;
};

void samples_open(const struct maps *maps, struct samples *ret_samples);
void samples_close(struct samples *samples);

/* That of a CPU; false: it has taken none, or is taking one. */
bool samples_get(const struct samples *samples, __u32 cpu, __u32 reason, struct lb_sample *ret_sample);

/* The newest of a reason; false: none was taken. */
bool samples_newest(const struct samples *samples, __u32 reason, struct lb_sample *ret_sample);

/* The member "example" of a reason: an object or null. */
void samples_write(const struct samples *samples, __u32 reason, struct json *json);
