// SPDX-License-Identifier: GPL-2.0-only
/*
 * explain: the agent runs its packet path on a packet; this prints each step of the decision and the bytes
 * that would leave, the outer header apart from the packet inside.
 */
#include <arpa/inet.h>
#include <string.h>

#include "lbctl/agent.h"
#include "config/config.h"
#include "lbctl/format.h"
#include "lbctl/table.h"

#define FRAME_BYTES_MAX 16384u

/* "203.0.113.10:80", "[2001:db8::1]:443" -> the canonical form, in the buffer. Wrong usage is said. */
static int parse_endpoint(const struct lbctl *c, const char *what, const char *text, char buffer[80],
			  __u8 *ret_family)
{
	const char *colon = strrchr(text, ':');
	char address_text[LB_ADDRESS_TEXT_MAX];
	struct lb_address address;
	size_t length = colon ? (size_t)(colon - text) : 0;
	bool brackets = text[0] == '[' && length > 1 && text[length - 1] == ']';
	const char *port = colon ? colon + 1 : "";

	if (brackets) {
		text++;
		length -= 2;
	} else if (length && memchr(text, ':', length)) {
		return lbctl_usage(c,
				   "the %s is ADDRESS:PORT, with an IPv6 address in brackets as in "
				   "[2001:db8::1]:443, not '%s'",
				   what, text);
	}
	if (!length || length >= sizeof(address_text))
		return lbctl_usage(
			c, "the %s is ADDRESS:PORT, as in 203.0.113.10:443 or [2001:db8::1]:443, not '%s'",
			what, text);
	memcpy(address_text, text, length);
	address_text[length] = 0;
	if (lb_address_parse(address_text, &address) < 0 || brackets != (address.family == LB_FAMILY_V6))
		return lbctl_usage(c, "'%s' is no IPv4%s address", address_text, brackets ? " or IPv6" : "");
	if (!*port || strlen(port) > 5 || strspn(port, "0123456789") != strlen(port) || atoi(port) > 65535)
		return lbctl_usage(c, "'%s' is no port: 0 to 65535", port);
	lb_address_text(&address, address_text);
	snprintf(buffer, 80, brackets ? "[%s]:%d" : "%s:%d", address_text, atoi(port));
	*ret_family = address.family;
	return EXIT_DONE;
}

/* Hex to bytes; returns how many, at most size. Stops at what is no hex. */
static size_t parse_hex(const char *text, unsigned char *bytes, size_t size)
{
	size_t n = 0;
	unsigned int byte;

	while (n < size && text[0] && text[1] && sscanf(text, "%2x", &byte) == 1) {
		bytes[n++] = (unsigned char)byte;
		text += 2;
	}
	return n;
}

static void print_hex(const unsigned char *bytes, size_t from, size_t to)
{
	for (size_t i = from; i < to; i += 16) {
		printf("    %04zx ", i);
		for (size_t k = i; k < i + 16 && k < to; k++)
			printf("%s%02x", k - i == 8 ? "  " : " ", bytes[k]);
		putchar('\n');
	}
}

static size_t print_ethernet(const unsigned char *frame, size_t length)
{
	size_t end = 14;

	while (end + 4 <= length && ((frame[end - 2] == 0x81 && frame[end - 1] == 0x00) ||
				     (frame[end - 2] == 0x88 && frame[end - 1] == 0xa8)))
		end += 4;
	if (length < end)
		end = length;
	if (end < 14) {
		puts("  cut short");
	} else {
		printf("  Ethernet: %02x:%02x:%02x:%02x:%02x:%02x -> %02x:%02x:%02x:%02x:%02x:%02x\n",
		       frame[6], frame[7], frame[8], frame[9], frame[10], frame[11], frame[0], frame[1],
		       frame[2], frame[3], frame[4], frame[5]);
	}
	print_hex(frame, 0, end);
	return end;
}

/* Prints the IP header at from under a title; returns where it ends. */
static size_t print_ip(const char *title, const unsigned char *frame, size_t from, size_t length)
{
	const unsigned char *ip = frame + from;
	size_t left = length - from, header = 0;
	char source[INET6_ADDRSTRLEN], destination[INET6_ADDRSTRLEN];

	if (left >= 20 && ip[0] >> 4 == 4) {
		header = (ip[0] & 15u) * 4u;
		inet_ntop(AF_INET, ip + 12, source, sizeof(source));
		inet_ntop(AF_INET, ip + 16, destination, sizeof(destination));
	} else if (left >= 40 && ip[0] >> 4 == 6) {
		header = 40;
		inet_ntop(AF_INET6, ip + 8, source, sizeof(source));
		inet_ntop(AF_INET6, ip + 24, destination, sizeof(destination));
	}
	if (header < 20 || header > left) {
		printf("  %s: no IP header\n", title);
		return from;
	}
	printf("  %s: IPv%d, %s -> %s, protocol %d, TTL %d\n", title, ip[0] >> 4, source, destination,
	       ip[0] >> 4 == 4 ? ip[9] : ip[6], ip[0] >> 4 == 4 ? ip[8] : ip[7]);
	print_hex(frame, from, from + header);
	return from + header;
}

