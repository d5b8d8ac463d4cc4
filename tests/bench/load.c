/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One run of the load generator (load.bpf.c): attaches the sink, sends packets of a profile for some seconds,
 * waits until what is on its way has arrived, and prints what was sent and what came as JSON. load.py raises
 * the lab, asks lbd for its counters, and makes the table.
 *
 *	load GENERATOR-NAMESPACE DEVICE SINK-NAMESPACE DEVICE BALANCER-MAC PROFILE SECONDS RATE [plain]
 *
 * Root. RATE is packets per second; 0: as fast as it goes. The generator stays on the first CPU that it may
 *use. The sink's device is - where another run has it (bench-scaling). Plain: what is measured sends on
 *without tunnels (bench-peers).
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "load.h"
#include "load.skel.h"

#define SHARE(percent) ((__u32)((percent) / 100.0 * 4294967295.0))
#define BATCH          64

struct profile {
	const char *name;
	const char *help;
	struct load_recipe recipe;
	bool brown_out, one_backend;
};

static const struct profile profiles[] = {
	{ "steady", "ten thousand established flows", { .flows = 10000 } },
	{ "bursts",
	  "1 ms at full speed, 4 ms of silence",
	  { .flows = 1000, .on_ns = 1000000, .off_ns = 4000000 } },
	{ "syn-flood", "SYNs from random sources", { .flows = 1u << 28, .syn_share = SHARE(100) } },
	{ "random-flows", "four million flows: no cache holds them", { .flows = 4000000 } },
	{ "elephant-mice",
	  "eight large flows have half of the packets, 100,000 small ones the rest",
	  { .flows = 100000, .hot_flows = 8, .hot_share = SHARE(50), .large = 1 } },
	{ "fragments",
	  "half of it UDP in fragments; of one in eight the first never comes",
	  { .flows = 1000, .fragment_share = SHARE(50) } },
	{ "mixed",
	  "half IPv6, half UDP, a tenth SYNs",
	  { .flows = 100000, .v6_share = SHARE(50), .udp_share = SHARE(50), .syn_share = SHARE(10) } },
	{ "hot-backend",
	  "flows of one backend have 90 % of the packets",
	  { .flows = 100000, .hot_share = SHARE(90) },
	  .one_backend = true },
	{ "brown-out",
	  "a backend slows in the second third (its weight is lowered), stops in the last (taken down)",
	  { .flows = 100000, .syn_share = SHARE(20) },
	  .brown_out = true },
	{ "saturation", "more than it can take", { .flows = 1000 } },
	{ "udp",
	  "a thousand UDP flows (bench-peers)",
	  { .flows = 1000, .udp_share = SHARE(100), .probe_every = 11 } },
};
#define N_PROFILES (sizeof(profiles) / sizeof(profiles[0]))

static void die(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static __u64 now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (__u64)now.tv_sec * 1000000000 + (__u64)now.tv_nsec;
}

static void enter(const char *namespace)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/run/netns/%s", namespace);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
		die(path);
	close(fd);
}

static __u32 device(const char *name)
{
	__u32 ifindex = if_nametoindex(name);

	if (!ifindex)
		die(name);
	return ifindex;
}

/* Reads a link's address; sysfs shows that of another namespace. */
static void read_mac(const char *text, __u8 mac[6])
{
	if (sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &mac[0], &mac[1], &mac[2], &mac[3], &mac[4],
		   &mac[5]) != 6) {
		errno = EINVAL;
		die(text);
	}
}

/* On the first CPU that it may use. */
static void pin_to_first(void)
{
	cpu_set_t allowed, first;

	if (sched_getaffinity(0, sizeof(allowed), &allowed) < 0)
		die("affinity");
	CPU_ZERO(&first);
	for (int cpu = 0; cpu < CPU_SETSIZE && !CPU_COUNT(&first); cpu++) {
		if (CPU_ISSET(cpu, &allowed))
			CPU_SET(cpu, &first);
	}
	sched_setaffinity(0, sizeof(first), &first);
}

/* --- sending ---------------------------------------------------------------------------------------------
 */

static void send_some(struct load_bpf *load, int frames)
{
	static __u8 frame[LOAD_FRAME_LARGE];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame,
		    .data_size_in = load->bss->recipe.large ? LOAD_FRAME_LARGE : LOAD_FRAME, .repeat = frames,
		    .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = BATCH);

	if (bpf_prog_test_run_opts(bpf_program__fd(load->progs.load_generate), &opts) < 0 && errno != EINTR)
		die("live frames");
}

