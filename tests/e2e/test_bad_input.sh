#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What an agent under traffic is asked that it must refuse, and what it must bear: services that cannot be, tables that
# are full, a file of 10 MB with 5,000 services of 20 backends each, and frames that lie. One arm. Whatever it is,
# open connections go on, and every packet is accounted for.
# timeout: 300
# beside: labs

# shellcheck disable=SC2317,SC2119 # functions that check calls, and calls without arguments
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/lbd-lib.sh
. "$(dirname "$0")/lbd-lib.sh"
# shellcheck source=tests/e2e/traffic-lib.sh
. "$(dirname "$0")/traffic-lib.sh"

lab_start --arm one --backends 3
lbd_init
client_init
serve_start || not_ok "the servers start"
limits='.limits.services = 5200 | .limits.backends = 101000 | .limits.ring_slots = 42000000'
traffic_config "$limits" >"$LBD_CONFIG"

# refused NAME STATUS JQ-FILTER-OF-CONFIG JQ-CONDITION-OF-ERROR
refused()
{
	traffic_config "$limits | $3" >"$TEST_TMP/bad.json"
	check "$1: $2" test "$(api_status POST /v1/apply @"$TEST_TMP/bad.json")" = "$2"
	check "$1: the error says where and why" answers POST /v1/apply ".error | $4" @"$TEST_TMP/bad.json"
}

act "lbd starts" lbd_start
check "next hops are resolved" wait_for 10 lbd_resolved
client_start v4 "$LAB_VIP4" --long 20 --short 2 --udp 10 --interval 150 --stall 10000
client_start v6 "$LAB_VIP6" --long 20 --short 2 --udp 10 --interval 150 --stall 10000
check "traffic flows" client_more v4 100
generation=$(api GET /v1/status | jq .generation)

# --- services that cannot be ------------------------------------------------------------------------------------

refused "a VIP that is the host's own address" 400 '.services[0].vip = "10.77.0.2"' \
	'.path == "services[0].vip" and (.message | test("own address"))'
refused "a VIP that is a backend" 400 '.services[0].vip = "10.77.0.11"' '.message | test("is the vip of")'
refused "the same service twice" 400 '.services[1] = (.services[0] | .name = "again")' '.path | test("services.1")'
refused "the same name twice" 400 '.services[1].name = "web"' '.path == "services[1].name"'
refused "an unknown key" 400 '.services[0].wieght = 1' '.message | test("wieght|unknown")'
refused "an interface that is not there" 400 '.interfaces[0].name = "eth9"' '.path == "interfaces[0].name"'
check "an unknown backend is named" answers PATCH /v1/services/talk/backends/b9 '.error.message | test("b9")' \
	'{"weight": 1}'
is "nothing of all this is in force" "$(api GET /v1/status | jq .generation)" "$generation"

# --- tables that are full ---------------------------------------------------------------------------------------

# One more service than fits, all else as it is.
many()
{
	printf '[range(%d) | { "name": "s\\(.)", "vip": "198.18.\\(. / 250 | floor).\\(. %% 250)", "protocol": "tcp",' "$1"
	printf ' "port": 80, "ring_size": %d, "backends": [ { "name": "b1", "address": "10.77.0.11" } ] }]' "$2"
}

refused "more ring slots than its own limit" 400 ".services += $(many 800 65536)" '.path == "limits.ring_slots"'
refused "more services than their own limit" 400 ".services += $(many 6000 64)" '.path == "limits.services"'
is "nothing of it is in force" "$(api GET /v1/status | jq .services)" 10
check "nothing of it is left in the tables" answers GET /v1/status '.tables.ring_slots.used == 10240'
check "connections go on" client_more v4 100

# --- 10 MB, 5,000 services, 100,000 backends ---------------------------------------------------------------------

