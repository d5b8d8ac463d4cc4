// SPDX-License-Identifier: GPL-2.0-only
/*
 * Echo requests through the packet path, of a size that lbd asks for, never in fragments: what is answered
 * has got through the tunnel to a backend. The sockets see every ICMP message of the host, so the kernel
 * gives them answers of ours alone: a filter knows the number that all of a process have; that each has one
 * of its own keeps others from answering what they have not seen.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lb-checkd/checkd.h"

#define IS_V6(family) ((family) == LB_FAMILY_V6)
#define READS_MAX     64 /* in one turn */

/* The head of an echo request, or of its answer, and what we put behind it; the rest is zero. */
struct echo_packet {
	__u8 type, code;
	__be16 checksum;
	__be16 identifier, sequence;
	__u64 number;
};

struct echo {
	struct timer timer; /* its deadline */
	__u32 id, generation, bytes;
	__u32 place; /* identifier */
	bool v6;
	struct lb_address to;
	__u64 number;
	__u64 begin_ns;
};

static __be16 sequence_of(const struct echoes *echoes)
{
	return htons((__u16)(echoes->number >> 48));
}

bool echo_possible(const struct checkd *checkd)
{
	return checkd->path.may_mark && (checkd->echoes.fd[0] >= 0 || checkd->echoes.fd[1] >= 0);
}

/* --- the end ---------------------------------------------------------------------------------------------
 */

static void end(struct checkd *checkd, struct echo *echo, enum lb_outcome outcome)
{
	struct lb_message_result result = { .id = echo->id,
					    .generation = echo->generation,
					    .begin_ns = echo->begin_ns,
					    .end_ns = lb_now_ns(),
					    .outcome = outcome,
					    .bytes = echo->bytes };

	heap_remove(&checkd->heap, &echo->timer);
	checkd->echoes.waiting[echo->v6][echo->place] = NULL;
	free(echo);
	link_result(checkd, &result);
}

void echo_clear(struct checkd *checkd)
{
	for (size_t i = 0; i < 2 * LB_CHECK_ECHOES; i++) {
		struct echo **echo = &checkd->echoes.waiting[i / LB_CHECK_ECHOES][i % LB_CHECK_ECHOES];

		if (*echo)
			heap_remove(&checkd->heap, &(*echo)->timer);
		free(*echo);
		*echo = NULL;
	}
}

static void expired(struct checkd *checkd, struct timer *timer, __u64 now)
{
	end(checkd, (struct echo *)timer /* its first member */, LB_OUTCOME_TIMEOUT);
}

/* --- answers ---------------------------------------------------------------------------------------------
 */

/* from: of an IPv6 answer; an IPv4 one has its IP header in front. total: bytes that it had. */
static void take(struct checkd *checkd, bool v6, const struct sockaddr_in6 *from, const __u8 *data, size_t n,
		 size_t total)
{
	struct lb_address source = { .family = v6 ? LB_FAMILY_V6 : LB_FAMILY_V4 };
	size_t header = v6 ? 0 : (data[0] & 0xfu) * 4u;
	struct echo_packet answer;
	struct echo *echo;

	if (n < header + sizeof(answer))
		return;
	memcpy(&answer, data + header, sizeof(answer));
	if (v6)
		memcpy(source.bytes, &from->sin6_addr, 16);
	else
		memcpy(source.bytes, &((const struct iphdr *)data)->saddr, 4);
	echo = checkd->echoes.waiting[v6][ntohs(answer.identifier) % LB_CHECK_ECHOES];
	if (!echo || answer.type != (v6 ? ICMPV6_ECHO_REPLY : ICMP_ECHOREPLY) ||
	    answer.number != echo->number || !lb_address_equal(&source, &echo->to) ||
	    total + (v6 ? sizeof(struct ipv6hdr) : 0) != echo->bytes)
		return;
	end(checkd, echo, LB_OUTCOME_OK);
}