/* added: bytes that the program put between Ethernet and the packet that came in. */
static void print_frame(const unsigned char *frame, size_t length, size_t added)
{
	size_t at = print_ethernet(frame, length), inner = at + added;

	if (added && inner <= length) {
		at = print_ip("outer header", frame, at, inner);
		if (at < inner)
			printf("  encapsulation (%zu bytes)\n", inner - at);
		print_hex(frame, at, inner);
		at = inner;
	}
	at = print_ip(added ? "inner packet" : "packet", frame, at, length);
	print_hex(frame, at, length);
}

static void print_steps(const struct lbctl *c, const cJSON *root)
{
	static const struct column columns[] = { { "STEP", 0 }, { "DECISION", COLUMN_WRAP }, { NULL, 0 } };
	_cleanup_(table_freep) struct table *table = table_new(columns, 0);
	const cJSON *step;

	cJSON_ArrayForEach (step, json_get(root, "steps")) {
		table_cell(table, "%s", json_text(step, "step"));
		table_cell(table, "%s", json_text(step, "text"));
	}
	table_print(table, c);
}

static void print_answer(const struct lbctl *c, const cJSON *root)
{
	unsigned char in[FRAME_BYTES_MAX], out[FRAME_BYTES_MAX];
	size_t n_in = parse_hex(json_text(root, "packet"), in, sizeof(in));
	size_t n_out = parse_hex(json_text(root, "packet_out"), out, sizeof(out));
	_cleanup_(freep) char *verdict = text_clean(json_text(root, "verdict")), *reason = NULL;

	print_steps(c, root);
	if (json_get(root, "reason"))
		reason = text_clean(json_text(root, "reason"));
	printf("\nverdict %s%s%s, generation %llu\n", verdict, reason ? ", reason " : "",
	       reason ? reason : "", json_u64(root, "generation"));
	if (n_out == 0)
		return;
	printf("\n%zu bytes would %s (%zu came in):\n", n_out,
	       strcmp(verdict, "XDP_PASS") == 0   ? "go to the host"
	       : strcmp(verdict, "XDP_DROP") == 0 ? "be dropped"
						  : "leave",
	       n_in);
	print_frame(out, n_out, n_out > n_in ? n_out - n_in : 0);
}

int verb_explain(struct lbctl *c)
{
	static const char *const protocols[] = { "tcp", "udp", NULL };
	const char *protocol = c->argument[0];
	bool tcp = strcmp(protocol, "tcp") == 0, syn = option_given(c, OPTION_SYN), agrees;
	char source[80], destination[80], hint[128];
	__u8 source_family, destination_family;
	_cleanup_(reply_done) struct reply reply = { 0 };
	_cleanup_(freep) char *body = NULL;
	struct request request = { .method = "POST", .path = "/v1/explain", .key = "steps" };

	if (!tcp && strcmp(protocol, "udp") != 0)
		return lbctl_usage(c, "the protocol is tcp or udp, not '%s'%s", protocol,
				   lbctl_did_you_mean(protocol, protocols, "", hint));
	if (syn && !tcp)
		return lbctl_usage(c, "udp has no SYN: leave --syn out");
	if (parse_endpoint(c, "source", c->argument[1], source, &source_family) != EXIT_DONE ||
	    parse_endpoint(c, "destination", c->argument[2], destination, &destination_family) != EXIT_DONE)
		return EXIT_WRONG_USAGE;
	if (source_family != destination_family)
		return lbctl_usage(c, "source and destination are of different families: %s, %s", source,
				   destination);
	body = lbctl_format("{\"protocol\":\"%s\",\"source\":\"%s\",\"destination\":\"%s\",\"syn\":%s}",
			    protocol, source, destination, syn ? "true" : "false");
	request.body = body;
	request.length = strlen(body);
	if (agent_ask(c, &request, &reply) != EXIT_DONE)
		return EXIT_FAILED;
	agrees = !cJSON_IsFalse(json_get(reply.root, "agrees"));
	if (c->json)
		reply_print(&reply);
	else
		print_answer(c, reply.root);
	if (!agrees && !c->json)
		lbctl_warn("this is what the agent's packet path does with it, but the interface runs "
			   "another program");
	return agrees ? EXIT_DONE : EXIT_FAILED;
}
