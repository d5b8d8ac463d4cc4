# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What the end-to-end tests share. A test is a script that sources this file, raises a lab (scripts/lab.sh), tells
# its story in ok and not ok lines, and calls done_testing at its end:
#
#   . "$(dirname "$0")/lib.sh"
#   lab_start --arm one --backends 3
#   check "the client reaches the first backend" in_ns client curl -sf http://10.77.0.11/
#   done_testing
#
# Whatever happens, the lab and all that was started goes at the end. Names are unique: tests may run at once.

set -u

TEST_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=scripts/lab.sh
. "$TEST_ROOT/scripts/lab.sh"

TEST_NAME=$(basename "$0" .sh)
LAB_PREFIX=${LAB_PREFIX:-t$$}
TEST_TMP=$(mktemp -d "/tmp/$TEST_NAME.XXXXXX")
test_count=0
test_failed=0
test_done=no
test_pids=()
test_deferred=()

# --- results ---------------------------------------------------------------------------------------------------

# Diagnostics: the arguments, or standard input.
diag()
{
	if (($#)); then
		printf '%s\n' "$@" | sed 's/^/# /'
	else
		sed 's/^/# /'
	fi
}

ok()
{
	test_count=$((test_count + 1))
	echo "ok $test_count - $1"
}

# not_ok NAME [DIAGNOSTIC...]
not_ok()
{
	test_count=$((test_count + 1))
	test_failed=$((test_failed + 1))
	echo "not ok $test_count - $1"
	shift
	(($# == 0)) || diag "$@"
}

# skip NAME REASON
skip()
{
	test_count=$((test_count + 1))
	echo "ok $test_count - $1 # SKIP $2"
}

# check NAME COMMAND...: ok if the command succeeds; what it says is shown if not.
check()
{
	local name=$1 output
	shift
	if output=$("$@" 2>&1); then
		ok "$name"
	else
		not_ok "$name" "exit status $? of: $*" "$output"
	fi
}

# refuse NAME PATTERN COMMAND...: ok if the command fails and says something that matches the pattern (ERE).
refuse()
{
	local name=$1 pattern=$2 output
	shift 2
	if output=$("$@" 2>&1); then
		not_ok "$name" "succeeded: $*" "$output"
	elif grep -qE -- "$pattern" <<<"$output"; then
		ok "$name"
	else
		not_ok "$name" "does not say \"$pattern\": $*" "$output"
	fi
}

# is NAME GOT WANTED
is()
{
	if [[ $2 == "$3" ]]; then
		ok "$1"
	else
		not_ok "$1" "got:" "$2" "wanted:" "$3"
	fi
}

# Takes over the lines of another TAP writer on standard input, numbering them on.
tap_merge()
{
	local line
	while IFS= read -r line; do
		case $line in
		"ok "*)
			test_count=$((test_count + 1))
			echo "ok $test_count - ${line#*- }"
			;;
		"not ok "*)
			test_count=$((test_count + 1))
			test_failed=$((test_failed + 1))
			echo "not ok $test_count - ${line#*- }"
			;;
		1..*) ;;
		"#"*) echo "$line" ;;
		*) echo "# $line" ;;
		esac
	done
}

# --- running ---------------------------------------------------------------------------------------------------

# wait_for SECONDS COMMAND...: until the command succeeds; fails after so many seconds.
wait_for()
{
	local end=$((${EPOCHREALTIME/./} + ${1%.*} * 1000000))
	shift
	until "$@" >/dev/null 2>&1; do
		((${EPOCHREALTIME/./} < end)) || return 1
		sleep 0.02
	done
}

# spawn HOST COMMAND...: in the background, in the lab's namespace of this host; killed at the end. Its pid is in
# $spawned, the name of the file that its output goes to in $spawned_output.
spawn()
{
	local host=$1
	shift
	spawned_output=$TEST_TMP/spawn.${#test_pids[@]}
	: >"$spawned_output"
	nsenter --net="/run/netns/$LAB_PREFIX-$host" -- "$@" >>"$spawned_output" 2>&1 &
	spawned=$!
	test_pids+=("$spawned")
}

# finish PID [SECONDS]: waits for a spawned process to end by itself, and returns its exit status.
finish()
{
	local pid=$1
	wait_for "${2:-10}" process_gone "$pid" || {
		kill "$pid" 2>/dev/null
		return 124
	}
	wait "$pid"
}

process_gone()
{
	[[ ! -e /proc/$1 || $(sed 's/.*) //; s/ .*//' "/proc/$1/stat" 2>/dev/null) == Z ]]
}

# Is a TCP port open in the host's namespace? listening HOST PORT
listening()
{
	[[ -n $(in_ns "$1" ss -Htln "sport = :$2") ]]
}

# defer COMMAND...: at the end, last one first.
defer()
{
	test_deferred+=("$(printf '%q ' "$@")")
}

# Raises the lab of this test; arguments as for lab.sh up. Ends the test if that does not work.
lab_start()
{
	local output
	# shellcheck disable=SC2034 # for the tests
	LAB_DIR=$LAB_ROOT/$LAB_PREFIX
	output=$(lab_up "$@" 2>&1) || {
		not_ok "the lab comes up" "$output"
		exit 1
	}
}

lab_stop()
{
	lab_down
}

done_testing()
{
	test_done=yes
	echo "1..$test_count"
	exit $((test_failed > 0))
}

test_cleanup()
{
	local code=$? i
	trap - EXIT
	trap '' INT TERM
	if [[ $test_done == no ]]; then
		not_ok "$TEST_NAME runs to its end" "ended with status $code"
		code=1
	fi
	for ((i = ${#test_deferred[@]} - 1; i >= 0; i--)); do
		eval "${test_deferred[i]}"
	done
	((${#test_pids[@]} == 0)) || kill "${test_pids[@]}" 2>/dev/null
	if [[ -n ${KEEP:-} ]]; then
		diag "kept: lab $LAB_PREFIX, $TEST_TMP (scripts/lab.sh down --prefix $LAB_PREFIX)"
	else
		lab_down
		rm -rf "$TEST_TMP"
	fi
	exit "$code"
}

trap test_cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if [[ $EUID -ne 0 ]]; then
	skip "$TEST_NAME" "needs root"
	done_testing
fi
