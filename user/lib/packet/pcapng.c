// SPDX-License-Identifier: GPL-2.0-only
/*
 * pcapng. A block is its type, its length, the body, options, and the length again; everything is padded to
 * four bytes. Block and option numbers are the draft's.
 */
#include "packet/pcapng.h"

#include <errno.h>
#include <string.h>

#define BLOCK_SECTION    0x0a0d0d0au
#define BLOCK_INTERFACE  1u
#define BLOCK_STATISTICS 5u
#define BLOCK_PACKET     6u
#define BYTE_ORDER_MAGIC 0x1a2b3c4du
#define LINK_ETHERNET    1u
#define NS_PER_S_DIGITS  9

enum {
	OPTION_END = 0,
	OPTION_COMMENT = 1,
	SECTION_APPLICATION = 4,
	INTERFACE_NAME = 2,
	INTERFACE_DESCRIPTION = 3,
	INTERFACE_RESOLUTION = 9,
	PACKET_FLAGS = 2,
	PACKET_ID = 5,
	PACKET_VERDICT = 7,
	STATISTICS_START = 2,
	STATISTICS_END = 3,
	STATISTICS_RECEIVED = 4,
	STATISTICS_DROPPED = 5,
};
#define FLAG_INBOUND  1u
#define FLAG_OUTBOUND 2u
#define VERDICT_XDP   2u

/* A block being written; length goes on past the room, so that one look at the end is enough. */
struct block {
	unsigned char *to;
	size_t room, length;
};

static void put(struct block *block, const void *data, size_t bytes)
{
	static const unsigned char zero[4];
	size_t pad = -bytes & 3;

	if (block->length + bytes + pad <= block->room) {
		if (bytes)
			memcpy(block->to + block->length, data, bytes);
		memcpy(block->to + block->length + bytes, zero, pad);
	}
	block->length += bytes + pad;
}

static void put32(struct block *block, __u32 value)
{
	put(block, &value, sizeof(value));
}

static void put_option(struct block *block, __u16 code, const void *data, size_t bytes)
{
	__u16 head[2] = { code, (__u16)bytes };

	put(block, head, sizeof(head));
	put(block, data, bytes);
}

/* Longer ones are cut: an option's length has 16 bits, a block should not be all comment. */
static void put_text(struct block *block, __u16 code, const char *text)
{
	if (text && *text)
		put_option(block, code, text, strnlen(text, 1024));
}

/* Times are two words, the high one first, whatever the byte order. */
static void put_time(struct block *block, __u16 code, __u64 time_ns)
{
	__u32 words[2] = { (__u32)(time_ns >> 32), (__u32)time_ns };

	if (code)
		put_option(block, code, words, sizeof(words));
	else
		put(block, words, sizeof(words));
}

static struct block begin(void *to, size_t room, __u32 type)
{
	struct block block = { .to = to, .room = room };

	put32(&block, type);
	put32(&block, 0);
	return block;
}

static size_t end(struct block *block)
{
	__u32 length;

	put_option(block, OPTION_END, NULL, 0);
	length = (__u32)(block->length + sizeof(length));
	put32(block, length);
	if (block->length > block->room)
		return 0;
	memcpy(block->to + 4, &length, sizeof(length));
	return block->length;
}

size_t lb_pcapng_section(void *to, size_t room, const char *application)
{
	struct block block = begin(to, room, BLOCK_SECTION);
	static const __u16 version[2] = { 1, 0 };
	static const __u64 unknown_length = ~0ull;

	put32(&block, BYTE_ORDER_MAGIC);
	put(&block, version, sizeof(version));
	put(&block, &unknown_length, sizeof(unknown_length));
	put_text(&block, SECTION_APPLICATION, application);
	return end(&block);
}

size_t lb_pcapng_interface(void *to, size_t room, const char *name, const char *description, __u32 snap_bytes)
{
	struct block block = begin(to, room, BLOCK_INTERFACE);
	static const __u16 link[2] = { LINK_ETHERNET, 0 };
	static const __u8 resolution = NS_PER_S_DIGITS;

	put(&block, link, sizeof(link));
	put32(&block, snap_bytes);
	put_text(&block, INTERFACE_NAME, name);
	put_text(&block, INTERFACE_DESCRIPTION, description);
	put_option(&block, INTERFACE_RESOLUTION, &resolution, sizeof(resolution));
	return end(&block);
}

