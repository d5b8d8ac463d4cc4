// SPDX-License-Identifier: GPL-2.0-only
/*
 * The configured interfaces and their attachments: at start, when the configuration changes, and when links
 * come and go.
 */
#include "lbd/kernel/interfaces.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lbd/capture/capture_program.h"
#include "lbd/clock.h"
#include "lbd/kernel/offload.h"
#include "lbd/kernel/redirect.h"
#include "lbd/kernel/interfaces_stations.h"
#include "lbd/lbd.h"
#include "lbd/kernel/attach.h"

#define RETRY_MS 5000u

static struct attachment *find(struct lbd *lbd, const char *name)
{
	for (size_t i = 0; i < lbd->n_attachments; i++)
		if (strcmp(lbd->attachments[i].wanted.name, name) == 0)
			return &lbd->attachments[i];
	return NULL;
}

static const struct lb_config_interface *find_wanted(const struct lb_config *config, const char *name)
{
	for (size_t i = 0; i < config->n_interfaces; i++)
		if (strcmp(config->interfaces[i].name, name) == 0)
			return &config->interfaces[i];
	return NULL;
}

/* What is attached for an interface of a configuration; NULL: nothing. */
static const struct attachment *attached_for(const struct lbd *lbd, const char *name)
{
	for (size_t i = 0; i < lbd->n_attachments; i++)
		if (strcmp(lbd->attachments[i].wanted.name, name) == 0 &&
		    lbd->attachments[i].by != ATTACHED_NOT)
			return &lbd->attachments[i];
	return NULL;
}

enum lb_xdp_mode interfaces_mode(const struct lbd *lbd, const struct lb_config_interface *wanted)
{
	const struct attachment *attachment = attached_for(lbd, wanted->name);

	return attachment ? attachment->mode : wanted->xdp_mode;
}

int interfaces_index(const struct lbd *lbd, const struct lb_config_interface *wanted)
{
	const struct attachment *attachment = attached_for(lbd, wanted->name);
	const struct lb_link *link;

	if (attachment)
		return attachment->ifindex;
	link = lb_nexthops_link_by_name(lbd->netlink.nexthops, wanted->name);
	return link ? link->ifindex : 0;
}

const struct lb_config_interface *interfaces_called_now(const struct lbd *lbd, const struct lb_config *next,
							const char *name)
{
	const struct attachment *attachment = attached_for(lbd, name);

	for (size_t i = 0; attachment && i < next->n_interfaces; i++) {
		const struct lb_config_interface *wanted = &next->interfaces[i];
		const struct lb_link *link = lb_nexthops_link_by_name(lbd->netlink.nexthops, wanted->name);

		if (link && link->ifindex == attachment->ifindex)
			return wanted;
	}
	return NULL;
}

int interfaces_check(const struct lbd *lbd, const struct lb_config *config, struct lb_error *error)
{
	for (size_t i = 0; i < config->n_interfaces; i++) {
		const char *name = config->interfaces[i].name;
		char path[64], value[IF_NAMESIZE + 2];

		if (lb_nexthops_link_by_name(lbd->netlink.nexthops, name) ||
		    (lbd->running.config && find_wanted(lbd->running.config, name)))
			continue;
		snprintf(path, sizeof(path), "interfaces[%zu].name", i);
		snprintf(value, sizeof(value), "\"%s\"", name);
		return lb_error_at(error, ENODEV, path, value, "there is no interface %s on this host", name);
	}
	return 0;
}

/*
 * The program that runs already, if the last agent noted that it made it of this very object with these
 * constants: loading another one, to compare, takes a second of the verifier. A descriptor or -1.
 */
static int running_program(const struct lbd *lbd, const char *name, const char *digest)
{
	char note[128] = "", made_of[PROGRAM_DIGEST], tag[17];
	struct program_identity identity;
	__u32 id;
	int fd;

	if (store_get_note(&lbd->store, name, note, sizeof(note)) < 0 ||
	    sscanf(note, "%32s %u %16s", made_of, &id, tag) != 3 || strcmp(made_of, digest) != 0)
		return -1;
	fd = program_by_id(&lbd->maps, id);
	if (fd < 0)
		return -1;
	program_identify(fd, &identity);
	if (strcmp(identity.tag, tag) == 0 && program_uses(&lbd->maps, fd))
		return fd;
	close(fd);
	return -1;
}

