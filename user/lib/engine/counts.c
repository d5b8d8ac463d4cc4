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

/* Adds those totals that a structure has, to or from all of them. */
#define NOTHING
#define ADD(to, from, total)                                 (to)->total += (from)->total;
#define X(A, total, TOTAL, unit, kept, metric, column, help) LB_KEPT_##kept(ADD(to, from, total), NOTHING)
static void add_carried(struct lb_totals *to, const struct lb_carried *from)
{
	LB_TOTALS(X, )
}

static void carry(struct lb_carried *to, const struct lb_totals *from)
{
	LB_TOTALS(X, )
}
#undef X
#define X(A, total, TOTAL, unit, kept, metric, column, help) LB_KEPT_##kept(NOTHING, ADD(to, from, total))
static void add_carried_service(struct lb_totals *to, const struct lb_carried_service *from)
{
	LB_TOTALS(X, )
}

static void carry_service(struct lb_carried_service *to, const struct lb_totals *from)
{
	LB_TOTALS(X, )
}
#undef X

void lb_counts_add(const struct lb_tables *tables, __u32 id, struct lb_totals *sum)
{
	add_carried(sum, &tables->backend_meta[id].carried);
	for (__u32 cpu = 0; cpu < tables->sizes.cpus; cpu++) {
		const struct lb_counter *line = line_of(tables, cpu, id);

#define X(word, total, name, help) sum->total += LB_LOAD(&line->word);
		LB_COUNTERS(X)
#undef X
	}
}

void lb_counts_gone(const struct lb_tables *tables, __u32 service, struct lb_totals *ret_sum)
{
	*ret_sum = (struct lb_totals){};
	add_carried(ret_sum, &tables->service_meta[service].carried);
	add_carried_service(ret_sum, &tables->service_meta[service].carried_service);
}

void lb_counts_keep(const struct lb_tables *tables, __u32 id, __u32 heir)
{
	__u32 service = tables->backend_meta[id].service;
	struct lb_totals counts = {};

	lb_counts_add(tables, id, &counts);
	if (heir != LB_NO_HEIR)
		carry(&tables->backend_meta[heir].carried, &counts);
	else if (service < tables->sizes.services)
		carry(&tables->service_meta[service].carried, &counts);
	if (service < tables->sizes.services)
		carry_service(&tables->service_meta[service].carried_service, &counts);
}
