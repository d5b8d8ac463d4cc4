// SPDX-License-Identifier: GPL-2.0-only
/*
 * The formats of strings in the configuration: names, addresses, ports, ... Each knows what it accepts, reads
 * a string into its field and prints a field as a string. See struct lb_schema_format.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "config/schema.h"

#define REASON(...) (snprintf(reason, LB_SCHEMA_REASON_MAX, __VA_ARGS__), -EINVAL)

/* Copies a text of minimum..key->size - 1 bytes. */
static int copy_text(const struct lb_schema_key *key, const char *text, size_t minimum, char *field,
		     char *reason)
{
	size_t length = strlen(text);

	if (length < minimum)
		return REASON("it is empty");
	if (length >= key->size)
		return REASON("it has %zu bytes", length);
	memcpy(field, text, length + 1);
	return 0;
}

static bool print_text(const void *field, char *text, size_t size)
{
	snprintf(text, size, "%s", (const char *)field);
	return false;
}

/* --- seed, names -----------------------------------------------------------------------------------------
 */

static int read_seed(const struct lb_schema_key *key, const char *text, void *field, char *reason)
{
	return copy_text(key, text, 1, field, reason);
}

const struct lb_schema_format lb_format_seed = {
	.accepted = "a string of 1 to 128 bytes",
	.pattern = "^[\\s\\S]{1,128}$",
	.read = read_seed,
	.print = print_text,
};

/* The first character of text that allowed does not hold; NULL when all are allowed. */
static const char *strange_character(const char *text, bool (*allowed)(unsigned char c))
{
	for (; *text; text++) {
		if (!allowed((unsigned char)*text))
			return text;
	}
	return NULL;
}

/* Says which character may not be there; one byte of a longer character as its number. */
static int strange(const char *text, const char *at, char *reason)
{
	unsigned char c = (unsigned char)*at;

	if (c > ' ' && c < 0x7f)
		return REASON("character %zu is '%c'", (size_t)(at - text) + 1, c);
	if (c == ' ')
		return REASON("character %zu is a blank", (size_t)(at - text) + 1);
	return REASON("byte %zu is 0x%02x", (size_t)(at - text) + 1, c);
}

static bool name_character(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
	       c == '_' || c == '-';
}

static int read_name(const struct lb_schema_key *key, const char *text, void *field, char *reason)
{
	const char *at = strange_character(text, name_character);

	if (at)
		return strange(text, at, reason);
	return copy_text(key, text, 1, field, reason);
}

const struct lb_schema_format lb_format_name = {
	.accepted = "a name of 1 to 63 letters, digits, '.', '_' or '-'",
	.pattern = "^[A-Za-z0-9._-]{1,63}$",
	.read = read_name,
	.print = print_text,
};

/* What the kernel takes (dev_valid_name), and nothing that a terminal would not show. */
static bool interface_character(unsigned char c)
{
	return c > ' ' && c < 0x7f && c != '/' && c != ':';
}

static int read_interface(const struct lb_schema_key *key, const char *text, void *field, char *reason)
{
	const char *at = strange_character(text, interface_character);

	if (at)
		return strange(text, at, reason);
	if (strcmp(text, ".") == 0 || strcmp(text, "..") == 0)
		return REASON("the kernel does not take this name");
	return copy_text(key, text, 1, field, reason);
}

const struct lb_schema_format lb_format_interface = {
	.accepted = "the name of an interface: 1 to 15 printable characters without '/', ':' and blanks",
	.pattern = "^[!-.0-9;-~]{1,15}$",
	.read = read_interface,
	.print = print_text,
};

/* --- addresses and prefixes ------------------------------------------------------------------------------
 */

