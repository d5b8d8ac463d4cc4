# SPDX-License-Identifier: GPL-2.0-only
"""backend drain, drain: the word goes to the agent, and --wait ends when the agent says that nothing is left."""

import json
import time

import canned
from harness import expect, expect_failure, lbctl, test, wrong

SERVICE = "GET /v1/services/web"


def answers(lbd, *backends):
    """GET tells of one backend after the other, then of the last one for ever; None: it is gone."""
    left = list(backends)

    def answer(query, body):
        backend = left.pop(0) if len(left) > 1 else left[0]
        return dict(canned.SERVICE, backends=[canned.backend("web-1")] + ([backend] if backend else []))
    lbd.answers[SERVICE] = answer


@test
def drain_says_the_word(lbd):
    r = lbctl("backend", "drain", "web", "web-2")
    expect(r.rc == 0 and "slots move" in r.out, r)
    expect(json.loads(lbd.requests[-1][2]) == {"state": "drain"}, lbd.requests)
    lbctl("backend", "drain", "web", "web-2", "--dry-run", "--wait")
    expect(lbd.requests[-1][:2] == ("PATCH", "/v1/services/web/backends/web-2?dry_run=1"), lbd.requests)


@test
def drain_waits_for_the_end(lbd):
    answers(lbd, canned.draining(341, 12), canned.draining(0, 12), canned.draining(0, 0, drained=True))
    r = lbctl("backend", "drain", "web", "web-2", "--wait")
    expect(r.rc == 0 and "web/web-2 has drained" in r.out and len(lbd.requests) == 5, r, lbd.requests)
    answers(lbd, canned.draining(1, 0), canned.draining(0, 0, drained=True))
    out = json.loads(lbctl("-j", "backend", "drain", "web", "web-2", "--wait").out)
    expect(out["drained"] and out["backends"][0]["draining"]["drained"], out)


@test
def no_slots_and_no_flows_are_not_drained_yet(lbd):
    """Only the agent knows: entries may have been made since it last swept."""
    answers(lbd, canned.draining(0, 0), canned.draining(0, 0), canned.draining(0, 0, drained=True))
    r = lbctl("backend", "drain", "web", "web-2", "--wait")
    expect(r.rc == 0 and len(lbd.requests) == 5, r, lbd.requests)


@test
def drain_gives_up_after_its_timeout(lbd):
    answers(lbd, canned.draining(341, 12))
    before = time.monotonic()
    r = lbctl("backend", "drain", "web", "web-2", "--wait", "--timeout", "0.5")
    expect_failure(r, "web/web-2 has not drained within", "341 slots and 12 flows are left", "3 s ago")
    expect(time.monotonic() - before < 10)
    r = lbctl("-j", "backend", "drain", "web", "web-2", "--wait", "--timeout", "0.5")
    expect(r.rc == 1 and "has not drained" in json.loads(r.out)["error"]["message"], r)


@test
def drain_ends_when_it_is_taken_back(lbd):
    answers(lbd, canned.draining(341, 12), canned.backend("web-2"))
    expect_failure(lbctl("backend", "drain", "web", "web-2", "--wait"), "no longer draining")


@test
def a_backend_that_was_removed_meanwhile_and_is_gone_has_drained(lbd):
    answers(lbd, canned.draining(341, 12), None)
    expect(lbctl("backend", "drain", "web", "web-2", "--wait").rc == 0)
    answers(lbd, None)
    expect_failure(lbctl("backend", "drain", "web", "web-2", "--wait"), "not there")


@test
def lists_tell_what_is_left(lbd):
    lbd.answers["GET /v1/backends"] = {"backends": [canned.draining(341, 12)]}
    r = lbctl("backend", "list")
    expect("web/web-2 drains for 35 s: 341 slots and 12 flows are left, 40 packets within 1.0 s, the last 3.0 s ago" in r.out
           or "web/web-2 drains for 35 s: 341 slots and 12 flows are left, 40 packets within 1 s, the last 3 s ago" in r.out, r)
    lbd.answers["GET /v1/backends"] = {"backends": [canned.draining(0, 0, drained=True)]}
    expect("web/web-2 has drained" in lbctl("backend", "list").out)


@test
def a_host_drains_in_every_service(lbd):
    lbd.answers["GET /v1/backends"] = lambda q, b, left=[(5, 1), (0, 0)]: {"backends": [
        canned.backend("web-1"),
        dict(canned.draining(*left[0], drained=left[0] == (0, 0)), service="dns", name="d"),
        canned.draining(*(left.pop(0) if len(left) > 1 else left[0]), drained=len(left) == 1)]}
    r = lbctl("drain", "10.0.1.12", "--wait", "--reason", "disk", "--for", "2h")
    expect(r.rc == 0 and "10.0.1.12 has drained" in r.out, r, lbd.requests)
    expect(json.loads(lbd.requests[0][2]) == {"state": "drain", "reason": "disk", "for_s": 7200}, lbd.requests)
    lbctl("drain", "10.0.1.12", "--undo")
    expect(lbd.requests[-1][0] == "PATCH" and json.loads(lbd.requests[-1][2]) == {"state": None}, lbd.requests)


@test
def drain_is_used_right(lbd):
    wrong("no IPv4 or IPv6 address", "drain", "web-1")
    wrong("--undo", "drain", "10.0.1.12", "--undo", "--wait")
    wrong("backend drain", "backend", "drain", "web")
    wrong("--timeout", "backend", "drain", "web", "web-2", "--wait", "--timeout", "soon")
