# SPDX-License-Identifier: GPL-2.0-only
"""
A slow and obvious balancer: what must become of a packet, decided from the documentation and the RFCs, to judge the
packet path by. It shares no code with bpf/, and what is not written down somewhere else is in
docs/reference-balancer.md. `Balancer.decide()` returns an Opinion.
"""

import ipaddress
from collections import namedtuple

from connections import NOT_TCP, Connections, Segment, segment_of
from flow_hash import flow_hash, ports_word
from headers import (
    Ends, HEAD_BYTES, ICMP, ICMPV6, TCP, UDP, destination_of, ip_packet, rest_of, ipv4_checksum_after_ttl, outer_ipv4, outer_ipv6,
    error_about, outer_udp, replaced_checksum, reset_about, tags_of, transport_ports, walk_extensions,
)

LEFT_TO_HOST = {"PASS " + reason for reason in
                ("protocol", "no_service", "fragment", "ipv6_extension", "malformed", "icmp", "fragment_early")}
LINEAR = 3520  # bytes of a frame that the kernel puts into its first buffer when it is not told
NONE = 0x3FFF  # a ring slot's word for "no backend"
FRAGMENT_AGE_S = 30
QUIC_BYTES = 15  # of a datagram that can be QUIC: type, version, length, eight bytes of ID and more
TX_PACKETS, TX_BYTES, REDIRECT_PACKETS, REDIRECT_BYTES, SYN, KNOWN, BASE, REFUSED = range(8)  # of struct lb_counter

# action: "PASS", "DROP", "TX", "REDIRECT"; reason: "" for forwarded packets; frame: what leaves, or None where it does
# not matter; counters: {number: increment} as the runner numbers them; note: for people
Opinion = namedtuple("Opinion", "action reason frame counters note")
Flow = namedtuple("Flow", "source destination source_port destination_port protocol")


class Backend:
    def __init__(self, service, data, config):
        self.name, self.id, self.index = data["name"], data["id"], data["index"]
        self.dead = data["dead"]
        self.port, self.mtu = data["port"], data["mtu"]
        self.same_interface = data["same_interface"]
        self.address = ipaddress.ip_address(data["address"])
        self.ethernet = bytes.fromhex(data["destination"]) + bytes.fromhex(data["source"])
        self.resolved, self.local = data["resolved"], data["local"]
        self.eligible = data["state"] == "active" and data["weight"] > 0 and not data["leaving"]
        self.l2 = service["forward"] == "l2"
        self.gue = service["forward"] == "gue"
        self.gue_port = service["gue_port"]
        self.overhead = 0 if self.l2 else (20 if self.address.version == 4 else 40) + (8 if self.gue else 0)
        self.max_len = self.mtu - self.overhead
        # The outer source: tunnel_source with host bits that follow the flow, or the route's own.
        prefix = config.get("tunnel_source", {}).get(f"ipv{self.address.version}")
        if prefix:
            network = ipaddress.ip_network(prefix)
            self.outer_source = int(network.network_address)
            self.vary = int(network.hostmask) & 0xFFFFFFFF
        else:
            # Only a next hop that is resolved has one.
            self.outer_source = int(ipaddress.ip_address(data["source_address"])) if self.resolved else 0
            self.vary = 0


class Service:
    def __init__(self, config, service, tables):
        self.name, self.id, self.ring = service["name"], tables["id"], tables["ring"]
        self.network = ipaddress.ip_network(service["vip"])
        self.one_address = self.network.num_addresses == 1
        self.protocol = {"tcp": TCP, "udp": UDP}[service["protocol"]]
        port = str(service["port"])
        first, _, last = ("0-65535" if port == "any" else port).partition("-")
        self.first, self.last = int(first), int(last or first)
        self.affinity = service["affinity"]
        self.echo = service["echo"]
        self.sources = [ipaddress.ip_network(r["prefix"]) for r in service.get("source_ranges", [])]
        self.rejects = service["no_backend"] == "reject"
        # The host has none of the addresses.
        self.unclaimed = service.get("unclaimed") or config.get("unclaimed") or "drop"
        self.drops_fragments = service["fragments"] == "drop"
        self.backends = {b["index"]: Backend(service, b, config) for b in tables["backends"]}
        self.has_eligible = any(b.eligible for b in self.backends.values())
        # QUIC-LB: server ID -> backend, by rotation bits.
        self.quic_bytes = {q["rotation"]: q["server_id_bytes"] for q in service.get("quic", {}).get("configs", [])}
        by_name = {b.name: b for b in self.backends.values()}
        self.server_ids = {bytes.fromhex(b["server_id"]): by_name[b["name"]]
                           for b in service["backends"] if "server_id" in b}

    def refuses(self, source):
        return bool(self.sources) and not any(ipaddress.ip_address(source) in network for network in self.sources)

    def alive(self, index):
        backend = self.backends.get(index)
        return backend is not None and not backend.dead


