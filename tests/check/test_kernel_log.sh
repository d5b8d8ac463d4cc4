#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What scripts/kernel-log.sh finds in a kernel's log, and what it leaves alone; and that make check fails by it.
set -u
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
n=0
failed=0

result()
{
	n=$((n + 1))
	if (($1)); then
		echo "ok $n - $2"
	else
		failed=$((failed + 1))
		echo "not ok $n - $2"
	fi
}

# finds LINE, leaves LINE
finds()
{
	! "$root/scripts/kernel-log.sh" filter <<<"[   12.345678] $1" >/dev/null
	result $((!$?)) "it finds: $1"
}

leaves()
{
	"$root/scripts/kernel-log.sh" filter <<<"[   12.345678] $1" >/dev/null
	result $((!$?)) "it leaves alone: $1"
}

finds "WARNING: CPU: 1 PID: 77 at net/core/page_pool.c:1021 page_pool_put_unrefed_netmem+0x1/0x2"
finds "BUG: unable to handle page fault for address: ffffc90000a40000"
finds "Oops: int3: 0000 [#1] PREEMPT SMP NOPTI"
finds "Oops: general protection fault, probably for non-canonical address 0xdead000000000122"
finds "page_pool_release_retry() stalled pool shutdown: id 499, 2 inflight 241 sec"
finds "unregister_netdevice: waiting for eth0 to become free. Usage count = 2"
finds "refcount_t: underflow; use-after-free."
finds "INFO: task lbd:123 blocked for more than 120 seconds."
finds "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:"
leaves "br0: port 5(b3) entered forwarding state"
leaves "traps: some_program[26081] general protection fault ip:7f8b3e043c40 sp:7fff5af100f0 error:0 in libc.so.6"
leaves "eth0: renamed from veth1"

# A run of its own, in which the kernel complains: a line in its log is all that takes.
if [[ $EUID -eq 0 && -w /dev/kmsg ]]; then
	tree=$(mktemp -d /tmp/kernel-log.XXXXXX)
	trap 'rm -rf "$tree"' EXIT
	mkdir -p "$tree/scripts" "$tree/tests/a"
	cp "$root/scripts/run-tests.sh" "$tree/scripts/"
	# shellcheck disable=SC2016 # for the inner shell
	# Not in the machine's own log, which the run around this one reads.
	printf '#!/bin/bash\n[[ $1 == mark ]] && echo m && exit\necho "WARNING: CPU: 1 PID: 77 at x.c:1"\nexit 1\n' \
		>"$tree/scripts/kernel-log.sh"
	chmod +x "$tree/scripts/kernel-log.sh"
	printf '#!/bin/bash\necho "ok 1 - static"\n' >"$tree/scripts/static-checks.sh"
	chmod +x "$tree/scripts/static-checks.sh"
	output=$(ONLY='' "$tree/scripts/run-tests.sh" 2>&1)
	status=$?
	[[ $status == 1 && $output == *"FAILED  kernel-log"* && $output == *"WARNING: CPU: 1 PID: 77"* ]]
	result $((!$?)) "a warning fails the run"
	mark=$("$root/scripts/kernel-log.sh" mark)
	dmesg | grep -qF "$mark"
	result $((!$?)) "the mark is in the kernel's log"
fi
echo "1..$n"
exit $((failed > 0))