static void note_program(struct lbd *lbd, const char *name, const char *digest, int fd)
{
	struct program_identity identity;
	char note[128];

	program_identify(fd, &identity);
	snprintf(note, sizeof(note), "%s %u %s\n", digest, identity.id, identity.tag);
	store_put_note(&lbd->store, name, note);
}

/* One that waits to be shared (it has not been refused) counts: once there it could not be of another kind.
 */
bool interfaces_frags(const struct lbd *lbd)
{
	for (size_t i = 0; i < lbd->n_attachments; i++) {
		const struct attachment *attachment = &lbd->attachments[i];

		if (attachment->by == ATTACHED_DISPATCHER)
			return false;
		if (attachment->by == ATTACHED_NOT && !attachment->note[0] &&
		    attachment->wanted.attach == LB_ATTACH_DISPATCHER)
			return false;
	}
	return true;
}

/* Some second of the verifier's. */
struct loading {
	const struct maps *maps;
	bool several_interfaces, frags;
	int r; /* a descriptor, or -errno with *error */
	struct lb_error *error;
};

static void load_beside(void *context)
{
	struct loading *loading = context;

	loading->r = program_load(loading->maps, loading->several_interfaces, loading->frags, loading->error);
	if (loading->r == -EINVAL) /* the device map may be of the other kind, from before a change */
		loading->r = program_load(loading->maps, loading->several_interfaces, !loading->frags,
					  loading->error);
}

int interfaces_load(struct lbd *lbd, const struct maps *maps, struct lb_error *error)
{
	struct loading loading = { maps, lbd->several_interfaces, interfaces_frags(lbd), .error = error };

	task_beside(load_beside, &loading);
	return loading.r;
}

void interfaces_take_program(struct lbd *lbd, int fd)
{
	if (lbd->program_fd >= 0)
		close(lbd->program_fd);
	lbd->program_fd = fd;
	lbd->program_digest[0] = '\0';
	if (fd < 0)
		return;
	program_digest(&lbd->maps, lbd->several_interfaces, interfaces_frags(lbd), lbd->program_digest);
	note_program(lbd, "program", lbd->program_digest, fd);
	if (program_pin(&lbd->maps, fd) < 0)
		log_warning("event=pin_program error=\"%s\"", strerror(errno));
}

int interfaces_program(struct lbd *lbd, struct lb_error *error)
{
	bool frags = interfaces_frags(lbd);
	char digest[PROGRAM_DIGEST];
	int fd;

	program_digest(&lbd->maps, lbd->several_interfaces, frags, digest);
	if (lbd->program_fd >= 0 && strcmp(lbd->program_digest, digest) == 0)
		return lbd->program_fd;
	lbd->capture_stop(lbd, "the interfaces change");
	fd = running_program(lbd, "program", digest);
	if (fd < 0) {
		fd = interfaces_load(lbd, &lbd->maps, error);
		if (fd < 0)
			return fd;
		interfaces_take_program(lbd, fd);
		return fd;
	}
	if (lbd->program_fd >= 0)
		close(lbd->program_fd);
	lbd->program_fd = fd;
	memcpy(lbd->program_digest, digest, sizeof(digest));
	return fd;
}

static void tell(struct lbd *lbd, const struct attachment *attachment)
{
	events_add(&lbd->events, attachment->note[0] ? LOG_LEVEL_NOTICE : LOG_LEVEL_INFO, "attach",
		   "interface=%s mode=%s attach=%s program=%u %s%s%s%s", attachment->wanted.name,
		   lb_xdp_mode_name(attachment->mode),
		   attachment->by == ATTACHED_DISPATCHER ? "dispatcher" : "exclusive", attachment->program_id,
		   attachment->fresh ? "fresh=yes" : "adopted=yes", attachment->note[0] ? " note=\"" : "",
		   attachment->note, attachment->note[0] ? "\"" : "");
	if (attachment->mode == LB_XDP_GENERIC && offload_merges(attachment->wanted.name))
		events_add(&lbd->events, LOG_LEVEL_WARNING, "attach", OFFLOAD_MERGES_TEXT,
			   attachment->wanted.name, attachment->wanted.name, attachment->wanted.name);
}

/* An attachment being made, beside the loop: a copy of it, for the loop may look at the other one. */
struct making {
	struct lbd *lbd;
	struct attachment attachment;
	bool share;
	int program_fd;                        /* exclusively */
	const struct capture_program *capture; /* shared: NULL: the usual program */
	__u32 known_id;
	int r;
	struct lb_error *error;
};

