#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Sources: helpers that bring services of their own. What they may do and what they may not, what is kept of them, and
# thousands of services at once.
# beside: labs

# shellcheck disable=SC2317,SC2119,SC2016 # functions that check calls; default arguments; jq
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/lbd-lib.sh
. "$(dirname "$0")/lbd-lib.sh"

lab_start --arm one --backends 3
lbd_init
kube=65501 other=65502 stranger=65503

sources='.sources = [ { name: "kube", uid: '$kube', vips: [ { prefix: "198.18.0.0/16" } ], max_services: 4, max_backends: 12 },
	{ name: "other", uid: '$other', vips: [ { prefix: "198.18.0.0/15" }, { prefix: "2001:db8:5::/48" } ] } ]'

# as UID METHOD PATH [BODY]: the answer's body, asked by a process of that user.
as()
{
	local uid=$1 method=$2 path=$3
	shift 3
	setpriv --reuid "$uid" --regid "$uid" --clear-groups curl -s --max-time 20 --unix-socket "$LBD_SOCKET" -X "$method" \
		${1:+--data-binary "$1"} "http://weir$path"
}

# as_status UID METHOD PATH [BODY]
as_status()
{
	local uid=$1 method=$2 path=$3
	shift 3
	setpriv --reuid "$uid" --regid "$uid" --clear-groups curl -s --max-time 20 -o /dev/null -w '%{http_code}' \
		--unix-socket "$LBD_SOCKET" -X "$method" ${1:+--data-binary "$1"} "http://weir$path"
}

