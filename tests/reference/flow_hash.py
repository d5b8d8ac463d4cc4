# SPDX-License-Identifier: GPL-2.0-only
"""
The keyed multiply-mix of the contract (include/lb/hash.h), which picks slots and varies outer headers. The C code
reads addresses and ports as little-endian words from memory; so does this.
"""

import struct

M64 = (1 << 64) - 1
B, C = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB

words32 = struct.Struct("<I")
words64 = struct.Struct("<QQ")


def mix64(x):
    x ^= x >> 32
    x = x * B & M64
    x ^= x >> 29
    x = x * C & M64
    return x ^ x >> 32


def halves(word, key):
    """NH: halves of a word under its word of the key, multiplied."""
    word = (word + key) & M64
    return (word & 0xFFFFFFFF) * (word >> 32)


def finish_vip(x):
    x &= M64
    return (x ^ x >> 32) * C & M64


def flow_hash(key, source, destination, ports, protocol):
    """source, destination: 4 or 16 bytes; ports: what the contract calls the ports word."""
    sport, dport = ports >> 16, ports & 0xFFFF
    tail = dport | protocol << 16 | (4 if len(source) == 4 else 6) << 24
    if len(source) == 4:
        (s,), (d,) = words32.unpack(source), words32.unpack(destination)
        vip = finish_vip(halves(tail << 32 | d, key[0]))
        return mix64(halves(sport << 32 | s, key[3]) + vip & M64)
    (s0, s1), (d0, d1) = words64.unpack(source), words64.unpack(destination)
    vip = finish_vip(halves(d0, key[0]) + halves(d1, key[1]) + key[2] * tail)
    return mix64(halves(s0, key[3]) + halves(s1, key[4]) + key[5] * sport + vip & M64)


def ports_word(source_port, destination_port):
    """Ports are 16-bit words in network order, read as little-endian ones."""
    swap = lambda p: (p & 0xFF) << 8 | p >> 8
    return swap(source_port) << 16 | swap(destination_port)
