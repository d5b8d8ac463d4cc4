/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Makes the first corpus of fuzz_packet: one packet, or a few, of every kind that the packet path knows.
 *
 *	make_corpus DIRECTORY
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frame.h"

#define C4 "198.51.100.7"
#define C6 "2001:db8:c::7"
#define A4 "203.0.113.10"
#define A6 "2001:db8:113::10"
#define E4 "203.0.113.20"
#define F6 "2001:db8:200::9"
#define R4 "192.0.2.99"
#define R6 "2001:db8:99::1"

static const char *directory;

/* One file: packets with their circumstances (fuzz_packet.c), up to a NULL. */
static void save(const char *name, int with, const struct frame *frames[])
{
	char path[512];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "w");
	if (!file) {
		perror(path);
		exit(1);
	}
	for (size_t i = 0; frames[i]; i++) {
		fputc((int)(frames[i]->length >> 8), file);
		fputc((int)(frames[i]->length & 0xff), file);
		fputc(with, file);
		fwrite(frames[i]->bytes, 1, frames[i]->length, file);
	}
	if (fclose(file))
		exit(1);
}
#define SAVE(name, with, ...) save(name, with, (const struct frame *[]){ __VA_ARGS__, NULL })

static void flows(void)
{
	static const __u8 hello[40] = { 22, 3, 1, 0, 75, 1, 0, 0, 71, 3, 3 };

	SAVE("tcp4-handshake", 0, frame(ETH(), IP4(C4, A4), TCP(4000, 80, .flags = TCP_SYN)),
	     frame(ETH(), IP4(C4, A4), TCP(4000, 80)), frame(ETH(), IP4(C4, A4), TCP(4000, 80), DATA(20)),
	     frame(ETH(), IP4(C4, A4), TCP(4000, 80, .flags = TCP_FIN | TCP_ACK)));
	SAVE("tcp4-many", 8, frame(ETH(), IP4(C4, A4), TCP(1, 80, .flags = TCP_SYN)),
	     frame(ETH(), IP4(C4, A4), TCP(2, 80, .flags = TCP_SYN)), frame(ETH(), IP4(C4, A4), TCP(3, 80)),
	     frame(ETH(), IP4(C4, A4), TCP(4, 80)), frame(ETH(), IP4(C4, A4), TCP(5, 80)));
	SAVE("tcp6", 0, frame(ETH(), IP6(C6, A6), TCP(4000, 80, .flags = TCP_SYN)),
	     frame(ETH(), IP6(C6, A6, .tos = 0xb8, .label = 0x12345), TCP(4000, 80), DATA(9)));
	SAVE("udp4-source", 0, frame(ETH(), IP4(C4, A4), UDP(4000, 80), DATA(9), PAD(9)));
	SAVE("udp4-l2", 0, frame(ETH(), IP4(C4, E4), UDP(4000, 5353), DATA(9)));
	SAVE("tcp6-range", 0, frame(ETH(), IP6(C6, F6), TCP(4000, 1500), DATA(9)));
	SAVE("tcp4-down", 0, frame(ETH(), IP4(C4, "203.0.113.30"), TCP(4000, 80)));
	SAVE("linear-14", 0x02, frame(ETH(), IP4(C4, A4), TCP(4000, 80), DATA(9)));
	SAVE("linear-38", 0x82, frame(ETH(), IP6(C6, A6), TCP(4000, 80), DATA(9)));
	SAVE("observed", 0x01, frame(ETH(), IP4(C4, A4), TCP(4000, 80, .seq = 1000, .flags = TCP_SYN)),
	     frame(ETH(), IP4(C4, A4), TCP(4000, 80, .seq = 1000, .flags = TCP_SYN)),
	     frame(ETH(), IP4(C4, A4), TCP(4000, 80, .seq = 1001)),
	     frame(ETH(), IP4(C4, A4), TCP(4000, 80, .seq = 1001), DATA(20)),
	     frame(ETH(), IP4(C4, A4), TCP(4000, 80, .seq = 1001), DATA(20)),
	     frame(ETH(), IP4(C4, A4), TCP(4000, 80, .seq = 1021, .flags = TCP_RST)));
	SAVE("observed-hello", 0x83, frame(ETH(), IP6(C6, A6), TCP(4000, 80, .seq = 1000, .flags = TCP_SYN)),
	     frame(ETH(), IP6(C6, A6), TCP(4000, 80, .seq = 1001), DATA(40, .bytes = hello)),
	     frame(ETH(), IP6(C6, A6), TCP(4000, 80, .seq = 1041), DATA(40, .bytes = hello)),
	     frame(ETH(), IP6(C6, A6), TCP(4000, 80, .seq = 1081, .flags = TCP_FIN | TCP_ACK)));
	SAVE("headroom-none", 0x04, frame(ETH(), IP4(C4, A4), TCP(4000, 80)));
	SAVE("headroom-little", 0x74, frame(ETH(), VLAN(3), IP6(C6, A6), TCP(4000, 80)));
}

