// SPDX-License-Identifier: GPL-2.0-only
/*
 * flood INTERFACE DESTINATION-MAC VIP PORT SECONDS: sends SYNs to an IPv4 VIP by an interface, at full speed,
 * for so long or until SIGTERM; then says how many. The other end of the interface must run an XDP program.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <net/if.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "flood.skel.h"

#define ROUND 16384 /* frames, between two looks at the clock */

static volatile sig_atomic_t stopping;

static void on_signal(int number)
{
	stopping = 1;
}

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

static int own_mac(const char *interface, __u8 *ret_mac)
{
	struct ifreq request = {};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), r;

	if (fd < 0)
		return -errno;
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", interface);
	r = ioctl(fd, SIOCGIFHWADDR, &request) < 0 ? -errno : 0;
	memcpy(ret_mac, request.ifr_hwaddr.sa_data, 6);
	close(fd);
	return r;
}

static int run(int program, __u32 ifindex, double seconds)
{
	__u8 frame[54] = {};
	struct xdp_md context = { .data_end = sizeof(frame), .ingress_ifindex = ifindex };
	double end = now_s() + seconds;

	while (!stopping && now_s() < end) {
		LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame, .data_size_in = sizeof(frame),
			    .ctx_in = &context, .ctx_size_in = sizeof(context), .repeat = ROUND,
			    .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = 64);
		int r = bpf_prog_test_run_opts(program, &options);

		if (r < 0 && errno != EINTR && errno != EAGAIN) {
			fprintf(stderr, "flood: BPF_PROG_TEST_RUN: %s\n", strerror(errno));
			return r;
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct flood_bpf *skeleton;
	unsigned int mac[6];
	double begin;
	int r;

	if (argc != 6 ||
	    sscanf(argv[2], "%x:%x:%x:%x:%x:%x", mac, mac + 1, mac + 2, mac + 3, mac + 4, mac + 5) != 6) {
		fprintf(stderr, "usage: flood INTERFACE DESTINATION-MAC VIP PORT SECONDS\n");
		return 2;
	}
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	skeleton = flood_bpf__open();
	if (!skeleton)
		return 1;
	skeleton->rodata->egress = if_nametoindex(argv[1]);
	for (int i = 0; i < 6; i++)
		skeleton->rodata->destination[i] = mac[i];
	if (own_mac(argv[1], (__u8 *)skeleton->rodata->source) < 0 ||
	    inet_pton(AF_INET, argv[3], (void *)&skeleton->rodata->vip) != 1) {
		fprintf(stderr, "flood: what are %s and %s?\n", argv[1], argv[3]);
		return 2;
	}
	skeleton->rodata->port = htons(atoi(argv[4]));
	if (flood_bpf__load(skeleton) < 0)
		return 1;
	begin = now_s();
	r = run(bpf_program__fd(skeleton->progs.flood), skeleton->rodata->egress, atof(argv[5]));
	printf("sent %llu, %.2f Mpps\n", (unsigned long long)skeleton->bss->sent,
	       skeleton->bss->sent / (now_s() - begin) / 1e6);
	flood_bpf__destroy(skeleton);
	return r < 0;
}
