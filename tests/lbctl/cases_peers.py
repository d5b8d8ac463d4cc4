# SPDX-License-Identifier: GPL-2.0-only
"""Command lines that are wrong, and peers that are."""

import json
import os
import shutil
import socket
import time

import canned
from harness import DIR, LBCTL, OFFLINE, SOCKET, STREAMS, VERBS, expect, expect_failure, lbctl, test, wrong


# --- the command line ---------------------------------------------------------------------------------------

@test
def help_goes_to_stdout_with_exit_0(lbd):
    r = lbctl("--help")
    expect(r.rc == 0 and r.err == "" and all(f"  {v} " in r.out for v in [*VERBS, *OFFLINE, *STREAMS]), r)
    for verb in [*VERBS, *OFFLINE, *STREAMS]:
        r = lbctl(*verb.split(), "--help")
        expect(r.rc == 0 and r.err == "" and r.out.startswith(f"lbctl {verb}"), r)
        expect(lbctl("help", *verb.split()).out == r.out, verb)
        expect(max(map(len, r.out.splitlines())) <= 100, verb)
    expect(lbctl("help").out == lbctl("-h").out)
    expect(lbd.requests == [], lbd.requests)


@test
def wrong_usage_names_the_nearest_right_spelling(lbd):
    for text, words in [
        ("there is no verb 'aply': did you mean apply?", ["aply"]),
        ("there is no verb 'xyzzyxyzzy'", ["xyzzyxyzzy"]),
        ("there is no verb 'service lst': did you mean service list?", ["service", "lst"]),
        ("there is no verb 'backend xxxxxxxx'; there is list or set", ["backend", "xxxxxxxx"]),
        ("service what? list or show", ["service"]),
        ("there is no option '--dry-rn': did you mean --dry-run?", ["apply", "--dry-rn", "-f", "x"]),
        ("there is no option '--wieght=3': did you mean --weight?", ["backend", "set", "a", "b", "--wieght=3"]),
        ("there is no option '-x'", ["status", "-x"]),
        ("there is no option '--sokcet': did you mean --socket?", ["--sokcet", "/x", "status"]),
        ("status takes no --dry-run", ["status", "--dry-run"]),
        ("'web' is too much", ["status", "web"]),
        ("'weir.json' is too much: did you mean -f weir.json?", ["apply", "weir.json"]),
        ("apply needs -f FILE", ["apply"]),
        ("diff needs -f FILE", ["diff"]),
        ("validate needs FILE", ["validate"]),
        ("ring needs SERVICE", ["ring"]),
        ("backend set needs SERVICE BACKEND", ["backend", "set", "web"]),
        ("--file needs a value: FILE", ["apply", "-f"]),
        ("--dump takes no value, and got 'yes'", ["ring", "web", "--dump=yes"]),
        ("set what?", ["backend", "set", "web", "web-1"]),
        ("--state is active, drain or down, not 'drian': did you mean drain?",
         ["backend", "set", "a", "b", "--state", "drian"]),
        ("--weight takes a number from 0 to 65535, not '65536'", ["backend", "set", "a", "b", "--weight", "65536"]),
        ("--weight takes a number from 0 to 65535, not '-1'", ["backend", "set", "a", "b", "--weight", "-1"]),
        ("--weight takes a number from 0 to 65535, not ''", ["backend", "set", "a", "b", "--weight="]),
        ("--to takes a number from 1", ["rollback", "--to", "last"]),
        ("--limit takes a number from 1", ["flows", "--limit", "0"]),
        ("--interval takes seconds, from 0.1 to 86400, not '0'", ["stats", "--interval", "0"]),
        ("--interval takes seconds", ["drops", "--interval", "nan"]),
        ("--count takes a number from 1", ["stats", "--count", "0"]),
        ("--timeout takes seconds", ["--timeout", "soon", "status"]),
        ("the protocol is tcp or udp, not 'tpc': did you mean tcp?", ["explain", "tpc", "192.0.2.1:1", "192.0.2.2:2"]),
        ("udp has no SYN", ["explain", "udp", "192.0.2.1:1", "192.0.2.2:2", "--syn"]),
        ("IPv6 address in brackets", ["explain", "tcp", "2001:db8::1:80", "[2001:db8::2]:80"]),
        ("the source is ADDRESS:PORT", ["explain", "tcp", "192.0.2.1", "192.0.2.2:2"]),
        ("the destination is ADDRESS:PORT", ["explain", "tcp", "192.0.2.1:1", ":2"]),
        ("'192.0.2.300' is no IPv4 address", ["explain", "tcp", "192.0.2.1:1", "192.0.2.300:2"]),
        ("'192.0.2.1' is no IPv4 or IPv6 address", ["explain", "tcp", "[192.0.2.1]:1", "192.0.2.3:2"]),
        ("'70000' is no port", ["explain", "tcp", "192.0.2.1:70000", "192.0.2.3:2"]),
        ("'' is no port", ["explain", "tcp", "192.0.2.1:1", "192.0.2.3:"]),
        ("different families", ["explain", "tcp", "192.0.2.1:1", "[2001:db8::2]:80"]),
    ]:
        wrong(text, *words)
    expect(lbd.requests == [], lbd.requests)


