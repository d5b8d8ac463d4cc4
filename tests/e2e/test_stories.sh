#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A slice of the stories (tests/stories), with fewer connections; `make stories` tells all of them whole.
# timeout: 500

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

for story in drain crash flood hammer status vip_missing; do
	QUICK=1 LAB_PREFIX=$LAB_PREFIX-${story//_/-} bash "$TEST_ROOT/tests/stories/story_$story.sh" >"$TEST_TMP/$story" 2>&1
	status=$?
	last=$(tail -n 1 "$TEST_TMP/$story")
	if [[ $status == 0 && $last == "story $story: 0 broken of "* ]]; then
		ok "$last"
	else
		not_ok "the story $story" "$(cat "$TEST_TMP/$story")"
	fi
done

done_testing
