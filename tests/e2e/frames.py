#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""
Packets for test_frames.sh. frames.py PREFIX to MAC [COUNT]: the router puts segments to VIP port 80 on the balancer's
link, for this MAC address. frames.py PREFIX once PORT: one datagram to a port of the VIP, for the balancer. frames.py
PREFIX hop TTL [PORT]: what the client learns of a datagram with so many hops to live: type, code and source of the
ICMP error. frames.py PREFIX flood SECONDS: 24 Mbit/s of datagrams to VIP port 53 that are too big for the tunnel, from
forged sources. frames.py PREFIX jumbo 4|6 COUNT: the client sends datagrams of 8,000 bytes to VIP port 53, whatever it has
learnt; says what it knows of the path's MTU then.
"""

import ctypes
import random
import socket
import struct
import sys
import time

PREFIX, WHAT, *ARGUMENTS = sys.argv[1:]
VIP, VIP6, CLIENT = "203.0.113.10", "2001:db8:113::10", "198.51.100.2"
FLOOD_PER_S = 2000  # of 1,500 bytes: 24 Mbit/s


def enter(host):
    with open(f"/run/netns/{PREFIX}-{host}") as f:
        if ctypes.CDLL(None, use_errno=True).setns(f.fileno(), 0x40000000) < 0:
            raise OSError(ctypes.get_errno(), f"setns {host}")


def mac_of(device):
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as s:
        s.bind((device, 0))
        return s.getsockname()[4]


def checksum(data):
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF


def ipv4(source, protocol, payload, ttl=64):
    head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 0, 0x4000, ttl, protocol, 0,
                       socket.inet_aton(source), socket.inet_aton(VIP))
    return head[:10] + struct.pack(">H", checksum(head)) + head[12:] + payload


def wire():
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    s.bind(("front", 0))
    return s


def to_balancer():
    """An Ethernet header from the router to the balancer."""
    enter("lb")
    mac = mac_of("eth0")
    enter("router")
    return mac + mac_of("front") + b"\x08\0"


def to(mac, count="1"):
    enter("router")
    ethernet = bytes.fromhex(mac.replace(":", "")) + mac_of("front") + b"\x08\0"
    segment = struct.pack(">HHIIBBHHH", 40000, 80, 1, 0, 0x50, 0x02, 8192, 0, 0)
    with wire() as s:
        for _ in range(int(count)):
            s.send(ethernet + ipv4(CLIENT, 6, segment))


def once(port):
    ethernet = to_balancer()
    with wire() as s:
        s.send(ethernet + ipv4(CLIENT, 17, struct.pack(">HHHH", 40000, int(port), 16, 0) + b"12345678"))


def hop(ttl, port="53"):
    enter("client")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, int(ttl))
        s.setsockopt(socket.IPPROTO_IP, 11, 1)  # IP_RECVERR
        s.setblocking(False)
        s.sendto(b"hello", (VIP, int(port)))
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline:
            try:
                _, ancillary, _, _ = s.recvmsg(100, 500, socket.MSG_ERRQUEUE)
            except BlockingIOError:
                time.sleep(0.01)
                continue
            # struct sock_extended_err, then the sender's sockaddr_in
            data = ancillary[0][2]
            print(data[5], data[6], socket.inet_ntoa(data[20:24]))
            return
    print("nothing")


def flood(seconds):
    ethernet, rng = to_balancer(), random.Random(1)
    datagram = struct.pack(">HHHH", 40000, 53, 1480, 0) + bytes(1472)
    with wire() as s:
        start = time.monotonic()
        sent = 0
        while (now := time.monotonic() - start) < float(seconds):
            while sent < now * FLOOD_PER_S:
                source = socket.inet_ntoa(bytes([rng.randint(1, 126)]) + rng.randbytes(3))
                s.send(ethernet + ipv4(source, 17, datagram))
                sent += 1
            time.sleep(0.002)
    print(sent)


def jumbo(version, count):
    enter("client")
    v4 = version == "4"
    family, level, discover, mtu = (2, 0, 10, 14) if v4 else (10, 41, 23, 24)  # IP_MTU_DISCOVER, IP_MTU; IPV6_...
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        s.setsockopt(level, discover, 3)  # PROBE
        s.connect((VIP if v4 else VIP6, 53))
        for _ in range(int(count)):
            try:
                s.send(bytes(8000))
            except OSError:
                pass  # what was learnt before
            time.sleep(0.005)
        print(s.getsockopt(level, mtu))


{"jumbo": jumbo, "to": to, "once": once, "hop": hop, "flood": flood}[WHAT](*ARGUMENTS)
