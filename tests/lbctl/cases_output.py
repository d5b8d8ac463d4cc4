# SPDX-License-Identifier: GPL-2.0-only
"""What people read, changes, completion, the manual page."""

import glob
import json
import os
import re
import select
import shutil
import subprocess
import time

import canned
from harness import DIR, ENV, LBCTL, OFFLINE, ROOT, STREAMS, VERBS, expect, expect_failure, lbctl, on_terminal, test


# --- what people read ------------------------------------------------------------------------------------------

@test
def status_in_80_columns(lbd):
    r = lbctl("status")
    for text in ("lbd           running, version 1.0, pid 4711, for 3 h 12 min", "generation 7: 2 services, 4 backends; /etc/weir",
                 "eth0: up, XDP native, exclusive, program 42; dispatcher refused", "1200 unsettled, for 12 s",
                 "321 of 4.19M entries, 5 embryonic, 64.0 MiB", "18.4E in: 9.01P tx, 0 redirect, 12 pass, 3 drop",
                 "shares        more than 2 % off in 3 services, most for web/web-2: 3.1 % too few (31 slots instead of 32.0): its share is",
                 "warning       next hop of web-2 is not resolved"):
        expect(text in r.out, text, r)
    expect("\x1b" not in r.out, r)
    rc, seen = on_terminal("status")
    expect(rc == 0 and max(map(len, seen.splitlines())) <= 80, seen)


@test
def tables_fit_a_terminal_and_are_whole_elsewhere(lbd):
    for words in (["service", "list"], ["backend", "list"], ["backend", "list", "web"], ["drops"], ["stats"], ["ring", "web"],
                  ["generations"]):
        rc, seen = on_terminal(*words)
        lines = re.sub("\x1b\\[[01]m", "", seen).splitlines()
        expect(rc == 0 and max(map(len, lines)) <= 80, words, seen)
        expect("\x1b[1m" in seen or words == ["config"], seen)
    expect("BYTES" in lbctl("service", "list").out and "ALGORITHM" in lbctl("service", "list").out)
    r = lbctl("service", "list")
    expect("web      tcp 203.0.113.10:443" in r.out and "dns      udp [2001:db8::53]:any" in r.out, r)


@test
def backends_and_their_overrides(lbd):
    r = lbctl("backend", "list")
    expect("drain*" in r.out and "UNRESOLVED  no route" in r.out and "set by hand: lbctl backend set" in r.out and "SERVICE" in r.out, r)
    expect("tx eth0     02:00:00:00:00:11" in r.out, r)
    flat = " ".join(r.out.split())
    expect("* web/web-2: drain by operator (uid 0, pid 123) since 2026-11-30 12:00:00 until 2026-11-30 12:30:00: disk" in flat, r)
    expect("* web/web-2: drain, 12.5 % of its weight (overruled) by health since" in flat and ", stale: connect refused" in flat, r)
    r = lbctl("backend", "list", "web")
    expect(r.out.startswith("BACKEND") and "web-2" in r.out, r)
    r = lbctl("service", "show", "web")
    expect("65536 slots, 1200 unsettled, for 12 s" in r.out and "web-1" in r.out, r)
    expect("tiers       0, 1 (12.5 %): tier 0 has 40 of 100 of its weight, less than 50 %" in r.out, r)
    expect_failure(lbctl("backend", "list", "nope"), "there is no /v1/services/nope")


