#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Runs tests/vm/guest.sh under each kernel (scripts/vm.sh) and counts. Everything must have been built: make check-vm
# does both.
#
#   KERNELS="6.1 6.12"   which
#   ONLY=REGEX           only suites whose name matches, as verifier, story-decap, bpf-forward
#
# Prints TAP, one run of numbers over all kernels; the suites' logs are in build/vm/KERNEL. The last line is "N passed,
# N failed, N skipped". A kernel that does not boot, dies, or outruns its time counts as one failure more.

set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1

read -r -a kernels <<<"${KERNELS:-6.1 6.12}"
seconds_each=1800
passed=0 failed=0 skipped=0 count=0

# Numbers the lines of a guest on, with the kernel's name: take KERNEL, from standard input
take()
{
	local kernel=$1 line
	while IFS= read -r line; do
		case $line in
		"ok "*" # SKIP"*) skipped=$((skipped + 1)) ;;
		"ok "*) passed=$((passed + 1)) ;;
		"not ok "*) failed=$((failed + 1)) ;;
		esac
		case $line in
		"ok "* | "not ok "*)
			count=$((count + 1))
			echo "${line%%ok - *}ok $count - $kernel: ${line#*ok - }"
			;;
		done) finished=yes ;;
		*) echo "# ${line#"# "}" ;;
		esac
	done
}

# A kernel that was not tested to the end. blame KERNEL WHY
blame()
{
	failed=$((failed + 1)) count=$((count + 1))
	echo "not ok $count - $1: runs to its end"
	echo "# $2"
}

# The emulator's own fault: one processor patches a static key while another runs the code (docs/kernels.md).
# emulator_fault CONSOLE
emulator_fault()
{
	grep -qE 'Oops: int3|int3: 0000 \[#1\]' "$1" 2>/dev/null
}

child=
stop()
{
	trap '' INT TERM
	[[ -z $child ]] || kill "$child" 2>/dev/null
	wait
	echo "interrupted"
	exit 130
}
trap stop INT TERM

# One run of a kernel's tests; $finished and $status tell how it ended.
run_once()
{
	local kernel=$1 out=$2 fifo=$2/.tap
	status=0 finished=no
	mkdir -p "$out"
	find "$out" -mindepth 1 -maxdepth 1 -not -type d -delete
	mkfifo "$fifo" || return 1
	scripts/vm.sh run --kernel "$kernel" --out "$out" --timeout "$seconds_each" \
		env ONLY="${ONLY:-}" tests/vm/guest.sh >"$fifo" &
	child=$!
	take "$kernel" <"$fifo"
	wait "$child" || status=$?
	child=
	rm -f "$fifo"
}

run_kernel()
{
	local kernel=$1 out=build/vm/$1 start=$SECONDS before=("$passed" "$failed" "$skipped")
	run_once "$kernel" "$out" || {
		blame "$kernel" "cannot make a FIFO in $out"
		return
	}
	if [[ $finished == no && $failed == "${before[1]}" ]] && emulator_fault "$out/console.log"; then
		cp "$out/console.log" "build/vm/$kernel-emulator-fault.log"
		echo "# $kernel: the emulated kernel died by the emulator's own fault (a static key was patched while another"
		echo "# processor ran it: build/vm/$kernel-emulator-fault.log); its tests are run once more, and only these count"
		passed=${before[0]} skipped=${before[2]}
		run_once "$kernel" "$out"
	fi
	if [[ $finished == no ]]; then
		blame "$kernel" "status $status; see $out/console.log"
	fi
	echo "# $kernel: $((SECONDS - start)) s"
}

for kernel in "${kernels[@]}"; do
	run_kernel "$kernel"
done
echo "1..$count"
echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0 && passed > 0))
