/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The configuration as the rest of the program sees it: checked, complete (defaults filled in), in host
 * byte order unless the type says otherwise. Made from JSON by the schema table in schema.c, the one source
 * of validation, defaults, configs/schema.json and weir.json(5).
 */
#pragma once

#include <linux/types.h>
#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "lb/types.h"
#include "base/address.h"
#include "base/error.h"
#include "config/config_health.h"

enum lb_attach { LB_ATTACH_DISPATCHER, LB_ATTACH_EXCLUSIVE };
enum lb_xdp_mode { LB_XDP_NATIVE, LB_XDP_GENERIC };
enum lb_forward { LB_FORWARD_L2, LB_FORWARD_IPIP, LB_FORWARD_GUE };
enum lb_algorithm { LB_ALGORITHM_MAGLEV, LB_ALGORITHM_RING, LB_ALGORITHM_RENDEZVOUS, LB_ALGORITHM_BOUNDED };
enum lb_affinity { LB_AFFINITY_FLOW, LB_AFFINITY_SOURCE, LB_AFFINITY_QUIC };
enum lb_state { LB_STATE_ACTIVE, LB_STATE_DRAIN, LB_STATE_DOWN };
enum lb_announce_by { LB_ANNOUNCE_BY_NONE, LB_ANNOUNCE_BY_ROUTE, LB_ANNOUNCE_BY_NEIGHBOR };
enum lb_leader { LB_LEADER_ELECTED, LB_LEADER_ALWAYS };
enum lb_on_empty { LB_ON_EMPTY_KEEP, LB_ON_EMPTY_WITHDRAW };
enum lb_host_addresses_under { LB_HOST_ADDRESSES_REFUSE, LB_HOST_ADDRESSES_PASS, LB_HOST_ADDRESSES_SERVE };
enum lb_serve_if { LB_SERVE_IF_ANY, LB_SERVE_IF_ALL };
enum lb_fragments { LB_FRAGMENTS_PASS, LB_FRAGMENTS_DROP };

/* What becomes of packets to a VIP that no service takes. */
enum lb_unclaimed {
	LB_UNCLAIMED_NOT_GIVEN, /* as the level above says; at the top: whether the host has the address */
	LB_UNCLAIMED_PASS,
	LB_UNCLAIMED_DROP,
	LB_UNCLAIMED_REJECT,
};

enum lb_no_backend { LB_NO_BACKEND_DROP, LB_NO_BACKEND_REJECT };

struct lb_config_interface {
	char name[IF_NAMESIZE];
	enum lb_xdp_mode xdp_mode;
	enum lb_attach attach;
};

#define LB_QUIC_SERVER_ID_MAX 8 /* bytes */
struct lb_config_backend {
	char name[LB_NAME_MAX];
	struct lb_address address;
	__u32 weight; /* 0..65535; 0 takes no new flows */
	enum lb_state state;
	__u8 server_id[LB_QUIC_SERVER_ID_MAX]; /* what the backend puts into its QUIC connection IDs */
	__u8 server_id_bytes;                  /* 0: none */
	__u8 tier;                             /* 0: first */
	struct lb_config_check *check;         /* owned; NULL: as the service says */
	__u16 mtu;                             /* bytes, of the path; 0: as the way to it says */
};
#define LB_CONFIG_TIER_MAX 7

/* QUIC-LB plain-text configuration (affinity quic); up to two live at once so that they can rotate. */
#define LB_QUIC_CONFIGS_MAX 2
struct lb_config_quic {
	__u8 rotation;        /* config_rotation bits, 0..6 */
	__u8 server_id_bytes; /* 1..8; the same in every configuration of a service */
};

/* Sources that a service lets in (source_ranges.h). */
#define LB_SOURCE_RANGES_MAX 1024
struct lb_config_source_range {
	struct lb_prefix prefix;
};

