// SPDX-License-Identifier: GPL-2.0-only
/*
 * lbd: options, signals, the loop.
 */
#include <errno.h>
#include <getopt.h>
#include <linux/capability.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <systemd/sd-daemon.h>

#include "lbd/kernel/flat_tables.h"
#include "base/nearest.h"
#include "lbd/lbd.h"
#include "lbd/life.h"
#include "lbd/purge.h"
#include "lbd/log.h"
#include "lbd/prepare.h"

enum {
	OPTION_BPFFS = 256,
	OPTION_STATE_DIR,
	OPTION_SOCKET,
	OPTION_SOCKET_GROUP,
	OPTION_MONITOR_SOCKET,
	OPTION_PREPARE,
	OPTION_DETACH,
	OPTION_DETACH_ON_STOP,
	OPTION_PURGE,
	OPTION_GENERIC_OK,
	OPTION_CHUNKED_TABLES,
	OPTION_JOURNAL,
	OPTION_DEBUG,
	OPTION_VERSION,
};

#define MAPPED_BYTES (1 << 20)  /* an allocation of so much has a mapping of its own */
#define HELD_BYTES   (32 << 20) /* of what is smaller, the heap keeps so much until it is trimmed (TRIM_S) */

static const struct option long_options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "bpffs", required_argument, NULL, OPTION_BPFFS },
	{ "state-dir", required_argument, NULL, OPTION_STATE_DIR },
	{ "socket", required_argument, NULL, OPTION_SOCKET },
	{ "socket-group", required_argument, NULL, OPTION_SOCKET_GROUP },
	{ "monitor-socket", required_argument, NULL, OPTION_MONITOR_SOCKET },
	{ "prepare", required_argument, NULL, OPTION_PREPARE },
	{ "detach", no_argument, NULL, OPTION_DETACH },
	{ "detach-on-stop", no_argument, NULL, OPTION_DETACH_ON_STOP },
	{ "purge", no_argument, NULL, OPTION_PURGE },
	{ "generic-ok", no_argument, NULL, OPTION_GENERIC_OK },
	{ "chunked-tables", no_argument, NULL, OPTION_CHUNKED_TABLES },
	{ "journal", no_argument, NULL, OPTION_JOURNAL },
	{ "debug", no_argument, NULL, OPTION_DEBUG },
	{ "version", no_argument, NULL, OPTION_VERSION },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static const char help[] =
	"usage: lbd [-c FILE] [OPTION...]\n"
	"Runs the packet path and keeps it as configured. SIGHUP reads the file again; SIGTERM stops the "
	"agent, not\n"
	"the packet path.\n"
	"\n"
	"  -c, --config FILE   configuration (" LBD_CONFIG_DEFAULT ")\n"
	"  --bpffs DIR         where maps and links are pinned, on a bpf file system (" LBD_BPFFS_DEFAULT
	")\n"
	"  --state-dir DIR     where generations are kept (" LBD_STATE_DEFAULT ")\n"
	"  --socket PATH       UNIX socket of the API (as configured: api.socket)\n"
	"  --socket-group NAME the group whose members may use it\n"
	"  --monitor-socket PATH\n"
	"                      a second socket, for everybody, that only tells: status, statistics, metrics\n"
	"  --prepare USER      as root: mount a bpf file system if there is none, give --bpffs to the user, "
	"and "
	"exit\n"
	"  --detach            take the packet path off all interfaces, remove its pins in --bpffs, and "
	"exit\n"
	"  --detach-on-stop    do that when stopped by SIGTERM or SIGINT\n"
	"  --purge             do that, withdraw announced routes, remove what is in --state-dir, and exit\n"
	"  --generic-ok        use generic XDP where a driver has no native XDP\n"
	"  --chunked-tables    make the tables as for kernels before 6.8 (some ns a packet slower)\n"
	"  --journal           prefix lines with their level for the journal\n"
	"  --debug             say more\n"
	"  --version, --help\n";

static int usage(const char *text, const char *value)
{
	if (text)
		fprintf(stderr, "lbd: %s%s\n", text, value ? value : "");
	fprintf(stderr,
		"usage: lbd [-c FILE] [--bpffs DIR] [--state-dir DIR] [--socket PATH]\n"
		"           [--socket-group NAME] [--monitor-socket PATH] [--prepare USER | --detach | "
		"--detach-on-stop | --purge]\n           [--generic-ok] [--chunked-tables] [--journal] "
		"[--debug] [--version] [--help]\n");
	return 2;
}

/* getopt has complained; the nearest right spelling beside. */
static int wrong_option(const char *text)
{
	const char *names[sizeof(long_options) / sizeof(long_options[0])] = {}, *nearest = NULL;
	char word[64];

	for (size_t i = 0; long_options[i].name; i++)
		names[i] = long_options[i].name;
	/* Of an option that there is, the value is missing, or too much. */
	if (!optopt && sscanf(text, "--%63[^=]", word) == 1)
		nearest = lb_nearest(word, names);
	if (nearest)
		fprintf(stderr, "lbd: did you mean --%s?\n", nearest);
	return usage(NULL, NULL);
}

