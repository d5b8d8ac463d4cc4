#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Sends hand-made tunnel packets to backend 1 of a lab and compares what becomes of each: which counter of
lb-backend moves, whether and how the inner packet reaches a socket on the VIP, and, where XDP passes it, that not a
byte has changed. Used by test_backend.sh: tunnel_packets.py PREFIX STATE_DIR LB_BACKEND xdp|tc"""

import ctypes
import json
import socket
import struct
import subprocess
import sys
import time

from scapy.all import ARP, Ether, ICMPv6ND_NS, IP, IPv6, Raw, UDP, ICMPv6NDOptSrcLLAddr
from scapy.utils6 import in6_getnsma, in6_getnsmac
from scapy.pton_ntop import inet_pton, inet_ntop

PREFIX, STATE_DIR, LB_BACKEND, HOOK = sys.argv[1:5]
VIP4, VIP6 = "203.0.113.10", "2001:db8:113::10"
LB4, LB6, B4, B6 = "10.77.0.2", "fd77::2", "10.77.0.11", "fd77::11"
CLIENT4, CLIENT6 = "198.51.100.2", "2001:db8:51::2"
PORT, GUE_PORT = 4242, 6080
SECONDS = 3


def enter(host):
    with open(f"/run/netns/{PREFIX}-{host}") as f:
        if ctypes.CDLL(None, use_errno=True).setns(f.fileno(), 0x40000000) < 0:
            raise OSError(ctypes.get_errno(), f"setns {host}")


def packet_socket(device):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    s.bind((device, 3))
    return s



enter("b1")
udp4 = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp4.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
udp4.bind((VIP4, PORT))
udp6 = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
udp6.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS, 1)
udp6.bind((VIP6, PORT))
seen = packet_socket("eth0")
MAC_B = ":".join(f"{b:02x}" for b in seen.getsockname()[4])
enter("lb")
wire = packet_socket("eth1")
wire.setsockopt(263, 20, 1)  # SOL_PACKET, PACKET_QDISC_BYPASS: past the encapsulation at tc egress
MAC_LB = ":".join(f"{b:02x}" for b in wire.getsockname()[4])
for s in (udp4, udp6, seen, wire):
    s.setblocking(False)


def counters():
    out = subprocess.run(
        ["nsenter", f"--net=/run/netns/{PREFIX}-b1", LB_BACKEND, "status", "-j", "--state-dir", STATE_DIR],
        stdout=subprocess.PIPE, check=False).stdout
    return json.loads(out)["devices"][0]["packets"]


def drain(s):
    got = []
    try:
        while True:
            got.append(s.recv(65536))
    except BlockingIOError:
        return got


def received(s):
    """(payload, traffic class) or None"""
    try:
        data, ancillary, _, _ = s.recvmsg(2048, 128)
    except BlockingIOError:
        return None
    for level, kind, value in ancillary:
        if (level, kind) == (socket.IPPROTO_IP, socket.IP_TOS):
            return data, value[0]
        if (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_TCLASS):
            return data, struct.unpack("i", value)[0]
    return data, -1


failed = 0


def result(good, name, *lines):
    global failed
    failed += not good
    print(f"{'ok' if good else 'not ok'} - {HOOK}: {name}")
    for line in lines if not good else ():
        print(f"# {line}")


def wait(condition):
    end = time.monotonic() + SECONDS
    while True:
        value = condition()
        if value or time.monotonic() > end:
            return value
        time.sleep(0.001)


def run(name, packet, outcome, family=None, tos=None):
    """Sends one packet. outcome: the counter that must move, by one, and no other tunnel counter. family: 4 or 6 if
    the inner packet must arrive at the VIP's socket, with the traffic class tos; None: it must not."""
    frame = bytes(packet)
    for s in (udp4, udp6):
        drain(s)
    drain(seen)
    before = counters()
    wire.send(frame)

    def moved():
        now = counters()
        return {k: now[k] - before[k] for k in now if k != "pass_plain" and now[k] != before[k]}

    wanted = {outcome: 1} if outcome != "pass_plain" else {}
    if outcome == "pass_plain":
        wait(lambda: counters()["pass_plain"] > before["pass_plain"])
    else:
        wait(lambda: moved() == wanted)
    delta = moved()
    problems = []
    if delta != wanted:
        problems.append(f"counters moved: {delta}, wanted {wanted}")
    got = wait(lambda: received(udp4 if family == 4 else udp6)) if family else received(udp4) or received(udp6)
    if family:
        if not got:
            problems.append("did not arrive at the VIP")
        elif got[0] != b"hello" or (tos is not None and got[1] != tos):
            problems.append(f"arrived as {got}, wanted traffic class {tos}")
    elif got:
        problems.append(f"arrived at the VIP: {got}")
    # A packet socket sees what XDP let through (and, with tc, what came in anyway).
    if outcome.startswith("pass") and HOOK == "xdp":
        frames = []
        if not wait(lambda: frames.extend(drain(seen)) or frame in frames):
            problems.append("was changed or lost on its way to the stack")
    if outcome.startswith("drop") and HOOK == "xdp" and frame in drain(seen):
        problems.append("was not dropped")
    result(not problems, name, *problems, f"frame {frame.hex()}")


