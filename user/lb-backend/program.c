/* SPDX-License-Identifier: GPL-2.0-only */
/* Loading, attaching and finding the decapsulation program. See program.h. */
#include <errno.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/cleanup.h"
#include "lb_decap.skel.h"
#include "program.h"

/* Our place among the filters of clsact ingress. */
#define TC_HANDLE   1
#define TC_PRIORITY 6080

static const char *program_name(enum hook hook)
{
	return hook == HOOK_XDP ? "lb_decap_xdp" : "lb_decap_tc";
}

static int program_info(int fd, __u32 *ret_id, __u64 *ret_tag, char name[16])
{
	struct bpf_prog_info info = {};
	__u32 length = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &length) < 0)
		return -errno;
	*ret_id = info.id;
	memcpy(ret_tag, info.tag, sizeof(*ret_tag));
	memcpy(name, info.name, 16);
	name[15] = '\0';
	return 0;
}

int program_load(const struct program_settings *settings, struct program *ret_program, struct lb_error *error)
{
	struct program program = PROGRAM_NONE;
	enum hook hook = settings->hook;
	struct bpf_program *entry;
	char name[16];
	int ret;

	program.skeleton = lb_decap_bpf__open();
	if (!program.skeleton)
		return lb_error_set(error, errno, "cannot open the decapsulation program: %m");
	program.skeleton->rodata->formats = settings->formats;
	program.skeleton->rodata->gue_port = settings->gue_port;
	program.skeleton->rodata->check_from = settings->check_from;
	entry = hook == HOOK_XDP ? program.skeleton->progs.lb_decap_xdp : program.skeleton->progs.lb_decap_tc;
	bpf_program__set_autoload(program.skeleton->progs.lb_decap_xdp, hook == HOOK_XDP);
	bpf_program__set_autoload(program.skeleton->progs.lb_decap_tc, hook == HOOK_TC);
	ret = lb_decap_bpf__load(program.skeleton);
	if (ret == 0) {
		program.fd = bpf_program__fd(entry);
		program.local_fd = bpf_map__fd(program.skeleton->maps.decap_local);
		program.vips_fd = bpf_map__fd(program.skeleton->maps.decap_vips);
		program.counts_fd = bpf_map__fd(program.skeleton->maps.decap_counts);
		program.from_fd = bpf_map__fd(program.skeleton->maps.decap_from);
		ret = program_info(program.fd, &program.id, &program.tag, name);
	}
	if (ret < 0) {
		program_close(&program);
		return lb_error_set(error, -ret, "the kernel refuses the decapsulation program: %s%s",
				    strerror(-ret),
				    ret == -EPERM ? " (CAP_BPF and CAP_NET_ADMIN are needed)" : "");
	}
	*ret_program = program;
	return 0;
}

static int program_maps(struct program *program, const __u32 *ids, __u32 n)
{
	for (__u32 i = 0; i < n; i++) {
		struct bpf_map_info info = {};
		__u32 length = sizeof(info);
		int fd = bpf_map_get_fd_by_id(ids[i]), *place = NULL;

		if (fd < 0)
			return -errno;
		if (bpf_obj_get_info_by_fd(fd, &info, &length) < 0)
			info.name[0] = '\0';
		if (strcmp(info.name, "decap_local") == 0)
			place = &program->local_fd;
		else if (strcmp(info.name, "decap_vips") == 0)
			place = &program->vips_fd;
		else if (strcmp(info.name, "decap_counts") == 0)
			place = &program->counts_fd;
		else if (strcmp(info.name, "decap_from") == 0)
			place = &program->from_fd;
		if (place && *place < 0)
			*place = fd;
		else
			close(fd);
	}
	return program->local_fd >= 0 && program->vips_fd >= 0 && program->counts_fd >= 0 ? 0 : -ENOENT;
}