@test
def backend_set_sends_what_was_asked(lbd):
    path = "/v1/services/web/backends/web-1"
    for words, query, body in [
        (["--weight", "10"], "", {"weight": 10}), (["--state", "drain"], "", {"state": "drain"}),
        (["--weight=0", "--state=down"], "", {"weight": 0, "state": "down"}),
        (["--reset"], "", {"weight": None, "state": None, "breaker": None}),
        (["--reset", "--state", "active", "--dry-run"], "?dry_run=1", {"weight": None, "state": "active", "breaker": None}),
        (["--state", "drain", "--reason", 'a "disk"', "--for", "30m"], "", {"state": "drain", "reason": 'a "disk"', "for_s": 1800}),
        (["--breaker", "off", "--for=90"], "", {"breaker": "off", "for_s": 90}),
        (["--breaker", "auto", "--for=366d"], "", {"breaker": "auto", "for_s": 31622400}),
    ]:
        lbd.requests = []
        r = lbctl("backend", "set", "web", "web-1", *words)
        # It is looked at first, and what was looked at is what is done.
        queries = ["?dry_run=1"] + ([] if query else ["?expect_plan=0123456789abcdef"])
        expect(r.rc == 0 and [got for _, got, _ in lbd.requests] == [path + q for q in queries], r, lbd.requests)
        expect(all(method == "PATCH" and json.loads(sent) == body for method, _, sent in lbd.requests), lbd.requests)
    for wrong in ("0", "-1", "1w", "m", "", " 5", "367d", "99999999999999999999", "5m "):
        expect(lbctl("backend", "set", "web", "web-1", "--state", "drain", "--for=" + wrong).rc == 2, wrong)
    expect(lbctl("backend", "set", "web", "web-1", "--breaker", "opne").rc == 2)
    lbctl("backend", "set", "a/b?", "ä", "--weight", "1")
    expect(lbd.requests[-1][1] == "/v1/services/a%2Fb%3F/backends/%C3%A4?dry_run=1", lbd.requests)
    # What breaks connections wants the word.
    breaks = dict(canned.PLAN, breaks=True, why_breaks="it goes down")
    lbd.answers["PATCH " + path] = breaks
    lbd.requests = []
    expect_failure(lbctl("backend", "set", "web", "web-1", "--state", "down"), "--allow-break")
    expect(len(lbd.requests) == 1, lbd.requests)
    expect(lbctl("backend", "set", "web", "web-1", "--state", "down", "--allow-break").rc == 0)
    expect(lbd.requests[-1][1] == path + "?expect_plan=0123456789abcdef&allow_break=1", lbd.requests)
    # One that leaves can be let go.
    lbd.answers["PATCH " + path] = dict(breaks, let_go=True, services=[], changes=[], changes_total=0, applied=True)
    r = lbctl("backend", "set", "web", "web-1", "--state", "down", "--allow-break")
    expect(r.rc == 0 and "is let go" in r.out and "BREAKS connections: it goes down" in r.out, r)


@test
def ring_and_its_dump(lbd):
    r = lbctl("ring", "web")
    expect("web: 64 slots by maglev, generation 7, fullest over mean 1.031, 1 unsettled" in r.out, r)
    expect(re.search(r"web-1 +33 +51\.562 % +50\.000 % +1\.031", r.out), r)
    lbd.answers["GET /v1/services/web/ring"] = canned.DUMP
    r = lbctl("ring", "web", "--dump")
    expect(r.out == "0 web-1 web-1 settled\n1 web-2 web-1 unsettled\n2 web-2 web-2 settled\n3 - - settled\n", r)
    expect(lbd.requests[-1][1] == "/v1/services/web/ring?dump=1", lbd.requests)


