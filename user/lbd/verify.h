/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whether what lbd has made is as it was left: links, pins, the API's socket.
 */
#pragma once

#include "base/error.h"

struct lbd;

/* From now on, every second: heals what it can, and tells. start: 0 or -errno. */
int verify_start(struct lbd *lbd);
void verify_stop(struct lbd *lbd);

/* Listens on the API's socket, anew if somebody removed it. 0 or -errno. */
int verify_socket_open(struct lbd *lbd, const char *path, struct lb_error *error);

/* Removes the API's socket, if it is still ours. */
void verify_socket_remove(struct lbd *lbd);
