#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tables that take over from running ones, as stories with fewer connections: other limits, another layout; and what is
# refused, with the old tables running on.
# timeout: 500
# beside: labs

# shellcheck disable=SC2317,SC2119 # functions that check calls; default arguments
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/lbd-lib.sh
. "$(dirname "$0")/lbd-lib.sh"

for story in limits layout; do
	QUICK=1 LAB_PREFIX=$LAB_PREFIX-$story bash "$TEST_ROOT/tests/stories/story_$story.sh" >"$TEST_TMP/$story" 2>&1
	status=$?
	last=$(tail -n 1 "$TEST_TMP/$story")
	if [[ $status == 0 && $last == "story $story: 0 broken of "* ]]; then
		ok "$last"
	else
		not_ok "the story $story" "$(cat "$TEST_TMP/$story")"
	fi
done

# --- what is refused ----------------------------------------------------------------------------------------------

lab_start --arm two --backends 3
lbd_init
mkdir "$TEST_TMP/disk" && mount -t tmpfs -o size=1m tmpfs "$TEST_TMP/disk" && defer umount "$TEST_TMP/disk"
LBD_STATE=$TEST_TMP/disk/state
LBD_ARGUMENTS=(-c "$LBD_CONFIG" --bpffs "$LBD_BPFFS" --state-dir "$LBD_STATE" --socket "$LBD_SOCKET")
lbd_config >"$LBD_CONFIG"
act "lbd starts" lbd_start
check "backends are reached" wait_for 10 lbd_resolved
program=$(api GET /v1/status | jq '.interfaces[0].program_id')

# Tables and program are as they were.
untouched()
{
	answers GET /v1/status ".flow_table.capacity == 262144 and .interfaces[0].program_id == $program" &&
		[[ -z $(find "$LBD_BPFFS" -mindepth 1 -type d) ]] && fetch
}

wanted=$(lbd_config '.limits.flow_entries = 2147483648')
check "more than the machine has is refused, with what it takes" answers POST /v1/apply \
	'.error | .path == "limits" and (.message | test("that takes 131072 MiB, of which this machine has"))' "$wanted"
is "as a full table" "$(api_status POST /v1/apply "$wanted")" 507
check "and nothing was done" untouched
cat /dev/zero >"$TEST_TMP/disk/ballast" 2>/dev/null
check "where the disk is full it is not begun" answers POST /v1/apply '.error.message | test("No space left")' \
	"$(lbd_config '.limits.flow_entries = 1000000')"
check "and nothing was done" untouched
rm "$TEST_TMP/disk/ballast"
check "with room on the disk it is done" answers POST /v1/apply '.applied and .tables.to.flow_entries > 1000000' \
	"$(lbd_config '.limits.flow_entries = 1000000')"
check "and packets flow" fetch

# A description that says something else than the maps.
lbd_stop TERM
python3 - "$LBD_BPFFS/lb_layout" <<'PY'
import ctypes, mmap, os, struct, sys
path = ctypes.create_string_buffer(sys.argv[1].encode() + b"\0")
attribute = ctypes.create_string_buffer(struct.pack("<QII", ctypes.addressof(path), 0, 0) + bytes(104))
number = 280 if os.uname().machine == "aarch64" else 321
fd = ctypes.CDLL(None, use_errno=True).syscall(number, 7, attribute, 120)  # bpf(BPF_OBJ_GET)
memory = mmap.mmap(fd, 65536)
memory[:20] = b"lb_vip . 0 64 1 0 \n\n"
PY
LBD=$LAB_BUILD/next/lbd lbd_once >"$TEST_TMP/refused" 2>&1
check "a layout that contradicts itself is not taken over" \
	grep -q "maps of layout 3 cannot be taken over into layout 4: the description of the layout .*Nothing was changed, packets keep flowing" "$TEST_TMP/refused"
check "nothing of a set is left" test -z "$(find "$LBD_BPFFS" -mindepth 1 -type d)"
check "and packets flow" fetch
done_testing