@test
def explain_splits_the_packet(lbd):
    r = lbctl("explain", "tcp", "203.0.113.1:40000", "203.0.113.10:443", "--syn")
    expect(json.loads(lbd.requests[-1][2]) == {"protocol": "tcp", "source": "203.0.113.1:40000", "destination": "203.0.113.10:443",
                                                "syn": True}, lbd.requests)
    for text in ("slot   slot 17: cur web-1", "verdict XDP_TX, generation 7", "74 bytes would leave (54 came in):",
                 "Ethernet: 02:00:00:00:00:aa -> 02:00:00:00:00:11", "outer header: IPv4, 10.200.0.1 -> 10.0.1.11, protocol 4, TTL 64",
                 "    000e  45 00 00 3c", "inner packet: IPv4, 127.0.0.1 -> 203.0.113.10, protocol 6, TTL 64", "    0022  45 00 00 28"):
        expect(text in r.out, text, r)
    lbctl("explain", "udp", "[2001:DB8:0::1]:1", "[2001:db8::2]:65535")
    sent = json.loads(lbd.requests[-1][2])
    expect(sent["source"] == "[2001:db8::1]:1" and sent["destination"] == "[2001:db8::2]:65535" and not sent["syn"], sent)
    lbd.answers["POST /v1/explain"] = dict(canned.ANSWERS["POST /v1/explain"], agrees=False)
    expect_failure(lbctl("explain", "tcp", "203.0.113.1:1", "203.0.113.10:443"), "runs another program")
    expect(lbctl("-j", "explain", "tcp", "203.0.113.1:1", "203.0.113.10:443").rc == 1)
    for verdict, fate in (("XDP_PASS", "go to the host"), ("XDP_DROP", "be dropped"), ("XDP_REDIRECT", "leave")):
        lbd.answers["POST /v1/explain"] = dict(canned.ANSWERS["POST /v1/explain"], verdict=verdict)
        expect("74 bytes would %s (54 came in):" % fate in lbctl("explain", "tcp", "203.0.113.1:1", "203.0.113.10:443").out)
    lbd.answers["POST /v1/explain"] = dict(canned.ANSWERS["POST /v1/explain"], packet_out="", verdict="XDP_DROP", reason="no_backend")
    r = lbctl("explain", "tcp", "203.0.113.1:1", "203.0.113.10:443")
    expect(r.rc == 0 and "verdict XDP_DROP, reason no_backend" in r.out and "leave" not in r.out, r)


@test
def observe_marks_what_is_estimated(lbd):
    r = lbctl("observe")
    expect("1 flow in 64 is sampled: figures are estimates; it takes 0.42 % of a core\n3 events were lost" in r.out, r)
    expect(re.search(r"web +~640 +~6400 +< 262 us +< 4.3 s +~128 \(2.0 %\) +~64 \(1.0 %\) +0 +~64 \(1.0 %\) +0 +~3200\n", r.out), r)
    r = lbctl("observe", "web")
    expect(r.out.startswith("every flow is looked at; it takes 0.42 % of a core\n"), r)
    expect("connections ended: 5000, of 1.00 KiB from the client on average, half of them within 2.1 s\n" in r.out, r)
    expect("TLS hellos: 3200, 50 % offer to resume a session, 100 % TLS 1.3, 100 % h2\n" in r.out, r)
    expect(re.search(r"web-1 +640 +6400 ", r.out) and "~" not in r.out, r)
    expect(lbd.requests[-1][1] == "/v1/observe/web", lbd.requests)
    lbd.answers["GET /v1/observe"] = dict(canned.ANSWERS["GET /v1/observe"], sampling=dict(canned.SAMPLING, on=False))
    expect(lbctl("observe").out.startswith("observation is off (observer.cpu_permille is 0 in the configuration)"))


@test
def drops_flows_events_generations(lbd):
    r = lbctl("drops")
    expect("1.23M" in r.out and "1 other reason never occurred; counted for 1 h 0 min" in r.out, r)
    expect("examples\n  ttl              1 min 15 s ago, 60 bytes: " in r.out and "    0000" not in r.out, r)
    expect("\nlost behind the packet path: redirected to\n  eth1             refused 1000 of 1.00M\n" in r.out, r)
    expect(r.out.endswith("\nlost behind the packet path: sent back out by\n  eth0             refused 10 of 1000\n"
                          "  eth1             refused 7\n"), r)
    r = lbctl("drops", "-v")
    expect("\n    0000  " in r.out, r)
    r = lbctl("flows", "web", "--limit", "1")
    expect(re.search(r"established +3 s +198.51.100.7:40000\n", r.out) and re.search(r"embryonic +4 s +-\n", r.out), r)
    expect("2 of 321 flows" in r.out and "clients are known of 1, which the observer follows (lbctl observe)" in r.out, r)
    expect(lbd.requests[-1][1] == "/v1/flows?service=web&limit=1", lbd.requests)
    r = lbctl("events")
    expect("2023-11-14 22:13:20  start       lbd 1.0 started\n" in r.out, r)
    r = lbctl("generations")
    expect(re.search(r"7  running  2023-11-14 22:13:20 +2  apply", r.out), r)
    expect(lbctl("config").out == json.dumps(canned.ANSWERS["GET /v1/config"]) + "\n")


