#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 235
#
# Packages (packages.sh) and roles (roles.sh), at the same time: each is a story of hosts of its own, which mostly waits for
# one process.

# shellcheck disable=SC2154 # host-lib
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/../e2e/lib.sh"
# shellcheck source=tests/hosts/host-lib.sh
. "$TEST_ROOT/tests/hosts/host-lib.sh"

debs_make >"$TEST_TMP/deb.log" 2>&1 || {
	not_ok "packages are made of what was built" "$(tail -n 20 "$TEST_TMP/deb.log")"
	done_testing
}
ok "packages are made of what was built"

for part in packages roles; do
	WEIR_DEBS=$debs LAB_PREFIX=$LAB_PREFIX${part:0:1} bash "$TEST_ROOT/tests/hosts/$part.sh" >"$TEST_TMP/$part" 2>&1 &
	test_pids+=($!)
	declare "$part=$!"
done
for part in packages roles; do
	wait "${!part}"
	tap_merge <"$TEST_TMP/$part"
done
done_testing
