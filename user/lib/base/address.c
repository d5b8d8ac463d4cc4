// SPDX-License-Identifier: GPL-2.0-only
/*
 * Addresses and prefixes: text to bytes and back, comparison, masking. Strict forms only: dotted quads
 * without leading zeros, IPv6 without scope (what inet_pton takes). Unused bytes are always zero, so that
 * the structures can be compared and hashed as bytes.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"

_Static_assert(sizeof(struct lb_address) == 17, "no padding: compared and hashed as bytes");
_Static_assert(sizeof(struct lb_prefix) == 18, "no padding: compared and hashed as bytes");

static unsigned int address_bits(__u8 family)
{
	return family == LB_FAMILY_V4 ? 32 : 128;
}

int lb_address_parse(const char *text, struct lb_address *ret_address)
{
	struct lb_address address = { .family = strchr(text, ':') ? LB_FAMILY_V6 : LB_FAMILY_V4 };

	if (inet_pton(address.family == LB_FAMILY_V6 ? AF_INET6 : AF_INET, text, address.bytes) != 1)
		return -EINVAL;
	*ret_address = address;
	return 0;
}

const char *lb_address_text(const struct lb_address *address, char buffer[LB_ADDRESS_TEXT_MAX])
{
	int family = address->family == LB_FAMILY_V6 ? AF_INET6 : AF_INET;

	if (!address->family || !inet_ntop(family, address->bytes, buffer, LB_ADDRESS_TEXT_MAX))
		strcpy(buffer, "-");
	return buffer;
}

bool lb_address_equal(const struct lb_address *a, const struct lb_address *b)
{
	return a->family == b->family && memcmp(a->bytes, b->bytes, a->family == LB_FAMILY_V4 ? 4 : 16) == 0;
}

void lb_address_mask(struct lb_address *address, unsigned int length)
{
	unsigned int byte = length / 8;

	if (byte >= sizeof(address->bytes))
		return;
	address->bytes[byte] &= (__u8)(0xff00 >> length % 8);
	memset(address->bytes + byte + 1, 0, sizeof(address->bytes) - byte - 1);
}

bool lb_prefix_contains(const struct lb_prefix *prefix, const struct lb_address *address)
{
	unsigned int bytes = prefix->length / 8, bits = prefix->length % 8;

	if (prefix->address.family != address->family)
		return false;
	for (unsigned int i = 0; i < bytes; i++) {
		if (prefix->address.bytes[i] != address->bytes[i])
			return false;
	}
	/* The bits of a prefix behind its length are zero. */
	return !bits || prefix->address.bytes[bytes] == (address->bytes[bytes] & (__u8)(0xff00 >> bits));
}

const char *lb_prefix_text(const struct lb_prefix *prefix, char buffer[LB_PREFIX_TEXT_MAX])
{
	lb_address_text(&prefix->address, buffer);
	if (prefix->address.family && prefix->length < address_bits(prefix->address.family))
		snprintf(buffer + strlen(buffer), LB_PREFIX_TEXT_MAX - strlen(buffer), "/%u", prefix->length);
	return buffer;
}

/* Decimal without sign, blanks or leading zeros, at most limit. */
static int parse_length(const char *text, unsigned int limit, __u8 *ret_length)
{
	unsigned int length = 0;

	if (!*text || strlen(text) > 3 || (text[0] == '0' && text[1]))
		return -EINVAL;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		length = length * 10 + (unsigned int)(*text - '0');
	}
	if (length > limit)
		return -EINVAL;
	*ret_length = (__u8)length;
	return 0;
}

int lb_prefix_parse(const char *text, struct lb_prefix *ret_prefix)
{
	const char *slash = strchr(text, '/');
	size_t length = slash ? (size_t)(slash - text) : strlen(text);
	char address[LB_ADDRESS_TEXT_MAX];
	struct lb_prefix prefix;
	struct lb_address masked;

	if (length >= sizeof(address))
		return -EINVAL;
	memcpy(address, text, length);
	address[length] = 0;
	if (lb_address_parse(address, &prefix.address) < 0)
		return -EINVAL;
	prefix.length = (__u8)address_bits(prefix.address.family);
	if (slash && parse_length(slash + 1, prefix.length, &prefix.length) < 0)
		return -EINVAL;
	masked = prefix.address;
	lb_address_mask(&masked, prefix.length);
	if (!lb_address_equal(&masked, &prefix.address))
		return -EDOM;
	*ret_prefix = prefix;
	return 0;
}
