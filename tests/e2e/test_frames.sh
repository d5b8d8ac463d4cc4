#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Frames that are not ours, and answers that are due, in the lab's two arms (scripts/lab.sh): MAC addresses of other
# hosts and of this one, packets that no service takes on a host that forwards, what traceroute and clients are told, and
# an upload beside a flood that wants to be answered.
# beside: labs

# shellcheck disable=SC2016,SC2317 # jq and shells that check calls expand what stands there; functions that check calls
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/lbd-lib.sh
. "$(dirname "$0")/lbd-lib.sh"

lab_start --arm two --backends 3
lbd_init

# The configuration of these tests: the VIP's TCP port 80 and UDP port 53; JQ FILTER as lbd_config.
config()
{
	lbd_config ".services[0] as \$web | .services += [ \$web + { \"name\": \"dns\", \"protocol\": \"udp\", \"port\": 53 } ]
		| ${1:-.}"
}

frames()
{
	/usr/bin/python3 -I "$TEST_ROOT/tests/e2e/frames.py" "$LAB_PREFIX" "$@"
}

# Packets counted under a reason.
counted()
{
	api GET /v1/drops | jq "[.reasons[] | select(.reason == \"$1\") | .packets] | add // 0"
}

forwarded()
{
	api GET /v1/stats | jq '.totals | .tx + .redirect'
}

# more_of WHAT BEFORE COUNT: so many more of a count (counted or forwarded) than before.
more_of()
{
	local now
	now=$($1)
	((now - $2 >= $3)) || {
		echo "$1: $2 before, $now now, $3 more wanted"
		return 1
	}
}

other_hosts()
{
	counted other_host
}

# taken MAC: frames to the address are forwarded, every one.
taken()
{
	local before
	before=$(forwarded)
	frames to "$1" 20
	wait_for 3 more_of forwarded "$before" 20 || {
		echo "$before forwarded before, $(forwarded) now"
		return 1
	}
}

# left MAC: frames to the address are counted as another host's.
left()
{
	local before
	before=$(other_hosts)
	frames to "$1" 20
	wait_for 3 more_of other_hosts "$before" 20
}

mac_of_lb()
{
	in_ns lb ip -j link show eth0 | jq -r '.[0].address'
}

config >"$LBD_CONFIG"
act "it starts" lbd_start
check "next hops are resolved" wait_for 10 lbd_resolved
check "packets flow" fetch

# --- MAC addresses -------------------------------------------------------------------------------------------------

VRRP=00:00:5e:00:01:07
check "frames to the interface are taken" taken "$(mac_of_lb)"
check "frames to another host are not" left 02:00:00:00:00:99
check "nor those of a VRRP router that is elsewhere" left "$VRRP"
in_ns lb ip link add vrrp7 link eth0 address "$VRRP" type macvlan mode bridge
in_ns lb ip link set vrrp7 up
check "when it is here they are" wait_for 5 taken "$VRRP"
in_ns lb ip link del vrrp7
check "and no longer when it has gone" wait_for 5 left "$VRRP"
in_ns lb bridge fdb add 02:00:00:00:00:77 dev eth0 self
check "an address that the driver was told of" wait_for 10 taken 02:00:00:00:00:77
in_ns lb bridge fdb del 02:00:00:00:00:77 dev eth0 self
check "and was told to forget" wait_for 10 left 02:00:00:00:00:77
old=$(mac_of_lb)
in_ns lb ip link set eth0 address 02:00:00:00:00:42
in_ns router ip neigh flush dev front
check "an interface that has another address" wait_for 5 taken 02:00:00:00:00:42
check "has no longer the old one" wait_for 5 left "$old"
check "packets flow" wait_for 5 fetch
check "a bridge's address, with the interface as its port" in_ns lb bash -c '
	ip link add br9 address 02:00:00:00:00:43 type bridge && ip link set eth0 master br9'
check "is taken" wait_for 5 taken 02:00:00:00:00:43
in_ns lb ip link del br9
in_ns lb ip address replace 10.76.0.2/24 dev eth0
in_ns lb ip link set eth0 address "$old"
in_ns router ip neigh flush dev front
check "packets flow" wait_for 10 fetch
lbd_stop KILL
check "without an agent as well: frames to the interface are taken" fetch
act "it starts again" lbd_start
check "frames to another host are not" left 02:00:00:00:00:99

# --- packets that no service takes -----------------------------------------------------------------------------------

no_service()
{
	counted no_service
}

unclaimed()
{
	counted unclaimed
}

apply()
{
	config "$1" >"$TEST_TMP/next.json"
	answers POST '/v1/apply?allow_break=1' '.applied' @"$TEST_TMP/next.json"
}

