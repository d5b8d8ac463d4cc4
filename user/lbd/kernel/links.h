/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What has to be looked at where links or addresses of the host may have changed.
 */
#pragma once

struct lbd;

/* Has a task look at the interfaces and the host's addresses again. */
void links_look_again(struct lbd *lbd);
