# SPDX-License-Identifier: GPL-2.0-only
"""
Makes the packets: mostly such as clients send to the services of a scenario, then bent in structured ways (lengths
that lie, headers cut short, options, extension headers, tags, fragments, ICMP about all of it). With valid=True every
packet is right in all respects, checksums too.
"""

import ipaddress
import struct

from headers import DESTINATION, FRAGMENT, HOP_BY_HOP, ICMP, ICMPV6, ROUTING, TCP, UDP, checksum

PORT_NOBODY = 9
# MAC addresses that are not the first one of the interface: of some interface, of none.
OTHER_STATIONS = [bytes.fromhex(mac) for mac in ("00005e000101", "02ee00000010", "02ee00000011", "02ee00000012",
                                                 "02ee00000003", "02ef00000001", "000000000000")]


class Target:
    """A service as a client knows it."""

    def __init__(self, service):
        self.name = service["name"]
        self.network = ipaddress.ip_network(service["vip"])
        self.version = self.network.version
        self.base = int(self.network.network_address)
        self.hosts = self.network.num_addresses
        self.protocol = TCP if service["protocol"] == "tcp" else UDP
        port = str(service["port"])
        first, _, last = ("1-65535" if port == "any" else port).partition("-")
        self.first, self.last = int(first), int(last or first)
        self.quic = service.get("quic", {}).get("configs", [])
        self.affinity = service["affinity"]
        self.server_ids = [bytes.fromhex(b["server_id"]) for b in service["backends"] if "server_id" in b]

    def address(self, rng):
        host = rng.getrandbits(64) % self.hosts if self.hosts > 1 else 0
        return (self.base + host).to_bytes(4 if self.version == 4 else 16, "big")

    def port(self, rng):
        roll = rng.random()
        if roll < 0.75:
            return rng.randint(self.first, self.last)
        return rng.choice((self.first, self.last, max(self.first - 1, 0), min(self.last + 1, 65535), PORT_NOBODY))


class Draft:
    """A packet while it is made: the IP packet below the Ethernet header and tags."""

    def __init__(self, target, source, destination, source_port, destination_port, protocol):
        self.target, self.version = target, 4 if len(source) == 4 else 6
        self.source, self.destination = source, destination
        self.source_port, self.destination_port = source_port, destination_port
        self.protocol = protocol
        self.payload = b""
        self.flags, self.tcp_options = 0x10, b""
        self.options, self.extensions = b"", b""  # extensions: complete, chained to the transport
        self.first_extension = None
        self.ttl, self.tos, self.label, self.id, self.fragment = 64, 0, 0, 0, 0x4000
        self.transport = None  # bytes instead of TCP or UDP


