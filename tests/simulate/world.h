/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Backends and the network between them and the checker, under virtual time: what happens to each SYN of a
 * TCP check is drawn, what follows from it is left to the shipped state machines.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "health/check.h"
#include "health/circuit.h"
#include "health/settings.h"
#include "health/suspect.h"

#define S_NS 1000000000ull

struct settings {
	struct lb_config_check check;
	struct lb_config_breaker breaker;
	struct lb_check_timing timing;
	struct lb_circuit_config circuit;
	struct lb_suspect_config suspect;
};

/* Those of the schema, with "check" of a configuration over them (JSON, without braces). */
void settings_read(struct settings *settings, const char *check_json);

/* From a time until another, something is wrong. */
enum fault { FAULT_NONE, FAULT_REFUSES, FAULT_SILENT };
struct trouble {
	enum fault fault;
	__u64 from_ns, until_ns;
};

struct random {
	__u64 state;
};
__u64 random_next(struct random *random);

struct backend {
	struct lb_check check;
	struct lb_circuit circuit;
	struct lb_suspect_address address;
	struct lb_result pending[LB_CHECK_PENDING_MAX]; /* by their end */
	unsigned int n_pending;
	__u64 service;
	struct trouble trouble;
	__u64 opened_ns, full_ns; /* last time that */
	__u64 opens, checks;
};

struct world {
	const struct settings *settings;
	struct random random;
	__u32 loss_ppm; /* of each packet in each direction */
	__u64 round_trip_ns;
	struct trouble link;        /* of the checker */
	struct lb_suspect *suspect; /* NULL: nobody doubts */
	struct backend *backends;   /* to forget, when the checker is suspected */
	size_t n_backends;
};

void backend_init(struct backend *backend, struct world *world, __u64 now_ns);

/* When something happens to it next, and that. */
__u64 backend_next_ns(const struct backend *backend, const struct world *world);
void backend_step(struct backend *backend, struct world *world, __u64 now_ns);

/* One backend alone, or all together. */
void backend_run(struct backend *backend, struct world *world, __u64 until_ns);
void world_run(struct world *world, __u64 until_ns);
