#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# lbd.service under a real systemd: a container over an overlay of this host's own root, in the network namespace of the
# lab's balancer. The agent has a user of its own and three capabilities; restarts, kills, upgrades, a bpf file system
# that is not there, bad files, and a loop that hangs: packets flow on.
# beside: labs

# shellcheck disable=SC2317,SC2119,SC2016,SC2034,SC2154 # functions that check calls; default arguments; inner shells; lbd-lib
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/lbd-lib.sh
. "$(dirname "$0")/lbd-lib.sh"

command -v systemd-nspawn >/dev/null || {
	skip "lbd.service" "needs systemd-nspawn (systemd-container)"
	done_testing
}

lab_start --arm one --backends 3
lbd_init
root=$TEST_TMP/root

# --- a host of its own -----------------------------------------------------------------------------------------

host_make()
{
	local unit
	mkdir "$TEST_TMP/layer" "$root" && mount -t tmpfs tmpfs "$TEST_TMP/layer" && defer umount -l "$TEST_TMP/layer" &&
		mkdir "$TEST_TMP/layer/"{upper,work} &&
		mount -t overlay overlay -o "lowerdir=/,upperdir=$TEST_TMP/layer/upper,workdir=$TEST_TMP/layer/work" "$root" &&
		defer umount -l "$root" || return 1
	# No more than what the unit stands on.
	rm -rf "$root/var/lib/weir" "$root/etc/weir" "$root"/etc/systemd/system/*.wants "$root"/etc/systemd/system/lbd.service*
	mkdir -p "$root/etc/weir" "$root/usr/local/sbin"
	for unit in systemd-udevd systemd-udev-trigger systemd-networkd systemd-resolved systemd-timesyncd e2scrub_reap; do
		ln -sf /dev/null "$root/etc/systemd/system/$unit.service"
	done
	printf '[Unit]\nRequires=sysinit.target dbus.socket\nAfter=sysinit.target\nAllowIsolate=yes\n' \
		>"$root/etc/systemd/system/weir-test.target"
	ln -sf weir-test.target "$root/etc/systemd/system/default.target"
	install -m 755 "$LAB_BUILD/lbd" "$LAB_BUILD/lbctl" "$root/usr/local/sbin"
	install -m 644 "$TEST_ROOT/configs/systemd/"{lbd,weir-prepare}.service "$root/etc/systemd/system"
	install -m 644 "$TEST_ROOT/configs/systemd/weir.sysusers.conf" "$root/usr/lib/sysusers.d/weir.conf"
	systemd-sysusers --root="$root" weir.conf >/dev/null 2>&1
	lbd_config >"$root/etc/weir/weir.json"
	# As they were while lbd was root.
	chmod 0600 "$root/etc/weir/weir.json" && chmod 0700 "$root/etc/weir"
}

host_boot()
{
	systemd-nspawn -b -D "$root" --register=no --keep-unit --console=pipe --capability=all \
		--system-call-filter="bpf perf_event_open" --network-namespace-path="/run/netns/$LAB_PREFIX-lb" \
		</dev/null >"$TEST_TMP/console" 2>&1 &
	nspawn=$!
	defer host_halt
	wait_for 20 host_up
}

host_up()
{
	leader=$(pgrep -P "$nspawn" | head -1)
	[[ -n $leader ]] && on systemctl list-jobs 2>&1 | grep -q 'No jobs'
}

host_halt()
{
	[[ -n ${leader:-} ]] && kill -RTMIN+4 "$leader" 2>/dev/null
	wait_for 10 process_gone "$nspawn" || kill -KILL "$nspawn"
}

# on COMMAND...: on that host.
on()
{
	nsenter -t "$leader" -m -u -i -n -p -- "$@"
}

show()
{
	on systemctl show -P "$1" lbd
}

active()
{
	[[ $(show ActiveState) == active ]]
}

inactive()
{
	[[ $(show ActiveState) == inactive ]]
}

# as USER SOCKET PATH [METHOD]: the HTTP status of a request by that user.
as()
{
	on setpriv --reuid "$1" --regid nogroup --clear-groups curl -s --max-time 5 -o /dev/null -w '%{http_code}' \
		-X "${4:-GET}" --unix-socket "/run/weir/$2" "http://weir$3"
}

act "the host is made" host_make
act "it boots" host_boot
on systemctl start lbd
check "lbd starts" active
if ! active; then
	diag "$(on journalctl -b --no-pager -u lbd 2>&1 | tail -n 20)"
	done_testing
fi
check "packets flow" wait_for 5 fetch

# --- least privilege -------------------------------------------------------------------------------------------

pid=$(show MainPID)
status()
{
	on sed -n "s/^$1:\t*//p" "/proc/$pid/status"
}
is "it runs as weir" "$(on stat -c %U "/proc/$pid")" weir
# CAP_NET_ADMIN (12), CAP_PERFMON (38), CAP_BPF (39).
is "with three capabilities" "$(status CapEff)" "000000c000001000"
is "of which none goes to what it might start" "$(status CapAmb) $(status CapInh)" "0000000000000000 0000000000000000"
is "its file is its own to read, and nobody else's" "$(on stat -c '%a %U %G' /etc/weir /etc/weir/weir.json | xargs)" \
	"750 root weir 640 root weir"
