// SPDX-License-Identifier: GPL-2.0-only
/*
 * lb_redirect: loading, pinning, adopting, and reading what it counts.
 */
#include "lbd/kernel/redirect.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/cleanup.h"
#include "lbd/lbd.h"

#include "lb_redirect.skel.h"

#define NOTE  "redirect"
#define LOWER "lower_" /* in /sys/class/net/DEV: link to a device below it */

/* All begin with lb_: they go with the maps' pins. */
static const char *const map_pins[] = { "lb_redirects", "lb_redirect_from", "lb_polls" };
/* The first REQUIRED_LINKS count what is redirected, and polls; the others what is sent back out. */
static const char *const link_pins[REDIRECT_LINKS] = { "lb_redirect_xmit", "lb_redirect_err",
						       "lb_redirect_poll", "lb_redirect_tx",
						       "lb_redirect_tx_err" };
#define REQUIRED_LINKS 3

static void skeleton_freep(struct lb_redirect_bpf **skeleton)
{
	lb_redirect_bpf__destroy(*skeleton);
}

static void pin_path(const struct lbd *lbd, const char *name, char path[PATH_MAX + 64])
{
	snprintf(path, PATH_MAX + 64, "%s/%s", lbd->maps.directory, name);
}

static int pinned(const struct lbd *lbd, const char *name)
{
	char path[PATH_MAX + 64];

	pin_path(lbd, name, path);
	return bpf_obj_get(path);
}

static int pin(const struct lbd *lbd, int fd, const char *name)
{
	char path[PATH_MAX + 64];

	pin_path(lbd, name, path);
	unlink(path);
	return bpf_obj_pin(fd, path) < 0 ? -errno : 0;
}

/* 0: it is pinned, or there is nothing to pin; 1: it is again. What pins of others there may be stay. */
static int pin_again(const struct lbd *lbd, int fd, const char *name)
{
	char path[PATH_MAX + 64];

	pin_path(lbd, name, path);
	if (fd < 0 || access(path, F_OK) == 0)
		return 0;
	return bpf_obj_pin(fd, path) == 0;
}

int redirect_verify(struct lbd *lbd)
{
	const struct redirect *redirect = lbd->redirect;
	int n = 0;

	if (!redirect)
		return 0;
	n += pin_again(lbd, redirect->counts_fd, map_pins[0]);
	n += pin_again(lbd, redirect->from_fd, map_pins[1]);
	n += pin_again(lbd, redirect->polls_fd, map_pins[2]);
	for (size_t i = 0; i < REDIRECT_LINKS; i++)
		n += pin_again(lbd, redirect->link_fd[i], link_pins[i]);
	return n;
}

static __u32 namespace_inode(void)
{
	struct stat st;

	return stat("/proc/self/ns/net", &st) < 0 ? 0 : st.st_ino;
}

static __u32 map_id(int fd)
{
	struct bpf_map_info info = {};
	__u32 length = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &length) < 0 ? 0 : info.id;
}

/* Of which object, for which namespace and map, the programs are made. */
static void describe(const struct lbd *lbd, char note[128])
{
	size_t size;
	const void *object = lb_redirect_bpf__elf_bytes(&size);

	snprintf(note, 128, "%016llx %u %u\n", (unsigned long long)XXH3_64bits(object, size),
		 namespace_inode(), map_id(lbd->maps.fd[MAP_DEVMAP]));
}

/* There is a note only where the kernel took all programs: what it refused, it is asked again for. */
static bool adopt(struct redirect *redirect, const struct lbd *lbd)
{
	char wanted[128], note[128] = "";
	bool whole;

	describe(lbd, wanted);
	if (store_get_note(&lbd->store, NOTE, note, sizeof(note)) < 0 ||
	    strncmp(note, wanted, strcspn(wanted, "\n")) != 0)
		return false;
	redirect->counts_fd = pinned(lbd, map_pins[0]);
	redirect->from_fd = pinned(lbd, map_pins[1]);
	redirect->polls_fd = pinned(lbd, map_pins[2]);
	whole = redirect->counts_fd >= 0 && redirect->from_fd >= 0 && redirect->polls_fd >= 0;
	for (size_t i = 0; i < REDIRECT_LINKS; i++) {
		redirect->link_fd[i] = pinned(lbd, link_pins[i]);
		whole = whole && redirect->link_fd[i] >= 0;
	}
	return whole;
}

