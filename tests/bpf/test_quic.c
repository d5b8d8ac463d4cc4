/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * QUIC by connection ID (QUIC-LB, plain text): long and short headers, two configurations at once, IDs that a
 * client chose, migration. Backend n has server ID 0n.
 */
#include "tunnel.h"

static const char service_2_bytes[] =
	"{'name':'web','vip':'" VIP4 "','protocol':'udp','port':80,'ring_size':64,'affinity':'quic',"
	"'quic':{'configs':[{'rotation':2,'server_id_bytes':2},{'rotation':5,'server_id_bytes':2}]},'"
	"backends':["
	"{'name':'b1','address':'10.0.1.1','server_id':'aa01'},{'name':'b2','address':'10.0.1.2','server_id':"
	"'aa02'},"
	"{'name':'b3','address':'10.0.1.3','server_id':'aa03'}]}";

/* A datagram's payload: a short header, or a long one, with a connection ID of n bytes. */
struct payload {
	__u8 bytes[64];
	int n;
};

static struct payload short_header(int rotation, const __u8 *server_id, int n)
{
	struct payload p = { .n = 40 };

	for (int i = 0; i < 64; i++)
		p.bytes[i] = (__u8)(i * 3 + 0x11);
	p.bytes[0] = 0x40;
	p.bytes[1] = (__u8)(rotation << 5 | 7);
	memcpy(p.bytes + 2, server_id, (size_t)n);
	return p;
}

static struct payload long_header(int rotation, const __u8 *server_id, int n, int id_bytes)
{
	struct payload p = short_header(rotation, server_id, n);

	memmove(p.bytes + 6, p.bytes + 1, 20);
	memcpy(p.bytes, "\xc3\0\0\0\x01", 5);
	p.bytes[5] = (__u8)id_bytes;
	return p;
}

static int taken_from(struct rig *rig, const char *client, int sport, const struct payload *p)
{
	rig_expect(rig, frame(ETH(), IP4(client, VIP4), UDP(sport, 80), DATA(p->n, .bytes = p->bytes)),
		   XDP_TX, 0, NULL, __FILE__, __LINE__);
	return rig_backend_taken(rig);
}

static void connection_id_names_the_backend(void **state)
{
	struct rig *rig = *state;
	const int rotations[] = { 2, 5 };

	rig_services(rig, service_2_bytes);
	for (int r = 0; r < 2; r++) {
		for (int n = 1; n <= 3; n++) {
			const __u8 id[2] = { 0xaa, (__u8)n };
			struct payload s = short_header(rotations[r], id, 2),
				       l = long_header(rotations[r], id, 2, 8);

			/* From wherever: the client may move. */
			for (int i = 0; i < 20; i++) {
				char client[32];

				snprintf(client, sizeof(client), "198.51.100.%d", i);
				assert_int_equal(taken_from(rig, client, 1000 + i, &s), n);
				assert_int_equal(taken_from(rig, client, 1000 + i, &l), n);
			}
		}
	}
}

/* Routed by the flow hash: the same for one flow, spread over all. */
static void by_the_flow(struct rig *rig, const struct payload *p)
{
	struct payload plain = { .n = 3 };
	int seen[4] = {};

	for (int i = 0; i < 60; i++) {
		int taken = taken_from(rig, CLIENT4, 2000 + i, p);

		assert_int_equal(taken_from(rig, CLIENT4, 2000 + i, p), taken);
		assert_int_equal(taken_from(rig, CLIENT4, 2000 + i, &plain), taken);
		seen[taken]++;
	}
	assert_true(seen[1] > 5 && seen[2] > 5 && seen[3] > 5);
}