size_t lb_pcapng_packet(void *to, size_t room, const struct lb_pcapng_packet *packet)
{
	struct block block = begin(to, room, BLOCK_PACKET);
	__u32 flags = packet->outbound ? FLAG_OUTBOUND : FLAG_INBOUND;
	__u64 action = (__u64)packet->xdp_verdict;
	unsigned char verdict[9] = { VERDICT_XDP };

	put32(&block, packet->interface);
	put_time(&block, 0, packet->time_ns);
	put32(&block, packet->bytes);
	put32(&block, packet->frame_bytes);
	put(&block, packet->data, packet->bytes);
	put_option(&block, PACKET_FLAGS, &flags, sizeof(flags));
	put_option(&block, PACKET_ID, &packet->id, sizeof(packet->id));
	memcpy(verdict + 1, &action, sizeof(action));
	put_option(&block, PACKET_VERDICT, verdict, sizeof(verdict));
	put_text(&block, OPTION_COMMENT, packet->comment);
	return end(&block);
}

size_t lb_pcapng_statistics(void *to, size_t room, const struct lb_pcapng_statistics *statistics)
{
	struct block block = begin(to, room, BLOCK_STATISTICS);

	put32(&block, statistics->interface);
	put_time(&block, 0, statistics->end_ns);
	put_time(&block, STATISTICS_START, statistics->start_ns);
	put_time(&block, STATISTICS_END, statistics->end_ns);
	put_option(&block, STATISTICS_RECEIVED, &statistics->received, sizeof(statistics->received));
	put_option(&block, STATISTICS_DROPPED, &statistics->dropped, sizeof(statistics->dropped));
	return end(&block);
}

static __u32 word(const struct lb_pcapng_scan *scan, size_t at)
{
	__u32 value;

	memcpy(&value, scan->block + at, sizeof(value));
	return value;
}

static void scan_statistics(struct lb_pcapng_scan *scan)
{
	size_t at = 20;

	while (at + 4 <= scan->kept) {
		__u16 head[2];
		__u64 value;

		memcpy(head, scan->block + at, sizeof(head));
		if (head[0] == OPTION_END || at + 4 + head[1] > scan->kept)
			break;
		memcpy(&value, scan->block + at + 4, head[1] == sizeof(value) ? sizeof(value) : 0);
		if (head[0] == STATISTICS_RECEIVED && head[1] == sizeof(value))
			scan->received = value;
		if (head[0] == STATISTICS_DROPPED && head[1] == sizeof(value))
			scan->dropped = value;
		at += 4 + ((head[1] + 3u) & ~3u);
	}
	scan->statistics = true;
}

static void scan_block(struct lb_pcapng_scan *scan)
{
	__u32 type = word(scan, 0);

	if (scan->kept < 12 || (type != BLOCK_PACKET && type != BLOCK_STATISTICS) || word(scan, 8) != 0)
		return;
	if (type == BLOCK_PACKET)
		scan->packets++;
	else
		scan_statistics(scan);
}

int lb_pcapng_scan(struct lb_pcapng_scan *scan, const void *data, size_t bytes)
{
	const unsigned char *from = data;

	while (bytes) {
		size_t length = scan->have < 8 ? 8 : word(scan, 4), n = length - scan->have;

		if (n > bytes)
			n = bytes;
		if (scan->kept < sizeof(scan->block)) {
			size_t keep = sizeof(scan->block) - scan->kept;

			keep = n < keep ? n : keep;
			memcpy(scan->block + scan->kept, from, keep);
			scan->kept += keep;
		}
		scan->have += n;
		from += n;
		bytes -= n;
		if (scan->have == 8 && length == 8) {
			length = word(scan, 4);
			if (length < 12 || length % 4 || (!scan->begun && word(scan, 0) != BLOCK_SECTION))
				return -EINVAL;
			scan->begun = true;
		}
		if (scan->have < 8 || scan->have < length)
			continue;
		scan_block(scan);
		scan->have = scan->kept = 0;
	}
	return 0;
}