/* Pinned maps of the same form keep their counts; others are replaced. */
static void keep_map(const struct lbd *lbd, struct bpf_map *map, const char *name)
{
	_cleanup_(closep) int fd = pinned(lbd, name);
	struct bpf_map_info info = {};
	__u32 length = sizeof(info);

	if (fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &length) == 0 && info.type == bpf_map__type(map) &&
	    info.key_size == bpf_map__key_size(map) && info.value_size == bpf_map__value_size(map) &&
	    info.max_entries == bpf_map__max_entries(map))
		bpf_map__reuse_fd(map, fd);
}

/* The first so many programs. */
static int attach(struct redirect *redirect, const struct lbd *lbd, struct bpf_program *const *programs,
		  size_t n)
{
	int r = 0;

	for (size_t i = 0; i < REDIRECT_LINKS && r == 0; i++) {
		char path[PATH_MAX + 64];

		/* The last agent's, of another version: it must not count twice. */
		pin_path(lbd, link_pins[i], path);
		unlink(path);
		if (i >= n)
			continue;
		/* Which tracepoint, the program says. */
		redirect->link_fd[i] = bpf_raw_tracepoint_open(NULL, bpf_program__fd(programs[i]));
		if (redirect->link_fd[i] < 0)
			r = -errno;
		else
			r = pin(lbd, redirect->link_fd[i], link_pins[i]);
	}
	return r;
}

static int set_up(struct redirect *redirect, struct lbd *lbd, size_t n_programs)
{
	_cleanup_(skeleton_freep) struct lb_redirect_bpf *skeleton = lb_redirect_bpf__open();
	struct bpf_program *programs[REDIRECT_LINKS];
	int r;

	if (!skeleton)
		return -errno;
	programs[0] = skeleton->progs.lb_redirect_xmit;
	programs[1] = skeleton->progs.lb_redirect_err;
	programs[2] = skeleton->progs.lb_redirect_poll;
	programs[3] = skeleton->progs.lb_redirect_tx;
	programs[4] = skeleton->progs.lb_redirect_tx_err;
	for (size_t i = n_programs; i < REDIRECT_LINKS; i++)
		bpf_program__set_autoload(programs[i], false);
	skeleton->rodata->lb_netns = namespace_inode();
	skeleton->rodata->lb_devmap_id = map_id(lbd->maps.fd[MAP_DEVMAP]);
	keep_map(lbd, skeleton->maps.lb_redirects, map_pins[0]);
	keep_map(lbd, skeleton->maps.lb_redirect_from, map_pins[1]);
	keep_map(lbd, skeleton->maps.lb_polls, map_pins[2]);
	r = bpf_map__reuse_fd(skeleton->maps.lb_ports, lbd->maps.fd[MAP_PORTS]);
	maps_messages_clear();
	if (r == 0)
		r = lb_redirect_bpf__load(skeleton);
	if (r < 0)
		return r;
	redirect->counts_fd = fcntl(bpf_map__fd(skeleton->maps.lb_redirects), F_DUPFD_CLOEXEC, 3);
	redirect->from_fd = fcntl(bpf_map__fd(skeleton->maps.lb_redirect_from), F_DUPFD_CLOEXEC, 3);
	redirect->polls_fd = fcntl(bpf_map__fd(skeleton->maps.lb_polls), F_DUPFD_CLOEXEC, 3);
	if (redirect->counts_fd < 0 || redirect->from_fd < 0 || redirect->polls_fd < 0)
		return -errno;
	r = pin(lbd, redirect->counts_fd, map_pins[0]);
	if (r == 0)
		r = pin(lbd, redirect->from_fd, map_pins[1]);
	if (r == 0)
		r = pin(lbd, redirect->polls_fd, map_pins[2]);
	return r == 0 ? attach(redirect, lbd, programs, n_programs) : r;
}

/* Before the first commit: nobody else knows of it yet. */
struct setting_up {
	struct redirect *redirect;
	struct lbd *lbd;
	size_t n_programs;
	int r;
};

static void set_up_beside(void *context)
{
	struct setting_up *setting = context;

	setting->r = set_up(setting->redirect, setting->lbd, setting->n_programs);
}

static int set_up_programs(struct redirect *redirect, struct lbd *lbd, size_t n_programs)
{
	struct setting_up setting = { .redirect = redirect, .lbd = lbd, .n_programs = n_programs };

	task_beside(set_up_beside, &setting);
	return setting.r;
}

static void open_nothing(struct redirect *redirect)
{
	redirect->counts_fd = redirect->from_fd = redirect->polls_fd = -1;
	for (size_t i = 0; i < REDIRECT_LINKS; i++)
		redirect->link_fd[i] = -1;
}

