# SPDX-License-Identifier: GPL-2.0-only
# The packages as they are released, from sources: the same bytes wherever they are built, and lintian content. Not part of
# make check, which packs what it has built (tests/hosts/host-lib.sh): two hardened builds take minutes.
.PHONY: check-deb
check-deb: setup
	$(Q)tests/hosts/build_twice.sh
