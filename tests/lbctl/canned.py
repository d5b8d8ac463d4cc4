# SPDX-License-Identifier: GPL-2.0-only
"""What an agent answers, as docs/api.md has it: one document per path, with counters that no double can hold."""

BIG = 18446744073709551615  # 2^64 - 1
ODD = 9007199254740993      # 2^53 + 1: the first integer a double cannot hold

SERVICE = {
    "name": "web", "vip": "203.0.113.10", "protocol": "tcp", "port": 443, "forward": "ipip",
    "algorithm": "maglev", "affinity": "flow", "ring_size": 65536, "idle_timeout_s": 900,
    "backends_total": 2, "backends_active": 1, "unsettled_slots": 1200, "unsettled_since_s": 12,
    "entries": 321, "packets": ODD, "bytes": BIG, "syns": 77,
}
SERVICE6 = dict(SERVICE, name="dns", vip="2001:db8::53", protocol="udp", port="any", unsettled_slots=0,
                unsettled_since_s=None)


def backend(name, **more):
    b = {
        "service": "web", "name": name, "address": "10.0.1.11", "id": 1, "index": 0, "weight": 100,
        "state": "active", "leaving": False, "draining": None, "configured": {"weight": 100, "state": "active"},
        "nexthop": {"resolved": True, "interface": "eth0", "mac": "02:00:00:00:00:11", "mtu": 1500, "action": "tx"},
        "reasons": [], "slots": 32768, "share": 0.5, "slots_base": 32768, "entries": 321, "packets": ODD, "bytes": BIG, "syns": 77,
    }
    b.update(more)
    return b


def draining(slots, flows, **more):
    """A backend "web-2" that drains."""
    d = {"for_s": 35, "limit_s": 86400, "drained": False, "let_go": False, "packets": 40, "interval_ms": 1000,
         "last_packet_s": 3}
    d.update(more)
    return backend("web-2", state="drain", address="10.0.1.12", slots=0, slots_base=slots, entries=flows, draining=d)


BACKENDS = [
    backend("web-1"),
    backend("web-2", state="drain", address="10.0.1.12",
            reasons=[{"origin": "operator", "state": "drain", "holds": True, "reason": "disk", "uid": 0, "pid": 123,
                      "since": "2026-11-30T12:00:00.000Z", "until": "2026-11-30T12:30:00.000Z"},
                     {"origin": "health", "state": "drain", "share_permille": 125, "holds": False, "stale": True,
                      "reason": "connect refused", "since": "2026-11-30T12:00:00.000Z"}],
            nexthop={"resolved": False, "interface": None, "mac": None, "mtu": 0, "action": None, "why": "no route"}),
]

PLAN = {
    "applied": False, "dry_run": True, "generation": 7, "from_generation": 7, "breaks": False,
    "plan": "0123456789abcdef", "why_breaks": None, "refused": None, "changes_total": 3,
    "changes": [
        {"path": "services[web].backends[web-2].weight", "change": "modify", "from": 100, "to": 50, "effect": "new",
         "when": "with the next apply or reload, for new flows; no flow is moved",
         "note": "an override hides it: the weight stays 7"},
        {"path": "interfaces[eth1]", "change": "add", "effect": "apply", "when": "with the next apply or reload"},
        {"path": "limits.services", "change": "modify", "from": 10, "to": 20, "effect": "maps",
         "when": "when the kernel's tables are made"}],
    "services": [{
        "name": "web", "change": "modify", "slots": 65536, "slots_moved": 16384, "slots_moved_percent": 25.0,
        "entries_at_risk": 0, "breaks": False, "why_breaks": None, "idle_timeout_s": 900,
        "backends": [
            {"name": "web-1", "change": "none", "slots_before": 32768, "slots_after": 49152,
             "flows_at_risk": False, "entries_at_risk": 0},
            {"name": "web-2", "change": "modify", "slots_before": 32768, "slots_after": 16384,
             "flows_at_risk": False, "entries_at_risk": 0},
            {"name": "web-3", "change": "none", "slots_before": 9, "slots_after": 9,
             "flows_at_risk": False, "entries_at_risk": 0}]}],
}
BREAKING = dict(PLAN, breaks=True, services=[
    dict(PLAN["services"][0], breaks=True, why_breaks="web-2 is down: its connections end", entries_at_risk=120)])
EMPTY = dict(PLAN, services=[], changes=[], changes_total=0)


def done(plan, generation=8):
    return dict(plan, applied=True, dry_run=False, generation=generation)


ETHERNET = "020000000011" "0200000000aa" "0800"
OUTER = "4500003c00000000400400000ac80001" "0a00010b"
INNER = "4500002800000000400600007f000001cb00710a" "9c4001bb000000010000000050020000ffff0000"

SAMPLING = {"on": True, "one_in": 64, "estimated": True, "cost_ratio": 0.0042, "agent_ns": 12, "packets": 99, "events": 44, "events_lost": 3,
            "handshakes_refused": 0, "handshakes_replaced": 0, "connections_refused": 0, "events_unknown": 0, "events_malformed": 0}