@test
def health_shows_what_checks_say_and_what_follows(lbd):
    r = lbctl("health")
    expect(re.search(r"web +web-1 +drain +0.0 % +open +1 min 1 s +tcp: refused, 0.4 s ago +refused, 4 checks in a row", r.out), r)
    expect(re.search(r"web +web-2 +active +100.0 % +- +- +not checked", r.out), r)
    expect("only 20 of 200 of its weight can serve" in r.out, r)
    expect("the VIP is an address of this host" in r.out and "the canary 10.0.1.1 does not answer" in r.out, r)
    lbd.answers["GET /v1/health/web/web-1"] = canned.ANSWERS["GET /v1/health"]
    expect(lbctl("health", "web", "web-1").rc == 0, r)
    lbd.answers["GET /v1/health"] = dict(canned.ANSWERS["GET /v1/health"], checker={"connected": False}, backends=[])
    r = lbctl("health")
    expect("lb-checkd is away" in r.out and "no backend is checked" in r.out, r)


# --- again and again -------------------------------------------------------------------------------------------

def counting():
    """/v1/stats at 1 s, 2 s, ...: 1000 packets more each, near the end of 64 bits; a second backend comes with the third."""
    turns = []

    def answer(_query, _body):
        n = len(turns)
        turns.append(n)
        text = json.dumps(canned.ANSWERS["GET /v1/stats"])
        stats = json.loads(text.replace(str(canned.BIG), str(canned.BIG - 5000 + n * 1000)))
        stats["time_ms"] = 1000 * (n + 1)
        if n >= 2:
            stats["services"][0]["backends"].insert(0, dict(stats["services"][0]["backends"][0], name="web-0", tx_packets=7))
        return stats
    return answer


@test
def stats_delta_is_exact(lbd):
    lbd.answers["GET /v1/stats"] = counting()
    r = lbctl("-j", "stats", "--delta", "--interval", "0.1", "--count", "2")
    first, second = map(json.loads, r.out.splitlines())
    expect(first["totals"]["rx"] == 1000 and first["interval_ms"] == 1000 and first["time_ms"] == 2000, r)
    expect(first["cpus"][0] == {"cpu": 0, "rx": 1000, "tx": 0, "redirect": 0, "pass": 0, "drop": 0}, r)
    expect(first["services"][0]["name"] == "web" and first["services"][0]["backends"][0]["tx_bytes"] == 1000, r)
    names = {b["name"]: b for b in second["services"][0]["backends"]}
    expect(names["web-0"]["tx_packets"] == 7 and names["web-1"]["tx_packets"] == 0 and names["web-1"]["tx_bytes"] == 1000, r)
    lbd.answers["GET /v1/stats"] = counting()
    r = lbctl("stats", "--delta", "--interval", "0.1", "--count", "1")
    expect("1000 packets/s in, 1000 B/s:" in r.out and "PACKETS/S" in r.out, r)


@test
def stats_and_drops_repeat(lbd):
    r = lbctl("stats", "--interval", "0.1", "--count", "3")
    expect(r.rc == 0 and r.out.count("SERVICE  BACKEND") == 3 and len(lbd.requests) == 3, r)
    r = lbctl("-j", "drops", "--interval", "0.1", "--count", "2")
    expect([json.loads(line) for line in r.out.splitlines()] == [canned.ANSWERS["GET /v1/drops"]] * 2, r)
    r = lbctl("drops", "--interval", "0.1", "--count", "2")
    expect("MEANING" in r.out, r)


