#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The demo keeps its word: it shows what it says, its last line is true, it can be repeated, and it leaves nothing
# behind, also when it is interrupted, killed, or its output goes away.
# timeout: 400
# beside: labs

# shellcheck disable=SC2317 # functions that check calls
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

export DEMO_PREFIX=$LAB_PREFIX
out=$TEST_TMP/demo

# In a session of its own, with signals as a terminal's shell would leave them.
demo_start()
{
	/usr/bin/python3 -I -c '
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.setsid()
os.execv(sys.argv[1], sys.argv[1:])' "$TEST_ROOT/scripts/demo.sh" >"$out" 2>&1 &
	demo=$!
	test_pids+=("$demo")
}

says()
{
	grep -qE -- "$1" "$out"
}

nothing_left()
{
	[[ ! -e $LAB_ROOT/$LAB_PREFIX ]] && ! ip netns list | grep -q "^$LAB_PREFIX-"
}

session_over()
{
	! pgrep -s "$demo"
}

# The demo ends at this point of its play, by this signal, which goes to the whole session as Ctrl-C does, or to the
# script alone. interrupted TEXT SIGNAL TARGET STATUS
interrupted()
{
	demo_start
	wait_for 60 says "$1" || diag <"$out"
	kill "-$2" -- "$3$demo"
	finish "$demo" 60
	is "ends with $4" $? "$4"
	check "nothing is left" nothing_left
	check "no process of its session is left" wait_for 5 session_over
}

diag "Ctrl-C while the lab comes up"
interrupted 'The lab:' INT - 130
diag "killed while traffic flows"
interrupted 'new connections since' TERM '' 143
diag "the terminal closes"
interrupted 'Requests per backend' HUP - 129

demo_start
wait_for 150 process_gone "$demo"
finish "$demo" 5
is "the whole demo ends with 0" $? 0
check "the last line is right" grep -qxE \
	'demo: [0-9]{3,} requests over 3 backends, 0 failed, 3 downloads intact of 3' <(tail -n 1 "$out")
check "it takes less than 90 s" test "$(sed -n 's/^after \([0-9]*\) s$/\1/p' "$out")" -lt 90
check "it shows native XDP" says 'XDP native'
check "it shows requests per backend" says '^  b3 +[0-9]+ +[0-9]+ +25\.'
check "it kills the agent" says 'kill -9 of lbd'
check "no new connection goes to what is drained" says 'new connections since: b1 [1-9][0-9]*, b2 0, b3 0, failed 0'
check "nothing is left after the whole demo" nothing_left
[[ $test_failed == 0 ]] || diag <"$out"

done_testing
