#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Inside the emulated kernel: runs the suites, two at a time. Prints each one's tests when it is over, as TAP without
# numbers and with the suite's name, and "done" as its last line. What a suite printed is in /out/SUITE.log.
# ONLY=REGEX in the environment chooses among suites.

set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1

[[ -n ${WEIR_VM:-} ]] || {
	echo "guest.sh: this runs inside scripts/vm.sh" >&2
	exit 2
}
export CMOCKA_MESSAGE_OUTPUT=TAP

# The tests of a log, with their diagnostics where they failed. report NAME LOG STATUS SECONDS
report()
{
	local name=$1 log=$2 status=$3 seconds=$4 tests failed
	awk -v name="$name" '
		# as cmocka says that it skipped
		/^not ok [0-9]+ # SKIP/ {
			sub(/^.*# SKIP */, "")
			print "ok - " name ": " $0 " # SKIP not here"
			next
		}
		/^(not )?ok [0-9]+/ {
			shown = /^not/ && !/# *SKIP/
			sub(/ok [0-9]+( - )?/, "ok - " name ": ")
			print
			next
		}
		/^1\.\./ { next }
		shown { sub(/^# ?/, ""); print "#   " $0 }' "$log"
	tests=$(grep -cE '^(not )?ok [0-9]+' "$log")
	failed=$(grep -E '^not ok [0-9]+' "$log" | grep -cvE '# *SKIP')
	if ((tests == 0 || (status != 0 && failed == 0))); then
		echo "not ok - $name: runs to its end"
		echo "#   status $status; the end of what it said:"
		tail -n 20 "$log" | sed 's/^/#   | /'
	fi
	echo "# $name: $seconds s"
}

run()
{
	local name=$1 seconds=$2 log=/out/$1.log status=0 start=$SECONDS
	shift 2
	timeout -k 10 "$seconds" "$@" >"$log" 2>&1 </dev/null || status=$?
	report "$name" "$log" "$status" $((SECONDS - start)) >"/out/.$name"
	flock /run/report cat "/out/.$name"
}

# suite NAME SECONDS COMMAND...
suite()
{
	[[ $1 =~ ${ONLY:-.} ]] || return 0
	(($(jobs -rp | wc -l) < 2)) || wait -n
	run "$@" &
}

echo "# $(uname -r)"
suite verifier 400 build/tests/vm/verify build/bpf/lb_*.bpf.o
for script in tests/vm/story_*.sh; do
	name=${script##*/story_}
	suite "story-${name%.sh}" 600 bash "$script"
done
# That every packet is explained and captured alike is shown on the machine itself; here, where verifying a program takes
# seconds, only by the suites about that.
whole=" explain observe "
for source in tests/bpf/test_*.c; do
	name=$(basename "$source" .c)
	name=${name#test_}
	plain=(RIG_PLAIN=1)
	[[ $whole != *" $name "* ]] || plain=()
	suite "bpf-$name" 200 env "${plain[@]}" "build/tests/vm/test_$name"
done
wait
echo "done"
