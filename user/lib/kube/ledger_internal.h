/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The ledger's table, for its two files.
 */
#pragma once

#include <uthash.h>

#include "kube/ledger.h"

struct holder {
	char *key, *share, *uid;
	char created[32];
	struct lb_kube_port *ports;
	size_t n_ports;
	struct holder *next;
};

struct record {
	struct lb_address address;
	struct holder *holders;
	UT_hash_handle hh;
	bool lost;
};

struct lb_kube_ledger {
	struct record *records;
	size_t count[LB_KUBE_FAMILIES];
	void (*lost)(void *context, const char *key);
	void *context;
};
