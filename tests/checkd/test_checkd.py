#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 90
"""lb-checkd alone: every kind of peer gives one outcome of the right category, within its time and a bounded number of
bytes; its own shortage counts neither way; starts are spread; what it gives up it cannot do."""
import os
import resource
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import peers  # noqa: E402 pylint: disable=wrong-import-position
from agent import CHECKD, Agent  # noqa: E402 pylint: disable=wrong-import-position

results = []
PLACES = 4 << 16  # of lb_check_ports, include/lb/check.h
CAP_NET_RAW = 1 << 13


def check(what, good, why=""):
    results.append(good)
    print(f"{'ok' if good else 'not ok'} {len(results)} - {what}", flush=True)
    if not good and why != "":
        print("# " + str(why).replace("\n", "\n# "), flush=True)


def wait_until(good, seconds=10):
    end = time.monotonic() + seconds
    while not good() and time.monotonic() < end:
        time.sleep(0.01)


def closed_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def certificate(directory, name):
    """A certificate that signs itself: its file, and a server's context with it."""
    key, pem = (os.path.join(directory, name + end) for end in (".key", ".pem"))
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-keyout", key, "-out", pem, "-days", "2", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"],
                   check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, key)
    return pem, context


def cases(directory):
    """(what, expected outcome, kind, port, keys)"""
    flood, http_flood = [0], [0]
    good, context = certificate(directory, "good.test")
    other, _ = certificate(directory, "other.test")
    loop = peers.Server(peers.http(b"302 Found", b"", b"Location: /again\r\n"))
    ok, teapot = peers.Server(peers.http(b"200 OK")), peers.Server(peers.http(b"500 No"))
    secure = peers.Server(peers.http(b"200 OK"), context)
    echo, echo_port = peers.udp(b"pong")
    mute, mute_port = peers.udp(None)
    junk = peers.Server(peers.answers(b"\x00\xff" * 500))
    elsewhere = peers.Server(peers.http(b"200 OK"))
    away = peers.Server(peers.sends_to(f"http://127.0.0.1:{elsewhere.port}/"))
    _, http2 = certificate(directory, "http2.test")
    http2.set_alpn_protocols(["h2"])
    fields = peers.frame(1, b"\x88", 0, 1)  # :status 200, and more to come
    table = [
        ("tcp: accepted", "ok", "tcp", ok.port, {}),
        ("tcp: refused", "refused", "tcp", closed_port(), {}),
        ("tcp: the banner that is expected", "ok", "tcp", peers.Server(peers.says(b"220 ready\r\n")).port, {"expect": "220"}),
        ("tcp: an answer to what is sent", "ok", "tcp", peers.Server(peers.answers(b"+PONG\r\n")).port,
         {"send": "PING\r\n", "expect": "+PONG"}),
        ("tcp: another answer, then nothing", "timeout", "tcp", peers.Server(peers.says(b"550 no\r\n")).port, {"expect": "220"}),
        ("tcp: a wrong answer, and the end", "protocol", "tcp", peers.Server(peers.answers(b"-ERR\r\n")).port,
         {"send": "PING\r\n", "expect": "+PONG"}),
        ("tcp: silence", "timeout", "tcp", peers.Server(peers.silent).port, {"expect": "220"}),
        ("tcp: closed without a word", "reset", "tcp", peers.Server(peers.closes).port, {"send": "x", "expect": "220"}),
        ("tcp: reset", "reset", "tcp", peers.Server(peers.resets).port, {"send": "x", "expect": "220"}),
        ("tcp: one byte a second", "timeout", "tcp", peers.Server(peers.drips(b"22")).port, {"expect": "220 ready"}),
        ("tcp: a gigabyte", "protocol", "tcp", peers.Server(peers.floods(b"", flood)).port, {"expect": "220"}),
        ("udp: answered", "ok", "udp", echo_port, {"send": "ping", "expect": "pong"}),
        ("udp: answered otherwise", "protocol", "udp", echo_port, {"send": "ping", "expect": "else"}),
        ("udp: refused", "refused", "udp", closed_port(), {"send": "ping"}),
        ("udp: silence where an answer is expected", "timeout", "udp", mute_port, {"send": "ping", "expect": "pong"}),
        ("udp: silence otherwise says nothing", "none", "udp", mute_port, {"send": "ping"}),
        ("http: 200", "ok", "http", ok.port, {}),
        ("http: refused", "refused", "http", closed_port(), {}),
        ("http: 500", "status", "http", teapot.port, {}),
        ("http: 500 that is wanted", "ok", "http", teapot.port, {"status": (500, 500)}),
        ("http: the body that is wanted", "ok", "http", ok.port, {"body": "hell"}),
        ("http: another body", "protocol", "http", ok.port, {"body": "heaven"}),
        ("http: a redirect is not followed", "status", "http", loop.port, {}),
        ("http: too many requests", "limited", "http", peers.Server(peers.http(b"429 Slow down")).port, {}),
        ("http: garbage", "protocol", "http", junk.port, {}),
        ("http: silence", "timeout", "http", peers.Server(peers.silent).port, {}),
        ("http: closed without a word", "reset", "http", peers.Server(peers.closes).port, {}),
        ("http: one byte a second", "timeout", "http", peers.Server(peers.drips(b"HTTP/1.1 200 OK")).port, {}),
        ("http: a body of a gigabyte is read as far as it matters", "ok", "http",
         peers.Server(peers.floods(b"HTTP/1.1 200 OK\r\n\r\n", http_flood)).port, {}),
        ("http: headers without end", "reset or protocol", "http",
         peers.Server(peers.answers(b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200000)).port, {}),
        ("http/2 asked of one who does not speak it", "reset or protocol", "http", junk.port, {"http_version": 2}),
        ("http/2 over TLS: windows that open without end", "protocol", "https",
         peers.Server(peers.http2_floods(b"", peers.frame(8, b"\0\0\0\1")), http2).port, {"insecure": True, "http_version": 2}),
        ("http/2: pings without end", "protocol or reset", "http",
         peers.Server(peers.http2_floods(b"", peers.frame(6, b"12345678"))).port, {"http_version": 2}),
        ("http/2: settings without end", "protocol or reset", "http",
         peers.Server(peers.http2_floods(b"", peers.frame(4))).port, {"http_version": 2}),
        ("http/2: windows that open without end", "protocol", "http",
         peers.Server(peers.http2_floods(b"", peers.frame(8, b"\0\0\0\1"))).port, {"http_version": 2}),
        ("http/2: fields without end", "protocol or reset", "http",
         peers.Server(peers.http2_floods(fields, peers.frame(9, b"\0\1a\1b" * 3000, 0, 1))).port, {"http_version": 2}),
        ("http/2: empty frames without end", "protocol", "http",
         peers.Server(peers.http2_floods(peers.frame(1, b"\x88", 4, 1), peers.frame(0, b"", 0, 1))).port, {"http_version": 2}),
        ("http: a redirect to somewhere else is not followed", "status", "http", away.port, {}),
        ("https: silence", "timeout", "https", peers.Server(peers.silent).port, {"insecure": True}),
        ("https: closed in the middle of the handshake", "reset or protocol", "https",
         peers.Server(peers.answers(b"\x16\x03\x03\x00\x7a\x02")).port, {"insecure": True}),
        ("https: a certificate that is trusted", "ok", "https", secure.port, {"ca": good, "host": "good.test"}),
        ("https: for another name", "protocol", "https", secure.port, {"ca": good, "host": "bad.test"}),
        ("https: of nobody who is trusted", "protocol", "https", secure.port, {"ca": other, "host": "good.test"}),
        ("https: whatever certificate", "ok", "https", secure.port, {"insecure": True}),
        ("https: not TLS at all", "protocol", "https", junk.port, {"insecure": True}),
        ("https: a file of ours that is missing says nothing of it", "none", "https", secure.port,
         {"ca": "/nowhere.pem", "host": "good.test"}),
        ("agent: up", "ok", "agent", peers.Server(peers.says(b"up\n")).port, {}),
        ("agent: a part of its weight, without an end of line", "ok", "agent", peers.Server(lambda p, _s: p.sendall(b"75% drain")).port, {}),
        ("agent: asked first", "ok", "agent", peers.Server(peers.answers(b"ready up\r\n")).port, {"send": "hello\n"}),
        ("agent: down", "status", "agent", peers.Server(peers.says(b"down#disk\n")).port, {}),
        ("agent: words that are none", "protocol", "agent", junk.port, {"send": "x"}),
        ("agent: a line without end", "protocol or timeout", "agent", peers.Server(peers.says(b"up " * 5000)).port, {}),
        ("agent: nothing", "timeout", "agent", peers.Server(peers.silent).port, {}),
        ("agent: closed before it says anything", "reset", "agent", peers.Server(lambda _p, _s: None).port, {}),
        ("grpc: of one who does not speak it", "reset or protocol", "grpc", junk.port, {}),
    ]
    return table, {"flood": flood, "http_flood": http_flood, "loop": loop, "elsewhere": elsewhere, "sockets": (echo, mute)}


