#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# lbctl capture, in the lab's two arms (scripts/lab.sh): packets in and out as tcpdump and tshark read them, filters,
# limits, losses; and that the packet path is the ordinary program again however a capture ends.
# beside: labs

# shellcheck disable=SC2317 # functions that check calls
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/lbd-lib.sh
. "$(dirname "$0")/lbd-lib.sh"

LBCTL=${LBCTL:-$LAB_BUILD/lbctl}

lab_start --arm two --backends 3
lbd_init
export LBCTL_SOCKET=$LBD_SOCKET
lbd_config >"$LBD_CONFIG"

running()
{
	bpftool -j link show pinned "$LBD_BPFFS/link_${1:-eth0}" | jq .prog_id
}

name_of_running()
{
	bpftool -j prog show id "$(running "$@")" | jq -r .name
}

tag_of_running()
{
	bpftool -j prog show id "$(running)" | jq -r .tag
}

is_ordinary()
{
	[[ $(running) == "$ordinary" && $(name_of_running) == lb_ingress ]]
}

ordinary_again()
{
	check "the ordinary program runs again: $1" wait_for 5 is_ordinary
	check "no capturing program is left: $1" wait_for 5 no_capture_loaded
}

# Other tests may capture at the same time: ours uses our lb_control.
no_capture_loaded()
{
	local control
	control=$(bpftool -j map show pinned "$LBD_BPFFS/lb_control" | jq .id)
	! bpftool -j prog show | jq -e --argjson control "$control" \
		'.[] | select(.name == "lb_capture" and (.map_ids // [] | index($control)))' >/dev/null
}

captures_are()
{
	answers GET /v1/status ".captures == $1"
}

# capture FILE [ARGUMENT...]: in the background, until it is on. Its pid is in $capturing, what it says in FILE.said.
capture()
{
	local before
	before=$(api GET /v1/status | jq .captures)
	file=$1
	"$LBCTL" capture -w "$@" >"$file.out" 2>"$file.said" &
	capturing=$!
	test_pids+=("$capturing")
	wait_for 10 captures_are $((before + 1))
}

# uncapture [PID]: ends it in good order. Its exit status.
uncapture()
{
	kill -INT "${1:-$capturing}"
	finish "${1:-$capturing}" 5
}

# fields FILE FILTER FIELD...: tab-separated lines of tshark, of the inner addresses where there are two.
fields()
{
	local file=$1 filter=$2
	shift 2
	tshark -r "$file" ${filter:+-Y "$filter"} -T fields "${@/#/-e}" -E occurrence=l 2>/dev/null
}

count()
{
	fields "$1" "$2" frame.number | grep -c .
}

# Whether the readers are content with a file: no complaint about the file, none about a packet.
well_formed()
{
	local said
	said=$(tcpdump -nr "$1" 2>&1 >/dev/null | grep -v '^reading from file\|^Warning: interface names')
	[[ -z $said ]] || {
		echo "tcpdump: $said"
		return 1
	}
	said=$(tshark -r "$1" -Y '_ws.malformed' 2>&1 | grep -v 'Running as user')
	[[ -z $said ]] || {
		echo "tshark: $said"
		return 1
	}
}

larger_than()
{
	[[ $(stat -c %s "$1") -gt $2 ]]
}

# The last options 5 (dropped) of the file's statistics blocks, by a reader that is not ours.
dropped()
{
	/usr/bin/python3 - "$1" <<-'PYTHON'
	import struct, sys
	data, at, dropped = open(sys.argv[1], "rb").read(), 0, None
	while at < len(data):
	    kind, length = struct.unpack_from("=II", data, at)
	    assert struct.unpack_from("=I", data, at + length - 4)[0] == length
	    option = at + 20
	    while kind == 5 and option < at + length - 4:
	        code, size = struct.unpack_from("=HH", data, option)
	        if code == 5:
	            dropped = struct.unpack_from("=Q", data, option + 4)[0]
	        option += 4 + (size + 3 & ~3)
	    at += length
	print(dropped)
	PYTHON
}

# --- a flow, in and out ----------------------------------------------------------------------------------------