@test
def events_follow_tells_what_was_missed(lbd):
    last, keeps = [10], 1000

    def answer(query, _body):
        since = int(query.partition("=")[2] or 0)
        oldest = max(1, last[0] - keeps + 1)
        return {"events": [{"id": i, "time": 1700000000, "kind": "k", "message": f"m{i}."} for i in range(max(since + 1, oldest), last[0] + 1)],
                "oldest": oldest, "last": last[0], "missed": max(0, oldest - since - 1), "ahead": since > last[0]}

    lbd.answers["GET /v1/events"] = answer
    for words, told in (["events", "--follow"], b"490 events were missed"), (["-j", "events", "--follow"], b'"missed":490'):
        last[0] = 20
        p = subprocess.Popen([LBCTL, *words], stdout=subprocess.PIPE, env=ENV)
        os.set_blocking(p.stdout.fileno(), False)
        seen = b""
        try:
            for until, text in (20, b"m20."), (1510, b"m1510."), (2510, b"m2510."):
                last[0] = until
                deadline = time.monotonic() + 20
                while text not in seen and time.monotonic() < deadline:
                    select.select([p.stdout], [], [], 0.2)
                    seen += p.stdout.read() or b""
                expect(text in seen, text, seen[-300:])
            # 1,490 that came at once: 490 are gone. Then as many as there is room for: none is.
            expect(told in seen.replace(b" ", b"") or told in seen, told, seen[:3000])
            expect(seen.count(b"missed") == 1 and b"m511." in seen and b"m510." not in seen and b"m1511." in seen, seen[:300])
        finally:
            p.kill()
            p.wait()
            p.stdout.close()


@test
def events_follow_over_a_restart(lbd):
    events = [[1, "one"], [2, "two"]]

    def answer(query, _body):
        since = int(query.partition("=")[2] or 0)
        return {"events": [{"id": i, "time": 1700000000, "kind": "k", "message": m} for i, m in events if i > since]}

    lbd.answers["GET /v1/events"] = answer
    p = subprocess.Popen([LBCTL, "events", "--follow"], stdout=subprocess.PIPE, env=ENV)
    os.set_blocking(p.stdout.fileno(), False)
    seen = b""

    def wait(text):
        nonlocal seen
        deadline = time.monotonic() + 20
        while text not in seen and time.monotonic() < deadline:
            select.select([p.stdout], [], [], 0.2)
            seen += p.stdout.read() or b""
        expect(text in seen, text, seen)

    try:
        wait(b"two\n")
        events.append([3, "three"])
        wait(b"three\n")
        events[:] = [[1, "anew"], [2, "again"], [3, "third"]]  # an agent that started again counts from 1
        wait(b"third\n")
        expect([line.split()[-1] for line in seen.decode().splitlines()] == ["one", "two", "three", "anew", "again", "third"], seen)
    finally:
        p.kill()
        p.wait()
        p.stdout.close()


# --- changes ---------------------------------------------------------------------------------------------------

def agent_that_applies(lbd, key, plan, generation=8):
    lbd.answers[key] = lambda query, body: plan if "dry_run=1" in query else canned.done(plan, generation)


def paths(lbd):
    return [path for _, path, _ in lbd.requests]


@test
def apply_plans_then_applies(lbd):
    agent_that_applies(lbd, "POST /v1/apply", canned.PLAN)
    r = lbctl("apply", "-f", "-", stdin=b'{"version":1}')
    expect(r.rc == 0 and paths(lbd) == ["/v1/apply?dry_run=1", "/v1/apply?expect_plan=0123456789abcdef"], r, lbd.requests)
    expect(all(body == b'{"version":1}' for _, _, body in lbd.requests), lbd.requests)
    for text in ("~ web: modify, 16384 of 65536 slots move (25.0 %)", "applied: generation 8 (was 7), 1 service changed"):
        expect(text in r.out, text, r)
    expect(re.search(r"web-1 +32768 +49152 +\+16384", r.out) and re.search(r"web-2 +modify +32768 +16384 +-16384", r.out), r)
    expect("web-3" not in r.out, r)
    lbd.requests = []
    r = lbctl("apply", "-f", "-", "--dry-run", "--allow-ring-resize", stdin=b"{}")
    expect(r.rc == 0 and paths(lbd) == ["/v1/apply?allow_ring_resize=1&dry_run=1"], lbd.requests)
    expect("nothing was changed: 1 service of generation 7 would change, no connection would break that is never silent for longer than 900 s" in r.out, r)
    agent_that_applies(lbd, "POST /v1/apply", canned.EMPTY, 7)
    expect("applied: nothing had to change, generation 7 stays" in lbctl("apply", "-f", "-", stdin=b"{}").out)


