#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The packages, under a real dpkg and systemd and under traffic: installed, upgraded, interrupted, downgraded, removed,
# purged.
#
# WEIR_DEBS=FOLDER: packages that are there already.

# shellcheck disable=SC2317,SC2119,SC2154 # functions that check calls; default arguments; set by the libraries
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/../e2e/lib.sh"
# shellcheck source=tests/e2e/lbd-lib.sh
. "$TEST_ROOT/tests/e2e/lbd-lib.sh"
# shellcheck source=tests/hosts/host-lib.sh
. "$TEST_ROOT/tests/hosts/host-lib.sh"

for tool in systemd-nspawn:systemd-container dpkg-buildpackage:dpkg-dev dh:debhelper lintian:lintian; do
	type "${tool%:*}" >/dev/null 2>&1 || {
		not_ok "${tool%:*} is there: apt install ${tool#*:}"
		done_testing
	}
done

# --- what is installed -------------------------------------------------------------------------------------------

install()
{
	cp "$TEST_TMP/weir_$1.deb" "$TEST_TMP/host.root/root" && on host dpkg -i "/root/weir_$1.deb"
}

installed()
{
	# shellcheck disable=SC2016 # dpkg's own
	on host dpkg-query -W -f '${Version} ${db:Status-Abbrev}' weir
}

lbctl()
{
	on host lbctl "$@"
}

pid()
{
	on host systemctl show -P MainPID lbd
}

runs()
{
	[[ $(on host systemctl show -P ActiveState lbd) == active ]] && lbctl status >/dev/null
}

link()
{
	on host bpftool -j link show pinned /sys/fs/bpf/weir/link_eth0 | jq .id
}

# What is on the disk that was not, and who may log in; but for logs and what dpkg and systemd keep of their own.
left()
{
	(cd "$TEST_TMP/host.layer/upper" && find . -mindepth 1 \( -type f -o -type l -o -type c \) -printf '%P %y %l\n') |
		grep -vE '^(var/(log|lib/dpkg|lib/systemd|cache|tmp)/|run/|tmp/|root/|etc/(passwd|group|g?shadow|subuid|subgid)-? |etc/(\.pwd\.lock|machine-id) )' | sort
	(cd "$TEST_TMP/host.root/etc" && sort passwd group)
}

# --- the stories -------------------------------------------------------------------------------------------------

test_install()
{
	before=$(left)
	check "an installation" install 1.0
	is "starts nothing that has no configuration" "$(on host systemctl show -P ActiveState lbd)" inactive
	is "its folder is not for everybody" "$(on host stat -c '%a %U %G' /etc/weir)" "751 root weir"
	lbd_config '.services[].announce = "route" | .announce = { "drain_s": 1 } | .services[].idle_timeout_s = 1' \
		>"$TEST_TMP/host.root/etc/weir/weir.json"
	check "systemctl enable --now lbd" on host systemctl enable --now lbd
	check "it runs" wait_for 10 runs
	check "packets flow" wait_for 5 fetch
	is "units and programs are the package's" "$(on host systemctl show -P FragmentPath lbd; on host sh -c 'command -v lbd')" \
		"$(printf '%s\n' /lib/systemd/system/lbd.service /usr/sbin/lbd)"
}

# The helpers, each a user of its own in a cage.
test_helpers()
{
	local unit root=$TEST_TMP/host.root
	for unit in lb-checkd lb-execd lb-neighbor; do
		check "systemd-analyze finds $unit secure" on host systemd-analyze security --threshold=20 "$unit"
	done
	is "no unit waits for the network" "$(cat "$root"/lib/systemd/system/{lb,weir}*.service | grep -c '=.*network-online')" 0
	echo /usr/bin/true >"$root/etc/weir/commands"
	jq '.services[].health.check = { "kind": "tcp", "interval_ms": 300 } |
		.services[1].health.check += { "kind": "exec", "command": "/usr/bin/true" }' "$root/etc/weir/weir.json" >"$TEST_TMP/checked"
	cat "$TEST_TMP/checked" >"$root/etc/weir/weir.json"
	check "systemctl reload lbd" on host systemctl reload lbd
	check "systemctl enable --now lb-execd lb-checkd" on host systemctl enable --now lb-execd lb-checkd
	check "they check, by connections and by commands" wait_for 10 checked
	checked >"$TEST_TMP/checks" || diag "$(cat "$TEST_TMP/checks"; on host journalctl -n 20 --no-pager -o cat -u lb-execd -u lb-checkd)"
}

checked()
{
	lbctl -j health | jq -e '[.backends[] | .check.last == "ok"] | length == 6 and all' && return
	lbctl -j health | jq -c '.backends[] | [.service, .backend, .check.last]'
	return 1
}

# The process of lbd runs the program that is installed.
is_new()
{
	runs && [[ $(on host readlink "/proc/$(pid)/exe") == /usr/sbin/lbd ]]
}

# changes_to VERSION: by adoption, another process, the same packet path.
changes_to()
{
	local old link_before
	old=$(pid) link_before=$(link)
	install "$1" || return 1
	wait_for 15 is_new || { echo "it does not run"; return 1; }
	[[ $(pid) != "$old" && $(link) == "$link_before" && $(installed) == "$1 ii " ]] || {
		echo "pid $old -> $(pid), link $link_before -> $(link), $(installed)"
		return 1
	}
}

