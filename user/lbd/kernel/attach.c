// SPDX-License-Identifier: GPL-2.0-only
/*
 * Exclusive attachment by bpf_link, and the choice between it and the dispatcher (attach_dispatcher.c).
 */
#include "lbd/kernel/attach.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <ctype.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/limits.h>
#include <string.h>

#include "lbd/kernel/attach_dispatcher.h"
#include "lbd/kernel/attach_pins.h"
#include "base/cleanup.h"
#include "lbd/log.h"
#include "lbd/kernel/maps.h"

/* No program can take the place of a link's but by the link, and libxdp has none. */
static const char stays_exclusive[] = "stays exclusive, as it was attached. To share it, stop lbd, run lbd "
				      "--detach, start lbd: packets are not "
				      "balanced in between";

void attachment_init(struct attachment *attachment, const struct lb_config_interface *wanted)
{
	memset(attachment, 0, sizeof(*attachment));
	attachment->wanted = *wanted;
	attachment->link_fd = -1;
}

/* Mode of whatever is attached to an interface. */
static enum lb_xdp_mode interface_mode(int ifindex)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);

	if (bpf_xdp_query(ifindex, 0, &query) == 0 && query.attach_mode == XDP_ATTACHED_SKB)
		return LB_XDP_GENERIC;
	return LB_XDP_NATIVE;
}

/* Program attached to an interface by whomever; 0: none. */
static __u32 interface_program(int ifindex)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);

	if (bpf_xdp_query(ifindex, 0, &query) < 0)
		return 0;
	return query.prog_id ? query.prog_id : query.drv_prog_id ? query.drv_prog_id : query.skb_prog_id;
}

static int explain_failure(const struct attachment *attachment, int ifindex, int code, struct lb_error *error)
{
	const char *name = attachment->wanted.name;

	switch (code) {
	case EOPNOTSUPP:
		return lb_error_set(
			error, code,
			"the driver of %s only does generic XDP, which is slow: set \"xdp_mode\": "
			"\"generic\" for it in the configuration, or start lbd with --generic-ok",
			name);
	case EBUSY:
	case EEXIST:
		return lb_error_set(
			error, code,
			"%s has an XDP program that is not ours (id %u): remove it (ip link set dev %s "
			"xdp off), or share the interface with \"attach\": \"dispatcher\"",
			name, interface_program(ifindex), name);
	case EPERM:
		return lb_error_set(error, code,
				    "not allowed to attach to %s: lbd needs CAP_BPF and CAP_NET_ADMIN", name);
	case EINVAL:
	case ERANGE:
	case EMSGSIZE:
	case ENOSPC: /* as a 507 it would be a full table of ours */
		return lb_error_set(
			error, EBUSY,
			"the driver of %s refuses native XDP as the interface is set up (%s): often its "
			"MTU, LRO or number of queues; dmesg may tell; try a smaller MTU, ethtool -K %s lro "
			"off, "
			"or ethtool -L %s",
			name, strerror(code), name, name);
	default:
		return lb_error_set(error, code, "Failed to attach to %s: %s", name, strerror(code));
	}
}

/* Lets go of a link and its pin, which nobody else holds then: it ends. */
static void link_drop(struct attachment *attachment, const struct maps *maps)
{
	attach_pins_remove(maps, attachment->pin);
	attachment->pin[0] = '\0';
	if (attachment->link_fd >= 0)
		close(attachment->link_fd);
	attachment->link_fd = -1;
	attachment->by = ATTACHED_NOT;
}

static int link_create(struct attachment *attachment, const struct maps *maps, int program_fd, int ifindex,
		       enum lb_xdp_mode mode, struct lb_error *error)
{
	LIBBPF_OPTS(bpf_link_create_opts, options,
		    .flags = mode == LB_XDP_GENERIC ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE);
	int fd = bpf_link_create(program_fd, ifindex, BPF_XDP, &options), r;

	if (fd < 0)
		return explain_failure(attachment, ifindex, errno, error);
	r = attach_pins_make(maps, fd, attachment->wanted.name, ifindex, attachment->pin);
	if (r < 0) {
		close(fd);
		return lb_error_set(error, -r, "Failed to pin the link to %s in %s: %s",
				    attachment->wanted.name, maps->directory, strerror(-r));
	}
	attachment->link_fd = fd;
	attachment->by = ATTACHED_LINK;
	attachment->fresh = true;
	return 0;
}