def test_peers(agent, directory):
    table, extra = cases(directory)
    for number, (_, _, kind, port, keys) in enumerate(table):
        agent.set(number, kind, port, timeout_ms=1000, interval_ms=1500, fast_ms=1500, down_ms=1500, **keys)
    agent.wait_for(range(len(table)), 12)
    for number, (what, wanted, *_) in enumerate(table):
        got = agent.of(number)
        check(f"{what}: {wanted}", bool(got) and all(r.outcome in wanted.split(" or ") for r in got), [(r.outcome, r.detail) for r in got])
    slowest = max(r.end_ns - r.begin_ns for r in agent.results) / 1e6
    check("no check takes longer than its time", slowest < 1400, f"{slowest} ms")
    check("of a gigabyte not more than fits into sockets is taken", max(extra["flood"][0], extra["http_flood"][0]) < 64 << 20,
          (extra["flood"], extra["http_flood"]))
    check("a loop of redirects is asked once for each check", extra["loop"].seen <= len(agent.of(22)) + 1, extra["loop"].seen)
    check("and whoever else it names is not asked at all", extra["elsewhere"].seen == 0, extra["elsewhere"].seen)
    check("nobody keeps it from the others", max(agent.late) < 1000, agent.late)
    check("and memory stays small", agent.resident_kib() < 300 << 10, agent.resident_kib())
    for number in range(len(table)):
        agent.remove(number)
    agent.hear(1.5)
    agent.results.clear()
    agent.hear(1)
    check("what is removed is not asked any more", not agent.results, len(agent.results))


