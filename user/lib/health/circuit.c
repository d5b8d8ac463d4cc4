// SPDX-License-Identifier: GPL-2.0-only
/*
 * The breaker's transitions. Every one of them goes through enter(), which restarts the history, so that
 * nothing that began earlier can move the new state.
 */
#include "health/circuit.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "health/check.h"

#define SLOW_STEPS 10u /* of a slow start: each moves slots */

static const char *const names[LB_CIRCUIT_STATE_COUNT] = {
#define X(name, number, text) [number] = text,
	LB_CIRCUIT_STATES(X)
#undef X
};

const char *lb_circuit_state_name(enum lb_circuit_state state)
{
	return (unsigned int)state < LB_CIRCUIT_STATE_COUNT ? names[state] : "unknown";
}

static __u64 ms(__u64 value_ms)
{
	return value_ms * LB_NS_PER_MS;
}

void lb_circuit_init(struct lb_circuit *circuit, const struct lb_circuit_config *config, __u64 now_ns,
		     bool added, __u64 seed)
{
	*circuit = (struct lb_circuit){
		.since_ns = now_ns,
		.share = LB_SHARE_FULL,
		.slow_since_ns = added && config->slow_start_ms ? now_ns : 0,
		.level_since_ns = now_ns,
		.seed = seed,
	};
}

static void enter(struct lb_circuit *circuit, enum lb_circuit_state state, __u32 share, __u64 now_ns)
{
	circuit->state = state;
	circuit->share = share;
	circuit->since_ns = now_ns;
	circuit->window_ns = now_ns;
	circuit->window_good = circuit->window_bad = 0;
	circuit->slow_since_ns = 0;
	memset(circuit->buckets, 0, sizeof(circuit->buckets));
	lb_history_restart(&circuit->history, now_ns);
}

/* --- opening ---------------------------------------------------------------------------------------------
 */