@test
def apply_refuses_to_break_without_yes(lbd):
    agent_that_applies(lbd, "POST /v1/apply", canned.BREAKING)
    r = lbctl("apply", "-f", "-", stdin=b"{}")
    expect_failure(r, "would break connections, nothing was changed: add --yes")
    expect("BREAKS connections: web-2 is down" in r.out and paths(lbd) == ["/v1/apply?dry_run=1"], r)
    r = lbctl("-j", "apply", "-f", "-", stdin=b"{}")
    expect(r.rc == 1 and json.loads(r.out)["error"]["plan"] == canned.BREAKING and r.err == "", r)
    expect(len(lbd.requests) == 2, lbd.requests)
    r = lbctl("apply", "-f", "-", "--yes", stdin=b"{}")
    expect(r.rc == 0 and paths(lbd)[2:] == ["/v1/apply?dry_run=1", "/v1/apply?expect_plan=0123456789abcdef&allow_break=1"], r)
    expect(lbctl("apply", "-f", "-", "--dry-run", stdin=b"{}").rc == 0)


@test
def apply_asks_on_a_terminal(lbd):
    path = DIR + "/a.json"
    with open(path, "w") as f:
        f.write("{}")
    agent_that_applies(lbd, "POST /v1/apply", canned.BREAKING)
    rc, seen = on_terminal("apply", "-f", path, answer=b"n\n", wait_for=b"[y/N] ")
    expect(rc == 1 and "nothing was changed" in seen and paths(lbd) == ["/v1/apply?dry_run=1"], seen)
    rc, seen = on_terminal("apply", "-f", path, answer=b"\x04", wait_for=b"[y/N] ")
    expect(rc == 1 and len(lbd.requests) == 2, seen)
    rc, seen = on_terminal("apply", "-f", path, answer=b"y\n", wait_for=b"[y/N] ")
    expect(rc == 0 and "applied: generation 8" in seen and paths(lbd)[-1] == "/v1/apply?expect_plan=0123456789abcdef&allow_break=1", seen)
    rc, seen = on_terminal("apply", "-f", path, "--yes")
    expect(rc == 0 and "[y/N]" not in seen, seen)


@test
def progress_on_a_terminal_alone(lbd):
    def slow(query, _body):
        time.sleep(1.2)
        return canned.PLAN if "dry_run" in query else canned.done(canned.PLAN)

    path = DIR + "/a.json"
    with open(path, "w") as f:
        f.write("{}")
    lbd.answers["POST /v1/apply"] = slow
    rc, seen = on_terminal("apply", "-f", path)
    expect(rc == 0 and "planning ... 1 s" in seen and "changing ... " in seen, seen)
    r = lbctl("apply", "-f", path)
    expect(r.rc == 0 and r.err == "" and "..." not in r.out, r)


@test
def what_was_approved_is_what_is_done(lbd):
    """The plan becomes another one while the question waits: it is shown and asked again, and only a yes to it counts."""
    path = DIR + "/a.json"
    with open(path, "w") as f:
        f.write("{}")
    now = dict(canned.BREAKING, plan="fedcba9876543210", services=canned.BREAKING["services"] + [
        dict(canned.BREAKING["services"][0], name="added-meanwhile", change="remove")])

    def answer(query, _body):
        if "dry_run=1" in query:
            return canned.BREAKING
        if "expect_plan=fedcba9876543210" in query:
            return canned.done(now, 9)
        return 409, {"error": {"message": "the plan is no longer the one that was approved"}, "plan": now}

    lbd.answers["POST /v1/apply"] = answer
    rc, seen = on_terminal("apply", "-f", path, answer=b"y\nn\n", wait_for=b"[y/N] ")
    expect(rc == 1 and "added-meanwhile" in seen and seen.count("[y/N]") == 2 and "nothing was changed" in seen, seen)
    expect(len(lbd.requests) == 2, lbd.requests)
    r = lbctl("apply", "-f", path, "--yes")
    expect(r.rc == 0 and "the plan has changed meanwhile" in r.out and "added-meanwhile" in r.out, r)
    expect("applied: generation 9" in r.out, r)
    # A plan that never stays the same is given up.
    lbd.answers["POST /v1/apply"] = lambda query, body: (
        canned.PLAN if "dry_run=1" in query else (409, {"error": {"message": "changed"}, "plan": canned.PLAN}))
    expect_failure(lbctl("apply", "-f", path), "has changed 10 times")


