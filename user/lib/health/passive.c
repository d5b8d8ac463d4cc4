// SPDX-License-Identifier: GPL-2.0-only
/* Judging backends by their clients' handshakes; see passive.h. */
#include "health/passive.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_MS 1000000ull
#define UNKNOWN   (-1.0)

const char *lb_passive_state_name(enum lb_passive_state state)
{
	static const char *const names[] = { "fine", "suspect", "ejected" };

	return names[state];
}

static struct lb_passive_counts window_of(const struct lb_passive *passive)
{
	struct lb_passive_counts sum = {};

	for (unsigned int i = 0; i < LB_PASSIVE_TURNS; i++) {
		sum.started += passive->turns[i].started;
		sum.completed += passive->turns[i].completed;
		sum.retried += passive->turns[i].retried;
		sum.gave_up += passive->turns[i].gave_up;
		sum.resets += passive->turns[i].resets;
	}
	return sum;
}

/* Those that nobody went on from, and those that were reset at once. */
static double failed_share(const struct lb_passive_counts *window)
{
	double failed;

	if (window->started < LB_PASSIVE_SAMPLES_MIN)
		return UNKNOWN;
	failed = window->started > window->completed ? (double)(window->started - window->completed) : 0;
	failed += (double)window->resets;
	return failed < (double)window->started ? failed / (double)window->started : 1;
}

static void take_turn(struct lb_passive *passive, const struct lb_passive_counts *counts)
{
	struct lb_passive_counts window;

	passive->turn = (passive->turn + 1) % LB_PASSIVE_TURNS;
	passive->turns[passive->turn] = *counts;
	passive->unanswered = counts->completed ? 0 : passive->unanswered + counts->started;
	window = window_of(passive);
	passive->failed = failed_share(&window);
}

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Of all of whom something is known, in order. How many. */
static size_t sort_known(struct lb_passive *const *passives, size_t n, double *ret_sorted)
{
	size_t known = 0;

	for (size_t i = 0; i < n; i++)
		if (passives[i]->failed >= 0)
			ret_sorted[known++] = passives[i]->failed;
	if (known)
		qsort(ret_sorted, known, sizeof(*ret_sorted), compare);
	return known;
}

/* Of the others, of whom there are *ret_n; of an even number the worse one: in doubt nobody is suspected. 1
 * if there are none: nobody stands out. */
static double median_of_others(const struct lb_passive *passive, const double *sorted, size_t known,
			       size_t *ret_n)
{
	bool among = passive->failed >= 0;
	size_t n = known - among, middle = n / 2;

	*ret_n = n;
	if (!n)
		return 1;
	return sorted[middle + (among && sorted[middle] >= passive->failed)];
}

static bool stands_out(const struct lb_passive *passive)
{
	struct lb_passive_counts window = window_of(passive);

	return passive->failed >= LB_PASSIVE_FAILED_MIN &&
	       passive->failed >= passive->siblings + LB_PASSIVE_ABOVE_MIN &&
	       window.retried + window.gave_up + window.resets >= LB_PASSIVE_EVIDENCE_MIN;
}

/* Nothing but unanswered handshakes, and in the whole window: the completed ones of a backend with few
 * clients may miss a turn that somebody fills with forged SYNs. */
static bool is_dead(const struct lb_passive_config *config, const struct lb_passive *passive, size_t siblings)
{
	return siblings + 1 >= config->min_backends && passive->unanswered >= config->min_samples &&
	       !window_of(passive).completed;
}

static bool turn_to(struct lb_passive *passive, enum lb_passive_state state, __u64 now_ns)
{
	if (passive->state == state)
		return false;
	passive->state = state;
	passive->since_ns = now_ns;
	return true;
}

static bool judge_one(const struct lb_passive_config *config, struct lb_passive *passive, size_t siblings,
		      bool completed, __u64 now_ns)
{
	if (!stands_out(passive))
		return completed ? turn_to(passive, LB_PASSIVE_FINE, now_ns)
				 : lb_passive_tick(config, passive, now_ns);
	passive->evidence_ns = now_ns;
	if (config->eject && is_dead(config, passive, siblings))
		return turn_to(passive, LB_PASSIVE_EJECTED, now_ns);
	if (passive->state == LB_PASSIVE_EJECTED && !completed)
		return false;
	return turn_to(passive, LB_PASSIVE_SUSPECT, now_ns);
}

bool lb_passive_judge(const struct lb_passive_config *config, struct lb_passive *const *passives,
		      const struct lb_passive_counts *counts, size_t n, __u64 now_ns)
{
	double *sorted = n ? malloc(n * sizeof(*sorted)) : NULL;
	bool changed = false;
	size_t known, siblings;

	for (size_t i = 0; i < n; i++)
		take_turn(passives[i], &counts[i]);
	/* Out of memory: nobody is judged in this turn. */
	known = sorted ? sort_known(passives, n, sorted) : 0;
	for (size_t i = 0; sorted && i < n; i++) {
		passives[i]->siblings = median_of_others(passives[i], sorted, known, &siblings);
		changed |= judge_one(config, passives[i], siblings, counts[i].completed > 0, now_ns);
	}
	free(sorted);
	return changed;
}

bool lb_passive_tick(const struct lb_passive_config *config, struct lb_passive *passive, __u64 now_ns)
{
	if (passive->state == LB_PASSIVE_FINE || now_ns < passive->evidence_ns + config->hold_ms * NS_PER_MS)
		return false;
	passive->unanswered = 0;
	memset(passive->turns, 0, sizeof(passive->turns));
	return turn_to(passive, LB_PASSIVE_FINE, now_ns);
}

const char *lb_passive_text(const struct lb_passive *passive, char buffer[LB_PASSIVE_TEXT_MAX])
{
	buffer[0] = 0;
	if (passive->state != LB_PASSIVE_FINE)
		snprintf(buffer, LB_PASSIVE_TEXT_MAX,
			 "%.0f %% of clients' handshakes came to nothing, %.0f %% at its siblings",
			 passive->failed > 0 ? 100 * passive->failed : 0, 100 * passive->siblings);
	return buffer;
}
