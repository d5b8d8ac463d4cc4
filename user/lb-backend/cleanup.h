/* SPDX-License-Identifier: GPL-2.0-only */
/* Resources that a scope gives back: _cleanup_(freep) char *text = NULL; */
#pragma once

#include <stdlib.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#define _cleanup_(f) __attribute__((cleanup(f)))

static inline void freep(void *pointer)
{
	free(*(void **)pointer);
}

static inline void closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void cjson_freep(cJSON **json)
{
	cJSON_Delete(*json);
}
