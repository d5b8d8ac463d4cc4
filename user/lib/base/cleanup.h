/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Resources that are given back when their variable goes out of scope: _cleanup_(freep) char *text = NULL;
 * For library and programs alike. What only one file needs is in that file.
 */
#pragma once

#include <cjson/cJSON.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(function) __attribute__((cleanup(function)))

/* Of any pointer from malloc(). */
static inline void freep(void *pointer)
{
	free(*(void **)pointer);
}

/* -1: none. */
static inline void closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void fclosep(FILE **file)
{
	if (*file)
		fclose(*file);
}

static inline void closedirp(DIR **directory)
{
	if (*directory)
		closedir(*directory);
}

static inline void cjson_freep(cJSON **json)
{
	cJSON_Delete(*json);
}
