// SPDX-License-Identifier: GPL-2.0-only
/*
 * Targets and when they are asked. The first checks are spread over the interval by the golden ratio: however
 * many targets there are, and in whatever order they come, no tenth of a second gets many more than another.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "health/settings.h"
#include "lb-checkd/checkd.h"

/* A deadline that is noticed so much later was missed by us, perhaps, and not by the target. */
#define LATE_NS  (250 * LB_NS_PER_MS)
#define PAUSE_NS (100 * LB_NS_PER_MS) /* when no check can begin for want of memory */

static void target_due(struct checkd *checkd, struct timer *timer, __u64 now);

static void schedule(struct checkd *checkd, struct target *target, __u64 not_before_ns)
{
	__u64 due = lb_check_next_ns(&target->check, &target->timing);

	if (target->gone)
		return;
	/* Too many are under way: the end of one of them comes here again. */
	if (due == UINT64_MAX)
		heap_remove(&checkd->due, &target->timer);
	else
		heap_set(&checkd->due, &target->timer, due > not_before_ns ? due : not_before_ns);
}

static __u64 first_ns(const struct target *target)
{
	__u64 interval_ns = target->timing.interval_ms * LB_NS_PER_MS;
	__u32 part = target->id * 2654435769u; /* 2^32 over the golden ratio */

	return lb_now_ns() + (interval_ns >> 16) * (part >> 16);
}

static void target_free(struct checkd *checkd, struct target *target)
{
	heap_remove(&checkd->due, &target->timer);
	free(target);
}

void target_remove(struct checkd *checkd, __u32 id)
{
	struct target *target = id < checkd->room ? checkd->targets[id] : NULL;

	if (!target)
		return;
	checkd->targets[id] = NULL;
	checkd->n_targets--;
	heap_remove(&checkd->due, &target->timer);
	target->gone = true;
	if (!target->check.pending)
		target_free(checkd, target);
}

void targets_clear(struct checkd *checkd)
{
	for (__u32 id = 0; id < checkd->room; id++)
		target_remove(checkd, id);
}

static int make_room(struct checkd *checkd, __u32 id)
{
	size_t room = checkd->room ? checkd->room : 64;
	struct target **targets;

	if (id < checkd->room)
		return 0;
	while (room <= id)
		room *= 2;
	targets = realloc(checkd->targets, room * sizeof(struct target *));
	if (!targets)
		return -ENOMEM;
	memset(targets + checkd->room, 0, (room - checkd->room) * sizeof(struct target *));
	checkd->targets = targets;
	checkd->room = room;
	return 0;
}

int target_set(struct checkd *checkd, const struct lb_message_target *message)
{
	struct target *target;
	int r;

	if (message->id >= LB_TARGETS_MAX)
		return -EINVAL;
	target_remove(checkd, message->id);
	r = make_room(checkd, message->id);
	target = r == 0 ? calloc(1, sizeof(*target)) : NULL;
	if (!target)
		return -ENOMEM;
	target->timer = (struct timer){ .at = SIZE_MAX, .fire = target_due };
	target->id = message->id;
	target->generation = message->generation;
	target->config = message->check;
	target->mark = message->mark;
	target->source = message->source;
	lb_settings_timing(&target->config, &target->timing);
	lb_check_init(&target->check, first_ns(target));
	r = heap_set(&checkd->due, &target->timer, target->check.first_ns);
	if (r < 0) {
		free(target);
		return r;
	}
	checkd->targets[message->id] = target;
	checkd->n_targets++;
	return 0;
}

struct target *target_find(const struct checkd *checkd, __u32 id, __u32 generation)
{
	struct target *target = id < checkd->room ? checkd->targets[id] : NULL;

	return target && target->generation == generation ? target : NULL;
}