@test
def options_may_stand_anywhere(lbd):
    good = lbctl("-j", "ring", "web", "--dump").out
    for words in (["ring", "web", "--dump", "-j"], ["--dump", "--json", "ring", "web"], ["ring", "-j", "--dump", "--", "web"],
                  ["--socket", SOCKET, "ring", "-j", "web", "--dump"], [f"--socket={SOCKET}", "-j", "ring", "web", "--dump"]):
        expect(lbctl(*words).out == good, words)
    r = lbctl("-jf", "-", "apply", "--dry-run", stdin=b"{}")
    expect(r.rc == 0 and json.loads(r.out) == canned.PLAN, r)
    expect(lbctl("-jf-", "apply", "--dry-run", stdin=b"{}").out == r.out, r)


@test
def lbctl_alone_is_status(lbd):
    expect(lbctl().out == lbctl("status").out and lbctl().rc == 0, lbctl())


# --- -j ------------------------------------------------------------------------------------------------------

@test
def json_is_the_agents_text_unchanged(lbd):
    for verb, (words, key) in VERBS.items():
        text = json.dumps(canned.ANSWERS[key], indent=3)  # not what we would print
        lbd.answers[key] = text.encode()
        r = lbctl("-j", *words, stdin=b"{}")
        expect(r.rc == (3 if verb == "diff" else 0) and r.err == "" and r.out == text + "\n", verb, r)
    expect(str(canned.BIG) in lbctl("-j", "stats").out)


@test
def json_that_we_print_keeps_64_bits(lbd):
    r = lbctl("-j", "backend", "list", "web")
    expect(json.loads(r.out) == canned.ANSWERS["GET /v1/backends"], r)
    r = lbctl("-j", "stats", "--interval", "0.1", "--count", "2")
    lines = r.out.splitlines()
    expect(len(lines) == 2 and all(json.loads(line) == canned.ANSWERS["GET /v1/stats"] for line in lines), r)


@test
def errors_are_json_with_j(lbd):
    error = {"message": "vip must be ...", "path": "services[0].vip", "value": "\"10.0.0.300\""}
    lbd.answers["POST /v1/diff"] = (400, {"error": error})
    r = lbctl("-j", "diff", "-f", "-", stdin=b"{}")
    expect(r.rc == 1 and r.err == "" and json.loads(r.out)["error"] == dict(error, file="standard input"), r)
    r = lbctl("-j", "ring", "nope")
    expect(r.rc == 1 and r.err == "" and "there is no /v1" in json.loads(r.out)["error"]["message"], r)
    r = lbctl("-j", "--socket", "/nonexistent", "status")
    expect(r.rc == 1 and r.err == "" and "is lbd running?" in json.loads(r.out)["error"]["message"], r)


@test
def version_needs_no_agent(lbd):
    r = lbctl("version", "-j")
    expect(r.rc == 0 and json.loads(r.out)["lbd"] == canned.ANSWERS["GET /v1/version"], r)
    r = lbctl("version", "--socket", "/nonexistent")
    expect(r.rc == 0 and "lbctl" in r.out and "not reached: there is no socket" in r.out, r)
    r = lbctl("version", "-j", "--socket", "/nonexistent")
    expect(r.rc == 0 and json.loads(r.out)["lbd"] is None, r)


# --- peers that misbehave --------------------------------------------------------------------------------------

@test
def sockets_that_cannot_be_connected(lbd):
    expect_failure(lbctl("--socket", DIR + "/none", "status"), f"there is no socket at {DIR}/none: is lbd running?")
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(DIR + "/dead")
    dead.close()
    expect_failure(lbctl("--socket", DIR + "/dead", "status"), "nobody listens at")
    open(DIR + "/file", "w").close()
    expect_failure(lbctl("--socket", DIR + "/file", "status"), DIR + "/file")
    expect_failure(lbctl("--socket", "/" + "x" * 200, "status"), "longer than 107 bytes")
    expect_failure(lbctl(env={"LBCTL_SOCKET": DIR + "/none"}), "there is no socket")


@test
def permission_denied(lbd):
    if os.geteuid() != 0:
        return "needs root"
    copy = DIR + "/lbctl"  # where the other user can get at it
    shutil.copy(LBCTL, copy)
    os.chmod(DIR, 0o755)
    os.chmod(SOCKET, 0o660)
    expect_failure(lbctl("status", user=65534, program=copy), f"not allowed to open {SOCKET}")
    os.unlink(copy)


def raw_answer(data, then=None):
    def serve(peer):
        peer.sendall(data)
        if then:
            then(peer)
    return serve


def trickle(peer):
    while True:
        peer.sendall(b"x")
        time.sleep(0.05)


def endless(peer):
    chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
    for _ in range(300):
        peer.sendall(chunk)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@test
