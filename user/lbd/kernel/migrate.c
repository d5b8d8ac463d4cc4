// SPDX-License-Identifier: GPL-2.0-only
/*
 * See migrate.h. The order, and where a kill leaves what: everything up to tables_ready leaves the old set
 * (an unfinished new one is removed by the next start), everything from there on leads to the new one.
 */
#include "lbd/kernel/migrate.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "lbd/capture/capture.h"
#include "lbd/capture/explain.h"
#include "lbd/clock.h"
#include "lbd/kernel/interfaces.h"
#include "lbd/kernel/maps_carry.h"
#include "lbd/kernel/maps_set.h"
#include "lbd/lbd.h"
#include "lbd/observe/observe.h"
#include "lbd/step.h"

struct migration {
	struct lbd *lbd;
	struct maps old;  /* without the lock, which is lbd->maps' */
	struct maps next; /* until it is lbd->maps */
	struct maps_carry carry;
	struct lb_table_sizes sizes; /* wanted */
	__u64 began_ms, held_ms;
	size_t n_held; /* slots */
	int r;
	struct lb_error *error;
};

/* --- memory -----------------------------------------------------------------------------------------------
 */

#define MIB (1u << 20)

static __u64 available_bytes(void)
{
	_cleanup_(fclosep) FILE *file = fopen("/proc/meminfo", "re");
	unsigned long long kib = 0;
	char line[128];

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
			break;
	return kib * 1024;
}

int migrate_check_memory(const struct lbd *lbd, const struct lb_table_sizes *sizes, __u64 *ret_bytes,
			 struct lb_error *error)
{
	__u64 bytes = maps_set_bytes(&lbd->maps, sizes), available = available_bytes();

	*ret_bytes = bytes;
	/* What is left is for others. */
	if (!available || bytes <= available - available / 8)
		return 0;
	return lb_error_at(
		error, ENOSPC, "limits", NULL,
		"tables of other sizes take over from those that run, and until they have, both are "
		"there: that takes %llu MiB, of which this machine has %llu; choose smaller limits, "
		"or change one at a time",
		bytes / MIB, available / MIB);
}

/* --- beside the loop --------------------------------------------------------------------------------------
 */

static void begin_beside(void *context)
{
	struct migration *migration = context;

	migration->r =
		maps_carry_begin(&migration->carry, &migration->old, &migration->next, &migration->sizes,
				 migration->lbd->options.chunked_tables, migration->error);
}

static void hold_beside(void *context)
{
	struct migration *migration = context;

	migration->r = maps_carry_hold(&migration->carry, migration->error);
}

static void last_beside(void *context)
{
	struct migration *migration = context;

	migration->r = maps_carry_last(&migration->carry, migration->error);
}

static void again_beside(void *context)
{
	struct migration *migration = context;

	maps_carry_again(&migration->carry);
}

static int beside(struct migration *migration, void (*run)(void *context))
{
	migration->r = 0;
	task_beside(run, migration);
	return migration->r;
}

/* --- steps ------------------------------------------------------------------------------------------------
 */

/* Slots are held, packets in flight have seen it, what packets write is there: links may go. */
static int ready(struct migration *migration, struct maps *next)
{
	struct lbd *lbd = migration->lbd;
	int r;

	migration->held_ms = now_ms();
	r = beside(migration, hold_beside);
	if (r < 0)
		return r;
	migration->n_held = migration->carry.held.n;
	step_reached(NULL, "tables_held");
	if (migration->n_held && grace_wait(&lbd->grace) < 0)
		r = lb_error_set(migration->error, EIO, "Failed to wait for packets in flight");
	if (r == 0)
		r = beside(migration, last_beside);
	step_reached(NULL, "tables_carried");
	if (r == 0)
		r = maps_set_swap(next, migration->error);
	if (r < 0)
		maps_carry_let_go(&migration->carry);
	step_reached(NULL, "tables_ready");
	return r;
}

/* No link leads to the old set any more. */
static int conclude(struct migration *migration)
{
	struct lbd *lbd = migration->lbd;
	struct lb_error error = {};
	int r;

	step_reached(NULL, "tables_linked");
	if (grace_wait(&lbd->grace) < 0)
		events_add(&lbd->events, LOG_LEVEL_WARNING, "tables",
			   "error=\"Failed to wait for packets in flight\"");
	(void)beside(migration, again_beside);
	maps_carry_let_go(&migration->carry);
	migration->held_ms = migration->held_ms ? now_ms() - migration->held_ms : 0;
	step_reached(NULL, "tables_merged");
	r = maps_set_settle(&lbd->maps, &error);
	if (r < 0)
		events_told(&lbd->events, LOG_LEVEL_ERROR, "tables", "error", error.text);
	lbd->maps.former_id = 0;
	return r;
}