/usr/bin/python3 -I - "$LBD_CONFIG" >"$TEST_TMP/big.json" <<'PY'
import json, sys
config = json.load(open(sys.argv[1]))
for s in range(4990):
    config["services"].append({
        "name": "service-%04d" % s, "vip": "198.18.%d.%d" % (s // 250, s % 250), "protocol": "tcp", "port": 80,
        "backends": [{"name": "backend-%04d-%02d" % (s, b), "weight": 100,
                      "address": "10.%d.%d.%d" % (128 + b, s // 250, s % 250)} for b in range(20)]})
text = json.dumps(config)
print(text + " " * (10_000_000 - len(text)))
PY
in_ns lb ip route add 10.128.0.0/9 via 10.77.0.1
diag "$(stat -c %s "$TEST_TMP/big.json") bytes, $(jq '[.services[].backends | length] | add' "$TEST_TMP/big.json") backends"

# Processor time that lbd has used, ms.
lbd_cpu_ms()
{
	awk '{ print ($14 + $15) * 10 }' "/proc/$lbd_pid/stat"
}

# timed NAME COMMAND...: shows how long it took, and what of it lbd used a processor: $cpu_ms. Others may be at work on
# this machine.
timed()
{
	local begin=${EPOCHREALTIME/./} cpu
	cpu=$(lbd_cpu_ms)
	act "$@"
	cpu_ms=$(($(lbd_cpu_ms) - cpu))
	diag "$1: $(((${EPOCHREALTIME/./} - begin) / 1000)) ms, processor $cpu_ms ms; $(
		api GET /v1/events | jq -r '.events[-1].message')"
}

apply()
{
	curl -s --max-time 60 --unix-socket "$LBD_SOCKET" -X POST --data-binary @"$1" "http://weir/v1/apply?allow_break=1" \
		>"$TEST_TMP/plan"
	jq -e .applied "$TEST_TMP/plan" >/dev/null || {
		head -c 1000 "$TEST_TMP/plan"
		return 1
	}
}

timed "5,000 services of 20 backends are applied" apply "$TEST_TMP/big.json"
check "of which the commit takes less than 2 s" answers GET /v1/events \
	'[.events[] | select(.kind == "apply")][-1].message | capture("commit_ms=(?<ms>[0-9]+)").ms | tonumber < 2000'
check "they are there" answers GET /v1/status '.services == 5000'
check "their next hops are resolved" wait_for 20 answers GET /v1/services/service-4000 \
	'.backends | length == 20 and all(.nexthop.resolved)'
sed 's/"backend-0100-07", "weight": 100/"backend-0100-07", "weight": 50/' "$TEST_TMP/big.json" >"$TEST_TMP/big2.json"
timed "a weight of one of them is changed" apply "$TEST_TMP/big2.json"
check "in less than 2 s, all in all" test $cpu_ms -lt 2000
timed "a backend is drained by hand" answers PATCH /v1/services/service-2000/backends/backend-2000-03 .applied \
	'{"state": "drain"}'
check "connections go on" client_more v4 100
check "they are still there" answers GET /v1/status '.services == 5000'
lbd_stop KILL
act "lbd starts again with them" lbd_start
check "they are still there" answers GET /v1/status '.services == 5000'
timed "the small configuration comes back" apply "$LBD_CONFIG"
check "connections go on" client_more v4 100

# --- frames that lie ---------------------------------------------------------------------------------------------

drops_of()
{
	api GET /v1/drops | jq -r '[.reasons[] | select(.reason == "ip_header" or .reason == "tcp_header" or
		.reason == "udp_header") | .packets] | join(" ")'
}

lie()
{
	in_ns sw /usr/bin/python3 -I - "$(in_ns lb ip -j link show eth0 | jq -r '.[0].address')" "$LAB_VIP4" "$LAB_VIP6" <<'PY'
import random, socket, struct, sys

mac = bytes.fromhex(sys.argv[1].replace(":", ""))
vip4, vip6 = socket.inet_aton(sys.argv[2]), socket.inet_pton(socket.AF_INET6, sys.argv[3])
out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
out.bind(("lb", 0))

def send(kind, payload):
    out.send(mac + b"\x02\x00\x00\x00\x00\x01" + struct.pack("!H", kind) + payload)

def ipv4(protocol, payload, ihl=5, version=4, length=None):
    length = 20 + len(payload) if length is None else length
    return struct.pack("!BBHHHBBH", version << 4 | ihl, 0, length, 1, 0, 64, protocol, 0) + bytes([10, 9, 9, 9]) + vip4 + payload

def ipv6(protocol, payload, length=None):
    length = len(payload) if length is None else length
    return struct.pack("!IHBB", 6 << 28, length, protocol, 64) + bytes(15) + b"\x09" + vip6 + payload

def tcp(doff=5):
    return struct.pack("!HHIIBBHHH", 1234, 7000, 1, 0, doff << 4, 2, 1000, 0, 0)

def udp(length):
    return struct.pack("!HHHH", 1234, 7000, length, 0) + b"abcd"

for _ in range(7):
    send(0x800, ipv4(6, tcp(), length=400))   # longer than the frame
    send(0x86dd, ipv6(6, tcp(), length=400))
    send(0x800, ipv4(6, tcp(doff=3)))
    send(0x800, ipv4(6, tcp(doff=15)))        # beyond the packet
    send(0x86dd, ipv6(6, tcp(doff=4)))
    send(0x800, ipv4(17, udp(5)))
    send(0x800, ipv4(17, udp(500)))
    send(0x86dd, ipv6(17, udp(7)))
random.seed(1)
for n in range(300):                          # garbage of all lengths, behind types that we parse
    send(random.choice((0x800, 0x86dd, 0x8100, 0x806)), random.randbytes(random.randrange(1, 200)))
for n in range(60):                           # a right packet, cut at every place
    send(0x800, ipv4(6, tcp())[:n % 40 + 1])
    send(0x86dd, ipv6(6, tcp())[:n + 1])
PY
}

read -r ip tcp udp < <(drops_of)
check "frames that lie are sent" lie
counted()
{
	local now_ip now_tcp now_udp
	read -r now_ip now_tcp now_udp < <(drops_of)
	echo "ip_header $ip to $now_ip, tcp_header $tcp to $now_tcp, udp_header $udp to $now_udp"
	((now_ip >= ip + 14 && now_tcp >= tcp + 21 && now_udp >= udp + 21))
}
check "each is dropped for its reason" wait_for 5 counted
diag "$(counted)"
check "connections go on" client_more v4 100
check "over IPv4 nothing was broken" client_stop v4
check "over IPv6 nothing was broken" client_stop v6
conserved
done_testing
