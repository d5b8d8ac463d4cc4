/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The rig's third opinion: the packet path that captures (bpf/lb_capture.bpf.c) over the same maps. It must
 * do what the plain one does, and record just that.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lbd/kernel/flat_tables.h"
#include "rig.h"
#include "rig_internal.h"
#include "lb/capture.h"
#include "lb/types.h"
#include "lb_capture.skel.h"
#include "lb_ingress.skel.h"

struct rig_capture {
	struct lb_capture_bpf *skeleton;
	struct ring_buffer *ring;
	struct lb_capture_record record; /* the last one */
	unsigned int records;
};

static int take_record(void *context, void *data, size_t bytes)
{
	struct rig_capture *capture = context;

	if (bytes != sizeof(capture->record))
		return -EINVAL;
	memcpy(&capture->record, data, sizeof(capture->record));
	capture->records++;
	return 0;
}

static int want_everything(const struct lb_capture_bpf *skeleton)
{
	const struct lb_capture_filters filters = { .capture[0] = { .by = LB_CAPTURE_ON } };
	const __u32 zero = 0;

	return bpf_map_update_elem(bpf_map__fd(skeleton->maps.lb_capture_filters), &zero, &filters, 0);
}

int rig_capture_new(const struct rig *rig, int several, struct rig_capture **ret_capture)
{
	struct rig_capture *capture = calloc(1, sizeof(*capture));

	if (!capture)
		return -1;
	capture->skeleton = lb_capture_bpf__open();
	if (capture->skeleton) {
		lb_flat_constants(capture->skeleton->rodata, &rig->path.tables.sizes,
				  lb_flat_is(bpf_map__fd(rig->path.skeleton->maps.lb_vips)));
		capture->skeleton->rodata->lb_several_interfaces = (__u8)several;
		RIG_COPY_CONSTANTS(rig->path.skeleton->rodata, capture->skeleton->rodata);
		bpf_program__set_flags(capture->skeleton->progs.lb_capture, BPF_F_XDP_HAS_FRAGS);
	}
	if (!capture->skeleton || rig_share_maps(rig, capture->skeleton->obj) ||
	    lb_capture_bpf__load(capture->skeleton) || want_everything(capture->skeleton))
		goto failed;
	capture->ring = ring_buffer__new(bpf_map__fd(capture->skeleton->maps.lb_capture_ring), take_record,
					 capture, NULL);
	if (!capture->ring)
		goto failed;
	*ret_capture = capture;
	return 0;
failed:
	rig_capture_free(capture);
	return -1;
}

void rig_capture_free(struct rig_capture *capture)
{
	if (!capture)
		return;
	ring_buffer__free(capture->ring);
	lb_capture_bpf__destroy(capture->skeleton);
	free(capture);
}

int rig_capture_fd(const struct rig_capture *capture)
{
	return bpf_program__fd(capture->skeleton->progs.lb_capture);
}

static void same_beginning(const char *what, const __u8 *kept, __u32 kept_bytes, __u32 whole_bytes,
			   const struct frame *frame)
{
	__u32 wanted = frame->length < LB_CAPTURE_SNAP ? (__u32)frame->length : LB_CAPTURE_SNAP;

	if (whole_bytes != frame->length || kept_bytes != wanted || memcmp(kept, frame->bytes, wanted))
		fail_msg("the record has another packet %s: %u of %u bytes, the packet has %zu", what,
			 kept_bytes, whole_bytes, frame->length);
}

void rig_capture_check(struct rig_capture *capture, const struct frame *in, const struct result *result)
{
	const struct lb_capture_record *record = &capture->record;

	capture->records = 0;
	if (ring_buffer__consume(capture->ring) < 0 || capture->records != 1)
		fail_msg("%u records of one packet", capture->records);
	assert_int_equal(record->captures, 1);
	assert_int_equal(record->verdict, result->action);
	assert_int_equal(record->decision.reason, result->reason);
	assert_true(record->leave_ns >= record->enter_ns);
	same_beginning("in", record->in, record->in_snap, record->in_bytes, in);
	if (result->action == XDP_TX || result->action == XDP_REDIRECT)
		same_beginning("out", record->out, record->out_snap, record->out_bytes, &result->out);
	else
		assert_int_equal(record->out_bytes, 0);
	if (result->backend >= 0)
		assert_int_equal(record->decision.backend, result->backend);
}