static void other_connection_ids_go_by_the_flow(void **state)
{
	struct rig *rig = *state;
	const __u8 known[2] = { 0xaa, 1 }, unknown[2] = { 0xbb, 1 };
	struct payload p;

	rig_services(rig, service_2_bytes);
	p = short_header(3, known, 2); /* no such configuration */
	by_the_flow(rig, &p);
	p = short_header(7, known, 2); /* what a server without configuration uses */
	by_the_flow(rig, &p);
	p = short_header(2, unknown, 2);
	by_the_flow(rig, &p);
	p = long_header(2, known, 2, 2); /* too short to hold a server ID */
	by_the_flow(rig, &p);
	p = long_header(2, known, 2, 0);
	by_the_flow(rig, &p);
}

static void datagrams_too_short_for_an_id(void **state)
{
	struct rig *rig = *state;
	const __u8 id[2] = { 0xaa, 1 };
	struct payload p = short_header(2, id, 2);

	rig_services(rig, service_2_bytes);
	for (p.n = 0; p.n < 15; p.n++)
		(void)taken_from(rig, CLIENT4, 3000, &p);
	/* What lies behind the datagram is not part of it. */
	p.n = 0;
	int by_flow = taken_from(rig, CLIENT4, 3000, &p);
	for (int n = 1; n <= 3; n++) {
		const __u8 other[2] = { 0xaa, (__u8)n };
		struct payload padding = short_header(2, other, 2);

		expect_tx(rig,
			  frame(ETH(), IP4(CLIENT4, VIP4), UDP(3000, 80), PAD(30, .bytes = padding.bytes)),
			  NULL);
		assert_int_equal(rig_backend_taken(rig), by_flow);
		expect_tx(rig,
			  frame(ETH(), IP4(CLIENT4, VIP4), UDP(3000, 80, .length = 8),
				DATA(30, .bytes = padding.bytes)),
			  NULL);
		assert_int_equal(rig_backend_taken(rig), by_flow);
	}
}

