/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where the packet path says what it decided. In lb_ingress these are nothing at all: its instructions are
 * the same with and without them. In lb_capture (which defines LB_CAPTURE) each CPU keeps the decision beside
 * the packet that it is recording.
 */
#pragma once

#ifdef LB_CAPTURE

#include "lb/capture.h"
#include "maps.h"

/* Written and read by one packet at a time, each CPU its own. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct lb_capture_record);
} lb_capture_record SEC(".maps");

static __always_inline struct lb_capture_record *capture_record(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&lb_capture_record, &zero);
}

/* The service that the packet is for, found in the generation of this active word. */
static __always_inline void note_service(__u64 active, const struct lb_vip *vip)
{
	struct lb_capture_record *record = capture_record();

	if (!record)
		return;
	record->generation = LB_ACTIVE_GENERATION(active);
	record->service = vip->service;
}

static __always_inline void note_backend(const struct lb_backend *backend)
{
	struct lb_capture_record *record = capture_record();

	if (record)
		record->backend = backend->counter;
}

static __always_inline void note_reason(__u32 reason)
{
	struct lb_capture_record *record = capture_record();

	if (record)
		record->reason = reason;
}

#else

#define note_service(active, vip) ((void)0)
#define note_backend(backend)     ((void)0)
#define note_reason(reason)       ((void)0)

#endif
