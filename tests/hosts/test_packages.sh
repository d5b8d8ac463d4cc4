#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 300
#
# The Debian packages on a host with a real systemd: installed, upgraded under traffic, downgraded, given a configuration
# that they refuse, removed, purged. The host is the lab's balancer (drawn in scripts/lab.sh).

# shellcheck disable=SC2317,SC2119 # functions that check calls; default arguments
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/../e2e/lib.sh"
# shellcheck source=tests/e2e/lbd-lib.sh
. "$TEST_ROOT/tests/e2e/lbd-lib.sh"
# shellcheck source=tests/hosts/container.sh
. "$TEST_ROOT/tests/hosts/container.sh"

for tool in systemd-nspawn:systemd-container dpkg-buildpackage:dpkg-dev dh:debhelper lintian:lintian; do
	type "${tool%:*}" >/dev/null 2>&1 || {
		not_ok "${tool%:*} is there: apt install ${tool#*:}"
		done_testing
	}
done

# build VERSION: the packages, kept in the test's folder.
build()
{
	DEB_VERSION=$1 "$TEST_ROOT/scripts/deb.sh" >"$TEST_TMP/deb-$1" 2>&1 || {
		diag <"$TEST_TMP/deb-$1"
		return 1
	}
	mkdir -p "$TEST_TMP/deb"
	mv "$TEST_ROOT"/build/deb/weir*_"$1"_*.deb "$TEST_TMP/deb/"
}

# package NAME VERSION: its file, as the host sees it.
package()
{
	echo "/root/deb/$1_$2_$(dpkg --print-architecture).deb"
}

# host COMMAND...
host()
{
	in_container lb "$@"
}

install_package()
{
	host env DEBIAN_FRONTEND=noninteractive dpkg -i "$(package "$1" "$2")"
}

generation()
{
	host lbctl -j status | jq -r .generation
}

requests_arrive()
{
	in_ns client curl -sf --max-time 1 "http://$LAB_VIP4/id"
}

runs_version()
{
	[[ $(host lbctl -j version | jq -r '.agent.version // .version') == "$1" ]]
}

# One request after the other, until told to end.
load_start()
{
	spawn client bash -c "while :; do curl -sf --max-time 3 http://$LAB_VIP4/id >/dev/null && echo ok || echo failed; done"
	load_pid=$spawned load_output=$spawned_output
	wait_for 5 grep -q ok "$load_output"
}

load_end()
{
	kill "$load_pid"
	wait "$load_pid" 2>/dev/null
	is "$1: no request failed" "$(grep -c failed "$load_output")" 0
	check "$1: $(grep -c ok "$load_output") went well" test "$(grep -c ok "$load_output")" -ge 20
}

# What an installation may leave on the host.
traces()
{
	host sh -c 'ls -d /etc/weir /var/lib/weir /run/weir /usr/lib/weir /sys/fs/bpf/weir /usr/sbin/lbd 2>/dev/null' | tr '\n' ' '
}

test_install()
{
	lbd_config '.interfaces[0].attach = "exclusive" | del(.limits)' >"$TEST_TMP/weir.json"
	check "install" install_package weir 1.0
	refuse "nothing is started that is not configured" "inactive" host systemctl is-active lbd.service
	container_put lb /etc/weir/weir.json <"$TEST_TMP/weir.json"
	check "bpffs is there for good" host sh -c 'mountpoint -q /sys/fs/bpf || mount -t bpf bpf /sys/fs/bpf'
	check "start" host systemctl start lbd.service
	check "packets flow" wait_for 10 requests_arrive
	check "the agent says the package's version" runs_version 1.0
}

test_upgrade()
{
	local before
	before=$(generation)
	load_start
	check "upgrade" install_package weir 2.0
	check "the new agent runs" wait_for 20 runs_version 2.0
	is "it has adopted what ran" "$(generation)" "$before"
	check "downgrade" install_package weir 1.0
	check "the old agent runs again" wait_for 20 runs_version 1.0
	is "it has adopted as well" "$(generation)" "$before"
	load_end "upgrade and downgrade"
}

# What the new version would refuse stays with the old one, and the upgrade says so.
test_refused_configuration()
{
	local pid
	pid=$(host systemctl show -P MainPID lbd.service)
	container_put lb /etc/weir/weir.json <<<'{ "version": 1, "no_such_key": true }'
	install_package weir 2.0 >"$TEST_TMP/refused" 2>&1
	is "upgrade beside a bad configuration succeeds" $? 0
	check "it says what is wrong" grep -q "no_such_key" "$TEST_TMP/refused"
	is "the agent that runs was left alone" "$(host systemctl show -P MainPID lbd.service)" "$pid"
	check "packets flow" requests_arrive
	container_put lb /etc/weir/weir.json <"$TEST_TMP/weir.json"
	check "corrected and restarted, the new one runs" host systemctl restart lbd.service
	check "it says its version" wait_for 20 runs_version 2.0
}

test_remove()
{
	check "remove" host env DEBIAN_FRONTEND=noninteractive dpkg -r weir
	refuse "packets pass to the host's own stack" "" requests_arrive
	is "nothing of ours is pinned" "$(host sh -c 'ls /sys/fs/bpf/weir 2>/dev/null | wc -l')" 0
	is "no program is attached" "$(in_ns lb ip -o link show dev eth0 | grep -c xdp)" 0
	check "purge" host env DEBIAN_FRONTEND=noninteractive dpkg -P weir
	is "purge leaves nothing" "$(traces)" ""
}

test_backend()
{
	host ip link add vb0 type veth peer name vb1
	host ip link set vb0 up
	check "backend: install" install_package weir-backend 1.0
	container_put lb /etc/weir/backend-web.env <<<'LB_BACKEND_ARGS=--vip 203.0.113.77 --dev vb0 --decap none'
	check "backend: start" host systemctl start lb-backend@web.service
	check "backend: the VIP is there" host sh -c 'ip -o address show dev lo | grep -q 203.0.113.77/32'
	check "backend: upgrade" install_package weir-backend 2.0
	check "backend: still watched" host systemctl is-active lb-backend@web.service
	host ip address del 203.0.113.77/32 dev lo
	check "backend: put back" wait_for 10 host sh -c 'ip -o address show dev lo | grep -q 203.0.113.77/32'
	check "backend: remove" host env DEBIAN_FRONTEND=noninteractive dpkg -r weir-backend
	refuse "backend: what it did is undone" "" host sh -c 'ip -o address show dev lo | grep 203.0.113.77/32'
}

check "packages are made" build 1.0
check "and of another version" build 2.0
check "lintian has nothing to say" lintian --fail-on error,warning "$TEST_TMP"/deb/weir_2.0_*.deb "$TEST_TMP"/deb/weir-backend_2.0_*.deb
lab_start --backends 3
lbd_init
container_boot lb lb || not_ok "a host with systemd boots" "$(<"$TEST_TMP/container-lb/console")"
mkdir -p "${container_root[lb]}/root/deb"
cp "$TEST_TMP"/deb/weir*.deb "${container_root[lb]}/root/deb/"
test_install
test_upgrade
test_refused_configuration
test_remove
test_backend
done_testing
