#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 120
#
# Suspicion by clients' handshakes, with the real observer and lb-checkd, where checks alone would take half a minute: one of
# six backends drops everything; then somebody forges SYNs, again and again.

# shellcheck disable=SC2317,SC2119,SC2016 # functions that check calls; default arguments; jq
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/lbd-lib.sh
. "$(dirname "$0")/lbd-lib.sh"

lab_start --arm two --backends 6
lbd_init
lbd_config '.checker = { "socket": "'"$TEST_TMP"'/checkd.sock" } | .services = [.services[0]] |
	.services[0].backends = ['"$(for i in 1 2 3 4 5 6; do printf '{"name":"b%d","address":"%s"},' "$i" "$(lab_backend4 "$i")"; done | sed 's/,$//')"'] |
	.health = { "check": { "kind": "tcp", "interval_ms": 10000, "timeout_ms": 1000, "fall": 2, "fast_interval_ms": 250 },
		"breaker": { "passive": "eject" } }' >"$LBD_CONFIG"
act "it starts" lbd_start
spawn lb "$LAB_BUILD/lb-checkd" --socket "$TEST_TMP/checkd.sock"
all_checked()
{
	answers GET /v1/health '[.backends[] | .check.last == "ok"] | length == 6 and all'
}
check "all backends are checked" wait_for 20 all_checked

# Connections of clients, as they do: a hundred and twenty begun a second, each with its own socket, given up after 4 s.
cat >"$TEST_TMP/clients.py" <<-'PY'
import asyncio, sys
async def one(vip):
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(vip, 80), 4)
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        writer.close()
    except (OSError, asyncio.TimeoutError):
        pass
async def main(vip):
    while True:
        asyncio.ensure_future(one(vip))
        await asyncio.sleep(1 / 120)
asyncio.run(main(sys.argv[1]))
PY
spawn client /usr/bin/python3 "$TEST_TMP/clients.py" "$LAB_VIP4"
passive()
{
	answers GET /v1/health/web/"$1" ".backends[0].passive.state == \"$2\""
}
check "what clients do is observed" wait_for 10 passive b2 fine
seen()
{
	answers GET /v1/observe/web '[.. | .started? // empty | numbers] | max > 200'
}
check "for a while" wait_for 15 seen

# --- one drops everything --------------------------------------------------------------------------------------

# Nothing that it says to anybody leaves it, but for ARP.
for network in 0.0.0.0/1 128.0.0.0/1 10.77.0.2/32; do in_ns b2 ip route add blackhole "$network"; done
begin=$EPOCHREALTIME
check "it is suspected" wait_for 8 passive b2 suspect
suspected=$EPOCHREALTIME
out()
{
	answers GET /v1/services/web '.backends[] | select(.name == "b2" and (.leaving | not)) | .state != "active"'
}
check "and out, by checks that came at once" wait_for 8 out
ended=$EPOCHREALTIME
took()
{
	awk -v from="$1" -v to="$2" 'BEGIN { printf "%.2f", to - from }'
}
diag <<<"suspected after $(took "$begin" "$suspected") s, out after $(took "$begin" "$ended") s (interval 10 s)"
check "suspected within 3 s, and half a second of this test's own" awk "BEGIN { exit !($(took "$begin" "$suspected") <= 3.5) }"
check "out within 6 s, and as much" awk "BEGIN { exit !($(took "$begin" "$ended") <= 6.5) }"
check "with the reason" answers GET /v1/events '[.events[].message] | any(test("backend=b2 passive=suspect from=fine cause=.*at its siblings"))'
check "nobody else is" answers GET /v1/health '[.backends[] | select(.backend != "b2") | .passive.state == "fine" and .says == "active"] | all'

# --- forged SYNs -----------------------------------------------------------------------------------------------

# The same SYNs from strangers again and again, which nobody completes, beside the clients' own connections.
cat >"$TEST_TMP/forge.py" <<-'PY'
import random, socket, struct, sys, time
def checksum(data):
    s = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while s >> 16:
        s = (s & 0xffff) + (s >> 16)
    return ~s & 0xffff
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
to, packets = socket.inet_aton(sys.argv[1]), []
for i in range(3000):
    source = socket.inet_aton(f"198.18.{random.randrange(256)}.{random.randrange(1, 255)}")
    tcp = struct.pack("!HHIIBBHHH", 1024 + i, 80, i * 7, 0, 0x50, 2, 8192, 0, 0)
    tcp = tcp[:16] + struct.pack("!H", checksum(source + to + struct.pack("!BBH", 0, 6, 20) + tcp)) + tcp[18:]
    packets.append(struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, i, 0, 64, 6, 0, source, to) + tcp)
end = time.monotonic() + float(sys.argv[2])
while time.monotonic() < end:
    for packet in packets[:1500]:
        s.sendto(packet, (sys.argv[1], 0))
    time.sleep(0.5)
PY
others_serve()
{
	answers GET /v1/health '[.backends[] | select(.backend != "b2") | .says == "active" and .passive.state != "ejected"] | length == 5 and all'
}
in_ns client /usr/bin/python3 "$TEST_TMP/forge.py" "$LAB_VIP4" 8 &
forger=$!
ejected=0
while kill -0 "$forger" 2>/dev/null; do
	others_serve || ejected=$((ejected + 1))
	sleep 0.3
done
wait "$forger"
is "forged SYNs, sent again and again, eject nobody" "$ejected" 0
check "though they were observed" answers GET /v1/observe/web '[.. | .retried? // empty | numbers] | max > 100'

done_testing