def test_spread(agent):
    """400 targets: the busiest tenth of a second when they start has at most 1.5 times the mean. Where the machine let
    lb-checkd wait, what was due meanwhile starts together: it has told how long that was at most."""
    server = peers.Server(peers.closes)
    told = len(agent.late)
    for number in range(400):
        agent.set(number, "tcp", server.port, interval_ms=2000, fast_ms=2000)
    agent.wait_for(range(400), 8)
    firsts = sorted(agent.of(n)[0].begin_ns for n in range(400))
    busiest = max(sum(1 for f in firsts if at <= f < at + 100_000_000) for at in firsts)
    late_ms = max(agent.late[told:], default=0)
    check("starts are spread", busiest <= 30 * (100 + late_ms) / 100,
          f"{busiest} in the busiest 100 ms, 20 in the mean; {late_ms} ms late at most")
    check("all are answered", all(r.outcome == "ok" for r in agent.results), {r.outcome for r in agent.results})
    check("it says that it lives twice a second", agent.alive >= 2 and agent.state[3] == 400, agent.state)
    for number in range(400):
        agent.remove(number)
    agent.hear(1)
    agent.results.clear()


def test_shortage(directory):
    """With few descriptors checks wait for each other; when even those are gone, that is nobody's fault."""
    agent = Agent(directory)
    program = os.path.join(directory, "few")
    with open(program, "w", encoding="ascii") as file:
        file.write(f'#!/bin/sh\nulimit -n 82\nexec {CHECKD} "$@"\n')
    os.chmod(program, 0o755)
    agent.start(program)
    server = peers.Server(peers.silent)
    for number in range(200):
        agent.set(number, "tcp", server.port, interval_ms=300, timeout_ms=300, expect="x")
    agent.wait_for(range(200), 10)
    kinds = {r.outcome for r in agent.results}
    check("it says how many checks it can have under way", agent.state[9] == 50, agent.state)
    check("where more are due they wait, and all are asked", {r.id for r in agent.results} == set(range(200)) and kinds == {"timeout"},
          (len({r.id for r in agent.results}), kinds))
    check("which is said to be late", max(agent.late, default=0) > 0, agent.late)
    for number in range(200):
        agent.remove(number)
    agent.hear(0.5)
    agent.results.clear()
    # From now on it can open none.
    resource.prlimit(agent.process.pid, resource.RLIMIT_NOFILE, (4, 82))
    for number, kind in enumerate(("tcp", "http", "https", "grpc", "agent", "udp")):
        agent.set(number, kind, server.port, insecure=True, send="x")
    agent.wait_for(range(6), 5)
    check("a shortage of its own counts neither way, in any kind", all({r.outcome for r in agent.of(n)} == {"none"} for n in range(6)),
          [(r.id, r.outcome) for r in agent.results])
    resource.prlimit(agent.process.pid, resource.RLIMIT_NOFILE, (82, 82))
    agent.results.clear()
    agent.wait_for([0], 5)
    check("and it goes on when that is over", agent.of(0)[-1].outcome == "ok", [(r.outcome, r.detail) for r in agent.of(0)])
    agent.stop()


