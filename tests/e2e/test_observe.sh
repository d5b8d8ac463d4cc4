#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The observer with real TCP: connections, those that are open, clients that try again because a backend's answers are
# lost, clients that reset, TLS with and without a session to resume. One arm:
#
#   client -- switch -- lb: lbd
#                |
#                +---- b1, b2, b3: nginx on 80, openssl s_server on 443
# timeout: 200

# shellcheck disable=SC2317 # functions that check calls
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/lbd-lib.sh
. "$(dirname "$0")/lbd-lib.sh"

# sees SERVICE JQ-FILTER: it will, within some seconds.
sees()
{
	wait_for 15 answers GET "/v1/observe/$1" "$2" || answers GET "/v1/observe/$1" "$2"
}

# Keeps N connections open until the file is gone. hold N
hold()
{
	held=$(mktemp "$TEST_TMP/held.XXXXXX")
	spawn client python3 -c '
import os, socket, sys, time
open_ones = [socket.create_connection((sys.argv[1], 80)) for _ in range(int(sys.argv[2]))]
while os.path.exists(sys.argv[3]):
    time.sleep(0.05)' "$LAB_VIP4" "$1" "$held"
}

# N connections that the client resets, after data or before. resets N yes|no
resets()
{
	in_ns client python3 - "$LAB_VIP4" "$1" "$2" <<-'PYTHON'
	import socket, struct, sys
	for _ in range(int(sys.argv[2])):
	    s = socket.create_connection((sys.argv[1], 80))
	    if sys.argv[3] == "yes":
	        s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
	    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
	    s.close()
	PYTHON
}

# Connections that are so many more and less than the SYNs would be: each at a port of its own. tries N SECONDS
tries()
{
	local pids=() i
	for ((i = 0; i < $1; i++)); do
		in_ns client curl -so /dev/null --connect-timeout "$2" --max-time "$2" "http://$LAB_VIP4/" &
		pids+=($!)
	done
	wait "${pids[@]}"
}

# tls OPTION...: one connection, which ends when it is made.
tls()
{
	in_ns client timeout 5 openssl s_client -connect "$LAB_VIP4:443" "$@" </dev/null >"$TEST_TMP/tls" 2>&1
}

# Over veth a packet comes to the sender's CPU, so flows here change theirs now and then.
lab_start --arm one --backends 3
lbd_init
lbd_config '.services += [(.services[0] | .name = "tls" | .port = 443),
	(.services[0] | .name = "dns" | .port = 53 | .protocol = "udp")]' >"$LBD_CONFIG"
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$TEST_TMP/key" -out "$TEST_TMP/certificate" -days 2 -subj /CN=lab \
	>/dev/null 2>&1
for i in 1 2 3; do
	spawn "b$i" openssl s_server -accept 443 -key "$TEST_TMP/key" -cert "$TEST_TMP/certificate" -alpn h2,http/1.1 -quiet
	wait_for 5 listening "b$i" 443 || not_ok "a TLS server starts"
done
act "lbd starts" lbd_start
check "next hops are resolved" wait_for 10 lbd_resolved

# --- sampling ------------------------------------------------------------------------------------------------------

check "where there are few flows, all are looked at" wait_for 20 answers GET /v1/observe '.sampling.one_in == 1'
check "that costs less than a hundredth of a core" answers GET /v1/observe '.sampling.cost_ratio < 0.01'
check "services nobody uses are there" answers GET /v1/observe \
	'[.services[] | select(.name == "web6") | .started, .open] == [0, 0]'

# --- connections ---------------------------------------------------------------------------------------------------

check "requests are answered" in_ns client curl -sfo /dev/null -H 'Connection: close' "http://$LAB_VIP4/?[1-60]"
check "each is a handshake that was completed" sees web '.started == 60 and .completed == 60'
check "each is told of with its backend" sees web '[.backends[] | .completed > 0] == [true, true, true] and
	([.backends[].completed] | add) == 60'
check "each was closed" sees web '.closed == 60 and .ended_bytes > 60 * 50 and .duration_ns.p99 < 4e9'
check "nothing was tried again" answers GET /v1/observe/web '.retried + .gave_up + .resent == 0'
check "a handshake takes some time" answers GET /v1/observe/web '.handshake_ns.p50 > 0 and .handshake_ns.p50 <= .handshake_ns.p99'
hold 20
check "connections that are open are counted" sees web '.open == 20 and ([.backends[].open] | add) == 20'
act "lbd stops" lbd_stop
act "and starts again" lbd_start
check "they are still counted" sees web '.open == 20'
rm "$held"
check "until they are closed" sees web '.open == 0 and .closed == 20'

# --- resets --------------------------------------------------------------------------------------------------------

resets 10 no
check "resets before data are counted" sees web '.reset_early == 10 and .reset_late == 0'
resets 10 yes
check "resets after data are counted" sees web '.reset_early == 10 and .reset_late == 10'

# --- flows that the flow table remembers ---------------------------------------------------------------------------

check "a backend drains" answers PATCH /v1/services/web/backends/b3 '.applied' '{"state":"drain"}'
hold 40
check "flows that it would have had are remembered" wait_for 10 answers GET '/v1/flows?service=web' '.total > 3'
check "with their clients" sees web '.open == 40'
check "who are those that connected" answers GET '/v1/flows?service=web' \
	".clients_known == .total and ([.flows[].client | startswith(\"198.51.100.2:\")] | all) and ([.flows[].client] | unique | length) == .total"
check "lbctl flows shows them" grep -q "198.51.100.2:[0-9]" <("$LAB_BUILD/lbctl" --socket "$LBD_SOCKET" flows web)
rm "$held"
check "it is back" answers PATCH /v1/services/web/backends/b3 '.applied' '{"state":null}'