int program_open(__u32 id, enum hook hook, struct program *ret_program)
{
	struct program program = PROGRAM_NONE;
	struct bpf_prog_info info = {};
	__u32 length = sizeof(info), map_ids[16];
	char name[16];
	int ret;

	if (id == 0)
		return -ENOENT;
	program.fd = bpf_prog_get_fd_by_id(id);
	if (program.fd < 0)
		return -errno;
	ret = program_info(program.fd, &program.id, &program.tag, name);
	if (ret == 0 && strcmp(name, program_name(hook)) != 0)
		ret = -ENOENT;
	if (ret == 0) {
		info.map_ids = (__u64)(unsigned long)map_ids;
		info.nr_map_ids = 16;
		if (bpf_obj_get_info_by_fd(program.fd, &info, &length) < 0)
			ret = -errno;
		else
			ret = program_maps(&program, map_ids, info.nr_map_ids < 16 ? info.nr_map_ids : 16);
	}
	if (ret < 0) {
		program_close(&program);
		return ret;
	}
	*ret_program = program;
	return 0;
}

void program_close(struct program *program)
{
	if (program->skeleton) {
		lb_decap_bpf__destroy(program->skeleton);
	} else {
		closep(&program->fd);
		closep(&program->local_fd);
		closep(&program->vips_fd);
		closep(&program->counts_fd);
		closep(&program->from_fd);
	}
	*program = PROGRAM_NONE;
}

static void key_of_address(const struct lb_address *address, struct lb_decap_address *ret_key)
{
	__u8 bytes[16] = { [10] = 0xff, [11] = 0xff };

	if (address->family == LB_FAMILY_V4)
		memcpy(bytes + 12, address->bytes, 4);
	else
		memcpy(bytes, address->bytes, 16);
	memcpy(ret_key, bytes, sizeof(*ret_key));
}

/* value: zeroes, enough for every CPU. */
static int map_sync(int fd, const struct address_list *list, const void *value)
{
	_cleanup_(freep) struct lb_decap_address *wanted = calloc(list->n + 1, sizeof(*wanted)),
						 *stale = NULL;
	struct lb_decap_address key;
	size_t n_stale = 0;

	stale = calloc(LB_DECAP_ADDRESSES_MAX, sizeof(*stale));
	if (!wanted || !stale)
		return -ENOMEM;
	for (size_t i = 0; i < list->n; i++)
		key_of_address(&list->items[i], &wanted[i]);
	for (void *previous = NULL;
	     bpf_map_get_next_key(fd, previous, &key) == 0 && n_stale < LB_DECAP_ADDRESSES_MAX;
	     previous = &key) {
		size_t i = 0;

		while (i < list->n && memcmp(&wanted[i], &key, sizeof(key)) != 0)
			i++;
		if (i == list->n)
			stale[n_stale++] = key;
	}
	for (size_t i = 0; i < n_stale; i++)
		bpf_map_delete_elem(fd, &stale[i]);
	for (size_t i = 0; i < list->n; i++) {
		if (bpf_map_update_elem(fd, &wanted[i], value, BPF_NOEXIST) < 0 && errno != EEXIST)
			return -errno;
	}
	return 0;
}

static void key_of_prefix(const struct lb_prefix *prefix, struct lb_decap_prefix *ret_key)
{
	*ret_key = (struct lb_decap_prefix){ .bits = prefix->length };
	ret_key->bits += prefix->address.family == LB_FAMILY_V4 ? 96 : 0;
	key_of_address(&prefix->address, &ret_key->address);
}

static bool is_wanted(const struct prefix_list *list, const struct lb_decap_prefix *key)
{
	for (size_t i = 0; i < list->n; i++) {
		struct lb_decap_prefix wanted;

		key_of_prefix(&list->items[i], &wanted);
		if (memcmp(&wanted, key, sizeof(*key)) == 0)
			return true;
	}
	return false;
}

