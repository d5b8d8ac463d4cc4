// SPDX-License-Identifier: GPL-2.0-only
/*
 * The promise of docs/architecture.md, tested at random: no planned change moves a flow, whatever changes, in
 * whatever order, however full the flow table is, whoever restarts in between.
 *
 *	property [STEPS [SEED]]        PROPERTY_VERBOSE=1 tells every step
 *
 * Each step is a packet of some flow, a piece of time and sweeping, a change of the configuration, or a
 * restart of the agent. Every packet runs through the packet path; the oracle, which knows flows and changes
 * but neither slots nor entries, says which backends are allowed:
 *
 *   - a packet of a flow goes where the flow's last packet went, unless
 *       the flow was idle for longer than is promised (TCP: idle_timeout; UDP: it must send often enough to
 *be seen twice in a learning window), its backend has died since, or it could not be remembered (UDP in a
 *learning window with a full table; a TCP handshake that was not completed before others needed the place);
 *   - the first packet of a flow goes to the owner of its slot, new or old, or where the same flow went
 *before;
 *   - no packet ever goes to a backend that is down or unknown;
 *   - a packet is dropped only if there is nobody to send it to.
 */
#include <arpa/inet.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lb/hash.h"
#include "lb/slot.h"
#include "client.h"
#include "world.h"

enum { FLOWS = 700, ETHER = 14, FRAME_MAX = 320 };
#define EMBRYONIC_GRACE_S 5u

struct flow {
	__u8 service;
	__u32 address;
	__u16 port, to; /* the client's, the service's */
	bool open;
	bool embryonic; /* only its first packet was sent */
	bool forgotten; /* the last packet could not be remembered */
	__u32 owner;    /* address of the backend that the last packet went to */
	__u32 deaths;   /* of the owner's address, then */
	__u32 seen;     /* clock of the last packet */
	__u32 before;   /* owner of the flow's last life: a stale entry may still name it */
	bool unproven;  /* TCP: the last packet went to base, and nothing knew the flow */
	bool late;      /* and the one before was longer ago than is promised */
	bool dirty; /* not every connection of its addresses and ports ended with a FIN that was noticed */
	struct client client;
};

struct run {
	struct world world;
	struct flow flows[FLOWS];
	__u32 pressed_s; /* clock when the flow table was last nearly full */
	__u64 step, packets, checked, refused, drops, forged, again, violations;
};

/* --- packets ------------------------------------------------------------------------------------- */

/*
 * Its bytes; how many. Most are plain and short, some shorter than anything else that begins as they do, and
 * some have IPv4 options, which other code parses: whatever its form, a packet is its flow's.
 */
static size_t make_frame(struct world *world, const struct flow *flow, __u8 protocol,
			 const struct client_segment *segment, __u8 frame[FRAME_MAX])
{
	__be32 saddr = htonl(flow->address), daddr = htonl(world_vip(flow->service)), number;
	__be16 sport = htons(flow->port), dport = htons(flow->to), length;
	__u32 options = world_random(world, 16) ? 0 : 4 * world_random(world, 11);
	__u32 data = segment ? segment->bytes : world_random(world, 13), header = segment ? 20 : 8;
	__u8 *ip = frame + ETHER, *l4 = ip + 20 + options;

	memset(frame, 0, FRAME_MAX);
	memcpy(frame, "\x02\0\0\0\0\x01\x02\0\0\0\0\x02\x08\0", ETHER);
	ip[0] = (__u8)(0x45 + options / 4);
	length = htons((__u16)(20 + options + header + data));
	memcpy(ip + 2, &length, 2);
	ip[8] = 64;
	ip[9] = protocol;
	memcpy(ip + 12, &saddr, 4);
	memcpy(ip + 16, &daddr, 4);
	memset(ip + 20, 1, options);
	memcpy(l4, &sport, 2);
	memcpy(l4 + 2, &dport, 2);
	if (protocol == IPPROTO_TCP) {
		l4[12] = 0x50;
		l4[13] = segment->flags;
		number = htonl(segment->seq);
		memcpy(l4 + 4, &number, 4);
		number = htonl(segment->ack);
		memcpy(l4 + 8, &number, 4);
	} else {
		length = htons((__u16)(header + data));
		memcpy(l4 + 4, &length, 2);
	}
	return ETHER + 20 + options + header + data;
}