@test
def changes_are_told_key_by_key(lbd):
    r = lbctl("diff", "-f", "-", stdin=b"{}")
    for text in ("services[web].backends[web-2].weight: 100 -> 50\n", "limits.services: 10 -> 20 (takes effect when the kernel's tables are made)",
                 "the weight stays 7",
                 "interfaces[eth1]: added"):
        expect(text in r.out, text, r)
    # Values of an agent are the agent's: what they do to a terminal is not.
    evil = dict(canned.PLAN, changes_total=5000, changes=[
        {"path": "a\x1b[2J", "change": "modify", "from": "\x1b]0;x\x07", "to": None, "effect": "maps", "when": "\x1bc"}])
    lbd.answers["POST /v1/diff"] = evil
    r = lbctl("diff", "-f", "-", stdin=b"{}")
    expect("\x1b" not in r.out and "\x07" not in r.out and "-> not given" in r.out and "and 4999 more" in r.out, r)


@test
def diff_exits_3_where_something_differs(lbd):
    expect(lbctl("diff", "-f", "-", stdin=b"{}").rc == 3 and lbctl("-j", "diff", "-f", "-", stdin=b"{}").rc == 3)
    lbd.answers["POST /v1/diff"] = dict(canned.PLAN, services=[])
    expect(lbctl("diff", "-f", "-", stdin=b"{}").rc == 3)
    lbd.answers["POST /v1/diff"] = canned.EMPTY
    r = lbctl("diff", "-f", "-", stdin=b"{}")
    expect(r.rc == 0 and "nothing would change in generation 7" in r.out, r)
    lbd.answers["POST /v1/diff"] = (400, {"error": {"message": "bad"}})
    expect(lbctl("diff", "-f", "-", stdin=b"{}").rc == 1)


@test
def apply_names_line_and_column(lbd):
    path = DIR + "/bad.json"
    with open(path, "w") as f:
        f.write('{ "version": 1,\n  "services": [ { "name": "web", "vip": "10.0.0.300" } ] }')
    offline = lbctl("-j", "validate", path)
    error = json.loads(offline.out)["error"]
    expect(offline.rc == 1 and re.match(re.escape(path) + r":\d+:\d+: ", error["message"]), offline)
    lbd.answers["POST /v1/apply"] = (400, {"error": {"message": "as the agent says", "path": error.get("path", ""), "value": "1"}})
    r = lbctl("apply", "-f", path)
    expect_failure(r, error["message"] if "path" in error else "as the agent says")
    for words in (["apply", "-f", DIR + "/none.json"], ["diff", "-f", DIR], ["validate", DIR + "/none.json"]):
        r = lbctl(*words)
        expect(r.rc == 1 and words[-1] in r.err, r)


@test
def validate_is_offline(lbd):
    for path in glob.glob(os.path.join(ROOT, "configs", "*.json")):
        if path.endswith("schema.json"):
            continue
        r = lbctl("validate", path)
        expect(r.rc == 0 and "is valid: " in r.out, r)
    expect_failure(lbctl("validate", "-", stdin=b"{"), "lbctl: ")
    r = lbctl("-j", "validate", "-", stdin=b"[]")
    expect(r.rc == 1 and json.loads(r.out)["error"]["message"], r)
    expect(lbd.requests == [], lbd.requests)


@test
def rollback_goes_the_same_way(lbd):
    agent_that_applies(lbd, "POST /v1/rollback", canned.PLAN)
    r = lbctl("rollback")
    expect(r.rc == 0 and paths(lbd) == ["/v1/rollback?dry_run=1", "/v1/rollback?expect_plan=0123456789abcdef"] and "rolled back: generation 8" in r.out, r)
    lbd.requests = []
    expect(lbctl("rollback", "--to", "3", "--dry-run").rc == 0 and paths(lbd) == ["/v1/rollback?to=3&dry_run=1"], lbd.requests)
    agent_that_applies(lbd, "POST /v1/rollback", canned.BREAKING)
    expect_failure(lbctl("rollback"), "add --yes")
    expect(lbctl("rollback", "--yes").rc == 0)
    expect(lbctl("rollback", "--overrides", "--dry-run").rc == 0 and paths(lbd)[-1] == "/v1/rollback?overrides=1&dry_run=1")
    lbctl("rollback", "--to=3", "--dry-run", "--allow-ring-resize")
    expect(paths(lbd)[-1] == "/v1/rollback?to=3&allow_ring_resize=1&dry_run=1", lbd.requests)