static void tell(const struct migration *migration, const char *why)
{
	const struct lbd *lbd = migration->lbd;
	const struct lb_table_sizes *sizes = &lbd->maps.tables.sizes;
	__u64 end_ms = now_ms();

	events_add((struct events *)&lbd->events, LOG_LEVEL_NOTICE, "tables",
		   "cause=\"%s\" services=%u backends=%u ring_slots=%llu flow_buckets=%u flow_entries=%llu "
		   "flow_entries_refused=%llu slots_held=%zu held_ms=%llu took_ms=%llu",
		   why, sizes->services, sizes->counters, (__u64)sizes->ring_lines * LB_SLOTS_PER_LINE,
		   sizes->flow_buckets, migration->carry.flow_entries, migration->carry.flow_refused,
		   migration->n_held, migration->held_ms, end_ms - migration->began_ms);
}

static struct migration *migration_new(struct lbd *lbd, struct lb_error *error)
{
	struct migration *migration = calloc(1, sizeof(*migration));

	if (!migration) {
		lb_error_set(error, ENOMEM, "out of memory");
		return NULL;
	}
	migration->lbd = lbd;
	migration->error = error;
	migration->began_ms = now_ms();
	return migration;
}

/* What was loaded or kept over the old maps is made anew when it is needed. */
static void forget_programs(struct lbd *lbd)
{
	explain_program_free(lbd->explain);
	lbd->explain = NULL;
}

/* --- while the agent runs ---------------------------------------------------------------------------------
 */

/* lbd->maps are these from now on. */
static void install(struct lbd *lbd, const struct maps *maps, int program_fd)
{
	lbd->maps = *maps;
	observe_tables_changed(lbd);
	interfaces_take_program(lbd, program_fd);
	forget_programs(lbd);
}

/* Packets that were led to the new set come back. */
static void back(struct migration *migration)
{
	struct lbd *lbd = migration->lbd;
	struct lb_error error = {};

	migration->next = lbd->maps;
	install(lbd, &migration->old, -1);
	lbd->maps.former_id = map_id_of(migration->next.fd[MAP_CONTROL]);
	if (interfaces_reprogram(lbd, &error) < 0)
		events_told(&lbd->events, LOG_LEVEL_ERROR, "tables", "error", error.text);
	lbd->maps.former_id = 0;
	maps_carry_let_go(&migration->carry);
	(void)maps_set_unswap(&migration->next);
}

static int lead_over(struct migration *migration, int program_fd)
{
	struct lbd *lbd = migration->lbd;
	int r;

	migration->next.former_id = map_id_of(migration->old.fd[MAP_CONTROL]);
	/* It went on meanwhile. */
	migration->next.tables.control->clock_s = migration->old.tables.control->clock_s;
	install(lbd, &migration->next, program_fd);
	migration->carry.next = &lbd->maps;
	r = interfaces_reprogram(lbd, migration->error);
	if (r < 0) {
		back(migration);
		return r;
	}
	(void)conclude(migration);
	return 0;
}

static void migration_free(struct migration *migration)
{
	maps_carry_done(&migration->carry);
	free(migration);
}

static int carry_over(struct migration *migration)
{
	struct lbd *lbd = migration->lbd;
	int fd, r = beside(migration, begin_beside);

	if (r < 0)
		return r;
	step_reached(NULL, "tables_made");
	capture_stop_all(lbd, "the tables change", true);
	fd = interfaces_load(lbd, &migration->next, migration->error);
	r = fd < 0 ? fd : ready(migration, &migration->next);
	if (r == 0)
		r = lead_over(migration, fd);
	else if (fd >= 0)
		close(fd);
	if (r < 0)
		maps_set_drop(&migration->next);
	return r;
}

int migrate(struct lbd *lbd, const struct lb_table_sizes *sizes, struct lb_error *error)
{
	struct migration *migration = migration_new(lbd, error);
	int r;

	if (!migration)
		return -ENOMEM;
	migration->sizes = *sizes;
	migration->old = lbd->maps;
	r = carry_over(migration);
	if (r < 0) {
		migration_free(migration);
		return r;
	}
	tell(migration, "limits");
	lbd->migration = migration;
	return 0;
}

void migration_forget(struct lbd *lbd)
{
	if (!lbd->migration)
		return;
	maps_set_close(&lbd->migration->old);
	migration_free(lbd->migration);
	lbd->migration = NULL;
}

/* --- at a start -------------------------------------------------------------------------------------------
 */

static int attach_swapping(struct migration *migration, const struct lb_config *config)
{
	struct lbd *lbd = migration->lbd;
	int r = interfaces_attach(lbd, config, migration->error);

	if (r < 0)
		return r;
	(void)conclude(migration);
	tell(migration, "start");
	return 0;
}

