// SPDX-License-Identifier: GPL-2.0-only
/*
 * lb-execd: options, what it gives up, who may ask, the loop.
 */
#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lb-execd/execd.h"
#include "version.h"

#define SOCKET_DEFAULT "/run/weir-exec/execd.sock"
#define LIST_DEFAULT   "/etc/weir/commands"
#define USER_DEFAULT   "weir-exec"
#define ASKER_DEFAULT  "weir-check"

static const char help[] =
	"usage: lb-execd [--socket PATH] [--commands FILE] [--user NAME] [--asker NAME]\n"
	"Runs commands for lb-checkd, which checks backends by them: those that root's list names, and no "
	"others.\n"
	"\n"
	"  --socket PATH    where lb-checkd asks (" SOCKET_DEFAULT ")\n"
	"  --commands FILE  the list, an absolute path a line; root's, and written by nobody else "
	"(" LIST_DEFAULT ")\n"
	"  --user NAME      if started by root: become this user, who has to be there (" USER_DEFAULT ")\n"
	"  --asker NAME     user that may ask, beside root (" ASKER_DEFAULT ", if there is one)\n"
	"  --version, --help\n";

struct options {
	const char *socket, *user, *asker;
};

void say(const char *format, ...)
{
	char text[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	fprintf(stderr, "lb-execd: %s\n", text);
}

/* --- who asks --------------------------------------------------------------------------------------------
 */

static void lose(struct execd *execd, size_t client)
{
	if (execd->clients[client] < 0)
		return;
	close(execd->clients[client]);
	execd->clients[client] = -1;
	runs_forget(execd, client);
}

void answer(struct execd *execd, size_t client, __u64 number, enum lb_outcome outcome, __u32 detail)
{
	const struct lb_exec_answer message = { number, (__u32)outcome, detail };

	/* Who does not read has room for more answers than commands run: it is no longer there. */
	if (execd->clients[client] >= 0 &&
	    send(execd->clients[client], &message, sizeof(message), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		lose(execd, client);
}

/* The user is looked up when a stranger comes: a dynamic user (systemd) is there only while its unit runs. */
static bool may_ask(const struct execd *execd, int fd)
{
	struct ucred peer;
	socklen_t length = sizeof(peer);
	const struct passwd *asker;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0)
		return false;
	if (peer.uid == 0 || peer.uid == geteuid())
		return true;
	asker = getpwnam(execd->asker);
	return asker && asker->pw_uid == peer.uid;
}

static void take_client(struct execd *execd)
{
	int fd = accept4(execd->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	for (size_t i = 0; may_ask(execd, fd) && i < CLIENTS_MAX; i++) {
		if (execd->clients[i] >= 0)
			continue;
		execd->clients[i] = fd;
		return;
	}
	close(fd);
}

static void take_request(struct execd *execd, size_t client)
{
	struct lb_exec_request request;
	ssize_t n = recv(execd->clients[client], &request, sizeof(request), MSG_TRUNC);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n != sizeof(request) || !memchr(request.command, 0, sizeof(request.command)) ||
	    request.port > 65535 ||
	    (request.address.family != LB_FAMILY_V4 && request.address.family != LB_FAMILY_V6)) {
		lose(execd, client);
		return;
	}
	run_start(execd, client, &request);
}

/* --- the loop --------------------------------------------------------------------------------------------
 */

struct polled {
	struct pollfd fds[2 + CLIENTS_MAX + LB_EXEC_AT_ONCE];
};

/* poll() passes over what is -1. */
static void fill(const struct execd *execd, struct polled *polled)
{
	polled->fds[0] = (struct pollfd){ .fd = execd->listener, .events = POLLIN };
	polled->fds[1] = (struct pollfd){ .fd = execd->signals, .events = POLLIN };
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		polled->fds[2 + i] = (struct pollfd){ .fd = execd->clients[i], .events = POLLIN };
	for (size_t i = 0; i < LB_EXEC_AT_ONCE; i++)
		polled->fds[2 + CLIENTS_MAX + i] =
			(struct pollfd){ .fd = execd->runs[i].pid ? execd->runs[i].output : -1,
					 .events = POLLIN };
}

/* False: it is told to end. What runs ends with it, what has left its session perhaps with the unit alone. */
static bool take_signals(struct execd *execd)
{
	struct signalfd_siginfo info;
	bool go_on = true;

	while (read(execd->signals, &info, sizeof(info)) == sizeof(info))
		go_on &= info.ssi_signo == SIGCHLD;
	for (size_t i = 0; !go_on && i < CLIENTS_MAX; i++)
		lose(execd, i);
	runs_reap(execd);
	return go_on;
}

static int run(struct execd *execd)
{
	struct polled polled;

	for (;;) {
		fill(execd, &polled);
		if (poll(polled.fds, sizeof(polled.fds) / sizeof(polled.fds[0]), runs_wait_ms(execd)) < 0 &&
		    errno != EINTR)
			return -errno;
		/* Output first: who has ended may have written too much. What a client does changes others'
		 * places last. */
		for (size_t i = 0; i < LB_EXEC_AT_ONCE; i++)
			if (polled.fds[2 + CLIENTS_MAX + i].revents)
				run_read(execd, &execd->runs[i]);
		if (polled.fds[1].revents && !take_signals(execd))
			return 0;
		runs_expire(execd, lb_now_ns());
		for (size_t i = 0; i < CLIENTS_MAX; i++)
			if (polled.fds[2 + i].revents && execd->clients[i] >= 0)
				take_request(execd, i);
		if (polled.fds[0].revents)
			take_client(execd);
	}
}

/* --- starting --------------------------------------------------------------------------------------------
 */

static int listen_at(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || strlen(path) >= sizeof(address.sun_path))
		return fd < 0 ? -errno : -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	unlink(path);
	/* Who may ask is told by who connects. */
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || chmod(path, 0666) < 0 ||
	    listen(fd, 4) < 0)
		return -errno;
	return fd;
}