static void every_length_of_server_id(void **state)
{
	struct rig *rig = *state;

	for (int bytes = 1; bytes <= 8; bytes++) {
		char text[1024];
		const __u8 first[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
		__u8 second[8];
		int n = snprintf(text, sizeof(text),
				 "{'name':'web','vip':'" VIP4
				 "','protocol':'udp','port':80,'ring_size':64,'affinity':'quic',"
				 "'quic':{'configs':[{'rotation':0,'server_id_bytes':%d}]},'backends':["
				 "{'name':'b1','address':'10.0.1.1','server_id':'",
				 bytes);

		memcpy(second, first, 8);
		second[bytes - 1] ^= 0x80;
		for (int i = 0; i < bytes; i++)
			n += sprintf(text + n, "%02x", first[i]);
		n += sprintf(text + n, "'},{'name':'b2','address':'10.0.1.2','server_id':'");
		for (int i = 0; i < bytes; i++)
			n += sprintf(text + n, "%02x", second[i]);
		sprintf(text + n, "'}]}");
		rig_services(rig, text);
		for (int which = 1; which <= 2; which++) {
			const __u8 *id = which == 1 ? first : second;
			struct payload s = short_header(0, id, bytes),
				       l = long_header(0, id, bytes, bytes + 1);

			for (int sport = 1; sport < 20; sport++) {
				assert_int_equal(taken_from(rig, CLIENT4, sport, &s), which);
				assert_int_equal(taken_from(rig, CLIENT4, sport, &l), which);
			}
		}
	}
}

static void a_dead_backend_is_not_routed_to(void **state)
{
	struct rig *rig = *state;
	const __u8 id[2] = { 0xaa, 2 };
	struct payload p = short_header(2, id, 2);

	rig_services(rig, service_2_bytes);
	assert_int_equal(taken_from(rig, CLIENT4, 1, &p), 2);
	for (int i = 0; i < 3; i++)
		if (rig_backend(rig, "web", (__u32)i)->ip[19] == 2)
			rig_backend(rig, "web", (__u32)i)->flags |= LB_BACKEND_DEAD;
	rig_fill_slots(rig, "web", 0);
	assert_int_not_equal(taken_from(rig, CLIENT4, 1, &p), 2);
}

/* Behind a tag, IP options, and an IPv6 extension header: the ID is where the datagram is. */
static void on_the_slow_path(void **state)
{
	struct rig *rig = *state;
	__u8 options[8] = { 1, 1, 1, 1, 1, 1, 1, 0 };

	for (int n = 1; n <= 3; n++) {
		const __u8 id[2] = { 0xaa, (__u8)n };
		struct payload p = short_header(5, id, 2);

		rig_services(rig, service_2_bytes);
		for (int sport = 1; sport < 20; sport++) {
			expect_tx(rig,
				  frame(ETH(), VLAN(1), IP4(CLIENT4, VIP4), UDP(sport, 80),
					DATA(p.n, .bytes = p.bytes)),
				  NULL);
			assert_int_equal(rig_backend_taken(rig), n);
			expect_tx(rig,
				  frame(ETH(), IP4(CLIENT4, VIP4, .bytes = options, .n = 8), UDP(sport, 80),
					DATA(p.n, .bytes = p.bytes)),
				  NULL);
			assert_int_equal(rig_backend_taken(rig), n);
		}
	}
}

/* What a server sends during the handshake: the client's ID first, then its own. */
static struct payload from_server(int rotation, const __u8 *server_id, int n, int client_id_bytes)
{
	struct payload own = short_header(rotation, server_id, n), p = { .n = 7 + client_id_bytes + 8 };

	memset(p.bytes, 0xa5, sizeof(p.bytes));
	memcpy(p.bytes, "\xe3\0\0\0\x01", 5);
	p.bytes[5] = (__u8)client_id_bytes;
	p.bytes[6 + client_id_bytes] = 8;
	memcpy(p.bytes + 7 + client_id_bytes, own.bytes + 1, 8);
	return p;
}

/* Where an error goes that quotes the first so many bytes of a datagram of the server to the client. */
static int error_goes_to(struct rig *rig, int sport, const struct payload *p, int quoted)
{
	expect_tx(rig,
		  frame(ETH(), IP4("192.0.2.99", VIP4), ICMP(3, 4, .word = 1400), IP4(VIP4, CLIENT4),
			UDP(80, sport, .length = 8 + p->n), DATA(quoted, .bytes = p->bytes)),
		  NULL);
	return rig_backend_taken(rig);
}

static void errors_go_by_the_servers_id(void **state)
{
	struct rig *rig = *state;
	const int client_id_bytes[] = { 0, 4, 8, 20 };
	struct payload plain = { .n = 3 };

	rig_services(rig, service_2_bytes);
	for (int n = 1; n <= 3; n++) {
		const __u8 id[2] = { 0xaa, (__u8)n };

		for (int i = 0; i < 4; i++) {
			struct payload p = from_server(2, id, 2, client_id_bytes[i]);

			for (int sport = 1; sport < 20; sport++) {
				/* Up to the server ID is enough. */
				assert_int_equal(error_goes_to(rig, sport, &p, p.n), n);
				assert_int_equal(error_goes_to(rig, sport, &p, p.n - 5), n);
			}
		}
	}
	/* Without it, the error goes where a packet without an ID goes. */
	for (int sport = 1; sport < 60; sport++) {
		const __u8 id[2] = { 0xaa, (__u8)(sport % 3 + 1) }, unknown[2] = { 0xbb, 1 };
		int by_flow = taken_from(rig, CLIENT4, sport, &plain);
		struct payload p = from_server(2, id, 2, 8);

		for (int quoted = 0; quoted < p.n - 5; quoted++)
			assert_int_equal(error_goes_to(rig, sport, &p, quoted), by_flow);
		p.n -= 6; /* what is behind the datagram is not part of it (RFC 4884) */
		assert_int_equal(error_goes_to(rig, sport, &p, 40), by_flow);
		p.n += 6;
		p.bytes[6 + 8] = 2; /* an ID that is too short */
		assert_int_equal(error_goes_to(rig, sport, &p, p.n), by_flow);
		p = from_server(3, id, 2, 8);
		assert_int_equal(error_goes_to(rig, sport, &p, p.n), by_flow);
		p = from_server(2, unknown, 2, 8);
		assert_int_equal(error_goes_to(rig, sport, &p, p.n), by_flow);
		p = from_server(2, id, 2, 8);
		p.bytes[5] = 255;
		assert_int_equal(error_goes_to(rig, sport, &p, p.n), by_flow);
		/* A short header from the server has the client's ID, whatever it looks like. */
		p = short_header(2, id, 2);
		assert_int_equal(error_goes_to(rig, sport, &p, p.n), by_flow);
	}
}

static void errors_do_not_go_to_the_dead(void **state)
{
	struct rig *rig = *state;
	const __u8 id[2] = { 0xaa, 2 };
	struct payload p = from_server(2, id, 2, 8);

	rig_services(rig, service_2_bytes);
	assert_int_equal(error_goes_to(rig, 1, &p, p.n), 2);
	for (int i = 0; i < 3; i++)
		if (rig_backend(rig, "web", (__u32)i)->ip[19] == 2)
			rig_backend(rig, "web", (__u32)i)->flags |= LB_BACKEND_DEAD;
	rig_fill_slots(rig, "web", 0);
	assert_int_not_equal(error_goes_to(rig, 1, &p, p.n), 2);
}

/* Behind extension headers of the quoted packet, under every length of a server ID. */
static void errors_of_ipv6(void **state)
{
	struct rig *rig = *state;

	for (int bytes = 1; bytes <= 8; bytes++) {
		char text[1024];
		int n = snprintf(text, sizeof(text),
				 "{'name':'web','vip':'" VIP6
				 "','protocol':'udp','port':80,'ring_size':64,'affinity':'quic',"
				 "'quic':{'configs':[{'rotation':4,'server_id_bytes':%d}]},'backends':["
				 "{'name':'b1','address':'fd00::1','server_id':'%0*x'},"
				 "{'name':'b2','address':'fd00::2','server_id':'%0*x'}]}",
				 bytes, 2 * bytes, 1, 2 * bytes, 2);

		assert_true(n < (int)sizeof(text));
		rig_services(rig, text);
		for (int sport = 1; sport < 40; sport++) {
			int which = sport % 2 + 1;
			struct payload p = from_server(4, (const __u8[8]){}, 0, 3);

			memset(p.bytes + 7 + 3 + 1, 0, (size_t)bytes);
			p.bytes[7 + 3 + bytes] = (__u8)which;
			p.bytes[6 + 3] = (__u8)(bytes + 1);
			p.n = 7 + 3 + 1 + bytes;
			expect_tx(rig,
				  frame(ETH(), VLAN(7), IP6("2001:db8:99::1", VIP6), EXTENSION(60),
					ICMP(2, 0, .word = 1300), IP6(VIP6, CLIENT6), EXTENSION(60),
					UDP(80, sport), DATA(p.n, .bytes = p.bytes)),
				  NULL);
			assert_int_equal(rig_backend_taken(rig), which);
		}
	}
}

static const struct CMUnitTest tests[] = {
	RIG_TEST(connection_id_names_the_backend),
	RIG_TEST(other_connection_ids_go_by_the_flow),
	RIG_TEST(datagrams_too_short_for_an_id),
	RIG_TEST(every_length_of_server_id),
	RIG_TEST(a_dead_backend_is_not_routed_to),
	RIG_TEST(on_the_slow_path),
	RIG_TEST(errors_go_by_the_servers_id),
	RIG_TEST(errors_do_not_go_to_the_dead),
	RIG_TEST(errors_of_ipv6),
};

RIG_MAIN(tests, rig_setup)
