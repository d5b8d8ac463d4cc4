// SPDX-License-Identifier: GPL-2.0-only
/*
 * The loop. Who is master is read from the wire: the one that sends VRRP advertisements. An advertisement of
 * our own that leaves by the interface says that keepalived lives, runs, and is master, all at once, and that
 * is worth leadership for a little less time than it takes others to miss it. A notification could say less:
 * it is silent when keepalived is killed or frozen, and when a master stays master although another one was
 * heard.
 *
 * The LAN is told where VIPs are when leadership begins, when it was in doubt, and now and then.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "announce/gratuitous.h"
#include "announce/vrrp.h"
#include "lb-neighbor/lb-neighbor.h"
#include "lb-neighbor/groups.h"
#include "lb-neighbor/lead_file.h"

#define TURN_MS      50
#define LOOK_MS      500   /* for another table */
#define REPEAT_MS    10000 /* announcements while nothing happens */
#define DOUBT_MS     1000  /* between two rounds of announcements because of others */
#define PACKET_BYTES 2048
#define PACKETS_MAX  64 /* of one turn */
#define WARN_MS      60000

/* When leadership begins: at once, and again for those who missed it. */
static const __u32 burst_ms[] = { 0, 100, 400, 1000, 2000 };
#define BURST (sizeof(burst_ms) / sizeof(*burst_ms))

/* Of one group. */
struct election {
	bool led;
	__u64 heard;        /* as the table had it last */
	size_t burst;       /* announcements of the round that were made; BURST: it is over */
	__u64 round_ns;     /* when the round began */
	__u64 contested_ns; /* when another master was heard; 0: not since the last round */
	__u64 warned_ns;
	int fitness; /* as keepalived was told; 1: it was not */
	struct lead_file file;
	bool by_file; /* that rules, and not keepalived */
};

struct runner {
	const struct options *options;
	struct table table;
	struct groups groups;
	struct election election[LB_NEIGHBOR_GROUPS];
	int packets, signals;
	__u32 changes;
	bool missing; /* the table; told */
	bool renewed; /* the table is another one */
};

/* Advertisements, of either family; one's own as well. */
static int attach_filter(int fd)
{
	static struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IP, 0, 2),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, ETH_HLEN + 9),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, LB_VRRP_PROTOCOL, 3, 4),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IPV6, 0, 3),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, ETH_HLEN + 6),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, LB_VRRP_PROTOCOL, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, PACKET_BYTES),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	const struct sock_fprog program = { sizeof(code) / sizeof(*code), code };

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
}

static int open_packets(struct runner *runner)
{
	struct sockaddr_ll everything = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };

	/* The filter before the first packet. */
	runner->packets = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (runner->packets < 0 || attach_filter(runner->packets) < 0 ||
	    bind(runner->packets, (struct sockaddr *)&everything, sizeof(everything)) < 0)
		return -errno;
	return 0;
}

static int open_signals(struct runner *runner)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	runner->signals = signalfd(-1, &set, SFD_CLOEXEC);
	return runner->signals < 0 ? -errno : 0;
}

/* --- what keepalived reads -------------------------------------------------------------------------------
 */

static void write_fitness(struct runner *runner, unsigned int number, int fitness)
{
	struct election *election = &runner->election[number];
	char path[PATH_MAX];
	FILE *file;

	if (election->fitness == fitness)
		return;
	snprintf(path, sizeof(path), "%s/group-%u", runner->options->run_dir, number);
	file = fopen(path, "we");
	if (!file || fprintf(file, "%d\n", fitness) < 0 || fclose(file) != 0) {
		say(3, "event=fitness group=%u error=\"cannot write %s: %s\"", number, path, strerror(errno));
		return;
	}
	say(6, "event=fitness group=%u fitness=%d", number, fitness);
	election->fitness = fitness;
}

static void update_fitness(struct runner *runner)
{
	const struct lb_neighbors *all = runner->table.all;

	for (unsigned int i = 1; i < LB_NEIGHBOR_GROUPS; i++) {
		bool used = all && LB_LOAD(&all->group[i].ifindex);

		if (used || runner->election[i].fitness != 1)
			write_fitness(runner, i, used ? lb_neighbors_fitness(all, (__u8)i) : LB_FITNESS_NONE);
	}
}

