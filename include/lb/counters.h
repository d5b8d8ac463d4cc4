/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is counted of packets that are forwarded: the one list behind the words that packets write
 * (struct lb_counter), what is made of them, what outlives them (lb/meta.h), the members of /v1/stats, the
 * metrics of services and backends with their help, the dashboards' check, and the columns of lbctl stats.
 * What becomes of the others is in lb/reasons.h. To be included by lb/types.h.
 */
#pragma once

/*
 * Words of a line, in their order. X(word, total, "name", "what it counts"): total: what it adds to; name: in
 * JSON.
 */
#define LB_COUNTERS_SYNS(X) X(syn_packets, syns, "syns", "TCP connection attempts")
/* The next layout of LB_LAYOUT_NEXT (lb/types.h) has another order. */
#if LB_LAYOUT_NEXT
#define LB_COUNTERS_SYNS_FIRST(X) LB_COUNTERS_SYNS(X)
#define LB_COUNTERS_SYNS_THEN(X)
#else
#define LB_COUNTERS_SYNS_FIRST(X)
#define LB_COUNTERS_SYNS_THEN(X) LB_COUNTERS_SYNS(X)
#endif
#define LB_COUNTERS(X)                                                                                       \
	LB_COUNTERS_SYNS_FIRST(X)                                                                            \
	X(tx_packets, packets, "tx_packets", "packets that left by the interface they came in by")           \
	X(tx_bytes, bytes, "tx_bytes",                                                                       \
	  "of these, bytes of IP packet and Ethernet header as they came in; no tags, no padding")           \
	X(redirect_packets, packets, "redirect_packets", "packets that left by another interface")           \
	X(redirect_bytes, bytes, "redirect_bytes", "of these, bytes, counted like tx_bytes")                 \
	LB_COUNTERS_SYNS_THEN(X)                                                                             \
	X(known_packets, known, "known", "packets of unsettled slots whose flow was in the flow table")      \
	X(base_packets, base, "base", "packets of unsettled slots whose flow was not: sent to base")         \
	X(refused_inserts, refused, "refused", "flows that the flow table had no room for: stayed with base")

/*
 * What people are told. X(A, total, TOTAL, unit, kept, "metric", "COLUMN", "help"), A being passed on.
 * unit: PACKETS, BYTES or FLOWS. kept: BACKEND: outlives a backend's id, with its name (struct lb_carried);
 * SERVICE: of the service alone. metric: weir_service_METRIC_total and weir_backend_METRIC_total. COLUMN: of
 * lbctl stats. The first ones are in the answer that has every service.
 */
#define LB_TOTALS_FIRST(X, A)                                                                                \
	X(A, packets, PACKETS, PACKETS, BACKEND, "packets", "PACKETS", "Packets forwarded")                  \
	X(A, bytes, BYTES, BYTES, BACKEND, "bytes", "BYTES", "Bytes of frames, as received, forwarded")      \
	X(A, syns, SYNS, PACKETS, BACKEND, "syns", "SYNS", "TCP connection attempts forwarded")
#define LB_TOTALS_MORE(X, A)                                                                                 \
	X(A, known, KNOWN, PACKETS, SERVICE, "known_packets", "KNOWN",                                       \
	  "Packets of moved slots that stayed with their backend by an entry of the flow table")             \
	X(A, base, BASE, PACKETS, SERVICE, "base_packets", "TO BASE",                                        \
	  "Packets of moved slots without such an entry that went to the backend before the move")           \
	X(A, refused, REFUSED, FLOWS, BACKEND, "refused_inserts", "REFUSED",                                 \
	  "New flows of moved slots that the flow table had no room for")
#define LB_TOTALS(X, A) LB_TOTALS_FIRST(X, A) LB_TOTALS_MORE(X, A)

struct lb_totals {
#define X(A, total, TOTAL, unit, kept, metric, column, help) __u64 total;
	LB_TOTALS(X, )
#undef X
};

/* Their numbers, in that order. */
enum lb_total {
#define X(A, total, TOTAL, unit, kept, metric, column, help) LB_TOTAL_##TOTAL,
	LB_TOTALS(X, )
#undef X
		LB_TOTAL_COUNT
};