def peers_that_are_no_lbd(lbd):
    for raw, text in [
        (raw_answer(b"SSH-2.0-OpenSSH_9.2\r\n"), "does not answer as lbd does"),
        (raw_answer(b""), "closed the connection after 0 bytes"),
        (raw_answer(HEAD + b"Content-Length: 1000\r\n\r\n{\"generation\""), "closed the connection after 13 bytes"),
        (raw_answer(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{\"gen"), "before the answer was complete"),
        (raw_answer(HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}"), "does not answer as lbd does"),
        (raw_answer(HEAD + b"Content-Length: 300000000\r\n\r\n"), "longer than 256 MiB"),
        (raw_answer(HEAD + b"X: " + b"y" * 400000 + b"\r\n\r\n{}"), "does not answer as lbd does"),
        (raw_answer(b"HTTP/1.1 301 X\r\nLocation: http://example.com/\r\nContent-Length: 0\r\n\r\n"), "status 301 and no reason"),
    ]:
        lbd.raw = raw
        expect_failure(lbctl("status"), text)
        r = lbctl("-j", "status")
        expect(r.rc == 1 and r.err == "" and text in json.loads(r.out)["error"]["message"], r)


@test
def slow_peers_end_at_the_timeout(lbd):
    for raw in (raw_answer(b"", lambda peer: time.sleep(5)), raw_answer(HEAD + b"Content-Length: 1000\r\n\r\n", trickle)):
        lbd.raw = raw
        start = time.monotonic()
        expect_failure(lbctl("--timeout", "0.4", "status"), "no answer", "within 0.4 s (longer: --timeout S)")
        expect(time.monotonic() - start < 3)


@test
def endless_answers_are_cut_at_256_mib(lbd):
    lbd.raw = raw_answer(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", endless)
    expect_failure(lbctl("status"), "longer than 256 MiB")


@test
def answers_that_are_wrong(lbd):
    for answer, text in [
        (b"", "not a JSON object"), (b"<html>hello</html>", "not a JSON object"), (b"[]", "not a JSON object"),
        (b"{\"generation\":", "not a JSON object"), (b"{} {}", "not a JSON object"), (b"\xff\x00{}", "not a JSON object"),
        (b"[" * 200000, "not a JSON object"), (b"{\"a\":" + b"[" * 100000 + b"]" * 100000 + b"}", "not a JSON object"),
        (b"{}", "without \"generation\""), (b"{\"generation\":null}", "without \"generation\""),
        (b"{\"generation\":[" + b"1," * 9000000 + b"1]}", "more than"),
        ((500, b"oops"), "status 500 and no reason"), ((404, {"error": "no"}), "status 404 and no reason"),
        ((502, {"error": {"message": 5}}), "status 502 and no reason"),
    ]:
        lbd.answers["GET /v1/status"] = answer
        expect_failure(lbctl("status"), text)


def mutations(item):
    """The same document with one value made something else, for each value, a few ways."""
    if isinstance(item, dict):
        for key, value in item.items():
            yield {k: v for k, v in item.items() if k != key}
            for other in mutations(value):
                yield dict(item, **{key: other})
    elif isinstance(item, list):
        yield []
        for i, value in enumerate(item[:2]):
            for other in mutations(value):
                yield item[:i] + [other] + item[i + 1:]
    for other in (None, "\x1b[31mred", -1, 1e300, {}, [[]], [None]):
        if type(other) is not type(item):
            yield other


@test
def any_value_may_be_of_a_wrong_type(lbd):
    n = 0
    for verb, (words, key) in VERBS.items():
        for i, answer in enumerate(mutations(canned.DUMP if verb == "ring" else canned.ANSWERS[key])):
            if not os.environ.get("FULL") and i % 29 != len(verb):  # all of them take minutes
                continue
            lbd.answers[key] = answer
            r = lbctl(*words, *(["--dump"] if verb == "ring" and i % 2 else []), stdin=b"{}")
            expect("\x1b" not in r.out or verb == "config", verb, answer, r)
            n += 1
    expect(n > 60, n)


@test
def errors_of_the_agent_name_the_place(lbd):
    lbd.answers["POST /v1/diff"] = (400, {"error": {"message": "bad \x1b[31mvip", "path": "services[0].vip", "value": "\"x\""}})
    r = lbctl("diff", "-f", "-", stdin=b"{}")
    expect(r.rc == 1 and r.err == "lbctl: bad ?[31mvip\n  in standard input, at services[0].vip: \"x\"\n", r)
    lbd.answers["PATCH /v1/services/web/backends/web-9"] = (404, {"error": {"message": "web has no backend web-9"}})
    r = lbctl("backend", "set", "web", "web-9", "--reset")
    expect(r.rc == 1 and r.err == "lbctl: web has no backend web-9\n", r)
    lbd.answers["POST /v1/apply"] = (507, {"error": {"message": "the table of backends is full"}})
    expect_failure(lbctl("apply", "-f", "-", "--yes", stdin=b"{}"), "the table of backends is full")