/* Sends a packet (segment: of TCP); the address of the backend that it went to, or 0 if it was dropped. */
static __u32 send_packet(struct run *run, const struct flow *flow, const struct client_segment *segment)
{
	__u8 frame[FRAME_MAX];
	size_t length =
		make_frame(&run->world, flow, run->world.services[flow->service].protocol, segment, frame);
	__be32 to;
	int action;

	action = host_packet(run->world.host, frame, &length, sizeof(frame));
	run->packets++;
	if (action != XDP_TX)
		return 0;
	memcpy(&to, frame + 30, sizeof(to));
	return ntohl(to);
}

static __u32 slot_of(const struct run *run, const struct flow *flow)
{
	__u32 ports = (__u32)htons(flow->port) << 16 | htons(flow->to);
	__u64 hash = lb_hash_v4(run->world.tables.control->hash_seed, htonl(flow->address),
				htonl(world_vip(flow->service)), ports,
				run->world.services[flow->service].protocol);

	return world_slot(&run->world, flow->service, hash);
}

/* --- the oracle ---------------------------------------------------------------------------------- */

static const struct world_address *address_of(const struct run *run, unsigned int service, __u32 address)
{
	for (unsigned int b = 0; b < BACKENDS; b++) {
		for (unsigned int a = 0; a < ADDRESSES; a++) {
			if (address == world_address(service, b, a))
				return &run->world.services[service].addresses[b][a];
		}
	}
	return NULL;
}

static bool anybody_active(const struct run *run, unsigned int service)
{
	for (unsigned int b = 0; b < BACKENDS; b++) {
		const struct world_backend *backend = &run->world.services[service].backends[b];

		if (backend->present && backend->state == LB_STATE_ACTIVE && backend->weight)
			return true;
	}
	return false;
}

static void violation(struct run *run, const struct flow *flow, __u32 went, const char *what)
{
	struct in_addr to = { htonl(went) }, owner = { htonl(flow->owner) };
	__u32 slot = slot_of(run, flow);
	char text[INET_ADDRSTRLEN];

	if (run->violations++ >= 10)
		return;
	inet_ntop(AF_INET, &owner, text, sizeof(text));
	fprintf(stderr,
		"# step %llu, clock %u, flow %td (%s): %s; went to %s, was at %s, seen at %u%s%s; slot cur "
		"%u base %u%s%s\n",
		run->step, world_clock(&run->world), flow - run->flows, flow->service ? "udp" : "tcp", what,
		inet_ntoa(to), text, flow->seen, flow->embryonic ? ", embryonic" : "",
		flow->forgotten ? ", not remembered" : "", lb_slot_cur(slot), lb_slot_base(slot),
		slot & LB_SLOT_UNSETTLED ? ", unsettled" : "", slot & LB_SLOT_LEARNING ? ", learning" : "");
}

/* Whether the flow table is nearly full, or was while what is not proven may have needed it. */
static bool is_pressed(struct run *run)
{
	if (world_entries(&run->world) > WORLD_FLOW_BUCKETS * LB_FLOWS_PER_BUCKET / 2)
		run->pressed_s = world_clock(&run->world);
	return run->pressed_s && world_clock(&run->world) - run->pressed_s <= 3 * WORLD_TCP_IDLE_S;
}

/* Its backend died: its connection is over, whoever gets what it still sends. */
static bool is_orphan(const struct run *run, const struct flow *flow)
{
	const struct world_address *owner = address_of(run, flow->service, flow->owner);

	return flow->open && (!owner || !owner->alive || owner->deaths != flow->deaths);
}

/* Whether the promise holds for a flow's next packet. */
static bool is_bound(const struct run *run, const struct flow *flow, bool pressed)
{
	const struct world_address *owner = address_of(run, flow->service, flow->owner);
	__u32 age = world_clock(&run->world) - flow->seen;
	/* A UDP flow must be seen twice in a learning window, and not be evicted in between. */
	__u32 promised = flow->service ? EMBRYONIC_GRACE_S : WORLD_TCP_IDLE_S;

	if (!flow->open || !owner || !owner->alive || owner->deaths != flow->deaths)
		return false;
	if (flow->embryonic && (age > EMBRYONIC_GRACE_S || (flow->service && pressed)))
		return false;
	return age <= promised && !flow->forgotten && !(flow->unproven && (pressed || flow->late));
}