class Generator:
    def __init__(self, rng, config, valid=False):
        self.rng, self.valid = rng, valid
        self.targets = [Target(s) for s in config["services"]]
        self.by_version = {v: [t for t in self.targets if t.version == v] for v in (4, 6)}
        pool = lambda size, count: [self.unicast(size) for _ in range(count)]
        self.clients = {4: pool(4, 24), 6: pool(16, 24)}
        self.pending = []  # fragments that are to come
        self.moved = [t for t in self.targets if "moved" in t.name]
        self.connections = {}  # by addresses and ports: next sequence number, last acknowledgement
        self.recent = {}  # by target: clients' ends of flows that may go on

    def unicast(self, size):
        address = self.rng.randbytes(size)
        head = b"\x20\x01\x0d\xb8" if size == 16 else bytes([self.rng.choice((10, 100, 172, 192, 203))])
        return head + address[len(head) :]

    # --- parts ------------------------------------------------------------------------------------------------

    def client(self, version):
        rng = self.rng
        if not self.valid and rng.random() < 0.03:
            return rng.choice((bytes(4), b"\x7f\0\0\1", b"\xe0\0\0\1", b"\xff" * 4, b"\xf0\0\0\1")) if version == 4 \
                else rng.choice((bytes(16), bytes(15) + b"\1", b"\xff\x02" + bytes(13) + b"\1", b"\xfe\x80" + bytes(14)))
        if rng.random() < 0.3:
            return self.unicast(4 if version == 4 else 16)
        return rng.choice(self.clients[version])

    def draft(self, target=None):
        rng = self.rng
        target = target or rng.choice(self.moved if rng.random() < 0.15 else self.targets)
        source_port = rng.choice((1024, 2048, 40000, 65535)) if rng.random() < 0.6 else rng.getrandbits(16)
        protocol = target.protocol if self.valid or rng.random() < 0.95 else TCP + UDP - target.protocol
        d = Draft(target, self.client(target.version), target.address(rng), source_port, target.port(rng), protocol)
        if not self.valid and rng.random() < 0.04:
            d.destination = self.unicast(len(d.destination))
        recent = self.recent.setdefault(target.name, [])
        if recent and rng.random() < 0.35:
            d.source, d.source_port, d.destination, d.destination_port = rng.choice(recent)
        else:
            recent.append((d.source, d.source_port, d.destination, d.destination_port))
            del recent[:-32]
        d.payload = self.payload(d)
        if protocol == TCP:
            roll = rng.random()
            d.flags = 0x02 if roll < 0.3 else 0x10 if roll < 0.7 else rng.choice((0x11, 0x18, 0x19))
            if not self.valid and roll > 0.8:
                d.flags = rng.choice((0x14, 0x04, 0x12, 0xC2, rng.getrandbits(8)))
            if rng.random() < 0.2:
                d.tcp_options = b"\1" * (4 * rng.randint(1, 10))
            if self.valid:
                d.tcp_options = b"\2\4\5\xb4" if d.flags & 2 else b"\1\1\x08\x0a" + rng.randbytes(8)
        d.ttl = 64 if rng.random() < 0.7 else rng.choice((6, 63, 128, 255) if self.valid else (0, 1, 2, 2, 3, 63, 255))
        d.tos = 0 if rng.random() < 0.3 else rng.getrandbits(8)
        d.label = rng.getrandbits(20) if rng.random() < 0.5 else 0
        d.id = rng.getrandbits(16 if d.version == 4 else 32)
        d.fragment = 0x4000 if rng.random() < 0.8 else 0
        if rng.random() < 0.1:
            self.lengthen(d)
        return d

    def payload(self, d):
        rng = self.rng
        if d.target.affinity == "quic" and d.protocol == UDP and rng.random() < 0.9:
            return self.quic(d.target)
        roll = rng.random()
        if roll < 0.5:
            return rng.randbytes(rng.randint(0, 24))
        if roll < 0.95:
            return rng.randbytes(rng.randint(0, 200))
        return rng.randbytes(4) * rng.choice((100, 256, 320, 370))

    def lengthen(self, d):
        """The whole IP packet around a size at which something changes."""
        rng = self.rng
        total = rng.choice((600, 1280, 1300, 1320, 1360, 1400, 1452, 1460, 1472, 1480, 1500, 4000, 8952, 9000))
        total += rng.choice((-48, -40, -28, -20, -8, -1, 0, 1, 8))
        around = (20 if d.version == 4 else 40) + (20 if d.protocol == TCP else 8) + len(d.tcp_options)
        d.payload = (d.payload + bytes(16))[: max(total - around, 0)].ljust(max(total - around, 0), b"\x5a")

    def quic(self, target):
        """A datagram with a connection ID that a server chose, or did not."""
        rng = self.rng
        rotation = rng.choice([q["rotation"] for q in target.quic] * 4 + [rng.randrange(8)])
        size = target.quic[0]["server_id_bytes"] if target.quic else 2
        server = rng.choice(target.server_ids) if target.server_ids and rng.random() < 0.85 else rng.randbytes(size)
        connection_id = bytes([rotation << 5 | rng.randrange(32)]) + server + rng.randbytes(rng.randint(0, 9))
        if rng.random() < 0.5:
            head = bytes([0x40 | rng.randrange(64)]) + connection_id
        else:
            if not self.valid and rng.random() < 0.2:
                connection_id = connection_id[: rng.randrange(len(connection_id))]
            length = len(connection_id)
            if not self.valid and rng.random() < 0.1:
                length = rng.choice((0, size, size + 1, 20, 255))
            head = bytes([0xC0 | rng.randrange(64)]) + b"\0\0\0\1" + bytes([length]) + connection_id
        body = head + rng.randbytes(rng.choice((4, 20, 40, 1200)))
        return body if self.valid or rng.random() < 0.93 else body[: rng.randrange(24)]

    def quic_answer(self, target):
        """What a server sends: the client's ID, and in a long header its own."""
        rng = self.rng
        body = self.quic(target)
        if len(body) < 6 or not body[0] & 0x80:
            return body
        client = rng.randbytes(rng.choice((0, 4, 8, 8, 20)))
        if not self.valid and rng.random() < 0.1:
            client = rng.randbytes(rng.choice((60, 100, 120, 160, 255)))
        body = body[:5] + bytes([len(client)]) + client + body[5:]
        return body[: rng.randrange(len(client) + 30)] if rng.random() < 0.3 else body

    def ipv4_options(self):
        rng = self.rng
        if not self.valid and rng.random() < 0.3:
            kinds = (0, 1, 1, 7, 68, 130, 131, 137, 148)
            options = b""
            for _ in range(rng.randint(1, 4)):
                kind, size = rng.choice(kinds), rng.choice((2, 3, 4, 7, 11))
                options += bytes([kind]) if kind < 2 else bytes([kind, size]) + rng.randbytes(size - 2)
            if rng.random() < 0.2:
                options = self.flip(options, 0, len(options))
            options = options[:40]
            return options + rng.choice((b"\0", b"\1")) * (-len(options) % 4)
        words = rng.randint(1, 10)
        padding = b"\0" if self.valid else rng.choice((b"\0", b"\1", b"\x83"))
        return b"\x94\x04\0\0" + padding * (4 * words - 4)  # router alert

    def extension_chain(self, count, last):
        """(first type, bytes): extension headers that end in the transport `last`."""
        rng = self.rng
        kinds = [rng.choice((DESTINATION, ROUTING, DESTINATION, HOP_BY_HOP, FRAGMENT) if not self.valid
                            else (DESTINATION,)) for _ in range(count)]
        if kinds and rng.random() < 0.5:
            kinds[0] = HOP_BY_HOP
        data = b""
        for i, kind in enumerate(kinds):
            following = kinds[i + 1] if i + 1 < count else last
            if kind == FRAGMENT:  # atomic
                data += struct.pack(">BBHI", following, 0, 0, rng.getrandbits(32))
                continue
            units = rng.choice((0, 0, 0, 1, 2, 3)) if self.valid or rng.random() < 0.95 else rng.getrandbits(8)
            body = 8 * units + 6
            if kind == ROUTING:
                data += bytes([following, units, 253, 0]) + bytes(body - 2)
            else:
                data += bytes([following, units, 1, body - 2 & 0xFF]) + bytes(body - 2)
        return (kinds[0] if kinds else last), data

    # --- from drafts to bytes ---------------------------------------------------------------------------------

    def transport(self, d):
        if d.transport is not None:
            return d.transport
        if d.protocol == TCP:
            size = 20 + len(d.tcp_options)
            seq, acknowledged = self.numbers(d)
            if self.valid and not d.flags & 0x10:
                acknowledged = 0
            data = struct.pack(">HHIIBBHHH", d.source_port, d.destination_port, seq, acknowledged, size << 2, d.flags, 8192, 0, 0) + d.tcp_options + d.payload
            at = 16
        else:
            data = struct.pack(">HHHH", d.source_port, d.destination_port, 8 + len(d.payload) & 0xFFFF, 0) + d.payload
            at = 6
        return self.with_checksum(d, data, at) if self.valid else data

    def numbers(self, d):
        """Sequence and acknowledgement number: what comes next, something about it, or anything."""
        rng = self.rng
        key = (d.source, d.source_port, d.destination, d.destination_port)
        if rng.random() < 0.1 or key not in self.connections:
            if len(self.connections) > 5000:
                self.connections.clear()
            self.connections[key] = [rng.getrandbits(32), rng.getrandbits(32)]
        following = self.connections[key]
        off = rng.choice((0, 0, 0, 0, 0, -1, 1, -7, 600, 2047, 2049, -2049, 32768, 32769, -32769, 100000, 178176, 178177,
                          -178176, 300000, -5000000))
        acked = rng.choice((0, 0, 0, 0, 1, 1000, 131072, 131073, -131073, 4194304, 4194305, -4194305, 1 << 30))
        seq, ack = following[0] + off, following[1] + acked
        if off == 0:
            following[0] += len(d.payload) + (1 if d.flags & 3 else 0)
            following[1] = ack
        return seq & 0xFFFFFFFF, ack & 0xFFFFFFFF

    def with_checksum(self, d, data, at):
        pseudo = d.source + d.destination + struct.pack(">II", len(data), d.protocol)
        check = checksum(pseudo + data)
        return data[:at] + (b"\xff\xff" if check == b"\0\0" and d.protocol == UDP else check) + data[at + 2 :]

    def packet(self, d, data=None):
        """The IP packet around the transport, or around data."""
        data = self.transport(d) if data is None else data
        if d.version == 4:
            header = bytearray(struct.pack(">BBHHHBBH4s4s", 0x45 + len(d.options) // 4, d.tos,
                                           20 + len(d.options) + len(data) & 0xFFFF, d.id & 0xFFFF, d.fragment, d.ttl,
                                           d.protocol, self.rng.getrandbits(16), d.source, d.destination) + d.options)
            if self.valid or self.rng.random() < 0.2:
                header[10:12] = b"\0\0"
                header[10:12] = checksum(bytes(header))
            elif self.rng.random() < 0.05:  # values at which arithmetic carries
                header[10:12] = self.rng.choice((b"\0\0", b"\xff\xff", b"\xfe\xff", b"\xff\0", b"\xff\xfe"))
            return bytes(header) + data
        first = d.protocol if d.first_extension is None else d.first_extension
        return struct.pack(">IHBB16s16s", 6 << 28 | d.tos << 20 | d.label, len(d.extensions) + len(data) & 0xFFFF,
                           first, d.ttl, d.source, d.destination) + d.extensions + data

    def frame(self, packet, version=None):
        rng = self.rng
        version = version or packet[0] >> 4
        kind = b"\x08\0" if version == 4 else b"\x86\xdd"
        tags = b""
        roll = rng.random()
        if roll < 0.2:
            count = 1 if roll < 0.1 else 2 if roll < 0.17 or self.valid else 3
            for i in range(count):
                tags += (b"\x88\xa8" if i < count - 1 or rng.random() < 0.2 else b"\x81\0") + rng.randbytes(2)
        head = b"\x02\xee\0\0\0\1\x02\xee\0\0\0\2" + tags + kind
        if not self.valid and rng.random() < 0.01:
            head = rng.choice((b"\xff" * 6, b"\x01\0\x5e\0\0\1", b"\x33\x33\0\0\0\1")) + head[6:]
        elif not self.valid and rng.random() < 0.03:
            head = rng.choice(OTHER_STATIONS) + head[6:]
        frame = head + packet
        if rng.random() < 0.5 and len(frame) < 60:
            frame = frame.ljust(60, b"\0" if self.valid else b"\xa5")
        return frame

    # --- whole kinds ------------------------------------------------------------------------------------------

    def flow(self):
        d = self.draft()
        if d.version == 4 and self.rng.random() < 0.1:
            d.options = self.ipv4_options()
        elif d.version == 6 and self.rng.random() < 0.3:
            count = self.rng.choice((1, 1, 2, 3) if self.valid else (1, 1, 2, 3, 5, 6, 7, 8))
            d.first_extension, d.extensions = self.extension_chain(count, d.protocol)
        return self.frame(self.packet(d))

    def embedded(self, d):
        """What an error about a packet from VIP to client quotes."""
        rng = self.rng
        e = Draft(d.target, d.destination, d.source, d.destination_port, d.source_port, d.protocol)
        e.payload = rng.randbytes(rng.choice((0, 0, 20, 60)))
        if d.target.affinity == "quic" and d.protocol == UDP and rng.random() < 0.8:
            e.payload = self.quic_answer(d.target)
        elif rng.random() < 0.05:
            e.payload = bytes(rng.choice((1240, 1300, 1400, 1460, 1480)))
        e.fragment = 0x4000 if self.valid or rng.random() < 0.9 else rng.choice((0x2000, 0x2010, 5))
        if not self.valid and rng.random() < 0.05:
            e.source = self.client(d.version)
        if d.version == 4 and rng.random() < 0.2:
            e.options = self.ipv4_options()
        elif d.version == 6 and rng.random() < 0.3:
            count = rng.choice((1, 2) if self.valid else (1, 2, 3, 6, 7))
            e.first_extension, e.extensions = self.extension_chain(count, e.protocol)
            if not self.valid and rng.random() < 0.2:
                e.first_extension = FRAGMENT
                e.extensions = struct.pack(">BBHI", e.protocol, 0, rng.choice((0, 1, 8, 9)), rng.getrandbits(32))
        quote = self.packet(e)
        if rng.random() < 0.5:  # eight bytes of transport, as RFC 792 has it
            quote = quote[: (20 + len(e.options) if d.version == 4 else 40 + len(e.extensions)) + 8]
        if not self.valid and rng.random() < 0.1:
            quote = quote[: rng.randrange(len(quote) + 1)]
        if not self.valid and rng.random() < 0.05:
            quote = self.flip(quote, 0, min(len(quote), 60))
        return quote

    def icmp_error(self):
        rng = self.rng
        d = self.draft()
        for _ in range(8 if rng.random() < 0.2 else 0):
            d = d if d.target.affinity == "quic" else self.draft()
        quote = self.embedded(d)
        if d.version == 4:
            kind = rng.choice((3, 3, 3, 11, 12) if self.valid else (3, 3, 3, 11, 12, 4, 5, 0, 13))
            code = rng.choice((4, 4, 0, 1, 3, 13)) if kind == 3 else rng.randrange(2)
            mtu = rng.choice((576, 1400, 1500) if self.valid else (0, 1, 68, 552, 575, 576, 577, 1400, 1500, 65535))
            rest = struct.pack(">HH", 0, mtu) if kind == 3 and code == 4 else b"\0\0\0\0"
        else:
            kind = rng.choice((1, 2, 2, 3, 4) if self.valid else (1, 2, 2, 2, 3, 4, 0, 5, 127, 129, 135))
            code = rng.randrange(2) if kind != 2 else 0
            mtu = rng.choice((1280, 1400) if self.valid else (0, 68, 576, 1279, 1280, 1281, 1400, 65536, 1 << 31))
            rest = struct.pack(">I", mtu) if kind == 2 else bytes(4)
        return self.icmp_frame(d, bytes([kind, code, 0, 0]) + rest + quote)

    def icmp_frame(self, d, message):
        """An ICMP message from a router, or the client, to the destination of d."""
        d.source = self.client(d.version)
        d.protocol = ICMP if d.version == 4 else ICMPV6
        if self.valid and d.version == 4:
            message = message[:2] + checksum(message) + message[4:]
        elif self.valid:
            message = self.with_checksum(d, message, 2)
        elif self.rng.random() < 0.1 and d.version == 4:
            d.options = self.ipv4_options()
        elif self.rng.random() < 0.1 and d.version == 6:
            d.first_extension, d.extensions = self.extension_chain(self.rng.choice((1, 2)), ICMPV6)
        d.transport = message
        return self.frame(self.packet(d))

    def echo(self):
        rng = self.rng
        d = self.draft()
        if rng.random() < 0.1 and not self.valid:
            d.destination = self.unicast(len(d.destination))
        message = bytes([8 if d.version == 4 else 128, 0, 0, 0]) + rng.randbytes(rng.choice((4, 12, 60, 400, 1464)))
        if rng.random() < 0.05:
            message = message[:4] + bytes(len(message) - 4)
        if not self.valid:
            message = message[:1] + (rng.randbytes(3) if rng.random() < 0.8 else b"\0\xf7\xff") + message[4:]
            if rng.random() < 0.1:
                message = message[: rng.randrange(9)]
        return self.icmp_frame(d, message)

    def fragments(self):
        """All fragments of a datagram, in some order, some missing; the first of them now, others later."""
        rng = self.rng
        d = self.draft()
        if rng.random() < 0.1:
            d.protocol = ICMP if d.version == 4 else ICMPV6
            d.transport = bytes([8 if d.version == 4 else 128]) + rng.randbytes(63)
        d.payload = (d.payload + bytes(32))[:400]
        if rng.random() < 0.1:
            d.payload = d.payload.ljust(rng.choice((3000, 3600)), b"f")
        data = self.transport(d)
        cuts = [0] + sorted(rng.sample(range(3, max(len(data) // 8, 8)), rng.randint(1, 3)))
        if not self.valid and rng.random() < 0.1:
            cuts[1] = rng.randint(1, 2)  # a first fragment too small for its transport header
            cuts = sorted(set(cuts))
        frames = []
        for i, cut in enumerate(cuts):
            end = 8 * cuts[i + 1] if i + 1 < len(cuts) else len(data)
            if 8 * cut >= len(data):
                break
            more = i + 1 < len(cuts)
            if d.version == 4:
                d.fragment = (0x2000 if more else 0) | cut
            else:
                d.first_extension = FRAGMENT
                d.extensions = struct.pack(">BBHI", d.protocol, 0, cut << 3 | more, d.id)
            frames.append(self.bent(self.frame(self.packet(d, data[8 * cut : end])), 0.05))
        if rng.random() < 0.3:
            rng.shuffle(frames)
        if rng.random() < 0.2:
            frames.pop(rng.randrange(len(frames)))
        if not frames:
            return self.flow()
        self.pending += frames[1:]
        return frames[0]

    def other(self):
        """Neither of these: other protocols, other types, noise."""
        rng = self.rng
        roll = rng.random()
        if roll < 0.3:
            return rng.randbytes(rng.randint(14, 120))
        if roll < 0.5:
            kind = rng.choice((b"\x08\6", b"\x88\xcc", b"\x86\xdd", b"\x08\0", b"\x81\0", b"\x88\xa8", b"\0\x2e"))
            return b"\x02\xee\0\0\0\1\x02\xee\0\0\0\2" + kind + rng.randbytes(rng.randint(0, 80))
        d = self.draft()
        d.protocol = rng.choice((0, 1, 2, 4, 6, 17, 41, 43, 44, 47, 50, 51, 58, 59, 60, 89, 132, 135, 255))
        d.transport = rng.randbytes(rng.randint(0, 80))
        return self.frame(self.packet(d))

    # --- bending ----------------------------------------------------------------------------------------------

    def flip(self, data, first, last):
        if last <= first:
            return data
        at = self.rng.randrange(first, last)
        return data[:at] + bytes([self.rng.getrandbits(8)]) + data[at + 1 :]

    def bent(self, frame, probability):
        """Perhaps with one or two bytes that are wrong."""
        rng = self.rng
        if self.valid or rng.random() >= probability:
            return frame
        for _ in range(rng.choice((1, 1, 1, 2))):
            frame = self.bend(frame)
        return frame

    def bend(self, frame):
        rng = self.rng
        l3 = 14
        while l3 < 26 and frame[l3 - 2 : l3] in (b"\x81\0", b"\x88\xa8"):
            l3 += 4
        four = frame[l3 - 2 : l3] == b"\x08\0"
        l4 = l3 + (20 if four else 40)
        roll = rng.random()
        if roll < 0.25:
            return frame[: max(14, rng.randrange(len(frame) + 1))]
        if roll < 0.35:  # total or payload length
            return self.lengths_lie(frame, l3 + 2 if four else l3 + 4)
        if roll < 0.45 and four:  # version and header length
            return frame[:l3] + bytes([rng.choice((0x40, 0x44, 0x46, 0x4F, 0x55, 0x65, 0x45))]) + frame[l3 + 1 :]
        if roll < 0.53:  # UDP length, or the middle of a TCP sequence number
            return self.lengths_lie(frame, l4 + 4)
        if roll < 0.63 and len(frame) > l4 + 13:  # data offset
            return frame[: l4 + 12] + bytes([rng.getrandbits(4) << 4]) + frame[l4 + 13 :]
        if roll < 0.73:
            return frame + rng.randbytes(rng.randint(1, 40))
        if roll < 0.9:
            return self.flip(frame, 12, len(frame))
        return self.flip(frame, min(l3, len(frame)), min(len(frame), l4 + 20))

    def lengths_lie(self, frame, at):
        rng = self.rng
        if len(frame) < at + 2:
            return frame
        old = int.from_bytes(frame[at : at + 2], "big")
        new = old + rng.randint(-60, 60) if rng.random() < 0.7 else rng.choice((0, 1, 7, 8, 9, 19, 20, 40, 65535))
        return frame[:at] + (new & 0xFFFF).to_bytes(2, "big") + frame[at + 2 :]

    def next(self):
        rng = self.rng
        if self.pending and rng.random() < 0.5:
            return self.pending.pop(rng.randrange(min(len(self.pending), 40)))
        roll = rng.random()
        if roll < 0.62:
            frame = self.flow()
        elif roll < 0.78:
            frame = self.icmp_error()
        elif roll < 0.84:
            frame = self.echo()
        elif roll < 0.96 or self.valid:
            frame = self.fragments()
        else:
            frame = self.other()
        return self.bent(frame, 0.3)
