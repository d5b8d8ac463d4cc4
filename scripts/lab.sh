#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The lab: a client, a router, a balancer and backends, each a network namespace of this machine, joined by veths.
# Every backend answers straight to the client (DSR), and runs a real nginx. Two arms, the default:
#
#   P-client                P-router                         P-lb
#     eth0 ------------- client   front ------------------ eth0   eth1
#     198.51.100.2        198.51.100.1   10.76.0.1     10.76.0.2   |  10.77.0.2
#     2001:db8:51::2      2001:db8:51::1 fd76::1       fd76::2     |  fd77::2
#                               back                               |
#                       10.77.0.1 |                                |
#                       fd77::1   |                                |
#                  P-sw: router --+------------ br0 ---------------+-- lb
#                                      |         |         |
#                                     b1        b2        b3 ...      10.77.0.11, .12, .13 ...
#                                    P-b1      P-b2      P-b3         fd77::11, ::12, ::13 ...
#
# One arm: no front link. The balancer's only interface is eth0 on the bridge (10.77.0.2, fd77::2).
#
# The router sends the VIPs' networks, 203.0.113.0/24 and 2001:db8:113::/64, to the balancer. Client and front links
# have MTU 1500, the bridge side 1600, so that encapsulated packets fit; the backends' routes keep MTU 1500. Checksum
# offload is off everywhere, since nobody fixes up a packet that went through native XDP. The far ends of the
# balancer's links run a program that passes everything (see bpf/lb_pass.bpf.c).
#
# Commands run through nsenter, which leaves the mounts alone: `ip netns exec` would hide bpffs mounts under /sys.
# Everything that a lab owns is in its namespaces and in $LAB_ROOT/P: bpf (a bpffs), www, per backend b1, b2, ...
# This file is a program, and a library for those who source it.

LAB_ROOT=${LAB_ROOT:-/run/weir-lab}
LAB_SELF=${BASH_SOURCE[0]}
LAB_SOURCE=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
LAB_BUILD=${LAB_BUILD:-$LAB_SOURCE/build}
LAB_VIP4=203.0.113.10
LAB_VIP6=2001:db8:113::10
# sha256 of /big, which is the same on every backend and in every lab.
# shellcheck disable=SC2034
LAB_BIG_SHA256=9244a1eee3d792ecfbbe13cb44a2f16e7ebdfc8887cd1532aed9ca0c8d9e35ed
export PATH=$PATH:/usr/sbin:/sbin

lab_usage()
{
	cat <<-USAGE
	usage: lab.sh up [--prefix P] [--arm one|two] [--backends N] [--ipv4-only] [--decap ipip|gue|none|off]
	       lab.sh down [--prefix P]
	       lab.sh exec NAMESPACE COMMAND...
	       lab.sh status [--prefix P]

	  --prefix P     names and state of this lab begin with it (weir)
	  --arm          two: the balancer forwards from one link to another; one: it has a single link (two)
	  --backends N   1 to 200 (3)
	  --ipv4-only    no IPv6 anywhere
	  --decap        what lb-backend sets up on the backends: ipip, gue, none (VIPs alone, for l2), or off:
	                 lb-backend is not run (ipip)
	USAGE
}

lab_die()
{
	echo "lab: $*" >&2
	exit 1
}

# --- library: names and commands of the lab $LAB_PREFIX, whose directory is $LAB_ROOT/$LAB_PREFIX ---------

# Runs a command in a namespace, given by its whole name.
lab_exec()
{
	local namespace=$1
	shift
	[[ -e /run/netns/$namespace ]] || {
		echo "lab: there is no namespace $namespace" >&2
		return 1
	}
	nsenter --net="/run/netns/$namespace" -- "$@"
}

# in_ns HOST COMMAND...: the same with the host's name in the lab $LAB_PREFIX: client, router, sw, lb, b1...
in_ns()
{
	local host=$1
	shift
	lab_exec "$LAB_PREFIX-$host" "$@"
}

# Addresses of backend number $1.
lab_backend4()
{
	echo "10.77.0.$((10 + $1))"
}

lab_backend6()
{
	echo "fd77::$((10 + $1))"
}

# Raises, or removes, the lab $LAB_PREFIX; further arguments as for the program.
lab_up()
{
	bash "$LAB_SELF" up --prefix "$LAB_PREFIX" "$@"
}

lab_down()
{
	bash "$LAB_SELF" down --prefix "$LAB_PREFIX"
}

# --- up --------------------------------------------------------------------------------------------------------

