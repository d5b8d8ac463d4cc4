#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""The one list of alerts: rules, their tests and the runbook are made from it by dashboards.py.

Alert: what it is called; value, an expression that always has data; the comparison that fires; for how long; how bad; a
line for who is woken; a series that makes it fire and one that keeps it calm, in promtool's notation; and the runbook:
what it means, what to look at, what mends it.
"""
import collections

Alert = collections.namedtuple("Alert", "name value fires wait severity summary bad calm runbook", defaults=("",) * 9)

ALERTS = [
    Alert("WeirDown", 'up{job="weir"}', "== 0", "1m", "critical",
          "lbd on {{ $labels.instance }} does not answer",
          {'up{job="weir"}': "0x30"}, {'up{job="weir"}': "1x30"},
          """Packets flow on while the agent is away: programs and tables are pinned. But nobody checks backends, changes nothing and sweeps no flows.
Look: `systemctl status lbd`, `journalctl -u lbd`, `lbctl doctor` (works without lbd). If lbd runs, is `api.metrics` reachable from Prometheus?
Mend: `systemctl start lbd`; it adopts what runs. If it ends again at once, its last line says why."""),
    Alert("WeirNotAttached", "weir_interface_attached", "== 0", "1m", "critical",
          "{{ $labels.interface }} on {{ $labels.instance }} does not run the packet path",
          {'weir_interface_attached{interface="eth0"}': "0x30"}, {'weir_interface_attached{interface="eth0"}': "1x30"},
          """What comes in on this interface is not balanced.
Look: `lbctl status` says what the kernel refused; `lbctl doctor` whether the driver, its MTU or another XDP program is in the way.
Mend: bring the interface back, lower its MTU, or take the other program away; lbd tries again by itself every few seconds."""),
    Alert("WeirRestarts", "changes(weir_start_time_seconds[30m])", "> 3", "0m", "warning",
          "lbd on {{ $labels.instance }} was started {{ $value }} times in half an hour",
          {"weir_start_time_seconds": "1x5 2x5 3x5 4x5 5x5 6x5"}, {"weir_start_time_seconds": "1x30"},
          """Something kills it, or it ends by itself.
Look: `journalctl -u lbd`, `dmesg` (out of memory?), `weir_agent_resident_bytes`.
Mend: the reason that its last line gives; a crash is a bug to be reported, with that line."""),
    Alert("WeirReloadFailed", "weir_reload_success", "== 0", "5m", "warning",
          "the configuration file of {{ $labels.instance }} could not be used",
          {"weir_reload_success": "0x30"}, {"weir_reload_success": "1x30"},
          """What ran before the reload still runs; what was meant to change has not.
Look: `lbctl validate /etc/weir/weir.json` names the place; `lbctl events` has what the reload said.
Mend: correct the file, `lbctl reload --dry-run`, `lbctl reload`."""),
    Alert("WeirDegraded", "weir_degraded", "== 1", "5m", "warning",
          "{{ $labels.instance }} was started without a usable configuration file",
          {"weir_degraded": "1x30"}, {"weir_degraded": "0x30"},
          """At its start lbd found no file that it could use, and goes on with what ran before. A machine without that would not have started.
Look: `lbctl validate /etc/weir/weir.json`.
Mend: correct the file and reload."""),
    Alert("WeirDrift", "weir_config_drift_keys", "> 0", "1h", "info",
          "what runs on {{ $labels.instance }} differs from its file in {{ $value }} keys",
          {"weir_config_drift_keys": "2x120"}, {"weir_config_drift_keys": "0x120"},
          """Somebody applied a change that is not in the file, or wrote into the file and has not loaded it. The next reload takes the one or makes the other run.
Look: `lbctl status` lists the keys.
Mend: write the change into the file (`--save` does), or reload."""),
    Alert("WeirServiceEmpty", "weir_service_eligible_backends", "== 0", "1m", "critical",
          "{{ $labels.service }} on {{ $labels.instance }} has no backend for new flows",
          {'weir_service_eligible_backends{service="web"}': "0x30"}, {'weir_service_eligible_backends{service="web"}': "3x30"},
          """New connections to the service are dropped (`lbctl drops`: no_backend).