struct lb_config_service {
	char name[LB_NAME_MAX];
	char source[LB_NAME_MAX]; /* who wants it: a source's name; empty: the file */
	char ring[LB_NAME_MAX];   /* shared with all services that name it; empty: a ring of its own */
	struct lb_prefix vip;     /* length 32 or 128: one address */
	__u8 protocol;            /* IPPROTO_TCP or IPPROTO_UDP */
	__u16 port_first;         /* host byte order; 0..65535 with port_last 65535: every port */
	__u16 port_last;
	enum lb_forward forward;
	enum lb_algorithm algorithm;
	__u32 ring_size; /* slots, power of two; 0: by pool size (lb_config_ring_size) */
	enum lb_affinity affinity;
	__u32 idle_timeout_s;
	__u32 half_closed_timeout_s; /* 0: idle_timeout_s */
	__u32 learning_window_s;     /* protocols without SYN */
	__u32 drain_limit_s;
	bool echo; /* answer ICMP echo to the address */
	enum lb_fragments fragments;
	enum lb_unclaimed unclaimed;
	enum lb_no_backend no_backend;
	__u16 gue_port; /* host byte order */
	enum lb_announce_by announce;
	__u32 min_active; /* backends, for the VIP to be announced */
	enum lb_on_empty on_empty;
	enum lb_host_addresses_under host_addresses;
	size_t n_quic;
	struct lb_config_quic quic[LB_QUIC_CONFIGS_MAX];
	struct lb_config_source_range *source_ranges; /* owned; of the VIP's family; none: everybody */
	size_t n_source_ranges;
	struct lb_config_health health;
	struct lb_config_backend *backends; /* owned; in file order */
	size_t n_backends;
};

/* 0: sized by the agent from the configuration and the machine's memory. One that changes makes tables of the
 * new size. */
struct lb_config_limits {
	__u32 services;
	__u32 backends;
	__u32 ring_slots;
	__u64 flow_entries;
};

#define LB_SOURCES_MAX 16

/* A helper that may bring services of its own: who it is, and how far it may go. */
struct lb_config_source_vip {
	struct lb_prefix prefix;
};

struct lb_config_source {
	char name[LB_NAME_MAX];
	__u32 uid;
	struct lb_config_source_vip *vips; /* owned */
	size_t n_vips;
	__u32 max_services;
	__u32 max_backends;     /* of all its services together */
	__u32 max_loss_percent; /* of a service's usable weight, in one revision and within a minute */
};

struct lb_config {
	char hash_seed[129];
	struct lb_config_interface *interfaces; /* owned */
	size_t n_interfaces;
	struct lb_prefix tunnel_source_v4; /* family 0 when not given: the route's own source is used */
	struct lb_prefix tunnel_source_v6;
	enum lb_unclaimed unclaimed; /* of services that do not say */
	struct lb_config_limits limits;
	struct {
		__u32 table, draining_table; /* of routes */
		__u32 hold_down_s;
		enum lb_serve_if serve_if;
		__u32 drain_s, leave_limit_s; /* of a balancer that leaves */
		char interface[IF_NAMESIZE];  /* by neighbor: where it is answered; empty: the first one */
		__u8 group;                   /* by neighbor: what one election decides */
		enum lb_leader leader;
	} announce;
	struct {
		__u32 cpu_permille; /* of one core, at most; default 10 */
	} sweeper;
	struct {
		__u32 cpu_permille; /* of one core, at most; default 8; 0: nothing is observed */
	} observer;
	struct {
		char socket[108]; /* UNIX socket of the API */
		char metrics[64]; /* "127.0.0.1:9100"-like; empty: off */
	} api;
	struct lb_config_health health;
	struct lb_config_checker checker;
	struct lb_config_service *services; /* owned; in file order */
	size_t n_services;
	struct lb_config_source *sources; /* owned */
	size_t n_sources;
};

/*
 * Parses and checks a whole configuration. text: JSON, length bytes, need not be terminated.
 * 0 and *ret_config (free with lb_config_free), or a negative errno (-EINVAL for what the text says,
 * -E2BIG above LB_CONFIG_BYTES_MAX, -ENOMEM) and *error with JSON path, value and what would be accepted.
 * Syntax errors have line and column in the text and no path. Nothing partial is ever returned.
 */
