#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The two shapes that tables have: flat where the kernel takes a value of that size, in chunks elsewhere or on
# request. Packets see no difference, and who starts next takes the tables as they are.
# beside: labs

# shellcheck disable=SC2317,SC2119 # functions that check calls; default arguments
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/lbd-lib.sh
. "$(dirname "$0")/lbd-lib.sh"

lab_start --backends 3
lbd_init
lbd_config >"$LBD_CONFIG"

# Entries of a table: one if it is flat.
entries()
{
	bpftool -j map show pinned "$LBD_BPFFS/$1" | jq .max_entries
}

flat()
{
	[[ $(entries lb_vips) == 1 && $(entries lb_rings) == 1 && $(entries lb_backends) == 1 &&
		$(entries lb_counters) == 1 ]]
}

chunked()
{
	[[ $(entries lb_vips) == 8 && $(entries lb_counters) -gt 1 ]]
}

program_id()
{
	bpftool -j link show pinned "$LBD_BPFFS/link_eth0" | jq .prog_id
}

balanced()
{
	local vip
	for vip in "$LAB_VIP4" "[$LAB_VIP6]"; do
		[[ $(for _ in {1..40}; do fetch "$vip"; done | sort -u | grep -c .) == 3 ]] || return 1
	done
	answers GET /v1/status '.packets.drop == 0'
}

# Bytes of all maps, as the kernel has them.
map_bytes()
{
	local pin
	for pin in "$LBD_BPFFS"/lb_*; do
		bpftool -j map show pinned "$pin" 2>/dev/null || echo '{}'
	done | jq -s 'map(.bytes_memlock // 0) | add'
}

# They are what the sizes that lbd tells of come to: the tables that grow are nearly all of it, the rest is a few MiB.
as_told()
{
	local told bytes
	bytes=$(map_bytes)
	told=$(api GET /v1/status | jq '.flow_table.bytes + .tables.ring_slots.size * 8 + 8 * 32768 * 64')
	echo "the kernel has $bytes bytes, $told are told of"
	((bytes >= told && bytes <= told + (${1:-6} << 20)))
}

few_bytes()
{
	local bytes
	bytes=$(map_bytes)
	echo "$bytes bytes"
	((bytes > 16 << 20 && bytes <= 40 << 20))
}

# 64 slots for three backends: 22, 21 and 21, where 21 1/3 are due.
lbd_config 'del(.limits) | .services[0].ring_size = 64' >"$LBD_CONFIG"
act "lbd starts with two services and no limits" lbd_start
check "its maps are as large as it tells" as_told
check "and no larger than 40 MiB" few_bytes
check "a share that is off by more than 2 % is told, and why" answers GET /v1/status \
	'.uneven.worst[0] | .slots != 21 and .expected_slots > 21.3 and .expected_slots < 21.4 and (.off | fabs) > 0.03 and (.why | test("slots are whole"))'
act "it ends and takes them away" lbd_stop
lbd_once --detach >/dev/null 2>&1
rm -rf "$LBD_STATE"
lbd_config >"$LBD_CONFIG"

# Does this kernel take a value of more than 4 MiB?
if bpftool map create "$LAB_DIR/bpf/probe" type array key 4 value 4194312 entries 1 name probe 2>/dev/null; then
	rm -f "$LAB_DIR/bpf/probe"
	act "it starts" lbd_start
	check "tables are flat" flat
	check "next hops are resolved" wait_for 10 lbd_resolved
	check "packets are balanced" balanced
	program=$(program_id)
	act "it is killed" lbd_stop KILL
	act "another starts, that would make chunks" lbd_start --chunked-tables
	check "it adopts flat tables" flat
	is "and the program that is there" "$(program_id)" "$program"
	check "packets are balanced by it" balanced
	act "it stops" lbd_stop
	check "tables are given up" lbd_once --detach
else
	skip "flat tables" "this kernel takes no value of more than 4 MiB (Linux 6.8)"
fi
act "it starts with tables in chunks" lbd_start --chunked-tables
check "they are in chunks" chunked
check "next hops are resolved in chunks" wait_for 10 lbd_resolved
check "packets are balanced from chunks" balanced
program=$(program_id)
act "it is killed as well" lbd_stop KILL
act "another starts, that would make flat ones" lbd_start
check "it adopts chunks" chunked
is "and the program that is there, too" "$(program_id)" "$program"
check "packets are balanced from adopted chunks" balanced
act "a backend is drained" api PATCH /v1/services/web/backends/b1 '{"state": "drain"}'
check "packets are balanced amid unsettled slots" answers GET /v1/status '.unsettled_slots > 0 and .packets.drop == 0'
act "it stops at last" lbd_stop

done_testing
