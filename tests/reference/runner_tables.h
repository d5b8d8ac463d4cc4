/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The loaded packet path under judgement: tables that the real engine filled from configuration files, next
 * hops made up from the backends' addresses, and the tables as JSON for the reference balancer.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "engine/engine.h"
#include "packet_path.h"

#define RUNNER_CONFIGS_MAX 8

struct runner {
	struct packet_path path;
	struct lb_engine *engine;
	struct lb_nexthop_map nexthops;
	struct lb_config *configs[RUNNER_CONFIGS_MAX];
	int n_configs;
	bool several;
	int ifindex[4]; /* by port; 0: a port without an interface */
};

/*
 * Loads the program in a network namespace of its own and applies the configurations one after the other;
 * what the later ones move stays unsettled. Nothing ticks. 0 or a negative errno, with a message on stderr.
 */
int runner_open(struct runner *runner, bool several, char **configs, int n_configs);
void runner_close(struct runner *runner);

/* The tables, on one line. 0 or -EIO. */
int runner_dump(struct runner *runner, FILE *out);
