#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What lbd remembers: the configuration file and its reload, what apply and overrides leave behind, going back, a
# state directory that is damaged or not ours, and a power cut between any two steps of a change. One arm.
# beside: labs

# shellcheck disable=SC2317,SC2119,SC2016 # functions that check calls; default arguments; jq and inner shells
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/lbd-lib.sh
. "$(dirname "$0")/lbd-lib.sh"

lab_start --arm one --backends 3
lbd_init
lbd_config >"$LBD_CONFIG"

reload()
{
	kill -HUP "$lbd_pid"
}

services()
{
	api GET /v1/services | jq -r '[.services[].name] | join(" ")'
}

weight()
{
	api GET /v1/services/web | jq -r --arg b "$1" '.backends[] | select(.name == $b) | "\(.weight) \(.state)"'
}

services_are()
{
	[[ $(services) == "$1" ]]
}

last_error()
{
	[[ $(api GET /v1/status | jq -r .last_error.message) =~ $1 ]]
}

# --- a power cut at the very first start -------------------------------------------------------------------------

for step in store_written store_renamed; do
	rm -rf "$LBD_STATE"
	LBD_CRASH_AT_STEP=$step lbd_once >/dev/null 2>&1
	check "a first start that ends at $step leaves a trace" test -n "$(ls -A "$LBD_STATE")"
	act "and the next one starts" lbd_start
	lbd_stop TERM || not_ok "it stops in order"
	lbd_once --detach >/dev/null 2>&1
done
rm -rf "$LBD_STATE"

# --- the file --------------------------------------------------------------------------------------------------

act "it starts from the file" lbd_start
is "the services are the file's" "$(services)" "web web6"
lbd_config '.services |= .[:1]' >"$LBD_CONFIG"
reload
check "SIGHUP reads the file" wait_for 5 services_are web
lbd_config '.services[0].backends[1].weight = 70000' >"$LBD_CONFIG"
reload
check "a bad file is refused, with its place" wait_for 5 last_error 'services\[0\].backends\[1\].weight'
is "what ran goes on" "$(services)" "web"
echo '{ "version": 1,' >"$LBD_CONFIG"
reload
check "a cut file is refused, with file, line and column" wait_for 5 last_error 'weir.json:[0-9]+:[0-9]+'
is "what ran still goes on" "$(services)" "web"
rm "$LBD_CONFIG"
reload
check "a missing file is refused" wait_for 5 last_error 'No such file'
mkfifo "$LBD_CONFIG"
reload
check "a FIFO is refused, not waited for" wait_for 5 last_error 'is not a plain file'
check "packets flow on" fetch

# --- restart with a bad file ------------------------------------------------------------------------------------

lbd_stop TERM || not_ok "it stops in order"
refuse "nor is one at a first start" "is not a plain file" lbd_once --state-dir "$TEST_TMP/none"
rm "$LBD_CONFIG"
act "with the file missing it goes on with what ran" lbd_start
is "the services are those of before" "$(services)" "web"
check "status warns" answers GET /v1/status '.warnings | any(test("could not be used"))'
lbd_config >"$LBD_CONFIG"
reload
check "once the file is good, it runs" wait_for 5 services_are "web web6"
check "and the warning is gone" answers GET /v1/status '.warnings == []'

# --- apply and overrides outlive a restart ----------------------------------------------------------------------

lbd_config '.services[1].name = "six"' >"$TEST_TMP/other.json"
check "apply makes it run" answers POST '/v1/apply?allow_break=1' '.applied and .generation > .from_generation' @"$TEST_TMP/other.json"
is "apply changed the services" "$(services)" "web six"
check "a backend is told a weight" answers PATCH /v1/services/web/backends/b2 '.applied' '{"weight": 7}'
check "another is drained" answers PATCH /v1/services/web/backends/b3 '.applied' '{"state": "drain"}'
is "the weight is in force" "$(weight b2)" "7 active"
is "the drain is in force" "$(weight b3)" "100 drain"
generation=$(api GET /v1/status | jq .generation)
lbd_stop KILL
act "it is started again" lbd_start
is "what was applied runs, not the file" "$(services)" "web six"
is "the weight is kept" "$(weight b2)" "7 active"
is "the drain is kept" "$(weight b3)" "100 drain"
is "the generation is kept" "$(api GET /v1/status | jq .generation)" "$generation"
lbd_stop TERM || not_ok "it stops in order"
lbd_config '.services[0].idle_timeout_s = 77 | del(.services[0].backends[2])' >"$LBD_CONFIG"
act "it is started with a changed file" lbd_start
is "a changed file wins" "$(services)" "web web6"
is "overrides of backends that still exist are kept" "$(weight b2)" "7 active"
check "those of others are dropped, and that is logged" grep -q 'event=override service=web backend=b3 key=state from=drain to=gone override=ends' "$lbd_log"
check "null takes the configuration's weight again" answers PATCH /v1/services/web/backends/b2 '.applied' '{"weight": null}'
is "it is in force" "$(weight b2)" "100 active"
lbd_config >"$LBD_CONFIG"
reload
check "three backends again" wait_for 5 answers GET /v1/services/web '.backends_active == 3'