# service NAME VIP [JQ-FILTER]: one with three backends.
service()
{
	jq -cn --arg name "$1" --arg vip "$2" "{ name: \$name, vip: \$vip, protocol: \"tcp\", port: 80, backends: [
		{ name: \"b1\", address: \"$(lab_backend4 1)\" }, { name: \"b2\", address: \"$(lab_backend4 2)\" },
		{ name: \"b3\", address: \"$(lab_backend4 3)\" } ] } | ${3:-.}"
}

services()
{
	api GET /v1/services | jq -r '[.services[].name] | join(" ")'
}

services_are()
{
	[[ $(services) == "$1" ]]
}

open_socket()
{
	chmod 711 "$TEST_TMP" && chmod 666 "$LBD_SOCKET"
}

put()
{
	is "$1" "$(as_status "$kube" PUT "/v1/sources/kube/services/$2" "$3")" "${4:-200}"
}

lbd_config "$sources" >"$LBD_CONFIG"
act "lbd starts" lbd_start
open_socket

# --- one by one ---------------------------------------------------------------------------------------------------

put "a source brings a service" "s1?revision=1" "$(service s1 198.18.0.1)"
check "soon it runs" wait_for 5 services_are "web web6 s1"
check "it is known whose it is" answers GET /v1/sources/kube '.services == 1 and .backends == 3 and .heard != null
	and .service_list[0].name == "s1" and .pending == false'
is "it is not in the history" "$(api GET /v1/generations | jq '.generations | length')" 1
check "nor in the configuration" answers GET /v1/config '.services | length == 2'
check "packets to it have a backend" wait_for 5 answers POST /v1/explain '.service == "s1" and (.backend | length == 2)' \
	'{"protocol":"tcp","source":"198.51.100.7:4000","destination":"198.18.0.1:80","syn":true}'
put "the same again is nothing new" "s1?revision=1" "$(service s1 198.18.0.1)"
put "another content of the same revision is not" "s1?revision=1" "$(service s1 198.18.0.1 '.idle_timeout_s = 7')" 409
put "an earlier revision is not" "s1?revision=0" "$(service s1 198.18.0.1 '.idle_timeout_s = 7')" 409
put "a later one is" "s1?revision=2" "$(service s1 198.18.0.1 '.idle_timeout_s = 7')"
check "and runs" wait_for 5 answers GET /v1/services/s1 '.idle_timeout_s == 7'
check "the operator can drain its backends" answers PATCH /v1/services/s1/backends/b1 '.applied' '{"state": "drain"}'
check "which is a reason beside" answers GET /v1/services/s1 '.backends[0].reasons[0].origin == "operator"'
put "what a source says itself" "s1?revision=3" "$(service s1 198.18.0.1 '.idle_timeout_s = 7 | .backends[2].state = "drain"')"
check "has its name" wait_for 5 answers GET /v1/services/s1 '.backends[2].reasons[0] | .origin == "source" and .source == "kube" and .holds'

# --- what it may not ----------------------------------------------------------------------------------------------

is "another source's name is refused" "$(as_status "$other" PUT "/v1/sources/kube/services/s1?revision=9" "$(service s1 198.18.0.1)")" 403
is "a stranger may not speak for a source" "$(as_status "$stranger" PUT "/v1/sources/kube/services/s1?revision=9" "$(service s1 198.18.0.1)")" 403
put "a vip outside its prefixes is refused" "s2?revision=1" "$(service s2 203.0.113.9)" 403
put "a prefix that is wider than its own, too" "s2?revision=1" "$(service s2 198.16.0.0/14)" 403
put "the name of a service of the file" "web?revision=1" "$(service web 198.18.0.2)" 403
is "what another source has" "$(as_status "$other" PUT "/v1/sources/other/services/o1?revision=1" "$(service o1 198.18.0.1)")" 403
check "the error says whose it is" jq -e '.error.message | test("service .s1. of kube has its vip")' \
	<<<"$(as "$other" PUT "/v1/sources/other/services/o1?revision=1" "$(service o1 198.18.0.1)")"
put "another name than the path's" "s2?revision=1" "$(service s3 198.18.0.2)" 400
put "no revision" "s2" "$(service s2 198.18.0.2)" 400
put "what the schema refuses" "s2?revision=1" "$(service s2 198.18.0.2 '.backends[0].weight = 70000')" 400
check "with the place in what was sent" jq -e '.error.path == "backends[0].weight"' \
	<<<"$(as "$kube" PUT "/v1/sources/kube/services/s2?revision=1" "$(service s2 198.18.0.2 '.backends[0].weight = 70000')")"
put "JSON that would end what is put around it" "s2?revision=1" "$(service s2 198.18.0.2)],\"sources\":[{\"name\":\"x\",\"uid\":5,\"vips\":[]}" 400
put "more backends than it may have" "s2?revision=1" \
	"$(service s2 198.18.0.2 '.backends += [range(10) | { name: "m\(.)", address: "10.99.0.\(. + 1)" }]')" 403
for what in "POST /v1/apply {}" "POST /v1/rollback" "PATCH /v1/services/web/backends/b1 {}" "GET /v1/config" "GET /v1/capture" \
	"POST /v1/diff {}"; do
	# shellcheck disable=SC2086
	is "a source may not $what" "$(as_status "$kube" $what)" 403
done
is "it may read" "$(as_status "$kube" GET /v1/services)" 200
is "a source that is not listed is none" "$(api_status PUT '/v1/sources/nobody/services/s?revision=1' "$(service s 198.18.0.2)")" 404
check "nothing of that runs" services_are "web web6 s1"

# dies_within BODY PATH: a helper that ends before it has sent all of what it said it would.
dies_within()
{
	setpriv --reuid "$kube" --regid "$kube" --clear-groups /usr/bin/python3 -I - "$LBD_SOCKET" "$2" "$1" <<-'PY'
	import socket, sys
	s = socket.socket(socket.AF_UNIX)
	s.connect(sys.argv[1])
	body = sys.argv[3].encode()
	s.sendall(b"PUT %s HTTP/1.1\r\nHost: weir\r\nContent-Length: %d\r\n\r\n" % (sys.argv[2].encode(), len(body) + 1) + body)
	s.shutdown(socket.SHUT_WR)
	PY
}

before=$(api GET /v1/sources/kube | jq -c .service_list)
check "a source dies in the middle of a PUT" dies_within "$(service s1 198.18.0.1 '.idle_timeout_s = 8')" "/v1/sources/kube/services/s1?revision=5"
check "and in the middle of all that it has" dies_within "[$(service s1 198.18.0.1)]" "/v1/sources/kube?revision=6"
check "the agent answers, and has nothing of it" answers GET /v1/services/s1 '.idle_timeout_s == 7'
is "nor has the source" "$(api GET /v1/sources/kube | jq -c .service_list)" "$before"

# --- taking weight away -------------------------------------------------------------------------------------------

put "two backends" "s2?revision=1" "$(service s2 198.18.0.2 '.backends |= .[:2]')"
put "half of the weight may go" "s2?revision=2" "$(service s2 198.18.0.2 '.backends |= .[:1]')"
put "not the other half within a minute" "s2?revision=3" "$(service s2 198.18.0.2 '.backends = []')" 422
put "nor by state" "s2?revision=3" "$(service s2 198.18.0.2 '.backends |= .[:1] | .backends[0].state = "down"')" 422
is "nor by taking the service away" "$(as_status "$kube" DELETE '/v1/sources/kube/services/s2?revision=3')" 422
is "nor with all the others" "$(as_status "$kube" PUT '/v1/sources/kube?revision=3' '[]')" 422
check "the old stays" answers GET /v1/sources/kube '.services == 2 and .service_list[1].backends == 1'
is "with the explicit word it goes" "$(as_status "$kube" DELETE '/v1/sources/kube/services/s2?revision=3&allow_loss=1')" 200
check "and is gone" wait_for 5 services_are "web web6 s1"

# --- the whole ----------------------------------------------------------------------------------------------------

whole="[$(service s1 198.18.0.1 '.idle_timeout_s = 7'),$(service s4 198.18.0.4)]"
is "all of a source's services at once" "$(as_status "$kube" PUT '/v1/sources/kube?revision=1' "$whole")" 200
check "run together" wait_for 5 services_are "web web6 s1 s4"
check "sent again, nothing changed" jq -e '.changed == 0' <<<"$(as "$kube" PUT '/v1/sources/kube?revision=2' "$whole")"
is "two that collide are refused" "$(as_status "$kube" PUT '/v1/sources/kube?revision=3' \
	"[$(service s1 198.18.0.1),$(service s4 198.18.0.1)]")" 400
is "more than it may have" "$(as_status "$kube" PUT '/v1/sources/kube?revision=3' \
	"[$(for i in 1 2 3 4 5; do service "s$i" "198.18.0.$i" '.backends = []'; done | paste -sd,)]")" 403
check "what stood stands" services_are "web web6 s1 s4"

# --- restarts and the file ----------------------------------------------------------------------------------------

lbd_stop KILL
ln -s /etc/passwd "$LBD_STATE/sources/kube+link"
echo garbage >"$LBD_STATE/sources/kube+s9"
act "it is started again, without the helper" lbd_start
open_socket
is "what the source brought goes on" "$(services)" "web web6 s1 s4"
check "the operator's word on it, too" answers GET /v1/services/s1 '.backends[0].state == "drain"'
check "status says that the source is silent" answers GET /v1/status '.sources[0] | .name == "kube" and .heard == null and .silent_s >= 0'
check "what is no service is set aside and told" answers GET /v1/events '.events | map(.message) | any(test("set aside sources/kube.s9"))'
put "revisions are remembered" "s1?revision=0" "$(service s1 198.18.0.1)" 409
check "the file takes the name" answers POST "/v1/apply?allow_break=1" '.applied' "$(lbd_config "$sources"' | .services[1].name = "s4"')"
is "and has it" "$(services)" "web s4 s1"
check "the source's is hidden, which is a warning" answers GET /v1/status '.sources[0].hidden == 1 and (.warnings | any(test("leaves them no room")))'
check "once the name is free" answers POST "/v1/apply?allow_break=1" '.applied' "$(lbd_config "$sources")"
is "it runs again" "$(services)" "web web6 s1 s4"
check "a file that lists the source no more: the plan says what goes" answers POST '/v1/apply?dry_run=1' \
	'[.services[] | select(.change == "remove") | .name] | sort == ["s1", "s4"]' "$(lbd_config)"
check "and it is done" answers POST '/v1/apply?allow_break=1' '.applied' "$(lbd_config)"
is "its services go" "$(services)" "web web6"
is "with what was kept of them" "$(find "$LBD_STATE/sources" -type f | wc -l)" 0
check "a link is not followed, nor removed" test -L "$LBD_STATE/sources/kube+link" -o ! -e "$LBD_STATE/sources/kube+link"
check "/etc/passwd is as it was" grep -q root /etc/passwd

# --- thousands ----------------------------------------------------------------------------------------------------

lbd_stop TERM || not_ok "it stops in order"
lbd_once --detach >/dev/null 2>&1
rm -rf "$LBD_STATE"
lbd_config "$sources"' | .sources[0].max_services = 5000 | .sources[0].max_backends = 20000 | .limits = { services: 8192, backends: 32768,
	ring_slots: 16777216, flow_entries: 100000 }' >"$LBD_CONFIG"
act "an agent with room for thousands starts" lbd_start
open_socket
jq -cn "[range(5000) | { name: \"n\(.)\", vip: \"198.18.\(. / 250 | floor).\(. % 250 + 1)\", protocol: \"tcp\", port: 80, ring_size: 64,
	backends: [ { name: \"b1\", address: \"$(lab_backend4 1)\" }, { name: \"b2\", address: \"$(lab_backend4 2)\" } ] }]" >"$TEST_TMP/many.json"
jq -c 'map(.backends[0].weight = 101)' "$TEST_TMP/many.json" >"$TEST_TMP/many2.json"
is "5,000 services at once" "$(as_status "$kube" PUT '/v1/sources/kube?revision=1' "@$TEST_TMP/many.json")" 200
thousands()
{
	answers GET /v1/status '.services == 5002 and (.sources[0].pending | not)'
}
check "run" wait_for 30 thousands
first=$(api GET /v1/status | jq .generation)
slow=0
for i in {2..9}; do
	file=many.json
	((i % 2)) || file=many2.json
	as_status "$kube" PUT "/v1/sources/kube?revision=$i" "@$TEST_TMP/$file" >/dev/null &
	at=${EPOCHREALTIME/./}
	api GET /v1/version >/dev/null
	((${EPOCHREALTIME/./} - at < 2000000)) || slow=$((slow + 1))
	wait $!
done
is "sent twice a second they are taken in" "$slow" 0
check "the last one counts" wait_for 30 answers GET /v1/services/n4999 '.backends[0].configured.weight == 100'
check "and they were planned for together" test $(($(api GET /v1/status | jq .generation) - first)) -le 9
lbd_stop TERM || not_ok "it stops in order"

done_testing