def test_late(agent):
    """It is stopped while the answer comes: what came in time is a success, however late it is read."""
    for number, (kind, answer) in enumerate((("tcp", b"220 ready"), ("http", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))):
        server = peers.Server(peers.slow(0.4, peers.says(answer)))
        agent.set(number, kind, server.port, timeout_ms=1000, interval_ms=60000, fast_ms=60000, send="x", expect="220")
        agent.hurry(number)
        wait_until(lambda: server.seen)
        time.sleep(0.2)  # the request is out, the answer is not there yet
        agent.process.send_signal(signal.SIGSTOP)
        time.sleep(1.6)
        agent.process.send_signal(signal.SIGCONT)
        agent.wait_for([number], 5)
        got = agent.of(number)
        check(f"{kind}: an answer that came in time is a success, however late it is read",
              [r.outcome for r in got] == ["ok"] and got[0].end_ns - got[0].begin_ns > 1_500_000_000,
              [(r.outcome, (r.end_ns - r.begin_ns) / 1e6) for r in got])
        agent.remove(number)
    server = peers.Server(peers.silent)
    agent.set(2, "tcp", server.port, timeout_ms=500, interval_ms=60000, fast_ms=60000, expect="220")
    agent.hurry(2)
    wait_until(lambda: server.seen)
    agent.process.send_signal(signal.SIGSTOP)
    time.sleep(1.2)
    agent.process.send_signal(signal.SIGCONT)
    agent.wait_for([2], 5)
    check("a deadline that it was not awake for says nothing", [r.outcome for r in agent.of(2)] == ["none"], [r.outcome for r in agent.of(2)])
    agent.remove(2)
    agent.results.clear()


def test_alone(agent, directory):
    """Two targets that libcurl takes for one host: each check has a connection and a TLS session of its own."""
    _, context = certificate(directory, "pool.test")
    resumed, requests = [], []

    def serve(peer, _server):
        resumed.append(peer.session_reused)
        while request := peer.recv(65536):
            requests.append(request)
            peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n")

    server = peers.Server(serve, context)
    for number in (0, 1):
        agent.set(number, "https", server.port, insecure=True, host="pool.test", interval_ms=100, fast_ms=100)
    agent.wait_for([0, 1], 10, 6)
    for number in (0, 1):
        agent.remove(number)
    agent.hear(0.5)
    check("each of them is answered", {r.outcome for r in agent.results} == {"ok"}, {r.outcome for r in agent.results})
    check("no connection serves two checks", len(requests) >= 12 and server.seen >= len(requests), (server.seen, len(requests)))
    check("and no TLS session", not any(resumed), resumed)
    agent.results.clear()


