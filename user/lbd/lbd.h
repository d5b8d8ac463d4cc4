/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The agent: everything that one running lbd has. One sd-event loop, and tasks that take turns with it
 * (task.h); whatever changes tables goes through state/change.c, in a task. Data alone: what is done with it
 * is declared beside who does it.
 */
#pragma once

#include <linux/limits.h>
#include <linux/types.h>
#include <stdbool.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "engine/engine.h"
#include "intent/schedule.h"
#include "lbd/events.h"
#include "lbd/kernel/attachment.h"
#include "lbd/kernel/grace.h"
#include "lbd/kernel/maps.h"
#include "lbd/kernel/netlink.h"
#include "lbd/kernel/stations_state.h"
#include "lbd/state/drift_state.h"
#include "lbd/state/intent_state.h"
#include "lbd/state/sources_state.h"
#include "lbd/state/store.h"
#include "lbd/stats/stats.h"
#include "lbd/task.h"

#define LBD_CONFIG_DEFAULT "/etc/weir/weir.json"
#define LBD_BPFFS_DEFAULT  "/sys/fs/bpf/weir"
#define LBD_STATE_DEFAULT  "/var/lib/weir"

struct announce;
struct capture;
struct capture_program;
struct drain;
struct cores;
struct explain_program;
struct health;
struct migration;
struct http;
struct observe;
struct path_mtu;
struct redirect;

struct lbd_options {
	const char *config_file;
	const char *bpffs;
	const char *state_directory;
	const char *socket;         /* NULL: as configured */
	const char *socket_group;   /* whose it is besides ours; NULL: the process's group */
	const char *monitor_socket; /* a second one, that only tells; NULL: none */
	const char *prepare;        /* the user to prepare for: do it and exit; NULL: no */
	bool detach;                /* do it and exit */
	bool detach_on_stop;
	bool purge; /* do it and exit */
	bool generic_ok;
	bool chunked_tables;
	bool journal;
	bool debug;
};

/* What is to be running, and where it came from. */
struct desired {
	struct lb_config *config; /* with what sources bring; owned, unless borrowed */
	struct lb_config *file;   /* without that; owned, unless borrowed; NULL: there is no difference */
	char *text; /* as it was given; owned. NULL for what runs: it is in the store, see running_text() */
	bool borrowed; /* config is the running one */
	/* What config is a share of (lb_config_share), the running one: services have changed within. NULL:
	 * it is none. file is borrowed then. */
	struct lb_config *shares;
	size_t length;
	char digest[STORE_DIGEST];
	char file_digest[STORE_DIGEST]; /* of the file when it was last read; empty: never */
	struct lb_words words;          /* the operator's */
};

/* A service whose address the host has as well. */
struct host_taken {
	char service[LB_NAME_MAX];
	int ifindex;
	struct lb_address address;
	__u8 pad[3];
};

struct sweeper {
	sd_event_source *timer;
	size_t work;         /* units for the next tick */
	__u64 spent_ns;      /* processor time of the last second's ticks */
	__u64 second;        /* that spent_ns is of */
	__u64 last_spent_ns; /* of the second before */
	__u64 ticks;
};

/* By then an answer has gone out, and what the engine had to say for it is forgotten. */
#define TRIM_S 2u

struct lbd {
	struct lbd_options options;
	sd_event *event;
	__u64 started_ms;
	struct tasks *tasks;
	struct {
		struct task start, reload, wanted, links, verify, capture, grace, stations, drains, trim;
	} task;
	const char *starting; /* what is done before the first commit, to be told; NULL: it has been made */
	int start_result;     /* 0 or -errno, with start_error */
	struct lb_error start_error;
	struct events events;
	struct store store;
	struct maps maps;
	struct migration *migration; /* tables are taking over from others, or just did; NULL: no */
	struct netlink netlink;

