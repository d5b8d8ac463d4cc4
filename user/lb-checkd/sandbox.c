// SPDX-License-Identifier: GPL-2.0-only
/*
 * What lb-checkd gives up before it talks to anybody: its user, its capabilities, and all system calls but
 * those that checks need. Whoever takes it over can connect to things, and lie to lbd about them.
 */
#include <errno.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pwd.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lb-checkd/checkd.h"

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

/* What is allowed; everything else fails with EPERM. Also what libcurl, TLS and sanitizers call. */
static const int calls[] = {
	__NR_read,
	__NR_write,
	__NR_readv,
	__NR_writev,
	__NR_close,
	__NR_socketpair,
	__NR_connect,
	__NR_bind,
	__NR_sendto,
	__NR_sendmsg,
	__NR_sendmmsg,
	__NR_recvfrom,
	__NR_recvmsg,
	__NR_recvmmsg,
	__NR_setsockopt,
	__NR_getsockopt,
	__NR_getsockname,
	__NR_getpeername,
	__NR_shutdown,
	__NR_epoll_ctl,
	__NR_epoll_pwait,
	__NR_epoll_create1,
	__NR_ppoll,
	__NR_clock_gettime,
	__NR_clock_nanosleep,
	__NR_nanosleep,
	__NR_futex,
	__NR_mmap,
	__NR_munmap,
	__NR_mprotect,
	__NR_mremap,
	__NR_madvise,
	__NR_brk,
	__NR_openat,
	__NR_fstat,
	__NR_newfstatat,
	__NR_lseek,
	__NR_fcntl,
	__NR_getrandom,
	__NR_exit,
	__NR_exit_group,
	__NR_rt_sigreturn,
	__NR_rt_sigaction,
	__NR_rt_sigprocmask,
	__NR_sigaltstack,
	__NR_getpid,
	__NR_gettid,
	__NR_tgkill,
	__NR_ioctl,
	__NR_eventfd2,
	__NR_pipe2,
	__NR_getuid,
	__NR_geteuid,
	__NR_getgid,
	__NR_getegid,
	__NR_sysinfo,
	__NR_uname,
	__NR_sched_yield,
	__NR_sched_getaffinity,
	__NR_restart_syscall,
	__NR_gettimeofday,
	__NR_prlimit64,
	__NR_getdents64,
	__NR_readlinkat,
#ifdef __x86_64__
	__NR_epoll_wait,
	__NR_poll,
	__NR_select,
	__NR_open,
	__NR_stat,
	__NR_access,
	__NR_pipe,
	__NR_time,
	__NR_readlink,
#endif
};
#define CALLS_MAX   128
#define ARGUMENT(n) (offsetof(struct seccomp_data, args) + (n) * sizeof(__u64)) /* its lower half */
#define REFUSE      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM)
#define ALLOW       BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

/* socket(2), but none that sees or makes whole packets, as CAP_NET_RAW would allow. The number of the call is
 * loaded, and still is for any other. */
static const struct sock_filter sockets[] = {
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_socket, 0, 8),
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ARGUMENT(0)),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_PACKET, 5, 0),
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ARGUMENT(1)),
	BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xf),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SOCK_RAW, 2, 0),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SOCK_PACKET, 1, 0),
	ALLOW,
	REFUSE,
};
#define SOCKETS_N (sizeof(sockets) / sizeof(sockets[0]))

static int filter_calls(void)
{
	struct sock_filter filter[CALLS_MAX + 8 + SOCKETS_N];
	size_t n = sizeof(calls) / sizeof(calls[0]), at = 0;
	struct sock_fprog program = { .filter = filter };

	_Static_assert(sizeof(calls) / sizeof(calls[0]) <= CALLS_MAX, "jumps are of 8 bits");
	filter[at++] =
		(struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
	filter[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0);
	filter[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	filter[at++] =
		(struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	memcpy(filter + at, sockets, sizeof(sockets));
	at += SOCKETS_N;
	for (size_t i = 0; i < n; i++)
		filter[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (__u32)calls[i],
							    (__u8)(n - i), 0);
	filter[at++] = (struct sock_filter)REFUSE;
	filter[at++] = (struct sock_filter)ALLOW;
	program.len = (unsigned short)at;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0 ? -errno : 0;
}

static int drop_user(const char *name)
{
	const struct passwd *user = getpwnam(name);

	if (geteuid() != 0)
		return 0;
	if (!user) {
		say("there is no user %s: going on as root, with few capabilities", name);
		return 0;
	}
	/* What is kept of the capabilities is dropped next. */
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || setgroups(0, NULL) < 0 || setgid(user->pw_gid) < 0 ||
	    setuid(user->pw_uid) < 0)
		return -errno;
	return 0;
}

/* All but the one that packets are marked with, if it was given; raw sockets are refused by the filter. */
static int drop_capabilities(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct had[2] = {}, kept[2] = {};

	if (syscall(SYS_capget, &head, had) < 0)
		return -errno;
	kept[0].permitted = kept[0].effective = had[0].permitted & (1u << CAP_NET_RAW);
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	return syscall(SYS_capset, &head, kept) < 0 ? -errno : 0;
}

int sandbox_enter(const char *user)
{
	int r = drop_user(user);

	if (r == 0)
		r = drop_capabilities();
	if (r == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		r = -errno;
	return r == 0 ? filter_calls() : r;
}
