/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * lb-checkd: asks targets whether they work, and tells lbd. One thread, one epoll loop; nothing here decides
 * what becomes of a backend. It runs without privilege and talks to strangers, so every answer is bounded in
 * time and bytes.
 */
#pragma once

#include <linux/limits.h>
#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/clock.h"
#include "health/check.h"
#include "health/exec_message.h"
#include "health/message.h"
#include "lb/check.h"

struct checkd;
struct probe;

/* Something that is due at a time; lives in the heap. */
struct timer {
	__u64 due_ns;
	size_t at; /* place in the heap; SIZE_MAX: not in it */
	void (*fire)(struct checkd *checkd, struct timer *timer, __u64 now_ns);
};

struct heap {
	struct timer **timers;
	size_t n, room;
};

/* 0 or -ENOMEM. A timer that is in the heap is moved. */
int heap_set(struct heap *heap, struct timer *timer, __u64 due_ns);
void heap_remove(struct heap *heap, struct timer *timer);
struct timer *heap_first(const struct heap *heap); /* NULL: none */

/* Something that epoll reports on. */
struct watch {
	void (*ready)(struct checkd *checkd, struct watch *watch, __u32 events);
};

struct target {
	struct timer timer;
	__u32 id, generation;
	bool gone; /* freed when its last probe has ended */
	struct lb_check check;
	struct lb_check_timing timing;
	struct lb_config_check config;
	__u32 mark; /* 0: not through the packet path */
	struct lb_address source;
};

/* One check under way. How it goes is the business of its kind. */
struct probe {
	struct timer timer; /* its deadline */
	struct watch watch;
	struct target *target;
	__u64 begin_ns;
	int fd;      /* -1: none */
	__u32 place; /* of its source port in lb_check_ports, + 1; 0: none */
	bool asked;
	size_t n_answer;
	char *answer;     /* what has been read of it; NULL: nothing is wanted */
	void *http;       /* probe_http.c */
	__u32 exec_place; /* in struct exec, + 1; 0: none */
	struct probe *next_free;
};

/* Checks through the packet path: path.c. */
struct path {
	__u64 *ports; /* lb_check_ports of lb/check.h; NULL: not given */
	__u64 used[LB_CHECK_PLACES / 64];
	__u32 n_used[4];   /* of each family and protocol */
	__u32 first, last; /* ports */
	__u32 next[4];
	bool may_mark;
};

/* Echo requests through the packet path: echo.c. By family, IPv4 first. */
struct echoes {
	int fd[2]; /* -1: none may be made */
	struct watch watch[2];
	__u32 mark[2]; /* that it has */
	__u32 next[2]; /* identifier */
	struct echo *waiting[2][LB_CHECK_ECHOES];
	__u64 number; /* of the last one, a random one before the first */
};

/* Checks by commands: probe_exec.c. */
struct exec {
	const char *path; /* where lb-execd listens */
	int fd;           /* -1: not connected */
	struct watch watch;
	struct exec_waiting {
		struct probe *probe; /* NULL: free */
		__u64 number;        /* of the request, by which an answer finds it */
	} waiting[LB_EXEC_AT_ONCE];
};

/* Results that wait to be sent; when it is full no check begins. */
#define QUEUE_MAX (1u << 15)

struct checkd {
	const char *socket_path;
	int epoll;
	struct heap heap;        /* of what is due, but for targets */
	struct heap due;         /* of targets: while there is no room for the first, none of them begins */
	struct target **targets; /* by id */
	size_t n_targets, room;
	struct probe *free_probes;
	size_t pending, pending_max; /* checks under way, and how many can be at once */
	__u64 begun;
	__u64 late_ns; /* the longest since it was told */

	int link; /* to lbd; -1: none */
	struct watch link_watch;
	bool link_blocked;
	struct timer link_timer; /* alive, or try again */
	struct lb_message_result *queue;
	size_t queue_first, queue_n;

	void *http; /* probe_http.c */
	struct path path;
	struct echoes echoes;
	struct exec exec;
};

void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* --- link.c: to lbd --------------------------------------------------------------------------------------
 */
int link_start(struct checkd *checkd);
void link_result(struct checkd *checkd, const struct lb_message_result *result);
void link_flush(struct checkd *checkd);

/* --- targets.c -------------------------------------------------------------------------------------------
 */
int target_set(struct checkd *checkd, const struct lb_message_target *message);
void target_remove(struct checkd *checkd, __u32 id);
struct target *target_find(const struct checkd *checkd, __u32 id, __u32 generation); /* NULL: none */
void target_hurry(struct checkd *checkd, __u32 id, __u32 generation);
void targets_clear(struct checkd *checkd);

/* Whether the next that is due can begin: descriptors, ports and the queue of results are never used up. */
bool targets_have_room(const struct checkd *checkd);

/* The end of a probe, which is freed. detail: see lb_message_result. */
void probe_end(struct checkd *checkd, struct probe *probe, enum lb_outcome outcome, __u32 detail);

/* Its deadline, for probes of every kind. */
void probe_expired(struct checkd *checkd, struct timer *timer, __u64 now);

/* --- probe_socket.c, probe_http.c, probe_exec.c: kinds
 * ----------------------------------------------------------------- Begin a probe; it ends by probe_end(),
 * possibly before they return.
 */
void probe_socket_begin(struct checkd *checkd, struct probe *probe);
void probe_http_begin(struct checkd *checkd, struct probe *probe);
int probe_http_start(struct checkd *checkd);
void probe_http_sweep(struct checkd *checkd);                        /* between two turns of the loop */
void probe_http_abandon(struct checkd *checkd, struct probe *probe); /* before it is freed */

void probe_exec_begin(struct checkd *checkd, struct probe *probe);
void probe_exec_start(struct checkd *checkd);
void probe_exec_abandon(struct checkd *checkd, struct probe *probe);

/* --- http_read.c -----------------------------------------------------------------------------------------
 */
void http_read_begin(void); /* before libcurl is called, */
void http_read_end(void);   /* and after it */
int http_read_made(int fd); /* a connection of libcurl's. 0 or -ENOMEM */
bool http_read_too_much(int fd);

/* --- path.c ----------------------------------------------------------------------------------------------
 */
void path_start(struct checkd *checkd);
void path_take(struct checkd *checkd, int fd); /* the map that ports are written down in; closes fd */

/* Makes a socket, not yet connected, one that goes through the packet path. family: AF_*. 0 or -errno. */
int path_dress(struct checkd *checkd, struct probe *probe, int fd, int family, int protocol);
void path_undress(struct checkd *checkd, struct probe *probe);

/* How many can be under way at once, of each family and protocol; and whether there is room for one more. */
__u32 path_room(const struct path *path);
bool path_has_room(const struct path *path, const struct target *target);

/* --- echo.c ----------------------------------------------------------------------------------------------
 */
void echo_open(struct checkd *checkd); /* before sockets for it are refused */
bool echo_possible(const struct checkd *checkd);
void echo_clear(struct checkd *checkd); /* nobody waits for answers any more */
void echo_begin(struct checkd *checkd, const struct target *target, const struct lb_message_echo *message);

/* --- sandbox.c -------------------------------------------------------------------------------------------
 */

/* Drops what lb-checkd does not need. 0 or -errno. */
int sandbox_enter(const char *user);
