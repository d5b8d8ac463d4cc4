/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * When to list and when to watch: the state of one resource. Pure, under the caller's time; the caller makes
 * the requests.
 *
 *   list, page by page -> watch from the list's version -> watch again from the last version heard ...
 *
 * Only a watch that has said something, and ended in order, is gone on from. One that has said nothing at all
 * is followed by a list, never by a watch from the same version: an API server whose etcd was restored from a
 * snapshot answers such a watch with silence, until it has come so far again. So is one that broke off (the
 * API server may be another's by now), one whose version is too old (410), and one that said what is not
 * understood; and there is a list once an hour. Versions are opaque.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

struct lb_kube_watch_limits {
	__u32 page;       /* objects of a page */
	__u32 silence_ms; /* longest silence of a stream; bookmarks come every minute */
	__u32 timeout_s;  /* how long the server is asked to keep a watch */
	__u32 list_ms;    /* longest time without a list */
	__u32 first_ms;   /* first wait after a failure; then twice as long each time... */
	__u32 longest_ms; /* ...up to this */
};
extern const struct lb_kube_watch_limits lb_kube_watch_limits;

enum lb_kube_watch_state {
	LB_KUBE_WATCH_WAITING, /* for due_ms */
	LB_KUBE_WATCH_LISTING,
	LB_KUBE_WATCH_WATCHING,
};

struct lb_kube_watch {
	const struct lb_kube_watch_limits *limits;
	enum lb_kube_watch_state state;
	bool listed;     /* a list has come to its end: what is known is complete */
	bool want_list;  /* the next request is a list's first page */
	bool heard;      /* this stream has said something */
	char *version;   /* owned */
	char *more;      /* owned: where the next page begins; NULL: at the beginning */
	__u64 due_ms;    /* next request */
	__u64 listed_ms; /* end of the last list */
	__u64 since_ms;  /* of this request */
	__u64 heard_ms;  /* its last sign of life */
	unsigned int failures;
	__u64 random;
	struct {
		__u64 lists, watches, events, gone, silent, failures; /* since the start */
	} counts;
};

/* seed: any number that differs from member to member. */
void lb_kube_watch_init(struct lb_kube_watch *watch, __u64 seed);
void lb_kube_watch_done(struct lb_kube_watch *watch);

enum lb_kube_watch_turn {
	LB_KUBE_TURN_NOTHING,
	LB_KUBE_TURN_LIST,  /* make a request for a page */
	LB_KUBE_TURN_WATCH, /* make a request for a watch */
	LB_KUBE_TURN_ABORT, /* the stream is silent: end it and call lb_kube_watch_ended() with .silent */
};

/* What is to be done now; the state is what it says then. */
enum lb_kube_watch_turn lb_kube_watch_turn(struct lb_kube_watch *watch, __u64 now_ms);
/* When to ask again, if nothing happens before. */
__u64 lb_kube_watch_due_ms(const struct lb_kube_watch *watch);

/* The query of the request that a turn asked for: "limit=500&continue=...". 0, or -ENOMEM. To be freed. */
int lb_kube_watch_query(const struct lb_kube_watch *watch, char **ret_query);

/* Bytes came. */
void lb_kube_watch_alive(struct lb_kube_watch *watch, __u64 now_ms);

/* A page has been read to its end, with these in its metadata; more: NULL or empty for the last one. -ENOMEM
 * or 0. */
int lb_kube_watch_page(struct lb_kube_watch *watch, const char *version, const char *more, __u64 now_ms);

/* An event, a bookmark among them, with its object's version. -ENOMEM or 0. */
int lb_kube_watch_event(struct lb_kube_watch *watch, const char *version, __u64 now_ms);

struct lb_kube_ending {
	int status;          /* of HTTP, or of an ERROR event; 0: there was no answer */
	__u32 retry_after_s; /* 0: not said */
	bool silent;         /* we have ended it for its silence */
	bool bad;            /* what it said is not understood */
};

/* The request is over; not for a page that lb_kube_watch_page() was told of. */
void lb_kube_watch_ended(struct lb_kube_watch *watch, const struct lb_kube_ending *ending, __u64 now_ms);

/* How long to wait after so many failures: doubled each time, between half and all of it by chance. */
__u32 lb_kube_backoff_ms(unsigned int failures, __u32 first_ms, __u32 longest_ms, __u64 *random);
