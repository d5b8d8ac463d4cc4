/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * gzip (RFC 1952), some bytes at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "lbd/api/json.h"

struct packing;

/* NULL: out of memory. */
struct packing *packing_new(void);
void packing_free(struct packing *packing);

/* Appends to out what the bytes become; last: nothing comes after them. False: out of memory. */
bool packing_add(struct packing *packing, const char *bytes, size_t n, bool last, struct json *out);
