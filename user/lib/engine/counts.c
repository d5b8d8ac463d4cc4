// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is carried on is added before it is taken away elsewhere: whoever is killed in between has counted
 * some packets twice, and lost none.
 */
#include "engine/counts.h"

#include "lb/access.h"

static struct lb_counter *line_of(const struct lb_tables *tables, __u32 cpu, __u32 id)
{
	return &tables->counters[(size_t)cpu * tables->sizes.counters + id];
}

void lb_counts_begin(const struct lb_tables *tables, __u32 id)
{
	for (__u32 cpu = 0; cpu < tables->sizes.cpus; cpu++) {
		struct lb_reason_counter *carried = tables->reasons[cpu].reason;
		struct lb_counter *line = line_of(tables, cpu, id);

		carried[LB_CARRIED_REFUSED].packets += line->refused_inserts;
		carried[LB_CARRIED_TX].packets += line->tx_packets;
		carried[LB_CARRIED_REDIRECT].packets += line->redirect_packets;
		carried[LB_CARRIED_BYTES].packets += line->tx_bytes + line->redirect_bytes;
		*line = (struct lb_counter){};
	}
}

static void add(struct lb_carried *sum, const struct lb_carried *more)
{
	sum->packets += more->packets;
	sum->bytes += more->bytes;
	sum->syns += more->syns;
	sum->refused += more->refused;
}

void lb_counts_add(const struct lb_tables *tables, __u32 id, struct lb_carried *sum)
{
	add(sum, &tables->backend_meta[id].carried);
	for (__u32 cpu = 0; cpu < tables->sizes.cpus; cpu++) {
		const struct lb_counter *line = line_of(tables, cpu, id);

		sum->packets += LB_LOAD(&line->tx_packets) + LB_LOAD(&line->redirect_packets);
		sum->bytes += LB_LOAD(&line->tx_bytes) + LB_LOAD(&line->redirect_bytes);
		sum->syns += LB_LOAD(&line->syn_packets);
		sum->refused += LB_LOAD(&line->refused_inserts);
	}
}

void lb_counts_keep(const struct lb_tables *tables, __u32 id, __u32 heir)
{
	__u32 service = tables->backend_meta[id].service;
	struct lb_carried counts = {};

	lb_counts_add(tables, id, &counts);
	if (heir != LB_NO_HEIR)
		add(&tables->backend_meta[heir].carried, &counts);
	else if (service < tables->sizes.services)
		add(&tables->service_meta[service].carried, &counts);
}