/* New prefixes before old ones go: what both lists have is never missing. */
static int from_sync(int fd, const struct prefix_list *list)
{
	struct lb_decap_prefix key, stale[LB_DECAP_PREFIXES_MAX];
	__u32 value = 0;
	size_t n_stale = 0;

	for (void *previous = NULL;
	     bpf_map_get_next_key(fd, previous, &key) == 0 && n_stale < LB_DECAP_PREFIXES_MAX;
	     previous = &key)
		if (!is_wanted(list, &key))
			stale[n_stale++] = key;
	for (size_t i = 0; i < list->n; i++) {
		struct lb_decap_prefix wanted;

		key_of_prefix(&list->items[i], &wanted);
		if (bpf_map_update_elem(fd, &wanted, &value, BPF_ANY) < 0)
			return -errno;
	}
	for (size_t i = 0; i < n_stale; i++)
		bpf_map_delete_elem(fd, &stale[i]);
	return 0;
}

int program_sync(const struct program *program, const struct address_list *local,
		 const struct address_list *vips, const struct prefix_list *from, struct lb_error *error)
{
	int cpus = libbpf_num_possible_cpus(), ret;
	_cleanup_(freep) struct lb_decap_vip *zero = NULL;

	if (cpus < 0)
		return lb_error_set(error, -cpus, "cannot count the CPUs: %s", strerror(-cpus));
	if (local->n > LB_DECAP_ADDRESSES_MAX || vips->n > LB_DECAP_ADDRESSES_MAX)
		return lb_error_set(error, E2BIG, "more than %u addresses", LB_DECAP_ADDRESSES_MAX);
	zero = calloc(cpus, sizeof(*zero));
	ret = zero ? map_sync(program->local_fd, local, zero) : -ENOMEM;
	if (ret == 0)
		ret = map_sync(program->vips_fd, vips, zero);
	if (ret == 0 && program->from_fd >= 0)
		ret = from_sync(program->from_fd, from);
	if (ret < 0)
		return lb_error_set(error, -ret, "cannot fill the maps of the decapsulation program: %s",
				    strerror(-ret));
	return 0;
}

static __u32 xdp_flags(enum lb_xdp_mode mode)
{
	return mode == LB_XDP_NATIVE ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE;
}

int program_attached(unsigned int index, enum hook hook, enum lb_xdp_mode mode, __u32 *ret_id)
{
	if (hook == HOOK_XDP) {
		LIBBPF_OPTS(bpf_xdp_query_opts, query);
		int ret = bpf_xdp_query(index, 0, &query);

		if (ret < 0)
			return ret;
		*ret_id = mode == LB_XDP_NATIVE ? query.drv_prog_id : query.skb_prog_id;
		return 0;
	} else {
		LIBBPF_OPTS(bpf_tc_hook, place, .ifindex = index, .attach_point = BPF_TC_INGRESS);
		LIBBPF_OPTS(bpf_tc_opts, filter, .handle = TC_HANDLE, .priority = TC_PRIORITY);
		int ret = bpf_tc_query(&place, &filter);

		*ret_id = ret < 0 ? 0 : filter.prog_id;
		return ret == -ENOENT || ret == -EINVAL ? 0 : ret; /* EINVAL: no clsact there */
	}
}

int program_xdp_owner(unsigned int index, __u32 *ret_id, char name[16])
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);
	int ret = bpf_xdp_query(index, 0, &query), fd;
	__u32 id;
	__u64 tag;

	if (ret < 0)
		return ret;
	strcpy(name, "?");
	*ret_id = query.drv_prog_id ?: query.skb_prog_id ?: query.hw_prog_id;
	fd = *ret_id ? bpf_prog_get_fd_by_id(*ret_id) : -1;
	if (fd >= 0) {
		program_info(fd, &id, &tag, name);
		close(fd);
	}
	return 0;
}

static int attach_xdp(const struct program *program, unsigned int index, enum lb_xdp_mode mode,
		      const struct program *replace, struct lb_error *error)
{
	LIBBPF_OPTS(bpf_xdp_attach_opts, options);
	__u32 flags = xdp_flags(mode);
	int ret;

	if (replace) {
		options.old_prog_fd = replace->fd;
		flags |= XDP_FLAGS_REPLACE;
	} else {
		flags |= XDP_FLAGS_UPDATE_IF_NOEXIST;
	}
	ret = bpf_xdp_attach(index, program->fd, flags, &options);
	if (ret == -EEXIST || ret == -EBUSY)
		return lb_error_set(error, EBUSY, "XDP is taken by another program");
	if (ret == -EINVAL || ret == -ERANGE || ret == -EOPNOTSUPP)
		return lb_error_set(error, EOPNOTSUPP, "the driver refuses %s XDP (%s)",
				    mode == LB_XDP_NATIVE ? "native" : "generic", strerror(-ret));
	if (ret < 0)
		return lb_error_set(error, -ret, "cannot attach the XDP program: %s", strerror(-ret));
	return 0;
}

