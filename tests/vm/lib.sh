# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What the stories under an emulated kernel share, on top of the libraries of tests/e2e. Waits are long here: an
# emulated processor is slow, and a busy machine makes it slower.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../e2e/lib.sh"
# shellcheck source=tests/e2e/lbd-lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../e2e/lbd-lib.sh"

LBCTL=$LAB_BUILD/lbctl
# shellcheck disable=SC2034 # for the stories
VM_TOOLS=$LAB_BUILD/tests/vm
PATIENCE=60

if [[ -z ${WEIR_VM:-} ]]; then
	skip "$TEST_NAME" "runs under scripts/vm.sh"
	done_testing
fi

# The agent serves and knows every next hop. More arguments go to lbd.
vm_lbd_start()
{
	spawn lb "$LBD" "${LBD_ARGUMENTS[@]}" "$@"
	lbd_pid=$spawned lbd_log=$spawned_output
	wait_for $PATIENCE vm_lbd_ready
	if process_gone "$lbd_pid" || ! vm_lbd_ready; then
		cat "$lbd_log"
		return 1
	fi
}

vm_lbd_ready()
{
	process_gone "$lbd_pid" || { lbd_serves && lbd_resolved; }
}

vm_lbd_stop()
{
	kill "-${1:-TERM}" "$lbd_pid"
	wait_for $PATIENCE process_gone "$lbd_pid" || return 1
	{ wait "$lbd_pid"; } 2>/dev/null || true
}

vm_lbctl()
{
	in_ns lb "$LBCTL" --socket "$LBD_SOCKET" --timeout $PATIENCE "$@"
}

# So many requests, each a connection of its own; prints the names of the backends that answered. ask VIP N
ask()
{
	in_ns client curl -sSf --max-time $PATIENCE -H 'Connection: close' "http://$1/?[1-$2]"
}

# Every one of so many requests is answered, and every backend has answered some. reaches VIP BACKENDS [REQUESTS]
reaches()
{
	local answers
	answers=$(ask "$1" "${3:-24}") || return 1
	sort <<<"$answers" | uniq -c
	(($(wc -l <<<"$answers") == ${3:-24} && $(sort -u <<<"$answers" | wc -l) == $2))
}

# A file comes through whole: download_intact VIP. The file is made by vm_files.
download_intact()
{
	local sum
	sum=$(in_ns client curl -gsSf --max-time $PATIENCE "http://$1/some" | sha256sum)
	[[ ${sum%% *} == "$some_sha256" ]]
}

# And the other way: full packets towards the balancer. upload_intact VIP
upload_intact()
{
	local told
	told=$(in_ns client curl -gsSf --max-time $PATIENCE -H Expect: --data-binary "@$LAB_DIR/www/some" \
		-o /dev/null -w '%{http_code} %{size_upload}' "http://$1/id")
	[[ $told == "200 $some_bytes" ]] || {
		echo "$told"
		return 1
	}
}

# After lab_start: a file of which no two blocks are alike.
vm_files()
{
	some_bytes=600000
	seq 1 200000 | head -c $some_bytes >"$LAB_DIR/www/some"
	some_sha256=$(sha256sum <"$LAB_DIR/www/some")
	some_sha256=${some_sha256%% *}
}

# One client that asks all the time, a connection for each request, until vm_load_stop, which sets $load_answered and
# $load_failed.
vm_load_start()
{
	spawn client stdbuf -oL curl -s --rate 10/s --max-time $PATIENCE -H 'Connection: close' -o /dev/null \
		-w '%{http_code}\n' "http://$LAB_VIP4/?[1-1000000]"
	load_pid=$spawned load_output=$spawned_output
	wait_for $PATIENCE grep -q 200 "$load_output"
}

vm_load_stop()
{
	kill "$load_pid" 2>/dev/null
	wait_for $PATIENCE process_gone "$load_pid"
	{ wait "$load_pid"; } 2>/dev/null
	# shellcheck disable=SC2034 # for the stories
	load_answered=$(grep -cx 200 "$load_output")
	# shellcheck disable=SC2034
	load_failed=$(grep -cvx 200 "$load_output")
}

# So many more requests have been answered since: the load goes on now.
vm_load_goes_on()
{
	local before
	before=$(wc -l <"$load_output")
	wait_for $PATIENCE vm_load_beyond $((before + 10))
}

vm_load_beyond()
{
	(($(wc -l <"$load_output") >= $1))
}

conserved()
{
	answers GET /v1/stats '.totals | .rx == .tx + .redirect + .pass + .drop'
}

# Packets that a network device of a host has received.
received()
{
	in_ns "$1" ip -j -s link show "$2" | jq '.[0].stats64.rx.packets'
}