#define LB_CONFIG_BYTES_MAX (64u << 20)
int lb_config_parse(const char *text, size_t length, struct lb_config **ret_config, struct lb_error *error);
void lb_config_free(struct lb_config *config);

/* A copy that shares nothing. 0 or -ENOMEM. */
int lb_config_copy(const struct lb_config *config, struct lb_config **ret_config);

/* Frees what a service owns. */
void lb_config_service_done(struct lb_config_service *service);

/* A copy that shares nothing. 0 or -ENOMEM. */
int lb_config_service_copy(const struct lb_config_service *service, struct lb_config_service *ret_copy);

/* What a service owns is another one's now: leaves it empty. */
void lb_config_service_moved(struct lb_config_service *service);

/*
 * A copy that shares all that services own, and everything else, with the original: for a change of some
 * services of many, whose places then get others. Of the two, one at a time is freed by
 * lb_config_unshare(gone, stays): what of gone is not of stays as well; the other one then owns what it has.
 */
int lb_config_share(const struct lb_config *config, struct lb_config **ret_config);
void lb_config_unshare(struct lb_config *gone, const struct lb_config *stays);

static inline void lb_config_freep(struct lb_config **config)
{
	lb_config_free(*config);
}

/* Whether the commands of exec checks are programs on this host: of a file, lb_config_load() asks. 0 or
 * -EINVAL. */
int lb_config_check_commands(const struct lb_config *config, struct lb_error *error);

/*
 * Reads a file (or a pipe, to its end) and parses it. Errors carry the file name in the text, with line and
 * column where the content is wrong: "weir.json:12:7: weight must be ...". Also any errno of open and read.
 */
int lb_config_load(const char *path, struct lb_config **ret_config, struct lb_error *error);

/* The same of a text that was read from there. */
int lb_config_parse_file(const char *path, const char *text, size_t length, struct lb_config **ret_config,
			 struct lb_error *error);

/* The name that a service's ring is made from. */
static inline const char *lb_config_ring_name(const struct lb_config_service *service)
{
	return service->ring[0] ? service->ring : service->name;
}

/* Whether two services share one. Rings of a source are its own. */
bool lb_config_same_ring(const struct lb_config_service *a, const struct lb_config_service *b);

/*
 * Which services share a ring: *ret_first[i] is the place of the first service that has the ring of the i-th,
 * and i where that is the first, or alone. The caller frees it. 0 or -ENOMEM.
 */
int lb_config_rings(const struct lb_config *config, __u32 **ret_first);

/* What the services need together, shared rings and their backends counted once; without memory to find them
 * as if none were shared. */
struct lb_config_needs {
	__u64 backends, slots;
};
struct lb_config_needs lb_config_needs(const struct lb_config *config);

/* Slots of a ring whose size the user does not fix: a pure function of the pool's size. */
__u32 lb_config_ring_size(size_t n_backends);

/*
 * Writes a configuration as JSON, every key with its value, so that parsing it again gives an equal one.
 * That includes hash_seed, which is a secret.
 * 0, or -EIO when the stream has an error.
 */
int lb_config_write(const struct lb_config *config, FILE *out);

/*
 * Writes the JSON schema (draft 2020-12) / the manual page weir.json(5) (man(7) source) made from the schema
 * table. 0, -ENOMEM, or -EIO when the stream has an error.
 */
int lb_config_write_schema(FILE *out);
int lb_config_write_man(FILE *out);

/* Names for people and JSON ("ipip", "drain", "203.0.113.10"); static strings or the caller's buffer. */
const char *lb_forward_name(enum lb_forward value);
const char *lb_algorithm_name(enum lb_algorithm value);
const char *lb_affinity_name(enum lb_affinity value);
const char *lb_state_name(enum lb_state value);
const char *lb_xdp_mode_name(enum lb_xdp_mode value);
const char *lb_attach_name(enum lb_attach value);
const char *lb_fragments_name(enum lb_fragments value);
int lb_state_parse(const char *name, enum lb_state *ret_state);