/* Ranges that can be neither a VIP nor a backend. */
static const struct {
	struct lb_prefix prefix;
	const char *reason;
} unusable[] = {
	{ { { LB_FAMILY_V4, { 0 } }, 8 }, "0.0.0.0/8 (unspecified) cannot be used" },
	{ { { LB_FAMILY_V4, { 127 } }, 8 }, "127.0.0.0/8 (loopback) cannot be used" },
	{ { { LB_FAMILY_V4, { 224 } }, 4 }, "224.0.0.0/4 (multicast) cannot be used" },
	{ { { LB_FAMILY_V4, { 255, 255, 255, 255 } }, 32 }, "255.255.255.255 (broadcast) cannot be used" },
	{ { { LB_FAMILY_V6, { 0 } }, 128 }, ":: (unspecified) cannot be used" },
	{ { { LB_FAMILY_V6, { [15] = 1 } }, 128 }, "::1 (loopback) cannot be used" },
	{ { { LB_FAMILY_V6, { [10] = 0xff, 0xff } }, 96 },
	  "::ffff:0:0/96 (IPv4 written as IPv6) cannot be used; write the IPv4 address" },
	{ { { LB_FAMILY_V6, { 0xfe, 0x80 } }, 10 },
	  "fe80::/10 (link-local, means nothing without an interface) cannot be used" },
	{ { { LB_FAMILY_V6, { 0xff } }, 8 }, "ff00::/8 (multicast) cannot be used" },
};

/* A prefix is unusable when it has an address in common with an unusable one. */
static int check_usable(const struct lb_prefix *prefix, char *reason)
{
	for (size_t i = 0; i < sizeof(unusable) / sizeof(unusable[0]); i++) {
		if (lb_prefix_contains(&unusable[i].prefix, &prefix->address) ||
		    lb_prefix_contains(prefix, &unusable[i].prefix.address))
			return REASON("%s", unusable[i].reason);
	}
	return 0;
}

/* What the text would be without its host bits, also in *ret_prefix. */
static int host_bits(const char *text, struct lb_prefix *ret_prefix, char *reason)
{
	unsigned int length = (unsigned int)strtoul(strchr(text, '/') + 1, NULL, 10);
	char address[LB_ADDRESS_TEXT_MAX];

	snprintf(address, sizeof(address), "%.*s", (int)(strchr(text, '/') - text), text);
	if (lb_address_parse(address, &ret_prefix->address) < 0)
		return -EINVAL;
	lb_address_mask(&ret_prefix->address, length);
	return REASON("it has bits set behind its length; the prefix is \"%s/%u\"",
		      lb_address_text(&ret_prefix->address, address), length);
}

static int read_prefix(const char *text, struct lb_prefix *ret_prefix, char *reason)
{
	int r = lb_prefix_parse(text, ret_prefix);

	if (r == -EDOM)
		return host_bits(text, ret_prefix, reason);
	if (r < 0)
		return r;
	return check_usable(ret_prefix, reason);
}

static int read_vip(const struct lb_schema_key *key, const char *text, void *field, char *reason)
{
	return read_prefix(text, field, reason);
}

static bool print_prefix(const void *field, char *text, size_t size)
{
	const struct lb_prefix *prefix = field;
	char buffer[LB_PREFIX_TEXT_MAX];

	snprintf(text, size, "%s", prefix->address.family ? lb_prefix_text(prefix, buffer) : "");
	return false;
}

#define ADDRESS_PATTERN "([0-9]{1,3}(\\.[0-9]{1,3}){3}|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)"

const struct lb_schema_format lb_format_vip = {
	.accepted = "an IPv4 or IPv6 address or prefix, like \"203.0.113.10\" or \"2001:db8::/64\"",
	.pattern = "^" ADDRESS_PATTERN "(/[0-9]{1,3})?$",
	.read = read_vip,
	.print = print_prefix,
};

/* Any source; what none can have does no harm. */
static int read_range(const struct lb_schema_key *key, const char *text, void *field, char *reason)
{
	static const struct lb_prefix mapped = { { LB_FAMILY_V6, { [10] = 0xff, 0xff } }, 96 };
	struct lb_prefix *prefix = field;
	int r = lb_prefix_parse(text, prefix);

	if (r == -EDOM)
		return host_bits(text, prefix, reason);
	if (r == 0 && lb_prefix_contains(&mapped, &prefix->address))
		return REASON("::ffff:0:0/96 is IPv4 written as IPv6; write the IPv4 prefix");
	return r;
}

const struct lb_schema_format lb_format_range = {
	.accepted = "an IPv4 or IPv6 address or prefix, like \"203.0.113.0/24\" or \"2001:db8::/64\"",
	.pattern = "^" ADDRESS_PATTERN "(/[0-9]{1,3})?$",
	.read = read_range,
	.print = print_prefix,
};

