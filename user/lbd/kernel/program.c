// SPDX-License-Identifier: GPL-2.0-only
/*
 * The packet path's program: opening it over the agent's maps, loading it, and telling whether a program that
 * is already in the kernel is the same one.
 */
#include "lbd/kernel/maps.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <xdp/libxdp.h>
#include <xxhash.h>

#include "base/cleanup.h"
#include "lbd/kernel/flat_tables.h"
#include "lbd/log.h"

#include "lb/types.h"
#include "lb_ingress.skel.h"

#define PROGRAM_MAPS_MAX 64

static char last_message[512];
static char verifier_message[160];

const char *maps_message(void)
{
	return last_message;
}

const char *maps_verifier_message(void)
{
	return verifier_message;
}

void maps_messages_clear(void)
{
	last_message[0] = verifier_message[0] = '\0';
}

/* The last line of a verifier's log that is not of its statistics. */
static void keep_verifier_message(char *log)
{
	char *rest = NULL, *line;

	for (line = strtok_r(log, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		if (strncmp(line, "processed ", 10) == 0 || strncmp(line, "-- ", 3) == 0 ||
		    strstr(line, "BEGIN PROG"))
			continue;
		snprintf(verifier_message, sizeof(verifier_message), "%s", line);
	}
}

static void keep_message(bool worth, const char *format, va_list ap)
{
	_cleanup_(freep) char *text = NULL;
	size_t n;

	if (vasprintf(&text, format, ap) < 0) {
		text = NULL;
		return;
	}
	n = strlen(text);
	while (n && (text[n - 1] == '\n' || text[n - 1] == ' '))
		text[--n] = '\0';
	log_debug("%s", text);
	/* Which object or skeleton it was ends the messages, and tells nothing of why. */
	if (worth && !(last_message[0] && strncmp(text, "libbpf: failed to load ", 23) == 0))
		snprintf(last_message, sizeof(last_message), "%s", text);
	if (worth && strstr(text, "BEGIN PROG LOAD LOG"))
		keep_verifier_message(text);
}

static int libbpf_message(enum libbpf_print_level level, const char *format, va_list ap)
{
	if (level != LIBBPF_DEBUG)
		keep_message(level == LIBBPF_WARN, format, ap);
	return 0;
}

static int libxdp_message(enum libxdp_print_level level, const char *format, va_list ap)
{
	if (level != LIBXDP_DEBUG)
		keep_message(level == LIBXDP_WARN, format, ap);
	return 0;
}

void maps_messages_open(void)
{
	libbpf_set_print(libbpf_message);
	libxdp_set_print(libxdp_message);
}

int program_reuse_maps(const struct maps *maps, struct bpf_object *object, struct lb_error *error)
{
	for (size_t i = 0; i < maps->n; i++) {
		struct bpf_map *map = maps_find(object, maps->name[i]);
		int r = map ? bpf_map__reuse_fd(map, maps->fd[i]) : -ENOENT;

		if (r < 0)
			return lb_error_set(error, -r, "Failed to give the program the map %s: %s",
					    maps->name[i], strerror(-r));
	}
	return 0;
}

int program_open(const struct maps *maps, bool several_interfaces, struct lb_ingress_bpf **ret_program,
		 struct lb_error *error)
{
	struct lb_ingress_bpf *program = lb_ingress_bpf__open();
	int r;

	if (!program)
		return lb_error_set(error, errno, "Failed to open the packet path's object: %m");
	lb_flat_constants(program->rodata, &maps->tables.sizes, maps->flat);
	program->rodata->lb_several_interfaces = several_interfaces;
	program->rodata->lb_observe_on = 1;
	r = program_reuse_maps(maps, program->obj, error);
	if (r < 0) {
		lb_ingress_bpf__destroy(program);
		return r;
	}
	*ret_program = program;
	return 0;
}

void program_set_frags(struct bpf_program *program)
{
	bpf_program__set_flags(program, bpf_program__flags(program) | BPF_F_XDP_HAS_FRAGS);
}

int program_load(const struct maps *maps, bool several_interfaces, bool frags, struct lb_error *error)
{
	struct lb_ingress_bpf *program;
	int r = program_open(maps, several_interfaces, &program, error);

	if (r < 0)
		return r;
	if (frags)
		program_set_frags(program->progs.lb_ingress);
	maps_messages_clear();
	r = lb_ingress_bpf__load(program);
	if (r < 0)
		r = lb_error_set(error, -r, "the kernel refuses the packet path's program: %s (%s)",
				 strerror(-r), maps_message());
	else
		r = fcntl(bpf_program__fd(program->progs.lb_ingress), F_DUPFD_CLOEXEC, 3);
	lb_ingress_bpf__destroy(program);
	return r;
}

void program_digest(const struct maps *maps, bool several_interfaces, bool frags,
		    char ret_digest[PROGRAM_DIGEST])
{
	size_t size;
	const void *object = lb_ingress_bpf__elf_bytes(&size);
	XXH128_hash_t hash = XXH3_128bits_withSeed(object, size,
						   (__u64)maps->tables.sizes.counters << 3 | maps->flat << 2 |
							   frags << 1 | several_interfaces);

	snprintf(ret_digest, PROGRAM_DIGEST, "%016llx%016llx", (unsigned long long)hash.high64,
		 (unsigned long long)hash.low64);
}

static int program_info(int fd, struct bpf_prog_info *info, __u32 *map_ids)
{
	__u32 length = sizeof(*info);

	memset(info, 0, sizeof(*info));
	info->nr_map_ids = map_ids ? PROGRAM_MAPS_MAX : 0;
	info->map_ids = (__u64)(uintptr_t)map_ids;
	if (bpf_obj_get_info_by_fd(fd, info, &length) < 0)
		return -errno;
	if (info->nr_map_ids > PROGRAM_MAPS_MAX)
		info->nr_map_ids = PROGRAM_MAPS_MAX;
	return 0;
}

__u32 map_id_of(int fd)
{
	struct bpf_map_info info = {};
	__u32 length = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &length) < 0 ? 0 : info.id;
}

