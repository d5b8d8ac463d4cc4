/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once

#include "lb-kubed/kubed.h"

/* -1: go on; else the status to end with, and what was wrong has been said. Texts are those of argv. */
int options_read(struct options *options, int argc, char **argv);
