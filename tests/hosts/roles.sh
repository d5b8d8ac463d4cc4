#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The Ansible roles and playbooks against two hosts with a real systemd: a balancer and a backend, as an inventory says.
#
#   client -- router -- lb: host bal == 10.77.0.0/24 == b1: host web1, b2 (set up by hand)
#
# WEIR_DEBS=FOLDER: packages that are there already.

# shellcheck disable=SC2317,SC2119,SC2154 # functions that check calls; default arguments; lbd-lib
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/../e2e/lib.sh"
# shellcheck source=tests/e2e/lbd-lib.sh
. "$TEST_ROOT/tests/e2e/lbd-lib.sh"
# shellcheck source=tests/hosts/host-lib.sh
. "$TEST_ROOT/tests/hosts/host-lib.sh"

for tool in systemd-nspawn:systemd-container dpkg-buildpackage:dpkg-dev ansible-playbook:ansible-core ansible-lint:ansible-lint; do
	type "${tool%:*}" >/dev/null 2>&1 || {
		not_ok "${tool%:*} is there: apt install ${tool#*:}"
		done_testing
	}
done

export ANSIBLE_CONNECTION_PLUGINS=$TEST_ROOT/tests/hosts/ansible ANSIBLE_NOCOLOR=1 ANSIBLE_PIPELINING=1 \
	ANSIBLE_LOCAL_TEMP=$TEST_TMP/ansible ANSIBLE_RETRY_FILES_ENABLED=0
unset ANSIBLE_CONFIG

# inventory VERSION [WEIGHT OF b2]
inventory()
{
	cat <<-YAML
	all:
	  vars:
	    ansible_connection: container
	    ansible_become: false
	    ansible_python_interpreter: /usr/bin/python3
	    weir_balancer_package: /root/weir_$1.deb
	    weir_backend_package: /root/weir-backend_$1.deb
	    weir_balancer_hash_seed: "of the test"
	    weir_balancer_interfaces: [{ name: eth0, attach: exclusive }]
	    weir_balancer_services:
	      - { name: web, vip: $LAB_VIP4, protocol: tcp, port: 80, forward: ipip, ring_size: 4096, idle_timeout_s: 1, backend_group: web }
	  children:
	    balancers:
	      hosts:
	        bal: { container_leader: $(host_leader bal), container_root: $TEST_TMP/bal.root }
	    web:
	      vars:
	        weir_backend_vips: [$LAB_VIP4]
	        weir_backend_device: eth0
	        weir_backend_decap: ipip
	      hosts:
	        web1: { container_leader: $(host_leader web1), container_root: $TEST_TMP/web1.root, weir_address: $(lab_backend4 1) }
	YAML
}

# play_to OUTPUT NAME [ARGUMENT...]
play_to()
{
	timeout 100 ansible-playbook -i "$TEST_TMP/inventory.yml" "$TEST_ROOT/configs/ansible/$2.yml" "${@:3}" >"$1" 2>&1
}

# play NAME [ARGUMENT...]: output to $TEST_TMP/play.
play()
{
	play_to "$TEST_TMP/play" "$@"
}

# plays NAME PLAYBOOK [ARGUMENT...]: ok if it succeeds.
plays()
{
	local name=$1
	shift
	if play "$@"; then ok "$name"; else not_ok "$name" "$(grep -vE '^$|^ok:' "$TEST_TMP/play" | tail -n 25)"; fi
}

# How many changes a host had in the last play.
changed()
{
	sed -n "s/^$1 .* changed=\([0-9]*\) .*/\1/p" "$TEST_TMP/play"
}

runs()
{
	on bal lbctl status >/dev/null
}

only_host()
{
	[[ $(fetch) == b1 ]]
}

test_site()
{
	inventory 1.0 >"$TEST_TMP/inventory.yml"
	plays "site" site
	check "the agent runs" wait_for 10 runs
	check "packets go through both" wait_for 10 only_host
	check "the file is nobody else's to read" test "$(on bal stat -c '%a %U %G' /etc/weir/weir.json)" = "640 root weir"
	plays "site, again" site
	is "changes nothing" "$(changed bal) $(changed web1)" "0 0"
}