static bool uses_map(int program_fd, __u32 wanted)
{
	__u32 ids[PROGRAM_MAPS_MAX];
	struct bpf_prog_info info;

	if (program_info(program_fd, &info, ids) < 0 || !wanted)
		return false;
	for (__u32 i = 0; i < info.nr_map_ids; i++)
		if (ids[i] == wanted)
			return true;
	return false;
}

bool program_uses(const struct maps *maps, int program_fd)
{
	return uses_map(program_fd, map_id_of(maps->fd[MAP_CONTROL]));
}

bool program_is_ours(const struct maps *maps, int program_fd)
{
	return program_uses(maps, program_fd) || uses_map(program_fd, maps->former_id);
}

void program_identify(int fd, struct program_identity *ret_identity)
{
	struct bpf_prog_info info;

	memset(ret_identity, 0, sizeof(*ret_identity));
	if (program_info(fd, &info, NULL) < 0)
		return;
	ret_identity->id = info.id;
	for (size_t i = 0; i < sizeof(info.tag); i++)
		snprintf(ret_identity->tag + 2 * i, 3, "%02x", info.tag[i]);
}

#define PROGRAM_PIN "lb_program"

int program_pin(const struct maps *maps, int fd)
{
	char path[PATH_MAX + 64], new_path[PATH_MAX + 64];

	snprintf(path, sizeof(path), "%s/" PROGRAM_PIN, maps->directory);
	snprintf(new_path, sizeof(new_path), "%s/" PROGRAM_PIN "_new", maps->directory);
	if (unlink(new_path) < 0 && errno != ENOENT)
		return -errno;
	return bpf_obj_pin(fd, new_path) < 0 || rename(new_path, path) < 0 ? -errno : 0;
}

int program_by_id(const struct maps *maps, __u32 id)
{
	struct program_identity identity;
	char path[PATH_MAX + 64];
	int fd;

	snprintf(path, sizeof(path), "%s/" PROGRAM_PIN, maps->directory);
	fd = bpf_obj_get(path);
	if (fd >= 0) {
		program_identify(fd, &identity);
		if (identity.id == id)
			return fd;
		close(fd);
	}
	fd = bpf_prog_get_fd_by_id(id);
	return fd < 0 ? -errno : fd;
}

/* The constants of a program: the value of its .rodata, owned; NULL when it has none. */
static void *read_constants(const __u32 *ids, __u32 n, size_t *ret_size)
{
	for (__u32 i = 0; i < n; i++) {
		_cleanup_(closep) int fd = bpf_map_get_fd_by_id(ids[i]);
		struct bpf_map_info info = {};
		__u32 length = sizeof(info), zero = 0;
		void *value;

		if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &length) < 0 || !strstr(info.name, ".rodata"))
			continue;
		value = calloc(1, info.value_size);
		if (value && bpf_map_lookup_elem(fd, &zero, value) == 0) {
			*ret_size = info.value_size;
			return value;
		}
		free(value);
	}
	return NULL;
}

bool program_same(const struct maps *maps, int fd, int other_fd)
{
	_cleanup_(freep) void *constants = NULL, *other_constants = NULL;
	__u32 ids[PROGRAM_MAPS_MAX], other_ids[PROGRAM_MAPS_MAX];
	struct bpf_prog_info info, other;
	size_t size = 0, other_size = 0;

	if (program_info(fd, &info, ids) < 0 || program_info(other_fd, &other, other_ids) < 0)
		return false;
	if (info.id == other.id)
		return true;
	if (memcmp(info.tag, other.tag, sizeof(info.tag)) != 0 || !program_uses(maps, other_fd))
		return false;
	constants = read_constants(ids, info.nr_map_ids, &size);
	other_constants = read_constants(other_ids, other.nr_map_ids, &other_size);
	return constants && other_constants && size == other_size &&
	       memcmp(constants, other_constants, size) == 0;
}
