# shellcheck shell=bash disable=SC2016 # inner shells
# SPDX-License-Identifier: GPL-2.0-only
#
# Hosts with a real systemd, on top of tests/e2e/lib.sh: systemd-nspawn over an overlay of this machine's own root, in
# a network namespace of the lab. What is done inside is gone afterwards; the machine's files are the lower layer.
# A container has the lab's veths, its own mounts and processes, and the kernel, BPF included, of the machine.

declare -A container_pid=() container_root=()

# container_boot NAME HOST: boots a container in the namespace of the lab's host, and waits until systemd is up.
container_boot()
{
	local name=$1 netns=$LAB_PREFIX-$2 dir=$TEST_TMP/container-$1 unit
	mkdir -p "$dir"
	mount -t tmpfs -o mode=755 weir-test "$dir" || return 1
	mkdir "$dir"/{upper,work,root}
	mount -t overlay overlay -o "lowerdir=/,upperdir=$dir/upper,workdir=$dir/work" "$dir/root" || return 1
	container_root[$name]=$dir/root
	defer container_stop "$name"
	# Nothing of the machine's own runs, and nothing of an installation in /usr/local shadows the packages.
	for unit in systemd-networkd systemd-resolved systemd-timesyncd nginx bird keepalived ssh cron rsyslog; do
		ln -sf /dev/null "$dir/root/etc/systemd/system/$unit.service"
	done
	ln -sf /usr/lib/systemd/system/basic.target "$dir/root/etc/systemd/system/default.target"
	rm -rf "$dir/root/etc/weir" "$dir/root/usr/local/lib/systemd" "$dir/root/usr/local/sbin/lbd"
	systemd-nspawn -q -b -D "$dir/root" --register=no --keep-unit --console=pipe --capability=all \
		--system-call-filter="bpf perf_event_open" --network-namespace-path="/run/netns/$netns" \
		</dev/null >"$dir/console" 2>&1 9>&- &
	container_pid[$name]=$!
	wait_for 60 container_is_up "$name"
}

# The process that is pid 1 inside.
container_init()
{
	pgrep -P "${container_pid[$1]}" -x systemd | head -n 1
}

container_is_up()
{
	[[ $(in_container "$1" systemctl is-active basic.target 2>/dev/null) == active ]]
}

# in_container NAME COMMAND...
in_container()
{
	local init
	init=$(container_init "$1")
	[[ -n $init ]] || return 1
	shift
	nsenter -t "$init" -m -u -i -n -p -- env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 TERM=dumb "$@"
}

container_stop()
{
	local init dir=${container_root[$1]%/root}
	init=$(container_init "$1")
	[[ -z $init ]] || kill -s RTMIN+4 "$init" 2>/dev/null # systemd: power off
	wait_for 20 process_gone "${container_pid[$1]:-0}" || kill -KILL "${container_pid[$1]}" ${init:+"$init"} 2>/dev/null
	wait "${container_pid[$1]}" 2>/dev/null
	umount -l "$dir/root" "$dir" 2>/dev/null
	return 0
}

# container_put NAME FILE: standard input, as a file inside.
container_put()
{
	in_container "$1" sh -c 'mkdir -p "${1%/*}" && cat >"$1"' sh "$2"
}
