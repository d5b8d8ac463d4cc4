// SPDX-License-Identifier: GPL-2.0-only
/*
 * Flows as people write them.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "lbd/capture/capture.h"
#include "lb/types.h"

static int refuse(const char *value, struct lb_error *error)
{
	return lb_error_at(error, EINVAL, "flow", value,
			   "flow must be PROTOCOL:SOURCE[:PORT],DESTINATION[:PORT], like "
			   "tcp:198.51.100.7:40000,203.0.113.10:80 or udp:*,[2001:db8::10]:443");
}

static bool parse_protocol(const char *text, struct lb_capture_filter *filter)
{
	static const struct {
		const char *name;
		__u8 number;
	} names[] = { { "tcp", IPPROTO_TCP },
		      { "udp", IPPROTO_UDP },
		      { "icmp", IPPROTO_ICMP },
		      { "icmp6", IPPROTO_ICMPV6 } };
	unsigned long number;
	char *end;

	if (strcmp(text, "any") == 0)
		return true;
	filter->by |= LB_CAPTURE_BY_PROTOCOL;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(names[i].name, text) == 0) {
			filter->protocol = names[i].number;
			return true;
		}
	}
	number = strtoul(text, &end, 10);
	filter->protocol = number;
	return *text >= '0' && *text <= '9' && !*end && number <= 255;
}

struct end {
	struct lb_address address; /* family 0: any */
	__be16 port;               /* 0: any */
};

static bool parse_port(const char *text, __be16 *ret_port)
{
	char *end;
	unsigned long number = strtoul(text, &end, 10);

	*ret_port = htons(number);
	return *text >= '0' && *text <= '9' && !*end && number > 0 && number <= 65535;
}

/* "198.51.100.7", "198.51.100.7:80", "2001:db8::1", "[2001:db8::1]:80", "*", "*:80". Changes the text. */
static bool parse_end(char *text, struct end *ret_end)
{
	char *address = text, *port = NULL, *close = strchr(text, ']');

	*ret_end = (struct end){};
	if (*text == '[') {
		if (!close)
			return false;
		address++;
		*close = '\0';
		if (close[1] == ':')
			port = close + 2;
		else if (close[1])
			return false;
	} else if (strchr(text, ':') == strrchr(text, ':') && (port = strchr(text, ':'))) {
		*port++ = '\0';
	}
	if (port && !parse_port(port, &ret_end->port))
		return false;
	return strcmp(address, "*") == 0 || lb_address_parse(address, &ret_end->address) == 0;
}

static void set_address(const struct lb_address *address, __u64 words[2], struct lb_capture_filter *filter,
			__u32 by)
{
	if (!address->family)
		return;
	filter->by |= by;
	filter->family = address->family == 4 ? LB_FAMILY_V4 : LB_FAMILY_V6;
	words[0] = words[1] = 0;
	memcpy(words, address->bytes, address->family == 4 ? 4 : 16);
}

int capture_parse_flow(const char *text, struct lb_capture_filter *filter, struct lb_error *error)
{
	struct lb_capture_filter flow = *filter;
	struct end source, destination;
	char copy[256], *from, *to;

	if (strlen(text) >= sizeof(copy))
		return refuse(NULL, error);
	memcpy(copy, text, strlen(text) + 1);
	from = strchr(copy, ':');
	to = from ? strchr(from, ',') : NULL;
	if (!to)
		return refuse(text, error);
	*from++ = '\0';
	*to++ = '\0';
	if (!parse_protocol(copy, &flow) || !parse_end(from, &source) || !parse_end(to, &destination))
		return refuse(text, error);
	if (source.address.family && destination.address.family &&
	    source.address.family != destination.address.family)
		return lb_error_at(error, EINVAL, "flow", text,
				   "source and destination must be of one family");
	set_address(&source.address, flow.saddr, &flow, LB_CAPTURE_BY_SADDR);
	set_address(&destination.address, flow.daddr, &flow, LB_CAPTURE_BY_DADDR);
	flow.sport = source.port;
	flow.dport = destination.port;
	flow.by |= (source.port ? LB_CAPTURE_BY_SPORT : 0) | (destination.port ? LB_CAPTURE_BY_DPORT : 0);
	*filter = flow;
	return 0;
}
