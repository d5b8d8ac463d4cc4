#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Everyday changes: services and backends added, set and taken away by lbctl, with and without the file; reload; the
# word that what breaks connections wants. One arm (scripts/lab.sh).
# beside: labs

# shellcheck disable=SC2317,SC2119,SC2016 # functions that check calls; default arguments; jq and inner shells
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/lbd-lib.sh
. "$(dirname "$0")/lbd-lib.sh"

LBCTL=$LAB_BUILD/lbctl
lab_start --arm one --backends 3
lbd_init
export LBCTL_SOCKET=$LBD_SOCKET

running()
{
	api GET /v1/config | jq -c "$1"
}

in_file()
{
	jq -c "$1" "$LBD_CONFIG"
}

lbd_config '.services[].backends |= .[:2]' >"$LBD_CONFIG"
chmod 640 "$LBD_CONFIG"
act "it starts" lbd_start
cp "$LBD_CONFIG" "$TEST_TMP/before.json"

# --- the running configuration ------------------------------------------------------------------------------------

check "a backend is added" "$LBCTL" backend add web b3 "address=$(lab_backend4 3)" weight=50
is "it runs" "$(running '.services[0].backends[2]')" "{\"name\":\"b3\",\"address\":\"$(lab_backend4 3)\",\"weight\":50}"
check "the record says what was done" answers GET /v1/generations '.generations[0].cause == "backend add web/b3: services[web].backends[b3] added"'
check "and gets slots" answers GET /v1/services/web '.backends | length == 3 and .[2].slots > 0'
check "the file is as it was" cmp "$LBD_CONFIG" "$TEST_TMP/before.json"
refuse "adding it again is refused" 'there is a backend "b3" already' "$LBCTL" backend add web b3 address=10.0.0.9
refuse "a bad value is refused, with its place" 'services\[0\].backends\[2\].weight' "$LBCTL" backend set web b3 weight=70000
refuse "an unknown backend" 'no backend "b9"' "$LBCTL" backend set web b9 weight=7
refuse "an unknown service" 'no service "wob"' "$LBCTL" service set wob echo=false
check "a key is set" "$LBCTL" service set web idle_timeout_s=60
check "it runs" answers GET /v1/services/web '.idle_timeout_s == 60'
check "a service is added" "$LBCTL" service add dns "vip=$LAB_VIP4" protocol=udp port=53 \
	"backends=[{\"name\":\"d\",\"address\":\"$(lab_backend4 1)\"}]"
check "it runs" answers GET /v1/services/dns '.port == 53 and .backends_total == 1'
refuse "taking it away breaks connections" 'allow-break' "$LBCTL" service del dns
is "over the API this is a 409" "$(api_status DELETE /v1/services/dns)" 409
check "it still runs" answers GET /v1/services/dns '.port == 53'
check "with the word it is done" "$LBCTL" service del dns --allow-break
is "it is gone" "$(api_status GET /v1/services/dns)" 404

# --- drift --------------------------------------------------------------------------------------------------------

drift_is()
{
	answers GET /v1/status ".drift | $1"
}

check "what runs is otherwise than the file, which status tells" wait_for 5 drift_is \
	'.changes_total == 2 and (.changes | map({ path, change, from, to }) | sort_by(.path)) == [
		{ path: "services[web].backends[b3]", change: "remove", from: null, to: null },
		{ path: "services[web].idle_timeout_s", change: "modify", from: 60, to: 900 } ]'