/* A number that looks random, of the seed and how often the circuit has opened. */
static __u64 scatter(__u64 seed, __u64 n)
{
	__u64 x = seed + (n + 1) * 0x9e3779b97f4a7c15ull;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

static __u64 wait_ns(const struct lb_circuit *circuit, const struct lb_circuit_config *config)
{
	__u64 wait = (__u64)config->wait_ms << circuit->level, span;

	if (wait > config->wait_max_ms)
		wait = config->wait_max_ms;
	span = wait * config->jitter_percent / 100;
	if (span)
		wait = wait - span + scatter(circuit->seed, circuit->opens) % (2 * span + 1);
	return ms(wait);
}

static bool open_up(struct lb_circuit *circuit, const struct lb_circuit_config *config, unsigned int run,
		    __u64 now_ns)
{
	circuit->cause = lb_history_last(&circuit->history);
	circuit->cause_run = run;
	circuit->dead = false;
	circuit->retry_ns = now_ns + wait_ns(circuit, config);
	circuit->opens++;
	if (circuit->level < LB_CIRCUIT_LEVEL_MAX)
		circuit->level++;
	circuit->level_since_ns = now_ns;
	enter(circuit, LB_CIRCUIT_OPEN, 0, now_ns);
	return true;
}

static void count(struct lb_circuit *circuit, const struct lb_circuit_config *config,
		  const struct lb_result *result)
{
	__u64 number = result->begin_ns / (ms(config->window_ms) / LB_CIRCUIT_BUCKETS + 1);
	unsigned int at = number % LB_CIRCUIT_BUCKETS;

	if (circuit->buckets[at].number > number)
		return;
	if (circuit->buckets[at].number < number) {
		circuit->buckets[at].number = number;
		circuit->buckets[at].samples = circuit->buckets[at].bad_percent = 0;
	}
	circuit->buckets[at].samples++;
	if (lb_outcome_is_bad(result->outcome))
		circuit->buckets[at].bad_percent += config->weight_percent[result->outcome];
}

static bool rate_is_bad(const struct lb_circuit *circuit, const struct lb_circuit_config *config,
			__u64 now_ns)
{
	__u64 now = now_ns / (ms(config->window_ms) / LB_CIRCUIT_BUCKETS + 1), samples = 0, bad = 0;

	if (!config->rate_percent)
		return false;
	for (unsigned int i = 0; i < LB_CIRCUIT_BUCKETS; i++) {
		if (circuit->buckets[i].number + LB_CIRCUIT_BUCKETS <= now)
			continue;
		samples += circuit->buckets[i].samples;
		bad += circuit->buckets[i].bad_percent;
	}
	return samples && samples >= config->min_samples && bad >= samples * config->rate_percent;
}

static bool judge_closed(struct lb_circuit *circuit, const struct lb_circuit_config *config, __u64 now_ns)
{
	unsigned int run = lb_history_bad_run(&circuit->history);

	if (run >= config->fall)
		return open_up(circuit, config, run, now_ns);
	/* Opened by rate only while it fails: an answer is no reason to open. */
	if (run && rate_is_bad(circuit, config, now_ns))
		return open_up(circuit, config, 0, now_ns);
	return false;
}

/* --- open and half-open ----------------------------------------------------------------------------------
 */

/* A single failure of a returning backend may be a lost packet: it delays; two in a row open. */
static unsigned int half_open_fall(const struct lb_circuit_config *config)
{
	return config->fall < 2 ? config->fall : 2;
}

/* When old flows are given up; UINT64_MAX: they are not. */
static __u64 give_up_ns(const struct lb_circuit *circuit, const struct lb_circuit_config *config)
{
	__u64 from = circuit->since_ns;
	__u32 after_ms = config->drain_max_ms;

	if (circuit->silent_since_ns) {
		from = circuit->silent_since_ns > from ? circuit->silent_since_ns : from;
		after_ms = config->dead_after_ms;
	} else if (!lb_outcome_is_bad(circuit->last)) {
		return UINT64_MAX;
	}
	return after_ms == LB_DEAD_NEVER ? UINT64_MAX : from + ms(after_ms);
}

static bool is_dead(const struct lb_circuit *circuit, const struct lb_circuit_config *config, __u64 now_ns)
{
	return (circuit->silent_since_ns && circuit->nexthop_lost) || now_ns >= give_up_ns(circuit, config);
}

static bool judge_open(struct lb_circuit *circuit, const struct lb_circuit_config *config, __u64 now_ns)
{
	if (now_ns >= circuit->retry_ns && lb_history_good_run(&circuit->history) >= config->rise) {
		circuit->dead = false;
		enter(circuit, LB_CIRCUIT_HALF_OPEN, config->first_share, now_ns);
		return true;
	}
	if (!circuit->dead && is_dead(circuit, config, now_ns)) {
		circuit->dead = true;
		return true;
	}
	return false;
}

static bool judge_half_open(struct lb_circuit *circuit, const struct lb_circuit_config *config, __u64 now_ns)
{
	unsigned int run = lb_history_bad_run(&circuit->history);

	if (run >= half_open_fall(config))
		return open_up(circuit, config, run, now_ns);
	if (now_ns < circuit->window_ns + ms(config->ramp_ms) ||
	    !(circuit->window_good || circuit->window_bad))
		return false;
	if (circuit->window_bad) {
		/* Not a good window: another one. */
		circuit->window_ns = now_ns;
		circuit->window_good = circuit->window_bad = 0;
		return false;
	}
	if (circuit->share * 2 >= LB_SHARE_FULL) {
		enter(circuit, LB_CIRCUIT_CLOSED, LB_SHARE_FULL, now_ns);
		circuit->level_since_ns = now_ns;
		return true;
	}
	circuit->share *= 2;
	circuit->window_ns = now_ns;
	circuit->window_good = circuit->window_bad = 0;
	return true;
}

/* --- what happens ----------------------------------------------------------------------------------------
 */

bool lb_circuit_tick(struct lb_circuit *circuit, const struct lb_circuit_config *config, __u64 now_ns,
		     bool hold)
{
	if (circuit->slow_since_ns && now_ns >= circuit->slow_since_ns + ms(config->slow_start_ms))
		circuit->slow_since_ns = 0;
	if (hold)
		return false;
	switch (circuit->state) {
	case LB_CIRCUIT_CLOSED:
		return judge_closed(circuit, config, now_ns);
	case LB_CIRCUIT_OPEN:
		return judge_open(circuit, config, now_ns);
	case LB_CIRCUIT_HALF_OPEN:
		return judge_half_open(circuit, config, now_ns);
	default:
		return false;
	}
}

static void note_silence(struct lb_circuit *circuit)
{
	__u64 since;

	if (lb_history_silent_run(&circuit->history, &since) == 0)
		circuit->silent_since_ns = 0;
	else if (!circuit->silent_since_ns)
		circuit->silent_since_ns = since;
}

static void note_health(struct lb_circuit *circuit, const struct lb_circuit_config *config, __u64 now_ns)
{
	if (circuit->state != LB_CIRCUIT_CLOSED || !circuit->level ||
	    now_ns < circuit->level_since_ns + ms(config->wait_max_ms))
		return;
	circuit->level--;
	circuit->level_since_ns = now_ns;
}

bool lb_circuit_result(struct lb_circuit *circuit, const struct lb_circuit_config *config,
		       const struct lb_result *result, __u64 now_ns, bool hold)
{
	if (!lb_history_add(&circuit->history, result))
		return false;
	circuit->last = result->outcome;
	circuit->last_ns = result->end_ns;
	note_silence(circuit);
	count(circuit, config, result);
	if (result->begin_ns > circuit->window_ns) {
		circuit->window_good += lb_outcome_is_good(result->outcome);
		circuit->window_bad += lb_outcome_is_bad(result->outcome);
	}
	if (lb_outcome_is_good(result->outcome))
		note_health(circuit, config, now_ns);
	return lb_circuit_tick(circuit, config, now_ns, hold);
}

static __u64 slow_next_ns(const struct lb_circuit *circuit, const struct lb_circuit_config *config,
			  __u64 after_ns)
{
	__u64 step = ms(config->slow_start_ms) / SLOW_STEPS + 1;

	return circuit->slow_since_ns + ((after_ns - circuit->slow_since_ns) / step + 1) * step;
}

__u64 lb_circuit_next_ns(const struct lb_circuit *circuit, const struct lb_circuit_config *config)
{
	__u64 next = UINT64_MAX, give_up;

	if (circuit->slow_since_ns)
		return slow_next_ns(circuit, config, circuit->slow_since_ns);
	if (circuit->state == LB_CIRCUIT_HALF_OPEN && (circuit->window_good || circuit->window_bad))
		return circuit->window_ns + ms(config->ramp_ms);
	if (circuit->state != LB_CIRCUIT_OPEN)
		return next;
	if (lb_history_good_run(&circuit->history) >= config->rise)
		next = circuit->retry_ns;
	give_up = circuit->dead ? UINT64_MAX : give_up_ns(circuit, config);
	return give_up < next ? give_up : next;
}

bool lb_circuit_say(struct lb_circuit *circuit, const struct lb_circuit_config *config,
		    enum lb_circuit_word word, __u64 now_ns)
{
	enum lb_circuit_word before = circuit->word;

	if (before == word)
		return false;
	circuit->word = word;
	if (before == LB_CIRCUIT_FORCE_OPEN && word == LB_CIRCUIT_AUTO && circuit->state == LB_CIRCUIT_CLOSED)
		enter(circuit, LB_CIRCUIT_HALF_OPEN, config->first_share, now_ns);
	return true;
}

void lb_circuit_forget(struct lb_circuit *circuit, __u64 since_ns)
{
	lb_history_forget(&circuit->history, since_ns);
	memset(circuit->buckets, 0, sizeof(circuit->buckets));
	circuit->window_good = circuit->window_bad = 0;
	if (circuit->silent_since_ns >= since_ns)
		circuit->silent_since_ns = 0;
}

/* --- what it means ---------------------------------------------------------------------------------------
 */

enum lb_circuit_state lb_circuit_state(const struct lb_circuit *circuit)
{
	if (circuit->word == LB_CIRCUIT_FORCE_OPEN)
		return LB_CIRCUIT_FORCED_OPEN;
	return circuit->word == LB_CIRCUIT_OFF ? LB_CIRCUIT_DISABLED : circuit->state;
}

static __u32 slow_share(const struct lb_circuit *circuit, const struct lb_circuit_config *config,
			__u64 now_ns)
{
	__u64 whole = ms(config->slow_start_ms);
	__u64 passed = now_ns > circuit->slow_since_ns ? now_ns - circuit->slow_since_ns : 0;

	if (!circuit->slow_since_ns || passed >= whole)
		return LB_SHARE_FULL;
	return (__u32)((passed * SLOW_STEPS / whole + 1) * LB_SHARE_FULL / SLOW_STEPS);
}

enum lb_state lb_circuit_verdict(const struct lb_circuit *circuit, const struct lb_circuit_config *config,
				 __u64 now_ns, __u32 *ret_share)
{
	__u32 slow = slow_share(circuit, config, now_ns);

	*ret_share = circuit->share < slow ? circuit->share : slow;
	if (circuit->state != LB_CIRCUIT_OPEN)
		return LB_STATE_ACTIVE;
	return circuit->dead ? LB_STATE_DOWN : LB_STATE_DRAIN;
}

const char *lb_circuit_text(const struct lb_circuit *circuit, char buffer[LB_CIRCUIT_TEXT_MAX])
{
	const char *what = lb_outcome_name(circuit->cause);

	buffer[0] = 0;
	if (circuit->state == LB_CIRCUIT_HALF_OPEN)
		snprintf(buffer, LB_CIRCUIT_TEXT_MAX, "coming back: %u.%u %% of its weight",
			 circuit->share / 10, circuit->share % 10);
	else if (circuit->state == LB_CIRCUIT_OPEN && circuit->cause_run)
		snprintf(buffer, LB_CIRCUIT_TEXT_MAX, "%s, %u checks in a row%s", what, circuit->cause_run,
			 circuit->dead ? "; old flows given up" : "");
	else if (circuit->state == LB_CIRCUIT_OPEN)
		snprintf(buffer, LB_CIRCUIT_TEXT_MAX, "too many of its checks fail, the last: %s%s", what,
			 circuit->dead ? "; old flows given up" : "");
	else if (circuit->slow_since_ns)
		snprintf(buffer, LB_CIRCUIT_TEXT_MAX, "slow start");
	return buffer;
}
