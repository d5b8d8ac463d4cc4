// SPDX-License-Identifier: GPL-2.0-only
/*
 * lb-checkd: options, the loop.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lb-checkd/checkd.h"
#include "version.h"

#define SOCKET_DEFAULT "/run/weir/checkd.sock"
#define EXEC_DEFAULT   "/run/weir-exec/execd.sock"
#define USER_DEFAULT   "weir-check"
#define EVENTS_MAX     512
#define TIMERS_MAX     256 /* in one turn, so that answers are read between them */
#define IDLE_MS        1000

static const char help[] =
	"usage: lb-checkd [--socket PATH] [--exec-socket PATH] [--user NAME]\n"
	"Asks backends whether they work, and tells lbd, which says which there are.\n"
	"\n"
	"  --socket PATH   where lbd listens (" SOCKET_DEFAULT "; checker.socket of weir.json)\n"
	"  --exec-socket PATH\n"
	"                  where lb-execd listens, which runs the commands of exec checks (" EXEC_DEFAULT
	")\n"
	"  --user NAME     if started by root: become this user (" USER_DEFAULT ", if there is one)\n"
	"  --version, --help\n";

void say(const char *format, ...)
{
	char text[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	fprintf(stderr, "lb-checkd: %s\n", text);
}

static int wait_ms(const struct checkd *checkd)
{
	const struct timer *first = heap_first(&checkd->heap);
	const struct timer *target = targets_have_room(checkd) ? heap_first(&checkd->due) : NULL;
	__u64 now = lb_now_ns(), due = first ? first->due_ns : UINT64_MAX;

	if (target && target->due_ns < due)
		due = target->due_ns;
	if (due <= now)
		return 0;
	if (due - now > IDLE_MS * LB_NS_PER_MS)
		return IDLE_MS;
	return (int)((due - now + LB_NS_PER_MS - 1) / LB_NS_PER_MS);
}

/* False: nothing of the heap is due. */
static bool fire_first(struct checkd *checkd, struct heap *heap, __u64 now)
{
	struct timer *timer = heap_first(heap);

	if (!timer || timer->due_ns > now)
		return false;
	if (now - timer->due_ns > checkd->late_ns)
		checkd->late_ns = now - timer->due_ns;
	heap_remove(heap, timer);
	timer->fire(checkd, timer, now);
	return true;
}

static void fire_timers(struct checkd *checkd, __u64 now)
{
	int left = TIMERS_MAX;

	while (left && fire_first(checkd, &checkd->heap, now))
		left--;
	while (left && targets_have_room(checkd) && fire_first(checkd, &checkd->due, now))
		left--;
}

static int run(struct checkd *checkd)
{
	struct epoll_event events[EVENTS_MAX];

	for (;;) {
		int n = epoll_wait(checkd->epoll, events, EVENTS_MAX, wait_ms(checkd));
		__u64 now = lb_now_ns();

		/* Whatever woke us (we were stopped, and go on): what has been answered is read before
		 * deadlines. */
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		for (int i = 0; i < n; i++) {
			struct watch *watch = events[i].data.ptr;

			watch->ready(checkd, watch, events[i].events);
		}
		/* What was answered before a deadline has been read by now, unless there was more than fits:
		 * then deadlines wait for it. */
		if (n < EVENTS_MAX)
			fire_timers(checkd, now);
		probe_http_sweep(checkd);
		link_flush(checkd);
	}
}

#define DESCRIPTORS_SPARE 32 /* for what is no check: the link, libcurl's files */

/* As many descriptors as we may have: each check takes one. Returns how many can be under way at once. */
static size_t raise_limits(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return DESCRIPTORS_SPARE;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > INT32_MAX)
		limit.rlim_cur = (rlim_t)sysconf(_SC_OPEN_MAX);
	return limit.rlim_cur > 2 * DESCRIPTORS_SPARE ? limit.rlim_cur - DESCRIPTORS_SPARE
						      : limit.rlim_cur / 2;
}

static int read_options(int argc, char **argv, struct checkd *checkd, const char **ret_user)
{
	static const struct option options[] = {
		{ "socket", required_argument, NULL, 's' }, { "exec-socket", required_argument, NULL, 'e' },
		{ "user", required_argument, NULL, 'u' },   { "version", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },         { NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (c) {
		case 's':
			checkd->socket_path = optarg;
			break;
		case 'e':
			checkd->exec.path = optarg;
			break;
		case 'u':
			*ret_user = optarg;
			break;
		case 'v':
			printf("lb-checkd %s\n", LB_VERSION);
			return 0;
		case 'h':
			fputs(help, stdout);
			return 0;
		default:
			fputs("usage: lb-checkd [--socket PATH] [--exec-socket PATH] [--user NAME] "
			      "[--version] [--help]\n",
			      stderr);
			return 2;
		}
	}
	if (optind == argc)
		return -1;
	fprintf(stderr, "lb-checkd: takes no arguments: %s\n", argv[optind]);
	return 2;
}

int main(int argc, char **argv)
{
	static struct checkd checkd = { .socket_path = SOCKET_DEFAULT, .exec.path = EXEC_DEFAULT };
	const char *user = USER_DEFAULT;
	int r = read_options(argc, argv, &checkd, &user);

	if (r >= 0)
		return r;
	signal(SIGPIPE, SIG_IGN);
	checkd.pending_max = raise_limits();
	checkd.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (checkd.epoll < 0) {
		say("Failed to make an epoll: %m");
		return 1;
	}
	probe_exec_start(&checkd);
	echo_open(&checkd);
	r = probe_http_start(&checkd);
	if (r == 0)
		r = link_start(&checkd);
	if (r == 0)
		r = sandbox_enter(user);
	if (r == 0) {
		path_start(&checkd);
		r = run(&checkd);
	}
	say("Failed to run: %s", strerror(-r));
	return 1;
}