Look: `lbctl health SERVICE` and `lbctl backend list SERVICE` give the reason of each backend: drained, down by hand, failed checks, no next hop.
Mend: what the reason says; `lbctl backend set SERVICE BACKEND --reset` takes an operator's word back."""),
    Alert("WeirServiceWeak", "weir_service_usable_ratio", "< 0.5", "5m", "warning",
          "health leaves {{ $labels.service }} less than half of its weight",
          {'weir_service_usable_ratio{service="web"}': "0.3x30"}, {'weir_service_usable_ratio{service="web"}': "1x30"},
          """The backends that are left take the others' share.
Look: `lbctl health SERVICE`: how do checks end (refused, timeout, status)? The same on all is a deployment, or the way to them.
Mend: the backends. If they are well and only the check is wrong: `lbctl backend set SERVICE BACKEND --breaker off`."""),
    Alert("WeirServiceEjected", "weir_service_ejected_ratio", "> 0.3", "10m", "warning",
          "passive suspicion keeps {{ $value | humanizePercentage }} of {{ $labels.service }} out",
          {'weir_service_ejected_ratio{service="web"}': "0.4x30"}, {'weir_service_ejected_ratio{service="web"}': "0x30"},
          """Clients of these backends retry or are reset more than those of their siblings, while their checks are answered.
Look: `lbctl health SERVICE` and the backends' own errors.
Mend: the backends; or check what they really do."""),
    Alert("WeirDrops", 'sum by (instance) (rate(weir_packets_total{what="drop"}[5m])) / sum by (instance) (rate(weir_packets_total{what="rx"}[5m]))',
          "> 0.01", "5m", "warning", "{{ $labels.instance }} drops {{ $value | humanizePercentage }} of its packets",
          {'weir_packets_total{what="drop"}': "0+600x30", 'weir_packets_total{what="rx"}': "0+6000x30"},
          {'weir_packets_total{what="drop"}': "0+1x30", 'weir_packets_total{what="rx"}': "0+6000x30"},
          """Look: `lbctl drops --interval 5` by reason, with an example of each; the dashboard of the balancer has them over time.
Mend: bad headers and echo limits are the sender's doing, and often an attack that is being held off; the reasons of WeirOwnDrops are ours."""),
    Alert("WeirOwnDrops", 'rate(weir_reason_packets_total{reason=~"no_backend|nexthop|too_big|headroom|egress|internal"}[5m])', "> 1", "5m", "warning",
          "{{ $labels.instance }} drops packets of its services: {{ $labels.reason }}",
          {'weir_reason_packets_total{reason="nexthop"}': "0+600x30"}, {'weir_reason_packets_total{reason="nexthop"}': "0x30"},
          """Good packets that we could not forward. no_backend: see WeirServiceEmpty. nexthop: see WeirUnresolved. too_big: the way to the backends is too narrow for the
tunnel; raise its MTU. headroom: the driver; see `lbctl doctor`. egress: the interface is gone. internal: a bug; report it with `lbctl drops`."""),
    Alert("WeirLostBehind", "rate(weir_redirect_lost_packets_total[5m])", "> 10", "5m", "warning",
          "{{ $labels.interface }} on {{ $labels.instance }} refuses {{ $value }} redirected packets a second",
          {'weir_redirect_lost_packets_total{interface="eth1",ifindex="3"}': "0+6000x30"},
          {'weir_redirect_lost_packets_total{interface="eth1",ifindex="3"}': "0x30"},
          """The packet path handed them on, the driver did not take them.
Look: is the interface up and its link there? Are its transmit rings full (`ethtool -S`)? `lbctl doctor` on XDP transmission.
Mend: larger rings, more queues; on veth an XDP program or GRO at the other end."""),
    Alert("WeirTxLost", "rate(weir_tx_lost_packets_total[5m])", "> 10", "5m", "warning",
          "{{ $labels.interface }} on {{ $labels.instance }} refuses {{ $value }} packets a second that were sent back out",
          {'weir_tx_lost_packets_total{interface="eth0",ifindex="2"}': "0+6000x30"},
          {'weir_tx_lost_packets_total{interface="eth0",ifindex="2"}': "0x30"},
          """As WeirLostBehind, in one arm."""),
    Alert("WeirTableFull", "weir_table_used / weir_table_capacity", "> 0.8", "10m", "warning",
          "the table {{ $labels.table }} of {{ $labels.instance }} is {{ $value | humanizePercentage }} full",
          {'weir_table_used{table="flows"}': "90x30", 'weir_table_capacity{table="flows"}': "100x30"},
          {'weir_table_used{table="flows"}': "10x30", 'weir_table_capacity{table="flows"}': "100x30"},
          """services, backends, ring_slots: a change that needs more will be refused, and says so; nothing breaks. flows: new flows of moved slots stay with their old backend
(WeirRefusedInserts).
Mend: raise the limit in the configuration and apply it: larger tables take over, no connection breaks."""),
    Alert("WeirRefusedInserts", "rate(weir_refused_inserts_total[5m])", "> 1", "5m", "warning",
          "the flow table of {{ $labels.instance }} has no room for {{ $value }} flows a second",
          {"weir_refused_inserts_total": "0+600x30"}, {"weir_refused_inserts_total": "0x30"},
          """While slots are moving, new flows that are not remembered stay with the old backend until the slot settles: a change takes longer, no connection breaks.
Look: `weir_flow_embryonic_entries`: many of them are a SYN flood. Mend: raise `limits.flow_entries`; make smaller changes."""),
    Alert("WeirUnsettledLong", "weir_unsettled_seconds", "> 21600", "0m", "info",
          "slots of {{ $labels.instance }} have been waiting for old flows for {{ $value | humanizeDuration }}",
          {"weir_unsettled_seconds": "30000x30"}, {"weir_unsettled_seconds": "100x30"},
          """Long connections of a backend that was moved away from: kept, as they should be. Packets of such slots cost a look-up more.
Look: `lbctl flows`, `lbctl backend list`. Mend: nothing, or let them go: `lbctl backend set SERVICE BACKEND --state down`."""),
    Alert("WeirUnresolved", "weir_unresolved_backends", "> 0", "5m", "warning",
          "{{ $value }} backends of {{ $labels.instance }} have no next hop",
          {"weir_unresolved_backends": "2x30"}, {"weir_unresolved_backends": "0x30"},
          """Packets to them are dropped (nexthop).
Look: `lbctl status` and `lbctl backend list` say why: no route, no neighbour, an interface that XDP cannot send by.
Mend: the route, the cable, the backend's address."""),
    Alert("WeirVipWithdrawn", 'weir_announced_vips{state="withdrawn"} * on (instance) group_left weir_fleet_member', "> 0", "1m", "critical",
          "{{ $labels.instance }} does not announce {{ $value }} of its VIPs",
          {'weir_announced_vips{state="withdrawn"}': "2x30", "weir_fleet_member": "1x30"},
          {'weir_announced_vips{state="withdrawn"}': "2x30", "weir_fleet_member": "0x30"},
          """Clients reach these VIPs by other balancers, or not at all.
Look: `lbctl status` gives the reason: too few backends pass their checks and have a next hop (`min_active`, `on_empty`), XDP is not attached, or it was withdrawn just now (`hold_down_s`).
Mend: what the reason says, `lbctl health` for the backends."""),
    Alert("WeirLeft", "weir_fleet_member", "== 0", "1h", "info",
          "{{ $labels.instance }} has left its fleet",
          {"weir_fleet_member": "0x90"}, {"weir_fleet_member": "1x90"},
          """Somebody said `lbctl leave`, which lasts beyond restarts, upgrades and reboots.
Look: `lbctl events`. Mend: `lbctl join`, once what it left for is done."""),
    Alert("WeirNoElection", "weir_lan_unled", "== 1", "1m", "critical",
          "nothing decides whether {{ $labels.instance }} answers for VIPs on its LAN",
          {"weir_lan_unled": "1x30"}, {"weir_lan_unled": "0x30"},
          """This balancer answers for none of them; if it is so on all of them, nobody does.
Look: `lbctl status` says which is missing; `systemctl status lb-neighbor keepalived`, `lb-neighbor status`.
Mend: `systemctl enable --now lb-neighbor keepalived`; keepalived's virtual router and `announce.group` must have one number, `announce.interface` must be there."""),
    Alert("WeirHealthStale", "weir_health_stale", "== 1", "5m", "warning",
          "lb-checkd is away from {{ $labels.instance }}: verdicts are of earlier",
          {"weir_health_stale": "1x30"}, {"weir_health_stale": "0x30"},
          """Backends stay as they were judged last; who dies now is not noticed.
Look: `systemctl status lb-checkd`. Mend: start it."""),
    Alert("WeirHealthFrozen", "weir_health_frozen", "== 1", "1m", "warning",
          "most backends seem to fail at once: {{ $labels.instance }} suspects its checker",
          {"weir_health_frozen": "1x30"}, {"weir_health_frozen": "0x30"},
          """Verdicts are frozen for a while: it is likelier that the checks do not get there than that everybody is down.
Look: the network of the balancer, firewall rules, the load of its CPUs; `lbctl health`. Mend: that; if they are all down, verdicts follow by themselves."""),
    Alert("WeirCheckerLate", "weir_checker_late_seconds", "> 1", "5m", "warning",
          "lb-checkd on {{ $labels.instance }} is {{ $value }} s late with its checks",
          {"weir_checker_late_seconds": "3x30"}, {"weir_checker_late_seconds": "0x30"},
          """It has more to check than its processor time allows. Mend: longer intervals, cheaper checks (tcp), more CPU for its unit."""),
    Alert("WeirBreakersOpen", 'sum by (instance) (weir_breaker_backends{state="open"}) / sum by (instance) (weir_breaker_backends)', "> 0.2", "5m", "warning",
          "{{ $value | humanizePercentage }} of the checked backends of {{ $labels.instance }} fail their checks",
          {'weir_breaker_backends{state="open"}': "5x30", 'weir_breaker_backends{state="closed"}': "5x30"},
          {'weir_breaker_backends{state="open"}': "0x30", 'weir_breaker_backends{state="closed"}': "5x30"},
          """Look: `lbctl health`; on one balancer only, it is its way to them; on all, the backends. Mend: as WeirServiceWeak."""),
    Alert("WeirBreakersFlap", "increase(weir_breaker_opens_total[30m])", "> 20", "0m", "warning",
          "breakers of {{ $labels.instance }} opened {{ $value }} times in half an hour",
          {"weir_breaker_opens_total": "0+5x30"}, {"weir_breaker_opens_total": "0x30"},
          """Backends come and go: overloaded at their full share, or a check that is too tight.
Look: `lbctl events`; `weir_service_check_seconds` against the timeout. Mend: a longer ramp or slow start, more backends, a kinder check."""),
    Alert("WeirOverridesOld", "weir_overrides", "> 0", "24h", "info",
          "{{ $value }} backends of {{ $labels.instance }} are otherwise by hand for a day",
          {"weir_overrides": "1x1500"}, {"weir_overrides": "0x1500"},
          """Look: `lbctl status` lists who said what, when and why. Mend: `lbctl backend set SERVICE BACKEND --reset`, or write it into the file."""),
    Alert("WeirDrainStuck", "weir_draining_backends - weir_drained_backends", "> 0", "24h", "info",
          "{{ $value }} backends of {{ $labels.instance }} have been draining for a day",
          {"weir_draining_backends": "2x1500", "weir_drained_backends": "1x1500"},
          {"weir_draining_backends": "2x1500", "weir_drained_backends": "2x1500"},
          """Somebody's connection does not end. Look: `lbctl backend list` (packets in the last interval), `lbctl flows`. Mend: wait, or let it go."""),
    Alert("WeirCpuImbalance", 'max by (instance) (rate(weir_cpu_packets_total{what="rx"}[5m])) / avg by (instance) (rate(weir_cpu_packets_total{what="rx"}[5m]))',
          '> 3 and sum by (instance) (rate(weir_cpu_packets_total{what="rx"}[5m])) > 100000', "10m", "warning",
          "one CPU of {{ $labels.instance }} gets {{ $value }} times the packets of the average",
          {'weir_cpu_packets_total{what="rx",cpu="0"}': "0+60000000x30", 'weir_cpu_packets_total{what="rx",cpu="1"}': "0+60x30",
           'weir_cpu_packets_total{what="rx",cpu="2"}': "0+60x30", 'weir_cpu_packets_total{what="rx",cpu="3"}': "0+60x30"},
          {'weir_cpu_packets_total{what="rx",cpu="0"}': "0+60000000x30", 'weir_cpu_packets_total{what="rx",cpu="1"}': "0+60000000x30"},
          """Fewer queues than CPUs, all interrupts on one CPU, RSS over addresses alone, or one elephant flow.
Look: `lbctl doctor`, the dashboard of cores. Mend: the command that doctor prints (queues, RSS fields, IRQ affinity)."""),
    Alert("WeirTakenAway", "sum by (instance) (increase(weir_repairs_total[1h]))", "> 3", "0m", "warning",
          "somebody takes links, pins or sockets of {{ $labels.instance }} away",
          {'weir_repairs_total{what="pin"}': "0+1x60"}, {'weir_repairs_total{what="pin"}': "0x60"},
          """lbd makes them anew, but packets are not balanced in between where it was a link.
Look: `lbctl events` says what and when; who runs `bpftool`, `ip link set xdp off` or cleans /sys/fs/bpf or /run? Mend: stop it."""),
    Alert("WeirSourceSilent", "weir_source_silent_seconds", "> 300", "0m", "warning",
          "source {{ $labels.source }} of {{ $labels.instance }} says nothing",
          {'weir_source_silent_seconds{source="k8s"}': "400x30"}, {'weir_source_silent_seconds{source="k8s"}': "3x30"},
          """What it said last goes on; its services follow nothing that changes. Look: the helper's unit and log. Mend: start it."""),
    Alert("WeirAgentBusy", "rate(weir_agent_cpu_seconds_total[5m])", "> 0.8", "10m", "warning",
          "lbd on {{ $labels.instance }} uses {{ $value }} of a CPU",
          {"weir_agent_cpu_seconds_total": "0+54x30"}, {"weir_agent_cpu_seconds_total": "0+1x30"},
          """Packets do not wait for it; changes and health do. Look: `lbctl events` (a source that changes all the time?), scrapes, `lbctl top`. Mend: who asks so much."""),
    Alert("WeirScrapesRefused", "rate(weir_scrapes_refused_total[5m])", "> 0.1", "10m", "info",
          "{{ $labels.instance }} refuses scrapes",
          {"weir_scrapes_refused_total": "0+60x30"}, {"weir_scrapes_refused_total": "0x30"},
          """More than 32 clients read the same metrics at once. Look: who they are (`ss -tnp`). Mend: one Prometheus, with others behind it; a firewall."""),
    Alert("WeirFleetDiffers", "max by (service) (weir_service_backends) - min by (service) (weir_service_backends)", "> 0", "15m", "warning",
          "balancers have different backends for {{ $labels.service }}",
          {'weir_service_backends{service="web",instance="a"}': "3x60", 'weir_service_backends{service="web",instance="b"}': "4x60"},
          {'weir_service_backends{service="web",instance="a"}': "3x60", 'weir_service_backends{service="web",instance="b"}': "3x60"},
          """Balancers with different pools build different rings: a connection that comes to another balancer may go to another backend.
Look: `lbctl diff -f` with the fleet's file on each. Mend: one file for all."""),
]
