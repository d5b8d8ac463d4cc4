/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Addresses and prefixes of either family, and their text.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>

#include "lb/types.h"

/* An address of either family. IPv4 uses the first 4 bytes; the rest is zero. */
struct lb_address {
	__u8 family; /* LB_FAMILY_V4, LB_FAMILY_V6, or 0 for "not given" */
	__u8 bytes[16];
};

struct lb_prefix {
	struct lb_address address;
	__u8 length; /* significant bits */
};

#define LB_ADDRESS_TEXT_MAX 64
/* Text of an address in the canonical form (RFC 5952), in the buffer that is returned; "-" for family 0. */
const char *lb_address_text(const struct lb_address *address, char buffer[LB_ADDRESS_TEXT_MAX]);
/* Parses one address, without prefix length or scope. 0 or -EINVAL. */
int lb_address_parse(const char *text, struct lb_address *ret_address);
bool lb_address_equal(const struct lb_address *a, const struct lb_address *b);

/* "203.0.113.0/24"; an address alone when the length says one address. */
#define LB_PREFIX_TEXT_MAX (LB_ADDRESS_TEXT_MAX + 4)
const char *lb_prefix_text(const struct lb_prefix *prefix, char buffer[LB_PREFIX_TEXT_MAX]);

/* Parses an address or prefix ("203.0.113.10", "2001:db8::/64"). 0; -EINVAL; -EDOM: host bits are set. */
int lb_prefix_parse(const char *text, struct lb_prefix *ret_prefix);

/* Whether an address lies in a prefix; false when the families differ. */
bool lb_prefix_contains(const struct lb_prefix *prefix, const struct lb_address *address);

/* Clears the bits of an address behind the first length ones. */
void lb_address_mask(struct lb_address *address, unsigned int length);
