/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The configuration file: read as a whole, and written back so that there is the old text or the new one,
 * never a part.
 */
#pragma once

#include <linux/limits.h>
#include <stddef.h>

#include "base/error.h"

/* The text, malloc'd and terminated, read once, so that what is parsed is what is kept. 0 or -errno. */
int config_file_read(const char *path, char **ret_text, size_t *ret_length, struct lb_error *error);

/* The same where it is the administrator's: root's, or the agent's own (which saves into it), and nobody
 * else may write it. -EPERM where it is not. */
int config_file_read_trusted(const char *path, char **ret_text, size_t *ret_length, struct lb_error *error);

/* A new text that waits beside the file. */
struct config_save {
	char target[PATH_MAX]; /* what the path leads to; empty: nothing waits */
	char fresh[PATH_MAX];
};

/*
 * Writes the text beside the file, with its owner and mode, to the disk. 0 or -errno; nothing is left behind
 * then. Afterwards one of the two that follow.
 */
int config_save_prepare(const char *path, const char *text, size_t length, struct config_save *ret_save,
			struct lb_error *error);
/* Puts it in the file's place. */
int config_save_commit(struct config_save *save, struct lb_error *error);
/* Forgets it; does nothing when there is nothing. */
void config_save_cancel(struct config_save *save);