check "as a warning, too" answers GET /v1/status '.warnings | any(test("^running differs from .*weir.json in 2 keys: .*idle_timeout_s .60, in the file 900"))'
check "lbctl shows it" grep -q "running differs from" <("$LBCTL" status)
check "it is an event" answers GET /v1/events '.events | any(.kind == "drift" and (.message | test("keys=[1-3] what=")))'
check "and a metric" grep -q '^weir_config_drift_keys 2$' <(in_ns lb curl -s --max-time 5 http://127.0.0.1:9650/metrics)

# --- reload: back to the file -------------------------------------------------------------------------------------

check "reload --dry-run tells what would change" grep -q 'b3.*remove' <("$LBCTL" reload --dry-run)
check "and changes nothing" answers GET /v1/services/web '.backends | length == 3'
is "each of these keys was changed by a request, which is taken back" "$(api POST '/v1/reload?dry_run=1' | jq -c '[.changes[].reverts]')" \
	'[true,true]'
check "lbctl says so" grep -q "taken back: a request" <("$LBCTL" reload --dry-run)
jq '.services[1].idle_timeout_s = 77' "$TEST_TMP/before.json" >"$LBD_CONFIG"
check "what somebody wrote into the file is not" answers POST '/v1/reload?dry_run=1' \
	'[.changes[] | select(.reverts | not) | .path] == ["services[web6].idle_timeout_s"] and (.changes | length == 3)'
check "it is drift as well" wait_for 5 drift_is '.changes_total == 3'
cp "$TEST_TMP/before.json" "$LBD_CONFIG"
check "reload" "$LBCTL" reload
check "there is no drift any more" wait_for 5 drift_is '. == null'
check "the file runs" answers GET /v1/services/web '.idle_timeout_s == 900 and ([.backends[] | select(.leaving | not)] | length == 2)'
echo '{ "version": 1' >"$LBD_CONFIG"
refuse "a bad file is an error, with its place" "weir.json:[0-9]+:[0-9]+" "$LBCTL" reload
check "nothing was changed" answers GET /v1/services/web '.idle_timeout_s == 900'
check "status tells of the file, before somebody needs it" wait_for 5 drift_is '.error | test("weir.json:[0-9]+:[0-9]+")'
refuse "and nothing can be saved into it" "no good configuration" "$LBCTL" backend set web b1 weight=7 --save
check "nor runs it" answers GET /v1/services/web '.backends[0].weight == 100'
cp "$TEST_TMP/before.json" "$LBD_CONFIG"
jq '.services |= .[:1]' "$TEST_TMP/before.json" >"$LBD_CONFIG"
refuse "a file that breaks connections wants the word" 'allow-break' "$LBCTL" reload
check "web6 runs still" answers GET /v1/services/web6 '.port == 80'
check "with it, it is loaded" "$LBCTL" reload --allow-break
is "web6 is gone" "$(api_status GET /v1/services/web6)" 404
cp "$TEST_TMP/before.json" "$LBD_CONFIG"
check "and back" "$LBCTL" reload

# SIGHUP asks nobody: it tells instead.
check "an edit" "$LBCTL" service set web idle_timeout_s=61
jq '.services[0].backends[0].weight = 30' "$TEST_TMP/before.json" >"$LBD_CONFIG"
# shellcheck disable=SC2154 # set by lbd_start
kill -HUP "$lbd_pid"
check "SIGHUP loads the file" wait_for 5 answers GET /v1/services/web '.idle_timeout_s == 900 and .backends[0].weight == 30'
# shellcheck disable=SC2154
check "its plan is in the log: what is taken back" grep -q \
	'event=reload plan=yes key=services.web..idle_timeout_s from=61 to=900 effect=apply reverts=yes$' "$lbd_log"
check "what is new" grep -q 'event=reload plan=yes key=services.web..backends.b1..weight from=100 to=30 effect=new$' "$lbd_log"
check "and what it does" grep -qE 'event=reload plan=yes service=web change=modify slots_moved=[1-9][0-9]* slots=[0-9]+ breaks=no$' "$lbd_log"
cp "$TEST_TMP/before.json" "$LBD_CONFIG"
check "and back" "$LBCTL" reload

# --- saved --------------------------------------------------------------------------------------------------------

chmod 640 "$LBD_CONFIG"
check "a backend is added and saved" "$LBCTL" backend add web b3 "address=$(lab_backend4 3)" --save
is "it is in the file" "$(in_file '.services[0].backends[2].name')" '"b3"'
is "and nothing else changed there" "$(diff <(jq 'del(.services[0].backends[2])' "$LBD_CONFIG") <(jq . "$TEST_TMP/before.json"))" ""
is "lines of the file that were there are there" "$(diff "$TEST_TMP/before.json" "$LBD_CONFIG" | grep -c '^<')" 1
is "its mode is what it was" "$(stat -c %a "$LBD_CONFIG")" 640
is "nothing is left beside it" "$(find "$TEST_TMP" -name 'weir.json.*' | wc -l)" 0
check "backend set --weight --save goes into the file" "$LBCTL" backend set web b3 --weight 7 --save
is "there it is" "$(in_file '.services[0].backends[2].weight')" 7
check "it is no word over the configuration" answers GET /v1/services/web '.backends[] | select(.name == "b3") | .weight == 7 and .configured.weight == 7'
check "KEY= takes a key away" "$LBCTL" backend set web b3 weight= --save
is "from the file as well" "$(in_file '.services[0].backends[2] | has("weight")')" false
is "the agent itself refuses what breaks" "$(api_status DELETE '/v1/services/web6?save=1')" 409
is "and a plan that is no longer the approved one" "$(api_status DELETE '/v1/services/web6?save=1&allow_break=1&expect_plan=0')" 409
check "the refusal has the plan" grep -q '"plan":{.*"breaks":true' <(api DELETE '/v1/services/web6?save=1')
is "nothing is saved then" "$(in_file '[.services[].name]')" '["web","web6"]'
is "nor runs" "$(api_status GET /v1/services/web6)" 200
check "a service is taken away and saved" "$LBCTL" service del web6 --allow-break --save
is "it is not in the file" "$(in_file '[.services[].name]')" '["web"]'
check "a dry run saves nothing" "$LBCTL" service set web idle_timeout_s=77 --save --dry-run
is "nothing" "$(in_file '.services[0].idle_timeout_s')" null
check "reload has nothing to do" grep -q 'nothing had to change' <("$LBCTL" reload)

# A file that lives elsewhere stays a link; one that cannot be written is told, and nothing runs of it.
mkdir "$TEST_TMP/elsewhere"
mv "$LBD_CONFIG" "$TEST_TMP/elsewhere/real.json"
ln -s elsewhere/real.json "$LBD_CONFIG"
check "through a link" "$LBCTL" backend set web b3 weight=9 --save
check "it is a link still" test -L "$LBD_CONFIG"
is "to the new text" "$(in_file '.services[0].backends[2].weight')" 9
act "the agent stops" lbd_stop TERM
act "it starts again" lbd_start
check "what was saved runs" answers GET /v1/services/web '.backends[] | select(.name == "b3") | .weight == 9'
check "no start was because of the file" answers GET /v1/events \
	'[.events[] | select(.kind == "start") | .message] | all(test("has changed") | not)'

# --- what only the file may say -----------------------------------------------------------------------------------

ca='{"check":{"kind":"https","ca":"/etc/shadow"}}' stranger='{"check":{"kind":"tcp","address":"192.0.2.99","port":22}}'
own='{"check":{"kind":"tcp","port":8080}}'

# refused_at PLACE METHOD PATH [BODY]: 403, with the place, and nothing runs nor is saved of it.
refused_at()
{
	local place=$1 before
	shift
	before=$(api GET /v1/config)$(cat "$LBD_CONFIG")
	answers "$1" "$2" '.error.path == "'"$place"'"' "$3" || return 1
	[[ $(api_status "$@") == 403 && $(api GET /v1/config)$(cat "$LBD_CONFIG") == "$before" ]]
}

with()
{
	jq -c "$1" "$LBD_CONFIG"
}

check "apply: a file that the configuration file does not name" refused_at 'services[web].health.check.ca' \
	POST /v1/apply "$(with ".services[0].health = $ca")"
check "apply, only planned" refused_at 'services[web].health.check.ca' POST '/v1/apply?dry_run=1' "$(with ".services[0].health = $ca")"
check "apply: a socket" refused_at api.socket POST /v1/apply "$(with '.api.socket = "/etc/cron.d/x"')"
check "apply: somebody asked who is no backend" refused_at 'services[web].backends[b1].check.address' \
	POST /v1/apply "$(with ".services[0].health = $stranger")"
check "an edit" refused_at 'services[web].health.check.ca' PUT '/v1/services/web?merge=1' "{\"health\":$ca}"
check "an edit that is saved" refused_at 'services[web].health.check.ca' PUT '/v1/services/web?merge=1&save=1' "{\"health\":$ca}"
check "an edit of a backend" refused_at 'services[web].backends[b1].check.address' PUT '/v1/services/web/backends/b1?merge=1&save=1' "$stranger"
check "a comparison tells of it all the same" answers POST /v1/diff '.changes | any(.path == "services[web].health.check")' \
	"$(with ".services[0].health = $ca")"
check "the backends themselves may be asked" answers PUT '/v1/services/web?merge=1' '.applied' "{\"health\":$own}"
cp "$TEST_TMP/elsewhere/real.json" "$TEST_TMP/unvouched.json"
with ".services[0].health = $ca" >"$TEST_TMP/vouched.json"
cp "$TEST_TMP/vouched.json" "$TEST_TMP/elsewhere/real.json"
chmod 666 "$TEST_TMP/elsewhere/real.json"
check "a file that anybody may write vouches for nothing" refused_at 'services[web].health.check.ca' POST /v1/apply "$(cat "$TEST_TMP/vouched.json")"
chmod 640 "$TEST_TMP/elsewhere/real.json"
chown 65534 "$TEST_TMP/elsewhere/real.json"
check "nor does one that is somebody's" refused_at 'services[web].health.check.ca' POST /v1/apply "$(cat "$TEST_TMP/vouched.json")"
chown 0 "$TEST_TMP/elsewhere/real.json"
check "one that is root's does, without being loaded" answers POST /v1/apply '.applied' "$(cat "$TEST_TMP/vouched.json")"
cp "$TEST_TMP/unvouched.json" "$TEST_TMP/elsewhere/real.json"
check "an edit beside it needs nobody" answers PUT '/v1/services/web/backends/b1?merge=1' '.applied' '{"weight":50}'
check "nor does a rollback" answers POST /v1/rollback '.applied'

act "the agent stops" lbd_stop TERM
done_testing
