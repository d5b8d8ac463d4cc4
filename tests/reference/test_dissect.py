#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""
Every kind of packet that leaves the packet path, dissected by tshark without a complaint: nothing malformed, every
checksum checked and right. Packets in are right ones from the generator; what comes out is also compared with the
reference balancer. TAP.
"""

import collections
import os
import random
import struct
import subprocess
import sys
import tempfile

from balancer import Balancer
from generator import Generator
from headers import tags_of
from reference import agrees
from runner import Request, Runner

PACKETS = 4000  # at a time, until every kind has been seen
ROUNDS_MAX = 15
# Random payloads must not be taken for HTTP, DNS or QUIC: all other dissectors are switched off.
DISSECTORS = "frame eth ethertype vlan ieee8021ad ip ipv6 tcp udp icmp icmpv6 data".split()
PARTS = ("_ws.", "ip.", "ipv6.", "tcp.", "udp.")  # options, extension headers, complaints
# RFC 6935 lets a tunnel over IPv6 go without a UDP checksum.
OPTIONS = """ip.check_checksum:TRUE udp.ignore_ipv6_zero_checksum:TRUE
    tcp.analyze_sequence_numbers:FALSE tcp.desegment_tcp_streams:FALSE ip.defragment:FALSE ipv6.defragment:FALSE
    eth.fcs:Never""".split()
CHECKED = ("ip", "tcp", "udp", "icmp", "icmpv6")
# A reset is what was asked for; behind an answer to a frame of several buffers lies what it does not fill.
FINE = {"Connection reset (RST)", "Didn't find padding of zeros, and an undecoded trailer exists. There may be padding of "
        "non-zeros."}
COMPLAINTS = " || ".join(["_ws.malformed", "_ws.short", "_ws.expert.severity >= 0x600000"] +
                         [f"{p}.checksum.status == 0" for p in CHECKED])

failed = 0
count = 0


def ok(good, name, *diagnostics):
    global failed, count
    count += 1
    failed += not good
    print(f"{'ok' if good else 'not ok'} {count} - {name}")
    for line in diagnostics if not good else ():
        print(f"# {line}")


def kinds_wanted():
    kinds = set()
    for tags in (0, 1, 2):
        for version in (4, 6):
            kinds |= {f"echo {version} {tags} tags", f"reply_too_big {version} {tags} tags",
                      f"l2 {version} flow {tags} tags"}
            for what in ("flow", "icmp", "fragment"):
                kinds |= {f"{method} {version}in{outer} {what} {tags} tags" for outer in (4, 6)
                          for method in ("ipip", "gue") if (method, version, outer) != ("ipip", 6, 4)}
    return kinds


def kind_of(frame, opinion, balancer):
    """In words: what came in and what it becomes."""
    kind, l3 = tags_of(frame)
    tags = (l3 - 14) // 4
    version = 4 if kind == 0x0800 else 6
    if opinion.reason:
        return f"{opinion.reason} {version} {tags} tags"
    number = min(opinion.counters) // 8 * 8
    backend = next(b for s in balancer.services for b in s.backends.values() if 1000 + 8 * b.id == number)
    protocol = frame[l3 + 9] if version == 4 else frame[l3 + 6]
    if protocol in (1, 58):
        what = "icmp"
    elif protocol == 44 or version == 4 and (frame[l3 + 6] & 0x3F or frame[l3 + 7]):
        what = "fragment"
    else:
        what = "flow"
    if backend.l2:
        return f"l2 {version} {what} {tags} tags"
    return f"{'gue' if backend.gue else 'ipip'} {version}in{backend.address.version} {what} {tags} tags"


def collect():
    """[(kind, frame)] of what left, and how many packets the reference judged otherwise."""
    runner = Runner("one-interface")
    balancer = Balancer(runner.tables)
    generator = Generator(random.Random("dissect"), runner.tables["config"], valid=True)
    out, wrong, missing = [], 0, kinds_wanted()
    for _ in range(ROUNDS_MAX):
        frames = [generator.next() for _ in range(PACKETS)]
        for frame, answer in zip(frames, runner.run([Request(f, 0, 0) for f in frames])):
            opinion = balancer.decide(frame)
            wrong += not agrees(opinion, answer)
            if answer.action in ("TX", "REDIRECT"):
                out.append((kind_of(frame, opinion, balancer), answer.frame))
        missing -= {kind for kind, _ in out}
        if not missing:
            break
    runner.close()
    return out, wrong


def write_pcap(path, frames):
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for i, frame in enumerate(frames):
            file.write(struct.pack("<IIII", i, 0, len(frame), len(frame)) + frame)


def is_fine(kind, messages):
    """Whether tshark's only complaints of a reset are that it is one."""
    for message in FINE:
        messages = messages.replace(message, "")
    return kind.startswith(("reply_no_backend ", "reply_unclaimed ")) and not messages.strip(",")


