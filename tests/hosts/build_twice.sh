#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# make check-deb: the packages of the last commit, built in two clones whose paths, time zones, languages, masks and numbers
# of jobs differ. They must be the same bytes, and lintian must have nothing to say.

set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
tmp=$(mktemp -d /tmp/weir-deb.XXXXXX)
trap 'rm -rf "$tmp"' EXIT

# build FOLDER: the clone there, and its packages.
build()
{
	git clone -q "$root" "$tmp/$1"
	"$tmp/$1/scripts/deb.sh" >"$tmp/$1.log" 2>&1 || {
		cat "$tmp/$1.log" >&2
		exit 1
	}
}

(
	umask 022
	TZ=UTC LC_ALL=C build a
)
(
	umask 077
	TZ=Pacific/Kiritimati LC_ALL=C.UTF-8 DEB_BUILD_OPTIONS=parallel=1 build another-tree-with-a-longer-name
)
status=0
for package in "$tmp"/a/build/deb/*.deb; do
	name=${package##*/}
	if cmp -s "$package" "$tmp/another-tree-with-a-longer-name/build/deb/$name"; then
		echo "same bytes: $name ($(sha256sum <"$package" | cut -c1-16))"
	else
		echo "differs: $name" >&2
		for side in a another-tree-with-a-longer-name; do
			dpkg-deb -x "$tmp/$side/build/deb/$name" "$tmp/x.$side"
		done
		diff -rq "$tmp/x.a" "$tmp/x.another-tree-with-a-longer-name" >&2 || true
		status=1
	fi
done
lintian --fail-on error,warning "$tmp"/a/build/deb/*.deb || status=1
exit $status