# --- a ring that stays as large as it was ------------------------------------------------------------------------

ring_size_is()
{
	answers GET /v1/services/web ".ring_size == $1"
}

lbd_config '.services[0].backends += [range(8) | { name: "more\(.)", address: "10.99.0.\(. + 1)" }]' >"$LBD_CONFIG"
reload
check "eleven backends get a larger ring" wait_for 5 ring_size_is 2048
check "which is what any balancer has" answers GET /v1/status '.warnings | any(test("ring")) | not'
lbd_config >"$LBD_CONFIG"
reload
check "three backends again" wait_for 5 answers GET /v1/services/web '.backends_active == 3'
check "the ring keeps its size" ring_size_is 2048
check "and status tells that others would have another" answers GET /v1/status \
	'.warnings | any(test("ring of web keeps its 2048 slots.* with 1024 .*ring_size"))'
lbd_config '.services[0].ring_size = 2048' >"$LBD_CONFIG"
reload
check "with the size given, all agree" wait_for 5 answers GET /v1/status '.warnings | any(test("ring")) | not'

# --- going back -------------------------------------------------------------------------------------------------

api PATCH /v1/services/web/backends/b1 '{"state": "drain"}' >/dev/null
before=$(api GET /v1/generations | jq '[.generations[] | select(.kind == "config")][1].generation')
check "rollback without a number goes one configuration back" answers POST '/v1/rollback?allow_break=1' '.applied'
is "the drain stays" "$(weight b1)" "100 drain"
check "it is a generation of its own" answers GET /v1/generations \
	".generations[0] | .running and (.cause | test(\"^rollback to $before(: |\$)\"))"
api PATCH /v1/services/web/backends/b1 '{"state": null}' >/dev/null
check "a generation that is not kept is an error that names those that are" answers POST '/v1/rollback?to=4711' \
	".error.message | test(\"$before\")"
is "which is a 404" "$(api_status POST '/v1/rollback?to=4711')" 404
for i in {1..14}; do
	api PATCH /v1/services/web/backends/b1 "{\"weight\": $((50 + i))}" >/dev/null
done
check "they push out no configuration" answers GET /v1/generations '[.generations[] | select(.kind == "config")] | length > 5'
for i in {1..12}; do
	api POST '/v1/apply?allow_break=1' "$(lbd_config ".services[0].idle_timeout_s = $((700 + i))")" >/dev/null
done
check "ten configurations are kept" answers GET /v1/generations '[.generations[] | select(.kind == "config")] | length == 10'
is "and no configuration that nothing names" "$(find "$LBD_STATE/configs" -type f | wc -l)" \
	"$(cat "$LBD_STATE"/generations/*.json | jq -s 'map(.config) | unique | length')"
oldest=$(api GET /v1/generations | jq '.generations[-1].generation')
check "the oldest can be gone back to" answers POST "/v1/rollback?to=$oldest&allow_break=1" '.applied'
check "a dry run changes nothing" answers POST "/v1/rollback?to=$oldest&dry_run=1" '.applied == false and .dry_run'

# --- power cuts -------------------------------------------------------------------------------------------------

