// SPDX-License-Identifier: GPL-2.0-only
/*
 * A text in the kernel: an array of pages in memory that both sides see, its length before it. What takes its
 * place is made whole, pinned beside, and renamed: one who reads sees the old text or the new one.
 */
#include "lbd/state/store_kernel.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/limits.h>
#include <linux/types.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "config/config.h"

#define PIECE_BYTES 4096u /* an entry: mapped memory has them in a row */
#define NEW_PIN     "lb_state_new"
#define MAGIC       0x7465787472696577ull /* "weirtext" */

struct text_header {
	__u64 magic;
	__u64 length;
};

static int pin_path(const char *bpffs, const char *name, char path[PATH_MAX])
{
	return snprintf(path, PATH_MAX, "%s/%s", bpffs, name) >= PATH_MAX ? -ENAMETOOLONG : 0;
}

static __u32 pieces_for(size_t length)
{
	return (sizeof(struct text_header) + length + PIECE_BYTES - 1) / PIECE_BYTES;
}

static int make(const char *text, size_t length)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_MMAPABLE);
	const struct text_header header = { .magic = MAGIC, .length = length };
	__u32 pieces = pieces_for(length);
	_cleanup_(closep) int fd =
		bpf_map_create(BPF_MAP_TYPE_ARRAY, "lb_state", sizeof(__u32), PIECE_BYTES, pieces, &options);
	char *memory;
	int made;

	if (fd < 0)
		return -errno;
	memory = mmap(NULL, (size_t)pieces * PIECE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		return -errno;
	memcpy(memory, &header, sizeof(header));
	memcpy(memory + sizeof(header), text, length);
	munmap(memory, (size_t)pieces * PIECE_BYTES);
	made = fd;
	fd = -1;
	return made;
}

int store_kernel_put(const char *bpffs, const char *name, const char *text, size_t length)
{
	char path[PATH_MAX], new_path[PATH_MAX];
	_cleanup_(closep) int fd = -1;

	if (length > LB_CONFIG_BYTES_MAX)
		return -E2BIG;
	if (pin_path(bpffs, name, path) < 0 || pin_path(bpffs, NEW_PIN, new_path) < 0)
		return -ENAMETOOLONG;
	fd = make(text, length);
	if (fd < 0)
		return fd;
	if (unlink(new_path) < 0 && errno != ENOENT)
		return -errno;
	if (bpf_obj_pin(fd, new_path) < 0 || rename(new_path, path) < 0)
		return -errno;
	return 0;
}

static int copy_out(const char *memory, size_t size, char **ret_text, size_t *ret_length)
{
	struct text_header header;
	char *text;

	memcpy(&header, memory, sizeof(header));
	if (header.magic != MAGIC || header.length > size - sizeof(header))
		return -EPROTO;
	text = malloc(header.length + 1);
	if (!text)
		return -ENOMEM;
	memcpy(text, memory + sizeof(header), header.length);
	text[header.length] = '\0';
	*ret_text = text;
	*ret_length = header.length;
	return 0;
}

int store_kernel_get(const char *bpffs, const char *name, char **ret_text, size_t *ret_length)
{
	char path[PATH_MAX];
	_cleanup_(closep) int fd = -1;
	struct bpf_map_info info = {};
	__u32 length = sizeof(info);
	char *memory;
	size_t size;
	int r;

	if (pin_path(bpffs, name, path) < 0)
		return -ENAMETOOLONG;
	fd = bpf_obj_get(path);
	if (fd < 0)
		return -errno;
	if (bpf_obj_get_info_by_fd(fd, &info, &length) < 0)
		return -errno;
	if (info.type != BPF_MAP_TYPE_ARRAY || info.value_size != PIECE_BYTES ||
	    info.max_entries > pieces_for(LB_CONFIG_BYTES_MAX))
		return -EPROTO;
	size = (size_t)info.max_entries * PIECE_BYTES;
	memory = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		return -errno;
	r = copy_out(memory, size, ret_text, ret_length);
	munmap(memory, size);
	return r;
}

void store_kernel_remove(const char *bpffs, const char *name)
{
	char path[PATH_MAX];

	if (pin_path(bpffs, name, path) == 0)
		(void)unlink(path);
}