# --- the rest --------------------------------------------------------------------------------------------------

@test
def output_that_cannot_be_written_is_a_failure(lbd):
    with open("/dev/full", "w") as full:
        p = subprocess.run([LBCTL, "status"], stdout=full, stderr=subprocess.PIPE, env=ENV, timeout=60)
    expect(p.returncode == 1 and b"cannot write the output" in p.stderr, p)


def complete(line):
    """What bash would offer, through the completion file."""
    script = os.path.join(ROOT, "configs/completion/lbctl.bash")
    code = ('PATH="$1:$PATH"; source "$2"; COMP_LINE=$3; COMP_POINT=${#3}; COMPREPLY=(); _lbctl lbctl; '
            'printf "%s\\n" "${COMPREPLY[@]}"')
    p = subprocess.run(["bash", "-uc", code, "bash", os.path.dirname(LBCTL), script, line], capture_output=True, env=ENV, timeout=60,
                       cwd=ROOT)
    expect(p.returncode == 0 and p.stderr == b"", line, p)
    return sorted(w for w in p.stdout.decode().split("\n") if w)


@test
def completion(lbd):
    for line, words in [
        ("lbctl st", ["stats", "status"]), ("lbctl service ", ["add", "del", "list", "set", "show"]), ("lbctl backend ", ["add", "del", "drain", "list", "set"]), ("lbctl backend drain web ", ["web-1", "web-2"]),
        ("lbctl ring ", ["dns", "web"]), ("lbctl ring w", ["web"]), ("lbctl backend set web ", ["web-1", "web-2"]),
        ("lbctl backend set web web-1 --state ", ["active", "down", "drain"]),
        ("lbctl backend set web web-1 --state=d", ["down", "drain"]),
        ("lbctl explain ", ["tcp", "udp"]), ("lbctl explain tcp ", []), ("lbctl ring web --d", ["--dump"]),
        ("lbctl -j ring web --d", ["--dump"]), ("lbctl help r", ["reload", "ring", "rollback"]), ("lbctl help service s", ["set", "show"]),
        ("lbctl apply --", ["--allow-ring-resize", "--dry-run", "--file", "--help", "--json", "--socket", "--timeout", "--yes"]),
        ("lbctl apply -f LICEN", ["LICENSE"]), ("lbctl validate LICEN", ["LICENSE"]), ("lbctl nonsense ", []),
        ("lbctl --socket /nonexistent ring ", []),
    ]:
        expect(complete(line) == words, line, complete(line), words)


@test
def the_manual_page_is_complete(lbd):
    page = os.path.join(ROOT, "docs/lbctl.8")
    with open(page) as f:
        text = f.read().replace("\\-", "-")
    top = lbctl("--help").out
    for verb in [*VERBS, *OFFLINE, *STREAMS]:
        expect(f".B lbctl {verb}" in text or f".BR lbctl\\ {verb}" in text or f"lbctl {verb}" in text, verb)
        for option in re.findall(r"--[a-z-]+", lbctl(*verb.split(), "--help").out):
            expect(option in text, option)
    for option in re.findall(r"--[a-z-]+", top):
        expect(option in text, option)
    for word in ("LBCTL_SOCKET", "NO_COLOR", "EXIT STATUS", "EXAMPLES", "SEE ALSO"):
        expect(word in text, word)
    if not shutil.which("groff"):
        return "the page's macros were not checked: no groff"
    p = subprocess.run(["groff", "-man", "-ww", "-z", "-Tutf8", page], capture_output=True, timeout=60)
    expect(p.returncode == 0 and p.stderr == b"", p)