static void make_beside(void *context)
{
	struct making *making = context;
	const struct lbd *lbd = making->lbd;

	if (making->share)
		making->r = attachment_share(&making->attachment, &lbd->maps, lbd->several_interfaces,
					     making->capture, making->known_id, making->error);
	else
		making->r = attachment_make(&making->attachment, &lbd->maps, making->program_fd,
					    lbd->options.generic_ok, making->error);
}

static int make_attachment(struct making *making, struct attachment *attachment)
{
	making->attachment = *attachment;
	task_beside(make_beside, making);
	*attachment = making->attachment;
	return making->r;
}

/* Through the dispatcher. -EOPNOTSUPP: exclusively, then. */
static int share(struct lbd *lbd, struct attachment *attachment, struct lb_error *error)
{
	char digest[PROGRAM_DIGEST], name[IF_NAMESIZE + 16];
	struct program_identity known = {};
	struct making making;
	int fd, r;

	program_digest(&lbd->maps, lbd->several_interfaces, false, digest);
	snprintf(name, sizeof(name), "program-%s", attachment->wanted.name);
	fd = running_program(lbd, name, digest);
	if (fd >= 0) {
		program_identify(fd, &known);
		close(fd);
	}
	making = (struct making){ .lbd = lbd, .share = true, .known_id = known.id, .error = error };
	r = make_attachment(&making, attachment);
	if (r == 0)
		attachment->captures = 0;
	if (r < 0 || attachment->program_id == known.id)
		return r;
	fd = bpf_prog_get_fd_by_id(attachment->program_id);
	if (fd >= 0) {
		note_program(lbd, name, digest, fd);
		close(fd);
	}
	return 0;
}

/* A shared interface gets a copy of the capturing program. What it had it keeps if that fails. */
static int share_capture(struct lbd *lbd, struct attachment *attachment,
			 const struct capture_program *capture, struct lb_error *error)
{
	struct attachment before = *attachment;
	struct making making = { .lbd = lbd,
				 .share = true,
				 .capture = capture,
				 .known_id = attachment->captures == capture->id ? attachment->program_id : 0,
				 .error = error };
	int r = make_attachment(&making, attachment);

	if (r == 0) {
		attachment->captures = capture->id;
		return 0;
	}
	if (r == -EOPNOTSUPP)
		lb_error_set(error, EOPNOTSUPP, "%s: the capturing program: %s", attachment->wanted.name,
			     attachment->note);
	*attachment = before;
	return r;
}

static int make(struct lbd *lbd, struct attachment *attachment, struct lb_error *error)
{
	bool before = attachment->by != ATTACHED_NOT;
	const struct capture_program *capture = lbd->capture_program(lbd);
	int fd, r = -EOPNOTSUPP;

	if (capture && attachment->by == ATTACHED_DISPATCHER)
		return share_capture(lbd, attachment, capture, error);
	if (attachment->wanted.attach == LB_ATTACH_DISPATCHER && attachment->by != ATTACHED_LINK)
		r = share(lbd, attachment, error);
	if (r == -EOPNOTSUPP) {
		struct making making = { .lbd = lbd, .error = error };

		fd = capture && capture->fd >= 0 ? capture->fd : interfaces_program(lbd, error);
		making.program_fd = fd;
		r = fd < 0 ? fd : make_attachment(&making, attachment);
	}
	if (r == 0)
		redirect_from(lbd, attachment->ifindex);
	if (r == 0 && (attachment_note_exclusive(attachment) || !before))
		tell(lbd, attachment);
	return r;
}

/* The attachment to an interface that has this name now, and is wanted by another one no longer. */
static struct attachment *find_renamed(struct lbd *lbd, const struct lb_config *config, const char *name)
{
	const struct lb_link *link = lb_nexthops_link_by_name(lbd->netlink.nexthops, name);

	for (size_t i = 0; link && i < lbd->n_attachments; i++) {
		struct attachment *attachment = &lbd->attachments[i];

		if (attachment->by != ATTACHED_NOT && attachment->ifindex == link->ifindex &&
		    !find_wanted(config, attachment->wanted.name))
			return attachment;
	}
	return NULL;
}

