#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# tests/vm/check.sh with an emulator that is none: what dies by the emulator's own fault is run once more, what dies
# otherwise, or again, is a failure.
set -u
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
tree=$(mktemp -d /tmp/check-vm.XXXXXX)
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree/scripts" "$tree/tests/vm"
cp "$root/tests/vm/check.sh" "$tree/tests/vm/"
n=0
failed=0

# The emulator: its first run dies with the line in ./dies, which it then forgets if ./once is there.
cat >"$tree/scripts/vm.sh" <<'VM'
#!/bin/bash
cd "$(dirname "$0")/.." || exit 1
out=$5
echo "ok - bpf: one"
if [[ -e dies ]]; then
	cp dies "$out/console.log"
	[[ ! -e once ]] || rm dies
	exit 90
fi
echo "ok - bpf: two"
echo done
VM
chmod +x "$tree/scripts/vm.sh"

# expect NAME LAST-LINE STATUS
expect()
{
	local output status last
	output=$(KERNELS=6.1 "$tree/tests/vm/check.sh" 2>&1)
	status=$?
	last=${output##*$'\n'}
	n=$((n + 1))
	if [[ $last == "$2" && $status == "$3" ]]; then
		echo "ok $n - $1"
	else
		failed=$((failed + 1))
		echo "not ok $n - $1"
		echo "# ${output//$'\n'/$'\n'# }"
	fi
}

expect "a kernel that lives is tested once" "2 passed, 0 failed, 0 skipped" 0
touch "$tree/once"
echo "[   99.1] Oops: int3: 0000 [#1] PREEMPT SMP NOPTI" >"$tree/dies"
expect "one that dies by the emulator's fault is tested once more" "2 passed, 0 failed, 0 skipped" 0
rm "$tree/once"
echo "[   99.1] Oops: int3: 0000 [#1] PREEMPT SMP NOPTI" >"$tree/dies"
expect "if it dies so again, it has failed" "1 passed, 1 failed, 0 skipped" 1
echo "[   99.1] Oops: 0002 [#1] PREEMPT SMP NOPTI" >"$tree/dies"
touch "$tree/once"
expect "one that dies otherwise has failed at once" "1 passed, 1 failed, 0 skipped" 1
echo "1..$n"
exit $((failed > 0))