/* -1: go on; otherwise the exit status. */
static int parse_options(int argc, char **argv, struct lbd_options *options)
{
	int option;

	*options = (struct lbd_options){
		.config_file = LBD_CONFIG_DEFAULT,
		.bpffs = LBD_BPFFS_DEFAULT,
		.state_directory = LBD_STATE_DEFAULT,
	};
	while ((option = getopt_long(argc, argv, "c:h", long_options, NULL)) != -1) {
		switch (option) {
		case 'c':
			options->config_file = optarg;
			break;
		case OPTION_BPFFS:
			options->bpffs = optarg;
			break;
		case OPTION_STATE_DIR:
			options->state_directory = optarg;
			break;
		case OPTION_SOCKET:
			options->socket = optarg;
			break;
		case OPTION_SOCKET_GROUP:
			options->socket_group = optarg;
			break;
		case OPTION_MONITOR_SOCKET:
			options->monitor_socket = optarg;
			break;
		case OPTION_PREPARE:
			options->prepare = optarg;
			break;
		case OPTION_DETACH:
			options->detach = true;
			break;
		case OPTION_PURGE:
			options->purge = true;
			break;
		case OPTION_DETACH_ON_STOP:
			options->detach_on_stop = true;
			break;
		case OPTION_GENERIC_OK:
			options->generic_ok = true;
			break;
		case OPTION_CHUNKED_TABLES:
			options->chunked_tables = true;
			break;
		case OPTION_JOURNAL:
			options->journal = true;
			break;
		case OPTION_DEBUG:
			options->debug = true;
			break;
		case OPTION_VERSION:
			printf("lbd %s\n", lbd_version);
			return 0;
		case 'h':
			fputs(help, stdout);
			return 0;
		default:
			return wrong_option(argv[optind - 1]);
		}
	}
	if (optind < argc)
		return usage("what is this: ", argv[optind]);
	return -1;
}

static int on_stop(sd_event_source *source, const struct signalfd_siginfo *info, void *context)
{
	sd_event *event = sd_event_source_get_event(source);

	log_info("event=signal signal=%u pid=%u", info->ssi_signo, info->ssi_pid);
	return sd_event_exit(event, 0);
}

static int on_reload(sd_event_source *source, const struct signalfd_siginfo *info, void *context)
{
	lbd_reload(context);
	return 0;
}

static int watch_signals(struct lbd *lbd)
{
	sigset_t signals;
	int r;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &signals, NULL) < 0)
		return -errno;
	signal(SIGPIPE, SIG_IGN);
	r = sd_event_add_signal(lbd->event, NULL, SIGTERM, on_stop, lbd);
	if (r >= 0)
		r = sd_event_add_signal(lbd->event, NULL, SIGINT, on_stop, lbd);
	if (r >= 0)
		r = sd_event_add_signal(lbd->event, NULL, SIGHUP, on_reload, lbd);
	if (r >= 0)
		r = sd_event_set_watchdog(lbd->event, true);
	return r;
}

/* The capabilities that a program would have from us, should one be started. */
static void drop_inheritable(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &header, data) < 0)
		return;
	for (size_t i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
		data[i].inheritable = 0;
	(void)syscall(SYS_capset, &header, data);
}

static void say(const struct lb_error *error)
{
	log_error("%s%s%s%s%s", error->text, error->path[0] ? " at " : "", error->path,
		  error->value[0] ? " value=" : "", error->value);
}

static int run(struct lbd *lbd)
{
	struct lb_error error = {};
	int r = sd_event_new(&lbd->event);

	if (r >= 0)
		r = watch_signals(lbd);
	if (r < 0) {
		log_error("Failed to make the event loop: %s", strerror(-r));
		return r;
	}
	r = lbd_start(lbd, &error);
	if (r < 0) {
		say(&error);
		return r;
	}
	r = sd_event_loop(lbd->event);
	sd_notify(0, "STOPPING=1");
	if (r < 0)
		log_error("Failed in the event loop: %s", strerror(-r));
	if (lbd->start_result < 0) {
		say(&lbd->start_error);
		return lbd->start_result;
	}
	return r;
}

int main(int argc, char **argv)
{
	static struct lbd lbd;
	struct lb_error error = {};
	int r = parse_options(argc, argv, &lbd.options);
	bool started;

	if (r >= 0)
		return r;
	/* A heap for the loop and one for tasks: while a task reads a large configuration beside the loop,
	 * its lock has no rest, and the loop waited 30 ms for a few bytes (bench-control). What is large is
	 * mapped by itself, always: it grows without being copied, and goes at once. */
	(void)mallopt(M_ARENA_MAX, 2);
	(void)mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES);
	(void)mallopt(M_TRIM_THRESHOLD, HELD_BYTES);
	log_open(lbd.options.journal, lbd.options.debug);
	maps_messages_open();
	r = lb_flat_install();
	if (r < 0) {
		log_error("Failed to register with libbpf: %s", strerror(-r));
		return 1;
	}
	/* What a service manager gave us is ours alone: nothing that is started from here has it. */
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	drop_inheritable();
	if (lbd.options.detach || lbd.options.purge || lbd.options.prepare) {
		r = lbd.options.purge    ? lbd_purge(&lbd.options, &error)
		    : lbd.options.detach ? lbd_detach(&lbd.options, &error)
					 : prepare(lbd.options.bpffs, lbd.options.config_file,
						   lbd.options.prepare, &error);
		if (r < 0)
			say(&error);
		return r < 0 ? 1 : 0;
	}
	r = run(&lbd);
	started = r >= 0;
	lbd_stop(&lbd, started && lbd.options.detach_on_stop);
	sd_event_unref(lbd.event);
	return started ? 0 : 1;
}
