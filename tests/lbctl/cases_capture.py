# SPDX-License-Identifier: GPL-2.0-only
"""lbctl capture, and what it makes of an agent that streams something else, or stops in the middle."""

import json
import os
import struct

from harness import DIR, SOCKET, expect, expect_failure, lbctl, test, wrong

FILE = os.path.join(DIR, "out.pcapng")


def block(kind, body):
    body += bytes(-len(body) % 4)
    return struct.pack("=II", kind, len(body) + 12) + body + struct.pack("=I", len(body) + 12)


SECTION = block(0x0A0D0D0A, struct.pack("=IHHq", 0x1A2B3C4D, 1, 0, -1))
INTERFACES = block(1, struct.pack("=HHI", 1, 0, 256)) * 2
PACKET = block(6, struct.pack("=IIIII", 0, 1, 2, 64, 64) + bytes(64))
OUT = block(6, struct.pack("=IIIII", 1, 1, 2, 84, 84) + bytes(84))


def statistics(received, dropped):
    return block(5, struct.pack("=IIIHHQHHQHH", 0, 0, 0, 4, 8, received, 5, 8, dropped, 0, 0))


def chunks(*parts, end=True, head=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"):
    return head + b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in parts) + (b"0\r\n\r\n" if end else b"")


def sends(data):
    return lambda peer: peer.sendall(data)


def written():
    with open(FILE, "rb") as f:
        return f.read()


@test
def capture_writes_what_comes_and_counts_it(lbd):
    whole = SECTION + INTERFACES + PACKET + OUT + PACKET + OUT + statistics(5, 3)
    lbd.raw = sends(chunks(whole[:100], whole[100:101], whole[101:]))
    r = lbctl("capture", "-w", FILE, "-c", "2", "--service", "a b", "--flow", "tcp:*,[::1]:80", "--drops")
    expect(r.rc == 0 and r.out == "" and r.err.endswith("\nlbctl: 2 packets captured, 3 lost\n"), r)
    expect(written() == whole)
    expect(lbd.requests[-1][:2] == ("GET", "/v1/capture?service=a%20b&flow=tcp%3A%2A%2C%5B%3A%3A1%5D%3A80&count=2&drops=1"),
           lbd.requests)
    r = lbctl("-j", "capture", "-w", FILE)
    expect(json.loads(r.out) == {"file": FILE, "packets": 2, "lost": 3, "bytes": len(whole)}, r)
    r = lbctl("capture", "-w", "-")
    expect(r.rc == 0 and r.err == "lbctl: 2 packets captured, 3 lost\n", r)


def dropped(reason, interface=0, last=0):
    comment = f"verdict=XDP_DROP reason={reason} service=web backend=- generation=7 interface=eth0".encode()
    option = struct.pack("=HH", 1, len(comment)) + comment + bytes(-len(comment) % 4)
    return block(6, struct.pack("=IIIII", interface, 1, 2, 61, 1000) + bytes(60) + bytes([last]) + bytes(3) +
                 struct.pack("=HHI", 2, 4, 1) + option + struct.pack("=HH", 0, 0))


