/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The agent: everything that one running lbd has. One thread, one sd-event loop; whatever changes tables goes
 * through change.c.
 */
#pragma once

#include <linux/limits.h>
#include <linux/types.h>
#include <stdbool.h>
#include <systemd/sd-event.h>

#include "lbd/kernel/attach.h"
#include "engine/engine.h"
#include "lbd/events.h"
#include "lbd/api/json.h"
#include "lbd/kernel/maps.h"
#include "lbd/kernel/netlink.h"
#include "lbd/stats/stats.h"
#include "lbd/state/store.h"

#define LBD_CONFIG_DEFAULT "/etc/weir/weir.json"
#define LBD_BPFFS_DEFAULT  "/sys/fs/bpf/weir"
#define LBD_STATE_DEFAULT  "/var/lib/weir"

struct capture;
struct http;
struct redirect;

struct lbd_options {
	const char *config_file;
	const char *bpffs;
	const char *state_directory;
	const char *socket; /* NULL: as configured */
	bool detach;        /* do it and exit */
	bool detach_on_stop;
	bool generic_ok;
	bool chunked_tables;
	bool journal;
	bool debug;
};

/* What is to be running, and where it came from. */
struct desired {
	struct lb_config *config; /* owned, unless borrowed */
	char *text; /* as it was given; owned. NULL for what runs: it is in the store, see running_text() */
	bool borrowed; /* config is the running one */
	size_t length;
	char digest[STORE_DIGEST];
	char file_digest[STORE_DIGEST]; /* of the file when it was last read; empty: never */
	struct lb_override *overrides;  /* owned */
	size_t n_overrides;
};

void desired_done(struct desired *desired);

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
	struct events events;
	struct store store;
	struct maps maps;
	struct netlink netlink;

	int program_fd;                      /* what is, or would be, attached; -1: not yet loaded */
	char program_digest[PROGRAM_DIGEST]; /* of what it is made */
	bool several_interfaces;             /* what packets come in by */
	struct attachment *attachments;      /* one for each configured interface, in order */
	size_t n_attachments;
	struct capture *capture;   /* NULL: none runs */
	struct redirect *redirect; /* what counts redirected packets; NULL: not yet */
	__u64 attach_retry_ms;     /* when to try again what is not attached; 0: nothing to try */

	struct lb_engine_hooks hooks;
	int grace_inner, grace_outer; /* maps, where membarrier is refused; 0: not made */
	struct lb_engine *engine;
	const struct lb_config *planning; /* whose next hops the engine asks for */
	struct desired running;
	char recorded_config[STORE_DIGEST]; /* of the newest record */
	__u64 recorded_generation;

	sd_event_source *replan; /* timer: next hops changed */
	__u64 replan_due_ms;     /* 0: none is due */
	__u64 replan_cost_ms;    /* of the last one */
	bool routes_stale;
	size_t n_unresolved; /* backends without next hop, as of the last commit */

	struct sweeper sweeper;
	struct stats_carry carry;
	struct http *api, *metrics;
	char socket_path[PATH_MAX];
	char metrics_address[64]; /* that metrics listens on; empty: on none */
	char metrics_error[512];  /* why it does not listen as configured; empty: it does */
	const char *crash_at;     /* tests: die at this step of a commit */
	unsigned int trim_s;      /* something large is over: give its memory back to the system in so many
				     seconds; 0: no */
	bool degraded;            /* the configuration file was bad or missing: what ran before is running */
};

extern const char lbd_version[];

/* --- lbd.c -----------------------------------------------------------------------------------------------
 */

/* Starts everything: 0 when packets flow, or -errno with *error. lbd must be zeroed, options set. */
int lbd_start(struct lbd *lbd, struct lb_error *error);

/* Reads the configuration file again and makes it run (SIGHUP). Errors are logged; the old one stays. */
void lbd_reload(struct lbd *lbd);

/* Stops; packets go on unless detach. Frees everything. */
void lbd_stop(struct lbd *lbd, bool detach);

/* lbd --detach: takes the packet path off the machine. */
int lbd_detach(const struct lbd_options *options, struct lb_error *error);

/* Kills the process where LBD_CRASH_AT_STEP says so: how tests prove that every step is safe. */
void lbd_step(void *lbd, const char *step);

/* --- sweeper.c -------------------------------------------------------------------------------------------
 */

int sweeper_start(struct lbd *lbd);
void sweeper_stop(struct lbd *lbd);

/* --- nexthops.c: between netlink and the engine
 * ---------------------------------------------------------------
 */

void nexthops_init(struct lbd *lbd); /* fills lbd->hooks */

/* Netlink says that something changed. */
void nexthops_changed(void *lbd, int mask);

/* After a commit: ports of interfaces that are gone are free again. */
void nexthops_sweep_ports(struct lbd *lbd);

/* Counts backends without next hop and tells of changes. */
void nexthops_report(struct lbd *lbd);

/* --- interfaces.c -----------------------------------------------------------------------------------------
 */

/* Every configured interface exists: -ENODEV and the place of the first that does not. */
int interfaces_check(const struct lbd *lbd, const struct lb_config *config, struct lb_error *error);

/*
 * Attaches to the interfaces of a configuration, with a program made for their number. Interfaces that are
 * missing are waited for. An interface that refuses is an error: what this call attached is undone.
 */
int interfaces_attach(struct lbd *lbd, const struct lb_config *config, struct lb_error *error);

__u64 now_ms(void); /* CLOCK_MONOTONIC */

/* The program for the interfaces as they are, loaded if need be: lbd->program_fd, or -errno. */
int interfaces_program(struct lbd *lbd, struct lb_error *error);

/* Detaches from interfaces that the configuration does not name, and has the others as it wants them. */
void interfaces_trim(struct lbd *lbd, const struct lb_config *config);

/*
 * Whether the programs are to be loaded for frames in several buffers (program_load): no interface is shared
 * through the dispatcher, or is to be.
 */
bool interfaces_frags(const struct lbd *lbd);

/* Brings the interfaces that are attached to the program that is wanted of them now (capture.h). */
int interfaces_reprogram(struct lbd *lbd, struct lb_error *error);

/* Links came or went: attaches to what came back, notes what is gone. */
void interfaces_update(struct lbd *lbd);
void interfaces_close(struct lbd *lbd);