def eth(kind=None):
    return Ether(src=MAC_LB, dst=MAC_B) if kind is None else Ether(src=MAC_LB, dst=MAC_B, type=kind)


def in4(dst=VIP4, **fields):
    return IP(src=CLIENT4, dst=dst, **fields) / UDP(sport=5555, dport=PORT) / Raw(b"hello")


def in6(dst=VIP6, **fields):
    return IPv6(src=CLIENT6, dst=dst, **fields) / UDP(sport=5555, dport=PORT) / Raw(b"hello")


def out4(inner, dst=B4, proto=None, **fields):
    if proto is None:
        proto = 4 if inner[0] >> 4 == 4 else 41
    return eth() / IP(src=LB4, dst=dst, proto=proto, **fields) / Raw(inner)


def out6(inner, dst=B6, nh=None, **fields):
    if nh is None:
        nh = 4 if inner[0] >> 4 == 4 else 41
    return eth() / IPv6(src=LB6, dst=dst, nh=nh, **fields) / Raw(inner)


def gue4(inner, dport=GUE_PORT, **fields):
    return eth() / IP(src=LB4, dst=B4) / UDP(sport=51000, dport=dport, chksum=0, **fields) / Raw(inner)


def gue6(inner, dport=GUE_PORT, **fields):
    return eth() / IPv6(src=LB6, dst=B6) / UDP(sport=51000, dport=dport, chksum=0, **fields) / Raw(inner)


I4, I6 = bytes(in4()), bytes(in6())


def patched(data, offset, value):
    return data[:offset] + value + data[offset + len(value):]


def deliveries():
    run("4in4 arrives", out4(I4), "4in4", 4, 0)
    run("6in4 arrives", out4(I6), "6in4", 6, 0)
    run("4in6 arrives", out6(I4), "4in6", 4, 0)
    run("6in6 arrives", out6(I6), "6in6", 6, 0)
    run("IPv4 in GUE over IPv4 arrives", gue4(I4), "gue", 4, 0)
    run("IPv6 in GUE over IPv4 arrives", gue4(I6), "gue", 6, 0)
    run("IPv4 in GUE over IPv6 arrives", gue6(I4), "gue", 4, 0)
    run("IPv6 in GUE over IPv6 arrives", gue6(I6), "gue", 6, 0)
    run("GUE from any source port, with an outer checksum, arrives",
        eth() / IP(src=LB4, dst=B4) / UDP(sport=1, dport=GUE_PORT) / Raw(I4), "gue", 4, 0)
    run("DSCP of the inner packet stays, DSCP of the outer is not copied",
        out4(bytes(in4(tos=0x28)), tos=0xb8), "4in4", 4, 0x28)
    run("inner IPv4 options arrive", out4(bytes(IP(src=CLIENT4, dst=VIP4, options=b"\x01\x01\x01\x00") /
                                                UDP(sport=5555, dport=PORT) / Raw(b"hello"))), "4in4", 4, 0)
    run("padding behind the outer packet does no harm", out4(I4, len=20 + len(I4)) / Raw(b"\0" * 30), "4in4", 4, 0)


def refusals():
    run("outer IPv4 to another host passes untouched", out4(I4, dst="10.77.0.99"), "pass_outer")
    run("outer IPv6 to another host passes untouched", out6(I6, dst="fd77::99"), "pass_outer")
    run("outer IPv4 to the VIP itself passes untouched", out4(I4, dst=VIP4), "pass_outer")
    run("inner IPv4 not to a VIP passes untouched", out4(bytes(in4(dst="203.0.113.99"))), "pass_inner")
    run("inner IPv6 not to a VIP passes untouched", out6(bytes(in6(dst="2001:db8:113::99"))), "pass_inner")
    run("inner IPv4 to the host's own address passes untouched", out4(bytes(in4(dst=B4))), "pass_inner")
    run("IPv4 marked as IPv6 in the outer header passes untouched", out4(I6[:1] + I6[1:], proto=4), "pass_inner")
    run("a fragment of a tunnel packet passes untouched", out4(I4, flags="MF"), "pass_fragment")
    run("a later fragment passes untouched", out4(I4, frag=10), "pass_fragment")
    run("a wrong outer checksum is left to the kernel", out4(I4, chksum=0x1234), "pass_malformed")
    run("an outer length below its header is left to the kernel", out4(I4, len=19), "pass_malformed")
    run("an outer IPv4 header shorter than 20 bytes is left to the kernel", out4(I4, ihl=4), "pass_malformed")
    run("outer options pass untouched", out4(I4, options=b"\x01\x01\x01\x00"), "pass_plain")
    run("an inner packet cut short is left to the kernel", out4(I4[:19]), "pass_malformed")
    run("an inner packet longer than the outer says, by address, is left to the kernel",
        out4(I4, len=30), "pass_malformed")
    run("no inner packet at all is left to the kernel", out6(b"", nh=41), "pass_malformed")
    run("outer IPv6 with an extension header passes untouched",
        eth() / IPv6(src=LB6, dst=B6, nh=60) / Raw(b"\x29\x00\x01\x04\x00\x00\x00\x00" + I6), "pass_plain")
    run("GRE passes untouched", out4(b"\0\0\x08\0" + I4, proto=47), "pass_plain")
    run("GUE on another port passes untouched", gue4(I4, dport=6081), "pass_plain")
    run("GUE variant 0 passes untouched", gue4(b"\0\4\0\0" + I4), "pass_plain")
    run("a UDP length beyond the packet is left to the kernel", gue4(I4, len=200), "pass_malformed")
    run("a UDP length below 8 is left to the kernel", gue6(I4, len=7), "pass_malformed")


