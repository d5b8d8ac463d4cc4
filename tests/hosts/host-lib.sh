# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A host with a real systemd, for tests of packages and roles, on top of lib.sh: a container over an overlay of this
# machine's own root, whose network namespace is one of the lab's. What it writes is in memory and gone at the end.

# Packages of what was built for the other tests, made once for all suites: sets $debs. How `make deb` makes them from
# sources is `make check-deb`'s to judge. WEIR_DEBS=FOLDER: packages that are there already.
debs_make()
{
	debs=${WEIR_DEBS:-$LAB_BUILD/tests/deb}
	[[ -n ${WEIR_DEBS:-} ]] && return
	[[ -n $(compgen -G "$debs/weir_*.deb") &&
		-z $(find "$LAB_BUILD"/lb* "$TEST_ROOT"/configs "$TEST_ROOT"/docs "$TEST_ROOT"/scripts -newer "$debs/build.log" -print -quit) ]] && return
	DEB_BUILT=$LAB_BUILD DEB_OUT=$debs "$TEST_ROOT/scripts/deb.sh"
}

# The package under another version; the line comes first in the scripts that are named. repack NAME VERSION [LINE SCRIPT...]
# The result: $TEST_TMP/NAME_VERSION.deb.
repack()
{
	local folder=$TEST_TMP/repack script
	rm -rf "$folder"
	dpkg-deb -R "$debs/$1_"*.deb "$folder"
	sed -i "s/^Version: .*/Version: $2/" "$folder/DEBIAN/control"
	for script in "${@:4}"; do
		[[ -e $folder/DEBIAN/$script ]] || printf '#!/bin/sh\n' >"$folder/DEBIAN/$script"
		sed -i "1a $3" "$folder/DEBIAN/$script"
		chmod 755 "$folder/DEBIAN/$script"
	done
	dpkg-deb --root-owner-group -Znone -b "$folder" "$TEST_TMP/$1_$2.deb" >/dev/null
}

# host_make NAME [SIZE]: $root_NAME of it, and $layer_NAME where what it writes lies. SIZE: of its disk (1g).
host_make()
{
	local name=$1 unit
	local layer=$TEST_TMP/$name.layer root=$TEST_TMP/$name.root
	mkdir "$layer" "$root" && mount -t tmpfs -o "size=${2:-1g}" tmpfs "$layer" && defer umount -l "$layer" || return 1
	mkdir "$layer"/{upper,work}
	mount -t overlay overlay -o "lowerdir=/,upperdir=$layer/upper,workdir=$layer/work" "$root" &&
		defer umount -l "$root" || return 1
	rm -rf "$root"/var/lib/weir "$root"/etc/weir "$root"/etc/systemd/system/*.wants "$root"/usr/local/sbin/lb*
	for unit in systemd-udevd systemd-udev-trigger systemd-networkd systemd-resolved systemd-timesyncd e2scrub_reap; do
		ln -sf /dev/null "$root/etc/systemd/system/$unit.service"
	done
	printf '[Unit]\nRequires=sysinit.target dbus.socket\nAfter=sysinit.target\nAllowIsolate=yes\n' \
		>"$root/etc/systemd/system/weir-test.target"
	ln -sf weir-test.target "$root/etc/systemd/system/default.target"
	# Packages may start services here; nobody wants the index of man pages to be made with each.
	rm -f "$root/usr/sbin/policy-rc.d" "$root/var/lib/man-db/auto-update"
}

# host_boot NAME LAB-HOST
host_boot()
{
	local name=$1 leader
	systemd-nspawn -b -D "$TEST_TMP/$name.root" --machine "$LAB_PREFIX-$name" --register=no --keep-unit --console=pipe \
		--capability=all --system-call-filter="bpf perf_event_open" \
		--network-namespace-path="/run/netns/$LAB_PREFIX-$2" </dev/null >"$TEST_TMP/$name.console" 2>&1 &
	eval "nspawn_$name=$!"
	defer host_halt "$name"
	wait_for 30 host_is_up "$name"
}

host_leader()
{
	local nspawn=nspawn_$1
	pgrep -P "${!nspawn}" | head -n 1
}

host_is_up()
{
	[[ -n $(host_leader "$1") ]] && on "$1" systemctl list-jobs 2>&1 | grep -q 'No jobs'
}

host_halt()
{
	local nspawn=nspawn_$1 leader
	leader=$(host_leader "$1")
	[[ -z $leader ]] || kill -RTMIN+4 "$leader" 2>/dev/null
	wait_for 10 process_gone "${!nspawn}" || kill -KILL "${!nspawn}"
}

# on NAME COMMAND...: on that host.
on()
{
	nsenter -t "$(host_leader "$1")" -m -u -i -n -p -- env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "${@:2}"
}
