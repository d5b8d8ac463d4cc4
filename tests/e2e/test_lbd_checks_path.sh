#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Checks through the packet path, with the real lb-checkd and lb-backend: what keeps clients' packets from being answered is
# found although the backend's own address answers (VIP or decapsulation missing, a firewall that drops tunnels); what else may
# answer for a VIP on the balancer is no backend's health (its own address, another's NAT, a rule that is gone); answers
# that rp_filter eats are nobody's failure; a backend that is the balancer itself; nothing stays behind.
# beside: labs

# shellcheck disable=SC2317,SC2119 # functions that check calls; default arguments
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/lbd-lib.sh
. "$(dirname "$0")/lbd-lib.sh"

CHECKD=${CHECKD:-$LAB_BUILD/lb-checkd}
FORWARD=ipip

path_config()
{
	lbd_config '.checker = { "socket": "'"$TEST_TMP"'/checkd.sock" } |
		.health = { "check": { "kind": "http", "path": "/id", "interval_ms": 400, "timeout_ms": 400, "fall": 3,
			"fast_interval_ms": 100, "down_interval_ms": 300 },
			"breaker": { "wait_ms": 200, "ramp_ms": 200, "dead_after_ms": 60000 } } |
		.services[].forward = "'"$FORWARD"'" | '"${1:-.}"
}

# asked FILTER: of the answer about checks, for each backend
asked()
{
	answers GET /v1/health "[.backends[] | $1] | all"
}

all_well()
{
	asked '.check.last == "ok" and .check.last_age_s < 2 and .check.path == null and .breaker.state == "closed"'
}

# last SERVICE BACKEND OUTCOME
last()
{
	answers GET "/v1/health/$1/$2" ".backends[0].check | .last == \"$3\" and .last_age_s < 2"
}

breaker()
{
	answers GET "/v1/health/$1/$2" ".backends[0].breaker.state == \"$3\""
}

event_says()
{
	answers GET /v1/events "[.events[].message] | any(test(\"$1\"))"
}

# The backend still answers at its own address.
answers_itself()
{
	in_ns lb curl -gsf --max-time 2 -o /dev/null "http://$1/"
}

rules()
{
	in_ns lb ip "$1" rule | grep -c 'lookup 179'
}

rules_are_back()
{
	[[ $(rules -4) == 1 && $(rules -6) == 1 ]]
}

has_program()
{
	in_ns lb tc filter show dev weir-check egress | grep -q lb_check
}

# Packets that the balancer has sent to backends for clients.
balanced()
{
	api GET /v1/status | jq '.packets | .tx + .redirect'
}

lab_start --arm two --backends 3
lbd_init
path_config >"$LBD_CONFIG"
act "an agent starts" lbd_start
spawn lb "$CHECKD" --socket "$TEST_TMP/checkd.sock"
checkd_pid=$spawned
check "all are asked at the VIP, and answer, over IPv4 and IPv6" wait_for 10 all_well
check "what is asked is the VIP at the backend" asked '.check.target == "vip" and .check.via == .address and .check.address != .address'
check "the VIP is bound nowhere on the balancer" is "addresses" "$(in_ns lb ip address | grep -c "$LAB_VIP4\|$LAB_VIP6")" 0
from()
{
	grep -c ' /id 200' "$LAB_DIR/b1/access.log"
}
check "it is the backend that answers, at the VIP" wait_for 5 test "$(from)" -gt 2
check "no mark is left on what leaves" answers GET /v1/health '.checker.path.sent > 10 and .checker.path.refused == 0'

# --- what the backend's own address does not tell --------------------------------------------------------------------

in_ns b1 ip address del "$LAB_VIP4/32" dev lo
check "a VIP that is missing at a backend is found" wait_for 5 breaker web b1 open
check "although its own address answers" answers_itself "$(lab_backend4 1)"
check "the other family is well" last web6 b1 ok
in_ns b1 ip address add "$LAB_VIP4/32" dev lo
check "and that it is back" wait_for 10 all_well

in_ns b2 "$LAB_BUILD/lb-backend" down --state-dir "$LAB_DIR/b2" >/dev/null || not_ok "decapsulation goes"
in_ns b2 ip address add "$LAB_VIP4/32" dev lo
in_ns b2 ip address add "$LAB_VIP6/128" dev lo nodad
check "decapsulation that is missing is found" wait_for 5 breaker web b2 open
check "over IPv6 as well" wait_for 5 breaker web6 b2 open
check "although its own address answers, and the VIP is there" answers_itself "$(lab_backend4 2)"
in_ns b2 ip address del "$LAB_VIP4/32" dev lo
in_ns b2 ip address del "$LAB_VIP6/128" dev lo
in_ns b2 "$LAB_BUILD/lb-backend" up --vip "$LAB_VIP4" --vip "$LAB_VIP6" --dev eth0 --decap ipip --state-dir "$LAB_DIR/b2" \
	>/dev/null || not_ok "decapsulation is back"
check "and that it is back" wait_for 10 all_well

# The switch drops IPv4 in IPv4 (protocol 4) on the way to b3, and nothing else.
in_ns sw tc qdisc add dev b3 clsact
in_ns sw tc filter add dev b3 egress protocol ip prio 1 bpf da bytecode '4,48 0 0 23,21 0 1 4,6 0 0 2,6 0 0 0' ||
	not_ok "a firewall can be made"
check "a firewall that drops tunnels is found" wait_for 5 breaker web b3 open
check "although its own address answers" answers_itself "$(lab_backend4 3)"
in_ns sw tc qdisc del dev b3 clsact
check "and that it is gone" wait_for 10 all_well

