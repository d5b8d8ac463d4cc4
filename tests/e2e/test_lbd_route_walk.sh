#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# lbd's answer for every backend is the kernel's own, whatever comes and goes: a random walk (route_walk.py) in the
# lab's two arms (scripts/lab.sh), with three more links to a namespace that answers for routers:
#
#   P-lb e1, e2, e3 (10.1.N.100, fd01:N::100) ---- P-net f1, f2, f3 (10.1.N.1 to .3, fd01:N::1 to ::3)
#
#   STEPS=2000 SEED=7 tests/e2e/test_lbd_route_walk.sh     (make route-walk; otherwise for some seconds)
# beside: labs

# shellcheck disable=SC2317 # functions that check calls
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/lbd-lib.sh
. "$(dirname "$0")/lbd-lib.sh"
# shellcheck source=tests/e2e/route-walk-lib.sh
. "$(dirname "$0")/route-walk-lib.sh"

walk_start
if [[ -n ${STEPS:-} ]]; then
	walk --steps "$STEPS" --seed "${SEED:-1}"
else
	walk --steps 10000 --seconds 20 --seed "${SEED:-1}"
fi
check "lbd is well" process_runs "$lbd_pid"
done_testing
