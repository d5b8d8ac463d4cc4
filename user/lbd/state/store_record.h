/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A generation's record as JSON text and back.
 */
#pragma once

#include <linux/types.h>
#include <stddef.h>

#include "engine/engine.h"

#define STORE_DIGEST 33 /* XXH3, 128 bits in hexadecimal, and a zero */

void store_digest(const void *bytes, size_t length, char ret_digest[STORE_DIGEST]);

struct record {
	char history[STORE_DIGEST]; /* random: records of one line of changes share it; empty in old ones */
	__u64 stamp_ms;             /* when it was written; each later than the one before */
	__u64 generation;
	__s64 time_s; /* wall clock */
	char cause[128];
	char config[STORE_DIGEST];
	char file_digest[STORE_DIGEST]; /* of the configuration file when it was last read; empty: never */
	__u64 services;
	struct lb_override *overrides; /* owned */
	size_t n_overrides;
};

void record_done(struct record *record);
void records_free(struct record *records, size_t n);

/* Owned text, or NULL without memory. */
char *record_print(const struct record *record);

/* The name of a record's file. */
void record_name(__u64 generation, char ret_name[32]);

/* Whether the name is one of a record's. */
bool record_named(const char *name);

/* 0, -ENOMEM, or -EINVAL with a sentence of what is wrong. */
int record_parse(const char *text, size_t length, struct record *ret_record, struct lb_error *error);
