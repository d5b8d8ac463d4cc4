/* SPDX-License-Identifier: GPL-2.0-only */
/* What backend set has in common with the verbs that edit the configuration. */
#pragma once

#include "lbctl.h"

/* Whether backend set is meant for the configuration, and not as a word over it. */
bool edits_configuration(const struct lbctl *c);

/* Sets keys of a backend in the configuration. */
int edit_backend(struct lbctl *c);
