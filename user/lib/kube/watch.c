// SPDX-License-Identifier: GPL-2.0-only
/*
 * Transitions. Failures are forgotten when a watch has said something, and not before: a list that succeeds
 * and a watch that fails, again and again, are bounded work too.
 */
#include "kube/watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define GONE            410
#define RETRY_AFTER_MAX 300u /* seconds; whoever says more is not believed */
#define BRIEF_MS        1000 /* a watch that ends sooner is a failure, however it ends */

const struct lb_kube_watch_limits lb_kube_watch_limits = {
	.page = 500,
	.silence_ms = 100000,
	.timeout_s = 600,
	.list_ms = 3600000,
	.first_ms = 100,
	.longest_ms = 10000,
};

void lb_kube_watch_init(struct lb_kube_watch *watch, __u64 seed)
{
	*watch = (struct lb_kube_watch){
		.limits = &lb_kube_watch_limits,
		.want_list = true,
		.random = seed ? seed : 1,
	};
}

void lb_kube_watch_done(struct lb_kube_watch *watch)
{
	free(watch->version);
	free(watch->more);
	watch->version = watch->more = NULL;
}

/* xorshift: differs from member to member, which is all that is asked of it. */
static __u64 next_random(__u64 *random)
{
	*random ^= *random << 13;
	*random ^= *random >> 7;
	*random ^= *random << 17;
	return *random;
}

__u32 lb_kube_backoff_ms(unsigned int failures, __u32 first_ms, __u32 longest_ms, __u64 *random)
{
	__u64 wait = first_ms;

	if (!failures)
		return 0;
	for (unsigned int i = 1; i < failures && wait < longest_ms; i++)
		wait *= 2;
	if (wait > longest_ms)
		wait = longest_ms;
	return (__u32)(wait / 2 + next_random(random) % (wait / 2 + 1));
}

/* --- turns -----------------------------------------------------------------------------------------------
 */

enum lb_kube_watch_turn lb_kube_watch_turn(struct lb_kube_watch *watch, __u64 now_ms)
{
	if (watch->state != LB_KUBE_WATCH_WAITING)
		return now_ms - watch->heard_ms >= watch->limits->silence_ms ? LB_KUBE_TURN_ABORT
									     : LB_KUBE_TURN_NOTHING;
	if (now_ms < watch->due_ms)
		return LB_KUBE_TURN_NOTHING;
	watch->since_ms = watch->heard_ms = now_ms;
	watch->heard = false;
	if (watch->want_list) {
		watch->state = LB_KUBE_WATCH_LISTING;
		watch->counts.lists += !watch->more;
		return LB_KUBE_TURN_LIST;
	}
	watch->state = LB_KUBE_WATCH_WATCHING;
	watch->counts.watches++;
	return LB_KUBE_TURN_WATCH;
}

__u64 lb_kube_watch_due_ms(const struct lb_kube_watch *watch)
{
	return watch->state == LB_KUBE_WATCH_WAITING ? watch->due_ms
						     : watch->heard_ms + watch->limits->silence_ms;
}

/* Versions and tokens are opaque: whatever they are made of becomes a part of a query. */
static char *escape(const char *text)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
	char *escaped = malloc(3 * strlen(text) + 1), *at = escaped;

	for (; escaped && *text; text++) {
		if (strchr(plain, *text))
			*at++ = *text;
		else
			at += sprintf(at, "%%%02X", (unsigned char)*text);
	}
	if (escaped)
		*at = 0;
	return escaped;
}

int lb_kube_watch_query(const struct lb_kube_watch *watch, char **ret_query)
{
	bool list = watch->state == LB_KUBE_WATCH_LISTING;
	const char *token = list ? watch->more : watch->version;
	_cleanup_(freep) char *escaped = escape(token ? token : "");
	int n;

	if (!escaped)
		return -ENOMEM;
	if (list)
		n = asprintf(ret_query, "limit=%u%s%s", watch->limits->page, token ? "&continue=" : "",
			     escaped);
	else
		n = asprintf(ret_query,
			     "watch=1&allowWatchBookmarks=true&timeoutSeconds=%u&resourceVersion=%s",
			     watch->limits->timeout_s, escaped);
	return n < 0 ? -ENOMEM : 0;
}

