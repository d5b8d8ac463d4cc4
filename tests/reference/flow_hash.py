# SPDX-License-Identifier: GPL-2.0-only
"""
The keyed multiply-mix of the contract (include/lb/hash.h), which picks slots and varies outer headers. The C code
reads addresses and ports as little-endian words from memory; so does this.
"""

import struct

M64 = (1 << 64) - 1
A, B, C, D = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 0xD6E8FEB86659FD93

words32 = struct.Struct("<I")
words64 = struct.Struct("<QQ")


def mix64(x):
    x ^= x >> 32
    x = x * B & M64
    x ^= x >> 29
    x = x * C & M64
    return x ^ x >> 32


def mix_vip(d0, d1, dport, protocol, family):
    x = (d0 * A + d1 * B + (dport | protocol << 16 | family << 24) * D) & M64
    return (x ^ x >> 32) * C & M64


def flow_hash(key, source, destination, ports, protocol):
    """source, destination: 4 or 16 bytes; ports: what the contract calls the ports word."""
    sport, dport = ports >> 16, ports & 0xFFFF
    if len(source) == 4:
        (s,), (d,) = words32.unpack(source), words32.unpack(destination)
        vip = mix_vip(d, 0, dport, protocol, 4)
        return mix64((((sport << 32 | s) ^ key[0]) + (vip ^ key[1])) & M64)
    (s0, s1), (d0, d1) = words64.unpack(source), words64.unpack(destination)
    vip = mix_vip(d0, d1, dport, protocol, 6)
    a = ((s0 ^ key[0]) * A + ports * B) & M64
    a = ((a ^ a >> 32) + s1) * D & M64
    return mix64((a + (vip ^ key[1])) & M64)


def ports_word(source_port, destination_port):
    """Ports are 16-bit words in network order, read as little-endian ones."""
    swap = lambda p: (p & 0xFF) << 8 | p >> 8
    return swap(source_port) << 16 | swap(destination_port)
