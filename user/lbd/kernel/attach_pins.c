// SPDX-License-Identifier: GPL-2.0-only
/*
 * Finding, making and checking pins of links (attach_pins.h).
 */
#include "lbd/kernel/attach_pins.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "lbd/kernel/maps.h"

#define PREFIX "link_"

/* bpffs keeps dots to itself, interfaces may have them: '.' and '%' are written as in a URL. */
static void pin_name(const char *interface, char ret_pin[ATTACH_PIN_MAX])
{
	int at = snprintf(ret_pin, ATTACH_PIN_MAX, PREFIX);

	for (const char *c = interface; *c && at < ATTACH_PIN_MAX - 4; c++)
		at += snprintf(ret_pin + at, ATTACH_PIN_MAX - at, *c == '.' || *c == '%' ? "%%%02x" : "%c",
			       *c);
}

static void pin_path(const struct maps *maps, const char *pin, char path[PATH_MAX + 64])
{
	snprintf(path, PATH_MAX + 64, "%s/%.*s", maps->directory, ATTACH_PIN_MAX - 2, pin);
}

static int open_pin(const struct maps *maps, const char *pin)
{
	char path[PATH_MAX + 64];
	int fd;

	pin_path(maps, pin, path);
	fd = bpf_obj_get(path);
	return fd < 0 ? -errno : fd;
}

int attach_link_info(int fd, __u32 *ret_id, int *ret_ifindex, __u32 *ret_program)
{
	struct bpf_link_info info = {};
	__u32 length = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &length) < 0)
		return -errno;
	if (info.type != BPF_LINK_TYPE_XDP)
		return -EPROTO;
	*ret_id = info.id;
	*ret_ifindex = info.xdp.ifindex;
	*ret_program = info.prog_id;
	return 0;
}

size_t attach_pins_list(const struct maps *maps, int *ret_fds, char (*ret_pins)[ATTACH_PIN_MAX],
			size_t capacity)
{
	_cleanup_(closedirp) DIR *directory = opendir(maps->directory);
	struct dirent *entry;
	size_t n = 0;

	while (directory && n < capacity && (entry = readdir(directory))) {
		if (strncmp(entry->d_name, PREFIX, strlen(PREFIX)) != 0 ||
		    strlen(entry->d_name) >= ATTACH_PIN_MAX)
			continue;
		ret_fds[n] = open_pin(maps, entry->d_name);
		if (ret_fds[n] < 0)
			continue;
		snprintf(ret_pins[n++], ATTACH_PIN_MAX, "%s", entry->d_name);
	}
	return n;
}

#define PINNED_MAX 256

int attach_pins_find(const struct maps *maps, int ifindex, char ret_pin[ATTACH_PIN_MAX])
{
	char pins[PINNED_MAX][ATTACH_PIN_MAX];
	int fds[PINNED_MAX], found = -ENOENT;
	size_t n = attach_pins_list(maps, fds, pins, PINNED_MAX);

	for (size_t i = 0; i < n; i++) {
		__u32 id, program;
		int linked;

		if (attach_link_info(fds[i], &id, &linked, &program) == 0 && linked == ifindex && found < 0) {
			found = fds[i];
			memcpy(ret_pin, pins[i], ATTACH_PIN_MAX);
			continue;
		}
		if (attach_link_info(fds[i], &id, &linked, &program) == 0 && !linked)
			attach_pins_remove(maps, pins[i]);
		close(fds[i]);
	}
	return found;
}

int attach_pins_interface(const struct maps *maps, const char *interface)
{
	_cleanup_(closep) int fd = -1;
	char pin[ATTACH_PIN_MAX];
	__u32 id, program;
	int linked;

	pin_name(interface, pin);
	fd = open_pin(maps, pin);
	return fd >= 0 && attach_link_info(fd, &id, &linked, &program) == 0 ? linked : 0;
}

int attach_pins_make(const struct maps *maps, int fd, const char *interface, int ifindex,
		     char ret_pin[ATTACH_PIN_MAX])
{
	char pin[ATTACH_PIN_MAX], path[PATH_MAX + 64];
	size_t length;

	pin_name(interface, pin);
	pin_path(maps, pin, path);
	if (bpf_obj_pin(fd, path) < 0) {
		if (errno != EEXIST)
			return -errno;
		/* The name is taken by another interface that was called so. */
		length = strlen(pin);
		snprintf(pin + length, sizeof(pin) - length, "+%d", ifindex);
		pin_path(maps, pin, path);
		if (bpf_obj_pin(fd, path) < 0)
			return -errno;
	}
	memcpy(ret_pin, pin, sizeof(pin));
	return 0;
}

void attach_pins_rename(const struct maps *maps, const char *interface, char pin[ATTACH_PIN_MAX])
{
	char path[PATH_MAX + 64], wanted_path[PATH_MAX + 64], wanted[ATTACH_PIN_MAX];

	pin_name(interface, wanted);
	if (strcmp(pin, wanted) == 0)
		return;
	pin_path(maps, pin, path);
	pin_path(maps, wanted, wanted_path);
	if (renameat2(AT_FDCWD, path, AT_FDCWD, wanted_path, RENAME_NOREPLACE) == 0)
		memcpy(pin, wanted, sizeof(wanted));
}

int attach_pins_check(const struct maps *maps, const char *pin, int fd)
{
	_cleanup_(closep) int pinned = open_pin(maps, pin);
	__u32 id, pinned_id, program;
	int linked, r;

	if (pinned < 0)
		return pinned;
	r = attach_link_info(fd, &id, &linked, &program);
	if (r == 0)
		r = attach_link_info(pinned, &pinned_id, &linked, &program);
	if (r < 0)
		return r;
	return id == pinned_id ? 0 : -EEXIST;
}

void attach_pins_remove(const struct maps *maps, const char *pin)
{
	char path[PATH_MAX + 64];

	if (!pin[0])
		return;
	pin_path(maps, pin, path);
	unlink(path);
}
