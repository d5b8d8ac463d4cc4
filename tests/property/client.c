// SPDX-License-Identifier: GPL-2.0-only
/* See client.h. Bytes per packet are few, so that what is far off is far off by loss and not by volume. */
#include "client.h"

enum { BYTES_MAX = 120 };

struct client_segment client_open(struct world *world, struct client *client)
{
	__u32 isn = world_random(world, 0xffffffff),
	      data = world_random(world, 10) ? 0 : world_random(world, BYTES_MAX);

	*client =
		(struct client){ .next = isn + 1, .ack = world_random(world, 0xffffffff), .syn_sent = true };
	/* TCP Fast Open: the server may take the data, or not. */
	if (world_random(world, 2)) {
		client->next += data;
		client->sent += data;
	}
	return (struct client_segment){ .seq = isn, .bytes = data, .flags = CLIENT_SYN };
}

static struct client_segment at(const struct client *client, __u32 seq, __u32 bytes)
{
	return (struct client_segment){ seq, client->ack, bytes, CLIENT_ACK };
}

/* Something that was sent before, or nothing, beside the stream. */
static struct client_segment send_beside(struct world *world, struct client *client)
{
	__u32 back = client->sent ? world_random(world, client->sent < 100000 ? client->sent : 100000) : 0;
	__u32 bytes = world_random(world, BYTES_MAX);

	switch (world_random(world, 3)) {
	case 0: /* a keepalive probe, with its byte or without (RFC 1122 4.2.3.6) */
		return at(client, client->next - 1, world_random(world, 2));
	case 1: /* a repetition */
		return at(client, client->next - back, bytes < back ? bytes : back);
	default:
		return at(client, client->next, 0);
	}
}

/* What lies in a gap, whole. */
static struct client_segment fill_gap(struct client *client)
{
	struct client_segment segment = at(client, client->gap_at, client->gap);

	client->gap = 0;
	return segment;
}

struct client_segment client_send(struct world *world, struct client *client, bool fin)
{
	__u32 kind = world_random(world, 20),
	      bytes = world_random(world, 3) ? world_random(world, BYTES_MAX) : 0;
	struct client_segment segment;

	if (client->gap && (fin || kind < 12))
		return fill_gap(client);
	/* Downloads: small answers are acknowledged, large ones, and very large ones of which much was lost.
	 */
	client->ack += world_random(world, 3000);
	if (!world_random(world, 50))
		client->ack += world_random(world, 3u << 20);
	if (!client->syn_sent && !fin && kind >= 17)
		return send_beside(world, client);
	if (!client->syn_sent && !fin && !client->gap && kind == 16) {
		/* This one is lost before it comes here, or comes later. */
		client->gap_at = client->next;
		client->gap = 1 + world_random(world, BYTES_MAX);
		client->next += client->gap;
		client->sent += client->gap;
	}
	segment = at(client, client->next, bytes);
	client->syn_sent = false;
	client->next += bytes;
	client->sent += bytes;
	if (fin)
		segment.flags |= CLIENT_FIN;
	return segment;
}

struct client_segment client_forge(struct world *world, const struct client *client, __u8 flags)
{
	__u32 off = 0x40000000u + world_random(world, 0x80000000u);

	return (struct client_segment){ .seq = client->next + off,
					.ack = world_random(world, 0xffffffff),
					.bytes = flags & CLIENT_SYN ? 0 : world_random(world, BYTES_MAX),
					.flags = flags };
}
