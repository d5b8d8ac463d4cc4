#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Runs all tests of the tree and counts them. The programs must have been built (make check does both).
#
#   ONLY=REGEX scripts/run-tests.sh     only suites whose name matches (extended regular expression)
#   JOBS=N                              how many of the suites that may share the machine run at once
#
# A suite is a program that prints TAP: tests/DIR/test_NAME.c (built to build/tests/DIR/test_NAME), .py or .sh, and
# the few named below. It is called DIR-NAME; its output goes to build/check/DIR-NAME.log. Tests of whole machines (e2e, hosts) run after
# all others: first, two at a time, those that say so by a line "# beside: labs" (their lab is all they touch, and they
# measure no time), then the rest, one after the other. A script may ask for its own time limit with a line "# timeout: SECONDS".
#
# At the end the kernel's log is read (kernel-log.sh): a warning, bug or leak that came up meanwhile is a failure too.
#
# One line per suite; what failed is shown with its diagnostics. The last line is "N passed, N failed, N skipped". A
# suite that crashes, outruns its time, prints no test or fewer than it planned counts as one failure more.

set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

logs=build/check
jobs=${JOBS:-$(nproc)}
only=${ONLY:-.}
suites=() # name, seconds, shared or labs or alone, command...; tab-separated

export CMOCKA_MESSAGE_OUTPUT=TAP
export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0:${ASAN_OPTIONS:-}
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1:${UBSAN_OPTIONS:-}
export PYTHONDONTWRITEBYTECODE=1

# --- which suites there are -----------------------------------------------------------------------------------

# suite NAME SECONDS shared|labs|alone COMMAND...
suite()
{
	[[ $1 =~ $only ]] || return 0
	suites+=("$(printf '%s\t' "$@")")
}

# The time limit that a script asks for, or the one given. time_limit FILE SECONDS
time_limit()
{
	local asked
	asked=$(sed -n 's/^# timeout: \([0-9]\+\)$/\1/p' "$1" | head -n 1)
	echo "${asked:-$2}"
}

# Whether a test of whole machines may run beside another: labs or alone. mode_of FILE
mode_of()
{
	grep -qx '# beside: labs' "$1" && echo labs || echo alone
}