static void read_answers(struct checkd *checkd, bool v6)
{
	_Alignas(8) __u8 data[128];

	for (int i = 0; i < READS_MAX; i++) {
		struct sockaddr_in6 from = {};
		socklen_t length = sizeof(from);
		/* What did not fit is counted as well. */
		ssize_t n = recvfrom(checkd->echoes.fd[v6], data, sizeof(data), MSG_DONTWAIT | MSG_TRUNC,
				     (struct sockaddr *)&from, &length);

		if (n < 0)
			return;
		if (n >= (ssize_t)sizeof(struct echo_packet))
			take(checkd, v6, &from, data, (size_t)n < sizeof(data) ? (size_t)n : sizeof(data),
			     (size_t)n);
	}
}

static void ready_v4(struct checkd *checkd, struct watch *watch, __u32 events)
{
	read_answers(checkd, false);
}

static void ready_v6(struct checkd *checkd, struct watch *watch, __u32 events)
{
	read_answers(checkd, true);
}

/* --- requests --------------------------------------------------------------------------------------------
 */

static __be16 checksum(const __u8 *data, size_t n)
{
	__u32 sum = 0;

	for (size_t i = 0; i + 1 < n; i += 2)
		sum += (__u32)data[i] << 8 | data[i + 1];
	if (n % 2)
		sum += (__u32)data[n - 1] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((__u16)~sum);
}

/* The message, and where it is from, if that is said. */
union control {
	struct cmsghdr head;
	char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))];
};

static void say_source(struct msghdr *message, union control *control, const struct lb_address *source)
{
	struct in_pktinfo v4 = {};
	struct in6_pktinfo v6 = {};

	if (!source->family)
		return;
	memset(control, 0, sizeof(*control));
	message->msg_control = control;
	if (IS_V6(source->family)) {
		memcpy(&v6.ipi6_addr, source->bytes, 16);
		control->head.cmsg_level = IPPROTO_IPV6;
		control->head.cmsg_type = IPV6_PKTINFO;
		control->head.cmsg_len = CMSG_LEN(sizeof(v6));
		memcpy(CMSG_DATA(&control->head), &v6, sizeof(v6));
	} else {
		memcpy(&v4.ipi_spec_dst, source->bytes, 4);
		control->head.cmsg_level = IPPROTO_IP;
		control->head.cmsg_type = IP_PKTINFO;
		control->head.cmsg_len = CMSG_LEN(sizeof(v4));
		memcpy(CMSG_DATA(&control->head), &v4, sizeof(v4));
	}
	message->msg_controllen = control->head.cmsg_len;
}

static int send_to(int fd, const struct target *target, const struct echo *echo, const __u8 *data, size_t n)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
	struct iovec part = { (void *)data, n };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	union control control;

	memcpy(&v4.sin_addr, echo->to.bytes, 4);
	memcpy(&v6.sin6_addr, echo->to.bytes, 16);
	message.msg_name = echo->v6 ? (void *)&v6 : (void *)&v4;
	message.msg_namelen = echo->v6 ? sizeof(v6) : sizeof(v4);
	say_source(&message, &control, &target->source);
	return sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int request(struct checkd *checkd, const struct target *target, struct echo *echo)
{
	static _Alignas(8) __u8 data[LB_ECHO_BYTES_MAX];
	struct echoes *echoes = &checkd->echoes;
	size_t n = echo->bytes - (echo->v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr));
	struct echo_packet packet = {
		.type = echo->v6 ? ICMPV6_ECHO_REQUEST : ICMP_ECHO,
		.identifier = htons((__u16)echo->place),
		.sequence = sequence_of(echoes),
		.number = echo->number,
	};
	int fd = echoes->fd[echo->v6];

	if (echoes->mark[echo->v6] != target->mark &&
	    setsockopt(fd, SOL_SOCKET, SO_MARK, &target->mark, sizeof(target->mark)) < 0)
		return -errno;
	echoes->mark[echo->v6] = target->mark;
	memcpy(data, &packet, sizeof(packet));
	/* Of IPv6 the kernel sums it up: addresses are part of it. */
	if (!echo->v6) {
		packet.checksum = checksum(data, n);
		memcpy(data, &packet, sizeof(packet));
	}
	__atomic_store_n(
		&checkd->path.ports[lb_check_place(target->config.address.family,
						   echo->v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP, echo->place)],
		(__u64)target->id + 1, __ATOMIC_RELEASE);
	return send_to(fd, target, echo, data, n);
}

