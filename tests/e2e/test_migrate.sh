#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tables that take over from running ones, as stories with fewer connections: other limits, another layout.
# timeout: 400

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

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

done_testing