act "it starts" lbd_start
check "every next hop is resolved" wait_for 5 lbd_resolved
ordinary=$(running) tag=$(tag_of_running)
check "no capture runs" captures_are 0
act "a capture starts" capture "$TEST_TMP/one.pcapng" --service web
check "the capturing program is attached, by the same link" test "$(name_of_running)" = lb_capture
check "explain works meanwhile" test "$("$LBCTL" -j explain tcp 198.51.100.2:4000 "$LAB_VIP4:80" | jq .agrees)" = true
check "the status says so" grep -q '^captures *1 running' <("$LBCTL" status)
backend=$(fetch)
check "packets flow while it runs" test -n "$backend"
fetch "[$LAB_VIP6]" >/dev/null
act "it ends well on SIGINT" uncapture
ordinary_again "after SIGINT"
one=$TEST_TMP/one.pcapng
check "tcpdump and tshark read it" well_formed "$one"
in=$(count "$one" 'frame.interface_name == "in"') out=$(count "$one" 'frame.interface_name == "out"')
check "packets in and out are there, and as many ($in, $out)" test "$in" -ge 5 -a "$in" = "$out"
check "it says how many" grep -qx "lbctl: $in packets captured, 0 lost" "$one.said"
check "only the service is there" test -z "$(fields "$one" 'ipv6.addr == '"$LAB_VIP6" frame.number)"
is "what comes in is inbound, what leaves is outbound" \
	"$(fields "$one" '' frame.interface_name frame.packet_flags_direction | sort -u | tr '\t\n' ' ,')" \
	"in 0x00000001,out 0x00000002,"
is "in and out are one packet: the same id twice, its inner part the same" \
	"$(fields "$one" '' frame.packet_id ip.src tcp.srcport tcp.seq_raw tcp.flags | sort | uniq -c | awk '{ print $1 }' | sort -u)" 2