def test_path(agent):
    """Through the packet path: the number of the target stands beside the port that a check comes from."""
    ports = os.memfd_create("ports")
    os.ftruncate(ports, PLACES * 8)
    seen, reset = [], []

    def serve(peer, _server):
        place = peer.getpeername()[1]
        seen.append((peer.getpeername()[0], struct.unpack("=Q", os.pread(ports, 8, place * 8))[0]))
        peer.sendall(peer.recv(4096) and b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        try:
            peer.recv(1)
        except ConnectionResetError:
            reset.append(place)

    server, echo = peers.Server(serve), peers.udp(b"pong")
    agent.set(40, "http", server.port, mark=0x2000, source="127.0.0.9", interval_ms=200, fast_ms=200)
    agent.hear(1)
    check("without the ports it cannot be asked, and nothing is said of it", {r.outcome for r in agent.of(40)} == {"none"},
          [r.outcome for r in agent.of(40)])
    agent.give_ports(ports)
    agent.results.clear()
    agent.set(41, "tcp", peers.Server(peers.closes).port, mark=0x2000, interval_ms=200, fast_ms=200)
    agent.set(42, "udp", echo[1], mark=0x2000, interval_ms=200, fast_ms=200, send="ping", expect="pong")
    agent.hear(1.5)
    for number in (40, 41, 42):
        check(f"target {number} is asked", agent.of(number)[-1].outcome == "ok", [(r.outcome, r.detail) for r in agent.of(number)])
    check("from the address that was said, with its number written down", set(seen) == {("127.0.0.9", 41)}, set(seen))
    check("it ends in a reset: no port stays behind", len(reset) >= len(seen) - 1 > 0, (len(reset), len(seen)))
    places = [at for at in range(2 << 16) if struct.unpack("=Q", os.pread(ports, 8, at * 8))[0]]
    check("UDP has places of its own", {at >> 16 for at in places} == {0, 1}, len(places))
    check("no port is used again before the others", len(set(reset)) == len(reset) and len(places) >= len(agent.results) > 10,
          (len(places), len(agent.results)))
    for number in (40, 41, 42):
        agent.remove(number)
    agent.results.clear()


def test_again(agent):
    """lbd goes and comes: nothing is asked meanwhile, and then what it says anew."""
    agent.link.close()
    agent.accept()
    agent.results.clear()
    agent.hear(1)
    check("after a new hello nothing is asked that was not said anew", not agent.results, len(agent.results))
    agent.set(7, "tcp", peers.Server(peers.closes).port, generation=9, interval_ms=200, fast_ms=200)
    agent.wait_for([7], 3)
    check("results are of the generation that was said", {r.generation for r in agent.of(7)} == {9}, agent.of(7))


def main():
    directory = tempfile.mkdtemp(prefix="checkd-")
    os.chmod(directory, 0o755)
    agent = Agent(directory)
    try:
        agent.start()
        with open(f"/proc/{agent.process.pid}/status", encoding="ascii") as file:
            status = dict(line.split(":\t", 1) for line in file if ":\t" in line)
        check("it has one capability at most, can get none, and a filter of system calls",
              int(status["CapPrm"], 16) & ~CAP_NET_RAW == int(status["CapAmb"], 16) == 0 and status["NoNewPrivs"].strip() == "1" and status["Seccomp"].strip() == "2", status)
        test_peers(agent, directory)
        test_spread(agent)
        test_late(agent)
        test_alone(agent, directory)
        test_path(agent)
        test_again(agent)
        said = agent.stop()
        check("nothing was wrong inside", "Sanitizer" not in said and "runtime error" not in said, said[-3000:])
        os.unlink(agent.path)
        test_shortage(directory)
    finally:
        if agent.process.poll() is None:
            agent.process.kill()
        shutil.rmtree(directory)
    print(f"1..{len(results)}")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