def lies():
    run("inner version is wrong: dropped", out4(patched(I4, 0, b"\x65"), proto=4), "drop_inner")
    run("inner header length below 20: dropped", out4(patched(I4, 0, b"\x44")), "drop_inner")
    run("inner length below its header: dropped", out4(patched(I4, 2, b"\0\x13")), "drop_inner")
    run("inner length beyond the outer packet: dropped", out4(patched(I4, 2, struct.pack("!H", len(I4) + 1))),
        "drop_inner")
    run("inner IPv6 length beyond the outer packet: dropped",
        out6(patched(I6, 4, struct.pack("!H", len(I6) - 39))), "drop_inner")
    run("inner IPv6 version is wrong: dropped", out6(patched(I6, 0, b"\x50"), nh=41), "drop_inner")
    run("inner length beyond the UDP length: dropped", gue4(I4, len=8 + len(I4) - 1), "drop_inner")


def congestion():
    """RFC 6040, figure 4. Codepoints: 0 Not-ECT, 1 ECT(1), 2 ECT(0), 3 CE."""
    table = {(0, 0): 0, (0, 1): 0, (0, 2): 0, (0, 3): None,
             (1, 0): 1, (1, 1): 1, (1, 2): 1, (1, 3): 3,
             (2, 0): 2, (2, 1): 1, (2, 2): 2, (2, 3): 3,
             (3, 0): 3, (3, 1): 3, (3, 2): 3, (3, 3): 3}
    names = ["Not-ECT", "ECT(1)", "ECT(0)", "CE"]
    for (inner, outer), after in table.items():
        name = f"inner {names[inner]}, outer {names[outer]}: {'dropped' if after is None else names[after]}"
        dscp = 0x48
        for label, packet, counter, family in (
                ("4in4", out4(bytes(in4(tos=dscp | inner)), tos=outer), "4in4", 4),
                ("6in6", out6(bytes(in6(tc=dscp | inner)), tc=0x10 | outer), "6in6", 6)):
            if after is None:
                run(f"{label} {name}", packet, "drop_ecn")
            else:
                run(f"{label} {name}", packet, counter, family, dscp | after)
    run("4in6 CE reaches the inner header", out6(bytes(in4(tos=2)), tc=3), "4in6", 4, 3)
    run("6in4 CE reaches the inner header", out4(bytes(in6(tc=2)), tos=3), "6in4", 6, 3)
    run("GUE CE reaches the inner header", eth() / IP(src=LB4, dst=B4, tos=3) /
        UDP(sport=9, dport=GUE_PORT, chksum=0) / Raw(bytes(in4(tos=1))), "gue", 4, 3)


def silence():
    """Nobody may learn the VIP's MAC from a backend: asks for the VIP, then for the host, and waits for the latter's
    answer alone."""
    def ask(frame):
        wire.send(bytes(frame))

    def arp(address):
        return Ether(src=MAC_LB, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=MAC_LB, psrc=LB4, pdst=address)

    def nd(address):
        target = in6_getnsma(inet_pton(socket.AF_INET6, address))
        return Ether(src=MAC_LB, dst=in6_getnsmac(target)) / \
            IPv6(src=LB6, dst=inet_ntop(socket.AF_INET6, target), hlim=255) / \
            ICMPv6ND_NS(tgt=address) / ICMPv6NDOptSrcLLAddr(lladdr=MAC_LB)

    for label, question, vip, own in (("ARP", arp, VIP4, B4), ("ND", nd, VIP6, B6)):
        family = socket.AF_INET if label == "ARP" else socket.AF_INET6
        drain(wire)
        answers = []

        def answered(address):
            return any(bytes(a[6:12]) == seen.getsockname()[4] and inet_pton(family, address) in a[14:]
                       for a in answers)

        ask(question(vip))
        # To the host's unicast MAC too, past the multicast filters.
        unicast = question(vip)
        unicast.dst = MAC_B
        ask(unicast)
        ask(question(own))
        wait(lambda: answers.extend(drain(wire)) or answered(own))
        result(answered(own) and not answered(vip), f"{label} is answered for the host, not for the VIP",
               f"host: {answered(own)}, VIP: {answered(vip)}")


deliveries()
refusals()
lies()
congestion()
silence()
sys.exit(failed > 0)
