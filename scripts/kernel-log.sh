#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What the kernel says while tests run.
#
#   kernel-log.sh mark            notes in the kernel's log that tests begin; prints the mark
#   kernel-log.sh check MARK      what was logged since and should not be there: warnings, bugs, leaks, stalls; status 1
#                                 if there is any. 75: the log cannot be read
#   kernel-log.sh filter          the same of a log on standard input
#
# A mark that the log has forgotten means that all of it is looked at.

set -u

# The first line of each thing that went wrong; the rest is in dmesg.
filter()
{
	# A program of ours that dies is its own test's to tell.
	grep -v 'traps: ' | grep -E 'WARNING: |BUG: |\bOops\b|general protection fault|kernel BUG at|Bad page state|refcount_t: |KASAN|UBSAN|kmemleak|page_pool_release_retry|stalled pool shutdown|unregister_netdevice: waiting|rcu: INFO: .*(stall|detected)|blocked for more than|soft lockup|hard LOCKUP|list_(add|del) corruption|possible recursive locking|circular locking|suspicious RCU usage|leaked? '
}

case ${1:-} in
mark)
	mark="weir: tests begin, process $$ at $(date +%s)"
	{ echo "<5>$mark" >/dev/kmsg; } 2>/dev/null || exit 75
	echo "$mark"
	;;
check)
	log=$(dmesg 2>/dev/null) || exit 75
	if grep -qF -- "$2" <<<"$log"; then
		log=$(sed -n "/${2//\//\\/}/,\$p" <<<"$log")
	fi
	! filter <<<"$log"
	;;
filter)
	! filter
	;;
*)
	sed -n '3,12s/^# \{0,1\}//p' "$0" >&2
	exit 2
	;;
esac
