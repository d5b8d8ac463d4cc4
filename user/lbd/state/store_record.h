/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A generation's record as JSON text and back.
 */
#pragma once

#include "lbd/state/store.h"

/* Owned text, or NULL without memory. */
char *record_print(const struct record *record);

/* The name of a record's file. */
void record_name(__u64 generation, char ret_name[32]);

/* Whether the name is one of a record's. */
bool record_named(const char *name);

/* 0, -ENOMEM, or -EINVAL with a sentence of what is wrong. */
int record_parse(const char *text, size_t length, struct record *ret_record, struct lb_error *error);