in_ns lb sysctl -qw net.ipv4.ip_forward=1
before=$(unclaimed)
frames once 81
check "a port that no service has is dropped" wait_for 3 more_of unclaimed "$before" 1
check "once" test "$(unclaimed)" = "$((before + 1))"
check "left to the host" apply '.unclaimed = "pass"'
before=$(no_service)
frames once 81
check "it goes round and round" wait_for 3 more_of no_service "$before" 20
check "unless the host has the address" apply .
in_ns lb ip address add "$LAB_VIP4/32" dev lo
check "then it is passed" wait_for 5 bash -c "$(declare -f frames counted no_service api); $(declare -p LAB_PREFIX TEST_ROOT LBD_SOCKET); "'
	before=$(no_service); frames once 81; sleep 0.2; (($(no_service) == before + 1))'
is "and answered by the host" "$(frames hop 64 81)" "3 3 $LAB_VIP4"
in_ns lb ip address del "$LAB_VIP4/32" dev lo
before=$(unclaimed)
check "when the address has gone it is dropped again" wait_for 5 bash -c "$(declare -f frames counted unclaimed api); $(
	declare -p LAB_PREFIX TEST_ROOT LBD_SOCKET); before=$before; "'frames once 81; (($(unclaimed) > before))'
check "rejected" apply '.unclaimed = "reject"'
is "the sender of a datagram is told" "$(frames hop 64 81)" "3 3 $LAB_VIP4"
started=$(date +%s%N)
refuse "a connection is refused" "" in_ns client curl -s --max-time 5 "http://$LAB_VIP4:81/"
check "at once" test "$(($(date +%s%N) - started))" -lt 1000000000
check "and counted" test "$(counted reply_unclaimed)" -ge 2

# --- hops, and nobody there -------------------------------------------------------------------------------------------

is "a router on the way says that it is one" "$(frames hop 1)" "11 0 198.51.100.1"
is "the balancer as well" "$(frames hop 2)" "11 0 10.76.0.2"
check "and counts it" test "$(counted reply_ttl)" -ge 1
check "no backend" apply '.services[] |= (.backends[].state = "down")'
refuse "connections get no answer" "" in_ns client curl -s --max-time 1 "http://$LAB_VIP4/"
is "nor do datagrams" "$(frames hop 64)" nothing
check "rejected" apply '.services[] |= (.backends[].state = "down") | .services[].no_backend = "reject"'
is "curl says refused" "$(in_ns client curl -s --max-time 5 "http://$LAB_VIP4/"; echo $?)" 7
is "over IPv6, too" "$(in_ns client curl -gs --max-time 5 "http://[$LAB_VIP6]/"; echo $?)" 7
is "datagrams are answered" "$(frames hop 64)" "3 3 $LAB_VIP4"

# --- large pings, large uploads -----------------------------------------------------------------------------------------

check "all as at first" apply .
check "next hops are resolved" wait_for 10 lbd_resolved
check "a ping of 4,000 bytes is answered" in_ns client ping -c 2 -i 0.2 -W 2 -s 4000 "$LAB_VIP4"
check "over IPv6 as well" in_ns client ping -6 -c 2 -i 0.2 -W 2 -s 4000 "$LAB_VIP6"

in_ns lb ip link set eth1 mtu 1500
check "a link that is too narrow for what comes in" wait_for 5 answers GET /v1/backends '[.backends[].nexthop.mtu == 1500] | all'
head -c 200000 /dev/zero >"$TEST_TMP/upload"

# Milliseconds of an upload by a client that knows nothing of the path.
upload_ms()
{
	local started
	in_ns client ip route flush cache
	started=$(date +%s%N)
	in_ns client curl -s --max-time 30 -o /dev/null --data-binary @"$TEST_TMP/upload" "http://$LAB_VIP4/" || return 1
	echo $((($(date +%s%N) - started) / 1000000))
}

# Ten, the quickest first; one that waited for an answer in vain is at least a retransmission timeout (200 ms) longer.
uploads_ms()
{
	for _ in {1..10}; do upload_ms || return 1; done | sort -n | paste -sd ' '
}

# The ninth of them: another process may have had the machine during one.
ninth()
{
	cut -d' ' -f9 <<<"$1"
}

quiet=$(uploads_ms)
frames flood 30 >"$TEST_TMP/flooded" &
flooding=$!
before=$(counted reply_too_big)
wait_for 5 bash -c "$(declare -f counted api); $(declare -p LBD_SOCKET); "'(($(counted reply_too_big) > '"$before + 200))" ||
	not_ok "the flood is answered"
beside=$(uploads_ms)
kill "$flooding"
wait "$flooding" 2>/dev/null
echo "# uploads of 200 kB, in ms: $quiet alone, $beside beside 24 Mbit/s of datagrams that are too big"
check "beside a flood of what is too big, from forged sources, uploads do not stall for 100 ms" \
	test "$(ninth "$beside")" -le $(($(ninth "$quiet") + 100))
check "every packet is accounted for" answers GET /v1/stats '.totals | .rx == .tx + .redirect + .pass + .drop'

done_testing
