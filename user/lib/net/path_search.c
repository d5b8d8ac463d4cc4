// SPDX-License-Identifier: GPL-2.0-only
/*
 * The search for a path's MTU: the whole first, which mostly fits; then halves.
 */
#include "net/path_search.h"

#define TRIES         3u
#define TRIES_BETWEEN 2u /* of a size that is judged again at the end */
#define SILENT_MS     5000u

static void rest(struct lb_path_search *search, __u64 until_ms)
{
	search->state = LB_PATH_SEARCH_REST;
	search->due_ms = until_ms;
	search->tries = 0;
}

static void go(struct lb_path_search *search, enum lb_path_search_state state)
{
	search->state = state;
	search->tries = 0;
}

static void begin(struct lb_path_search *search, __u64 now_ms)
{
	bool keep = search->found && (search->found == search->most || now_ms < search->wider_ms);

	go(search, keep ? LB_PATH_SEARCH_KEEP : LB_PATH_SEARCH_PROVE);
}

void lb_path_search_again(struct lb_path_search *search)
{
	search->wider_ms = 0;
	if (search->state == LB_PATH_SEARCH_REST)
		search->due_ms = 0;
}

static __u16 in_question(const struct lb_path_search *search)
{
	switch (search->state) {
	case LB_PATH_SEARCH_PROVE:
		return search->floor;
	case LB_PATH_SEARCH_MOST:
		return search->most;
	case LB_PATH_SEARCH_HALVE:
		return (__u16)((search->least + search->too_much) / 2);
	case LB_PATH_SEARCH_CONFIRM:
		return search->too_much;
	case LB_PATH_SEARCH_VERIFY:
		return search->least;
	case LB_PATH_SEARCH_KEEP:
		return search->found;
	default:
		return 0;
	}
}

__u16 lb_path_search_ask(struct lb_path_search *search, __u16 floor, __u16 most, __u64 now_ms)
{
	if (most < floor)
		return 0;
	if (search->floor != floor || search->most != most) {
		*search = (struct lb_path_search){ .floor = floor, .most = most };
		begin(search, now_ms);
	}
	if (search->state == LB_PATH_SEARCH_REST && now_ms >= search->due_ms)
		begin(search, now_ms);
	return in_question(search);
}

static bool find(struct lb_path_search *search, __u16 found, __u64 now_ms)
{
	search->found = found;
	search->silent = 0;
	rest(search, now_ms + LB_PATH_SEARCH_AGAIN_MS);
	return true;
}

/* Between what fits and what does not. */
static void narrow(struct lb_path_search *search)
{
	go(search, search->too_much - search->least > 1 ? LB_PATH_SEARCH_HALVE : LB_PATH_SEARCH_CONFIRM);
}

static bool fits(struct lb_path_search *search, __u64 now_ms)
{
	switch (search->state) {
	case LB_PATH_SEARCH_PROVE:
		search->least = search->floor;
		if (search->floor == search->most)
			return find(search, search->floor, now_ms);
		go(search, LB_PATH_SEARCH_MOST);
		return false;
	case LB_PATH_SEARCH_MOST:
		return find(search, search->most, now_ms);
	case LB_PATH_SEARCH_KEEP:
		return find(search, search->found, now_ms);
	case LB_PATH_SEARCH_VERIFY:
		search->wider_ms = now_ms + LB_PATH_SEARCH_WIDER_MS;
		return find(search, search->least, now_ms);
	case LB_PATH_SEARCH_CONFIRM: /* it was lost, not too large */
		search->least = search->too_much;
		if (search->least == search->most)
			return find(search, search->most, now_ms);
		search->too_much = search->most;
		narrow(search);
		return false;
	case LB_PATH_SEARCH_HALVE:
		search->least = in_question(search);
		narrow(search);
		return false;
	default:
		return false;
	}
}

static bool does_not_fit(struct lb_path_search *search, __u64 now_ms)
{
	__u64 pause = (__u64)SILENT_MS << (search->silent < 4 ? search->silent : 4);

	switch (search->state) {
	case LB_PATH_SEARCH_PROVE:
	case LB_PATH_SEARCH_VERIFY: /* whoever answered is gone: nothing is known of the sizes between */
		search->silent += search->silent < 4;
		rest(search, now_ms + (pause < LB_PATH_SEARCH_AGAIN_MS ? pause : LB_PATH_SEARCH_AGAIN_MS));
		return false;
	case LB_PATH_SEARCH_KEEP: /* or nothing is answered any more */
		go(search, LB_PATH_SEARCH_PROVE);
		return false;
	case LB_PATH_SEARCH_MOST:
		search->too_much = search->most;
		narrow(search);
		return false;
	case LB_PATH_SEARCH_HALVE:
		search->too_much = in_question(search);
		narrow(search);
		return false;
	case LB_PATH_SEARCH_CONFIRM:
		go(search, LB_PATH_SEARCH_VERIFY);
		return false;
	default:
		return false;
	}
}

bool lb_path_search_heard(struct lb_path_search *search, bool answered, __u64 now_ms)
{
	__u8 tries = search->state == LB_PATH_SEARCH_HALVE ? TRIES_BETWEEN : TRIES;

	if (answered) {
		search->tries = 0;
		return fits(search, now_ms);
	}
	if (++search->tries < tries)
		return false;
	return does_not_fit(search, now_ms);
}
