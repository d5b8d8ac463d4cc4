// SPDX-License-Identifier: GPL-2.0-only
/*
 * The flow table on the host: how many flows 256 MiB hold before the first is refused, what look-ups cost at
 * several sizes, and what a pass of the sweeper costs. The packet path's own rows are in `make bench`.
 * `make bench-flowtable`.
 */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/engine.h"

static inline struct lb_flow_bucket *lb_flow_bucket_get(void *table, __u32 index)
{
	return (struct lb_flow_bucket *)table + index;
}

#include "lb/flowtable.h"

static double now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static __u64 tag_of(__u64 i)
{
	return lb_flow_tag(lb_mix64((i + 1) * LB_MIX_A));
}

static __u64 word_of(__u64 tag)
{
	return lb_flow_word(1, LB_FLOW_ESTABLISHED, (__u32)(tag >> 40), 0, 1);
}

static void measure(struct lb_flow_bucket *table, __u32 buckets, __u64 n)
{
	__u64 refused = 0, first = 0, hits = 0, lookups = 4000000;
	struct lb_flow_place place;
	double start, insert_ns, hit_ns, miss_ns;

	memset(table, 0, (size_t)buckets * sizeof(*table));
	start = now_ns();
	for (__u64 i = 0; i < n; i++) {
		__u64 tag = tag_of(i), word = word_of(tag);

		if (!lb_flow_find(table, buckets - 1, tag, lb_flow_question(lb_flow_identity(word), 0, 1), 0,
				  &place) &&
		    place.number != LB_FLOW_NOWHERE) {
			lb_flow_claim(table, &place, tag, word, NULL);
			continue;
		}
		first = first ? first : i;
		refused++;
	}
	insert_ns = (now_ns() - start) / (double)n;
	start = now_ns();
	for (__u64 i = 0; i < lookups; i++) {
		__u64 tag = tag_of(lb_mix64(i) % n);

		hits += (__u64)lb_flow_find(table, buckets - 1, tag,
					    lb_flow_question(lb_flow_identity(word_of(tag)), 0, 1), 0,
					    &place);
	}
	hit_ns = (now_ns() - start) / (double)lookups;
	start = now_ns();
	for (__u64 i = 0; i < lookups; i++) {
		__u64 tag = tag_of(n + lb_mix64(i) % n);

		hits += (__u64)lb_flow_find(table, buckets - 1, tag,
					    lb_flow_question(lb_flow_identity(word_of(tag)), 0, 1), 0,
					    &place);
	}
	miss_ns = (now_ns() - start) / (double)lookups;
	printf("%9llu flows, %4zu MiB, load %4.1f %%: insert %3.0f ns, hit %3.0f ns, miss %3.0f ns; refused "
	       "%llu",
	       n, (size_t)buckets * sizeof(*table) >> 20, 25.0 * (double)n / buckets, insert_ns, hit_ns,
	       miss_ns, refused);
	if (refused)
		printf(" (first at load %.1f %%)", 25.0 * (double)first / buckets);
	printf("; %llu found\n", hits);
}

int main(void)
{
	const __u32 most = 1u << 22;
	struct lb_flow_bucket *table = aligned_alloc(64, (size_t)most * sizeof(*table));

	if (!table)
		return 1;
	printf("%zu bytes per place, %u places to a bucket, %u probes\n", sizeof(struct lb_flow),
	       LB_FLOWS_PER_BUCKET, LB_FLOW_PROBES);
	measure(table, 1u << 14, 1000);
	measure(table, 1u << 18, 100000);
	measure(table, 1u << 20, 1000000);
	measure(table, most, 1000000);
	measure(table, most, 4000000);
	measure(table, most, 10000000);
	free(table);
	return 0;
}
