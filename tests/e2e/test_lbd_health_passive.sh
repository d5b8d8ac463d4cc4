#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 120
#
# Suspicion by clients' handshakes, with the real observer and lb-checkd, where checks alone would take an hour: one of seven
# backends drops everything, and checks that come at once take it out; another one drops what clients send, and answers checks:
# it is ejected; then somebody forges SYNs, again and again. (How soon: make bench-health.)

# shellcheck disable=SC2317,SC2119,SC2016 # functions that check calls; default arguments; jq
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/lbd-lib.sh
. "$(dirname "$0")/lbd-lib.sh"

lab_start --arm two --backends 7
lbd_init
lbd_config '.checker = { "socket": "'"$TEST_TMP"'/checkd.sock" } | .services = [.services[0]] |
	.services[0].backends = ['"$(for i in 1 2 3 4 5 6 7; do printf '{"name":"b%d","address":"%s"},' "$i" "$(lab_backend4 "$i")"; done | sed 's/,$//')"'] |
	.health = { "check": { "kind": "tcp", "interval_ms": 3600000, "timeout_ms": 1000, "fall": 2, "fast_interval_ms": 250 },
		"breaker": { "passive": "eject" } }' >"$LBD_CONFIG"
act "it starts" lbd_start
spawn lb "$LAB_BUILD/lb-checkd" --socket "$TEST_TMP/checkd.sock"
knows_all()
{
	answers GET /v1/health '.checker.connected and .checker.targets == 7'
}
check "lb-checkd knows all backends" wait_for 10 knows_all

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
check "it is suspected" wait_for 20 passive b2 suspect
# out BACKEND
out()
{
	answers GET /v1/services/web ".backends[] | select(.name == \"$1\" and (.leaving | not)) | .state != \"active\""
}
check "and out, by checks that came at once" wait_for 20 out b2
check "which is said" answers GET /v1/health/web/b2 '.backends[0] | .breaker.state == "open" and .check.last == "timeout"'
check "with the reason" answers GET /v1/events '[.events[].message] | any(test("backend=b2 passive=suspect from=fine cause=.*at its siblings"))'
fine_but()
{
	answers GET /v1/health "[.backends[] | select([.backend] | inside([$1]) | not)] | length == $2 and
		all(.passive.state == \"fine\" and .says == \"active\")"
}
check "nobody else is" fine_but '"b2"' 6

# --- one drops what clients send, and answers checks --------------------------------------------------------------

for network in 0.0.0.0/1 128.0.0.0/1; do in_ns b3 ip route add blackhole "$network"; done
check "one that checks find healthy is ejected" wait_for 30 passive b3 ejected
check "and out" wait_for 5 out b3
check "though its checks are answered" answers GET /v1/health/web/b3 '.backends[0] | .breaker.state == "closed" and .check.last == "ok"'
check "on clients' evidence" answers GET /v1/health/web/b3 '.backends[0] | .says == "drain" and (.reason | test("clients"))'
check "which is an event" answers GET /v1/events '[.events[].message] | any(test("backend=b3 passive=ejected from=.* cause=.*at its siblings"))'
check "nobody else is out" fine_but '"b2","b3"' 5
check "it is remembered" wait_for 5 grep -q "web/b3 .* 1\$" "$LBD_STATE/health"
lbd_stop KILL
act "the agent starts again" lbd_start
check "and does not take it for well" out b3
check "but knows why it is out" answers GET /v1/health/web/b3 '.backends[0] | .says == "drain" and .breaker.state == "closed" and (.reason | test("clients"))'

# --- forged SYNs -----------------------------------------------------------------------------------------------

# Five are left: enough for an ejection. The same SYNs from strangers again and again, which nobody completes, beside the clients' own connections.
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
	answers GET /v1/health '[.backends[] | select(.backend != "b2" and .backend != "b3") | .says == "active" and .passive.state != "ejected"] |
		length == 5 and all'
}
in_ns client /usr/bin/python3 "$TEST_TMP/forge.py" "$LAB_VIP4" 6 &
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