OBSERVED = {"sampled": 100, "open": 640, "started": 6400, "completed": 6200, "gave_up": 64, "retried": 128, "syns_again": 192, "syns_anew": 64,
            "resent": 0, "segments_resent": 0, "reset_early": 64, "reset_late": 0, "closed": 5000, "silent": 0, "ended_bytes": 5120000,
            "tls_hellos": 3200, "tls_resumptions": 1600, "tls_1_3": 3200, "tls_1_2": 0, "tls_older": 0, "tls_alpn_h2": 3200,
            "tls_alpn_http_1_1": 0, "tls_alpn_other": 0, "tls_bad": 0, "handshake_ns": {"p50": 262144, "p90": 1048576, "p99": 4294967296},
            "duration_ns": {"p50": 2147483648, "p90": 0, "p99": 0},
            "recent": {"seconds": 60, "started": 1, "retried": 0, "gave_up": 0, "completed": 1, "resets": 0, "resent": 0}}

ANSWERS = {
    "GET /v1/version": {"version": "1.0", "layout": 1, "kernel": "6.1.0", "libbpf": "1.1.2", "libxdp": "1.3.1"},
    "GET /v1/status": {
        "version": "1.0", "pid": 4711, "uptime_s": 11520, "generation": 7, "config_file": "/etc/weir/weir.json",
        "state": "running",
        "interfaces": [{"name": "eth0", "ifindex": 2, "up": True, "mode": "native", "attach": "exclusive",
                        "attach_note": "dispatcher refused by the kernel (EPERM): attached exclusively",
                        "program_id": 42}],
        "services": 2, "backends": 4, "unsettled_slots": 1200, "unsettled_since_s": 12,
        "flow_table": {"entries": 321, "embryonic": 5, "capacity": 4194304, "bytes": 67108864},
        "tables": {"services": {"used": 2, "size": 1024}, "backends": {"used": 4, "size": 4096},
                   "ring_slots": {"used": 131072, "size": 1048576}},
        "uneven": {"services": 3, "worst": [
            {"service": "web", "backend": "web-2", "slots": 31, "expected_slots": 32, "off": -0.03125,
             "why": "its share is few slots, and slots are whole"}]},
        "packets": {"rx": BIG, "tx": ODD, "redirect": 0, "pass": 12, "drop": 3},
        "last_error": None, "warnings": ["next hop of web-2 is not resolved"]},
    "GET /v1/generations": {"generations": [
        {"generation": 7, "time": 1700000000, "cause": "apply", "services": 2, "running": True},
        {"generation": 6, "time": 1600000000, "cause": "apply", "services": 1, "running": False}]},
    "GET /v1/config": {"version": 1, "hash_seed": "x", "interfaces": [], "services": []},
    "GET /v1/services": {"services": [SERVICE, SERVICE6]},
    "GET /v1/services/web": dict(SERVICE, backends=BACKENDS, tiers={
        "why": "tier 0 has 40 of 100 of its weight, less than 50 %: tier 1 gives what is missing", "below_floor": False,
        "tiers": [{"tier": 0, "weight": 100, "usable_weight": 40, "share_permille": 1000},
                  {"tier": 1, "weight": 100, "usable_weight": 100, "share_permille": 125},
                  {"tier": 2, "weight": 100, "usable_weight": 100, "share_permille": 0}]}),
    "GET /v1/services/web/ring": {
        "service": "web", "algorithm": "maglev", "size": 64, "generation": 7, "max_over_mean": 1.031,
        "unsettled_slots": 1,
        "owners": [{"backend": "web-1", "slots": 33, "share": 0.515625, "expected_share": 0.5},
                   {"backend": "web-2", "slots": 31, "share": 0.484375, "expected_share": 0.5}],
        "backends": ["web-1", None, "web-2"]},
    "GET /v1/backends": {"backends": BACKENDS},
    "GET /v1/stats": {
        "time_ms": 1000, "totals": {"rx": BIG, "tx": ODD, "redirect": 0, "pass": 12, "drop": 3, "bytes": BIG},
        "cpus": [{"cpu": 0, "rx": BIG, "tx": ODD, "redirect": 0, "pass": 12, "drop": 3}],
        "services": [{"name": "web", "packets": ODD, "bytes": BIG, "syns": 77, "known": 4, "base": 0, "refused": 0,
                      "backends": [{"name": "web-1", "tx_packets": ODD, "tx_bytes": BIG, "redirect_packets": 0,
                                    "redirect_bytes": 0, "syns": 77, "known": 4, "base": 0, "refused": 0}]}]},
    "GET /v1/drops": {"reasons": [
        {"reason": "ttl", "action": "drop", "help": "TTL or hop limit would reach zero when forwarded",
         "packets": 1234567,
         "example": {"hex": ETHERNET + INNER, "frame_bytes": 60, "age_s": 75}},
        {"reason": "not_ip", "action": "pass", "help": "not IPv4 or IPv6: for the host", "packets": 12},
        {"reason": "egress", "action": "drop", "help": "the egress interface is gone", "packets": 0}],
        "redirects": {"counted": True, "why": None, "interfaces": [
            {"interface": "eth1", "ifindex": 3, "sent": 999000, "lost": 1000},
            {"interface": "eth2", "ifindex": 4, "sent": 5, "lost": 0}]},
        "sent_back": {"counted": True, "why": None, "interfaces": [
            {"interface": "eth0", "ifindex": 2, "sent": 990, "lost": 10},
            {"interface": "eth1", "ifindex": 3, "sent": 0, "lost": 7}]},
        "since_s": 3600},
    "POST /v1/explain": {
        "generation": 7, "packet": ETHERNET + INNER,
        "steps": [{"step": "parse", "text": "IPv4, TCP SYN"}, {"step": "slot", "text": "slot 17: cur web-1", "slot": 17}],
        "service": "web", "slot": 17, "cur": "web-1", "base": "web-1", "settled": True, "flow_entry": None,
        "backend": "web-1", "verdict": "XDP_TX", "reason": None, "packet_out": ETHERNET + OUTER + INNER, "agrees": True},
    "GET /v1/flows": {"flows": [{"service": "web", "backend": "web-1", "slot": 17, "state": "established", "idle_s": 3,
                       "client": "198.51.100.7:40000"}, {"service": "web", "backend": "web-2", "slot": 18, "state": "embryonic", "idle_s": 4, "client": None}],
                      "total": 321, "truncated": True, "clients_known": 1},
    "GET /v1/observe": {"sampling": SAMPLING, "services": [dict(OBSERVED, name="web")]},
    "GET /v1/observe/web": dict(OBSERVED, sampling=dict(SAMPLING, one_in=1, estimated=False, events_lost=0), service="web",
                                backends=[dict(OBSERVED, name="web-1", leaving=False)]),
    "GET /v1/events": {"oldest": 1, "last": 2, "missed": 0, "ahead": False, "events": [{"id": 1, "time": "2023-11-14T22:13:20.123Z", "kind": "start", "message": "lbd 1.0 started"},
                                  {"id": 2, "time": 1700000001, "kind": "apply", "message": "generation 7"}]},
    "GET /v1/health": {
        "checker": {"connected": True, "stale": False, "suspicion": "none", "targets": 1, "checks": 9, "pending": 0, "late_ms": 0,
                    "frozen_times": 0, "canary": {"address": "10.0.1.1", "port": 80, "verdict": "down", "last": "timeout"},
                    "path": {"sent": 9, "not_ours": 0, "no_record": 0, "no_way": 0, "refused": 0}},
        "backends": [
            {"service": "web", "backend": "web-1", "address": "10.0.1.11", "tier": 0, "says": "drain", "share_permille": 0,
             "reason": "refused, 4 checks in a row",
             "breaker": {"state": "open", "why": "refused, 4 checks in a row", "since_s": 61, "share_permille": 0,
                         "failures_in_a_row": 2, "fall": 4, "opens": 1, "retry_s": 0},
             "check": {"kind": "tcp", "address": "203.0.113.10", "port": 443, "target": "vip", "via": "10.0.1.11", "path": None, "interval_ms": 2000, "last": "refused",
                       "last_text": "refused", "detail": 111, "last_age_s": 0.4, "duration_ms": 0.2, "outcomes": {"ok": 5}}},
            {"service": "web", "backend": "web-2", "address": "10.0.1.12", "tier": 1, "says": "active", "share_permille": 1000,
             "reason": "", "breaker": None, "check": None},
            {"service": "dns", "backend": "dns-1", "address": "10.0.1.12", "tier": 0, "says": "active", "share_permille": 1000,
             "reason": "", "breaker": {"state": "closed", "why": "", "since_s": 61, "share_permille": 1000, "failures_in_a_row": 0,
                                       "fall": 4, "opens": 0},
             "check": {"kind": "udp", "address": "203.0.113.10", "port": 53, "target": "vip", "via": "10.0.1.12",
                       "path": "the VIP is an address of this host", "interval_ms": 2000, "last": None, "outcomes": {"ok": 0}}}],
        "services": [{"service": "web", "weight": 200, "usable_weight": 20, "tiers": 1, "last_tier": 0,
                      "last_tier_share_permille": 1000, "below_floor": True}]},
    "POST /v1/apply": PLAN,
    "POST /v1/diff": PLAN,
    "POST /v1/reload": PLAN,
    "POST /v1/rollback": PLAN,
    "PATCH /v1/services/web/backends/web-1": PLAN,
    "PATCH /v1/services/web/backends/web-2": PLAN,
    "PATCH /v1/hosts/10.0.1.12": PLAN,
    "PUT /v1/services/ntp": PLAN,
    "PUT /v1/services/web": PLAN,
    "DELETE /v1/services/web": PLAN,
    "PUT /v1/services/web/backends/web-1": PLAN,
    "PUT /v1/services/web/backends/web-3": PLAN,
    "DELETE /v1/services/web/backends/web-1": PLAN,
}
DUMP = dict(ANSWERS["GET /v1/services/web/ring"],
            slots=[[0, 0, 0], [2, 0, 1], [2, 2, 0], [None, None, 0]])
