#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Puts hand-made frames on the wire in front of a lab's balancer, from the router's front link.

    bad_headers.py PREFIX KIND [COUNT]

Prints the first frame in hexadecimal. KIND names the reason that the balancer should drop it for, or "flood": COUNT
well-formed TCP packets of one connection."""

import ctypes
import socket
import sys

from scapy.all import ICMP, IP, TCP, UDP, Ether, Raw

PREFIX, KIND = sys.argv[1:3]
COUNT = int(sys.argv[3]) if len(sys.argv) > 3 else 1
CLIENT, VIP = "198.51.100.2", "203.0.113.10"


def enter(host):
    with open(f"/run/netns/{PREFIX}-{host}") as f:
        if ctypes.CDLL(None, use_errno=True).setns(f.fileno(), 0x40000000) < 0:
            raise OSError(ctypes.get_errno(), f"setns {host}")


def mac(device):
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as s:
        s.bind((device, 0))
        return ":".join(f"{b:02x}" for b in s.getsockname()[4])


enter("lb")
MAC_LB = mac("eth0")
enter("router")
ETHERNET = Ether(src=mac("front"), dst=MAC_LB)
TO = IP(src=CLIENT, dst=VIP)
TOLD = IP(src=VIP, dst=CLIENT) / TCP(sport=80, dport=40000)

KINDS = {
    "ip_header": IP(src=CLIENT, dst=VIP, len=400) / TCP(sport=40000, dport=80),
    "tcp_header": TO / TCP(sport=40000, dport=80, dataofs=2),
    "udp_header": TO / UDP(sport=40000, dport=53, len=4) / Raw(b"12345678"),
    "no_backend": TO / TCP(sport=40000, dport=81),
    "fragment_unknown": IP(src=CLIENT, dst=VIP, frag=100, id=7, proto=6) / Raw(b"x" * 64),
    "nexthop": TO / TCP(sport=40000, dport=83),
    "ttl": IP(src=CLIENT, dst=VIP, ttl=1) / TCP(sport=40000, dport=80, flags="R"),  # a reset is never answered
    "too_big": IP(src="0.1.2.3", dst=VIP) / TCP(sport=40000, dport=84, flags="A") / Raw(b"x" * 1440),
    "icmp_mtu": IP(src="10.9.9.9", dst=VIP) / ICMP(type=3, code=4, nexthopmtu=200) / Raw(bytes(TOLD)[:28]),
    "echo_limit": TO / ICMP() / Raw(b"x" * 32),
    "echoes": TO / ICMP() / Raw(b"x" * 32),  # from many networks, each of which has its share of answers
    "flood": TO / TCP(sport=40001, dport=80, flags="A") / Raw(b"x" * 100),
}

frame = bytes(ETHERNET / KINDS[KIND])
print(frame.hex())
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as wire:
    wire.bind(("front", 0))
    wire.setsockopt(263, 20, 1)  # SOL_PACKET, PACKET_QDISC_BYPASS
    sent = 0
    while sent < COUNT:
        try:
            if KIND == "echoes":
                frame = frame[:28] + bytes([sent % 250]) + frame[29:]
            wire.send(frame)
            sent += 1
        except (BlockingIOError, OSError) as e:
            if e.errno not in (105, 11):  # ENOBUFS, EAGAIN: the link is full
                raise