	int program_fd;                      /* what is, or would be, attached; -1: not yet loaded */
	char program_digest[PROGRAM_DIGEST]; /* of what it is made */
	bool several_interfaces;             /* what packets come in by */
	struct attachment *attachments;      /* one for each configured interface, in order */
	size_t n_attachments;
	struct capture *capture; /* NULL: none runs */
	/* What captures have to do with the program of the interfaces (interfaces.c asks, capture.c knows).
	 */
	const struct capture_program *(*capture_program)(struct lbd *lbd); /* to be run instead; NULL: none */
	void (*capture_stop)(struct lbd *lbd, const char *why); /* before the program is another one */
	struct explain_program *explain;                        /* NULL: not yet asked for */
	struct health *health;                                  /* checks and what follows; NULL: not yet */
	struct path_mtu *path_mtu;                              /* what routers tell; NULL: not yet */
	struct redirect *redirect; /* what counts redirected packets; NULL: not yet */
	struct cores *cores;       /* how packets are spread over CPUs; NULL: not yet */
	struct observe *observe;   /* NULL: not yet */
	__u64 attach_retry_ms;     /* when to try again what is not attached; 0: nothing to try */
	void (*links_changed)(struct lbd *lbd); /* told after attachments were looked at; NULL: nobody */

	struct lb_engine_hooks hooks;
	struct grace grace;
	struct lb_engine *engine;
	struct lb_nexthop_map nexthops; /* that the last plan was given */
	const struct lb_config
		*nexthops_of;              /* configuration that they were taken for, to be compared alone */
	__u64 planned_ports[LB_PORTS_MAX]; /* lb_port() by port, as the plan has them; opened by its commit
					    */
	struct desired running;
	struct lbd_intent intent;
	struct lbd_sources sources;
	struct lbd_drift drift;
	__u64 taken_over; /* so many times what runs became another one */
	struct {
		__u64 generation, taken_over; /* that sum is of; generation 0: of none */
		__u64 sum;
	} rings;                            /* one digest of all of them (api/rings.h) */
	char recorded_config[STORE_DIGEST]; /* of the newest record */
	__u64 recorded_generation;
	enum record_kind recorded_kind;
	__u64 recorded_rollback_to;
	char recorded_cause[RECORD_CAUSE_MAX];

	sd_event_source *wanted;       /* timer: a plan is due for what changed by itself */
	struct lb_schedule schedule;   /* when */
	bool routes_stale;             /* all of them are to be asked for */
	bool nexthops_stale;           /* some next hop may be another one, whatever the routes are */
	struct host_taken *host_taken; /* that were told of; owned */
	size_t n_host_taken;
	struct stations stations; /* whose frames are ours */
	size_t n_unresolved;      /* backends without next hop, as of the last commit */

	struct announce *announce; /* NULL: not yet */
	struct sweeper sweeper;
	struct drain *drains; /* backends that are draining; NULL: none */
	struct http *api, *metrics, *monitor;
	char socket_path[PATH_MAX];
	dev_t socket_device; /* of what was bound at socket_path */
	ino_t socket_inode;
	sd_event_source *verify; /* timer: are links, pins and sockets as they were left? */
	__u64 verified;          /* so many times */
	bool socket_lost;        /* somebody else's is there */
	struct {
		__u64 links, pins, sockets; /* that were not as they had been left */
	} repairs;
	char pins_error[512];     /* what packets would not outlive the agent for; empty: they would */
	char metrics_address[64]; /* that metrics listens on; empty: on none */
	char metrics_error[512];  /* why it does not listen as configured; empty: it does */
	unsigned int trim_s;      /* something large is over: give its memory back to the system in so many
				     seconds; 0: no */
	struct {
		__s64 time_s, success_s; /* wall clock; 0: not yet */
		bool ok;                 /* the last time */
	} reloaded;                      /* the configuration file */
	__u64 scrapes_refused;
	bool sizes_pending; /* tables are not yet as limits say: a start could not have them so */
	bool degraded;      /* the configuration file was bad or missing: what ran before is running */
};

extern const char lbd_version[];