/* True: there is a live link to the interface, now in attachment. */
static bool link_adopt(struct attachment *attachment, const struct maps *maps, int ifindex)
{
	__u32 id, program;
	int linked;

	if (attachment->link_fd >= 0 && attach_link_info(attachment->link_fd, &id, &linked, &program) == 0 &&
	    linked == ifindex) {
		attachment->by = ATTACHED_LINK;
		return true;
	}
	/* Its interface went away, or somebody detached it. */
	if (attachment->link_fd >= 0)
		link_drop(attachment, maps);
	attachment->link_fd = attach_pins_find(maps, ifindex, attachment->pin);
	if (attachment->link_fd < 0) {
		attachment->link_fd = -1;
		return false;
	}
	attachment->by = ATTACHED_LINK;
	return true;
}

static int link_update(struct attachment *attachment, const struct maps *maps, int program_fd,
		       struct lb_error *error)
{
	_cleanup_(closep) int running_fd = -1;
	__u32 id, running;
	int linked, r;

	r = attach_link_info(attachment->link_fd, &id, &linked, &running);
	if (r < 0)
		return lb_error_set(error, -r, "Failed to ask about the link of %s: %s",
				    attachment->wanted.name, strerror(-r));
	running_fd = program_by_id(maps, running);
	if (running_fd >= 0 && program_same(maps, program_fd, running_fd))
		return 0;
	if (bpf_link_update(attachment->link_fd, program_fd, NULL) < 0)
		return lb_error_set(error, errno, "Failed to update the program of %s: %m",
				    attachment->wanted.name);
	log_info("event=program_updated interface=%s old_program=%u", attachment->wanted.name, running);
	return 0;
}

static void link_remove(struct attachment *attachment, const struct maps *maps)
{
	if (attachment->link_fd >= 0)
		bpf_link_detach(attachment->link_fd);
	link_drop(attachment, maps);
}

static int attach_exclusive(struct attachment *attachment, const struct maps *maps, int program_fd,
			    int ifindex, bool generic_ok, struct lb_error *error)
{
	int r;

	if (link_adopt(attachment, maps, ifindex)) {
		if (interface_mode(ifindex) == attachment->wanted.xdp_mode ||
		    (generic_ok && attachment->wanted.xdp_mode == LB_XDP_NATIVE))
			return link_update(attachment, maps, program_fd, error);
		/* A link cannot change its mode: this is the one change that detaches for a moment. */
		log_warning("event=mode_change interface=%s mode=%s", attachment->wanted.name,
			    lb_xdp_mode_name(attachment->wanted.xdp_mode));
		link_remove(attachment, maps);
	}
	r = link_create(attachment, maps, program_fd, ifindex, attachment->wanted.xdp_mode, error);
	if (r == -EOPNOTSUPP && generic_ok && attachment->wanted.xdp_mode == LB_XDP_NATIVE) {
		snprintf(attachment->note, sizeof(attachment->note),
			 "its driver has no native XDP: attached in generic mode (--generic-ok)");
		r = link_create(attachment, maps, program_fd, ifindex, LB_XDP_GENERIC, error);
	}
	return r;
}

/* What both ways of attaching end with. */
static void conclude_link(struct attachment *attachment, const struct maps *maps)
{
	int ifindex;
	__u32 id;

	attach_link_info(attachment->link_fd, &id, &ifindex, &attachment->program_id);
	attach_pins_rename(maps, attachment->wanted.name, attachment->pin);
}

static int conclude(struct attachment *attachment, const struct maps *maps, int r, int ifindex,
		    const struct lb_error *why, struct lb_error *error)
{
	if (r == 0) {
		attachment->error[0] = '\0';
		attachment->ifindex = ifindex;
		attachment->mode = interface_mode(ifindex);
		if (attachment->by == ATTACHED_LINK)
			conclude_link(attachment, maps);
		return 0;
	}
	attachment_close(attachment);
	attachment->ifindex = 0;
	attachment->by = ATTACHED_NOT;
	attachment->program_id = 0;
	memcpy(attachment->error, why->text, sizeof(attachment->error));
	if (error)
		*error = *why;
	return r;
}

/* An interface is its index while it lives, whatever it is called. */
static int find_interface(const struct attachment *attachment, const struct maps *maps, int *ret_ifindex,
			  struct lb_error *error)
{
	char name[IF_NAMESIZE];

	*ret_ifindex = attachment->by == ATTACHED_NOT ? 0 : attachment->ifindex;
	if (*ret_ifindex && if_indextoname(*ret_ifindex, name))
		return 0;
	*ret_ifindex = if_nametoindex(attachment->wanted.name);
	/* It was renamed while no agent ran. */
	if (!*ret_ifindex)
		*ret_ifindex = attach_pins_interface(maps, attachment->wanted.name);
	if (*ret_ifindex)
		return 0;
	return lb_error_set(error, ENODEV, "there is no interface %s", attachment->wanted.name);
}