/* Never as root: commands are other people's. */
static int drop_user(const char *name)
{
	const struct passwd *user;

	if (geteuid() != 0)
		return 0;
	user = getpwnam(name);
	if (!user || user->pw_uid == 0) {
		say("there is no user %s to run commands as, and root is none: give --user", name);
		return -ESRCH;
	}
	return setgroups(0, NULL) < 0 || setgid(user->pw_gid) < 0 || setuid(user->pw_uid) < 0 ? -errno : 0;
}

static int watch_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		return -errno;
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* For whatever commands do. */
static void bound_resources(void)
{
	static const struct {
		int what;
		rlim_t most;
	} limits[] = {
		{ RLIMIT_CORE, 0 }, { RLIMIT_NPROC, 512 }, { RLIMIT_NOFILE, 1024 }, { RLIMIT_FSIZE, 1 << 20 }
	};

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
		setrlimit((__rlimit_resource_t)limits[i].what,
			  &(struct rlimit){ limits[i].most, limits[i].most });
}

static int begin(struct execd *execd, const struct options *options)
{
	int r;

	execd->asker = options->asker;
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		execd->clients[i] = -1;
	for (size_t i = 0; i < LB_EXEC_AT_ONCE; i++)
		execd->runs[i].output = -1;
	execd->listener = listen_at(options->socket);
	if (execd->listener < 0)
		return execd->listener;
	r = drop_user(options->user);
	if (r == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		r = -errno;
	if (r < 0)
		return r;
	bound_resources();
	execd->signals = watch_signals();
	return execd->signals < 0 ? execd->signals : 0;
}

/* -1: go on; else the status to end with. */
static int read_options(int argc, char **argv, struct execd *execd, struct options *ret)
{
	static const struct option options[] = {
		{ "socket", required_argument, NULL, 's' },
		{ "commands", required_argument, NULL, 'c' },
		{ "user", required_argument, NULL, 'u' },
		{ "asker", required_argument, NULL, 'a' },
		{ "version", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (c) {
		case 's':
			ret->socket = optarg;
			break;
		case 'c':
			execd->list = optarg;
			break;
		case 'u':
			ret->user = optarg;
			break;
		case 'a':
			ret->asker = optarg;
			break;
		case 'v':
			printf("lb-execd %s\n", LB_VERSION);
			return 0;
		case 'h':
			fputs(help, stdout);
			return 0;
		default:
			fputs("lb-execd --help tells what it takes\n", stderr);
			return 2;
		}
	}
	if (optind == argc)
		return -1;
	fprintf(stderr, "lb-execd: takes no arguments: %s\n", argv[optind]);
	return 2;
}

int main(int argc, char **argv)
{
	static struct execd execd = { .list = LIST_DEFAULT };
	struct options options = { SOCKET_DEFAULT, USER_DEFAULT, ASKER_DEFAULT };
	int r = read_options(argc, argv, &execd, &options);

	if (r >= 0)
		return r;
	signal(SIGPIPE, SIG_IGN);
	r = begin(&execd, &options);
	if (r == 0) {
		say("ready socket=%s commands=%s", options.socket, execd.list);
		r = run(&execd);
	}
	if (r == 0)
		return 0;
	say("Failed to run: %s", strerror(-r));
	return 1;
}
