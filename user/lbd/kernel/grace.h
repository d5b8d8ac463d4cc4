/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Waiting until no packet in flight can see any more what was given up: an RCU grace period.
 */
#pragma once

/* Maps, where membarrier is refused; 0: not made. */
struct grace {
	int inner, outer;
};

/* Every packet that may have seen what was visible before the call is done. 0 or -errno. Some 20 ms, beside
 * the loop where a task waits. */
int grace_wait(struct grace *grace);
void grace_close(struct grace *grace);
