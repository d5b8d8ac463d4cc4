/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of health share.
 */
#pragma once

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-event.h>

/* uthash must not exit when memory is short: what could not be added is not there. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>
#include <xxhash.h>

#include "config/config_levels.h"
#include "health/agent.h"
#include "health/host.h"
#include "health/message.h"
#include "health/passive.h"
#include "health/settings.h"
#include "intent/intent.h"
#include "lb/check.h"
#include "base/clock.h"
#include "lbd/health/health.h"
#include "lbd/lbd.h"
#include "lbd/log.h"
#include "lbd/metrics/exposition.h"
#include "net/path_search.h"
#include "observe/tally.h"

struct check_path;
struct health_member;

/* Why a check that is to go through the packet path says nothing, the worst last. */
enum path_trouble {
	LB_PATH_WELL,
	LB_PATH_STRICT,       /* answers are dropped, perhaps */
	LB_PATH_ASTRAY,       /* its packets went another way */
	LB_PATH_MAY_NOT_MARK, /* from here on it is not asked */
	LB_PATH_MISSING,
	LB_PATH_IS_LOCAL,
};

/* One check of one address, for all that ask the same of it. */
struct health_target {
	UT_hash_handle hh; /* by digest */
	__u64 digest;
	__u32 id, generation;
	struct lb_config_check check;
	struct health_member *members;
	bool unsent, removing;
	struct health_target *next_unsent;
	enum lb_outcome last; /* that lb-checkd said, with what more it said */
	__u32 detail;
	__u64 last_ns, duration_ns;
	struct lb_agent_says agent; /* the last that an agent said; percent 100 for other kinds */
	__u64 outcomes[LB_OUTCOME_COUNT];

	/* Where it goes through the packet path (health_path.c). */
	struct lb_check_target entry;
	struct lb_address source;
	bool entered; /* entry is in the kernel's table */
	bool direct;  /* the backend is this host, and asked at its own address */
	bool held;    /* lb-checkd is not to ask it */
	bool strict;  /* rp_filter may drop its answers */
	bool answered;
	enum path_trouble trouble, doubt; /* of how it is asked; of the last result */
};

static inline enum path_trouble path_trouble_of(const struct health_target *target)
{
	return target->trouble ? target->trouble : target->doubt;
}

/* One address of backends, in whatever service. */
struct health_host {
	UT_hash_handle hh; /* by address */
	struct lb_address address;
	struct health_member *members;
	enum lb_host_verdict verdict;
	bool dirty;
	bool had_nexthop, nexthop_lost;
	struct lb_suspect_address suspect;

	/* How large a packet gets through to it (health_mtu.c). */
	struct lb_path_search search;
	__u64 asked_ms; /* an echo request of so many bytes is under way since; 0: none is */
	__u32 asked;
	__u64 doubted_ms; /* when a router last had it searched */
};

/* X(NAME, text): since when a backend has been waiting for its first check. */
#define HEALTH_WAITS(X)                                                                                      \
	X(BEGIN, "since the agent began")                                                                    \
	X(SERVICE, "since its service is checked")                                                           \
	X(ADDED, "since it was added")                                                                       \
	X(CHANGED, "since its address or its check was changed")

enum health_waits {
#define X(name, text) HEALTH_WAITS_##name,
	HEALTH_WAITS(X)
#undef X
};

struct health_member {
	char name[LB_NAME_MAX];
	enum health_waits waits;
	struct health_service *service;
	struct health_target *target; /* NULL: not checked */
	struct health_host *host;
	struct health_member *next_of_target, *next_of_host;
	struct lb_circuit circuit;
	struct lb_circuit_config settings;
	__u32 weight; /* administrative, 0 where it is not active */
	__u8 tier;
	struct lb_passive passive;
	enum lb_passive_state passive_told;
	struct lb_tally_window observed; /* of it, until the last turn */
	bool was_observed;
	struct lb_pool_member said; /* last */
	char reason[LB_WHY_MAX];
	__s64 said_s;
};

struct health_service {
	UT_hash_handle hh; /* by name */
	char name[LB_NAME_MAX];
	__u64 tenant;
	struct lb_pool_config pool;
	struct lb_passive_config passive;
	bool passive_wanted;
	struct lb_pool_summary summary;
	__u64 outcomes[LB_OUTCOME_COUNT]; /* of checks of its backends */
	struct metric_histogram answered; /* how long the good ones took */
	struct health_member *members;
	size_t n_members;
	bool lively; /* a circuit may change by time alone */
	bool dirty;
	struct health_service *next_dirty;
	bool uses_path, vip_is_own;
	enum path_trouble path_trouble; /* that was told of */
};

/* What was known when the agent stopped, of one backend. */
struct health_saved {
	UT_hash_handle hh;
	char key[2 * LB_NAME_MAX + 1]; /* service/backend */
	struct lb_address address;
	__u64 digest;
	enum lb_circuit_state state;
	enum lb_outcome cause;
	bool dead, ejected;
	unsigned int level;
	__u32 share;
	__s64 since_s;
	bool taken; /* by a member */
};

/* What lb-checkd needs room for: health_room.c. */
struct health_room {
	__u64 checks, ports; /* at once, if no backend answers */
	bool too_small;
};

