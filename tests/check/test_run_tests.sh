#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The runner itself: a tree of its own with suites that pass, fail, skip, crash, hang, lie and leak, and what
# scripts/run-tests.sh makes of each.
set -u
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
tree=$(mktemp -d /tmp/run-tests.XXXXXX)
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree/scripts" "$tree/tests/a" "$tree/tests/e2e"
cp "$root/scripts/run-tests.sh" "$root/scripts/kernel-log.sh" "$tree/scripts/"
n=0
failed=0

# expect NAME WANTED-LAST-LINE WANTED-STATUS WANTED-PATTERN: runs the suites of the tree.
expect()
{
	local output status last
	output=$("$tree/scripts/run-tests.sh" 2>&1)
	status=$?
	last=${output##*$'\n'}
	n=$((n + 1))
	if [[ $last == "$2" && $status == "$3" ]] && grep -qE -- "$4" <<<"$output"; then
		echo "ok $n - $1"
	else
		failed=$((failed + 1))
		echo "not ok $n - $1"
		printf '# wanted: %s, status %s, and a line like: %s\n# got status %s and:\n' "$2" "$3" "$4" "$status"
		echo "# ${output//$'\n'/$'\n'# }"
	fi
	rm -f "$tree"/tests/*/test_*
}

# script NAME: the suite, on standard input.
script()
{
	cat >"$tree/tests/$1"
}

export ONLY='^(a|e2e)-'

script a/test_good.sh <<<'echo "ok 1 - x"; echo "ok 2 - y"; echo 1..2'
script e2e/test_good.sh <<<'echo "ok 1 - z"; echo 1..1'
expect "tests of several suites are counted" "3 passed, 0 failed, 0 skipped" 0 '^ok +e2e-good +1 passed'

# Each waits for the other at a FIFO.
mkfifo "$tree/both"
script e2e/test_one.sh <<<"# beside: labs"$'\n'"timeout 10 bash -c 'echo >$tree/both' && echo 'ok 1 - met'"
script e2e/test_two.sh <<<"# beside: labs"$'\n'"timeout 10 bash -c 'read -r <$tree/both' && echo 'ok 1 - met'"
JOBS=2 expect "labs run two at a time where they say so" "2 passed, 0 failed, 0 skipped" 0 '^ok +e2e-two +1 passed'

# Each wants the folder for itself.
for name in one two; do
	script e2e/test_$name.sh <<<"mkdir $tree/own && sleep 0.2 && rmdir $tree/own && echo 'ok 1 - alone'"
done
JOBS=2 expect "and else one after the other" "2 passed, 0 failed, 0 skipped" 0 '^ok +e2e-two +1 passed'

script a/test_bad.sh <<<'echo "ok 1 - x"; echo "not ok 2 - y"; echo "# because"; echo "ok 3 - z"; exit 1'
expect "a failed test is shown with its diagnostics" "2 passed, 1 failed, 0 skipped" 1 '^    # because$'

script a/test_skip.sh <<<'echo "ok 1 - x # SKIP no such device"; echo "# no clock"; echo "not ok 2 # SKIP y"'
expect "skips are counted and say why" "0 passed, 0 failed, 2 skipped" 0 '^skipped a-skip: # SKIP y: no clock$'

script a/test_crash.sh <<<'echo "ok 1 - x"; kill -SEGV $$'
expect "a crash is a failure" "1 passed, 1 failed, 0 skipped" 1 'was killed by signal 11'

script a/test_hang.sh <<<$'# timeout: 1\necho "ok 1 - x"; sleep 60'
expect "a suite that hangs is ended, a failure" "1 passed, 1 failed, 0 skipped" 1 'did not end within 1 s'

script a/test_silent.sh <<<'exit 0'
expect "a suite without a test is a failure" "0 passed, 1 failed, 0 skipped" 1 'printed no test'

script a/test_early.sh <<<'echo 1..3; echo "ok 1 - x"; exit 0'
expect "a suite that runs less than it planned is a failure" "1 passed, 1 failed, 0 skipped" 1 'planned 3 tests and ran 1'

script a/test_leak.sh <<<'echo "ok 1 - x"; echo "==7==ERROR: LeakSanitizer: detected memory leaks"; exit 23'
expect "what a sanitizer finds is a failure" "1 passed, 1 failed, 0 skipped" 1 'a sanitizer has found something'

script a/test_status.sh <<<'echo "ok 1 - x"; exit 3'
expect "a status that no test explains is a failure" "1 passed, 1 failed, 0 skipped" 1 'ended with status 3'

script a/test_liar.sh <<<'echo "not ok 1 - x"; exit 0'
expect "status 0 with a failed test is one failure more" "0 passed, 2 failed, 0 skipped" 1 'status 0 though'

script a/test_missing.c <<<'int main(void);'
expect "a program that was not built is a failure" "0 passed, 1 failed, 0 skipped" 1 'was it built'

echo "1..$n"
exit $((failed > 0))