/* Adds attachments for interfaces that have none yet, and takes over what is wanted of them now. */
static int extend(struct lbd *lbd, const struct lb_config *config, struct lb_error *error)
{
	struct attachment *attachments = realloc(
		lbd->attachments, (lbd->n_attachments + config->n_interfaces + 1) * sizeof(*attachments));

	if (!attachments)
		return lb_error_set(error, ENOMEM, "out of memory");
	lbd->attachments = attachments;
	for (size_t i = 0; i < config->n_interfaces; i++) {
		const struct lb_config_interface *wanted = &config->interfaces[i];
		struct attachment *attachment = find(lbd, wanted->name);

		if (!attachment) {
			attachment = find_renamed(lbd, config, wanted->name);
			if (attachment)
				memcpy(attachment->former, attachment->wanted.name, IF_NAMESIZE);
		}
		if (attachment)
			attachment->wanted = *wanted;
		else
			attachment_init(&lbd->attachments[lbd->n_attachments++], wanted);
	}
	return 0;
}

static void undo(struct lbd *lbd, size_t from)
{
	while (lbd->n_attachments > from) {
		struct attachment *attachment = &lbd->attachments[--lbd->n_attachments];

		if (attachment->by != ATTACHED_NOT && attachment->fresh)
			attachment_remove(attachment, &lbd->maps);
		attachment_close(attachment);
	}
}

int interfaces_expect(struct lbd *lbd, const struct lb_config *config, struct lb_error *error)
{
	size_t had = lbd->n_attachments;
	/* While old interfaces are still there the program must be able to tell them apart. */
	bool several = config->n_interfaces > 1 || (had > 0 && !find(lbd, config->interfaces[0].name));
	int r = extend(lbd, config, error);

	lbd->several_interfaces = several || had > 1;
	return r;
}

int interfaces_attach(struct lbd *lbd, const struct lb_config *config, struct lb_error *error)
{
	size_t had = lbd->n_attachments;
	int r = interfaces_expect(lbd, config, error);

	stations_update(lbd);
	for (size_t i = 0; r == 0 && i < lbd->n_attachments; i++) {
		r = make(lbd, &lbd->attachments[i], error);
		if (r == -ENODEV) {
			events_add(&lbd->events, LOG_LEVEL_WARNING, "link",
				   "interface=%s missing=yes action=\"attach when it comes\"",
				   lbd->attachments[i].wanted.name);
			r = 0;
		}
	}
	if (r < 0)
		undo(lbd, had);
	return r;
}

static bool same_wish(const struct lb_config_interface *a, const struct lb_config_interface *b)
{
	return a->xdp_mode == b->xdp_mode && a->attach == b->attach;
}

void interfaces_trim(struct lbd *lbd, const struct lb_config *config)
{
	bool again = lbd->several_interfaces != (config->n_interfaces > 1);
	struct lb_error error = {};
	size_t kept = 0;

	for (size_t i = 0; i < lbd->n_attachments; i++) {
		struct attachment *attachment = &lbd->attachments[i];
		const struct lb_config_interface *wanted = find_wanted(config, attachment->wanted.name);

		/* A change that failed may have called it otherwise. */
		if (!wanted && attachment->former[0])
			wanted = find_wanted(config, attachment->former);
		attachment->former[0] = '\0';
		if (wanted) {
			/* After a change that failed they may be as it wanted them. */
			again |= !same_wish(wanted, &attachment->wanted);
			attachment->wanted = *wanted;
			lbd->attachments[kept++] = *attachment;
			continue;
		}
		if (attachment->by != ATTACHED_NOT) {
			attachment_remove(attachment, &lbd->maps);
			events_add(&lbd->events, LOG_LEVEL_INFO, "attach", "interface=%s detached=yes",
				   attachment->wanted.name);
		}
		attachment_close(attachment);
	}
	lbd->n_attachments = kept;
	stations_update(lbd);
	if (!again)
		return;
	lbd->several_interfaces = config->n_interfaces > 1;
	for (size_t i = 0; i < lbd->n_attachments; i++)
		if (make(lbd, &lbd->attachments[i], &error) < 0)
			events_told(&lbd->events, LOG_LEVEL_ERROR, "attach", "error", error.text);
}

int interfaces_reprogram(struct lbd *lbd, struct lb_error *error)
{
	int r = 0;

	for (size_t i = 0; i < lbd->n_attachments; i++) {
		struct lb_error why = {};
		int one = lbd->attachments[i].by == ATTACHED_NOT ? 0 : make(lbd, &lbd->attachments[i], &why);

		if (one < 0 && one != -ENODEV && r == 0) {
			r = one;
			*error = why;
		}
	}
	return r;
}