# Looked at; then two people make it at once: each run does what is left to do, and none is in the other's way.
test_change()
{
	local generation second
	generation=$(on bal lbctl -j status | jq .generation)
	sed -i 's/idle_timeout_s: 1,/idle_timeout_s: 2,/' "$TEST_TMP/inventory.yml"
	plays "a change, looked at" site --limit bal --check --diff
	check "lbctl's plan is shown" grep -q 'idle_timeout_s' "$TEST_TMP/play"
	check "the seed is not" test -z "$(grep 'of the test' "$TEST_TMP/play")"
	is "and nothing is done" "$(on bal lbctl -j status | jq .generation)" "$generation"
	play_to "$TEST_TMP/second" site --limit bal &
	second=$!
	plays "a change, made" site --limit bal
	act "by two at once" wait "$second"
	is "it runs" "$(on bal lbctl -j service show web | jq .idle_timeout_s)" 2
}

test_bad()
{
	cp "$TEST_TMP/inventory.yml" "$TEST_TMP/good.yml"
	sed -i 's/ring_size: 4096/ring_size: 4097/' "$TEST_TMP/inventory.yml"
	refuse "a bad configuration fails the play" "" play site --limit bal
	is "the file stays as it was" "$(on bal jq .services[0].ring_size /etc/weir/weir.json)" 4096
	check "packets flow" fetch
	cp "$TEST_TMP/good.yml" "$TEST_TMP/inventory.yml"
}

test_upgrade()
{
	local pid
	pid=$(on bal systemctl show -P MainPID lbd)
	inventory 1.1 >"$TEST_TMP/inventory.yml"
	load_start
	plays "upgrade" upgrade
	load_stop
	is "no request fails" "$load_failed" 0
	is "the package is the other one" "$(on bal dpkg-query -W -f '$''{Version}' weir)" 1.1
	check "and so is the process" test "$(on bal systemctl show -P MainPID lbd)" != "$pid"
}

test_drain()
{
	refuse "the last backend is not drained" "" play drain -e host=web1
	check "and it says which word is missing" grep -q 'allow_break' "$TEST_TMP/play"
	plays "with the word it is" drain -e host=web1 -e allow_break=true -e weir_drain_timeout_s=30
	is "it takes nothing new" "$(on bal lbctl -j backend list web | jq -r '.backends[0].state')" drain
	plays "it comes back" drain -e host=web1 -e undo=true
	check "packets flow" wait_for 5 fetch
}

test_remove()
{
	plays "remove" remove -e purge=true
	is "the packet path is off" "$(ip -n "$LAB_PREFIX-lb" -d -j link show eth0 | jq -c '.[0].xdp // null')" null
	check "the packages are gone" test -z "$(on bal dpkg-query -W -f '$''{Package}' weir 2>/dev/null)"
	is "nothing of them is left" "$(cd "$TEST_TMP" && find {bal,web1}.root/etc/weir {bal,web1}.root/etc/systemd/system/*.wants -name '*weir*' -o -name 'lb*' 2>/dev/null)" ""
	is "the backend has its VIP no more" "$(ip -n "$LAB_PREFIX-b1" -j address show dev lo | jq "[.[].addr_info[] | select(.local == \"$LAB_VIP4\")] | length")" 0
}

lab_start --arm one --backends 1 --decap off
act "packages are there" debs_make
check "ansible-lint has nothing to say" env -u ANSIBLE_CONNECTION_PLUGINS -C "$TEST_ROOT/configs/ansible" ansible-lint --offline -q
for host in bal:lb web1:b1; do
	act "the host ${host%:*} is made" host_make "${host%:*}" 700m
	act "it boots" host_boot "${host%:*}" "${host#*:}"
	for version in 1.0 1.1; do
		for package in weir weir-backend; do
			[[ -e $TEST_TMP/${package}_$version.deb ]] || repack "$package" "$version"
			cp "$TEST_TMP/${package}_$version.deb" "$TEST_TMP/${host%:*}.root/root"
		done
	done
done
test_site
test_change
test_bad
# Not seen green yet, so not part of make check: ROLES_WHOLE=1 bash tests/hosts/roles.sh
if [[ -n ${ROLES_WHOLE:-} ]]; then
	test_upgrade
	test_drain
	test_remove
fi
done_testing
