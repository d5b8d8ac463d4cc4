#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""How many instructions one packet executes in the packet path, as it is compiled: no clock, no noise.

Follows lb_ingress of an object file from its first instruction to its verdict over tables made up for the
packet: flat, settled, one interface. Load-time constants count as what lbd makes of them (one instruction,
and none for a jump that they decide); a helper counts as one. What would call another function of ours ends
there: the settled path calls none.

path_length.py [FILE]...; llvm-objdump, where there is one, tells what the instructions are for.
"""

import collections
import re
import struct
import subprocess
import sys

MASK = {1: 0xFF, 2: 0xFFFF, 4: 0xFFFFFFFF, 8: 0xFFFFFFFFFFFFFFFF}
SIZES = {0x00: 4, 0x08: 2, 0x10: 1, 0x18: 8}
CONSTANTS = {
    "lb_flat_slots": 1 << 20,
    "lb_flat_records": 1 << 20,
    "lb_flat_counters": 1 << 20,
    "lb_counter_stride": 1024,
    "lb_several_interfaces": 0,
    "lb_observe_on": 1,
}
# Every line of these tables is the packet's: bytes after which they repeat.
REPEATED = {"lb_vips": 64, "lb_rings": 4, "lb_backends": 64, "lb_counters": 64}
CONTEXT, STACK, FRAME, TABLES = 0x10000, 0x80000000, 0x200100, 1 << 40
ADJUST_HEAD, CPU, BUFF_LEN = 44, 8, 188


def signed(value, bits):
    return value - (1 << bits) if value >> (bits - 1) else value


class Object:
    """The parts of an ELF file that matter: programs, symbols, what refers to them."""

    def __init__(self, path):
        with open(path, "rb") as file:
            data = file.read()
        at = struct.unpack_from("<Q", data, 40)[0]
        size, count = struct.unpack_from("<HH", data, 58)
        sections = [struct.unpack_from("<IIQQQQIIQQ", data, at + i * size) for i in range(count)]
        table = next(s for s in sections if s[1] == 2)
        names = sections[table[6]][4]
        self.symbols = []
        for o in range(table[4], table[4] + table[5], 24):
            name, _, _, section, value, _ = struct.unpack_from("<IBBHQQ", data, o)
            end = data.index(b"\0", names + name)
            self.symbols.append((data[names + name : end].decode(), section, value))
        self.code, self.references = {}, collections.defaultdict(dict)
        for i, s in enumerate(sections):
            if s[1] == 1 and s[2] & 4:
                self.code[i] = list(struct.iter_unpack("<BBhi", data[s[4] : s[4] + s[5]]))
            if s[1] == 9:
                for o in range(s[4], s[4] + s[5], 16):
                    place, info = struct.unpack_from("<QQ", data, o)
                    self.references[s[7]][place // 8] = self.symbols[info >> 32][0]


class Memory:
    def __init__(self):
        self.bytes, self.bases = collections.defaultdict(int), {}

    def table(self, name):
        return self.bases.setdefault(name, TABLES * (1 + len(self.bases)))

    def place(self, address):
        for name, every in REPEATED.items():
            base = self.bases.get(name)
            if base is not None and base <= address < base + TABLES:
                return base + (address - base) % every
        return address

    def write(self, address, value):
        address = self.place(address)
        for i, byte in enumerate(value):
            self.bytes[address + i] = byte

    def store(self, address, size, value):
        self.write(address, (value & MASK[size]).to_bytes(size, "little"))

    def load(self, address, size):
        address = self.place(address)
        return int.from_bytes(bytes(self.bytes[address + i] for i in range(size)), "little")


ALU = {
    0x00: lambda a, b, n: a + b,
    0x10: lambda a, b, n: a - b,
    0x20: lambda a, b, n: a * b,
    0x40: lambda a, b, n: a | b,
    0x50: lambda a, b, n: a & b,
    0x60: lambda a, b, n: a << (b & (n - 1)),
    0x70: lambda a, b, n: a >> (b & (n - 1)),
    0x80: lambda a, b, n: -a,
    0xA0: lambda a, b, n: a ^ b,
    0xB0: lambda a, b, n: b,
    0xC0: lambda a, b, n: signed(a, n) >> (b & (n - 1)),
}
JUMP = {
    0x10: lambda a, b, n: a == b,
    0x20: lambda a, b, n: a > b,
    0x30: lambda a, b, n: a >= b,
    0x40: lambda a, b, n: a & b != 0,
    0x50: lambda a, b, n: a != b,
    0x60: lambda a, b, n: signed(a, n) > signed(b, n),
    0x70: lambda a, b, n: signed(a, n) >= signed(b, n),
    0xA0: lambda a, b, n: a < b,
    0xB0: lambda a, b, n: a <= b,
    0xC0: lambda a, b, n: signed(a, n) < signed(b, n),
    0xD0: lambda a, b, n: signed(a, n) <= signed(b, n),
}


class Run:
    """One packet's way. path: places of the instructions that count; stack: how many look at it."""

    def __init__(self, code, memory, frame_bytes):
        self.code, self.memory, self.frame_bytes = code, memory, frame_bytes
        self.registers = [0] * 11
        self.registers[1], self.registers[10] = CONTEXT, STACK
        self.names = {}  # registers that hold the address of a constant
        self.constant = set()  # registers whose value was one
        self.path, self.stack, self.verdict = [], 0, None

    def follow(self, section, pc):
        insns, references = self.code.code[section], self.code.references[section]
        while pc is not None:
            pc = self.step(insns, pc, references.get(pc))

    def step(self, insns, pc, name):
        op, both, offset, number = insns[pc]
        to, source, kind = both & 15, both >> 4, op & 7
        if op == 0x18:
            self.path.append(pc)
            self.forget(to)
            high = insns[pc + 1][3]
            self.registers[to] = self.memory.table(name) if name else number & MASK[4] | (high & MASK[4]) << 32
            if name in CONSTANTS:
                self.names[to] = name
            return pc + 2
        if kind in (4, 7):
            return self.compute(pc, op, to, source, number)
        if kind == 1:
            return self.load(insns, pc, SIZES[op & 0x18], to, source, offset)
        if kind in (2, 3):
            self.path.append(pc)
            self.stack += to == 10
            value = self.registers[source] if kind == 3 else number
            self.memory.store(self.registers[to] + offset & MASK[8], SIZES[op & 0x18], value)
            return pc + 1
        return self.jump(pc, op, to, source, offset, number, name)

    def forget(self, register):
        self.names.pop(register, None)
        self.constant.discard(register)

    def compute(self, pc, op, to, source, number):
        bits, code = 32 if op & 7 == 4 else 64, op & 0xF0
        mask = MASK[bits // 8]
        self.path.append(pc)
        self.forget(to)
        if code == 0xD0:  # to big endian, or to little, which all is
            size = number // 8
            low = (self.registers[to] & MASK[size]).to_bytes(size, "little")
            self.registers[to] = int.from_bytes(low, "big" if op & 8 else "little")
        else:
            other = self.registers[source] if op & 8 else number
            self.registers[to] = ALU[code](self.registers[to] & mask, other & mask, bits) & mask
        return pc + 1

    def load(self, insns, pc, size, to, source, offset):
        name = self.names.get(source)
        if name:
            if not (to == source and insns[pc - 2][0] == 0x18):
                self.path.append(pc)  # a number of its own; else the wide instruction has become it
            self.forget(to)
            self.registers[to] = CONSTANTS[name]
            self.constant.add(to)
            return pc + 1
        self.path.append(pc)
        self.stack += source == 10
        self.forget(to)
        self.registers[to] = self.memory.load(self.registers[source] + offset & MASK[8], size)
        return pc + 1

    def jump(self, pc, op, to, source, offset, number, name):
        code, bits = op & 0xF0, 32 if op & 7 == 6 else 64
        if code == 0x80 and source == 1:
            raise ValueError(f"the packet is not settled: {name or 'another function'} is called")
        if code not in JUMP or to not in self.constant or op & 8:
            self.path.append(pc)
        if code == 0x80:
            self.helper(number)
        elif code == 0x90:
            self.verdict = self.registers[0]
            return None
        elif code == 0x00:
            return pc + 1 + offset
        else:
            mask = MASK[bits // 8]
            other = self.registers[source] if op & 8 else number
            if JUMP[code](self.registers[to] & mask, other & mask, bits):
                return pc + 1 + offset
        return pc + 1

    def helper(self, number):
        memory, registers = self.memory, self.registers
        if number == ADJUST_HEAD:
            memory.store(CONTEXT, 4, memory.load(CONTEXT, 4) + signed(registers[2] & MASK[4], 32))
        elif number == 1:  # an array's look-up: the line is the packet's
            registers[0] = registers[1]
        elif number not in (CPU, BUFF_LEN):
            raise ValueError(f"helper {number} is none of the settled path's")
        if number != 1:
            registers[0] = self.frame_bytes if number == BUFF_LEN else 0
        for register in range(1, 6):
            self.forget(register)
        self.forget(0)


TCP, UDP = 6, 17
L2, IPIP_V4, IPIP_V6, GUE_V4 = 1, 2, 3, 4
PACKETS = {
    "TCP, IPv4, IPIP": (4, TCP, IPIP_V4, True),
    "UDP, IPv4, IPIP": (4, UDP, IPIP_V4, True),
    "TCP, IPv6, IPIP": (6, TCP, IPIP_V6, True),
    "TCP, IPv4, GUE": (4, TCP, GUE_V4, True),
    "TCP, IPv4, l2": (4, TCP, L2, True),
    "not for us, IPv4": (4, TCP, IPIP_V4, False),
    "not for us, IPv6": (6, TCP, IPIP_V4, False),
}
ETHERNET = bytes([2, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 1])
CLIENT6, VIP6 = bytes.fromhex("20010db8" + "00" * 11 + "01"), bytes.fromhex("20010db8" + "00" * 8 + "cb00710a")


def frame(family, protocol):
    ports = struct.pack(">HH", 1024, 80)
    rest = bytes([0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x10]) if protocol == TCP else bytes([0, 30, 0, 0])
    payload = (ports + rest).ljust(30, b"\0")
    if family == 4:
        ip = struct.pack(">BBHIBBH", 0x45, 0, 50, 0x4000, 64, protocol, 0x1234) + bytes([11, 0, 0, 1, 203, 0, 113, 10])
        return ETHERNET + b"\x08\x00" + ip + payload
    ip = struct.pack(">IHBB", 6 << 28, 30, protocol, 64) + CLIENT6 + VIP6
    return ETHERNET + b"\x86\xdd" + ip + payload


def tables(memory, packet, family, protocol, method, ours):
    """One line of each table, for the packet; layouts: include/lb/types.h."""
    key = packet[30:34] + bytes(12) if family == 4 else packet[38:54]
    key += struct.pack(">H", 80) + bytes([protocol, family]) + bytes(4)
    memory.write(memory.table("lb_control"), struct.pack("<Q", 2047 * 64) + bytes(range(48)))
    memory.store(memory.table("lb_stations"), 8, int.from_bytes(packet[:8], "little") << 16)
    if ours:
        vip = key + struct.pack("<IIIIIHHIII", 0, 0, 65535, 0, 0, 1, 100, 1, 0xFFFF0000, 0xFFFFFFFF)
        memory.write(memory.table("lb_vips"), vip)
    record = struct.pack("<IHHBB", 3, 8980, 0, method, 1) + ETHERNET + b"\x08\x00\x45"
    memory.write(memory.table("lb_backends"), record)
    memory.store(memory.table("lb_rings"), 4, 5)


def run(code, family, protocol, method, ours):
    packet, memory = frame(family, protocol), Memory()
    for name in REPEATED:
        memory.table(name)
    tables(memory, packet, family, protocol, method, ours)
    memory.write(FRAME, packet)
    memory.write(CONTEXT, struct.pack("<IIII", FRAME, FRAME + len(packet), 0, 1))
    _, section, value = next(s for s in code.symbols if s[0] == "lb_ingress")
    way = Run(code, memory, len(packet))
    way.follow(section, value // 8)
    if way.verdict != (3 if ours else 2):
        raise ValueError(f"verdict {way.verdict}")
    return way


def files_of(path):
    """The source file of each instruction of the section; empty without llvm-objdump."""
    command = ["llvm-objdump", "-d", "-l", "--no-show-raw-insn", "--section=xdp", path]
    try:
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return {}
    files, current = {}, None
    for line in text.splitlines():
        said, insn = re.match(r"; \S*?([^/\s]+):\d+$", line.strip()), re.match(r"\s+(\d+):", line)
        if said:
            current = said[1]
        elif insn:
            files[int(insn[1])] = current
    return files


def main():
    for path in sys.argv[1:] or ["build/bpf/lb_ingress.bpf.o"]:
        code, files = Object(path), files_of(path)
        print(f"{path}\n{'packet':<20}{'executed':>9}{'stack':>7}")
        for name, packet in PACKETS.items():
            way = run(code, *packet)
            print(f"{name:<20}{len(way.path):>9}{way.stack:>7}", end="")
            where = collections.Counter(files[pc] for pc in way.path if pc in files)
            print("  " + ", ".join(f"{file} {n}" for file, n in where.most_common()))


if __name__ == "__main__":
    main()
