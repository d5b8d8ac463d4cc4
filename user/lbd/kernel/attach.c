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
#include "base/cleanup.h"
#include "lbd/log.h"
#include "lbd/kernel/maps.h"

#define LINK_PREFIX "link_"

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

/* bpffs keeps dots to itself, interfaces may have them: '.' and '%' are written as in a URL. */
static void link_path(const struct maps *maps, const char *interface, char path[PATH_MAX + 64])
{
	int at = snprintf(path, PATH_MAX + 64, "%s/" LINK_PREFIX, maps->directory);

	for (const char *c = interface; *c; c++)
		at += snprintf(path + at, PATH_MAX + 64 - at, *c == '.' || *c == '%' ? "%%%02x" : "%c", *c);
}

static void link_interface(const char *pin, char ret_name[IF_NAMESIZE])
{
	const char *from = pin + strlen(LINK_PREFIX);
	size_t n = 0;

	while (*from && n < IF_NAMESIZE - 1) {
		unsigned int code;

		if (*from == '%' && sscanf(from + 1, "%2x", &code) == 1 && strlen(from) >= 3) {
			ret_name[n++] = code;
			from += 3;
		} else {
			ret_name[n++] = *from++;
		}
	}
	ret_name[n] = '\0';
}

static int link_info(int fd, int *ret_ifindex, __u32 *ret_program)
{
	struct bpf_link_info info = {};
	__u32 length = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &length) < 0)
		return -errno;
	if (info.type != BPF_LINK_TYPE_XDP)
		return -EPROTO;
	*ret_ifindex = info.xdp.ifindex;
	*ret_program = info.prog_id;
	return 0;
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

static int link_create(struct attachment *attachment, const struct maps *maps, int program_fd, int ifindex,
		       enum lb_xdp_mode mode, struct lb_error *error)
{
	LIBBPF_OPTS(bpf_link_create_opts, options,
		    .flags = mode == LB_XDP_GENERIC ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE);
	char path[PATH_MAX + 64];
	int fd = bpf_link_create(program_fd, ifindex, BPF_XDP, &options), r;

	if (fd < 0)
		return explain_failure(attachment, ifindex, errno, error);
	link_path(maps, attachment->wanted.name, path);
	if (bpf_obj_pin(fd, path) < 0) {
		r = lb_error_set(error, errno, "Failed to pin %s: %m", path);
		close(fd);
		return r;
	}
	attachment->link_fd = fd;
	attachment->by = ATTACHED_LINK;
	attachment->fresh = true;
	return 0;
}

/* 1: there is a live link to the interface, now in attachment; 0: none (a dead one was removed). */
static int link_adopt(struct attachment *attachment, const struct maps *maps, int ifindex)
{
	char path[PATH_MAX + 64];
	__u32 program;
	int fd = attachment->link_fd, linked;

	link_path(maps, attachment->wanted.name, path);
	if (fd < 0)
		fd = bpf_obj_get(path);
	attachment->link_fd = -1;
	if (fd < 0)
		return 0;
	if (link_info(fd, &linked, &program) == 0 && linked == ifindex) {
		attachment->link_fd = fd;
		attachment->by = ATTACHED_LINK;
		return 1;
	}
	/* Its interface went away, or the name now is another's. */
	close(fd);
	unlink(path);
	return 0;
}

static int link_update(struct attachment *attachment, const struct maps *maps, int program_fd,
		       struct lb_error *error)
{
	_cleanup_(closep) int running_fd = -1;
	__u32 running;
	int linked, r;

	r = link_info(attachment->link_fd, &linked, &running);
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
	char path[PATH_MAX + 64];

	link_path(maps, attachment->wanted.name, path);
	unlink(path);
	if (attachment->link_fd >= 0) {
		bpf_link_detach(attachment->link_fd);
		close(attachment->link_fd);
	}
	attachment->link_fd = -1;
	attachment->by = ATTACHED_NOT;
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
static int conclude(struct attachment *attachment, int r, int ifindex, const struct lb_error *why,
		    struct lb_error *error)
{
	if (r == 0) {
		attachment->error[0] = '\0';
		attachment->ifindex = ifindex;
		attachment->mode = interface_mode(ifindex);
		if (attachment->by == ATTACHED_LINK)
			link_info(attachment->link_fd, &ifindex, &attachment->program_id);
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

static int find_interface(const struct attachment *attachment, int *ret_ifindex, struct lb_error *error)
{
	*ret_ifindex = if_nametoindex(attachment->wanted.name);
	if (*ret_ifindex)
		return 0;
	return lb_error_set(error, ENODEV, "there is no interface %s", attachment->wanted.name);
}

int attachment_make(struct attachment *attachment, const struct maps *maps, int program_fd, bool generic_ok,
		    struct lb_error *error)
{
	struct lb_error why = {};
	int ifindex, r = find_interface(attachment, &ifindex, &why);

	attachment->fresh = false;
	if (r == 0)
		r = attach_exclusive(attachment, maps, program_fd, ifindex, generic_ok, &why);
	return conclude(attachment, r, ifindex, &why, error);
}

int attachment_share(struct attachment *attachment, const struct maps *maps, bool several_interfaces,
		     const struct capture_program *capture, __u32 known_id, struct lb_error *error)
{
	struct lb_error why = {};
	int ifindex, r = find_interface(attachment, &ifindex, &why);

	attachment->fresh = false;
	if (r == 0 && link_adopt(attachment, maps, ifindex)) {
		snprintf(attachment->note, sizeof(attachment->note), "%s", stays_exclusive);
		return -EOPNOTSUPP;
	}
	if (r == 0)
		r = dispatcher_attach(attachment, maps, several_interfaces, capture, known_id, ifindex, &why);
	return r == -EOPNOTSUPP ? r : conclude(attachment, r, ifindex, &why, error);
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

size_t attachments_pinned(const struct maps *maps, char (*ret_names)[IF_NAMESIZE], size_t capacity)
{
	_cleanup_(closedirp) DIR *directory = opendir(maps->directory);
	struct dirent *entry;
	size_t n = 0;

	while (directory && n < capacity && (entry = readdir(directory)))
		if (strncmp(entry->d_name, LINK_PREFIX, strlen(LINK_PREFIX)) == 0)
			link_interface(entry->d_name, ret_names[n++]);
	return n;
}

#define PINNED_MAX 256

int attachments_remove_all(const struct maps *maps, struct lb_error *error)
{
	char names[PINNED_MAX][IF_NAMESIZE];
	size_t n = attachments_pinned(maps, names, PINNED_MAX);
	int removed = 0, r;

	for (size_t i = 0; i < n; i++) {
		struct lb_config_interface interface = {};
		struct attachment attachment;
		char path[PATH_MAX + 64];

		memcpy(interface.name, names[i], sizeof(names[i]));
		attachment_init(&attachment, &interface);
		link_path(maps, names[i], path);
		attachment.link_fd = bpf_obj_get(path);
		link_remove(&attachment, maps);
		removed++;
	}
	r = dispatcher_detach_all(maps);
	if (r < 0)
		return lb_error_set(error, -r, "Failed to detach from a dispatcher: %s", strerror(-r));
	return removed + r;
}