/* --- what the LAN is told --------------------------------------------------------------------------------
 */

static int announce(struct runner *runner, unsigned int number)
{
	struct lb_neighbors *all = runner->table.all;
	const struct lb_neighbor_group *group = &all->group[number];
	struct sockaddr_ll to = { .sll_family = AF_PACKET,
				  .sll_ifindex = (int)group->ifindex,
				  .sll_halen = ETH_ALEN };
	int n = 0;

	for (unsigned int i = 0; i < LB_NEIGHBOR_PLACES; i++) {
		const struct lb_neighbor_vip *vip = &all->place[i];
		__u8 frame[LB_GRATUITOUS_MAX];
		struct lb_address address;
		size_t length;

		if (!(LB_LOAD(&vip->flags) & LB_NEIGHBOR_SERVING) || vip->group != number)
			continue;
		lb_neighbor_address(vip, &address);
		length = lb_gratuitous_frame(&address, group->mac, frame);
		n += sendto(runner->packets, frame, length, 0, (struct sockaddr *)&to, sizeof(to)) ==
		     (ssize_t)length;
	}
	return n;
}

static void begin_round(struct election *election, __u64 now)
{
	election->burst = 0;
	election->round_ns = now;
	election->contested_ns = 0;
}

static void announce_when_due(struct runner *runner, unsigned int number, __u64 now)
{
	struct election *election = &runner->election[number];

	if (election->burst < BURST && now >= election->round_ns + burst_ms[election->burst] * NS_PER_MS) {
		int n = announce(runner, number);

		if (election->burst++ == 0)
			say(6, "event=announce group=%u vips=%d", number, n);
	} else if (election->burst == BURST && now >= election->round_ns + REPEAT_MS * NS_PER_MS) {
		announce(runner, number);
		election->round_ns = now;
	}
}

static void look_at_leadership(struct runner *runner, unsigned int number, __u64 now)
{
	struct lb_neighbor_group *group = &runner->table.all->group[number];
	struct election *election = &runner->election[number];
	bool leads;

	election->by_file = lead_file_heed(&election->file, runner->options->run_dir, (__u8)number,
					   runner->renewed, runner->table.all);
	if (election->by_file)
		LB_STORE(&group->election_ns, now);
	leads = group->ifindex && lb_neighbor_leads(group, now);
	if (leads != election->led) {
		say(5, "event=leader group=%u leads=%s", number, leads ? "yes" : "no");
		election->led = leads;
		if (leads)
			begin_round(election, now);
	}
	if (group->heard != election->heard) {
		if (now >= election->warned_ns + WARN_MS * NS_PER_MS) {
			say(4, "event=doubt group=%u why=\"another one announces a VIP of ours\"", number);
			election->warned_ns = now;
		}
		election->heard = group->heard;
		election->contested_ns = now;
	}
	if (!leads)
		return;
	/* Who was told of the other one must be told again. */
	if (election->contested_ns && now >= election->contested_ns + DOUBT_MS * NS_PER_MS)
		begin_round(election, now);
	announce_when_due(runner, number, now);
}

/* --- what is heard ---------------------------------------------------------------------------------------
 */

static void hear(struct runner *runner, const struct lb_vrrp_advert *advert, const struct sockaddr_ll *from)
{
	struct lb_neighbors *all = runner->table.all;
	struct lb_neighbor_group *group;
	__u64 now = lb_now_ns();

	if (!all)
		return;
	group = &all->group[advert->router];
	if (!group->ifindex || group->ifindex != (__u32)from->sll_ifindex)
		return;
	LB_STORE(&group->election_ns, now);
	if (from->sll_pkttype != PACKET_OUTGOING) {
		if (runner->election[advert->router].led && advert->priority)
			runner->election[advert->router].contested_ns = now;
		return;
	}
	if (!advert->priority || !advert->interval_ms)
		lb_neighbors_follow(all, advert->router);
	else
		/* Others take three intervals and a bit. */
		lb_neighbors_lead(all, advert->router, now + advert->interval_ms * NS_PER_MS * 5 / 2, now);
}

