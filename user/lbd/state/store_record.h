/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A generation's record as JSON text and back.
 */
#pragma once

#include <linux/types.h>
#include <stddef.h>

#include "base/error.h"
#include "intent/intent.h"

#define STORE_DIGEST 33 /* XXH3, 128 bits in hexadecimal, and a zero */

void store_digest(const void *bytes, size_t length, char ret_digest[STORE_DIGEST]);

/* What a record is of; each kind has a budget of its own, so that none pushes out another. */
enum record_kind {
	RECORD_CONFIG,   /* a configuration: apply, reload, rollback, start */
	RECORD_OPERATOR, /* a word of the operator, or its end */
	RECORD_KINDS,
};
#define STORE_CONFIGS   10u /* records of configurations that are kept */
#define STORE_OPERATORS 50u /* of the operator's words */

#define RECORD_CAUSE_MAX 384 /* bytes, with the terminating zero */

struct record {
	char history[STORE_DIGEST]; /* random: records of one line of changes share it; empty in old ones */
	__u64 stamp_ms;             /* when it was written; each later than the one before */
	__u64 generation;
	enum record_kind kind;
	__s64 time_s;      /* wall clock */
	__u64 rollback_to; /* the generation whose configuration it brought back; 0: it is none */
	char cause[RECORD_CAUSE_MAX];
	char config[STORE_DIGEST];
	char file_digest[STORE_DIGEST]; /* of the configuration file when it was last read; empty: never */
	__u64 services;
	struct lb_words words; /* the operator's; owned */
};

void record_done(struct record *record);
void records_free(struct record *records, size_t n);

/* "config", "operator" */
const char *record_kind_name(enum record_kind kind);

/* Owned text, or NULL without memory. */
char *record_print(const struct record *record);

/* The name of a record's file. */
void record_name(__u64 generation, char ret_name[32]);

/* Whether the name is one of a record's. */
bool record_named(const char *name);

/* 0, -ENOMEM, or -EINVAL with a sentence of what is wrong. */
int record_parse(const char *text, size_t length, struct record *ret_record, struct lb_error *error);
