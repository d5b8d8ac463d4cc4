// SPDX-License-Identifier: GPL-2.0-only
/*
 * The file of an election by lease.
 */
#include "lb-neighbor/lead_file.h"

#include <fcntl.h>
#include <linux/limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "announce/neighbors.h"
#include "base/cleanup.h"
#include "base/clock.h"

/* As good as for ever, and ended by doubt all the same (lb_neighbor_leads()). */
#define LONG_NS (10ull * 365 * 86400 * 1000000000)

/* False: there is no word. Others may write there: no FIFO is waited for, and no link is followed. */
static bool read_word(const char *run_dir, __u8 group, char word[64])
{
	_cleanup_(closep) int fd = -1;
	char path[PATH_MAX];
	struct stat st;
	ssize_t n;

	snprintf(path, sizeof(path), "%s/lead-%u", run_dir, group);
	fd = open(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return false;
	n = read(fd, word, 63);
	if (n <= 0)
		return false;
	word[n] = 0;
	word[strcspn(word, "\n")] = 0;
	return true;
}

bool lead_file_heed(struct lead_file *file, const char *run_dir, __u8 group, bool anew,
		    struct lb_neighbors *all)
{
	unsigned long long confirmed_ns;
	char word[64] = "", end;
	__u64 now = lb_now_ns();

	if (!read_word(run_dir, group, word))
		return file->word[0];
	if (!anew && strcmp(word, file->word) == 0)
		return true;
	if (sscanf(word, "lead %llu%c", &confirmed_ns, &end) == 1) {
		/* What has not been yet would outlast all doubt. */
		if (confirmed_ns > now)
			confirmed_ns = now;
		lb_neighbors_lead(all, group, now + LONG_NS, confirmed_ns);
	} else if (strcmp(word, "follow") == 0) {
		lb_neighbors_follow(all, group);
	} else {
		return file->word[0];
	}
	snprintf(file->word, sizeof(file->word), "%s", word);
	return true;
}