class Tshark:
    def __init__(self, folder):
        self.folder = folder
        self.transport = "TRUE"  # check checksums of TCP and UDP
        self.environment = {**os.environ, "WIRESHARK_CONFIG_DIR": folder, "LC_ALL": "C"}
        protocols = self.run("-G", "protocols")
        names = [line.split("\t")[2] for line in protocols.splitlines() if line.count("\t") >= 2]
        with open(os.path.join(folder, "disabled_protos"), "w", encoding="ascii") as file:
            file.writelines(f"{name}\n" for name in names if name not in DISSECTORS and not name.startswith(PARTS))

    def run(self, *arguments):
        return subprocess.run(["tshark", *arguments], env=self.environment, check=True, stdout=subprocess.PIPE,
                              encoding="utf-8").stdout

    def complaints(self, out, only):
        """What tshark finds wrong with the frames whose kind `only` takes."""
        chosen = [(kind, frame) for kind, frame in out if only(kind)]
        lines = self.fields([frame for _, frame in chosen], COMPLAINTS, "frame.number", "frame.protocols",
                            "_ws.expert.message")
        return [f"{chosen[int(n) - 1][0]}: {rest} {chosen[int(n) - 1][1].hex()}" for n, *rest in lines
                if not is_fine(chosen[int(n) - 1][0], rest[-1])]

    def fields(self, frames, only, *fields):
        path = os.path.join(self.folder, "frames.pcap")
        write_pcap(path, frames)
        transport = [f"{p}.check_checksum:{self.transport}" for p in ("tcp", "udp")]
        options = [word for option in OPTIONS + transport for word in ("-o", option)]
        options += [word for port in (6080, 5555) for word in ("-d", f"udp.port=={port},ip")]
        wanted = [word for field in fields for word in ("-e", field)]
        lines = self.run("-n", "-r", path, *options, *(["-Y", only] if only else []), "-T", "fields", *wanted)
        return [line.split("\t") for line in lines.splitlines()]


def main():
    out, wrong = collect()
    frames = [frame for _, frame in out]
    seen = collections.Counter(kind for kind, _ in out)
    ok(wrong == 0, "the reference balancer agrees on packets that are right", f"{wrong} disagreements")
    missing = sorted(kinds_wanted() - set(seen))
    ok(not missing, f"{len(seen)} kinds of packets leave", f"missing: {', '.join(missing)}")
    with tempfile.TemporaryDirectory(prefix="weir-dissect-") as folder:
        tshark = Tshark(folder)
        quotes = lambda kind: "icmp" in kind or "too_big" in kind
        complaints = tshark.complaints(out, lambda kind: not quotes(kind))
        # tshark takes the transport checksum in a quote that was cut short for a wrong one.
        tshark.transport = "FALSE"
        complaints += tshark.complaints(out, quotes)
        tshark.transport = "TRUE"
        ok(not complaints, f"tshark has no complaint about {len(frames)} packets",
           f"{len(complaints)} complaints", *complaints[:10])
        layers = collections.defaultdict(set)
        for (kind, _), (protocols,) in zip(out, tshark.fields(frames, None, "frame.protocols")):
            layers[kind].add(protocols)
        shallow = [f"{kind}: {stack}" for kind, stacks in layers.items() for stack in stacks
                   if "in" in kind.split(" ")[1] and stack.count("ip") < 2]
        ok(not shallow, "tshark sees the inner packet of every tunnel", *shallow[:10])
        broken = []
        for kind, at in (("ipip 4in4 flow 0 tags", 24), ("echo 4 0 tags", 36), ("reply_too_big 6 0 tags", 56)):
            # Of a fragment, tshark cannot check the message's.
            frame = next(f for k, f in out if k == kind and (f[14] >> 4 == 6 or not f[20] & 0x3F | f[21]))
            broken.append(frame[:at] + bytes([frame[at] ^ 1]) + frame[at + 1 :])
        noticed = tshark.fields(broken, COMPLAINTS, "frame.number")
        ok(len(noticed) == len(broken), "tshark notices wrong checksums", f"{noticed} of {len(broken)}")
    print(f"1..{count}")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
