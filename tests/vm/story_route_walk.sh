#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The random walk of tests/e2e/test_lbd_route_walk.sh with what the machine at hand may not have: VLANs, bonds, tunnels.
# An emulated processor takes seconds for a step: make check-vm walks as many as fit into 150 s, make route-walk-vm 200.
#
#   STEPS=200 SEED=3 WALK_SECONDS=3000

# shellcheck disable=SC2317 # functions that check calls
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/route-walk-lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../e2e/route-walk-lib.sh"

LBD_WAIT=$PATIENCE
check "the kernel has VLANs, bonds and tunnels" modprobe -a 8021q bonding ipip macvlan bridge
walk_start
walk --stacked --slow 8 --steps "${STEPS:-200}" --seconds "${WALK_SECONDS:-150}" --seed "${SEED:-3}"
check "lbd is well" process_runs "$lbd_pid"
done_testing