/* --- what is said ----------------------------------------------------------------------------------------
 */

void lb_kube_watch_alive(struct lb_kube_watch *watch, __u64 now_ms)
{
	watch->heard_ms = now_ms;
}

static int replace(char **text, const char *with)
{
	char *copy = with ? strdup(with) : NULL;

	if (with && !copy)
		return -ENOMEM;
	free(*text);
	*text = copy;
	return 0;
}

int lb_kube_watch_page(struct lb_kube_watch *watch, const char *version, const char *more, __u64 now_ms)
{
	bool last = !more || !more[0];

	if (replace(&watch->more, last ? NULL : more) < 0 || (last && replace(&watch->version, version) < 0))
		return -ENOMEM;
	watch->state = LB_KUBE_WATCH_WAITING;
	watch->due_ms = now_ms;
	if (!last)
		return 0;
	watch->want_list = false;
	watch->listed = true;
	watch->listed_ms = now_ms;
	/* Not the first try: the watch that follows a list waits as long as the list would have. */
	if (watch->failures > 1)
		watch->due_ms = now_ms + lb_kube_backoff_ms(1, watch->limits->first_ms,
							    watch->limits->longest_ms, &watch->random);
	return 0;
}

int lb_kube_watch_event(struct lb_kube_watch *watch, const char *version, __u64 now_ms)
{
	watch->heard = true;
	watch->heard_ms = now_ms;
	watch->failures = 0;
	watch->counts.events++;
	return version && version[0] ? replace(&watch->version, version) : 0;
}

/* --- endings ---------------------------------------------------------------------------------------------
 */

static bool is_good(const struct lb_kube_watch *watch, const struct lb_kube_ending *ending, __u64 now_ms)
{
	return watch->state == LB_KUBE_WATCH_WATCHING && ending->status == 200 && !ending->silent &&
	       !ending->bad && watch->heard && now_ms - watch->since_ms >= BRIEF_MS;
}

/* Whether what is known can be continued from, or has to be read anew. */
static bool needs_list(const struct lb_kube_watch *watch, const struct lb_kube_ending *ending, __u64 now_ms)
{
	return watch->state == LB_KUBE_WATCH_LISTING || ending->status != 200 || ending->bad ||
	       ending->silent || !watch->heard || now_ms - watch->listed_ms >= watch->limits->list_ms;
}

void lb_kube_watch_ended(struct lb_kube_watch *watch, const struct lb_kube_ending *ending, __u64 now_ms)
{
	__u32 wait_ms;

	/* A watch that stands says nothing where nothing happens: time counts as well. */
	if (watch->state == LB_KUBE_WATCH_WATCHING && !ending->silent) {
		__u64 seconds = (now_ms - watch->since_ms) / 1000;

		watch->failures = seconds < 31 ? watch->failures >> seconds : 0;
	}
	watch->counts.gone += ending->status == GONE;
	watch->counts.silent += ending->silent;
	if (!is_good(watch, ending, now_ms)) {
		watch->counts.failures++;
		watch->failures++;
	}
	wait_ms = lb_kube_backoff_ms(watch->failures, watch->limits->first_ms, watch->limits->longest_ms,
				     &watch->random);
	if (ending->retry_after_s) {
		__u32 after_s =
			ending->retry_after_s < RETRY_AFTER_MAX ? ending->retry_after_s : RETRY_AFTER_MAX;

		/* Not all at the same moment. */
		if (wait_ms < after_s * 1000)
			wait_ms = after_s * 1000 + (__u32)(next_random(&watch->random) % 500);
	}
	if (needs_list(watch, ending, now_ms)) {
		watch->want_list = true;
		(void)replace(&watch->more, NULL);
	}
	watch->state = LB_KUBE_WATCH_WAITING;
	watch->due_ms = now_ms + wait_ms;
}
