/* SPDX-License-Identifier: GPL-2.0-only */
/* Drops of one service: the verb drops with an argument. */
#pragma once

#include "lbctl/lbctl.h"

/* Captures for some seconds what is dropped of the service, and counts it by reason. */
int drops_of_service(struct lbctl *c);