static void quic(void)
{
	static const __u8 one[24] = { 0x40, 0x07, 0, 1, 9, 9, 9, 9, 9 },
			  two[24] = { 0x40, 0x27, 0, 2, 9, 9, 9, 9, 9 };
	static const __u8 initial[24] = { 0xc3, 0, 0, 0, 1, 8, 0x07, 0, 1, 7, 7, 7, 7, 7 };

	SAVE("quic-short", 0, frame(ETH(), IP6(C6, A6), UDP(4000, 443), DATA(24, .bytes = one)),
	     frame(ETH(), IP6(C6, A6), UDP(5000, 443), DATA(24, .bytes = two)));
	SAVE("quic-long", 0, frame(ETH(), IP6(C6, A6), UDP(4000, 443), DATA(24, .bytes = initial)));
	SAVE("quic-tagged", 0, frame(ETH(), VLAN(1), IP6(C6, A6), UDP(4000, 443), DATA(24, .bytes = two)));
	SAVE("quic-short-datagram", 0, frame(ETH(), IP6(C6, A6), UDP(4000, 443), DATA(3, .bytes = one)));
}

static void rare(void)
{
	static const __u8 options[12] = { 1, 1, 1, 1, 0x83, 7, 4, 1, 2, 3, 4, 0 };

	SAVE("vlan", 0, frame(ETH(), VLAN(7), IP4(C4, A4), TCP(4000, 80)));
	SAVE("vlan-2", 0, frame(ETH(), VLAN(7, .type = 0x88a8), VLAN(8), IP6(C6, A6), TCP(4000, 80)));
	SAVE("vlan-3", 0, frame(ETH(), VLAN(7), VLAN(8), VLAN(9), IP4(C4, A4), TCP(4000, 80)));
	SAVE("options", 0,
	     frame(ETH(), IP4(C4, A4, .bytes = options, .n = 12), TCP(4000, 80, .bytes = options, .n = 12)));
	SAVE("extensions", 0,
	     frame(ETH(), IP6(C6, A6), EXTENSION(0x100), EXTENSION(43, .n = 24), EXTENSION(60),
		   TCP(4000, 80)));
	SAVE("extensions-many", 0,
	     frame(ETH(), IP6(C6, A6), EXTENSION(60), EXTENSION(60), EXTENSION(60), EXTENSION(60),
		   EXTENSION(60), EXTENSION(60), EXTENSION(60), TCP(4000, 80)));
	SAVE("extension-long", 0, frame(ETH(), IP6(C6, A6), EXTENSION(60, .n = 240), TCP(4000, 80)));
	SAVE("fragments4", 0,
	     frame(ETH(), IP4(C4, A4, .mf = 1, .id = 7), UDP(4000, 80, .length = 40), DATA(8)),
	     frame(ETH(), IP4(C4, A4, .offset = 16, .id = 7, .type = 17), DATA(8)));
	SAVE("fragments4-drop", 0, frame(ETH(), IP4(C4, E4, .offset = 16, .id = 7, .type = 17), DATA(8)),
	     frame(ETH(), IP4(C4, E4, .mf = 1, .id = 7), UDP(4000, 80, .length = 40), DATA(8)),
	     frame(ETH(), VLAN(2), IP4(C4, E4, .offset = 16, .id = 7, .type = 17), DATA(8)));
	SAVE("fragments6", 0xf8, frame(ETH(), IP6(C6, A6), FRAGMENT6(0, 1, 7), TCP(4000, 80), DATA(8)),
	     frame(ETH(), IP6(C6, A6), FRAGMENT6(32, 0, 7, .next = 6), DATA(8)));
	SAVE("fragment6-atomic", 0, frame(ETH(), IP6(C6, A6), FRAGMENT6(0, 0, 7), TCP(4000, 80)));
	SAVE("too-big4", 0, frame(ETH(), IP4(C4, A4), TCP(4000, 80), DATA(1460)));
	SAVE("too-big6", 0, frame(ETH(), VLAN(1), IP6(C6, A6), TCP(4000, 80), DATA(1440)));
	SAVE("jumbo", 0xf2, frame(ETH(), IP4(C4, A4), TCP(4000, 80), DATA(5000)));
}

