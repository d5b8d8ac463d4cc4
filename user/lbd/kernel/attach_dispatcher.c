// SPDX-License-Identifier: GPL-2.0-only
/*
 * libxdp's dispatcher. It needs BPF trampolines (freplace), which some kernels refuse; libxdp then attaches a
 * single program by itself, without a link: we take that back and attach a link of our own.
 *
 * Newer kernels refuse a program that changes packets in the dispatcher of an older libxdp, whose places are
 * not declared to. libxdp takes its dispatcher from a file: where its own is refused it gets ours
 * (bpf/lb_dispatcher.bpf.c), unless the environment says which it is to use.
 */
#include "lbd/kernel/attach_dispatcher.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xdp/libxdp.h>

#include "lbd/kernel/attachment.h"
#include "lbd/capture/capture_program.h"
#include "base/cleanup.h"
#include "lbd/kernel/maps.h"

#include "lbd/log.h"

#include "lb/types.h"
#include "lb_capture.skel.h"
#include "lb_ingress.skel.h"

static void multiprog_freep(struct xdp_multiprog **multiprog)
{
	xdp_multiprog__close(*multiprog);
}

static void program_closep(struct xdp_program **program)
{
	xdp_program__close(*program);
}

/* What a program is made from: one of the two. */
struct source {
	struct lb_ingress_bpf *ingress;
	struct lb_capture_bpf *capture;
};

static void source_done(struct source *source)
{
	lb_ingress_bpf__destroy(source->ingress);
	lb_capture_bpf__destroy(source->capture);
}

/* libxdp returns errors in pointers. */
static struct xdp_multiprog *multiprog_get(int ifindex)
{
	struct xdp_multiprog *multiprog = xdp_multiprog__get_from_ifindex(ifindex);

	return libxdp_get_error(multiprog) ? NULL : multiprog;
}

/* A program in the dispatcher that uses our maps, other than the one of the given id. */
static struct xdp_program *find_ours(const struct xdp_multiprog *multiprog, const struct maps *maps,
				     __u32 not_id)
{
	struct xdp_program *program = NULL;

	while ((program = xdp_multiprog__next_prog(program, multiprog)))
		if (xdp_program__id(program) != not_id && program_is_ours(maps, xdp_program__fd(program)))
			return program;
	return NULL;
}

static void attached(struct attachment *attachment, const struct xdp_program *program)
{
	attachment->by = ATTACHED_DISPATCHER;
	attachment->program_id = xdp_program__id(program);
}

static int make_program(const struct maps *maps, bool several_interfaces,
			const struct capture_program *capture, struct source *source,
			struct xdp_program **program, struct lb_error *error)
{
	DECLARE_LIBXDP_OPTS(xdp_program_opts, options);
	int r;

	if (capture)
		r = capture_program_open(maps, several_interfaces, capture, &source->capture, error);
	else
		r = program_open(maps, several_interfaces, &source->ingress, error);
	if (r < 0)
		return r;
	options.obj = capture ? source->capture->obj : source->ingress->obj;
	options.prog_name = capture ? "lb_capture" : "lb_ingress";
	*program = xdp_program__create(&options);
	r = libxdp_get_error(*program);
	if (r) {
		*program = NULL;
		return lb_error_set(error, abs(r), "libxdp refuses the program: %s (%s)", strerror(abs(r)),
				    maps_message());
	}
	/* What we pass is for others, then for the host. */
	xdp_program__set_chain_call_enabled(*program, XDP_PASS, true);
	return 0;
}

/* In the verifier's words, where it has any. */
static int refused(struct attachment *attachment, const char *why)
{
	if (maps_verifier_message()[0])
		why = maps_verifier_message();
	snprintf(attachment->note, sizeof(attachment->note),
		 "dispatcher refused by the kernel (%s): attached exclusively", why);
	return -EOPNOTSUPP;
}

#define OBJECT_PATH "LIBXDP_OBJECT_PATH"
#define OBJECT_FILE "xdp-dispatcher.o"

/* Makes libxdp use our dispatcher from now on: installed, or beside this program. Whether it did not before.
 */
static bool use_own_dispatcher(void)
{
	static const char *const folders[] = { "/../lib/weir", "/libxdp" };
	char program[PATH_MAX], folder[PATH_MAX + 32], file[PATH_MAX + 64];
	ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);
	char *slash;

	if (length <= 0 || secure_getenv(OBJECT_PATH))
		return false;
	program[length] = '\0';
	slash = strrchr(program, '/');
	if (slash)
		*slash = '\0';
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		snprintf(folder, sizeof(folder), "%s%s", program, folders[i]);
		snprintf(file, sizeof(file), "%s/" OBJECT_FILE, folder);
		if (access(file, R_OK) < 0)
			continue;
		log_info("event=dispatcher object=%s why=\"libxdp's own is refused\"", file);
		return setenv(OBJECT_PATH, folder, 1) == 0;
	}
	return false;
}