@test
def drops_of_a_service_are_counted_by_reason(lbd):
    whole = SECTION + INTERFACES + dropped("ttl") + PACKET + dropped("no_backend") + dropped("ttl", 1) + dropped("ttl") + statistics(6, 3)
    lbd.answers["GET /v1/capture"] = (200, whole)
    r = lbctl("drops", "web", "--seconds", "2")
    lines = r.out.splitlines()
    expect(r.rc == 0 and lines[1].split()[:3] == ["ttl", "2", "1.0"] and lines[2].split()[:3] == ["no_backend", "1", "0.5"], r)
    expect("1000 bytes" in r.out and "3 more were dropped" in r.out, r)
    expect(lbd.requests[-1][:2] == ("GET", "/v1/capture?service=web&drops=1&seconds=2"), lbd.requests)
    r = lbctl("-j", "drops", "web")
    expect(json.loads(r.out) == {"service": "web", "seconds": 5, "packets": 3, "lost": 3,
                                 "reasons": [{"reason": "ttl", "packets": 2}, {"reason": "no_backend", "packets": 1}]}, r)
    lbd.answers["GET /v1/capture"] = (200, SECTION + INTERFACES + statistics(0, 0))
    expect("no packet of web was dropped in 5 s" in lbctl("drops", "web").out)
    lbd.answers["GET /v1/capture"] = (404, {"error": {"message": "there is no service \"x\""}})
    expect_failure(lbctl("drops", "x"), "there is no service")
    wrong("once", "drops", "web", "--interval", "1")
    wrong("one SERVICE", "drops", "--seconds", "1")
    # Blocks whose lengths do not agree with what is in them.
    for at in range(20, len(dropped("ttl")) - 4, 2):
        bad = bytearray(dropped("ttl"))
        bad[at:at + 2] = b"\xff\xff"
        lbd.answers["GET /v1/capture"] = (200, SECTION + INTERFACES + bytes(bad) + statistics(1, 0))
        r = lbctl("drops", "web")
        expect(r.rc in (0, 1), at, r)


@test
def a_capture_that_is_cut_ends_with_a_whole_block(lbd):
    whole = SECTION + INTERFACES + PACKET
    for rest in (b"", PACKET[:1], PACKET[:9], PACKET[:-1]):
        lbd.raw = sends(chunks(whole, rest, end=False) if rest else chunks(whole, end=False))
        expect_failure(lbctl("capture", "-w", FILE), "ended the capture early, after 1 packets")
        expect(written() == whole, rest)


@test
def what_is_no_capture_is_refused(lbd):
    for data in (chunks(b"{\"reasons\": [1, 2, 3, 4]}"), chunks(bytes(64)), b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
                 b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n<html></h", b"\x00\x01\x02\r\n\r\n", b""):
        if os.path.exists(FILE):
            os.unlink(FILE)
        lbd.raw = sends(data)
        r = lbctl("capture", "-w", FILE)
        expect(r.rc == 1 and r.err.startswith("lbctl: ") and not os.path.exists(FILE), data, r)
        r = lbctl("-j", "capture", "-w", FILE)
        expect(r.rc == 1 and json.loads(r.out)["error"]["message"], data, r)


@test
def errors_of_a_capture_are_told(lbd):
    lbd.answers["GET /v1/capture"] = (404, {"error": {"message": "no \x1b[31mservice", "path": "service", "value": "x"}})
    expect_failure(lbctl("capture", "-w", FILE, "--service", "x"), "lbctl: no ?[31mservice\n  at service: x\n")
    lbd.answers["GET /v1/capture"] = (500, b"<html>")
    expect_failure(lbctl("capture", "-w", FILE), "refuses to capture, for no reason")
    expect_failure(lbctl("capture", "-w", FILE, "--socket", SOCKET + ".not"), "is lbd running?")
    lbd.raw = lambda peer: peer.recv(1)
    expect_failure(lbctl("capture", "-w", FILE, "--timeout", "0.2"), "no answer")
    whole = SECTION + INTERFACES + PACKET + statistics(1, 0)
    lbd.raw = sends(chunks(whole))
    expect_failure(lbctl("capture", "-w", "/dev/full"), "cannot write /dev/full: No space left on device")
    expect_failure(lbctl("capture", "-w", os.path.join(DIR, "none", "x")), "cannot write", "No such file")


@test
def wrong_usage_of_capture(lbd):
    wrong("capture needs -w FILE", "capture")
    wrong("--count", "capture", "-w", FILE, "-c", "0")
    wrong("--seconds", "capture", "-w", FILE, "--seconds", "1.5")
    wrong("is too much", "capture", "-w", FILE, "web")
    expect(not lbd.requests, lbd.requests)
