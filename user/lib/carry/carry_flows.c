// SPDX-License-Identifier: GPL-2.0-only
/*
 * The flow table from one set of tables to another. A flow's place follows from its tag, so that a table of
 * any size takes it. What is read of the old table is read as packets read it: a bucket counts when its words
 * were the same before and after.
 */
#include "carry/carry.h"

static inline struct lb_flow_bucket *lb_flow_bucket_get(void *table, __u32 index)
{
	return (struct lb_flow_bucket *)table + index;
}

#include "lb/flowtable.h"

#define TRIES 8

static bool same_words(const struct lb_flow_bucket *a, const struct lb_flow_bucket *b)
{
	bool same = true;

	for (__u32 i = 0; i < LB_FLOWS_PER_BUCKET; i++)
		same &= a->flow[i].word == b->flow[i].word;
	return same;
}

/* As it was at one moment, in the new layout. What changes all the time is taken as it was last. */
static void read_bucket(const struct lb_carry_flows *carry, __u32 index, struct lb_flow_bucket *bucket)
{
	const char *from = (const char *)carry->from + (size_t)index * carry->copy->old_size;
	struct lb_flow_bucket before;

	lb_copy_record(carry->copy, from, bucket);
	for (int i = 0; i < TRIES; i++) {
		before = *bucket;
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		lb_copy_record(carry->copy, from, bucket);
		if (same_words(&before, bucket))
			return;
	}
}

static void each(struct lb_carry_flows *carry,
		 void (*put)(struct lb_carry_flows *carry, const struct lb_flow *flow))
{
	struct lb_flow_bucket bucket;

	carry->entries = carry->refused = 0;
	for (__u32 index = 0; index < carry->from_buckets; index++) {
		read_bucket(carry, index, &bucket);
		for (__u32 i = 0; i < LB_FLOWS_PER_BUCKET; i++) {
			if (!lb_flow_state(bucket.flow[i].word))
				continue;
			carry->entries++;
			put(carry, &bucket.flow[i]);
		}
	}
}

/* Entries of other protocols have no numbers. */
static __u64 leniently(const struct lb_flow *flow)
{
	__u64 rest = flow->numbers.rest;

	if (lb_flow_state(flow->word) != LB_FLOW_ESTABLISHED || (!flow->numbers.next_ack && !rest))
		return rest;
	return lb_numbers_rest(LB_NUMBERS_CARRIED_MAX, lb_numbers_credit(rest), rest);
}

static void put(struct lb_carry_flows *carry, const struct lb_flow *flow)
{
	__u32 mask = carry->to_buckets - 1;

	for (__u32 probe = 0; probe < LB_FLOW_PROBES; probe++) {
		struct lb_flow_bucket *bucket = &carry->to[((__u32)flow->tag + probe) & mask];

		for (__u32 n = 0; n < LB_FLOWS_PER_BUCKET; n++) {
			struct lb_flow *place = &bucket->flow[lb_flow_nth(flow->tag, n)];

			if (place->word != LB_FLOW_EMPTY)
				continue;
			*place = *flow;
			place->numbers.rest = leniently(flow);
			return;
		}
	}
	carry->refused++;
}

void lb_carry_flows(struct lb_carry_flows *carry)
{
	each(carry, put);
}

/* --- once more --------------------------------------------------------------------------------------------
 */

/* The place of a connection: of those of its addresses and ports, whose numbers are the nearest. */
static __u32 find(const struct lb_carry_flows *carry, const struct lb_flow *flow)
{
	__u32 mask = carry->to_buckets - 1, found = LB_FLOW_NOWHERE, nearest = 0;

	for (__u32 probe = 0; probe < LB_FLOW_PROBES; probe++) {
		__u32 index = ((__u32)flow->tag + probe) & mask;
		struct lb_flow_bucket *bucket = &carry->to[index];
		bool end = false;

		for (__u32 i = 0; i < LB_FLOWS_PER_BUCKET; i++) {
			__u64 word = LB_LOAD(&bucket->flow[i].word);
			__u32 distance;

			end |= word == LB_FLOW_EMPTY;
			if (!lb_flow_is(&bucket->flow[i], word, flow->tag, lb_flow_identity(flow->word)))
				continue;
			distance = lb_numbers_distance(lb_numbers_next(bucket->flow[i].numbers.next_ack),
						       lb_numbers_next(flow->numbers.next_ack));
			if (found != LB_FLOW_NOWHERE && distance >= nearest)
				continue;
			nearest = distance;
			found = index * LB_FLOWS_PER_BUCKET + i;
		}
		if (end)
			break;
	}
	return found;
}

/* The later time, and the state that says more. */
static void follow_word(struct lb_flow *to, __u64 old)
{
	__u64 word = LB_LOAD(&to->word), next;
	__u32 state = lb_flow_state(word), old_state = lb_flow_state(old);
	__u32 time = (__u32)(word >> 48), old_time = (__u32)(old >> 48);

	if (!state || lb_flow_identity(word) != lb_flow_identity(old))
		return;
	if (((old_time - time) & 0xffff) < 0x8000)
		time = old_time;
	if (old_state == LB_FLOW_ESTABLISHED)
		state = old_state;
	next = (word & 0x0000ffffffff3fffull) | (__u64)state << 14 | (__u64)time << 48;
	if (next != word)
		(void)__sync_val_compare_and_swap(&to->word, word, next);
}

/* The numbers that are further on. What the new table was lenient with is counted as it was. */
static void follow_numbers(struct lb_flow_numbers *to, const struct lb_flow_numbers *old)
{
	__u64 next_ack = LB_LOAD(&to->next_ack), rest = LB_LOAD(&to->rest), marks = (rest | old->rest);
	__u32 ahead = lb_numbers_next(next_ack) - lb_numbers_next(old->next_ack);
	__u32 carried = lb_numbers_carried(old->rest), credit = lb_numbers_credit(rest);

	if (!old->next_ack && !old->rest)
		return;
	if (ahead && ahead < 0x80000000u) {
		carried = ahead < LB_NUMBERS_CARRIED_MAX - carried ? carried + ahead : LB_NUMBERS_CARRIED_MAX;
	} else if (__sync_val_compare_and_swap(&to->next_ack, next_ack, old->next_ack) != next_ack) {
		return;
	} else {
		credit = lb_numbers_credit(old->rest);
	}
	(void)__sync_val_compare_and_swap(&to->rest, rest, lb_numbers_rest(carried, credit, marks));
}

static void put_again(struct lb_carry_flows *carry, const struct lb_flow *flow)
{
	struct lb_flow_search search = { .tag = flow->tag,
					 .question = lb_flow_question(lb_flow_identity(flow->word), 0,
								      (__u32)(flow->word >> 48)) };
	__u32 number = find(carry, flow);
	struct lb_flow *place;

	if (number != LB_FLOW_NOWHERE) {
		place = lb_flow_at(carry->to, number);
		follow_numbers(&place->numbers, &flow->numbers);
		follow_word(place, flow->word);
		return;
	}
	if (lb_flow_look(carry->to, carry->to_buckets - 1, &search))
		return; /* it has come just now */
	if (search.best.number == LB_FLOW_NOWHERE ||
	    !lb_flow_claim(carry->to, &search.best, flow->tag, flow->word, NULL)) {
		carry->refused++;
		return;
	}
	follow_numbers(&lb_flow_at(carry->to, search.best.number)->numbers, &flow->numbers);
}

void lb_carry_flows_again(struct lb_carry_flows *carry)
{
	each(carry, put_again);
}