/* The next one that no request has; the oldest number last. -1: none. */
static int identifier(struct echoes *echoes, bool v6)
{
	for (__u32 i = 0; i < LB_CHECK_ECHOES; i++) {
		__u32 place = echoes->next[v6]++ % LB_CHECK_ECHOES;

		if (!echoes->waiting[v6][place])
			return (int)place;
	}
	return -1;
}

/* Without room there is no answer: lbd asks again. */
void echo_begin(struct checkd *checkd, const struct target *target, const struct lb_message_echo *message)
{
	struct echoes *echoes = &checkd->echoes;
	bool v6 = IS_V6(target->config.address.family);
	bool can = target->mark && checkd->path.ports && echoes->fd[v6] >= 0;
	int place = can ? identifier(echoes, v6) : -1;
	struct echo *echo = place < 0 ? NULL : calloc(1, sizeof(*echo));
	__u64 now = lb_now_ns();

	if (!echo)
		return;
	*echo = (struct echo){
		.timer = { .at = SIZE_MAX, .fire = expired },
		.id = target->id,
		.generation = target->generation,
		.bytes = message->bytes,
		.place = (__u32)place,
		.v6 = v6,
		.to = target->config.address,
		.number = ++echoes->number,
		.begin_ns = now,
	};
	if (message->bytes > LB_ECHO_BYTES_MAX ||
	    message->bytes < sizeof(struct ipv6hdr) + sizeof(struct echo_packet) ||
	    heap_set(&checkd->heap, &echo->timer, now + message->timeout_ms * LB_NS_PER_MS) < 0) {
		free(echo);
		return;
	}
	echoes->waiting[v6][place] = echo;
	if (request(checkd, target, echo) < 0)
		end(checkd, echo, LB_OUTCOME_NONE);
}

/* --- the sockets -----------------------------------------------------------------------------------------
 */

/* Answers with our number: the kernel drops what is not. An IPv4 socket sees the IP header as well. */
static int filter_answers(int fd, bool v6, __be16 sequence)
{
	const __u32 type = v6 ? ICMPV6_ECHO_REPLY : ICMP_ECHOREPLY;
	struct sock_filter code[] = {
		v6 ? (struct sock_filter)BPF_STMT(BPF_LDX | BPF_W | BPF_IMM, 0)
		   : (struct sock_filter)BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0),
		BPF_STMT(BPF_LD | BPF_B | BPF_IND, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, type, 0, 3),
		BPF_STMT(BPF_LD | BPF_H | BPF_IND, offsetof(struct echo_packet, sequence)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ntohs(sequence), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT16_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog program = { .len = sizeof(code) / sizeof(code[0]), .filter = code };

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
}

/* Never in fragments, however narrow the kernel takes the path to be; and not beyond the first router, should
 * it go another way than it is led. */
static int set_up(int fd, bool v6)
{
	int one = 1, probe = v6 ? IPV6_PMTUDISC_PROBE : IP_PMTUDISC_PROBE;

	if (v6)
		return setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &probe, sizeof(probe)) |
		       setsockopt(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &one, sizeof(one));
	return setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &probe, sizeof(probe)) |
	       setsockopt(fd, IPPROTO_IP, IP_TTL, &one, sizeof(one));
}

static int open_one(struct checkd *checkd, bool v6)
{
	struct echoes *echoes = &checkd->echoes;
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = &echoes->watch[v6] };
	int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC,
			v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);

	echoes->watch[v6].ready = v6 ? ready_v6 : ready_v4;
	if (fd < 0)
		return -1;
	if (filter_answers(fd, v6, sequence_of(echoes)) < 0 || set_up(fd, v6) < 0 ||
	    epoll_ctl(checkd->epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

void echo_open(struct checkd *checkd)
{
	if (getrandom(&checkd->echoes.number, sizeof(checkd->echoes.number), 0) < 0)
		checkd->echoes.number = lb_now_ns() * 0x9e3779b97f4a7c15ull;
	checkd->echoes.fd[0] = open_one(checkd, false);
	checkd->echoes.fd[1] = open_one(checkd, true);
}