static int read_address(const struct lb_schema_key *key, const char *text, void *field, char *reason)
{
	struct lb_prefix prefix;
	int r;

	if (strchr(text, '/'))
		return REASON("a backend is one address, without a prefix length");
	r = read_prefix(text, &prefix, reason);
	if (r < 0)
		return r;
	*(struct lb_address *)field = prefix.address;
	return 0;
}

static bool print_address(const void *field, char *text, size_t size)
{
	const struct lb_address *address = field;
	char buffer[LB_ADDRESS_TEXT_MAX];

	snprintf(text, size, "%s", address->family ? lb_address_text(address, buffer) : "");
	return false;
}

const struct lb_schema_format lb_format_address = {
	.accepted = "an IPv4 or IPv6 address, like \"10.0.1.11\" or \"2001:db8::11\"",
	.pattern = "^" ADDRESS_PATTERN "$",
	.read = read_address,
	.print = print_address,
};

static int read_source(const char *text, __u8 family, unsigned int from, unsigned int to,
		       struct lb_prefix *ret_prefix, char *reason)
{
	struct lb_prefix prefix = {};
	int r = read_prefix(text, &prefix, reason);

	if (prefix.address.family && prefix.address.family != family)
		return REASON("it is an IPv%u prefix", prefix.address.family);
	if (r < 0)
		return r;
	if (prefix.length < from || prefix.length > to)
		return REASON("its length is %u", prefix.length);
	*ret_prefix = prefix;
	return 0;
}

static int read_source_v4(const struct lb_schema_key *key, const char *text, void *field, char *reason)
{
	return read_source(text, LB_FAMILY_V4, 8, 32, field, reason);
}

static int read_source_v6(const struct lb_schema_key *key, const char *text, void *field, char *reason)
{
	return read_source(text, LB_FAMILY_V6, 32, 128, field, reason);
}

const struct lb_schema_format lb_format_source_v4 = {
	.accepted = "an IPv4 prefix of length 8 to 32, like \"172.16.0.0/16\"",
	.pattern = "^[0-9]{1,3}(\\.[0-9]{1,3}){3}(/[0-9]{1,2})?$",
	.read = read_source_v4,
	.print = print_prefix,
};

const struct lb_schema_format lb_format_source_v6 = {
	.accepted = "an IPv6 prefix of length 32 to 128, like \"fd00:77::/64\"",
	.pattern = "^[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(/[0-9]{1,3})?$",
	.read = read_source_v6,
	.print = print_prefix,
};

/* --- ports; the field is the whole service ---------------------------------------------------------------
 */

/* Reads a decimal port 1..65535 that ends at end. */
static int read_port_number(const char *text, const char *end, __u16 *ret_port)
{
	unsigned int port = 0;

	if (text == end || end - text > 5 || *text == '0')
		return -EINVAL;
	for (; text < end; text++) {
		if (!isdigit((unsigned char)*text))
			return -EINVAL;
		port = port * 10 + (unsigned int)(*text - '0');
	}
	if (port > 65535)
		return -EINVAL;
	*ret_port = (__u16)port;
	return 0;
}

static int read_port(const struct lb_schema_key *key, const char *text, void *field, char *reason)
{
	struct lb_config_service *service = field;
	const char *end = text + strlen(text);
	const char *dash = strchr(text, '-');
	__u16 first, last;

	if (strcmp(text, "any") == 0) {
		service->port_first = 0;
		service->port_last = 65535;
		return 0;
	}
	if (!dash && read_port_number(text, end, &first) == 0)
		return REASON("a single port is written as a number, without quotes");
	if (!dash || read_port_number(text, dash, &first) < 0 || read_port_number(dash + 1, end, &last) < 0)
		return -EINVAL;
	if (first > last)
		return REASON("the range ends before it begins");
	service->port_first = first;
	service->port_last = last;
	return 0;
}

static void read_port_single(__s64 number, void *field)
{
	struct lb_config_service *service = field;

	service->port_first = (__u16)number;
	service->port_last = (__u16)number;
}

