// SPDX-License-Identifier: GPL-2.0-only
/*
 * The pinned table of VIPs (lb/neighbor.h). A new lbd with new maps pins another one under the same name.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "base/cleanup.h"
#include "lb-neighbor/lb-neighbor.h"

static size_t table_bytes(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (sizeof(struct lb_neighbors) + page - 1) / page * page;
}

static int map_table(struct table *table, const char *path, struct lb_error *error)
{
	_cleanup_(closep) int fd = bpf_obj_get(path);
	struct bpf_map_info info = {};
	__u32 length = sizeof(info);
	void *memory;

	if (fd < 0)
		return lb_error_set(error, errno, "Failed to open the map %s: %m", path);
	if (bpf_obj_get_info_by_fd(fd, &info, &length) < 0)
		return lb_error_set(error, errno, "Failed to ask about the map %s: %m", path);
	if (info.value_size != sizeof(struct lb_neighbors))
		return lb_error_set(error, EPROTO,
				    "%s is of another version of weir: values of %u bytes, not %zu", path,
				    info.value_size, sizeof(struct lb_neighbors));
	memory = mmap(NULL, table_bytes(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		return lb_error_set(error, errno, "Failed to map %s into memory: %m", path);
	table->all = memory;
	return 0;
}

int table_open(struct table *table, const char *bpffs, struct lb_error *error)
{
	char path[PATH_MAX];
	struct stat st;
	int r;

	snprintf(path, sizeof(path), "%s/lb_neighbors", bpffs);
	if (stat(path, &st) < 0) {
		r = -errno;
		table_close(table);
		return lb_error_set(error, -r, "There is no packet path pinned in %s: %s", bpffs,
				    r == -ENOENT ? "no lbd has started there yet" : "it cannot be looked at");
	}
	if (table->all && table->inode == st.st_ino)
		return 0;
	table_close(table);
	r = map_table(table, path, error);
	if (r == 0)
		table->inode = st.st_ino;
	return r;
}

void table_close(struct table *table)
{
	if (table->all)
		munmap(table->all, table_bytes());
	*table = (struct table){};
}
