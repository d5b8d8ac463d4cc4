/* SPDX-License-Identifier: GPL-2.0-only */
/* Reading configurations. */
#pragma once

#include "config/config.h"
#include "lbctl.h"

/*
 * Reads a whole file, "-" for standard input, of at most LB_CONFIG_BYTES_MAX bytes. EXIT_DONE and *ret_text
 * (malloc'd, terminated), or EXIT_FAILED after saying why.
 */
int input_read(const struct lbctl *c, const char *path, char **ret_text, size_t *ret_length);

/* An error of the library as lbctl_fail_with takes it. file: may be NULL. */
cJSON *input_error(const struct lb_error *error, const char *file);
