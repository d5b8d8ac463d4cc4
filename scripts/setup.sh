#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Installs what building, the demo, the checks and the benchmarks need, on Debian 12, as root. Repeatable: when all
# of it is there it only asks dpkg once. Starts no service and leaves services that were there alone.
set -euo pipefail

packages=(
	# build
	gcc libc6-dev make pkg-config clang clang-14 llvm bpftool
	libbpf-dev libxdp-dev libnl-3-dev libnl-route-3-dev libcjson-dev libsystemd-dev libmicrohttpd-dev
	libcurl4-openssl-dev zlib1g-dev libxxhash-dev uthash-dev libncurses-dev
	# checks of the source, unit tests, fuzzing
	clang-format-14 clang-tidy-14 cppcheck libclang-rt-14-dev libcmocka-dev valgrind shellcheck
	# lab, demo, end-to-end tests
	iproute2 nftables procps util-linux openssl ethtool iputils-ping curl nginx-light iperf3 socat jq tcpdump tshark strace tmux
	python3 python3-scapy python3-yaml binutils man-db
	# hosts: packages, systemd in containers, announced VIPs
	dpkg-dev debhelper fakeroot lintian systemd dbus systemd-container bird2 frr keepalived ansible-core ansible-lint
	# scrapes, rules and dashboards
	prometheus
)

die()
{
	echo "setup: $*" >&2
	exit 1
}

# Prints the packages that are not installed. nginx-light gives way to any other nginx of the host.
missing()
{
	local have package
	have=$(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' "${packages[@]}" 2>/dev/null | sed -n 's/^.i. *//p') || true
	for package in "${packages[@]}"; do
		[[ $'\n'$have$'\n' == *$'\n'$package$'\n'* ]] && continue
		[[ $package == nginx-light ]] && PATH=$PATH:/usr/sbin type nginx >/dev/null 2>&1 && continue
		echo "$package"
	done
}

# While packages are configured, invoke-rc.d asks this file and starts nothing. A policy of the host's own waits
# beside and comes back, also when we are interrupted.
policy=/usr/sbin/policy-rc.d
policy_kept=$policy.before-weir

policy_mark="# Made by the set-up of weir while it installs packages; safe to remove."

services_hold()
{
	if [[ -e $policy ]] && ! grep -qxF "$policy_mark" "$policy"; then
		mv "$policy" "$policy_kept"
	fi
	printf '#!/bin/sh\n%s\nexit 101\n' "$policy_mark" >"$policy"
	chmod 755 "$policy"
}

services_release()
{
	rm -f "$policy"
	[[ ! -e $policy_kept ]] || mv "$policy_kept" "$policy"
}

type dpkg-query >/dev/null 2>&1 || die "this installs Debian packages, and dpkg is not here. Needed: ${packages[*]}"
absent=$(missing)
[[ -n $absent ]] || exit 0
mapfile -t need <<<"$absent"

[[ $EUID -eq 0 ]] || die "must be root to install: ${need[*]} (sudo $0)"
# shellcheck disable=SC1091
release=$(. /etc/os-release && echo "${ID:-unknown} ${VERSION_ID:-}") 2>/dev/null || release=unknown
[[ $release == "debian 12" ]] || echo "setup: made for Debian 12, this is $release: package names may differ" >&2

echo "setup: installing ${need[*]}"
trap services_release EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
services_hold
export DEBIAN_FRONTEND=noninteractive
apt=(apt-get -qq -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0)
"${apt[@]}" update || die "apt-get update failed: is the network there, and /etc/apt/sources.list.d right?"
"${apt[@]}" install -y --no-install-recommends "${need[@]}" >/dev/null ||
	die "apt-get could not install: ${need[*]}"

# Our nginx, BIRD, FRR, keepalived and Prometheus are started by tests, never at boot.
declare -A unit_of=([nginx-light]=nginx [bird2]=bird [frr]=frr [keepalived]=keepalived [prometheus]=prometheus)
for package in "${!unit_of[@]}"; do
	[[ " ${need[*]} " == *" $package "* ]] || continue
	deb-systemd-helper disable "${unit_of[$package]}.service" >/dev/null 2>&1 || true
	update-rc.d "${unit_of[$package]}" disable >/dev/null 2>&1 || true
done
absent=$(missing)
[[ -z $absent ]] || die "still missing: $absent"
echo "setup: done"