# Dies at a step of a change from weight 100 to 33 of b1; then it must come back with one of them, and serve.
api PATCH /v1/services/web/backends/b1 '{"weight": null}' >/dev/null
lbd_stop TERM || not_ok "it stops in order"
steps=(store_written store_renamed config_stored recorded committed copied)
# shellcheck disable=SC2207
steps+=($(grep -ho 'step([a-z]*, "[a-z_]*")' "$TEST_ROOT"/user/lib/engine/commit.c | grep -o '"[a-z_]*"' | tr -d '"' |
	grep -vxE 'key|seed' | sort -u)) # key and seed: of the first commit alone
died=0 whole=0
for step in "${steps[@]}"; do
	act "it starts to die at $step" lbd_start
	old="$(weight b1) $(services)"
	lbd_stop TERM
	LBD_CRASH_AT_STEP=$step lbd_start >/dev/null
	lbd_config '.services[0].backends[0].weight = 33 | .services[1].name = "w'"$step"'"' >"$TEST_TMP/cut.json"
	[[ $old != "33 "* ]] || sed -i 's/"weight": 33/"weight": 34/' "$TEST_TMP/cut.json"
	api POST '/v1/apply?allow_break=1' @"$TEST_TMP/cut.json" >/dev/null
	if wait_for 3 process_gone "$lbd_pid"; then
		died=$((died + 1))
	else
		diag "did not die at $step"
		lbd_stop KILL
	fi
	fetch >/dev/null || diag "no packet after the cut at $step"
	lbd_start >/dev/null || diag "did not come back after $step" "$(cat "$lbd_log")"
	case "$(weight b1) $(services)" in
	"$old" | "3"[34]" active web w$step") whole=$((whole + 1)) ;;
	*) diag "after $step: $(weight b1) $(services), from: $old" ;;
	esac
	answers GET /v1/services/web '[.backends[].slots] | add == 1024 and all(. > 100)' >/dev/null ||
		diag "odd ring after $step"
	lbd_stop TERM
done
is "it died at every step" "$died" "${#steps[@]}"
is "and came back whole every time" "$whole" "${#steps[@]}"

# --- damage -----------------------------------------------------------------------------------------------------

# What was acknowledged last: a drain and a weight that the file knows nothing of.
lbd_start || not_ok "it starts before the damage"
api PATCH /v1/services/web/backends/b3 '{"state": "drain"}' >/dev/null
api PATCH /v1/services/web/backends/b2 '{"weight": 19}' >/dev/null
generation=$(api GET /v1/status | jq .generation)
lbd_stop TERM || not_ok "it stops in order"
newest=$LBD_STATE/generations/$(printf %020d "$generation").json
config=$LBD_STATE/configs/$(jq -r .config "$newest").json
cp -a "$LBD_STATE" "$TEST_TMP/good"

tells()
{
	answers GET /v1/events ".events | any(.kind == \"state\" and (.message | test(\"$1\")))"
}

# survives WHAT [EVENT]: after damage, it starts with all that was acknowledged, and tells what it found.
survives()
{
	act "it starts with $1" lbd_start
	is "and knows what was acknowledged" "$(weight b3), $(weight b2)" "100 drain, 19 active"
	[[ -z ${2:-} ]] || check "and tells" tells "$2"
}

# Stops it, and has the state as it was before the damage.
mended()
{
	lbd_stop TERM || not_ok "it stops in order"
	rm -rf "$LBD_STATE" && cp -a "$TEST_TMP/good" "$LBD_STATE"
}

head -c 40 "$TEST_TMP/good/generations/${newest##*/}" >"$newest"
survives "a cut record" "set aside generations/${newest##*/}"
check "which is kept" test -n "$(find "$LBD_STATE/aside" -size 40c)"
mended
sed -i 's/"weight":19/"weight":18/' "$newest"
survives "a record in which one digit is another" "its check says that it is damaged"
mended
oldest=$(find "$LBD_STATE/generations" -name '*.json' | sort | head -1)
cp "$newest" "$newest~"
mkdir "$LBD_STATE/generations/backup" "$LBD_STATE/configs/backup"
: >"$oldest"
mkfifo "$LBD_STATE/generations/00000000000000000001.json"
survives "a backup, a folder, a FIFO and an empty oldest record"
for i in {1..55}; do
	api PATCH /v1/services/web/backends/b1 "{\"weight\": $((60 + i))}" >/dev/null