static void attach_sink(const struct load_bpf *load, const char *namespace, const char *name)
{
	enter(namespace);
	if (bpf_xdp_attach((int)device(name), bpf_program__fd(load->progs.load_sink),
			   1u << 2 /* driver mode */, NULL) < 0)
		die("sink");
}

/* Sums what all CPUs' sinks have. */
static void receive(const struct load_bpf *load, struct load_received *sum)
{
	int cpus = libbpf_num_possible_cpus();
	struct load_received *each = calloc((size_t)cpus, sizeof(*each));
	__u32 zero = 0;

	if (!each || bpf_map_lookup_elem(bpf_map__fd(load->maps.load_received), &zero, each) < 0)
		die("sink");
	memset(sum, 0, sizeof(*sum));
	for (int cpu = 0; cpu < cpus; cpu++) {
		sum->packets += each[cpu].packets;
		sum->strange += each[cpu].strange;
		for (__u32 b = 0; b <= LOAD_BACKENDS; b++) {
			sum->backend[b] += each[cpu].backend[b];
			sum->refused[b] += each[cpu].refused[b];
			if (each[cpu].last_ns[b] > sum->last_ns[b])
				sum->last_ns[b] = each[cpu].last_ns[b];
		}
		for (__u32 i = 0; i < LOAD_BUCKETS; i++)
			sum->histogram[i] += each[cpu].histogram[i];
	}
	free(each);
}

static void clear(const struct load_bpf *load)
{
	int cpus = libbpf_num_possible_cpus();
	struct load_received *each = calloc((size_t)cpus, sizeof(*each));
	__u32 zero = 0;

	if (!each || bpf_map_update_elem(bpf_map__fd(load->maps.load_received), &zero, each, BPF_ANY) < 0)
		die("sink");
	free(each);
}

/* Until nothing more comes, at most a second. */
static void settle(const struct load_bpf *load, struct load_received *sum)
{
	__u64 before;
	int quiet = 0;

	receive(load, sum);
	for (int i = 0; i < 100 && quiet < 5; i++) {
		before = sum->packets;
		usleep(10000);
		receive(load, sum);
		quiet = sum->packets == before ? quiet + 1 : 0;
	}
}

/* Sixteen flows that go to one backend: sends many, and sees where they go. */
static void find_hot(struct load_bpf *load)
{
	struct load_recipe *recipe = &load->bss->recipe, kept = *recipe;
	__u32 found[LOAD_BACKENDS + 1][16], n[LOAD_BACKENDS + 1] = {}, owner = 0;
	int fd = bpf_map__fd(load->maps.load_owners);
	struct load_received sum;

	recipe->learning = 1;
	recipe->hot_share = recipe->probe_every = 0;
	recipe->interval_ns = 2000;
	send_some(load, 20 * LOAD_LEARNT);
	settle(load, &sum);
	*recipe = kept;
	for (__u32 flow = 0; flow < LOAD_LEARNT; flow++) {
		if (bpf_map_lookup_elem(fd, &flow, &owner) < 0 || !owner || owner > LOAD_BACKENDS)
			continue;
		found[owner][n[owner]++] = flow;
		if (n[owner] < 16)
			continue;
		recipe->n_hot = 16;
		memcpy(recipe->hot, found[owner], sizeof(recipe->hot));
		return;
	}
	fprintf(stderr, "load: found no 16 flows of one backend\n");
	exit(1);
}

/* Makes the system call end. */
static void on_alarm(int signal)
{
}

/* One call for the whole run: each waits for an RCU grace period or two. The end comes by a signal. */
static void send_all(struct load_bpf *load, double seconds)
{
	struct sigaction action = { .sa_handler = on_alarm };
	struct itimerval timer = { .it_value = { .tv_sec = (time_t)seconds,
						 .tv_usec =
							 (suseconds_t)((seconds - (time_t)seconds) * 1e6) } };
	__u64 end = now_ns() + (__u64)(seconds * 1e9);

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
	while (now_ns() < end)
		send_some(load, INT_MAX);
}

/* What a backend does in a brown-out: in the second third it takes half of what comes for it, then nothing.
 */
static void plan_brown_out(struct load_bpf *load, __u64 begin, double seconds, __u64 rate)
{
	load->bss->slow = (struct load_slow){ .backend = 1,
					      .from_ns = begin + (__u64)(seconds * 1e9 / 3),
					      .stop_ns = begin + (__u64)(seconds * 2e9 / 3),
					      .interval_ns = 2000000000ull * LOAD_BACKENDS / rate };
}

