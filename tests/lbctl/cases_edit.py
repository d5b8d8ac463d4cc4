# SPDX-License-Identifier: GPL-2.0-only
"""service add|set|del, backend add|set|del, reload: what goes to the agent, and who is asked about what breaks."""

import json

import canned
from harness import expect, expect_failure, lbctl, on_terminal, test, wrong


def sent(lbd):
    """The change that was asked for, of the plan that was looked at: method, path, query, body."""
    method, path, body = lbd.requests[-1]
    path, _, query = path.partition("?")
    words = set(query.split("&"))
    approved = "expect_plan=" + canned.PLAN["plan"]
    expect(approved in words, lbd.requests)
    return method, path, words - {approved}, json.loads(body) if body else None


@test
def keys_and_values_have_the_schemas_types(lbd):
    lbctl("service", "add", "ntp", "vip=203.0.113.12", "protocol=udp", "port=123", "echo=false", "forward=gue")
    expect(sent(lbd) == ("PUT", "/v1/services/ntp", {"save=0", "add=1"}, {
        "vip": "203.0.113.12", "protocol": "udp", "port": 123, "echo": False, "forward": "gue"}), lbd.requests)
    lbctl("service", "set", "web", "port=80-90", "idle_timeout_s=", "--save")
    expect(sent(lbd) == ("PUT", "/v1/services/web", {"save=1", "merge=1"}, {"port": "80-90", "idle_timeout_s": None}), lbd.requests)
    lbctl("backend", "add", "web", "web-3", "address=10.0.1.13", "server_id=0701", "--save")
    expect(sent(lbd) == ("PUT", "/v1/services/web/backends/web-3", {"save=1", "add=1"},
                         {"address": "10.0.1.13", "server_id": "0701"}), lbd.requests)


@test
def a_dry_run_comes_first(lbd):
    lbctl("service", "del", "web")
    expect([p for _, p, _ in lbd.requests] == [
        "/v1/services/web?save=0&dry_run=1", "/v1/services/web?save=0&expect_plan=" + canned.PLAN["plan"]], lbd.requests)
    lbd.requests.clear()
    r = lbctl("backend", "del", "web", "web-1", "--save", "--dry-run")
    expect(r.rc == 0 and [p for _, p, _ in lbd.requests] == ["/v1/services/web/backends/web-1?save=1&dry_run=1"], lbd.requests)


@test
def backend_set_is_a_word_or_an_edit(lbd):
    lbctl("backend", "set", "web", "web-1", "--weight", "5")
    expect(lbd.requests[-1][0] == "PATCH", lbd.requests)
    lbctl("backend", "set", "web", "web-1", "--weight", "5", "--state", "drain", "--save")
    expect(sent(lbd) == ("PUT", "/v1/services/web/backends/web-1", {"save=1", "merge=1"}, {"weight": 5, "state": "drain"}), lbd.requests)
    lbctl("backend", "set", "web", "web-1", "address=10.0.1.99")
    expect(sent(lbd) == ("PUT", "/v1/services/web/backends/web-1", {"save=0", "merge=1"}, {"address": "10.0.1.99"}), lbd.requests)
    wrong("--reset", "backend", "set", "web", "web-1", "--reset", "--save")
    wrong("set what?", "backend", "set", "web", "web-1", "--save")


@test
def what_breaks_wants_the_word(lbd):
    for words, path in ((["reload"], "POST /v1/reload"), (["service", "del", "web"], "DELETE /v1/services/web")):
        lbd.answers[path] = canned.BREAKING
        lbd.requests.clear()
        r = lbctl(*words)
        expect_failure(r, "--allow-break")
        expect("BREAKS connections" in r.out and len(lbd.requests) == 1, r, lbd.requests)
        r = lbctl(*words, "--allow-break")
        expect(r.rc == 0 and "allow_break=1" in lbd.requests[-1][1] and "dry_run" not in lbd.requests[-1][1], r, lbd.requests)
        error = json.loads(lbctl("-j", *words).out)["error"]
        expect("--allow-break" in error["message"] and error["plan"]["breaks"], error)
    status, seen = on_terminal("reload", wait_for=b"[y/N]", answer=b"y\n")
    expect(status == 0 and "allow_break=1" in lbd.requests[-1][1], status, seen)
    status, seen = on_terminal("reload", wait_for=b"[y/N]", answer=b"n\n")
    expect(status == 1 and "dry_run" in lbd.requests[-1][1], status, seen)


@test
def apply_says_the_word_too(lbd):
    lbd.answers["POST /v1/apply"] = canned.BREAKING
    lbctl("apply", "-f", "-", "--yes", stdin=b"{}")
    expect("allow_break=1" in lbd.requests[-1][1], lbd.requests)
    lbd.answers["POST /v1/apply"] = canned.PLAN
    lbctl("apply", "-f", "-", "--yes", stdin=b"{}")
    expect("allow_break" not in lbd.requests[-1][1], lbd.requests)


@test
def edits_are_used_right(lbd):
    wrong("not KEY=VALUE", "service", "set", "web", "idle_timeout_s")
    wrong("did you mean weight?", "backend", "set", "web", "web-1", "wieght=5")
    wrong("given twice", "backend", "set", "web", "web-1", "weight=5", "weight=6")
    wrong("must be JSON", "service", "set", "web", "idle_timeout_s=soon")
    wrong("service add", "service", "add", "web")
