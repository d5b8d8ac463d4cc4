// SPDX-License-Identifier: GPL-2.0-only
/*
 * The list of commands: a line for each, an absolute path; # begins a comment. It is read for every run: what
 * root takes away is not run again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "lb-execd/execd.h"

#define LINE_MAX_BYTES 4096

static bool only_root_writes(const struct stat *st)
{
	return st->st_uid == 0 && !(st->st_mode & (S_IWGRP | S_IWOTH));
}

static bool names(FILE *file, const char *command)
{
	char line[LINE_MAX_BYTES];

	while (fgets(line, sizeof(line), file)) {
		size_t length = strcspn(line, "#\n");

		while (length && (line[length - 1] == ' ' || line[length - 1] == '\t'))
			length--;
		line[length] = 0;
		if (strcmp(line, command) == 0)
			return true;
	}
	return false;
}

static int list_names(const char *list, const char *command, const char **ret_why)
{
	_cleanup_(fclosep) FILE *file = fopen(list, "re");
	struct stat st;

	*ret_why = "there is no list of commands";
	if (!file || fstat(fileno(file), &st) < 0)
		return -errno;
	*ret_why = "others than root may write the list of commands";
	if (!S_ISREG(st.st_mode) || !only_root_writes(&st))
		return -EPERM;
	*ret_why = "the list of commands does not name it";
	return names(file, command) ? 0 : -EACCES;
}

int list_allows(const char *list, const char *command, const char **ret_why)
{
	struct stat st;
	int r;

	*ret_why = "it is no absolute path";
	if (command[0] != '/')
		return -EINVAL;
	r = list_names(list, command, ret_why);
	if (r < 0)
		return r;
	*ret_why = "it is not there";
	if (stat(command, &st) < 0)
		return -errno;
	*ret_why = "it is no program";
	if (!S_ISREG(st.st_mode) || access(command, X_OK) < 0)
		return -EACCES;
	*ret_why = "others than root may write it";
	return only_root_writes(&st) ? 0 : -EPERM;
}
