// SPDX-License-Identifier: GPL-2.0-only
/*
 * Counter sums.
 */
#include "lbd/stats/stats.h"

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
#define X(name_of_word, total, name, help) sum->name_of_word += word(&line->name_of_word);
	LB_COUNTERS(X)
#undef X
}

void stats_write_words(struct json *json, const struct lb_counter *counter)
{
#define X(name_of_word, total, name, help) json_u64(json, name, counter->name_of_word);
	LB_COUNTERS(X)
#undef X
}

struct lb_totals stats_totals_of(const struct lb_counter *counter)
{
	struct lb_totals totals = {};

#define X(name_of_word, total, name, help) totals.total += counter->name_of_word;
	LB_COUNTERS(X)
#undef X
	return totals;
}

#define WRITE_TOTAL(json, total, TOTAL, unit, kept, metric, column, help)                                    \
	json_u64(json, #total, totals->total);

void stats_write_all(struct json *json, const struct lb_totals *totals)
{
	LB_TOTALS(WRITE_TOTAL, json)
}

void stats_write_first(struct json *json, const struct lb_totals *totals)
{
	LB_TOTALS_FIRST(WRITE_TOTAL, json)
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

void stats_service(const struct lb_tables *tables, __u32 id, struct lb_totals *totals)
{
	struct lb_service_counter sum = {};

	for (__u32 cpu = 0; cpu < tables->sizes.cpus; cpu++) {
		const struct lb_service_counter *line =
			&tables->service_counters[(size_t)cpu * tables->sizes.services + id];

#define X(A, total, TOTAL, unit, kept, metric, column, help) sum.total += word(&line->total);
		LB_TOTALS_FIRST(X, )
#undef X
	}
#define X(A, total, TOTAL, unit, kept, metric, column, help) totals->total = sum.total;
	LB_TOTALS_FIRST(X, )
#undef X
}

void stats_cpu_lines(const struct lb_tables *tables, __u32 cpu, __u32 first, __u32 n,
		     struct stats_totals *totals)
{
	const struct lb_counter *lines = &tables->counters[(size_t)cpu * tables->sizes.counters];

	for (__u32 id = first; id < first + n && id < tables->sizes.counters; id++) {
		totals->tx += word(&lines[id].tx_packets);
		totals->redirect += word(&lines[id].redirect_packets);
		totals->bytes += word(&lines[id].tx_bytes) + word(&lines[id].redirect_bytes);
		totals->refused += word(&lines[id].refused_inserts);
	}
}

void stats_cpu_rest(const struct lb_tables *tables, __u32 cpu, struct stats_totals *totals)
{
	const struct lb_reason_counter *reasons = tables->reasons[cpu].reason;

	totals->tx += word(&reasons[LB_CARRIED_TX].packets);
	totals->redirect += word(&reasons[LB_CARRIED_REDIRECT].packets);
	totals->bytes += word(&reasons[LB_CARRIED_BYTES].packets);
	totals->refused += word(&reasons[LB_CARRIED_REFUSED].packets);
	for (const struct reason_text *text = reason_texts; text->name; text++) {
		__u64 packets = word(&reasons[text->number].packets);

		if (text->action == REASON_DROP)
			totals->drop += packets;
		else if (text->action == REASON_REPLY)
			totals->tx += packets;
		else
			totals->pass += packets;
	}
	totals->rx = totals->tx + totals->redirect + totals->pass + totals->drop;
}

#define LINES_AT_ONCE 8192u /* half a megabyte */

size_t stats_cpu_step(const struct lb_tables *tables, __u32 cpu, size_t line, struct stats_totals *totals)
{
	stats_cpu_lines(tables, cpu, (__u32)line, LINES_AT_ONCE, totals);
	if (line + LINES_AT_ONCE < tables->sizes.counters)
		return line + LINES_AT_ONCE;
	stats_cpu_rest(tables, cpu, totals);
	return 0;
}

void stats_add_totals(struct stats_totals *sum, const struct stats_totals *more)
{
	sum->rx += more->rx;
	sum->tx += more->tx;
	sum->redirect += more->redirect;
	sum->pass += more->pass;
	sum->drop += more->drop;
	sum->bytes += more->bytes;
	sum->refused += more->refused;
}

void stats_cpu(const struct lb_tables *tables, __u32 cpu, struct stats_totals *ret_totals)
{
	*ret_totals = (struct stats_totals){};
	stats_cpu_lines(tables, cpu, 0, tables->sizes.counters, ret_totals);
	stats_cpu_rest(tables, cpu, ret_totals);
}

void stats_all(const struct lb_tables *tables, struct stats_totals *ret_totals)
{
	struct stats_totals sum = {};

	for (__u32 cpu = 0; cpu < tables->sizes.cpus; cpu++) {
		struct stats_totals one;

		stats_cpu(tables, cpu, &one);
		stats_add_totals(&sum, &one);
	}
	*ret_totals = sum;
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
