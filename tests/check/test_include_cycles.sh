#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The check of include circles (scripts/include-cycles.sh) over trees made for it: one with a circle of headers, one
# with a circle that runs through a .c file, and one without any.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1

tmp=$(mktemp -d) || exit 1
trap 'rm -r "$tmp"' EXIT
n=0
failed=0

# expect NAME STATUS TEXT: the check of the tree gives the status, and says the text.
expect()
{
	local output status
	output=$(scripts/include-cycles.sh "$tmp" 2>&1)
	status=$?
	n=$((n + 1))
	if [[ $status == "$2" && $output == *"$3"* ]]; then
		echo "ok $n - $1"
	else
		failed=$((failed + 1))
		echo "not ok $n - $1"
		echo "# status $status, wanted $2 with \"$3\": ${output//$'\n'/$'\n'# }"
	fi
}

# file NAME INCLUDE...
file()
{
	local name=$1
	shift
	mkdir -p "$tmp/${name%/*}"
	printf '#include "%s"\n' "$@" >"$tmp/$name"
}

mkdir -p "$tmp/include" "$tmp/user"
expect "a tree without source is no success" 2 "no C source"
file user/lib/a/one.h b/two.h
file user/b/two.h base/three.h
file user/b/two.c b/two.h b/two_internal.h
file user/b/two_internal.h b/two.h
expect "what includes one way only passes" 0 ""
file user/lib/base/three.h a/one.h
expect "headers that include each other fail" 1 "a/one"
file user/lib/base/three.h lb/types.h
file user/b/two.c b/two.h a/one.h
expect "a circle through a .c file fails" 1 "b/two"

echo "1..$n"
exit $((failed > 0))