class Balancer:
    def __init__(self, tables):
        config = tables["config"]
        by_name = {s["name"]: s for s in tables["services"]}
        self.services = [Service(config, s, by_name[s["name"]]) for s in config["services"]]
        self.seed, self.flow_key = tables["hash_seed"], tables["flow_key"]
        self.clock_s, self.several = tables["clock_s"], tables["several"]
        self.interfaces = {int(port): number for port, number in tables["ports"].items()}
        self.tags = {int(port): bytes.fromhex(tag) for port, tag in tables["tags"].items()}
        self.stations = {int(port): {bytes.fromhex(mac) for mac in macs}
                         for port, macs in tables["stations"].items()}
        self.routers = {int(port): [ipaddress.ip_address(a).packed if a else None for a in addresses]
                        for port, addresses in tables["routers"].items()}
        self.reasons = tables["reasons"]
        self.flows = Connections()  # while the slot is unsettled
        self.fragments = {}  # (source, destination, protocol, id) -> (service, backend index, when)
        self.fragments_seen = 0
        self._services = {}  # a cache: (destination, protocol, port) -> service

    @property
    def remembered(self):
        """Grows when something is remembered."""
        return self.flows.remembered + self.fragments_seen

    # --- what to do with a frame ------------------------------------------------------------------------------

    def decide(self, frame, ingress=0, linear=0):
        """linear: bytes of the frame in its first buffer; 0: all of it"""
        self.ingress, self.linear, self.came_by = self.interfaces[ingress], linear or min(len(frame), LINEAR), ingress
        try:
            return self.judge(frame)
        except Ends as end:
            action, _, reason = end.reason.partition(" ")
            return Opinion(action, reason, frame if action == "PASS" else None,
                           {self.reasons[end.reason]: 1, **end.counters}, end.note)

    def judge(self, frame):
        if frame[0] & 1:
            raise Ends("PASS multicast")
        if frame[:6] not in self.stations[self.came_by]:
            raise Ends("PASS other_host")
        kind, l3 = tags_of(frame)
        if kind not in (0x0800, 0x86DD):
            raise Ends("PASS not_ip")
        try:
            return self.judge_ip(frame, l3, kind)
        except Ends as end:
            destination = destination_of(frame, l3, kind)
            if destination is None or end.reason not in LEFT_TO_HOST:
                raise
            return self.unclaimed(destination, end)

    def unclaimed(self, destination, end):
        """What the services of a VIP say of a packet that none of them takes; ends it."""
        address = ipaddress.ip_address(destination)
        here = [s for s in self.services if s.network.version == address.version and address in s.network]
        longest = max((s.network.prefixlen for s in here), default=0)
        words = {s.unclaimed for s in here if s.network.prefixlen == longest}
        if not words or "pass" in words or end.link_only:
            raise end
        # Who would rather drop gives way to who would tell.
        return self.answer("unclaimed", "reply_unclaimed", tell="reject" in words)

    def judge_ip(self, frame, l3, kind):
        self.ip = rest_of(frame, l3, kind)
        ip = self.ip = ip_packet(frame, l3, kind)
        if ip.later_fragment:
            return self.later_fragment(ip)
        if ip.protocol in (TCP, UDP):
            return self.transport(ip)
        if ip.protocol == (ICMP if ip.version == 4 else ICMPV6):
            return self.icmp(ip)
        raise Ends("PASS fragment" if ip.first_fragment else "PASS protocol")

    # --- packets with ports -----------------------------------------------------------------------------------

    def transport(self, ip):
        source_port, destination_port, flags, lie = transport_ports(ip)
        ip.lie = lie
        flow = Flow(ip.source, ip.destination, source_port, destination_port, ip.protocol)
        service = self.service_of(flow)
        if not service:
            raise Ends("PASS fragment" if ip.first_fragment else "PASS no_service")
        if lie:
            raise Ends("DROP " + lie, service.name)
        if service.refuses(ip.source):
            raise Ends("DROP source", service.name)
        syn = flags & 0x12 == 0x02
        backend = self.by_connection_id(service, ip) if service.affinity == "quic" else None
        hash_ = self.hash_of(service, flow)
        how = "settled"
        if not backend:
            segment = segment_of(ip, flags) if ip.protocol == TCP else NOT_TCP
            try:
                backend, how = self.by_slot(service, flow, hash_, segment)
            except Ends as end:
                return self.answer("no_backend", "reply_no_backend", end.note, tell=service.rejects)
        if ip.first_fragment:
            self.fragments[self.fragment_key(ip)] = (service, backend.index, self.clock_s)
            self.fragments_seen += 1
        return self.send(ip, service, backend, hash_, how, syn, answer=True)

    def service_of(self, flow):
        key = (flow.destination, flow.protocol, flow.destination_port)
        if key not in self._services:
            address = ipaddress.ip_address(flow.destination)
            matching = [s for s in self.services
                        if s.protocol == flow.protocol and s.network.version == address.version
                        and address in s.network and s.first <= flow.destination_port <= s.last]
            # The longest prefix first, then the narrowest range.
            matching.sort(key=lambda s: (-s.network.prefixlen, s.last - s.first))
            self._services[key] = matching[0] if matching else None
        return self._services[key]

    def hash_of(self, service, flow):
        if service.affinity == "source":
            return flow_hash(self.seed, flow.source, bytes(len(flow.source)), 0, 0)
        ports = ports_word(flow.source_port, flow.destination_port)
        return flow_hash(self.seed, flow.source, flow.destination, ports, flow.protocol)

    def by_connection_id(self, service, ip):
        """The backend that a QUIC datagram's destination connection ID names, if any."""
        datagram = ip.frame[ip.l4 + 8 : min(ip.l4 + int.from_bytes(ip.frame[ip.l4 + 4 : ip.l4 + 6], "big"), ip.end)]
        if len(datagram) < QUIC_BYTES:
            return None
        if datagram[0] & 0x80:
            connection_id = datagram[6 : 6 + datagram[5]]
        else:
            connection_id = datagram[1:]
        return self.named_by(service, connection_id)

    @staticmethod
    def named_by(service, connection_id):
        """The backend whose server ID is in a connection ID (QUIC-LB, plain text)."""
        if not connection_id:
            return None
        size = service.quic_bytes.get(connection_id[0] >> 5)
        if not size or len(connection_id) < 1 + size:
            return None
        backend = service.server_ids.get(connection_id[1 : 1 + size])
        return backend if backend and not backend.dead else None

    def by_slot(self, service, flow, hash_, segment):
        """Transition-only state (docs/architecture.md, docs/flow-table.md)."""
        slot = service.ring[hash_ & (len(service.ring) - 1)]
        current, base = slot & 0x3FFF, slot >> 16 & 0x3FFF
        if not slot >> 31 and current == base:
            index, how = current, "settled"
        else:
            index, how = self.by_flow(service, (service.id, flow), segment, current, base, slot >> 30 & 1)
        if index == NONE:
            raise Ends("DROP no_backend", service.name)
        return service.backends[index], how

    def by_flow(self, service, key, segment, current, base, learning):
        known = self.flows.best(key, segment)
        if known and service.alive(known.index):
            if segment.kind not in ("other", "error"):
                known.follow(segment, self.clock_s)
                self.flows.remembered += 1
            return known.index, "known"
        if segment.kind == "syn":
            index, how = base if self.flows.somebody_lives(key) else current, "new"
            worth = current != base or self.flows.has(key)
        else:
            index, how = base, "base"
            worth = current != base and segment.kind in ("data", "fin") and (segment.seq is not None or learning)
        if index != NONE and worth and not self.flows.remember(key, index, segment, self.clock_s):
            return base, "refused"
        return index, how

    # --- fragments --------------------------------------------------------------------------------------------

    @staticmethod
    def fragment_key(ip):
        return (ip.source, ip.destination, ip.fragment_protocol, ip.fragment_id)

    def later_fragment(self, ip):
        protocol = ip.fragment_protocol
        seen = self.fragments.get(self.fragment_key(ip))
        fresh = seen and self.clock_s - seen[2] <= FRAGMENT_AGE_S
        if fresh and not seen[0]:  # of an echo request that was answered
            if ip.lie:
                raise Ends("DROP " + ip.lie)
            return Opinion("TX", "echo", bytes(self.turned_around(ip)), {self.reasons["REPLY echo"]: 1}, "echo reply")
        if fresh and seen[0].alive(seen[1]):
            if ip.lie:
                raise Ends("DROP " + ip.lie)
            if seen[0].refuses(ip.source):
                raise Ends("DROP source", seen[0].name)
            identification = int.from_bytes(ip.fragment_id, "little")
            hash_ = flow_hash(self.flow_key, ip.source, ip.destination, identification, protocol) | 1
            return self.send(ip, seen[0], seen[0].backends[seen[1]], hash_, "settled")
        here = [s for s in self.services
                if s.one_address and s.network.network_address.packed == ip.destination]
        if protocol in (TCP, UDP):
            here = [s for s in here if s.protocol == protocol]
        else:
            here = []
        if not here:
            raise Ends("PASS fragment")
        if ip.lie:
            raise Ends("DROP " + ip.lie)
        shared = [s for s in self.services if not s.one_address and s.protocol == protocol
                  and s.network.version == ip.version and ipaddress.ip_address(ip.destination) in s.network]
        if len(here) == 1 and here[0].affinity == "source" and protocol in (TCP, UDP) and not shared:
            service = here[0]
            if service.refuses(ip.source):
                raise Ends("DROP source", service.name)
            hash_ = self.hash_of(service, Flow(ip.source, ip.destination, 0, 0, protocol))
            index = service.ring[hash_ & (len(service.ring) - 1)] >> 16 & 0x3FFF
            if index == NONE:
                raise Ends("DROP no_backend", service.name)
            return self.send(ip, service, service.backends[index], hash_, "settled")
        if protocol in (TCP, UDP) and any(s.drops_fragments for s in here):
            raise Ends("DROP fragment_unknown")
        raise Ends("PASS fragment_early")

    # --- ICMP -------------------------------------------------------------------------------------------------

    def icmp(self, ip):
        message = ip.frame[ip.l4 : ip.end]
        if ip.lie or len(message) < 8 or ip.l4 > HEAD_BYTES:
            raise Ends("PASS icmp")
        kind, code = message[0], message[1]
        if kind == (8 if ip.version == 4 else 128):
            return self.echo(ip)
        if ip.first_fragment:
            raise Ends("PASS icmp")
        if kind not in ((3, 11, 12) if ip.version == 4 else (1, 2, 3, 4)):
            # Neighbour discovery and the like are of the link: no router forwards them.
            raise Ends("PASS icmp", link_only=ip.version == 6 and 133 <= kind <= 137)
        flow, at = self.embedded_flow(ip, message[8:])
        service = self.service_of(flow) if flow else None
        if not service:
            raise Ends("PASS icmp")
        if service.refuses(flow.source):
            raise Ends("DROP source", service.name)
        if ip.version == 4:
            mtu = int.from_bytes(message[6:8], "big")
            silly = kind == 3 and code == 4 and 0 < mtu < 552
        else:
            silly = kind == 2 and int.from_bytes(message[4:8], "big") < 1280
        if silly:
            raise Ends("DROP icmp_mtu", service.name)
        hash_ = self.hash_of(service, flow)
        backend, how = None, "settled"
        if service.affinity == "quic":
            backend = self.by_source_connection_id(service, message[8 + at :], ip.l4 + 8 + at)
        if not backend:
            # An error is no sign of life of its flow: nothing is remembered for it.
            backend, how = self.by_slot(service, flow, hash_, Segment("error", 0, 0, 0))
        return self.send(ip, service, backend, hash_, how)

    def by_source_connection_id(self, service, datagram, at):
        """The backend that the sender's own ID names in an embedded UDP datagram, at an offset of the frame; only long
        headers have it (RFC 9000 section 17.2)."""
        if len(datagram) < 8:
            return None
        packet = datagram[8 : int.from_bytes(datagram[4:6], "big")]
        if len(datagram) < 14 or not datagram[8] & 0x80:
            return None
        source = 6 + datagram[13]  # where the source ID's length is
        if len(packet) < source + 2 or at + 8 + source + 1 > HEAD_BYTES:
            return None
        connection_id = packet[source + 1 : source + 1 + packet[source]]
        return self.named_by(service, connection_id)

    def embedded_flow(self, ip, packet):
        """The flow that the embedded packet, sent from the VIP to the client, is the other half of, and where in it the
        transport header is."""
        if ip.version == 4:
            if len(packet) < 20 or packet[0] >> 4 != 4 or packet[0] & 15 < 5:
                return None, None
            vip, client, protocol, at = packet[12:16], packet[16:20], packet[9], (packet[0] & 15) * 4
            if int.from_bytes(packet[6:8], "big") & 0x1FFF:
                return None, None
        else:
            if len(packet) < 40 or packet[0] >> 4 != 6 or ip.l4 + 8 > HEAD_BYTES:
                return None, None
            vip, client = packet[8:24], packet[24:40]
            try:
                chain = walk_extensions(packet, 40, packet[6], ip.l4 + 8)
            except Ends:
                return None, None
            if chain.later_fragment:
                return None, None
            protocol, at = chain.protocol, chain.at
        if vip != ip.destination or protocol not in (TCP, UDP) or len(packet) < at + 4 or \
                ip.l4 + 8 + at > HEAD_BYTES:
            return None, None
        port = lambda i: int.from_bytes(packet[at + i : at + i + 2], "big")
        return Flow(client, vip, port(2), port(0), protocol), at

    @staticmethod
    def options_can_be_sent_back(ip):
        """No IPv4 source route (RFC 1122 3.2.2.6), and nothing that cannot be read (RFC 791 3.1)."""
        at = ip.l3 + 20
        while ip.version == 4 and at < ip.l4:
            kind, length = ip.frame[at], ip.frame[at + 1]
            if kind == 0:
                break
            if kind in (131, 137) or (kind != 1 and (length < 2 or at + length > ip.l4)):
                return False
            at += 1 if kind == 1 else length
        return True

    def echo(self, ip):
        address = ipaddress.ip_address(ip.destination)
        here = [s for s in self.services if s.network.version == address.version and address in s.network]
        longest = max((s.network.prefixlen for s in here), default=None)
        vip = any(s.echo and s.has_eligible for s in here if s.network.prefixlen == longest)
        if not vip or not ip.source_is_one_host() or not self.options_can_be_sent_back(ip):
            raise Ends("PASS icmp")
        frame, l4 = self.turned_around(ip), ip.l4
        request, reply = (8, 0) if ip.version == 4 else (128, 129)
        if ip.first_fragment:
            self.fragments[self.fragment_key(ip)] = (None, NONE, self.clock_s)
            self.fragments_seen += 1
        code = frame[l4 + 1]
        frame[l4] = reply
        frame[l4 + 2 : l4 + 4] = replaced_checksum(frame[l4 + 2 : l4 + 4], bytes([request, code]), bytes([reply, code]))
        if ip.version == 4 and not any(frame[l4 + 2 : l4 + 8]):
            frame[l4 + 2 : l4 + 4] = b"\xff\xff"  # of a message of zeroes nothing else verifies
        return Opinion("TX", "echo", bytes(frame), {self.reasons["REPLY echo"]: 1}, "echo reply")

    @staticmethod
    def turned_around(ip):
        frame, l3 = bytearray(ip.frame), ip.l3
        frame[0:12] = frame[6:12] + frame[0:6]
        if ip.version == 4:
            before = bytes(frame[l3 + 8 : l3 + 10])
            frame[l3 + 8] = 64
            frame[l3 + 10 : l3 + 12] = replaced_checksum(frame[l3 + 10 : l3 + 12], before, frame[l3 + 8 : l3 + 10])
            frame[l3 + 12 : l3 + 20] = ip.destination + ip.source
        else:
            frame[l3 + 7] = 64
            frame[l3 + 8 : l3 + 40] = ip.destination + ip.source
        return frame

    # --- answers ----------------------------------------------------------------------------------------------

    def answer(self, cause, reply, note="", mtu=0, tell=True):
        """What becomes of the packet that is dropped for a cause: its sender is told of it, or not."""
        ip = self.ip
        about = self.about(ip, cause, mtu) if tell and self.may_be_answered(ip) else None
        if about is None:
            raise Ends("DROP " + cause, note)
        frame = ip.frame[6:12] + ip.frame[0:6] + ip.frame[12 : ip.l3] + about
        # What lies in several buffers is not shortened.
        if self.linear < len(ip.frame):
            frame += ip.frame[len(frame) :]
        return Opinion("TX", reply, frame, {self.reasons["REPLY " + reply]: 1}, note)

    @staticmethod
    def may_be_answered(ip):
        if ip.later_fragment or ip.lie or ip.protocol in (ICMP, ICMPV6) or not ip.source_is_one_host():
            return False
        if ip.protocol != TCP or ip.l4 > HEAD_BYTES or len(ip.frame) < ip.l4 + 20:
            return True
        header = ip.frame[ip.l4 + 12] >> 4 << 2
        return header >= 20 and header <= ip.end - ip.l4 and not ip.frame[ip.l4 + 13] & 4

    def about(self, ip, cause, mtu):
        v4 = ip.version == 4
        if cause == "too_big":
            longest = len(ip.frame) - ip.l3
            return error_about(ip, 3, 4, mtu, longest=longest) if v4 else error_about(ip, 2, 0, mtu, longest=longest)
        if cause == "ttl":
            source = self.routers[self.came_by][0 if v4 else 1]
            return error_about(ip, 11 if v4 else 3, 0, source=source)
        if ip.protocol == TCP:
            return reset_about(ip)
        if ip.protocol == UDP:
            return error_about(ip, 3, 3) if v4 else error_about(ip, 1, 4)
        return error_about(ip, 3, 2) if v4 else error_about(ip, 1, 1)

    # --- sending ----------------------------------------------------------------------------------------------

    @staticmethod
    def flow_counters(backend, how, syn):
        first = 1000 + 8 * backend.id
        counters = {first + SYN: 1} if syn else {}
        if how in ("known", "base", "refused"):
            counters[first + {"known": KNOWN, "base": BASE, "refused": REFUSED}[how]] = 1
        return counters

    def send(self, ip, service, backend, hash_, how, syn=False, answer=False):
        note = f"{service.name} {backend.name} {how}"
        if not backend.resolved:
            raise Ends("DROP nexthop", note)
        if backend.local:
            raise Ends("PASS local", note, self.flow_counters(backend, how, syn))
        if ip.length > backend.max_len:
            # Less than 1280 is what no IPv6 sender heeds (RFC 8201 4).
            mtu = backend.max_len if ip.version == 4 else max(backend.max_len, 1280)
            return self.answer("too_big", "reply_too_big", note, mtu, tell=answer and ip.length > mtu)
        device = self.interfaces.get(backend.port)
        same = device is not None and device == self.ingress if self.several else backend.same_interface
        if not backend.l2 and ip.frame[ip.l3 + (8 if ip.version == 4 else 7)] <= 1:
            return self.answer("ttl", "reply_ttl", note, tell=answer)
        frame = self.rewritten(ip, backend, hash_)
        if not same and device is None:
            raise Ends("DROP egress", note)
        first = 1000 + 8 * backend.id
        packets, size = (TX_PACKETS, TX_BYTES) if same else (REDIRECT_PACKETS, REDIRECT_BYTES)
        counters = {first + packets: 1, first + size: ip.length + 14, **self.flow_counters(backend, how, syn)}
        return Opinion("TX" if same else "REDIRECT", "", frame, counters, note)

    def rewritten(self, ip, backend, hash_):
        frame, l3 = ip.frame, ip.l3
        # The way has a tag, or none. What a packet came with is of the link that it came by.
        tags = self.tags.get(backend.port, b"")
        if backend.l2:
            gone = l3 - 14 - len(tags)  # an Ethernet header must be left of the first buffer
            if gone > 0 and self.linear < 14 + gone:
                raise Ends("DROP headroom", backend.name)
            return backend.ethernet + tags + frame[l3 - 2 :]
        inner = bytearray(frame[l3:])  # with what the sender put behind the packet
        hop = 8 if ip.version == 4 else 7
        inner[hop] -= 1
        if ip.version == 4:
            inner[10:12] = ipv4_checksum_after_ttl(frame[l3 : l3 + 20])
        # The bits that vary are those of the hash's upper half, as it lies in memory.
        upper = int.from_bytes((hash_ >> 32).to_bytes(4, "little"), "big")
        source, destination = backend.outer_source | upper & backend.vary, backend.address
        udp = outer_udp(0xC000 | hash_ >> 16 & 0x3FFF, backend.gue_port, ip.length) if backend.gue else b""
        size = ip.length + len(udp)
        if backend.gue:
            protocol = UDP
        else:
            protocol = 4 if ip.version == 4 else 41
        if destination.version == 4:
            outer = outer_ipv4(ip.tos, size, protocol, source, int(destination))
        else:
            outer = outer_ipv6(ip.tos, upper & 0xFFFFF, size, protocol, source, int(destination))
        ether_type = b"\x08\x00" if destination.version == 4 else b"\x86\xdd"
        return backend.ethernet + tags + ether_type + outer + udp + bytes(inner)