static int attach_tc(const struct program *program, unsigned int index, const struct program *replace,
		     struct lb_error *error)
{
	LIBBPF_OPTS(bpf_tc_hook, place, .ifindex = index, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, filter, .handle = TC_HANDLE, .priority = TC_PRIORITY, .prog_fd = program->fd,
		    .flags = replace ? BPF_TC_F_REPLACE : 0);
	int ret = bpf_tc_hook_create(&place);

	if (ret < 0 && ret != -EEXIST)
		return lb_error_set(error, -ret, "cannot make the clsact qdisc: %s", strerror(-ret));
	ret = bpf_tc_attach(&place, &filter);
	if (ret == -EEXIST)
		return lb_error_set(error, EBUSY, "tc filter priority %d of ingress is taken", TC_PRIORITY);
	if (ret < 0)
		return lb_error_set(error, -ret, "cannot attach the tc filter: %s", strerror(-ret));
	return 0;
}

int program_attach(const struct program *program, unsigned int index, enum hook hook, enum lb_xdp_mode mode,
		   const struct program *replace, struct lb_error *error)
{
	if (hook == HOOK_XDP)
		return attach_xdp(program, index, mode, replace, error);
	return attach_tc(program, index, replace, error);
}

int program_detach(const struct program *program, unsigned int index, enum hook hook, enum lb_xdp_mode mode)
{
	if (hook == HOOK_XDP) {
		LIBBPF_OPTS(bpf_xdp_attach_opts, options, .old_prog_fd = program->fd);

		return bpf_xdp_detach(index, xdp_flags(mode) | XDP_FLAGS_REPLACE, &options);
	} else {
		LIBBPF_OPTS(bpf_tc_hook, place, .ifindex = index, .attach_point = BPF_TC_INGRESS);
		LIBBPF_OPTS(bpf_tc_opts, filter, .handle = TC_HANDLE, .priority = TC_PRIORITY);

		return bpf_tc_detach(&place, &filter);
	}
}

int program_clsact_remove(unsigned int index)
{
	LIBBPF_OPTS(bpf_tc_hook, place, .ifindex = index, .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);

	return bpf_tc_hook_destroy(&place);
}

int program_counts(const struct program *program, __u64 counts[LB_DECAP_OUTCOME_COUNT])
{
	int cpus = libbpf_num_possible_cpus();
	_cleanup_(freep) __u64 *values = cpus < 0 ? NULL : calloc(cpus, sizeof(*values));

	if (!values)
		return -ENOMEM;
	for (__u32 i = 0; i < LB_DECAP_OUTCOME_COUNT; i++) {
		counts[i] = 0;
		if (bpf_map_lookup_elem(program->counts_fd, &i, values) < 0)
			return -errno;
		for (int cpu = 0; cpu < cpus; cpu++)
			counts[i] += values[cpu];
	}
	return 0;
}

int program_vip_counts(const struct program *program, const struct lb_address *vip,
		       struct lb_decap_vip *ret_vip)
{
	int cpus = libbpf_num_possible_cpus();
	_cleanup_(freep) struct lb_decap_vip *values = cpus < 0 ? NULL : calloc(cpus, sizeof(*values));
	struct lb_decap_address key;

	if (!values)
		return -ENOMEM;
	key_of_address(vip, &key);
	if (bpf_map_lookup_elem(program->vips_fd, &key, values) < 0)
		return -errno;
	*ret_vip = (struct lb_decap_vip){};
	for (int cpu = 0; cpu < cpus; cpu++) {
		ret_vip->packets += values[cpu].packets;
		ret_vip->bytes += values[cpu].bytes;
	}
	return 0;
}
