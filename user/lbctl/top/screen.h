/* SPDX-License-Identifier: GPL-2.0-only */
/* The terminal of lbctl top. */
#pragma once

#include <stdbool.h>

#include "lbctl/top/model.h"

struct top_screen {
	bool help;           /* shown instead of the rows */
	bool paused;         /* what is shown stands still */
	bool typing;         /* of a filter */
	size_t first;        /* row at the top */
	const char *problem; /* why there is nothing new; NULL: all is well. Borrowed */
};

/* False: this terminal cannot be used; *ret_why says why. */
bool top_screen_open(const char **ret_why);
void top_screen_close(void);

void top_screen_draw(struct top_screen *screen, const struct top_model *model);

/* Waits for a key, at most so long. Acts on it; false: quit. The terminal or input being gone is a quit. */
bool top_screen_key(struct top_screen *screen, struct top_model *model, int wait_ms);
