#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Installs what bench-peers compares with, as root, on Debian 12. Starts no service, and has none started at boot. What
# cannot be installed is said and left out: the bench does without it.
set -u

packages=(haproxy nftables libnginx-mod-stream)
services=(haproxy nftables)
policy=/usr/sbin/policy-rc.d
missing=()
for package in "${packages[@]}"; do
	[[ $(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null) == ii* ]] || missing+=("$package")
done
((${#missing[@]})) || exit 0
[[ $EUID -eq 0 ]] || {
	echo "bench-peers: must be root to install: ${missing[*]}" >&2
	exit 1
}

echo "bench-peers: installing ${missing[*]}"
made=
if [[ ! -e $policy ]]; then
	trap 'rm -f "$policy"' EXIT
	trap 'exit 143' INT TERM
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
	made=yes
fi
export DEBIAN_FRONTEND=noninteractive
apt-get -qq -o DPkg::Lock::Timeout=120 update >/dev/null
for package in "${missing[@]}"; do
	apt-get -qq -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 install -y --no-install-recommends "$package" >/dev/null ||
		echo "bench-peers: $package could not be installed: left out"
done
for service in "${services[@]}"; do
	if [[ " ${missing[*]} " == *" $service "* ]]; then
		deb-systemd-helper disable "$service.service" >/dev/null 2>&1
		update-rc.d "$service" disable >/dev/null 2>&1
	fi
done
[[ -z $made ]] || rm -f "$policy"
exit 0