/* The interface is called otherwise than the configuration says: it is the same all the same. */
static void note_name(struct lbd *lbd, struct attachment *attachment, const struct lb_link *link)
{
	const char *name = strcmp(link->name, attachment->wanted.name) == 0 ? "" : link->name;

	if (strcmp(name, attachment->renamed) == 0)
		return;
	snprintf(attachment->renamed, sizeof(attachment->renamed), "%s", name);
	events_add(&lbd->events, name[0] ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO, "link",
		   "interface=%s name=%s attached=yes%s", attachment->wanted.name, link->name,
		   name[0] ? " hint=\"call it so in the configuration, too\"" : "");
}

/* True: it goes on. Somebody may have taken the program off, or put another one there. */
static bool verify(struct lbd *lbd, struct attachment *attachment)
{
	int r = attachment_verify(attachment);

	if (r == 0)
		return true;
	lbd->repairs.links++;
	events_add(&lbd->events, LOG_LEVEL_WARNING, "attach", "interface=%s %s action=\"attach again\"",
		   attachment->wanted.name,
		   r == -ENOLINK ? "detached_by=\"somebody else\"" : "replaced_by=\"somebody else\"");
	if (r == -ENOLINK)
		attachment->by = ATTACHED_NOT;
	return false;
}

void interfaces_verify(struct lbd *lbd)
{
	for (size_t i = 0; i < lbd->n_attachments; i++) {
		struct attachment *attachment = &lbd->attachments[i];
		const struct lb_link *link =
			attachment->by == ATTACHED_NOT
				? NULL
				: lb_nexthops_link(lbd->netlink.nexthops, attachment->ifindex);

		if (link)
			note_name(lbd, attachment, link);
		if (attachment_verify(attachment) == 0)
			continue;
		interfaces_update(lbd);
		return;
	}
}

void interfaces_update(struct lbd *lbd)
{
	bool missing = false;

	stations_update(lbd);
	for (size_t i = 0; i < lbd->n_attachments; i++) {
		struct attachment *attachment = &lbd->attachments[i];
		const struct lb_link *link =
			attachment->by != ATTACHED_NOT
				? lb_nexthops_link(lbd->netlink.nexthops, attachment->ifindex)
				: lb_nexthops_link_by_name(lbd->netlink.nexthops, attachment->wanted.name);
		struct lb_error error = {};
		char name[IF_NAMESIZE];
		int r;

		/* What netlink will tell in a moment is so already. */
		if (attachment->by != ATTACHED_NOT && !if_indextoname(attachment->ifindex, name))
			link = NULL;
		if (attachment->by != ATTACHED_NOT && link) {
			note_name(lbd, attachment, link);
			if (verify(lbd, attachment))
				continue;
		} else if (attachment->by != ATTACHED_NOT) {
			events_add(&lbd->events, LOG_LEVEL_WARNING, "link", "interface=%s gone=yes",
				   attachment->wanted.name);
			attachment_remove(attachment, &lbd->maps);
			attachment->renamed[0] = '\0';
			link = lb_nexthops_link_by_name(lbd->netlink.nexthops, attachment->wanted.name);
		}
		/* The kernel had taken the program off before the interface was gone, and that was seen
		 * first. */
		if (!link && attachment->ifindex) {
			events_add(&lbd->events, LOG_LEVEL_WARNING, "link", "interface=%s gone=yes",
				   attachment->wanted.name);
			attachment_remove(attachment, &lbd->maps);
		}
		if (!link) {
			snprintf(attachment->error, sizeof(attachment->error), "there is no interface %s",
				 attachment->wanted.name);
			continue;
		}
		r = make(lbd, attachment, &error);
		if (r < 0 && r != -ENODEV) {
			missing = true;
			events_told(&lbd->events, LOG_LEVEL_ERROR, "attach", "error", error.text);
		}
	}
	lbd->attach_retry_ms = missing ? now_ms() + RETRY_MS : 0;
	if (lbd->links_changed)
		lbd->links_changed(lbd);
}

void interfaces_close(struct lbd *lbd)
{
	for (size_t i = 0; i < lbd->n_attachments; i++)
		attachment_close(&lbd->attachments[i]);
	free(lbd->attachments);
	lbd->attachments = NULL;
	lbd->n_attachments = 0;
	if (lbd->program_fd >= 0)
		close(lbd->program_fd);
	lbd->program_fd = -1;
}