number=${backend#b}
is "the way out is the tunnel to the backend that answered" \
	"$(tshark -r "$one" -Y 'frame.interface_name == "out"' -T fields -e ip.dst -E occurrence=f 2>/dev/null | sort -u)" \
	"$(lab_backend4 "$number")"
is "each has its verdict" "$(fields "$one" '' frame.verdict.ebpf_xdp | sort -u)" 4
generation=$(api GET /v1/status | jq .generation)
is "each says in its comment what was decided" "$(fields "$one" '' frame.comment | sort -u)" \
	"verdict=XDP_REDIRECT reason=- service=web backend=$backend generation=$generation interface=eth0"
now=$(date +%s)
check "the time is right" test "$(fields "$one" 'frame.number == 1' frame.time_epoch | cut -d. -f1)" -ge $((now - 30)) \
	-a "$(fields "$one" 'frame.number == 1' frame.time_epoch | cut -d. -f1)" -le "$now"
check "times have nanoseconds and never run backwards within a packet" test -z \
	"$(fields "$one" 'frame.interface_name == "out" && frame.time_delta < 0' frame.number)"
first=$(fields "$one" 'frame.number == 1' frame.len)
check "lengths are those of the frames" test "$(fields "$one" 'frame.number == 2' frame.len)" = $((first + 20))

# --- long packets are cut --------------------------------------------------------------------------------------

act "a capture of a download starts" capture "$TEST_TMP/long.pcapng" --flow "tcp:*,$LAB_VIP4:80"
head -c 5000 /dev/zero | in_ns client curl -gsf --max-time 3 -o /dev/null --data-binary @- "http://$LAB_VIP4/" || true
act "it ends" uncapture
check "long packets are cut at 256 bytes, and say how long they were" test \
	"$(count "$TEST_TMP/long.pcapng" 'frame.cap_len == 256 && frame.len > 1000')" -ge 4
check "tcpdump reads cut packets" test -z \
	"$(tcpdump -nr "$TEST_TMP/long.pcapng" 2>&1 >/dev/null | grep -v '^reading from file')"

# --- filters ---------------------------------------------------------------------------------------------------

inject()
{
	/usr/bin/python3 "$TEST_ROOT/tests/e2e/bad_headers.py" "$LAB_PREFIX" "$@" >/dev/null
}

act "a capture of drops starts" capture "$TEST_TMP/drops.pcapng" --drops
drops=$capturing
act "and one of a backend" capture "$TEST_TMP/backend.pcapng" --service web --backend b2
one_backend=$capturing
act "and one of a flow" capture "$TEST_TMP/flow.pcapng" --flow "tcp:198.51.100.2:40000,$LAB_VIP4:80"
flow=$capturing
act "and one of IPv6" capture "$TEST_TMP/v6.pcapng" --flow "any:*,[$LAB_VIP6]:80"
v6=$capturing
refuse "a fifth is refused" "4 captures run already" "$LBCTL" capture -w "$TEST_TMP/fifth.pcapng"
check "and leaves no file" test ! -e "$TEST_TMP/fifth.pcapng"
check "all use one program" test "$(name_of_running)" = lb_capture
for _ in {1..12}; do fetch >/dev/null; done
inject tcp_header 3
inject ttl 2
inject no_service
fetch "[$LAB_VIP6]" >/dev/null
for pid in $drops $one_backend $flow; do uncapture "$pid"; done
check "while one runs, the program stays" test "$(name_of_running)" = lb_capture
uncapture "$v6"
ordinary_again "after four at once"
is "--drops: what was dropped, and nothing else" \
	"$(fields "$TEST_TMP/drops.pcapng" '' frame.comment | sed 's/ generation.*//' | sort | uniq -c | sed 's/^ *//')" \
	"3 verdict=XDP_DROP reason=tcp_header service=web backend=-
2 verdict=XDP_DROP reason=ttl service=web backend=$(fields "$TEST_TMP/flow.pcapng" 'ip.ttl == 1' frame.comment |
		sed 's/.*backend=\([^ ]*\).*/\1/' | sort -u)"
is "drops have no way out" "$(count "$TEST_TMP/drops.pcapng" 'frame.interface_name == "out"')" 0
is "--backend: its packets, and nothing else" \
	"$(fields "$TEST_TMP/backend.pcapng" 'frame.interface_name == "out"' frame.comment | sed 's/ generation.*//' | sort -u)" \
	"verdict=XDP_REDIRECT reason=- service=web backend=b2"
is "--flow: five packets of one connection" "$(count "$TEST_TMP/flow.pcapng" 'frame.interface_name == "in"')" 5
is "--flow of IPv6: the address, and nothing else" "$(fields "$TEST_TMP/v6.pcapng" '' ipv6.dst | sort -u)" "$LAB_VIP6"
for name in drops backend flow v6; do
	check "tshark is content with $name" test -z \
		"$(tshark -r "$TEST_TMP/$name.pcapng" 2>&1 >/dev/null | grep -v 'Running as user')"
done

# --- limits ----------------------------------------------------------------------------------------------------

"$LBCTL" -j capture -w "$TEST_TMP/count.pcapng" -c 3 >"$TEST_TMP/count.json" 2>/dev/null &
capturing=$!
wait_for 10 captures_are 1
fetch >/dev/null
act "-c 3 ends by itself" finish "$capturing" 5
is "after three packets" "$(count "$TEST_TMP/count.pcapng" 'frame.interface_name == "in"')" 3
# shellcheck disable=SC2016 # jq's
check "-j tells in JSON" jq -e --arg file "$TEST_TMP/count.pcapng" --argjson bytes "$(stat -c %s "$TEST_TMP/count.pcapng")" \
	'. == { file: $file, packets: 3, lost: 0, bytes: $bytes }' "$TEST_TMP/count.json"
check "--seconds 1 ends by itself, with nothing" "$LBCTL" capture -w "$TEST_TMP/nothing.pcapng" --seconds 1
check "a capture of nothing is a file that can be read" well_formed "$TEST_TMP/nothing.pcapng"
ordinary_again "after --seconds"

"$LBCTL" capture -w - -c 2 2>/dev/null | tcpdump -nr - 2>/dev/null >"$TEST_TMP/piped" &
capturing=$!
wait_for 10 captures_are 1
fetch >/dev/null
act "-w - goes into a pipe" finish "$capturing" 5
is "and tcpdump reads it from there" "$(wc -l <"$TEST_TMP/piped")" 4

# --- losses ----------------------------------------------------------------------------------------------------

act "a capture starts whose client does not read" capture "$TEST_TMP/lost.pcapng" --flow "tcp:*:40001,$LAB_VIP4:80"
kill -STOP "$capturing"
inject flood 30000
check "packets flow all the same" fetch
check "the agent answers" answers GET /v1/status '.captures == 1'
kill -CONT "$capturing"
act "it ends well" uncapture
read -r _ got _ _ lost _ < <(tail -n 1 "$TEST_TMP/lost.pcapng.said")
check "it lost packets ($lost of 30000), and says so" test "$lost" -gt 0 -a $((got + lost)) = 30000
is "the others are in the file" "$(count "$TEST_TMP/lost.pcapng" 'frame.interface_name == "in"')" "$got"
is "the file's statistics say how many were lost" "$(dropped "$TEST_TMP/lost.pcapng")" "$lost"
check "every packet is accounted for" answers GET /v1/stats '.totals | .rx == .tx + .redirect + .pass + .drop'

# --- ends ------------------------------------------------------------------------------------------------------

act "a capture starts" capture "$TEST_TMP/killed.pcapng"
kill -KILL "$capturing"
ordinary_again "after its client was killed"
check "no capture runs any more" captures_are 0
check "the event is there" answers GET /v1/events '[.events[] | select(.kind == "capture")] | last | .message | test("client is gone")'

act "a capture by curl starts" spawn lb curl -sN --unix-socket "$LBD_SOCKET" -o "$TEST_TMP/curl.pcapng" \
	"http://weir/v1/capture?service=web"
curl_pid=$spawned
wait_for 10 captures_are 1
fetch >/dev/null
check "packets come as they are captured" wait_for 5 larger_than "$TEST_TMP/curl.pcapng" 2000
kill -TERM "$curl_pid"
ordinary_again "after curl was ended"
check "curl's file can be read" test "$(count "$TEST_TMP/curl.pcapng" 'frame.interface_name == "in"')" -ge 5

act "a capture starts" capture "$TEST_TMP/stop.pcapng"
fetch >/dev/null
act "the agent stops" lbd_stop TERM
act "stopping the agent ends it in good order" finish "$capturing" 5
check "with all packets and the statistics" grep -qE '^lbctl: [0-9]+ packets captured, 0 lost' "$TEST_TMP/stop.pcapng.said"
check "the ordinary program runs on without the agent" is_ordinary
act "it starts again" lbd_start

act "a capture starts" capture "$TEST_TMP/crash.pcapng"
fetch >/dev/null
wait_for 5 larger_than "$TEST_TMP/crash.pcapng" 2000
lbd_stop KILL
finish "$capturing" 5
is "when the agent is killed lbctl fails" $? 1
check "and says why" grep -q "ended the capture early" "$TEST_TMP/crash.pcapng.said"
check "what was captured until then can be read" well_formed "$TEST_TMP/crash.pcapng"
is "the capturing program runs on" "$(name_of_running)" lb_capture
check "packets flow through it" fetch
act "the next agent starts" lbd_start
is "and has the ordinary program run again" "$(tag_of_running)" "$tag"
check "nothing of the capture is left" wait_for 5 no_capture_loaded
check "packets flow" fetch
ordinary=$(running)

# Redirected packets that nobody saw sent or lost.
unseen()
{
	# shellcheck disable=SC2016 # jq's
	jq -n --argjson redirects "$(api GET /v1/drops | jq .redirects)" --argjson totals "$(api GET /v1/stats | jq .totals)" \
		'$totals.redirect - ($redirects.interfaces | map(.sent + .lost) | add)'
}

before=$(unseen)
load_start "$LAB_VIP4"
for turn in 1 2 3; do
	act "capture $turn under load starts" capture "$TEST_TMP/load.pcapng"
	act "capture $turn under load ends" uncapture
done
ordinary_again "under load"
load_stop
# shellcheck disable=SC2154 # set by load_stop
check "the load was real" test "$load_requests" -gt 50
is "no request failed while captures came and went" "$load_failed" 0
is "every redirected packet was sent or lost, in either program" "$(unseen)" "$before"

# --- changes meanwhile -----------------------------------------------------------------------------------------

act "a capture of a service starts" capture "$TEST_TMP/change.pcapng" --service web
check "a configuration is applied meanwhile" answers POST '/v1/apply?allow_break=1' .applied \
	"$(lbd_config '.services[0].backends[0].weight = 50')"
fetch >/dev/null
check "it goes on" captures_are 1
is "and the capturing program stays" "$(name_of_running)" lb_capture
lbd_config '.interfaces += [{ "name": "eth1", "xdp_mode": "native", "attach": "exclusive" }]' >"$LBD_CONFIG"
kill -HUP "$lbd_pid"
act "a second interface ends it" finish "$capturing" 10
check "its client has the statistics" grep -q "packets captured, 0 lost" "$TEST_TMP/change.pcapng.said"
both_ordinary()
{
	[[ "$(name_of_running) $(name_of_running eth1)" == "lb_ingress lb_ingress" ]]
}
check "the ordinary program runs once it is loaded" wait_for 10 both_ordinary
check "it shows the generation that decided" test \
	"$(fields "$TEST_TMP/change.pcapng" '' frame.comment | sed 's/.*generation=\([0-9]*\).*/\1/' | sort -u)" -gt "$generation"
act "a capture of two interfaces starts" capture "$TEST_TMP/two.pcapng" --flow "tcp:*,$LAB_VIP4:80"
is "both run the capturing program" "$(name_of_running) $(name_of_running eth1)" "lb_capture lb_capture"
fetch >/dev/null
act "it ends" uncapture
check "both run the ordinary program" wait_for 5 both_ordinary
check "packets of the first are there" test "$(fields "$TEST_TMP/two.pcapng" '' frame.comment | grep -c interface=eth0)" -ge 5

# --- what is refused -------------------------------------------------------------------------------------------

refuse "an unknown service" 'no service "nope"' "$LBCTL" capture -w "$TEST_TMP/x" --service nope
refuse "an unknown backend" 'no backend "nope" in the service web' "$LBCTL" capture -w "$TEST_TMP/x" --service web --backend nope
refuse "a backend of several services" 'name the service as well' "$LBCTL" capture -w "$TEST_TMP/x" --backend b1
for flow in nope tcp:1.2.3.4 tcp:1.2.3.4:x,5.6.7.8 tcp:1.2.3.4,::1 tcp:1.2.3.4:0,5.6.7.8 quic:1.2.3.4,5.6.7.8 'tcp:[::1,::2' \
	256:1.2.3.4,5.6.7.8; do
	refuse "the flow $flow" 'flow must be|one family' "$LBCTL" capture -w "$TEST_TMP/x" --flow "$flow"
done
refuse "a file that cannot be made" 'cannot write /nonexistent/x: No such file' "$LBCTL" capture -w /nonexistent/x
check "no file was made" test ! -e "$TEST_TMP/x"
check "no capture runs" wait_for 5 captures_are 0
is "no file is wrong usage" "$("$LBCTL" capture 2>/dev/null; echo $?)" 2
is "the API says which parameter is wrong" "$(api_status GET '/v1/capture?count=many') $(api_status GET '/v1/capture?service=nope')" "400 404"

act "the agent stops" lbd_stop TERM

# --- cost while off --------------------------------------------------------------------------------------------

# The ordinary program with and without the notes for captures in its source: the very same instructions.
without_notes()
{
	local copy=$TEST_TMP/source object
	mkdir "$copy"
	cp -r "$TEST_ROOT/bpf" "$TEST_ROOT/include" "$copy"
	sed -i '/^\t*note_[a-z]*(.*;$/d; /#include "note.h"/d' "$copy"/bpf/*.h "$copy"/bpf/slow/*.h
	if ! grep -q 'note_reason(reason);$' "$TEST_ROOT/bpf/count.h" || grep -q 'note_reason(reason);$' "$copy/bpf/count.h"; then
		return 1
	fi
	for object in "$TEST_ROOT" "$copy"; do
		clang -O2 -target bpf -mcpu=v3 -D__TARGET_ARCH_x86 -D__bpf__ -I"$object/include" -I"$object/bpf" \
			-idirafter "/usr/include/$(uname -m)-linux-gnu" -c "$object/bpf/lb_ingress.bpf.c" -o "$TEST_TMP/object" || return 1
		readelf -x xdp -x .text "$TEST_TMP/object" | md5sum
	done >"$TEST_TMP/sums"
	[[ $(wc -l <"$TEST_TMP/sums") == 2 && $(sort -u "$TEST_TMP/sums" | wc -l) == 1 ]]
}
check "while no capture runs it costs nothing: not one instruction" without_notes

done_testing