void target_hurry(struct checkd *checkd, __u32 id, __u32 generation)
{
	struct target *target = target_find(checkd, id, generation);
	__u64 now = lb_now_ns();

	if (!target)
		return;
	lb_check_hurry(&target->check, &target->timing, now, now + LB_HURRY_MS * LB_NS_PER_MS);
	schedule(checkd, target, 0);
}

/* --- probes ----------------------------------------------------------------------------------------------
 */

static struct probe *probe_new(struct checkd *checkd, struct target *target, __u64 now)
{
	struct probe *probe = checkd->free_probes;

	if (probe)
		checkd->free_probes = probe->next_free;
	else
		probe = malloc(sizeof(*probe));
	if (!probe)
		return NULL;
	*probe = (struct probe){ .target = target, .begin_ns = now, .fd = -1 };
	probe->timer = (struct timer){ .at = SIZE_MAX, .fire = probe_expired };
	if (heap_set(&checkd->heap, &probe->timer, now + target->timing.timeout_ms * LB_NS_PER_MS) < 0) {
		free(probe);
		return NULL;
	}
	checkd->pending++;
	checkd->begun++;
	lb_check_begun(&target->check, now);
	return probe;
}

static void probe_free(struct checkd *checkd, struct probe *probe)
{
	heap_remove(&checkd->heap, &probe->timer);
	if (probe->http)
		probe_http_abandon(checkd, probe);
	probe_exec_abandon(checkd, probe);
	if (probe->fd >= 0)
		close(probe->fd);
	path_undress(checkd, probe);
	free(probe->answer);
	probe->next_free = checkd->free_probes;
	checkd->free_probes = probe;
	checkd->pending--;
}

void probe_end(struct checkd *checkd, struct probe *probe, enum lb_outcome outcome, __u32 detail)
{
	struct target *target = probe->target;
	__u64 now = lb_now_ns();
	struct lb_result result = { probe->begin_ns, now, outcome };
	struct lb_message_result message = { .id = target->id,
					     .generation = target->generation,
					     .begin_ns = result.begin_ns,
					     .end_ns = now,
					     .outcome = outcome,
					     .detail = detail };

	probe_free(checkd, probe);
	lb_check_ended(&target->check, &target->timing, &result);
	if (target->gone) {
		if (!target->check.pending)
			target_free(checkd, target);
		return;
	}
	link_result(checkd, &message);
	schedule(checkd, target, 0);
}

void probe_expired(struct checkd *checkd, struct timer *timer, __u64 now)
{
	struct probe *probe = (struct probe *)timer; /* its first member */
	const struct lb_config_check *config = &probe->target->config;
	bool silence_says_nothing = (config->kind == LB_CHECK_UDP && !config->expect[0]) ||
				    config->kind == LB_CHECK_EXEC; /* lb-execd's own */

	if (now > timer->due_ns + LATE_NS || silence_says_nothing)
		probe_end(checkd, probe, LB_OUTCOME_NONE, 0);
	else
		probe_end(checkd, probe, LB_OUTCOME_TIMEOUT, 0);
}

bool targets_have_room(const struct checkd *checkd)
{
	const struct target *first = (const struct target *)heap_first(&checkd->due);

	return checkd->queue_n < QUEUE_MAX / 2 && checkd->pending < checkd->pending_max &&
	       (!first || !first->mark || path_has_room(&checkd->path, first));
}

static void target_due(struct checkd *checkd, struct timer *timer, __u64 now)
{
	struct target *target = (struct target *)timer; /* its first member */
	struct probe *probe = probe_new(checkd, target, now);

	if (!probe) {
		heap_set(&checkd->due, timer, now + PAUSE_NS);
		return;
	}
	schedule(checkd, target, now);
	if (target->config.kind == LB_CHECK_TCP || target->config.kind == LB_CHECK_UDP ||
	    target->config.kind == LB_CHECK_AGENT)
		probe_socket_begin(checkd, probe);
	else if (target->config.kind == LB_CHECK_EXEC)
		probe_exec_begin(checkd, probe);
	else
		probe_http_begin(checkd, probe);
}