int attachment_make(struct attachment *attachment, const struct maps *maps, int program_fd, bool generic_ok,
		    struct lb_error *error)
{
	struct lb_error why = {};
	int ifindex, r = find_interface(attachment, maps, &ifindex, &why);

	attachment->fresh = false;
	if (r == 0)
		r = attach_exclusive(attachment, maps, program_fd, ifindex, generic_ok, &why);
	return conclude(attachment, maps, r, ifindex, &why, error);
}

int attachment_share(struct attachment *attachment, const struct maps *maps, bool several_interfaces,
		     const struct capture_program *capture, __u32 known_id, struct lb_error *error)
{
	struct lb_error why = {};
	int ifindex, r = find_interface(attachment, maps, &ifindex, &why);

	attachment->fresh = false;
	if (r == 0 && link_adopt(attachment, maps, ifindex)) {
		snprintf(attachment->note, sizeof(attachment->note), "%s", stays_exclusive);
		return -EOPNOTSUPP;
	}
	if (r == 0)
		r = dispatcher_attach(attachment, maps, several_interfaces, capture, known_id, ifindex, &why);
	return r == -EOPNOTSUPP ? r : conclude(attachment, maps, r, ifindex, &why, error);
}

bool attachment_note_exclusive(struct attachment *attachment)
{
	bool noted = strcmp(attachment->note, stays_exclusive) == 0;
	bool worth = attachment->by == ATTACHED_LINK && attachment->wanted.attach == LB_ATTACH_DISPATCHER;

	if (noted && !worth)
		attachment->note[0] = '\0';
	if (!worth || attachment->note[0])
		return false;
	snprintf(attachment->note, sizeof(attachment->note), "%s", stays_exclusive);
	return true;
}

void attachment_close(struct attachment *attachment)
{
	if (attachment->link_fd >= 0)
		close(attachment->link_fd);
	attachment->link_fd = -1;
}

int attachment_remove(struct attachment *attachment, const struct maps *maps)
{
	int r = 0;

	if (attachment->by == ATTACHED_DISPATCHER)
		r = dispatcher_detach(attachment->ifindex, maps);
	else
		link_remove(attachment, maps);
	attachment->by = ATTACHED_NOT;
	attachment->ifindex = 0;
	return r;
}

int attachment_verify(const struct attachment *attachment)
{
	__u32 id, program;
	int linked, r;

	if (attachment->by == ATTACHED_DISPATCHER)
		return interface_program(attachment->ifindex) ? 0 : -ENOLINK;
	if (attachment->by != ATTACHED_LINK)
		return 0;
	r = attach_link_info(attachment->link_fd, &id, &linked, &program);
	if (r < 0 || linked != attachment->ifindex)
		return -ENOLINK;
	return program == attachment->program_id ? 0 : -ESTALE;
}

int attachment_verify_pin(struct attachment *attachment, const struct maps *maps)
{
	int r;

	if (attachment->by != ATTACHED_LINK)
		return 0;
	r = attach_pins_check(maps, attachment->pin, attachment->link_fd);
	if (r == 0)
		return 0;
	if (r == -EEXIST || r == -EPROTO)
		attach_pins_remove(maps, attachment->pin);
	else if (r != -ENOENT)
		return 0; /* not known: there may be no descriptor left to look with */
	r = attach_pins_make(maps, attachment->link_fd, attachment->wanted.name, attachment->ifindex,
			     attachment->pin);
	return r < 0 ? r : 1;
}

bool attachments_any(const struct maps *maps)
{
	char pins[1][ATTACH_PIN_MAX];
	int fd[1];

	if (!attach_pins_list(maps, fd, pins, 1))
		return false;
	close(fd[0]);
	return true;
}

#define PINNED_MAX 256

int attachments_remove_all(const struct maps *maps, struct lb_error *error)
{
	char pins[PINNED_MAX][ATTACH_PIN_MAX];
	int fds[PINNED_MAX], r;
	size_t n = attach_pins_list(maps, fds, pins, PINNED_MAX);

	for (size_t i = 0; i < n; i++) {
		bpf_link_detach(fds[i]);
		close(fds[i]);
		attach_pins_remove(maps, pins[i]);
	}
	r = dispatcher_detach_all(maps);
	if (r < 0)
		return lb_error_set(error, -r, "Failed to detach from a dispatcher: %s", strerror(-r));
	return (int)n + r;
}