static void close_all(struct redirect *redirect)
{
	if (redirect->counts_fd >= 0)
		close(redirect->counts_fd);
	if (redirect->from_fd >= 0)
		close(redirect->from_fd);
	if (redirect->polls_fd >= 0)
		close(redirect->polls_fd);
	for (size_t i = 0; i < REDIRECT_LINKS; i++)
		if (redirect->link_fd[i] >= 0)
			close(redirect->link_fd[i]);
	open_nothing(redirect);
}

static void refused(struct redirect *redirect, enum redirect_way way, int r)
{
	snprintf(redirect->why[way], sizeof(redirect->why[way]),
		 "the kernel refuses the tracepoints: %s%s%.120s%s", strerror(-r),
		 maps_message()[0] ? " (" : "", maps_message(), maps_message()[0] ? ")" : "");
	log_warning("event=redirect way=%s counted=no error=\"%s\"", way == REDIRECT_ON ? "redirect" : "tx",
		    redirect->why[way]);
}

void redirect_open(struct lbd *lbd)
{
	struct redirect *redirect = calloc(1, sizeof(*redirect));
	char note[128];
	int r;

	if (!redirect)
		return;
	lbd->redirect = redirect;
	open_nothing(redirect);
	if (adopt(redirect, lbd))
		return;
	close_all(redirect);
	r = set_up_programs(redirect, lbd, REDIRECT_LINKS);
	if (r == 0) {
		describe(lbd, note);
		store_put_note(&lbd->store, NOTE, note);
		return;
	}
	store_put_note(&lbd->store, NOTE, "");
	refused(redirect, REDIRECT_TX, r);
	close_all(redirect);
	r = set_up_programs(redirect, lbd, REQUIRED_LINKS);
	if (r == 0)
		return;
	refused(redirect, REDIRECT_ON, r);
	close_all(redirect);
}

void redirect_close(struct lbd *lbd)
{
	if (!lbd->redirect)
		return;
	close_all(lbd->redirect);
	free(lbd->redirect);
	lbd->redirect = NULL;
}

static void count_from(struct lbd *lbd, int ifindex)
{
	for (__u32 i = 0; i < LB_REDIRECT_PROBES; i++) {
		__u32 place = (lb_redirect_place(ifindex, 0) + i) & (LB_REDIRECT_PLACES - 1);
		__u32 known = 0, value = ifindex;

		if (bpf_map_lookup_elem(lbd->redirect->from_fd, &place, &known) < 0 || known == value)
			return;
		if (!known && bpf_map_update_elem(lbd->redirect->from_fd, &place, &value, BPF_ANY) == 0)
			return;
	}
	log_warning("event=redirect ifindex=%d error=\"no place to count it\"", ifindex);
}

/* Of a bond, and of what is stacked, the devices below take the packets. */
static void count_from_lower(struct lbd *lbd, int ifindex)
{
	char name[IF_NAMESIZE], path[64];
	struct dirent *entry;
	DIR *directory;

	if (!if_indextoname((unsigned int)ifindex, name))
		return;
	snprintf(path, sizeof(path), "/sys/class/net/%s", name);
	directory = opendir(path);
	while (directory && (entry = readdir(directory))) {
		int lower = strncmp(entry->d_name, LOWER, strlen(LOWER)) == 0
				    ? (int)if_nametoindex(entry->d_name + strlen(LOWER))
				    : 0;

		if (lower)
			count_from(lbd, lower);
	}
	if (directory)
		closedir(directory);
}

void redirect_from(struct lbd *lbd, int ifindex)
{
	if (!lbd->redirect || lbd->redirect->from_fd < 0)
		return;
	count_from(lbd, ifindex);
	count_from_lower(lbd, ifindex);
}

/* All places of all CPUs. */
static int read_counts(int fd, struct lb_redirect_count *counts, int cpus)
{
	__u32 keys[LB_REDIRECT_PLACES], next, n = LB_REDIRECT_PLACES;
	int r = bpf_map_lookup_batch(fd, NULL, &next, keys, counts, &n, NULL);

	if (n == LB_REDIRECT_PLACES && (r == 0 || r == -ENOENT))
		return 0;
	for (__u32 place = 0; place < LB_REDIRECT_PLACES; place++)
		if (bpf_map_lookup_elem(fd, &place, &counts[(size_t)place * cpus]) < 0)
			return -errno;
	return 0;
}

static void add(struct redirect_sum *sums, size_t *n, const struct lb_redirect_count *count)
{
	size_t i = 0;

	while (i < *n && sums[i].ifindex != count->to)
		i++;
	if (i == *n)
		sums[(*n)++] = (struct redirect_sum){ .ifindex = count->to };
	sums[i].sent += count->sent;
	sums[i].lost += count->lost;
}

