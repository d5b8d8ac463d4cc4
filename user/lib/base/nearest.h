/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which known word somebody may have meant.
 */
#pragma once

/* The word of a NULL-terminated list that is nearest in spelling, or NULL when none is near. */
const char *lb_nearest(const char *word, const char *const *words);