# Adds a namespace with loopback up and the sysctls that every host has. Arguments after the name: more of them.
host_add()
{
	local host=$1 namespace=$P-$1 value ipv6
	shift
	[[ $IPV6 == yes ]] && ipv6=0 || ipv6=1
	ip netns add "$namespace"
	# IPv4 settings are inherited from this machine: set what matters. IPv6 addresses work at once without DAD.
	for value in net.ipv4.conf.{all,default}.{rp_filter,send_redirects,accept_redirects,arp_ignore,arp_announce}=0 \
		net.ipv6.conf.{all,default}.{accept_dad,accept_ra}=0 net.ipv6.conf.{all,default,lo}.disable_ipv6="$ipv6" "$@"; do
		echo "$value"
	done | nsenter --net="/run/netns/$namespace" -- sysctl -q -p - ||
		lab_die "cannot set the sysctls of $namespace"
	ip -n "$namespace" link set lo up
	echo "$host" >>"$D/hosts"
}

# link_add HOST_A DEV_A HOST_B DEV_B MTU: a veth between two namespaces, up, without checksum offload.
link_add()
{
	ip -n "$P-$1" link add "$2" mtu "$5" type veth peer name "$4" mtu "$5" netns "$P-$3"
	ip -n "$P-$1" link set "$2" up
	ip -n "$P-$3" link set "$4" up
	lab_exec "$P-$1" ethtool -K "$2" tx off >/dev/null
	lab_exec "$P-$3" ethtool -K "$4" tx off >/dev/null
}

# address_add HOST DEV IPV4 IPV6
address_add()
{
	ip -n "$P-$1" address add "$3" dev "$2"
	[[ $IPV6 == no ]] || ip -n "$P-$1" address add "$4" dev "$2" nodad
}

# route_add HOST IPV4_PREFIX IPV4_GATEWAY IPV6_PREFIX IPV6_GATEWAY [more]
route_add()
{
	local host=$1 to4=$2 via4=$3 to6=$4 via6=$5
	shift 5
	ip -n "$P-$host" route add "$to4" via "$via4" "$@"
	[[ $IPV6 == no ]] || ip -n "$P-$host" -6 route add "$to6" via "$via6" "$@"
}

# A link from the switch's bridge to a host.
port_add()
{
	link_add sw "$1" "$1" "$2" 1600
	ip -n "$P-sw" link set "$1" master br0
}

pass_attach()
{
	ip -n "$P-$1" link set dev "$2" xdpdrv object "$LAB_BUILD/bpf/lb_pass.bpf.o" section xdp.frags ||
		lab_die "cannot attach the pass program to $2 of $P-$1: needs native XDP on veth"
}

# 64 MiB, sparse, every 64 KiB a line that says where it is: a block lost, moved or repeated changes the checksum.
www_make()
{
	mkdir -p "$D/www"
	/usr/bin/python3 -I - "$D/www/big" <<-'PY'
	import sys
	with open(sys.argv[1], "wb") as f:
	    for i in range(1024):
	        f.seek(i << 16)
	        f.write(b"block %04d of 1024, and then zeroes\n" % i)
	    f.truncate(64 << 20)
	PY
	chmod -R a+rX "$D/www"
}

nginx_conf()
{
	local name=$1
	cat <<-CONF
	user www-data;
	worker_processes 1;
	pid $D/$name/nginx.pid;
	error_log $D/$name/error.log;
	events { worker_connections 8192; }
	http {
		log_format lab '\$msec \$remote_addr:\$remote_port \$server_addr \$request_method \$uri \$status \$bytes_sent \$request_completion';
		access_log $D/$name/access.log lab;
		client_body_temp_path $D/$name/tmp;
		proxy_temp_path $D/$name/tmp;
		fastcgi_temp_path $D/$name/tmp;
		uwsgi_temp_path $D/$name/tmp;
		scgi_temp_path $D/$name/tmp;
		sendfile on;
		keepalive_requests 1000000;
		default_type text/plain;
		server {
			listen 80 backlog=4096;
			$([[ $IPV6 == no ]] || echo 'listen [::]:80 ipv6only=on backlog=4096;')
			client_max_body_size 0;
			location = / { return 200 "$name\n"; }
			location = /id { return 200 "$name\n"; }
			location = /from { return 200 "$name \$remote_addr \$remote_port \$server_addr\n"; }
			location /slow/ { limit_rate 2m; alias $D/www/; }
			# /rate/512k/big: at a rate that the client chooses
			location ~ "^/rate/([0-9]+[km])/(\w+)\$" { limit_rate \$1; alias $D/www/\$2; }
			location / { root $D/www; }
		}
	}
	CONF
}

