// SPDX-License-Identifier: GPL-2.0-only
/*
 * Checks through the packet path (lb/check.h): a socket that connects to a VIP is marked, so that its packets
 * are led to lbd's program, has a source port of its own, beside which the number of its target is written
 * for that program, and sends with a TTL of 1: should the packets ever go another way, they die at the first
 * router instead of being balanced and answered by somebody else.
 *
 * A port is not used again before all others have been, so that what comes late finds its way as well.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lb-checkd/checkd.h"
#include "lb/check.h"

#define PORT_FIRST 32768u
#define PORT_LAST  60999u
#define TRIES_MAX  64 /* ports that are taken, by others or by checks under way */

static bool is_used(const struct path *path, __u32 place)
{
	return path->used[place / 64] >> place % 64 & 1;
}

static void set_used(struct path *path, __u32 place, bool used)
{
	if (used) {
		path->used[place / 64] |= 1ull << place % 64;
		path->n_used[place >> 16]++;
	} else {
		path->used[place / 64] &= ~(1ull << place % 64);
		path->n_used[place >> 16]--;
	}
}

/* The first place of those of a family and protocol. */
static __u32 base_of(bool v6, int protocol)
{
	return lb_check_place(v6 ? LB_FAMILY_V6 : LB_FAMILY_V4, (__u32)protocol, 0);
}

/* The rest is for others on this host, and so that a free one is found soon. At least one: there are at least
 * two (read_range()). */
__u32 path_room(const struct path *path)
{
	return (path->last - path->first + 1) * 3 / 4;
}

bool path_has_room(const struct path *path, const struct target *target)
{
	__u32 base = base_of(target->config.address.family == LB_FAMILY_V6,
			     target->config.kind == LB_CHECK_UDP ? IPPROTO_UDP : IPPROTO_TCP);

	return path->n_used[base >> 16] < path_room(path);
}

/* --- what there is ---------------------------------------------------------------------------------------
 */

/* Ports that nobody listens on; those of the kernel's own choice. */
static void read_range(struct path *path)
{
	FILE *file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
	unsigned int first, last;

	path->first = PORT_FIRST;
	path->last = PORT_LAST;
	if (!file)
		return;
	if (fscanf(file, "%u %u", &first, &last) == 2 && first >= 1024 && last <= 65535 && first < last) {
		path->first = first;
		path->last = last;
	}
	fclose(file);
}

static bool may_mark(void)
{
	int one = 1, fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool may = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_MARK, &one, sizeof(one)) == 0;

	if (fd >= 0)
		close(fd);
	return may;
}

void path_start(struct checkd *checkd)
{
	struct path *path = &checkd->path;

	read_range(path);
	path->may_mark = may_mark();
	/* Who starts again does not begin with the ports that were used last. */
	for (size_t i = 0; i < sizeof(path->next) / sizeof(path->next[0]); i++)
		path->next[i] = (__u32)(lb_now_ns() >> 10) % (path->last - path->first + 1);
}

void path_take(struct checkd *checkd, int fd)
{
	struct path *path = &checkd->path;
	size_t size = LB_CHECK_PLACES * sizeof(*path->ports);
	void *ports = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	close(fd);
	if (path->ports)
		munmap(path->ports, size);
	path->ports = ports == MAP_FAILED ? NULL : ports;
	if (!path->ports)
		say("Failed to map the ports of checks: %m");
}

/* --- a socket --------------------------------------------------------------------------------------------
 */

static int set_short_lived(int fd, int family)
{
	int one = 1;

	if (family == AF_INET)
		return setsockopt(fd, IPPROTO_IP, IP_TTL, &one, sizeof(one));
	return setsockopt(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &one, sizeof(one));
}

static int bind_to(int fd, int family, const struct lb_address *source, __u32 port)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons((__u16)port) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons((__u16)port) };

	if (family == AF_INET) {
		if (source->family == LB_FAMILY_V4)
			memcpy(&v4.sin_addr, source->bytes, 4);
		return bind(fd, (struct sockaddr *)&v4, sizeof(v4)) < 0 ? -errno : 0;
	}
	if (source->family == LB_FAMILY_V6)
		memcpy(&v6.sin6_addr, source->bytes, 16);
	return bind(fd, (struct sockaddr *)&v6, sizeof(v6)) < 0 ? -errno : 0;
}

/* A port that no check has, nor anybody else; the next one after the last. */
static int bind_somewhere(struct path *path, int fd, int family, int protocol,
			  const struct lb_address *source, __u32 *ret_place)
{
	__u32 base = base_of(family == AF_INET6, protocol);
	__u32 *next = &path->next[base >> 16], n = path->last - path->first + 1;
	int r = -EADDRINUSE;

	for (int i = 0; i < TRIES_MAX && r == -EADDRINUSE; i++) {
		__u32 port = path->first + *next;

		*next = (*next + 1) % n;
		if (is_used(path, base | port))
			continue;
		r = bind_to(fd, family, source, port);
		*ret_place = base | port;
	}
	return r;
}

int path_dress(struct checkd *checkd, struct probe *probe, int fd, int family, int protocol)
{
	const struct target *target = probe->target;
	struct path *path = &checkd->path;
	__u32 place;
	int r;

	if (!path->ports)
		return -ENXIO;
	if (setsockopt(fd, SOL_SOCKET, SO_MARK, &target->mark, sizeof(target->mark)) < 0 ||
	    set_short_lived(fd, family) < 0)
		return -errno;
	r = bind_somewhere(path, fd, family, protocol, &target->source, &place);
	if (r < 0)
		return r;
	set_used(path, place, true);
	probe->place = place + 1;
	__atomic_store_n(&path->ports[place], (__u64)target->id + 1, __ATOMIC_RELEASE);
	return 0;
}

void path_undress(struct checkd *checkd, struct probe *probe)
{
	if (probe->place)
		set_used(&checkd->path, probe->place - 1, false);
	probe->place = 0;
}