test_upgrade()
{
	load_start
	check "an upgrade adopts" changes_to 1.1
	check "a downgrade adopts" changes_to 1.0
	load_stop
	is "no request failed" "$load_failed" 0
	check "there were some" test "$load_requests" -gt 20
}

# Interrupted at each step: dpkg is killed while a script runs, or ends between unpacking and configuring. What ran runs, and
# the next attempt completes it.
test_interrupted()
{
	local step version old
	# shellcheck disable=SC2016 # there
	local die='[ "$(cat /root/die 2>/dev/null)" != "${0##*[./]}" ] || { rm /root/die; pkill -KILL -x dpkg; exit 1; }'
	repack weir 2.0 "$die" prerm preinst postinst
	repack weir 2.1 "$die" prerm preinst postinst
	check "an upgrade" changes_to 2.0
	load_start
	version=2.1
	for step in prerm preinst unpack postinst; do
		old=$(pid)
		if [[ $step == unpack ]]; then
			cp "$TEST_TMP/weir_$version.deb" "$TEST_TMP/host.root/root"
			on host dpkg --unpack "/root/weir_$version.deb" >/dev/null 2>&1
		else
			echo "$step" >"$TEST_TMP/host.root/root/die"
			refuse "killed in $step" "" install "$version"
		fi
		check "interrupted in $step: the agent goes on" test "$(pid)" = "$old"
		check "interrupted in $step: installed anew it adopts" changes_to "$version"
		[[ $version == 2.1 ]] && version=2.0 || version=2.1
	done
	load_stop
	is "no request failed" "$load_failed" 0
}

test_disk_full()
{
	local fill=$TEST_TMP/host.layer/fill old
	old=$(pid)
	repack weir 6.0
	cp "$TEST_TMP/weir_6.0.deb" "$TEST_TMP/host.root/root"
	dd if=/dev/zero of="$fill" bs=1M >/dev/null 2>&1
	refuse "a full disk fails the upgrade" "No space left" install 6.0
	check "what ran runs" test "$(pid)" = "$old"
	check "packets flow" wait_for 5 fetch
	rm "$fill"
	check "with room again it is completed, by adoption" changes_to 6.0
}

test_refused()
{
	local old output
	old=$(pid)
	sed -i 's/"version": 1,/"version": 1, "colour": 1,/' "$TEST_TMP/host.root/etc/weir/weir.json"
	repack weir 7.0
	output=$(install 7.0 2>&1)
	check "a configuration that the new version refuses: it says so" grep -q "this version refuses /etc/weir/weir.json" <<<"$output"
	check "and what is wrong" grep -q 'unknown key "colour"' <<<"$output"
	is "the old agent goes on" "$(pid)" "$old"
	check "packets flow" wait_for 5 fetch
	sed -i 's/ "colour": 1,//' "$TEST_TMP/host.root/etc/weir/weir.json"
	check "corrected, it is started by hand" on host systemctl restart lbd
	check "and runs" wait_for 10 runs
}

test_shadow()
{
	local output
	on host install -D /usr/sbin/lbd /usr/local/sbin/lbd
	repack weir 8.0
	output=$(install 8.0 2>&1)
	check "an installation in /usr/local is named" grep -q "/usr/local/sbin/lbd is found before /usr/sbin/lbd" <<<"$output"
	check "doctor names it as well" grep -q "installed twice, in /usr/sbin and in /usr/local/sbin" <(on host /usr/sbin/lbctl doctor)
	on host rm /usr/local/sbin/lbd
}

announced()
{
	[[ -n $(in_ns lb ip route show table 177) ]]
}

test_remove()
{
	check "VIPs are announced" wait_for 5 announced
	check "remove" on host dpkg -r weir
	is "VIPs are withdrawn" "$(in_ns lb ip route show table 177 2>/dev/null; in_ns lb ip -6 route show table 177 2>/dev/null)" ""
	is "the packet path is off" "$(ip -n "$LAB_PREFIX-lb" -d -j link show eth0 | jq -c '.[0].xdp // null')" null
	check "and its pins" test ! -e "$TEST_TMP/host.root/sys/fs/bpf/weir"
	check "the configuration stays" test -e "$TEST_TMP/host.root/etc/weir/weir.json"
	check "installed again, it runs again" install 8.0
	on host systemctl start lbd
	check "and has joined" wait_for 10 announced
	on host dpkg -r weir >/dev/null 2>&1
	check "purge" on host dpkg -P weir
	is "nothing is left" "$(comm -13 <(echo "$before" | sort) <(left | sort))" ""
}

lab_start --arm one --backends 3
lbd_init
act "packages are there" debs_make
check "lintian has nothing to say" lintian --fail-on error,warning "$debs"/*.deb
act "the host is made" host_make host 256m
act "it boots" host_boot host lb
for version in 1.0 1.1; do
	repack weir "$version"
done
test_install
test_helpers
test_upgrade
test_interrupted
test_disk_full
test_refused
test_shadow
test_remove
done_testing