# --- datagrams ---------------------------------------------------------------------------------------------------------

# N flows of M datagrams of 100 bytes. datagrams N M
datagrams()
{
	in_ns client python3 - "$LAB_VIP4" "$1" "$2" <<-'PYTHON'
	import socket, sys
	sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(int(sys.argv[2]))]
	for _ in range(int(sys.argv[3])):
	    for s in sockets:
	        s.sendto(b"x" * 100, (sys.argv[1], 53))
	PYTHON
}

datagrams 30 1
datagrams 10 5
check "flows of datagrams are counted, and those that went on are open" sees dns '.started == 40 and .open == 10'
check "by backend too" answers GET /v1/observe/dns '([.backends[].started] | add) == 40 and ([.backends[].open] | add) == 10'
check "one datagram is a flow that ended" sees dns '.silent == 30 and .ended_bytes == 3000'
check "nobody waits for answers that only TCP would tell of" answers GET /v1/observe/dns '.completed + .gave_up + .retried == 0'

# --- a backend whose answers are lost ----------------------------------------------------------------------------------

in_ns b1 nft -f - <<'NFT'
table inet lossy {
	chain out {
		type filter hook output priority 0;
		tcp sport 80 tcp flags & (syn | ack) == syn | ack drop
	}
}
NFT
tries 45 2.5
check "its clients are seen to try again" sees web \
	'.backends[] | select(.name == "b1") | .retried > 0'
check "those of its siblings do not" answers GET /v1/observe/web \
	'[.backends[] | select(.name != "b1") | .retried] == [0, 0]'
check "it is there among what happened lately" answers GET /v1/observe/web \
	'.backends[] | select(.name == "b1") | .recent.retried > 0'
check "they give up" sees web '.backends[] | select(.name == "b1") | .gave_up > 0 and .gave_up == .retried'
check "each of them had begun" answers GET /v1/observe/web \
	'.backends[] | select(.name == "b1") | .started == .completed + .gave_up'
in_ns b1 nft delete table inet lossy

# --- TLS -----------------------------------------------------------------------------------------------------------

check "TLS 1.2 works through the balancer" tls -tls1_2 -sess_out "$TEST_TMP/session" -alpn h2
check "TLS 1.3 does too" tls -tls1_3 -alpn http/1.1
check "a session is offered to be resumed" tls -tls1_2 -sess_in "$TEST_TMP/session"
check "hellos are told apart by version" sees tls '.tls_hellos == 3 and .tls_1_2 == 2 and .tls_1_3 == 1'
check "and by what they ask for" answers GET /v1/observe/tls '.tls_alpn_h2 == 1 and .tls_alpn_http_1_1 == 1 and .tls_bad == 0'
check "resumption is seen" answers GET /v1/observe/tls '.tls_resumptions == 1'
check "HTTP is no TLS" answers GET /v1/observe/web '.tls_hellos == 0'
# A hello of more than one segment: many names of protocols.
check "a hello of two segments" tls -tls1_3 -alpn "h2,$(printf 'some-quite-long-protocol-name-%03d,' {1..60})x"
check "is read as well" sees tls '.tls_hellos == 4 and .tls_1_3 == 2 and .tls_alpn_h2 == 2'
check "a liar is counted as one" in_ns client bash -c "printf '\x16\x03\x01\x00\x05\x05garbage' >/dev/tcp/$LAB_VIP4/443"
check "and as nothing else" sees tls '.tls_bad == 1 and .tls_hellos == 4'

# --- asking --------------------------------------------------------------------------------------------------------

lbctl()
{
	"$LAB_BUILD/lbctl" --socket "$LBD_SOCKET" "$@"
}
check "lbctl observe shows services" grep -q '^web ' <(lbctl observe)
check "lbctl observe SERVICE shows backends" grep -q '^b1 ' <(lbctl observe web)
check "and what TLS clients ask for" grep -q '^TLS hellos: 4, 25 % offer to resume' <(lbctl observe tls)
refuse "a service that is not there" 'there is no service "wob"' lbctl observe wob

# --- off and on ------------------------------------------------------------------------------------------------------

check "it can be switched off" answers POST /v1/apply '.applied' "$(jq '.observer.cpu_permille = 0' "$LBD_CONFIG")"
check "then it is" wait_for 10 answers GET /v1/observe '.sampling.on == false'
seen=$(api GET /v1/observe | jq .sampling.packets)
check "packets go on" in_ns client curl -sfo /dev/null -H 'Connection: close' "http://$LAB_VIP4/?[1-20]"
is "and none is looked at" "$(api GET /v1/observe | jq .sampling.packets)" "$seen"
check "lbctl says so" grep -q '^observation is off' <(lbctl observe)
check "it is on again" answers POST /v1/apply '.applied' "@$LBD_CONFIG"
check "and sees" wait_for 10 answers GET /v1/observe '.sampling.on and .sampling.one_in == 1'

# --- the agent does not keep up ------------------------------------------------------------------------------------------

kill -STOP "$lbd_pid"
in_ns client python3 - "$LAB_VIP4" <<'PYTHON'
import socket, struct, sys
for _ in range(6000):
    s = socket.create_connection((sys.argv[1], 80))
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()
PYTHON
kill -CONT "$lbd_pid"
check "what could not be told is counted" wait_for 10 answers GET /v1/observe '.sampling.events_lost > 0'
check "nothing was malformed, or of nobody" answers GET /v1/observe \
	'.sampling.events_malformed == 0 and .sampling.events_unknown == 0'
check "packets went on" fetch
done_testing
