#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Makes the Debian packages of this tree, as it is: build/deb/*.deb. The recipe is configs/debian. Built twice from the
# same commit they are the same bytes: the only time in them is the commit's.
#
#   DEB_VERSION=1.2.3 scripts/deb.sh    # another version than git says
#   DEB_OUT=FOLDER                      # to be written there
#   DEB_BUILT=FOLDER                    # with what make has built there (build), which is not hardened: for tests of what a
#                                       # package does on a host

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

die()
{
	echo "deb: $*" >&2
	exit 1
}

# A tag v1.2 gives 1.2, commits after it 1.2+N.HASH; without any tag the commit's time orders versions.
git_version()
{
	local describe time
	describe=$(git describe --tags --match 'v[0-9]*' 2>/dev/null) || {
		time=$(date -u -d "@$(git log -1 --format=%ct)" +%Y%m%d%H%M%S)
		echo "0~git$time.$(git rev-parse --short=7 HEAD)"
		return
	}
	describe=${describe#v}
	[[ $describe =~ ^(.*)-([0-9]+)-g([0-9a-f]+)$ ]] && describe=${BASH_REMATCH[1]}+${BASH_REMATCH[2]}.${BASH_REMATCH[3]}
	echo "$describe"
}

# Names of what belongs to the tree, tracked or new, without what is ignored.
tree_files()
{
	git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
		[[ -e $file ]] && printf '%s\0' "$file"
	done
}

for tool in dpkg-buildpackage:dpkg-dev dh:debhelper fakeroot:fakeroot; do
	type "${tool%:*}" >/dev/null 2>&1 || die "${tool%:*} is not there: apt install ${tool#*:}"
done
git rev-parse --is-inside-work-tree >/dev/null 2>&1 || die "packages are made from a git tree"

version=${DEB_VERSION:-$(git_version)}
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
[[ -n ${DEB_VERSION:-} || -z $(git status --porcelain) ]] || version+=+dirty

out=${DEB_OUT:-$PWD/build/deb}
source_dir=$out/weir
rm -rf "$out"
mkdir -p "$source_dir"
tree_files | tar -c --null -T - | tar -x -C "$source_dir"
cp -a configs/debian "$source_dir/debian"
clean=()
if [[ -n ${DEB_BUILT:-} ]]; then
	clean=(--no-pre-clean)
	mkdir "$source_dir/build"
	(cd "$DEB_BUILT" && cp -a bpf gen user libxdp liblb.a lb[dc-]* "$source_dir/build")
	WEIR_VERSION=$(sed 's/.*"\(.*\)"/\1/' "$DEB_BUILT/gen/version.h")
	export WEIR_VERSION DEB_BUILD_OPTIONS="noautodbgsym ${DEB_BUILD_OPTIONS:-}"
fi
cat >"$source_dir/debian/changelog" <<CHANGELOG
weir ($version) unstable; urgency=medium

  * Built from commit $(git rev-parse --short=12 HEAD). See the upstream changelog.

 -- Weir developers <weir@weir.dev>  $(date -R -u -d "@$SOURCE_DATE_EPOCH")
CHANGELOG
log=$out/build.log
(cd "$source_dir" && dpkg-buildpackage "${clean[@]}" -b -us -uc -j"$(nproc)") >"$log" 2>&1 || {
	tail -n 40 "$log" >&2
	die "dpkg-buildpackage failed; all of it is in $log"
}
rm -rf "$source_dir"
for package in "$out"/*.deb; do
	echo "${package#"$PWD"/}"
done