/* One try, with the dispatcher that libxdp finds. As dispatcher_attach(). */
static int attach_fresh(struct attachment *attachment, const struct maps *maps, bool several_interfaces,
			const struct capture_program *capture, int ifindex, struct lb_error *error)
{
	enum xdp_attach_mode mode =
		attachment->wanted.xdp_mode == LB_XDP_GENERIC ? XDP_MODE_SKB : XDP_MODE_NATIVE;
	_cleanup_(source_done) struct source source = {};
	_cleanup_(program_closep) struct xdp_program *fresh = NULL;
	_cleanup_(multiprog_freep) struct xdp_multiprog *after = NULL;
	struct xdp_program *gone;
	int r = make_program(maps, several_interfaces, capture, &source, &fresh, error);

	if (r < 0)
		return r;
	maps_messages_clear();
	r = xdp_program__attach(fresh, ifindex, mode, 0);
	if (r < 0) {
		if (r == -EPERM || r == -EOPNOTSUPP || r == -EINVAL)
			return refused(attachment, r == -EPERM ? "EPERM" : strerror(-r));
		/* The driver's reasons (MTU, queues) are no failure of ours, nor a full table. */
		return lb_error_set(error, r == -ENOSPC || r == -ERANGE || r == -EMSGSIZE ? EBUSY : -r,
				    "Failed to attach to %s through the dispatcher: %s (%s)",
				    attachment->wanted.name, strerror(-r), maps_message());
	}
	after = multiprog_get(ifindex);
	if (!after || xdp_multiprog__is_legacy(after)) {
		xdp_program__detach(fresh, ifindex, mode, 0);
		return refused(attachment, "EPERM");
	}
	attached(attachment, fresh);
	gone = find_ours(after, maps, xdp_program__id(fresh));
	if (gone)
		xdp_program__detach(gone, ifindex, mode, 0);
	return 0;
}

int dispatcher_attach(struct attachment *attachment, const struct maps *maps, bool several_interfaces,
		      const struct capture_program *capture, __u32 known_id, int ifindex,
		      struct lb_error *error)
{
	_cleanup_(multiprog_freep) struct xdp_multiprog *before = multiprog_get(ifindex);
	struct xdp_program *old = NULL;
	bool shared = before && !xdp_multiprog__is_legacy(before);
	int r;

	if (shared) {
		old = find_ours(before, maps, 0);
		if (old && known_id && xdp_program__id(old) == known_id) {
			attached(attachment, old);
			return 0;
		}
	}
	r = attach_fresh(attachment, maps, several_interfaces, capture, ifindex, error);
	/* Where it is a program already there that is refused, libxdp tries ours alone, which has no room. */
	if ((r == -EOPNOTSUPP || (r == -EBUSY && shared)) && use_own_dispatcher()) {
		r = attach_fresh(attachment, maps, several_interfaces, capture, ifindex, error);
		if (r == 0)
			attachment->note[0] = '\0';
	}
	if (r == 0)
		attachment->fresh = !old;
	return r;
}

int dispatcher_detach(int ifindex, const struct maps *maps)
{
	int n = 0;

	/* Every detach makes another dispatcher, so the list is read again. */
	for (;;) {
		_cleanup_(multiprog_freep) struct xdp_multiprog *multiprog = multiprog_get(ifindex);
		struct xdp_program *program;
		int r;

		if (!multiprog || xdp_multiprog__is_legacy(multiprog))
			return n;
		program = find_ours(multiprog, maps, 0);
		if (!program)
			return n;
		r = xdp_program__detach(program, ifindex, xdp_multiprog__attach_mode(multiprog), 0);
		/* Those that stay get a new dispatcher, which may be refused as well. */
		if (r < 0 && use_own_dispatcher())
			continue;
		if (r < 0)
			return r;
		n++;
	}
}

int dispatcher_detach_all(const struct maps *maps)
{
	struct if_nameindex *interfaces = if_nameindex();
	int n = 0, r = 0;

	if (maps->fd[MAP_CONTROL] < 0) {
		if_freenameindex(interfaces);
		return 0;
	}
	for (size_t i = 0; interfaces && interfaces[i].if_index && r >= 0; i++) {
		r = dispatcher_detach(interfaces[i].if_index, maps);
		n += r > 0 ? r : 0;
	}
	if_freenameindex(interfaces);
	return r < 0 ? r : n;
}