struct health {
	struct lbd *lbd;
	struct health_service *services;
	struct health_target *targets;
	struct health_host *hosts;
	struct health_saved *saved;
	struct health_service *first_dirty;
	struct lb_suspect suspect;
	struct lb_suspect_config suspect_config;
	struct health_target *canary; /* NULL: none is configured */
	struct lb_check canary_state;
	struct health_host *host_turn; /* whose next hop is looked at next */
	struct health_host *mtu_turn;  /* whose MTU */

	struct health_target **by_id;
	size_t room_ids;
	__u32 *free_ids;
	size_t n_free_ids, room_free_ids;
	__u32 next_id, generation;
	struct health_target *first_unsent, **last_unsent;

	char socket_path[sizeof(((struct lb_config_checker *)0)->socket)];
	int listener, link;
	sd_event_source *on_listener, *on_link;
	bool blocked;  /* the link takes no more for now */
	bool building; /* targets are those of another configuration soon */
	__u64 heard_ns;
	bool stale; /* verdicts are of earlier */
	struct lb_message_state checkd;
	struct health_room room;

	struct check_path *path; /* NULL: none is needed, or path_error says why there is none */
	char path_error[512];
	bool path_looked;  /* what an agent before may have left is gone */
	bool path_unsent;  /* lb-checkd is to be given the ports */
	bool may_not_mark; /* lb-checkd says so */
	struct health_service *path_turn, *passive_turn;
	size_t passive_member; /* of that service, whose turn it is */
	__u64 passive_ns;      /* when the last round of passive suspicion began */
	unsigned int passive_round;
	__u64 path_ns;
	int rp_ifindex; /* the last interface that was asked about, when, and the answer */
	__u64 rp_ns;
	bool rp_strict;

	health_judge *judge;
	sd_event_source *tick;
	struct task save, repair;
	bool configured; /* since the agent began */
	bool unsaved;
	__u64 saved_ns;
	__u64 opens, froze;
	__u64 outcomes[LB_OUTCOME_COUNT]; /* of all checks */
};

/* --- health_link.c ---------------------------------------------------------------------------------------
 */
void link_listen(struct health *health); /* where the configuration says, if it does not yet */
void link_close(struct health *health);
void link_watch(struct health *health, __u64 now_ns); /* is lb-checkd alive? */
void link_flush(struct health *health);
void link_queue(struct health *health, struct health_target *target);       /* says what became of it */
void link_hurry(struct health *health, const struct health_target *target); /* it is suspected */
/* Asks for an echo of so many bytes, the tunnel's header not counted. False: not now. */
bool link_echo(struct health *health, const struct health_target *target, __u32 bytes, __u32 timeout_ms);
void link_path(struct health *health); /* gives the ports of checks through the packet path */

/* --- health_members.c ------------------------------------------------------------------------------------
 */
void members_build(struct health *health, const struct lb_config *config);
void members_free(struct health *health);
void target_forget(struct health *health, struct health_target *target); /* its removal has been said */

/* --- health_judge.c --------------------------------------------------------------------------------------
 */
void judge_result(struct health *health, struct health_target *target,
		  const struct lb_message_result *result);
void judge_stale(struct health *health, bool stale);
void judge_tick(struct health *health, __u64 now_ns);
void judge_dirty(struct health *health); /* pools of what has changed, and a plan if need be */
void judge_mark(struct health *health, struct health_service *service);

/* --- health_path.c ---------------------------------------------------------------------------------------
 */
/* A sentence; empty: none. Static. */
const char *path_trouble_text(enum path_trouble trouble);

/* After a commit, with the targets as they are then. In a task: the kernel is waited for. */
void path_configure(struct health *health);

/* How each target is asked now, by what is known: nothing waits. */
void path_settle(struct health *health);

/* Looks at some of them again: addresses and next hops change without a commit, and others take rules away.
 */
void path_tick(struct health *health, __u64 now_ns);

/* Before a target is gone. */
void path_forget(struct health *health, struct health_target *target);

/* Takes away what the kernel has. */
void path_close(struct health *health);

/* What a result says, with regard to the way that the check's packets took. */
enum lb_outcome path_judge(const struct health *health, struct health_target *target,
			   const struct lb_result *result);

/* --- health_canary.c -------------------------------------------------------------------------------------
 */
bool canary_check(const struct lb_config_checker *checker, struct lb_config_check *ret_check);
void canary_set(struct health *health, struct health_target *target); /* NULL: there is none */
bool canary_result(struct health *health, const struct lb_result *result);
bool canary_fails(const struct health *health);
void hosts_tick(struct health *health);

/* --- health_mtu.c ----------------------------------------------------------------------------------------
 */
void mtu_tick(struct health *health);
void mtu_result(struct health *health, struct health_target *target, const struct lb_message_result *result);

/* --- health_passive.c ------------------------------------------------------------------------------------
 */
void passive_tick(struct health *health, __u64 now_ns);

/* --- health_room.c ---------------------------------------------------------------------------------------
 */
void room_judge(struct health *health); /* after targets, or what lb-checkd can, have changed */

/* --- health_saved.c --------------------------------------------------------------------------------------
 */
void saved_read(struct health *health);
void saved_write(struct health *health); /* in a task; beside the loop but for the reading */
bool saved_restore(struct health *health, struct health_member *member, __u64 now_ns);
void saved_take_back(struct health *health); /* what was said of backends that are checked no more */
void saved_forget(struct health *health);    /* nobody is checked */
void saved_free(struct health *health);