find_suites()
{
	local file directory name
	suite static-checks 600 shared scripts/static-checks.sh
	for file in tests/*/test_*.{c,py,sh}; do
		[[ -e $file ]] || continue
		directory=$(basename "$(dirname "$file")")
		name=$(basename "${file%.*}")
		name=$directory-${name#test_}
		case $file in
		*.c) suite "$name" 120 shared "build/tests/$directory/$(basename "$file" .c)" ;;
		*.py) suite "$name" "$(time_limit "$file" 240)" shared python3 "$file" ;;
		tests/e2e/* | tests/hosts/*) suite "$name" "$(time_limit "$file" 240)" "$(mode_of "$file")" bash "$file" ;;
		*) suite "$name" "$(time_limit "$file" 240)" shared bash "$file" ;;
		esac
	done
	for file in tests/fuzz/fuzz_*.c; do
		[[ -e $file ]] || continue
		name=$(basename "$file" .c)
		name=${name#fuzz_}
		suite "fuzz-$name" 240 shared "build/tests/fuzz/replay_$name" "tests/fuzz/corpus/$name"
	done
	suite unit-task_threads 120 shared build/tests/unit/tsan_task
	if [[ -e tests/property/check.sh ]]; then
		suite property 240 shared bash tests/property/check.sh
	fi
}

# --- one suite ------------------------------------------------------------------------------------------------

# Reads a log: prints "passed failed skipped planned", planned being -1 without a plan.
count_log()
{
	awk '
		/^(not )?ok [0-9]+.*# *[Ss][Kk][Ii][Pp]/ { skipped++; next }
		/^ok( |$)/ { passed++; next }
		/^not ok( |$)/ { failed++; next }
		/^1\.\.[0-9]+/ { planned += substr($0, 4) + 0; plans++ }
		END { print passed + 0, failed + 0, skipped + 0, plans ? planned : -1 }' "$1"
}

# What a suite is to be blamed for beyond its failed tests; prints nothing when there is nothing.
# complaint LOG STATUS SECONDS PASSED FAILED SKIPPED PLANNED
complaint()
{
	local log=$1 status=$2 seconds=$3 failed=$5 planned=$7 n=$(($4 + $5 + $6))
	if ((status == 124 || status == 137)); then
		echo "did not end within $seconds s"
	elif ((status > 128)); then
		echo "was killed by signal $((status - 128))"
	elif grep -qE '^(==[0-9]+==)?ERROR: (Address|Leak|Thread|Memory)Sanitizer|: runtime error: ' "$log"; then
		echo "a sanitizer has found something"
	elif ((n == 0)); then
		echo "printed no test (status $status)"
	elif ((status != 0 && failed == 0)); then
		echo "ended with status $status though no test failed"
	elif ((planned >= 0 && planned != n)); then
		echo "planned $planned tests and ran $n"
	elif ((status == 0 && failed > 0)); then
		echo "ended with status 0 though tests failed"
	fi
}

# The failed tests of a log with their diagnostics, bounded.
show_failures()
{
	awk '
		/^not ok/ && !/# *[Ss][Kk][Ii][Pp]/ { show = 1; print "    " $0; next }
		/^ok|^1\.\./ { show = 0 }
		show && n++ < 200 { print "    " $0 }' "$1" | head -n 120
}

# Runs one suite and reports it; its counts go to NAME.count. run_suite NAME SECONDS MODE COMMAND...
run_suite()
{
	local name=$1 seconds=$2 log=$logs/$1.log start=${EPOCHREALTIME/./} status child passed failed skipped planned why
	shift 3
	timeout -k 20 "$seconds" "$@" >"$log" 2>&1 </dev/null &
	child=$!
	trap 'kill "$child" 2>/dev/null' TERM
	wait "$child"
	status=$?
	if [[ ! -e $1 && ! $(type -P "$1") ]]; then
		echo "$1 is not there: was it built?" >>"$log"
	fi
	read -r passed failed skipped planned < <(count_log "$log")
	why=$(complaint "$log" "$status" "$seconds" "$passed" "$failed" "$skipped" "$planned")
	[[ -z $why ]] || failed=$((failed + 1))
	echo "$passed $failed $skipped" >"$logs/$name.count"
	report "$name" "$passed" "$failed" "$skipped" $((${EPOCHREALTIME/./} - start)) "$log" "$why" >"$logs/$name.report"
	flock "$logs/.lock" cat "$logs/$name.report"
	rm -f "$logs/$name.report"
}

# report NAME PASSED FAILED SKIPPED MICROSECONDS LOG WHY
report()
{
	local word=ok counts="$2 passed"
	(($3 == 0)) || word=FAILED counts+=", $3 failed"
	(($4 == 0)) || counts+=", $4 skipped"
	printf '%-6s  %-34s  %-34s  %6.1f s\n' "$word" "$1" "$counts" "$((${5} / 100000))e-1"
	(($3 == 0)) && return
	show_failures "$6"
	if [[ -n $7 ]]; then
		echo "    $1 $7; the end of $6:"
		tail -n 40 "$6" | sed 's/^/    | /'
	fi
}

# --- all of them ----------------------------------------------------------------------------------------------

pids=()
stop()
{
	trap '' INT TERM
	((${#pids[@]} == 0)) || kill "${pids[@]}" 2>/dev/null
	wait
	echo "interrupted"
	exit 130
}

# run_all MODE JOBS
run_all()
{
	local entry running=0 fields
	pids=()
	for entry in "${suites[@]}"; do
		IFS=$'\t' read -r -a fields <<<"$entry"
		[[ ${fields[2]} == "$1" ]] || continue
		if ((running >= $2)); then
			wait -n
			running=$((running - 1))
		fi
		run_suite "${fields[@]}" &
		pids+=($!)
		running=$((running + 1))
	done
	wait
}

# Why tests were skipped: the text of their line, or the comment before it where the line has none.
show_skipped()
{
	awk '
		FNR == 1 { comment = ""; suite = FILENAME; sub(/.*\//, "", suite); sub(/\.log$/, "", suite) }
		/^# / { comment = substr($0, 3) }
		/^(not )?ok [0-9]+.*# *[Ss][Kk][Ii][Pp]/ {
			line = $0
			sub(/^(not )?ok [0-9]+ *(- )?/, "", line)
			if (line ~ /^# *[Ss][Kk][Ii][Pp]/)
				line = line (comment == "" ? "" : ": " comment)
			print "skipped " suite ": " line
		}
		/^(not )?ok/ { comment = "" }' "$@"
}

mkdir -p "$logs"
rm -f "$logs"/*.log "$logs"/*.count "$logs"/*.report
find_suites
if ((${#suites[@]} == 0)); then
	echo "no suite is called like ONLY=$only" >&2
	exit 2
fi
# What the kernel has logged since the mark counts as a suite of one test.
judge_kernel()
{
	local log=$logs/kernel-log.log status=0
	scripts/kernel-log.sh check "$1" >"$log" || status=$?
	case $status in
	0) echo "ok 1 - the kernel has nothing to complain of" >>"$log" ;;
	75) echo "ok 1 - the kernel has nothing to complain of # SKIP its log cannot be read" >>"$log" ;;
	*)
		sed -i 's/^/# /' "$log"
		sed -i '1i not ok 1 - the kernel has nothing to complain of' "$log"
		;;
	esac
	echo "$((status == 0)) $((status != 0 && status != 75)) $((status == 75))" >"$logs/kernel-log.count"
	report kernel-log "$((status == 0))" "$((status != 0 && status != 75))" "$((status == 75))" 0 "$log" ""
}

trap stop INT TERM
mark=$(scripts/kernel-log.sh mark)
run_all shared "$jobs"
run_all labs "$((jobs < 2 ? jobs : 2))"
run_all alone 1
[[ -n ${ONLY:-} ]] || judge_kernel "$mark"
show_skipped "$logs"/*.log
awk '{ p += $1; f += $2; s += $3 } END { printf "%d passed, %d failed, %d skipped\n", p, f, s; exit f > 0 }' "$logs"/*.count