is "the socket is for operators alone" "$(on stat -c '%a %U %G' /run/weir/lbd.sock)" "660 weir weir-admin"
is "nobody else may use it" "$(as nobody lbd.sock /v1/status)" 000
is "anybody may look" "$(as nobody monitor.sock /v1/status) $(as nobody monitor.sock /metrics)" "200 200"
is "at no more than that" "$(as nobody monitor.sock /v1/config) $(as nobody monitor.sock /v1/capture
	) $(as nobody monitor.sock /v1/drops) $(as nobody monitor.sock /v1/explain POST) $(as nobody monitor.sock /v1/rollback POST
	)" "403 403 403 403 403"
check "systemd-analyze finds it secure" on systemd-analyze security --threshold=40 lbd
is "it waits for no network" "$(show After | grep -c network-online)" 0

# --- it comes and goes, packets stay ---------------------------------------------------------------------------

# adopted COMMAND...: packets flow through it, and the packet path is the same afterwards.
adopted()
{
	local before
	before=$(on bpftool -j link show pinned /sys/fs/bpf/weir/link_eth0 | jq .id)
	"$@" && wait_for 10 active && [[ $(on bpftool -j link show pinned /sys/fs/bpf/weir/link_eth0 | jq .id) == "$before" ]]
}

was_killed()
{
	on systemctl kill -s KILL lbd && wait_for 10 other_pid
}

other_pid()
{
	[[ $(show MainPID) != "$pid" && $(show MainPID) != 0 ]]
}

load_start
check "a restart adopts" adopted on systemctl restart lbd
pid=$(show MainPID)
check "so does a kill" adopted was_killed
for _ in {1..7}; do
	pid=$(show MainPID)
	was_killed || not_ok "it comes back"
done
check "seven kills in a row do not end it" wait_for 5 active
is "it is another process that shows its generation" "$(show StatusText | grep -oE '^generation [0-9]+')" \
	"generation $(on lbctl -j status | jq .generation)"
# As the unit of 0.3 left things: everything is root's.
on systemctl stop lbd
check "a stop leaves the packet path" on test -e /sys/fs/bpf/weir/lb_control
on chown -R root:root /sys/fs/bpf/weir /var/lib/weir
check "an upgrade from an agent that was root adopts" adopted on systemctl start lbd
load_stop
is "no request failed" "$load_failed" 0

# --- a journal that was away -------------------------------------------------------------------------------------

# Each look is another line to be written.
journal_has_lines()
{
	on lbctl backend set web b3 --weight "$((RANDOM % 50 + 1))" >/dev/null
	on journalctl --no-pager --after-cursor "$cursor" -u lbd -o cat | grep -q event=
}
on journalctl --sync
cursor=$(on journalctl -n 1 --show-cursor -o cat | sed -n 's/^-- cursor: //p')
on systemctl stop systemd-journald.socket systemd-journald-dev-log.socket systemd-journald-audit.socket systemd-journald.service
on lbctl backend set web b3 --weight 41 >/dev/null
on systemctl start systemd-journald.service
check "a journald that was stopped and started gets its lines again" wait_for 10 journal_has_lines
on lbctl backend set web b3 --reset >/dev/null

# --- files that are not there or bad ---------------------------------------------------------------------------

generation()
{
	on lbctl -j status | jq .generation
}
before=$(generation)
echo '{ "version": 1,' >"$root/etc/weir/weir.json"
refuse "a bad file is a failed reload" "" on systemctl reload lbd
is "and changes nothing" "$(generation)" "$before"
lbd_config '.services[0].idle_timeout_s = 77' >"$root/etc/weir/weir.json"
check "a good one is not" on systemctl reload lbd
is "and runs" "$(on lbctl -j service show web | jq .idle_timeout_s)" 77

on systemctl stop lbd
on rm -rf /var/lib/weir
mv "$root/etc/weir/weir.json" "$root/etc/weir/away"
on lbd --detach
on systemctl start --no-block lbd
failed_often()
{
	(($(show NRestarts) >= 6))
}
check "without a file it tries, and tries" wait_for 15 failed_often
mv "$root/etc/weir/away" "$root/etc/weir/weir.json"
check "once the file is there, it runs" wait_for 15 active
check "packets flow" wait_for 5 fetch

# --- a bpf file system that is not there -----------------------------------------------------------------------

on systemctl stop lbd
on umount -l /sys/fs/bpf
on systemctl start lbd
check "where no bpf file system is mounted, it starts" wait_for 5 active
on systemctl stop lbd
check "and what it pinned outlives it" on test -e /sys/fs/bpf/weir/lb_control
check "packets flow on" wait_for 5 fetch
on umount -l /sys/fs/bpf
refuse "without that help it refuses, with the command to type" "mount -t bpf bpf /sys/fs/bpf" \
	on unshare -m lbd -c /etc/weir/weir.json --state-dir /tmp/none --socket /tmp/none.sock
on systemctl start lbd

# --- a loop that hangs -----------------------------------------------------------------------------------------

mkdir -p "$root/run/systemd/system/lbd.service.d"
on mkdir -p /run/systemd/system/lbd.service.d
on sh -c 'printf "[Service]\nWatchdogSec=1\n" >/run/systemd/system/lbd.service.d/watchdog.conf'
on systemctl daemon-reload
on systemctl restart lbd
pid=$(show MainPID)
((pid == 0)) || on kill -STOP "$pid"
check "an agent that hangs is replaced" wait_for 8 other_pid
check "packets flow" wait_for 5 fetch

done_testing