/* --- telling ---------------------------------------------------------------------------------------------
 */

static __u64 percentile(const struct load_received *sum, __u64 n, double share)
{
	__u64 seen = 0;

	for (__u32 i = 0; i < LOAD_BUCKETS; i++) {
		seen += sum->histogram[i];
		if ((double)seen >= share * (double)n && seen)
			return load_value(i);
	}
	return 0;
}

static void report(const struct load_bpf *load, const struct load_received *sum, __u64 elapsed)
{
	static const double shares[] = { 0.5, 0.9, 0.99, 0.999, 1 };
	static const char *const names[] = { "p50", "p90", "p99", "p99.9", "max" };
	const struct load_sent *sent = &load->bss->sent;
	__u64 n = 0, refused = 0;

	for (__u32 i = 0; i < LOAD_BUCKETS; i++)
		n += sum->histogram[i];
	for (__u32 b = 0; b <= LOAD_BACKENDS; b++)
		refused += sum->refused[b];
	printf("{ \"elapsed_ns\": %llu, \"offered\": %llu, \"offered_bytes\": %llu, \"received\": %llu, "
	       "\"strange\": %llu, \"refused\": %llu,\n  \"probes_sent\": %llu, \"probes_received\": %llu, "
	       "\"latency_ns\": { ",
	       elapsed, sent->packets, sent->bytes, sum->packets, sum->strange, refused, sent->probes, n);
	for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++)
		printf("%s\"%s\": %llu", i ? ", " : "", names[i], percentile(sum, n, shares[i]));
	printf(" },\n  \"last_of_first_ns\": %llu, \"backends\": [", sum->last_ns[1]);
	for (__u32 b = 1; b <= LOAD_BACKENDS; b++)
		printf("%s%llu", b > 1 ? ", " : "", sum->backend[b]);
	printf("] }\n");
}

static const struct profile *find_profile(const char *name)
{
	for (size_t i = 0; i < N_PROFILES; i++)
		if (strcmp(profiles[i].name, name) == 0)
			return &profiles[i];
	fprintf(stderr, "load: no profile %s. There are:\n", name);
	for (size_t i = 0; i < N_PROFILES; i++)
		fprintf(stderr, "  %-14s %s\n", profiles[i].name, profiles[i].help);
	exit(2);
}

/* Every profile sends by its recipe and this rate, into this link. */
static void prepare(struct load_bpf *load, const struct profile *profile, __u64 rate, __u32 ifindex,
		    const char *mac)
{
	struct load_recipe *recipe = &load->bss->recipe;

	*recipe = profile->recipe;
	recipe->ifindex = ifindex;
	recipe->interval_ns = rate ? 1000000000ull / rate : 0;
	if (!recipe->probe_every)
		recipe->probe_every = 101;
	read_mac(mac, recipe->eth);
	recipe->eth[6] = 2;
	recipe->eth[11] = 1;
	load->bss->sent.random = 1;
}

int main(int argc, char **argv)
{
	const struct profile *profile;
	struct load_received sum;
	struct load_bpf *load;
	double seconds;
	__u64 rate, begin, elapsed;

	profile = find_profile(argc > 6 ? argv[6] : "help");
	if (argc != 9 && argc != 10)
		return 2;
	seconds = atof(argv[7]);
	rate = strtoull(argv[8], NULL, 0);
	load = load_bpf__open_and_load();
	if (!load)
		die("load.bpf.c");
	if (strcmp(argv[4], "-") != 0)
		attach_sink(load, argv[3], argv[4]);
	enter(argv[1]);
	pin_to_first();
	prepare(load, profile, rate, device(argv[2]), argv[5]);
	load->bss->recipe.plain = argc == 10;
	if (profile->one_backend)
		find_hot(load);
	clear(load);
	memset(&load->bss->sent, 0, sizeof(load->bss->sent));
	load->bss->sent.random = 1;
	printf("ready\n");
	fflush(stdout);
	/* load.py reads lbd's counters, then says go. */
	if (getchar() == EOF)
		return 1;
	begin = now_ns();
	if (profile->brown_out && rate)
		plan_brown_out(load, begin, seconds, rate);
	send_all(load, seconds);
	elapsed = now_ns() - begin;
	settle(load, &sum);
	report(load, &sum, elapsed);
	load_bpf__destroy(load);
	return 0;
}
