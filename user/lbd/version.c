// SPDX-License-Identifier: GPL-2.0-only
/*
 * The version, in one object: files built at different commits must not contradict each other.
 */
#include "lbd/lbd.h"
#include "version.h"

const char lbd_version[] = LB_VERSION;
