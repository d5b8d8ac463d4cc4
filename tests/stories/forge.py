#!/usr/bin/python3 -I
# SPDX-License-Identifier: GPL-2.0-only
"""
forge.py INTERFACE DESTINATION-MAC VIP PORT RATE FILE: RATE segments a second with the addresses and ports of connections that
others have (FILE: "ADDRESS PORT" a line), and random numbers: SYN, SYN and its ACK, RST, FIN, data; what carries both SYN
and RST or FIN. Until SIGTERM; then says how many.
"""

import random
import signal
import socket
import struct
import sys
import time

FIN, SYN, RST, ACK = 1, 2, 4, 16
ETHERNET_IPV4 = 0x0800


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def frame(ethernet, source, destination, source_port, port, flags, seq, ack, payload=b""):
    tcp = struct.pack(">HHIIBBHHH", source_port, port, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, 0x50, flags, 65535, 0, 0)
    check = checksum(source + destination + struct.pack(">HH", 6, len(tcp) + len(payload)) + tcp + payload)
    tcp = tcp[:16] + struct.pack(">H", check) + tcp[18:]
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 40 + len(payload), 0, 0, 64, 6, 0, source, destination)
    ip = ip[:10] + struct.pack(">H", checksum(ip)) + ip[12:]
    return ethernet + ip + tcp + payload


def main():
    interface, mac, vip, port, rate, path = sys.argv[1:7]
    stopping = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
    with open(path, encoding="ascii") as file:
        victims = [(socket.inet_aton(a), int(p)) for a, p in (line.split() for line in file)]
    out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETHERNET_IPV4))
    out.bind((interface, 0))
    ethernet = bytes.fromhex(mac.replace(":", "")) + out.getsockname()[4] + struct.pack(">H", ETHERNET_IPV4)
    destination, port, rate = socket.inet_aton(vip), int(port), float(rate)
    rng, sent, begin = random.Random(1), 0, time.monotonic()
    print("forging", len(victims), flush=True)
    while not stopping:
        source, source_port = rng.choice(victims)
        seq, ack = rng.getrandbits(32), rng.getrandbits(32)
        kinds = [(SYN, b"")], [(SYN, b""), (ACK, b"")], [(RST, b"")], [(FIN | ACK, b"")], [(ACK, b"x" * 20)], \
            [(SYN | RST, b"")], [(SYN | FIN, b"")], [(RST | ACK, b"")]
        for flags, payload in rng.choice(kinds):
            out.send(frame(ethernet, source, destination, source_port, port, flags, seq, ack, payload))
            seq += 1
            sent += 1
        ahead = sent / rate - (time.monotonic() - begin)
        if ahead > 0.01:
            time.sleep(ahead)
    print(f"sent {sent} in {time.monotonic() - begin:.0f} s")


if __name__ == "__main__":
    main()