static bool print_port(const void *field, char *text, size_t size)
{
	const struct lb_config_service *service = field;

	if (service->port_first == 0) {
		snprintf(text, size, "any");
		return false;
	}
	if (service->port_first == service->port_last) {
		snprintf(text, size, "%u", service->port_first);
		return true;
	}
	snprintf(text, size, "%u-%u", service->port_first, service->port_last);
	return false;
}

const struct lb_schema_format lb_format_port = {
	.accepted = "a whole number from 1 to 65535, a range like \"8000-8999\", or \"any\"",
	.pattern = "^([1-9][0-9]{0,4}-[1-9][0-9]{0,4}|any)$",
	.read = read_port,
	.read_number = read_port_single,
	.print = print_port,
};

/* --- where lbd listens -----------------------------------------------------------------------------------
 */

static int read_socket(const struct lb_schema_key *key, const char *text, void *field, char *reason)
{
	if (text[0] && text[0] != '/')
		return REASON("it does not begin with '/'");
	return copy_text(key, text, 1, field, reason);
}

const struct lb_schema_format lb_format_socket = {
	.accepted = "an absolute path of at most 107 bytes",
	.pattern = "^/.{0,106}$",
	.read = read_socket,
	.print = print_text,
};

static int read_listen(const struct lb_schema_key *key, const char *text, void *field, char *reason)
{
	const char *colon = strrchr(text, ':');
	char host[LB_ADDRESS_TEXT_MAX];
	struct lb_address address;
	bool bracketed;
	size_t length;
	__u16 port;

	if (!*text)
		return copy_text(key, text, 0, field, reason);
	length = colon ? (size_t)(colon - text) : strlen(text);
	bracketed = length >= 2 && text[0] == '[' && text[length - 1] == ']';
	if (length >= sizeof(host))
		return -EINVAL;
	snprintf(host, sizeof(host), "%.*s", (int)(bracketed ? length - 2 : length), text + bracketed);
	if (lb_address_parse(text, &address) == 0)
		return address.family == LB_FAMILY_V6
			       ? REASON("an IPv6 address needs brackets: [ADDRESS]:PORT")
			       : REASON("the port is missing");
	if (!colon || lb_address_parse(host, &address) < 0 || bracketed != (address.family == LB_FAMILY_V6) ||
	    read_port_number(colon + 1, text + strlen(text), &port) < 0)
		return -EINVAL;
	return copy_text(key, text, 1, field, reason);
}

const struct lb_schema_format lb_format_listen = {
	.accepted = "an address and port, like \"127.0.0.1:9650\" or \"[::1]:9650\", or \"\" (off)",
	.pattern = "^(|[0-9.]+:[1-9][0-9]{0,4}|\\[[0-9A-Fa-f:.]+\\]:[1-9][0-9]{0,4})$",
	.read = read_listen,
	.print = print_text,
};

/* --- QUIC server ID; the field is the whole backend ------------------------------------------------------
 */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static int read_server_id(const struct lb_schema_key *key, const char *text, void *field, char *reason)
{
	struct lb_config_backend *backend = field;
	size_t length = strlen(text);

	if (length < 2 || length > 2 * sizeof(backend->server_id) || length % 2)
		return REASON("it has %zu characters", length);
	for (size_t i = 0; i < length; i++) {
		if (hex_digit(text[i]) < 0)
			return strange(text, text + i, reason);
	}
	memset(backend->server_id, 0, sizeof(backend->server_id));
	for (size_t i = 0; i < length; i += 2)
		backend->server_id[i / 2] = (__u8)(hex_digit(text[i]) << 4 | hex_digit(text[i + 1]));
	backend->server_id_bytes = (__u8)(length / 2);
	return 0;
}

static bool print_server_id(const void *field, char *text, size_t size)
{
	const struct lb_config_backend *backend = field;

	text[0] = 0;
	for (size_t i = 0; i < backend->server_id_bytes; i++)
		snprintf(text + 2 * i, size - 2 * i, "%02x", backend->server_id[i]);
	return false;
}

const struct lb_schema_format lb_format_server_id = {
	.accepted = "2, 4, ... 16 hexadecimal digits (1 to 8 bytes)",
	.pattern = "^([0-9A-Fa-f]{2}){1,8}$",
	.read = read_server_id,
	.print = print_server_id,
};