static void icmp(void)
{
	static const __u8 ports[8] = { 0, 80, 0x0f, 0xa0 };
	static const __u8 handshake[24] = { 0xe3, 0, 0, 0, 1, 4, 1, 2, 3, 4, 8, 0x07, 0, 1, 7, 7, 7, 7, 7 };

	SAVE("echo4", 0, frame(ETH(), IP4(C4, A4), ICMP(8, 0, .word = 1), DATA(20)));
	SAVE("echo6", 0, frame(ETH(), IP6(C6, A6), ICMP(128, 0, .word = 1), DATA(20)));
	SAVE("unreachable4", 0, frame(ETH(), IP4(R4, A4), ICMP(3, 1), IP4(A4, C4), TCP(80, 4000)));
	SAVE("needed4", 0,
	     frame(ETH(), IP4(R4, A4), ICMP(3, 4, .word = 1400), IP4(A4, C4, .length = 1500, .type = 6),
		   DATA(8, .bytes = ports)));
	SAVE("needed4-silly", 0,
	     frame(ETH(), IP4(R4, A4), ICMP(3, 4, .word = 68), IP4(A4, C4), TCP(80, 4000)));
	SAVE("too-big6-error", 0,
	     frame(ETH(), IP6(R6, A6), ICMP(2, 0, .word = 1280), IP6(A6, C6), TCP(80, 4000)));
	SAVE("exceeded6", 0,
	     frame(ETH(), IP6(R6, A6), EXTENSION(60), ICMP(3, 0), IP6(A6, C6), EXTENSION(60),
		   FRAGMENT6(0, 1, 3), UDP(443, 4000)));
	SAVE("exceeded6-quic", 0,
	     frame(ETH(), IP6(R6, A6), ICMP(3, 0), IP6(A6, C6), UDP(443, 4000),
		   DATA(24, .bytes = handshake)));
	SAVE("solicitation", 0, frame(ETH(), IP6(C6, A6), ICMP(135, 0), DATA(24)));
}

static void others(void)
{
	SAVE("arp", 0, frame(ETH(.type = 0x0806), DATA(46)));
	SAVE("broadcast", 0, frame(ETH(.to = "ff:ff:ff:ff:ff:ff"), IP4(C4, A4), UDP(4000, 80)));
	SAVE("not-for-us", 0, frame(ETH(), IP4(C4, "192.0.2.5"), TCP(4000, 22)));
	SAVE("gre", 0, frame(ETH(), IP4(C4, A4, .type = 47), DATA(20)));
	SAVE("lie-ihl", 0, frame(ETH(), IP4(C4, A4, .ihl = 4), TCP(4000, 80)));
	SAVE("lie-length", 0, frame(ETH(), IP4(C4, A4, .length = 41), TCP(4000, 80)));
	SAVE("lie-doff", 0, frame(ETH(), IP4(C4, A4), TCP(4000, 80, .doff = 6)));
	SAVE("lie-udp", 0, frame(ETH(), IP4(C4, A4), UDP(4000, 80, .length = 7)));
	SAVE("lie-payload", 0, frame(ETH(), IP6(C6, A6, .length = 21), TCP(4000, 80)));
	SAVE("ttl", 0, frame(ETH(), IP4(C4, A4, .ttl = 1), TCP(4000, 80)),
	     frame(ETH(), IP6(C6, A6, .ttl = 1), TCP(4000, 80)));
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
		return 2;
	}
	directory = argv[1];
	flows();
	quic();
	rare();
	icmp();
	others();
	return 0;
}