static void read_packets(struct runner *runner)
{
	__u8 packet[PACKET_BYTES];

	for (int i = 0; i < PACKETS_MAX; i++) {
		struct sockaddr_ll from;
		socklen_t length = sizeof(from);
		struct lb_vrrp_advert advert;
		ssize_t n = recvfrom(runner->packets, packet, sizeof(packet), 0, (struct sockaddr *)&from,
				     &length);

		if (n < 0)
			return;
		if (n > ETH_HLEN && lb_vrrp_read(packet + ETH_HLEN, (size_t)n - ETH_HLEN, &advert))
			hear(runner, &advert, &from);
	}
}

/* --- the loop --------------------------------------------------------------------------------------------
 */

static void look_for_table(struct runner *runner)
{
	const struct lb_neighbors *before = runner->table.all;
	struct lb_error error = {};
	int r = table_open(&runner->table, runner->options->bpffs, &error);

	if (r < 0 && !runner->missing)
		say(r == -ENOENT ? 6 : 3, "event=table error=\"%s\"", error.text);
	runner->missing = r < 0;
	if (runner->table.all == before && before)
		return;
	runner->renewed = true;
	if (runner->table.all)
		say(6, "event=table vips=%u", runner->table.all->used);
	runner->changes = runner->table.all ? runner->table.all->changes - 1 : 0;
	if (!runner->table.all) {
		groups_update(&runner->groups, NULL);
		update_fitness(runner);
	}
}

static void turn(struct runner *runner)
{
	struct lb_neighbors *all = runner->table.all;
	__u64 now = lb_now_ns();

	if (!all)
		return;
	LB_STORE(&all->alive_ns, now);
	if (LB_LOAD(&all->changes) != runner->changes) {
		runner->changes = LB_LOAD(&all->changes);
		groups_update(&runner->groups, all);
		update_fitness(runner);
		for (unsigned int i = 1; i < LB_NEIGHBOR_GROUPS; i++)
			if (runner->election[i].led)
				begin_round(&runner->election[i], now);
	}
	for (unsigned int i = 1; i < LB_NEIGHBOR_GROUPS; i++)
		if (all->group[i].ifindex || runner->election[i].led)
			look_at_leadership(runner, i, now);
	runner->renewed = false;
}

static void loop(struct runner *runner)
{
	struct pollfd ready[] = { { .fd = runner->signals, .events = POLLIN },
				  { .fd = runner->packets, .events = POLLIN } };
	__u64 looked_ns = 0;

	for (;;) {
		__u64 now = lb_now_ns();

		if (!looked_ns || now - looked_ns >= LOOK_MS * NS_PER_MS) {
			look_for_table(runner);
			looked_ns = now;
			sd_notify(0, "WATCHDOG=1");
		}
		turn(runner);
		if (poll(ready, 2, TURN_MS) > 0 && ready[0].revents)
			return;
		read_packets(runner);
	}
}

/* Nobody renews what it said; who takes over need not wait for that. An election by file goes on without us.
 */
static void resign(struct runner *runner)
{
	for (unsigned int i = 1; i < LB_NEIGHBOR_GROUPS; i++) {
		if (runner->election[i].by_file)
			continue;
		if (runner->election[i].fitness != 1)
			write_fitness(runner, i, LB_FITNESS_NONE);
		if (runner->table.all && runner->election[i].led &&
		    runner->table.all->group[i].until_ns != LB_NEIGHBOR_ALWAYS)
			lb_neighbors_follow(runner->table.all, (__u8)i);
	}
}

int verb_run(const struct options *options)
{
	static struct runner runner;
	int r;

	runner.options = options;
	for (unsigned int i = 0; i < LB_NEIGHBOR_GROUPS; i++)
		runner.election[i].fitness = 1;
	r = open_packets(&runner);
	if (r == 0)
		r = open_signals(&runner);
	if (r < 0) {
		say(3, "event=start error=\"Failed to open sockets: %s\"", strerror(-r));
		return 1;
	}
	sd_notify(0, "READY=1");
	loop(&runner);
	resign(&runner);
	groups_update(&runner.groups, NULL);
	table_close(&runner.table);
	close(runner.packets);
	close(runner.signals);
	return 0;
}