/* An agent was killed on the way: what it had of the old set may be gone as well. */
static int resume(struct migration *migration, const struct lb_config *config)
{
	struct lbd *lbd = migration->lbd;
	struct lb_error why = {};
	int r = maps_set_look(&lbd->maps, &migration->old, &why);

	if (r == 0) {
		lbd->maps.former_id = map_id_of(migration->old.fd[MAP_CONTROL]);
		r = maps_carry_resume(&migration->carry, &migration->old, &lbd->maps, &why);
	}
	if (r < 0) {
		events_told(&lbd->events, LOG_LEVEL_WARNING, "tables", "error", why.text);
		migration->carry = (struct maps_carry){ .old = &migration->old, .next = &lbd->maps };
		for (size_t i = 0; i < MAPS_MAX; i++)
			migration->carry.shared[i] = true;
	}
	return attach_swapping(migration, config);
}

int migrate_attach(struct lbd *lbd, const struct lb_config *config, struct lb_error *error)
{
	struct migration *migration = lbd->migration;
	int r = 0;

	if (!migration && !lbd->maps.swapping)
		return interfaces_attach(lbd, config, error);
	if (!migration) {
		migration = lbd->migration = migration_new(lbd, error);
		return migration ? resume(migration, config) : -ENOMEM;
	}
	migration->error = error;
	r = interfaces_expect(lbd, config, error);
	/* Where every interface is shared it is loaded there, once more. */
	if (r == 0)
		r = interfaces_program(lbd, error);
	if (r >= 0)
		r = ready(migration, &lbd->maps);
	return r < 0 ? r : attach_swapping(migration, config);
}

/* What the tables of an older layout are large; a size that it did not know yet is the caller's. */
static int read_sizes(const struct maps *old, struct lb_table_sizes *sizes, struct lb_error *error)
{
	const struct lb_layout_text *text = old->memory[MAP_LAYOUT];
	const void *control = old->memory[MAP_CONTROL];
	struct lb_layout layout;
	int r;

	if (!text || !text->text[0])
		return lb_error_set(error, EPROTO, "the maps in %s do not say what they look like",
				    old->directory);
	r = lb_layout_parse(text->text, sizeof(text->text), &layout, error);
	if (r < 0)
		return r;
#define SIZE(member)                                                                                         \
	if (lb_layout_find(&layout, "lb_control", #member))                                                  \
	sizes->member = (__u32)lb_layout_number(&layout, "lb_control", #member, control)
	SIZE(cpus);
	SIZE(vip_buckets);
	SIZE(ring_lines);
	SIZE(stamp_lines);
	SIZE(backends);
	SIZE(counters);
	SIZE(services);
	SIZE(flow_buckets);
#undef SIZE
	lb_layout_done(&layout);
	return 0;
}

static int begin_older(struct migration *migration, const struct lb_table_sizes *sizes)
{
	struct lbd *lbd = migration->lbd;
	int r = maps_set_look(&lbd->maps, &migration->old, migration->error);

	if (r < 0)
		return r;
	migration->sizes = *sizes;
	r = read_sizes(&migration->old, &migration->sizes, migration->error);
	if (r == 0 && migration->sizes.cpus != sizes->cpus)
		r = lb_error_set(migration->error, EPROTO,
				 "the maps in %s are for %u CPUs, this machine has %u", lbd->maps.directory,
				 migration->sizes.cpus, sizes->cpus);
	if (r == 0)
		begin_beside(migration);
	if (r == 0)
		r = migration->r;
	if (r < 0)
		maps_set_close(&migration->old);
	return r;
}

int migrate_older(struct lbd *lbd, const struct lb_table_sizes *sizes, struct lb_error *error)
{
	struct migration *migration;
	struct lb_error why = {};
	__u32 layout;
	int r = maps_set_recover(&lbd->maps, error);

	if (r < 0)
		return r;
	layout = maps_layout(&lbd->maps);
	if (!layout || layout >= LB_LAYOUT_VERSION)
		return 0;
	if (lbd->maps.swapping)
		return lb_error_set(error, EPROTO,
				    "the lbd that made the maps in %s (layout %u) was killed while they took "
				    "over from others: start it once more. Nothing was changed, packets keep "
				    "flowing",
				    lbd->maps.directory, layout);
	migration = migration_new(lbd, &why);
	if (!migration)
		return lb_error_set(error, ENOMEM, "out of memory");
	r = begin_older(migration, sizes);
	if (r < 0) {
		migration_free(migration);
		return lb_error_set(
			error, -r,
			"maps of layout %u cannot be taken over into layout %u: %.300s. Nothing was "
			"changed, packets keep flowing. Start the lbd that made them, or give them "
			"up: lbd --detach --bpffs %.80s, then start",
			layout, LB_LAYOUT_VERSION, why.text, lbd->maps.directory);
	}
	lbd->maps = migration->next;
	migration->carry.next = &lbd->maps;
	migration->next.former_id = lbd->maps.former_id = map_id_of(migration->old.fd[MAP_CONTROL]);
	lbd->migration = migration;
	step_reached(NULL, "tables_made");
	return 1;
}

void migrate_undo(struct lbd *lbd)
{
	if (lbd->migration && !lbd->maps.swapping)
		maps_set_abandon(&lbd->maps);
}