/* What may be said of any packet. */
static bool check_sane(struct run *run, const struct flow *flow, __u32 went)
{
	const struct world_address *to = address_of(run, flow->service, went);

	if (!went) {
		run->drops++;
		if (anybody_active(run, flow->service)) {
			violation(run, flow, went, "dropped, though somebody is active");
			return false;
		}
		return true;
	}
	if (!to || !to->alive) {
		violation(run, flow, went, "sent to one that is down or unknown");
		return false;
	}
	return true;
}

/* Where a flow's first packet may go. */
static void check_first(struct run *run, const struct flow *flow, __u32 slot, __u32 went)
{
	__u32 cur = world_index_address(&run->world, flow->service, lb_slot_cur(slot));
	__u32 base = world_index_address(&run->world, flow->service, lb_slot_base(slot));

	if (went && went != cur && went != base && went != flow->before)
		violation(run, flow, went, "first packet to neither the new nor the old owner");
}

/* A port that is used again, after all its connections were seen to end: the new one is free to choose. */
static void check_again(struct run *run, const struct flow *flow, __u32 slot, __u32 went)
{
	__u32 cur = world_index_address(&run->world, flow->service, lb_slot_cur(slot));

	run->again++;
	/* Where nobody takes new flows, who took the old ones does. */
	if (went && cur && went != cur)
		violation(run, flow, went, "used its port again, and did not go to the new owner");
}

static void packet(struct run *run, struct flow *flow, bool syn, const struct client_segment *segment)
{
	bool pressed = is_pressed(run), bound = !syn && is_bound(run, flow, pressed);
	bool orphan = is_orphan(run, flow);
	bool fin = segment && segment->flags & CLIENT_FIN, again = syn && !flow->dirty && flow->before;
	__u32 slot = slot_of(run, flow), went;
	__u64 refused = world_refused(&run->world), base = world_base(&run->world);
	const struct world_address *to;

	went = send_packet(run, flow, segment);
	refused = world_refused(&run->world) - refused;
	base = world_base(&run->world) - base;
	run->refused += refused;
	if (run->world.verbose)
		fprintf(stderr, "# %llu: flow %td%s%s seq %u ack %u +%u -> %#x (slot %#x)%s%s\n", run->step,
			flow - run->flows, syn ? " syn" : "", fin ? " fin" : "", segment ? segment->seq : 0,
			segment ? segment->ack : 0, segment ? segment->bytes : 0, went, slot,
			base ? " base" : "", refused ? " refused" : "");
	if (!check_sane(run, flow, went)) {
		flow->open = false;
		flow->dirty = true;
		return;
	}
	if (bound) {
		run->checked++;
		if (went != flow->owner)
			violation(run, flow, went, "moved");
	} else if (syn || !flow->open) {
		check_first(run, flow, slot, went);
	}
	if (again && !pressed)
		check_again(run, flow, slot, went);
	to = address_of(run, flow->service, went);
	flow->embryonic = syn || !flow->open;
	flow->open = went != 0;
	/* Also a SYN: it is with base, which may have been kept for as long as it may be, for flows that were
	 * there from the move on (docs/flow-table.md). One that comes later, from a backend that died or out
	 * of silence, has no time left to be seen twice. */
	flow->forgotten = refused != 0;
	flow->late =
		base && (flow->late || orphan || world_clock(&run->world) - flow->seen > WORLD_TCP_IDLE_S);
	flow->unproven = base != 0;
	flow->owner = went;
	flow->before = went ? went : flow->before;
	flow->deaths = to ? to->deaths : 0;
	flow->seen = world_clock(&run->world);
	if (fin)
		flow->open = false;
	flow->dirty |= pressed || refused;
}

/* --- the run ------------------------------------------------------------------------------------- */

static void step_packet(struct run *run)
{
	/* Busy times fill the flow table beyond what it holds; quiet times let slots settle. */
	static const __u32 active[] = { 60, FLOWS, 20, 200 };
	__u32 n = active[run->step / 20000 % 4];
	struct flow *flow = &run->flows[world_random(&run->world, n)];
	bool tcp = flow->service == 0;
	struct client_segment segment;

	if (!flow->open || (tcp && world_random(&run->world, 60) == 0)) {
		flow->dirty |= flow->open;
		/* A flow that was closed may come again as another one. */
		if (world_random(&run->world, 4)) {
			flow->port = (__u16)(flow->port < 65000 ? flow->port + 1 : 1024);
			flow->before = 0;
			flow->dirty = false;
		}
		flow->open = false;
		segment = client_open(&run->world, &flow->client);
		packet(run, flow, tcp, tcp ? &segment : NULL);
		return;
	}
	if (tcp)
		segment = client_send(&run->world, &flow->client, world_random(&run->world, 30) == 0);
	packet(run, flow, false, tcp ? &segment : NULL);
}

