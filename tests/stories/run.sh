#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tells all stories, one after the other; ONLY=REGEX those whose name matches. Each ends with a line
# "story NAME: B broken of T"; exit status 0: nothing was broken in any, and all went as expected.

cd "$(dirname "${BASH_SOURCE[0]}")" || exit 1
failed=0 told=0
trap 'exit 130' INT
trap 'exit 143' TERM
for story in story_*.sh; do
	[[ ${story#story_} =~ ${ONLY:-.} ]] || continue
	told=$((told + 1))
	echo "--- $story"
	sed -n '4,/^$/s/^# /    /p' "$story"
	bash "$story" || failed=$((failed + 1))
done
echo "$told stories, $failed not as they should be"
((told > 0 && failed == 0))
