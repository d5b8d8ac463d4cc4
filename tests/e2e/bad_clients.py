#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Clients of lbd's socket that are broken, rude or slow. Each story says what must come back, or that lbd merely
has to live on; after each a well-behaved request must be answered quickly. Speaks TAP.

bad_clients.py SOCKET"""

import os
import random
import socket
import sys
import time

PATH = sys.argv[1]
count = 0
failed = 0


def report(good, name, *why):
    global count, failed
    count += 1
    if not good:
        failed += 1
    print(("ok" if good else "not ok"), count, "-", name, flush=True)
    if not good:
        for line in why:
            print("#", line)


def connect(timeout=10):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.settimeout(timeout)
    s.connect(PATH)
    return s


def read_all(s):
    data = b""
    try:
        while True:
            piece = s.recv(65536)
            if not piece:
                break
            data += piece
    except (ConnectionResetError, BrokenPipeError):
        pass
    except socket.timeout:
        data += b"<timeout>"
    return data


def healthy(name):
    start = time.monotonic()
    try:
        s = connect(5)
        s.sendall(b"GET /v1/version HTTP/1.1\r\nHost: w\r\nConnection: close\r\n\r\n")
        answer = read_all(s)
        s.close()
    except OSError as error:
        report(False, name, repr(error))
        return
    took = time.monotonic() - start
    report(b"200 OK" in answer and took < 2, name, answer[:200], "took %.2f s" % took)


def send(data, half_close=False, timeout=10):
    s = connect(timeout)
    try:
        s.sendall(data)
        if half_close:
            s.shutdown(socket.SHUT_WR)
    except (BrokenPipeError, ConnectionResetError):
        pass
    answer = read_all(s)
    s.close()
    return answer


def request(method, path, body=b"", extra=b""):
    return (
        method + b" " + path + b" HTTP/1.1\r\nHost: w\r\nConnection: close\r\n" + extra
        + (b"Content-Length: %d\r\n" % len(body) if body else b"") + b"\r\n" + body
    )


def expect(name, data, wanted, **how):
    answer = send(data, **how)
    status = answer.split(b" ", 2)[1:2]
    report(status and int(status[0]) in wanted, name, answer[:300])
    healthy("then a good client is served: " + name)


expect("an unknown path", request(b"GET", b"/v1/nothing"), [404])
expect("a wrong method", request(b"DELETE", b"/v1/status"), [405])
expect("a path of 8 KiB", request(b"GET", b"/" + b"a" * 8192), [404, 414, 431])
expect("a path of 1 MiB", request(b"GET", b"/" + b"a" * (1 << 20)), [414, 431, 400])
expect("a header of 1 MiB", request(b"GET", b"/v1/status", extra=b"X: " + b"y" * (1 << 20) + b"\r\n"), [431, 413, 400])
expect("100,000 headers", request(b"GET", b"/v1/status", extra=b"X: y\r\n" * 100000), [431, 413, 400])
expect("an announced body of 1 TiB", b"POST /v1/apply HTTP/1.1\r\nHost: w\r\nContent-Length: 1099511627776\r\n\r\n{", [413])
expect("a body length that is no number", b"POST /v1/apply HTTP/1.1\r\nHost: w\r\nContent-Length: lots\r\n\r\n{", [400, 413])
expect("a negative body length", b"POST /v1/apply HTTP/1.1\r\nHost: w\r\nContent-Length: -5\r\n\r\n{", [400, 413])
expect("a body where none is due", request(b"GET", b"/v1/status", b"x" * 10), [413])
expect("an empty configuration", request(b"POST", b"/v1/apply"), [400])
expect("a configuration of zeros", request(b"POST", b"/v1/apply", b"\0" * 1000), [400])
expect("a configuration of a million brackets", request(b"POST", b"/v1/apply", b"[" * 1000000), [400])
expect("an explain without a body", request(b"POST", b"/v1/explain"), [400])
expect("an explain of nonsense", request(b"POST", b"/v1/explain", b'{"protocol":"tcp","source":"a:b","destination":[]}'), [400])
expect("a number that is none", request(b"GET", b"/v1/events?since=minus"), [400])
expect("a PATCH of an unknown service", request(b"PATCH", b"/v1/services/no/backends/no", b'{"weight":1}'), [404])
expect("a PATCH with an unknown key", request(b"PATCH", b"/v1/services/web/backends/b1", b'{"wait":1}'), [400])
expect("a PATCH of a weight out of range", request(b"PATCH", b"/v1/services/web/backends/b1", b'{"weight":65536}'), [400])
expect("a PATCH of a weight and a half", request(b"PATCH", b"/v1/services/web/backends/b1", b'{"weight":1.5}'), [400])
expect("a PATCH of nothing", request(b"PATCH", b"/v1/services/web/backends/b1", b"{}"), [400])
expect("a PATCH of a weight given twice", request(b"PATCH", b"/v1/services/web/backends/b1", b'{"weight":1,"weight":200}'), [400])
expect("a PATCH with garbage behind it", request(b"PATCH", b"/v1/services/web/backends/b1", b'{"weight":50} garbage'), [400])
expect("a PATCH with a zero in a string", request(b"PATCH", b"/v1/services/web/backends/b1", b'{"state":"drain\\u0000x"}'), [400])
expect("a PATCH with a leading zero", request(b"PATCH", b"/v1/services/web/backends/b1", b'{"weight":050}'), [400])
expect("an explain of a key given twice", request(b"POST", b"/v1/explain", b'{"protocol":"tcp","protocol":"udp","source":"1.2.3.4:5","destination":"1.2.3.4:5"}'), [400])
expect("an explain of an unknown key", request(b"POST", b"/v1/explain", b'{"protocol":"tcp","sorce":"1.2.3.4:5","destination":"1.2.3.4:5"}'), [400])
expect("an unknown parameter", request(b"POST", b"/v1/apply?dry_rnu=1", b"{}"), [400])
expect("a parameter where there is none", request(b"GET", b"/v1/status?verbose=1"), [400])
expect("a parameter given twice", request(b"GET", b"/v1/events?since=1&since=2"), [400])
expect("a flag that is neither on nor off", request(b"POST", b"/v1/rollback?dry_run=yes"), [400])
expect("a zero in a path", request(b"GET", b"/v1/status%00x"), [404])
expect("a zero in a parameter", request(b"GET", b"/v1/events?since=1%002"), [400])
expect("a list of two million ones", request(b"POST", b"/v1/apply", b"[" + b"1," * 2000000 + b"1]"), [400])
expect("a half-closed client still gets its answer", request(b"GET", b"/v1/version"), [200], half_close=True)

# A chunked body that never announces its size: refused at the limit, not swallowed for ever.
s = connect(30)
sent = 0
try:
    s.sendall(b"POST /v1/explain HTTP/1.1\r\nHost: w\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n")
    for _ in range(64):
        s.sendall(b"10000\r\n" + b"z" * 65536 + b"\r\n")
        sent += 65536
    s.sendall(b"0\r\n\r\n")
except (BrokenPipeError, ConnectionResetError):
    pass
answer = read_all(s)
s.close()
report(b" 413 " in answer[:32] or answer == b"", "a chunked body above the limit", answer[:200], "sent %d" % sent)
healthy("then a good client is served: chunked")

for name, data in (
    ("noise", bytes(random.Random(1).randrange(256) for _ in range(4096))),
    ("TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 500),
    ("HTTP/0.9", b"GET /v1/status\r\n\r\n"),
    ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ("a cut request", b"GET /v1/sta"),
    ("bare line feeds", b"GET /v1/version HTTP/1.1\nHost: w\n\n"),
    ("a null in the path", b"GET /v1/\0status HTTP/1.1\r\nHost: w\r\n\r\n"),
    ("percent signs", b"GET /v1/services/%2e%2e%2f%zz%00/ring HTTP/1.1\r\nHost: w\r\nConnection: close\r\n\r\n"),
):
    send(data, half_close=True, timeout=5)
    healthy("lbd lives after " + name)

# Clients that hang up in the middle.
for cut in (1, 10, 40, 70, 100):
    s = connect()
    s.sendall(request(b"POST", b"/v1/apply", b"{" + b" " * 5000)[:cut])
    s.close()
for _ in range(50):
    s = connect()
    s.sendall(request(b"GET", b"/v1/services/web/ring?dump=1"))
    s.close()
healthy("lbd lives after clients that hang up")

# More idle and slow clients than there are connections.
crowd = []
for i in range(400):
    try:
        s = connect(2)
        if i % 2:
            s.sendall(b"POST /v1/apply HTTP/1.1\r\nHost: w\r\nContent-Length: 100\r\n\r\n{")
        crowd.append(s)
    except OSError:
        break
healthy("a good client is served beside %d idle ones" % len(crowd))
end = time.monotonic() + 4
dripped = 0
while time.monotonic() < end:
    for s in crowd:
        try:
            s.sendall(b" ")
            dripped += 1
        except OSError:
            pass
    healthy_start = time.monotonic()
    time.sleep(1)
healthy("a good client is served beside clients that drip")
for s in crowd:
    s.close()
healthy("a good client is served after they left")

# A client that asks much and does not read.
deaf = []
for _ in range(20):
    s = connect()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.sendall(request(b"GET", b"/v1/services/web/ring?dump=1"))
    deaf.append(s)
healthy("a good client is served beside clients that do not read")
for s in deaf:
    s.close()

# Many requests on one connection.
s = connect()
for _ in range(200):
    s.sendall(b"GET /v1/version HTTP/1.1\r\nHost: w\r\n\r\n")
got = 0
data = b""
s.settimeout(3)
try:
    while got < 200:
        piece = s.recv(65536)
        if not piece:
            break
        data += piece
        got = data.count(b"HTTP/1.1 200")
except socket.timeout:
    pass
s.close()
report(got == 200, "200 pipelined requests are all answered", "got %d" % got)
healthy("and lbd lives")

print("1..%d" % count)
sys.exit(failed > 0)
