# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What the tests of announced VIPs share, on top of lib.sh and lbd-lib.sh: the router, which is a BIRD, and what it has
# learnt.

PATH=$PATH:/usr/sbin

lbctl()
{
	in_ns lb "$LAB_BUILD/lbctl" --socket "$LBD_SOCKET" "$@"
}

# router_bird [FURTHER BALANCER...]: the configuration of the router, with a session to the balancer and these.
router_bird()
{
	local balancer
	cat <<-BIRD
	router id 10.76.0.1;
	protocol device { scan time 10; }
	protocol kernel { merge paths on; ipv4 { export where source = RTS_BGP; }; }
	protocol kernel { merge paths on; ipv6 { export where source = RTS_BGP; }; }
	protocol direct { ipv4; ipv6; }
	protocol bfd { interface "*" { min rx interval 100 ms; min tx interval 100 ms; multiplier 3; }; }
	filter weir { if (65535, 0) ~ bgp_community then bgp_local_pref = 0; accept; }
	BIRD
	for balancer in 10.76.0.2 "$@"; do
		cat <<-BIRD
		protocol bgp {
			local as 64513;
			neighbor $balancer as 64512;
			passive on;
			bfd on;
			error wait time 1, 5;
			ipv4 { import filter weir; export none; };
			ipv6 { import filter weir; export none; next hop address fd76::1; extended next hop off; };
		}
		BIRD
	done
}

# bird_start HOST CONFIG
bird_start()
{
	spawn "$1" bird -f -c "$2" -s "$TEST_TMP/bird-$1.ctl" -P "$TEST_TMP/bird-$1.pid"
	wait_for 10 test -S "$TEST_TMP/bird-$1.ctl"
}

# What the speakers think of each other.
bird_diag()
{
	local host
	for host in router lb; do
		[[ -S $TEST_TMP/bird-$host.ctl ]] || continue
		birdc -r -s "$TEST_TMP/bird-$host.ctl" show protocols all | diag
		birdc -r -s "$TEST_TMP/bird-$host.ctl" show route all | diag
	done
}

router_has()
{
	in_ns router ip route show "$LAB_VIP4/32" | grep -q 'via 10.76.0.2'
}

router_has_not()
{
	! router_has
}

router_sees_draining()
{
	birdc -r -s "$TEST_TMP/bird-router.ctl" show route "$LAB_VIP4/32" all | grep -q '(65535,0)'
}

in_table()
{
	in_ns lb ip route show table 177 | grep -q "$LAB_VIP4" && return
	api GET /v1/status | jq -c '.announce, .warnings'
	api GET /v1/events | jq -r '.events[-12:][].message'
	return 1
}

not_in_table()
{
	! in_table
}

status_says()
{
	[[ $(api GET /v1/status | jq -r "$1") == "$2" ]]
}

requests_arrive()
{
	in_ns client curl -sf --max-time 1 "http://$LAB_VIP4/id"
}