backend_add()
{
	local number=$1 name=b$1
	mkdir -p "$D/$name/tmp"
	chown www-data "$D/$name/tmp"
	host_add "$name"
	port_add "$name" eth0
	address_add "$name" eth0 "$(lab_backend4 "$number")/24" "$(lab_backend6 "$number")/64"
	route_add "$name" default 10.77.0.1 default fd77::1 mtu 1500
	nginx_conf "$name" >"$D/$name/nginx.conf"
	lab_exec "$P-$name" nginx -c "$D/$name/nginx.conf" -p "$D/$name" -e "$D/$name/error.log"
	[[ $DECAP == off ]] && return
	local vips=(--vip "$LAB_VIP4")
	[[ $IPV6 == no ]] || vips+=(--vip "$LAB_VIP6")
	lab_exec "$P-$name" "$LAB_BUILD/lb-backend" up "${vips[@]}" --dev eth0 --decap "$DECAP" \
		--state-dir "$D/$name" >"$D/$name/lb-backend.log" 2>&1 || {
		cat "$D/$name/lb-backend.log" >&2
		lab_die "lb-backend failed on $name"
	}
}

topology_build()
{
	local i
	host_add client
	host_add router net.ipv4.ip_forward=1 net.ipv6.conf.{all,default}.forwarding=1
	host_add lb
	host_add sw net.ipv6.conf.{all,default}.disable_ipv6=1
	# Where the kernel's bridge would hand IP packets to the firewall, it also judges them: it must not.
	lab_exec "$P-sw" sysctl -qe -w net.bridge.bridge-nf-call-{iptables,ip6tables,arptables}=0
	ip -n "$P-sw" link add br0 mtu 1600 type bridge stp_state 0 forward_delay 0 mcast_snooping 0
	ip -n "$P-sw" link set br0 up

	link_add router client client eth0 1500
	address_add router client 198.51.100.1/24 2001:db8:51::1/64
	address_add client eth0 198.51.100.2/24 2001:db8:51::2/64
	route_add client default 198.51.100.1 default 2001:db8:51::1
	port_add router back
	address_add router back 10.77.0.1/24 fd77::1/64

	if [[ $ARM == two ]]; then
		link_add router front lb eth0 1500
		address_add router front 10.76.0.1/24 fd76::1/64
		address_add lb eth0 10.76.0.2/24 fd76::2/64
		pass_attach router front
		port_add lb eth1
		address_add lb eth1 10.77.0.2/24 fd77::2/64
		route_add lb default 10.76.0.1 default fd76::1
		route_add router 203.0.113.0/24 10.76.0.2 2001:db8:113::/64 fd76::2
	else
		port_add lb eth0
		address_add lb eth0 10.77.0.2/24 fd77::2/64
		route_add lb default 10.77.0.1 default fd77::1
		route_add router 203.0.113.0/24 10.77.0.2 2001:db8:113::/64 fd77::2
	fi
	pass_attach sw lb

	for ((i = 1; i <= BACKENDS; i++)); do
		backend_add "$i"
	done
}

# What is half made is removed.
up_exit()
{
	local code=$?
	trap - EXIT
	trap '' INT TERM
	((code == 0)) || cmd_down
	exit "$code"
}

cmd_up()
{
	type nginx ethtool >/dev/null 2>&1 || lab_die "nginx or ethtool is missing: run scripts/setup.sh"
	# Under an emulated kernel (scripts/vm.sh) nothing is built.
	[[ -n ${WEIR_VM:-} ]] || make -s -C "$LAB_SOURCE" build/bpf/lb_pass.bpf.o >/dev/null ||
		lab_die "cannot build build/bpf/lb_pass.bpf.o"
	[[ $DECAP == off || -x $LAB_BUILD/lb-backend ]] || lab_die "$LAB_BUILD/lb-backend is missing: run make"
	mkdir -p "$LAB_ROOT"
	mkdir "$D" 2>/dev/null || lab_die "$D exists: a lab with the prefix $P is up (lab.sh down --prefix $P)"
	trap up_exit EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM

	mkdir "$D/bpf"
	mount -t bpf bpf "$D/bpf"
	www_make
	printf '%s\n' "ARM=$ARM" "BACKENDS=$BACKENDS" "IPV6=$IPV6" "DECAP=$DECAP" >"$D/settings"
	topology_build
}

# --- down ------------------------------------------------------------------------------------------------------

