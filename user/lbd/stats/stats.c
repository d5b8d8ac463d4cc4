// SPDX-License-Identifier: GPL-2.0-only
/*
 * Counter sums.
 */
#include "lbd/stats/stats.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lb/reasons.h"

const struct reason_text reason_texts[] = {
#define X(number, name, action, text, help) { number, REASON_##action, text, help },
	LB_REASONS(X)
#undef X
		{ 0, REASON_PASS, NULL, NULL },
};

const char *reason_action_name(enum reason_action action)
{
	return action == REASON_DROP ? "drop" : action == REASON_REPLY ? "reply" : "pass";
}

const struct reason_text *reason_find(__u32 number)
{
	for (const struct reason_text *text = reason_texts; text->name; text++)
		if (text->number == number)
			return text;
	return NULL;
}

static __u64 word(const __u64 *from)
{
	return __atomic_load_n(from, __ATOMIC_RELAXED);
}

static void add_line(struct lb_counter *sum, const struct lb_counter *line)
{
	sum->tx_packets += word(&line->tx_packets);
	sum->tx_bytes += word(&line->tx_bytes);
	sum->redirect_packets += word(&line->redirect_packets);
	sum->redirect_bytes += word(&line->redirect_bytes);
	sum->syn_packets += word(&line->syn_packets);
	sum->known_packets += word(&line->known_packets);
	sum->base_packets += word(&line->base_packets);
	sum->refused_inserts += word(&line->refused_inserts);
}

void stats_add(struct lb_counter *sum, const struct lb_counter *more)
{
	add_line(sum, more);
}

void stats_backend(const struct lb_tables *tables, __u32 id, struct lb_counter *ret_sum)
{
	struct lb_counter sum = {};

	for (__u32 cpu = 0; cpu < tables->sizes.cpus; cpu++)
		add_line(&sum, &tables->counters[(size_t)cpu * tables->sizes.counters + id]);
	*ret_sum = sum;
}

static void add_totals(struct stats_totals *sum, const struct stats_totals *more)
{
	sum->rx += more->rx;
	sum->tx += more->tx;
	sum->redirect += more->redirect;
	sum->pass += more->pass;
	sum->drop += more->drop;
	sum->bytes += more->bytes;
}

void stats_cpu(const struct lb_tables *tables, const struct stats_carry *carry, __u32 cpu,
	       struct stats_totals *ret_totals)
{
	const struct lb_counter *lines = &tables->counters[(size_t)cpu * tables->sizes.counters];
	const struct lb_reason_block *block = &tables->reasons[cpu];
	struct stats_totals totals = {};

	for (__u32 id = 0; id < tables->sizes.counters; id++) {
		totals.tx += word(&lines[id].tx_packets);
		totals.redirect += word(&lines[id].redirect_packets);
		totals.bytes += word(&lines[id].tx_bytes) + word(&lines[id].redirect_bytes);
	}
	for (const struct reason_text *text = reason_texts; text->name; text++) {
		__u64 packets = word(&block->reason[text->number].packets);

		if (text->action == REASON_DROP)
			totals.drop += packets;
		else if (text->action == REASON_REPLY)
			totals.tx += packets;
		else
			totals.pass += packets;
	}
	add_totals(&totals, &carry->cpu[cpu]);
	totals.rx = totals.tx + totals.redirect + totals.pass + totals.drop;
	*ret_totals = totals;
}

void stats_all(const struct lb_tables *tables, const struct stats_carry *carry,
	       struct stats_totals *ret_totals)
{
	struct stats_totals sum = {};

	for (__u32 cpu = 0; cpu < tables->sizes.cpus; cpu++) {
		struct stats_totals one;

		stats_cpu(tables, carry, cpu, &one);
		add_totals(&sum, &one);
	}
	*ret_totals = sum;
}

/* --- ids that serve again --------------------------------------------------------------------------------
 */

struct stats_idle {
	__u32 id, cpu;
	struct stats_totals totals;
};

int stats_carry_init(struct stats_carry *carry, const struct lb_tables *tables)
{
	carry->cpu = calloc(tables->sizes.cpus, sizeof(*carry->cpu));
	return carry->cpu ? 0 : -ENOMEM;
}

void stats_carry_done(struct stats_carry *carry)
{
	free(carry->cpu);
	free(carry->idle);
	memset(carry, 0, sizeof(*carry));
}

void stats_carry_before(struct stats_carry *carry, const struct lb_tables *tables)
{
	size_t n = 0, capacity = 0;
	struct stats_idle *idle = NULL;

	for (__u32 id = 0; id < tables->sizes.counters; id++) {
		if (tables->backend_meta[id].used)
			continue;
		for (__u32 cpu = 0; cpu < tables->sizes.cpus; cpu++) {
			const struct lb_counter *line =
				&tables->counters[(size_t)cpu * tables->sizes.counters + id];
			struct stats_totals totals = {
				.tx = line->tx_packets,
				.redirect = line->redirect_packets,
				.bytes = line->tx_bytes + line->redirect_bytes,
			};

			if (!totals.tx && !totals.redirect)
				continue;
			if (n == capacity) {
				struct stats_idle *more;

				capacity = capacity ? 2 * capacity : 64;
				more = realloc(idle, capacity * sizeof(*idle));
				/* Without memory totals may run back once: nothing worse. */
				if (!more)
					break;
				idle = more;
			}
			idle[n++] = (struct stats_idle){ .id = id, .cpu = cpu, .totals = totals };
		}
	}
	free(carry->idle);
	carry->idle = idle;
	carry->n_idle = n;
}

void stats_carry_after(struct stats_carry *carry, const struct lb_tables *tables)
{
	for (size_t i = 0; i < carry->n_idle; i++)
		if (tables->backend_meta[carry->idle[i].id].used)
			add_totals(&carry->cpu[carry->idle[i].cpu], &carry->idle[i].totals);
	free(carry->idle);
	carry->idle = NULL;
	carry->n_idle = 0;
}

void stats_reason(const struct lb_tables *tables, __u32 reason, struct lb_reason_counter *ret_sum)
{
	struct lb_reason_counter sum = {};

	for (__u32 cpu = 0; cpu < tables->sizes.cpus; cpu++)
		sum.packets += word(&tables->reasons[cpu].reason[reason].packets);
	*ret_sum = sum;
}

void stats_write_totals(struct json *json, const struct stats_totals *totals)
{
	json_u64(json, "rx", totals->rx);
	json_u64(json, "tx", totals->tx);
	json_u64(json, "redirect", totals->redirect);
	json_u64(json, "pass", totals->pass);
	json_u64(json, "drop", totals->drop);
}