# --- what comes late ------------------------------------------------------------------------------------------------

# What b2 sends to the balancer (10.77.0.2) is lost for a while; then its answers are sent again, to checks that are over.
in_ns sw tc qdisc add dev b2 clsact
in_ns sw tc filter add dev b2 ingress protocol ip prio 1 bpf da bytecode '4,32 0 0 30,21 0 1 172818434,6 0 0 2,6 0 0 4294967295' ||
	not_ok "answers are lost"
check "a backend that is slow" wait_for 5 breaker web b2 open
late=$(api GET /v1/health | jq .checker.path.late)
in_ns sw tc qdisc del dev b2 clsact
come_late()
{
	answers GET /v1/health ".checker.path.late > $late"
}
check "answers checks that are over: the kernel's resets are kept from the network" wait_for 8 come_late
is "nothing of them came back as a client's packet" "$(balanced)" 0
check "and it is back" wait_for 10 all_well
check "this host's own connections to a VIP go on" in_ns lb curl -gsf --max-time 3 -o /dev/null "http://$LAB_VIP4/"
own=$(balanced)
check "as a client's do" test "$own" -gt 3

# --- what is no backend's health ------------------------------------------------------------------------------------

in_ns lb ip address add "$LAB_VIP4/32" dev lo
check "a VIP that the balancer has itself is named" wait_for 5 answers GET /v1/health/web/b1 \
	'.backends[0].check.path | test("address of this host")'
check "in an event" event_says 'service=web not_checked cause=.*address of this host'
# Nobody listens there: read as health it would be a refusal.
check "and is not read as a backend's health" answers GET /v1/health '[.backends[] | .check.outcomes.refused == 0] | all'
in_ns lb ip address del "$LAB_VIP4/32" dev lo
check "and is over when it is gone" wait_for 5 all_well

in_ns lb ip route add local "$LAB_VIP4/32" dev lo
check "a route that makes the VIP local is noticed by the packets that are not seen" wait_for 5 answers GET /v1/health/web/b1 \
	'.backends[0].check.path | test("another way")'
check "refusals of the balancer itself count for nothing" answers GET /v1/health '[.backends[] | .check.outcomes.refused == 0 and
	.breaker.state == "closed"] | all'
in_ns lb ip route del local "$LAB_VIP4/32" dev lo
check "and is over when it is gone" wait_for 5 all_well

in_ns lb ip rule del pref 90
in_ns lb ip -6 rule del pref 90
check "a rule that others take away is put back" wait_for 5 rules_are_back
check "nobody was taken out for it" wait_for 5 all_well
# Had they been led to the router, they had come back here.
check "and nothing of it came back to the balancer as a client's packet" test "$(balanced)" = "$own"
in_ns lb ip link del weir-check
check "a device that others take away is put back" wait_for 5 has_program
in_ns lb tc qdisc del dev weir-check clsact
check "a program that others take away is put back" wait_for 5 has_program
check "and all are well" wait_for 5 all_well

# --- the balancer's own filter ----------------------------------------------------------------------------------------

in_ns lb sysctl -qw net.ipv4.conf.eth1.rp_filter=1
path_config '.services[0].health.check.path = "/"' >"$TEST_TMP/other.json"
check "with a strict rp_filter another check is begun" answers POST '/v1/apply?allow_break=1' .applied @"$TEST_TMP/other.json"
check "answers that it eats are nobody's failure, and it is named" wait_for 5 answers GET /v1/health/web/b1 \
	'.backends[0] | (.check.path | test("rp_filter")) and .breaker.state == "closed"'
in_ns lb sysctl -qw net.ipv4.conf.eth1.rp_filter=2
check "a loose one lets them in" wait_for 5 all_well
in_ns lb sysctl -qw net.ipv4.conf.eth1.rp_filter=0

# --- the balancer as its own backend ------------------------------------------------------------------------------------

spawn lb python3 -m http.server --bind 10.77.0.2 80
path_config '.services[0].backends += [ { "name": "self", "address": "10.77.0.2" } ] | .health.check.path = "/"' >"$TEST_TMP/self.json"
check "the balancer becomes a backend" answers POST '/v1/apply?allow_break=1' .applied @"$TEST_TMP/self.json"
check "it is asked at its own address" wait_for 5 last web self ok
check "and all the others as before" wait_for 5 all_well

# --- the end ------------------------------------------------------------------------------------------------------------

lbd_stop KILL
check "an agent that is killed leaves its device" in_ns lb ip link show weir-check
act "and finds it again" lbd_start
check "checks go on" wait_for 10 all_well
path_config '.health.check.target = "address"' >"$TEST_TMP/address.json"
check "checks of the backends' own addresses" answers POST '/v1/apply?allow_break=1' .applied @"$TEST_TMP/address.json"
check "go their own way" wait_for 5 asked '.check.target == "address" and .check.last == "ok" and .check.via == null'
check "and nothing of the other is left" is "devices, rules, qdiscs" \
	"$(in_ns lb ip link | grep -c weir-check) $(rules -4) $(rules -6) $(in_ns lb tc qdisc | grep -c clsact)" "0 0 0 0"
check "checks through the packet path once more" answers POST '/v1/apply?allow_break=1' .applied @"$LBD_CONFIG"
check "go on" wait_for 10 all_well
kill -TERM "$checkd_pid"
lbd_stop KILL
check "--detach takes away what an agent that was killed has left" lbd_once --detach
is "devices, rules, filters" \
	"$(in_ns lb ip link | grep -c weir-check) $(rules -4) $(rules -6) $(in_ns lb tc filter show dev eth0 egress | grep -c lb_check)" "0 0 0 0"
done_testing