/* A packet that somebody else sent with a client's address and port: wherever it goes, it changes nothing. */
static void step_forge(struct run *run)
{
	static const __u8 flags[] = { CLIENT_SYN,
				      CLIENT_ACK,
				      CLIENT_ACK | CLIENT_FIN,
				      CLIENT_RST,
				      CLIENT_SYN | CLIENT_FIN,
				      CLIENT_SYN | CLIENT_RST,
				      CLIENT_SYN | CLIENT_ACK,
				      CLIENT_RST | CLIENT_ACK };
	struct flow *flow = &run->flows[world_random(&run->world, 30) * 2];
	__u8 what = flags[world_random(&run->world, sizeof(flags))];
	struct client_segment segment = client_forge(&run->world, &flow->client, what);

	(void)send_packet(run, flow, &segment);
	run->forged++;
	/* And what completes the handshake. */
	if (what == CLIENT_SYN && world_random(&run->world, 2)) {
		segment.seq++;
		segment.flags = CLIENT_ACK;
		(void)send_packet(run, flow, &segment);
	}
	flow->dirty = true;
}

/* Handshakes from everywhere that nobody will complete. They may fill the flow table; they may not push out
 * anybody who is established. */
static void step_flood(struct run *run)
{
	__u32 n = world_random(&run->world, 60);

	while (n--) {
		struct flow stranger = { .address = 0xac100000 | world_random(&run->world, 1u << 20),
					 .port = (__u16)world_random(&run->world, 65536),
					 .to = world_random(&run->world, 2) ? WORLD_SHARING_PORT : 80 };
		struct client_segment segment = client_open(&run->world, &stranger.client);
		__u64 refused = world_refused(&run->world);
		__u32 slot = slot_of(run, &stranger), went = send_packet(run, &stranger, &segment);

		run->refused += world_refused(&run->world) - refused;
		if (check_sane(run, &stranger, went))
			check_first(run, &stranger, slot, went);
	}
}

static void step(struct run *run)
{
	__u32 kind = world_random(&run->world, 1000);

	if (kind < 60) {
		world_tick(&run->world);
	} else if (kind < 70) {
		if (run->world.verbose)
			fprintf(stderr, "# %llu: change\n", run->step);
		world_change(&run->world);
	} else if (kind == 70 && world_random(&run->world, 4) == 0) {
		if (run->world.verbose)
			fprintf(stderr, "# %llu: restart\n", run->step);
		world_restart(&run->world);
	} else if (kind < 100 && run->step / 20000 % 2 == 0) {
		step_forge(run);
	} else if (kind < 76 && run->step / 10000 % 3 == 1) {
		step_flood(run);
	} else {
		step_packet(run);
	}
}

int main(int argc, char **argv)
{
	__u64 steps = argc > 1 ? strtoull(argv[1], NULL, 0) : 1000000;
	__u64 seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
	struct run *run = calloc(1, sizeof(*run));
	__u64 violations;

	if (!run)
		return 1;
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("# property STEPS=%llu SEED=%llu\n", steps, seed);
	world_init(&run->world, seed);
	run->world.verbose = getenv("PROPERTY_VERBOSE") != NULL;
	for (unsigned int i = 0; i < FLOWS; i++) {
		run->flows[i] = (struct flow){ .service = i % SERVICES, .address = 0xc6336400 + i };
		run->flows[i].port = (__u16)(1024 + i * 64);
		/* Half of the flows of TCP are of a further service that shares the ring. */
		run->flows[i].to = i % SERVICES == 0 && i / SERVICES % 2 ? WORLD_SHARING_PORT : 80;
	}
	for (run->step = 1; run->step <= steps; run->step++)
		step(run);
	printf("# %llu packets, %llu bound to a backend, %llu not remembered, %llu dropped, %llu forged; "
	       "%llu ports "
	       "used again; %llu commits, %llu restarts\n",
	       run->packets, run->checked, run->refused, run->drops, run->forged, run->again,
	       run->world.commits, run->world.restarts);
	violations = run->violations;
	printf("property: %llu steps, %llu violations\n", steps, violations);
	world_done(&run->world);
	free(run);
	return violations != 0;
}