# Names of this lab's namespaces that exist; a prefix may begin another's.
lab_namespaces()
{
	find /run/netns -mindepth 1 -maxdepth 1 -printf '%f\n' 2>/dev/null |
		grep -xE "$P-(client|router|sw|lb|b[0-9]+|x[a-z0-9]*)" || true
}

# Processes that live in the given namespaces, this one and its parents excepted.
lab_processes()
{
	local inodes pid own=" $$ $BASHPID $PPID "
	inodes=$(stat -L -c 'net:[%i]' "${@/#//run/netns/}" 2>/dev/null) || true
	find /proc -mindepth 3 -maxdepth 3 -path '/proc/[0-9]*/ns/net' -printf '%l %h\n' 2>/dev/null |
		grep -F "$inodes" | sed -n 's|.* /proc/\([0-9]*\)/ns$|\1|p' |
		while read -r pid; do
			[[ $own == *" $pid "* ]] || echo "$pid"
		done
}

cmd_down()
{
	local namespaces pids try
	read -ra namespaces <<<"$(lab_namespaces | tr '\n' ' ')"
	if ((${#namespaces[@]})); then
		for try in {1..60}; do
			read -ra pids <<<"$(lab_processes "${namespaces[@]}" | tr '\n' ' ')"
			((${#pids[@]})) || break
			if ((try == 1)); then
				kill -TERM "${pids[@]}" 2>/dev/null || true
			elif ((try == 40)); then
				kill -KILL "${pids[@]}" 2>/dev/null || true
			fi
			sleep 0.05
		done
		for namespace in "${namespaces[@]}"; do
			ip netns del "$namespace" || true
		done
	fi
	while mountpoint -q "$D/bpf"; do
		umount "$D/bpf" 2>/dev/null || umount -l "$D/bpf"
	done
	rm -rf --one-file-system "${D:?}"
	rmdir "$LAB_ROOT" 2>/dev/null || true
}

cmd_status()
{
	local namespaces
	read -ra namespaces <<<"$(lab_namespaces | tr '\n' ' ')"
	((${#namespaces[@]})) || {
		echo "no lab with the prefix $P"
		return 1
	}
	tr '\n' ' ' <"$D/settings"
	echo "DIR=$D"
	for namespace in "${namespaces[@]}"; do
		echo "$namespace"
		ip -n "$namespace" -br address | sed 's/^/  /'
	done
}

# --- the program -----------------------------------------------------------------------------------------------

lab_main()
{
	set -euo pipefail
	local verb=${1:-help}
	P=weir ARM=two BACKENDS=3 IPV6=yes DECAP=ipip
	shift || true
	if [[ $verb == exec ]]; then
		(($# >= 2)) || lab_die "exec NAMESPACE COMMAND..."
		[[ -e /run/netns/$1 ]] || lab_die "there is no namespace $1"
		exec nsenter --net="/run/netns/$1" -- "${@:2}"
	fi
	while (($#)); do
		case $1 in
		--ipv4-only)
			IPV6=no
			shift
			continue
			;;
		-h | --help)
			lab_usage
			exit 0
			;;
		esac
		(($# >= 2)) || lab_die "$1 is not an option, or has no value"
		case $1 in
		--prefix) P=$2 ;;
		--arm) ARM=$2 ;;
		--backends) BACKENDS=$2 ;;
		--decap) DECAP=$2 ;;
		*) lab_die "unknown option $1" ;;
		esac
		shift 2
	done
	[[ $P =~ ^[a-z][a-z0-9-]{0,31}$ ]] || lab_die "--prefix $P: lower-case letters, digits and hyphens, at most 32"
	[[ $ARM == one || $ARM == two ]] || lab_die "--arm $ARM: one or two"
	[[ $BACKENDS =~ ^([1-9]|[1-9][0-9]|1[0-9][0-9]|200)$ ]] || lab_die "--backends $BACKENDS: 1 to 200"
	[[ $DECAP =~ ^(ipip|gue|none|off)$ ]] || lab_die "--decap $DECAP: ipip, gue, none or off"
	D=$LAB_ROOT/$P
	case $verb in
	up | down | status) [[ $EUID -eq 0 ]] || lab_die "must be root" ;;
	esac
	case $verb in
	up) cmd_up ;;
	down) cmd_down ;;
	status) cmd_status ;;
	help | -h | --help) lab_usage ;;
	*)
		lab_usage >&2
		exit 2
		;;
	esac
}

[[ ${BASH_SOURCE[0]} != "$0" ]] || lab_main "$@"