struct redirect_sum *redirect_sums(const struct lbd *lbd, enum redirect_way way, size_t *ret_n)
{
	_cleanup_(freep) struct lb_redirect_count *counts = NULL;
	struct redirect_sum *sums;
	int cpus = libbpf_num_possible_cpus();
	size_t n = 0;

	*ret_n = 0;
	if (!lbd->redirect || lbd->redirect->counts_fd < 0 || cpus < 1)
		return NULL;
	counts = calloc((size_t)cpus * LB_REDIRECT_PLACES, sizeof(*counts));
	sums = calloc((size_t)cpus * LB_REDIRECT_PLACES, sizeof(*sums));
	if (counts && sums && read_counts(lbd->redirect->counts_fd, counts, cpus) == 0)
		for (size_t i = 0; i < (size_t)cpus * LB_REDIRECT_PLACES; i++)
			if (counts[i].from && (counts[i].from == counts[i].to) == (way == REDIRECT_TX))
				add(sums, &n, &counts[i]);
	*ret_n = n;
	return sums;
}

void redirect_lost_by_cpu(const struct lbd *lbd, __u64 *lost, size_t cpus)
{
	_cleanup_(freep) struct lb_redirect_count *counts = NULL;
	int possible = libbpf_num_possible_cpus();

	if (!lbd->redirect || lbd->redirect->counts_fd < 0 || possible < 1)
		return;
	counts = calloc((size_t)possible * LB_REDIRECT_PLACES, sizeof(*counts));
	if (!counts || read_counts(lbd->redirect->counts_fd, counts, possible) < 0)
		return;
	for (size_t i = 0; i < (size_t)possible * LB_REDIRECT_PLACES; i++)
		if (counts[i].from && i % (size_t)possible < cpus)
			lost[i % (size_t)possible] += counts[i].lost;
}

int redirect_polls(const struct lbd *lbd, struct lb_polls *ret_polls, size_t cpus)
{
	_cleanup_(freep) struct lb_polls *polls = NULL;
	int possible = libbpf_num_possible_cpus();
	__u32 key = 0;

	if (!lbd->redirect || lbd->redirect->polls_fd < 0 || possible < 1)
		return -ENODATA;
	polls = calloc((size_t)possible, sizeof(*polls));
	if (!polls)
		return -ENOMEM;
	if (bpf_map_lookup_elem(lbd->redirect->polls_fd, &key, polls) < 0)
		return -errno;
	memset(ret_polls, 0, cpus * sizeof(*ret_polls));
	memcpy(ret_polls, polls, ((size_t)possible < cpus ? (size_t)possible : cpus) * sizeof(*polls));
	return 0;
}

static __u64 lost(const struct lbd *lbd, enum redirect_way way)
{
	size_t n;
	_cleanup_(freep) struct redirect_sum *sums = redirect_sums(lbd, way, &n);
	__u64 all = 0;

	for (size_t i = 0; i < n; i++)
		all += sums[i].lost;
	return all;
}

void redirect_write_lost(const struct lbd *lbd, struct json *json)
{
	json_u64(json, "redirect_lost", lost(lbd, REDIRECT_ON));
	json_u64(json, "tx_lost", lost(lbd, REDIRECT_TX));
}

const char *redirect_interface(const struct lbd *lbd, __u32 ifindex, char name[16])
{
	return ifindex && if_indextoname(ifindex, name) ? name : "?";
}

static void write_way(const struct lbd *lbd, enum redirect_way way, const char *member, struct json *json)
{
	bool counted = lbd->redirect && !lbd->redirect->why[way][0];
	size_t n;
	_cleanup_(freep) struct redirect_sum *sums = redirect_sums(lbd, way, &n);
	char name[IF_NAMESIZE];

	json_object(json, member);
	json_bool(json, "counted", counted);
	json_string(json, "why", counted ? NULL : lbd->redirect ? lbd->redirect->why[way] : "out of memory");
	json_array(json, "interfaces");
	for (size_t i = 0; i < n; i++) {
		json_object(json, NULL);
		json_string(json, "interface", redirect_interface(lbd, sums[i].ifindex, name));
		json_u64(json, "ifindex", sums[i].ifindex);
		json_u64(json, "sent", sums[i].sent);
		json_u64(json, "lost", sums[i].lost);
		json_object_end(json);
	}
	json_array_end(json);
	json_object_end(json);
}

void redirect_write(const struct lbd *lbd, struct json *json)
{
	write_way(lbd, REDIRECT_ON, "redirects", json);
	write_way(lbd, REDIRECT_TX, "sent_back", json);
}
