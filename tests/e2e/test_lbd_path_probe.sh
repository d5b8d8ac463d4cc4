#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A path to a backend that is narrower than its beginning, and nobody tells: no router, no ICMP. The real lb-checkd finds by
# echo requests in the backend's tunnel how much gets through; a client's upload, which hung before, goes on. The lab's two
# arms (scripts/lab.sh): b1's own interface takes less than the others', b2 answers no echo requests.
# beside: labs

# shellcheck disable=SC2317,SC2119 # functions that check calls; default arguments
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/lbd-lib.sh
. "$(dirname "$0")/lbd-lib.sh"

NARROW=1450
# A veth device takes four bytes more than its MTU, for a VLAN tag.
IS_NARROW=".mtu >= $NARROW and .mtu <= $((NARROW + 4)) and .mtu_from == \"probe\""

probe_config()
{
	lbd_config '.checker = { "socket": "'"$TEST_TMP"'/checkd.sock", "path_mtu": false } |
		.health = { "check": { "kind": "tcp", "interval_ms": 400, "timeout_ms": 400 } } | '"${1:-.}"
}

# nexthop SERVICE BACKEND FILTER
nexthop()
{
	answers GET /v1/backends ".backends[] | select(.service == \"$1\" and .name == \"$2\") | .nexthop | $3"
}

upload()
{
	in_ns client curl -gsf --max-time 3 -H Expect: --data-binary "@$TEST_TMP/much" -o /dev/null "http://$LAB_VIP4/id"
}

uploads_hang()
{
	! upload
}

checked()
{
	answers GET /v1/health '[.backends[] | .check.last == "ok"] | all'
}

lab_start --arm two --backends 3
head -c 300000 /dev/zero >"$TEST_TMP/much"
in_ns b1 ip link set eth0 mtu $NARROW
in_ns b2 sysctl -qw net.ipv4.icmp_echo_ignore_all=1 net.ipv6.icmp.echo_ignore_all=1
lbd_init
probe_config '.services[0].backends |= .[:1]' >"$LBD_CONFIG"
act "an agent starts" lbd_start
spawn lb "$LAB_BUILD/lb-checkd" --socket "$TEST_TMP/checkd.sock"
check "backends are checked" wait_for 10 checked
check "not asked for, nothing is found" nexthop web b1 '.mtu_from == "way"'
check "uploads through the narrow path hang" uploads_hang

probe_config '.services[0].backends |= .[:1] | .checker.path_mtu = true' >"$TEST_TMP/probe.json"
check "the path's MTU is asked for" answers POST '/v1/apply?allow_break=1' .applied @"$TEST_TMP/probe.json"
check "it is found" wait_for 20 nexthop web b1 "$IS_NARROW"
check "an event tells" answers GET /v1/events '[.events[].message] | any(test("to='"$(lab_backend4 1)"' mtu=145[0-4] found_by=echo"))'
check "uploads go on" wait_for 10 upload
check "over IPv6 it is found as well" wait_for 20 nexthop web6 b1 "$IS_NARROW"
check "health tells" answers GET /v1/health/web/b1 '.backends[0].path_mtu | .answers and .bytes >= 1450 and .bytes <= 1454'
check "lbctl shows it" grep -Eq 'MTU 145[0-4] \(probe\)' <(in_ns lb "$LAB_BUILD/lbctl" --socket "$LBD_SOCKET" backend list)

probe_config '.checker.path_mtu = true' >"$TEST_TMP/all.json"
check "others come" answers POST '/v1/apply?allow_break=1' .applied @"$TEST_TMP/all.json"
check "they are checked" wait_for 10 checked
check "what was found stays" nexthop web b1 "$IS_NARROW"
check "a wide path is not limited" nexthop web b3 '.mtu_from == "way"'
silent()
{
	answers GET /v1/health/web/b2 '.backends[0].path_mtu == { "bytes": null, "answers": false }'
}
check "one that answers no echo is known to" wait_for 10 silent
check "which is not taken for narrow" nexthop web b2 '.mtu_from == "way"'

in_ns b1 ip link set eth0 mtu 1600
in_ns lb ip link set eth1 mtu 1590
check "where the way changes the path is searched again" wait_for 20 nexthop web b1 '.mtu == 1590 and .mtu_from == "way"'
check "nothing of it was taken for a client's packet, or a check's failure" checked
done_testing