done
check "older records go all the same" answers GET /v1/generations '[.generations[] | select(.kind == "operator")] | length == 50'
check "rollback works" answers POST '/v1/rollback?dry_run=1' '.dry_run'
check "what is not ours is still there" test -e "$newest~" -a -d "$LBD_STATE/generations/backup" -a -d "$LBD_STATE/configs/backup"
mended
echo ' ' >>"$config"
survives "a damaged stored configuration" "set aside configs/${config##*/}"
mended
rm "$config"
survives "a missing one"
check "which is back" test -s "$config"
mended
# As lbd 0.3 wrote them.
printf %s "$(jq -c '{generation: (.generation + 1000), time, cause, config, file_digest, services, overrides: []}' "$newest")" \
	>"$LBD_STATE/generations/$(printf %020d $((generation + 1000))).json"
survives "a record of a number that was never reached" "beyond what was running"
mended
rm -r "$LBD_STATE/generations"
survives "no records at all"
mended
mkdir "$TEST_TMP/precious" && echo precious >"$TEST_TMP/precious/file.json"
mv "$LBD_STATE/configs" "$LBD_STATE/configs.old" && ln -s "$TEST_TMP/precious" "$LBD_STATE/configs"
survives "a link in the place of a directory" "set aside configs as .*not a directory"
api PATCH /v1/services/web/backends/b1 '{"weight": 77}' >/dev/null
is "what it leads to is not touched" "$(ls -A "$TEST_TMP/precious")" "file.json"
mended
echo 'weir-stale 1' >"$LBD_STATE/format"
survives "a damaged format" "set aside format"
mended
rm -r "$LBD_STATE"
survives "no state at all, and the tables whole"
mended
lbd_once --detach >/dev/null 2>&1
rm "$newest" "$config"
survives "a record and a configuration gone, and no tables"
mended
rm -r "$LBD_STATE/generations" "$LBD_STATE/copy" && echo 'weir-state 2' >"$LBD_STATE/format"
refuse "another format is refused" "another version of lbd" lbd_once
mkdir "$TEST_TMP/foreign" && echo precious >"$TEST_TMP/foreign/file"
refuse "somebody else's directory is refused" "is not a Weir state directory" lbd_once --state-dir "$TEST_TMP/foreign"
is "and not touched" "$(ls -A "$TEST_TMP/foreign")" "file"
rm -rf "$LBD_STATE" && cp -a "$TEST_TMP/good" "$LBD_STATE"
# A disk that is full from the start on, and a configuration file that has changed.
mkdir "$TEST_TMP/full" && mount -t tmpfs -o size=512k tmpfs "$TEST_TMP/full" && defer umount "$TEST_TMP/full"
cp -a "$TEST_TMP/good/." "$TEST_TMP/full"
cat /dev/zero >"$TEST_TMP/full/ballast" 2>/dev/null
LBD_STATE=$TEST_TMP/full
LBD_ARGUMENTS=(-c "$LBD_CONFIG" --bpffs "$LBD_BPFFS" --state-dir "$LBD_STATE" --socket "$LBD_SOCKET")
lbd_config '.services[0].idle_timeout_s = 78' >"$LBD_CONFIG"
act "it starts with a full disk" lbd_start
is "and knows what was acknowledged" "$(weight b3), $(weight b2)" "100 drain, 19 active"
check "and tells" tells "No space left on device"
is "a change is refused: it could not be kept" "$(api_status PATCH /v1/services/web/backends/b1 '{"weight": 3}')" 507
rm "$LBD_STATE/ballast"
is "once there is room it is taken" "$(api_status PATCH /v1/services/web/backends/b1 '{"weight": 3}')" 200
lbd_stop TERM || not_ok "it stops in order"
LBD_STATE=$TEST_TMP/state
LBD_ARGUMENTS=(-c "$LBD_CONFIG" --bpffs "$LBD_BPFFS" --state-dir "$LBD_STATE" --socket "$LBD_SOCKET")
lbd_config >"$LBD_CONFIG"
act "the good copy starts" lbd_start
rm -f "$LBD_STATE"/configs/*.json
check "a stored configuration that is gone while lbd runs: what runs is told" answers GET /v1/config '.services | length > 0'
check "and changes go on" answers PATCH /v1/services/web/backends/b1 '.applied' '{"weight": 41}'
lbd_stop TERM || not_ok "it stops in order"
lbd_start || not_ok "it starts again from what was stored instead"
is "with that change" "$(weight b1)" "41 active"
answers PATCH /v1/services/web/backends/b1 '.applied' '{"weight": 42}' || not_ok "another change"
for file in "$LBD_STATE"/configs/*.json; do
	printf X | dd of="$file" bs=1 seek=20 conv=notrunc status=none
done
check "one that is damaged while lbd runs is made whole by a change" answers PATCH /v1/services/web/backends/b1 \
	'.applied' '{"weight": 43}'
lbd_stop KILL
lbd_start || not_ok "it starts again from what was stored"
is "with that change as well" "$(weight b1)" "43 active"
lbd_stop TERM || not_ok "it stops in order"

# --- maps that are not ours -------------------------------------------------------------------------------------

# The layout word of lb_control: bytes 132 to 135.
bump_layout()
{
	local value
	# shellcheck disable=SC2207
	value=($(bpftool -j map lookup pinned "$LBD_BPFFS/lb_control" key 0 0 0 0 | jq -r '.value[]'))
	value[132]=$1
	bpftool map update pinned "$LBD_BPFFS/lb_control" key 0 0 0 0 value "${value[@]}"
}
layout=$(bpftool -j map lookup pinned "$LBD_BPFFS/lb_control" key 0 0 0 0 | jq -r '.value[132]')
bump_layout 0x63
refuse "maps of another layout are refused, with what to do" "layout 99.*lbd --detach" lbd_once
check "packets keep flowing through them" fetch
bump_layout "$layout"
mv "$LBD_BPFFS/lb_rings" "$LBD_BPFFS/other"
bpftool map create "$LBD_BPFFS/lb_rings" type array key 4 value 64 entries 4 name lb_rings
refuse "a map of another shape is refused" "the pinned map lb_rings.*lbd --detach" lbd_once
rm "$LBD_BPFFS/lb_rings"
refuse "a missing map is refused" "Failed to open the pinned map .*lb_rings.*lbd --detach" lbd_once
mv "$LBD_BPFFS/other" "$LBD_BPFFS/lb_rings"
act "with all maps back it adopts them" lbd_start
check "packets flow" fetch

# --- purge -------------------------------------------------------------------------------------------------------

others=$TEST_TMP/others
mkdir "$others" "$others/configs"
echo kept | tee "$others/file" >"$others/configs/file"
mkdir "$TEST_TMP/outside"
touch "$TEST_TMP/outside/kept"
ln -s "$LBD_STATE" "$TEST_TMP/link"
purge()
{
	lbd_once --purge "$@"
}
refuse "--purge keeps off a running agent" "another lbd \(pid $lbd_pid\)" purge
refuse "and off its packet path, whatever the state directory" "another lbd \(pid $lbd_pid\)" purge --state-dir "$TEST_TMP/none"
check "nothing was taken away" fetch
lbd_stop TERM || not_ok "it stops in order"
refuse "--purge keeps off a directory that is not ours" "$others is not a Weir state directory" purge --state-dir "$others"
is "all that is in it stays" "$(cat "$others/file" "$others/configs/file")" "kept
kept"
refuse "it follows no link" "$TEST_TMP/link is a link" purge --state-dir "$TEST_TMP/link"
check "the state stays" test -e "$LBD_STATE/format"
check "and packets flow" fetch
(exec 9<"$LBD_STATE" && flock 9 && exec sleep 600) &
holder=$!
wait_for 5 eval '! flock -n "$LBD_STATE" true'
refuse "it keeps off a state directory that is in use" "uses the state directory $LBD_STATE" purge
check "and packets flow on" fetch
kill "$holder"
wait "$holder" 2>/dev/null
ln -s "$TEST_TMP/outside" "$LBD_STATE/aside-9"
check "--purge ends well" purge
check "nothing of the state directory is left" test ! -e "$LBD_STATE"
check "nor of the packet path" test ! -e "$LBD_BPFFS"
check "what a link in it led to stays" test -e "$TEST_TMP/outside/kept"
check "--purge can be repeated" purge
rm "$others/file"
check "of what is no more than a first start's beginnings" purge --state-dir "$others"
check "only that goes" test -e "$others/configs/file"

done_testing
