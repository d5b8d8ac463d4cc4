# SPDX-License-Identifier: GPL-2.0-only
"""
Headers in and out, for the reference balancer: what a frame says (RFC 791, RFC 8200, RFC 9293, RFC 768, IEEE 802.1Q)
and the headers that we write (RFC 2003, RFC 2473, RFC 6040, RFC 792, RFC 4443).
"""

import ipaddress
import struct
from collections import namedtuple

ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58
HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION = 0, 43, 44, 60

# How far we look (docs/reference-balancer.md).
HEAD_BYTES = 256  # of the frame: no header may begin behind
TAGS = 2
EXTENSIONS = 6
ANSWER_BYTES = {4: 576, 6: 1280}  # of our answer that a packet was too big (RFC 1812 4.3.2.3, RFC 4443 2.4)


class Ends(Exception):
    """A packet's way ends here, for a reason such as "PASS not_ip"."""

    def __init__(self, reason, note="", counters=None, link_only=False):
        super().__init__(reason)
        self.reason, self.note, self.counters, self.link_only = reason, note, counters or {}, link_only


def number(frame, at, size=2):
    return int.from_bytes(frame[at : at + size], "big")


def tags_of(frame):
    """The type behind at most two VLAN tags, and where what follows begins."""
    kind, at = number(frame, 12), 14
    for _ in range(TAGS):
        if kind not in (0x8100, 0x88A8):
            return kind, at
        if len(frame) < at + 4:
            raise Ends("PASS malformed")
        kind, at = number(frame, at + 2), at + 4
    if kind in (0x8100, 0x88A8):
        raise Ends("PASS vlan")
    return kind, at


class IpPacket:
    """frame, version, l3, l4 and end (offsets), length, source, destination, protocol, tos, fragment_id,
    fragment_protocol, first_fragment, later_fragment, lie (a reason or None)"""

    def source_is_one_host(self):
        """RFC 1122 3.2.2, RFC 4443 2.4: only such sources are answered."""
        address = ipaddress.ip_address(self.source)
        if self.version == 4:
            return not (self.source[0] in (0, 127) or self.source[0] >= 224)
        return not (address.is_multicast or address.is_unspecified or address.is_loopback)


def destination_of(frame, l3, kind):
    """The destination's bytes; None: there is no IP header to speak of."""
    version, size, at = (4, 20, 16) if kind == 0x0800 else (6, 40, 24)
    if len(frame) < l3 + size or frame[l3] >> 4 != version:
        return None
    return frame[l3 + at : l3 + size]


def rest_of(frame, l3, kind):
    """What is known of a packet before its header is read any further; None: nothing."""
    if destination_of(frame, l3, kind) is None:
        return None
    ip = IpPacket()
    ip.frame, ip.l3, ip.version, ip.protocol = frame, l3, 4 if kind == 0x0800 else 6, None
    ip.length = number(frame, l3 + 2) if ip.version == 4 else number(frame, l3 + 4) + 40
    ip.l4, ip.end = len(frame), l3 + ip.length
    ip.lie = "ip_header" if ip.end > len(frame) or ip.length > 65535 else None
    at, size = (12, 4) if ip.version == 4 else (8, 16)
    ip.source, ip.destination = frame[l3 + at : l3 + at + size], frame[l3 + at + size : l3 + at + 2 * size]
    ip.first_fragment = ip.later_fragment = False
    return ip


def ip_packet(frame, l3, kind):
    return ipv4_packet(frame, l3) if kind == 0x0800 else ipv6_packet(frame, l3)


def ipv4_packet(frame, l3):
    if len(frame) < l3 + 20 or frame[l3] >> 4 != 4:
        raise Ends("PASS malformed")
    ip = IpPacket()
    ip.frame, ip.version, ip.l3, ip.lie = frame, 4, l3, None
    header = (frame[l3] & 15) * 4
    ip.length = number(frame, l3 + 2)
    ip.end = l3 + ip.length
    if header < 20 or ip.length < header or ip.end > len(frame):
        ip.lie = "ip_header"
    ip.l4 = l3 + max(header, 20)
    ip.tos, ip.protocol = frame[l3 + 1], frame[l3 + 9]
    ip.source, ip.destination = frame[l3 + 12 : l3 + 16], frame[l3 + 16 : l3 + 20]
    fragment = number(frame, l3 + 6)
    ip.fragment_id, ip.fragment_protocol = frame[l3 + 4 : l3 + 6], ip.protocol
    ip.later_fragment = fragment & 0x1FFF != 0
    ip.first_fragment = fragment & 0x3FFF == 0x2000
    return ip


Chain = namedtuple("Chain", "protocol at later_fragment first_fragment fragment_id fragment_protocol")


def walk_extensions(data, at, kind, skipped=0):
    """Extension headers from offset at of data, until the transport header or the data of a later fragment. skipped: bytes
    of the frame in front of data."""
    later = first = False
    fragment_id, fragment_protocol = None, None
    for _ in range(EXTENSIONS):
        if kind not in (HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION):
            break
        if len(data) < at + 8:
            raise Ends("PASS malformed")
        if skipped + at > HEAD_BYTES:
            raise Ends("PASS ipv6_extension")
        if kind == FRAGMENT:
            word = number(data, at + 2)
            later, first = word & 0xFFF8 != 0, word & 0xFFF9 == 1
            fragment_id, fragment_protocol = data[at + 4 : at + 8], data[at]
            kind, at = data[at], at + 8
            if later:
                return Chain(kind, at, later, first, fragment_id, fragment_protocol)
        else:
            kind, at = data[at], at + 8 + data[at + 1] * 8
    if kind in (HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION):
        raise Ends("PASS ipv6_extension")
    return Chain(kind, at, later, first, fragment_id, fragment_protocol)


def ipv6_packet(frame, l3):
    if len(frame) < l3 + 40 or frame[l3] >> 4 != 6:
        raise Ends("PASS malformed")
    ip = IpPacket()
    ip.frame, ip.version, ip.l3, ip.lie = frame, 6, l3, None
    ip.length = number(frame, l3 + 4) + 40
    ip.end = l3 + ip.length
    if ip.end > len(frame) or ip.length > 65535:
        ip.lie = "ip_header"
    ip.tos = number(frame, l3) >> 4 & 0xFF
    ip.source, ip.destination = frame[l3 + 8 : l3 + 24], frame[l3 + 24 : l3 + 40]
    chain = walk_extensions(frame, l3 + 40, frame[l3 + 6])
    ip.protocol, ip.l4 = chain.protocol, chain.at
    ip.first_fragment, ip.later_fragment = chain.first_fragment, chain.later_fragment
    ip.fragment_id, ip.fragment_protocol = chain.fragment_id, chain.fragment_protocol
    return ip


def transport_ports(ip):
    """Source port, destination port, TCP flags, lie. A lie of the IP header comes first."""
    frame, at, lie = ip.frame, ip.l4, ip.lie
    if len(frame) < at + 4:
        raise Ends("PASS malformed")
    if at > HEAD_BYTES:
        raise Ends("PASS ipv6_extension")
    if at > ip.end:
        lie = lie or "ip_header"
    room = ip.end - at  # also negative
    flags = 0
    if ip.protocol == UDP:
        length = number(frame, at + 4) if len(frame) >= at + 8 else 0
        # The first fragment of a datagram holds less than its length says.
        if room < 8 or length < 8 or (length > room and not ip.first_fragment):
            lie = lie or "udp_header"
    else:
        header = frame[at + 12] >> 4 << 2 if len(frame) >= at + 20 else 0
        if header < 20 or header > room:
            lie = lie or "tcp_header"
        else:
            flags = frame[at + 13]
    return number(frame, at), number(frame, at + 2), flags, lie


# --- checksums (RFC 1071, RFC 1624) ---------------------------------------------------------------------------


def folded_sum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def checksum(data):
    return struct.pack(">H", folded_sum(data) ^ 0xFFFF)


def replaced_checksum(check, before, after):
    """RFC 1624, equation 3: HC' = ~(~HC + ~m + m')"""
    inverted = lambda two: bytes(b ^ 0xFF for b in two)
    return checksum(inverted(check) + inverted(before) + bytes(after))


def ipv4_checksum_after_ttl(header):
    """The checksum field once the TTL is one less."""
    return replaced_checksum(header[10:12], header[8:10], bytes([header[8] - 1, header[9]]))


# --- what we write --------------------------------------------------------------------------------------------


def outer_ipv4(tos, payload, protocol, source, destination):
    """Not to be fragmented, therefore without identification (RFC 6864)."""
    header = bytearray(struct.pack(">BBHHHBBHII", 0x45, tos, 20 + payload, 0, 0x4000, 64, protocol, 0, source,
                                   destination))
    header[10:12] = checksum(bytes(header))
    return bytes(header)


def outer_ipv6(tos, label, payload, protocol, source, destination):
    return (struct.pack(">IHBB", 6 << 28 | tos << 20 | label, payload, protocol, 64) + source.to_bytes(16, "big") +
            destination.to_bytes(16, "big"))


def outer_udp(source_port, destination_port, payload):
    """Without a checksum: RFC 768, RFC 6935."""
    return struct.pack(">HHHH", source_port, destination_port, 8 + payload, 0)


def message_of(version, kind, code, word, body, source, destination):
    """An ICMP message in its IP header."""
    message = struct.pack(">BBHI", kind, code, 0, word) + body
    if version == 4:
        message = message[:2] + checksum(message) + message[4:]
        return outer_ipv4(0xC0, len(message), ICMP, int.from_bytes(source, "big"),
                          int.from_bytes(destination, "big")) + message
    pseudo = source + destination + struct.pack(">II", len(message), ICMPV6)
    message = message[:2] + checksum(pseudo + message) + message[4:]
    return outer_ipv6(0, 0, len(message), ICMPV6, int.from_bytes(source, "big"),
                      int.from_bytes(destination, "big")) + message


def error_about(ip, kind, code, word=0, source=None, longest=None):
    """An ICMP error about a packet to its sender, from where it sent to, or from source; None: too little would be quoted.
    longest: bytes of the answer at most, besides what RFC 1812 4.3.2.3 and RFC 4443 2.4 say."""
    room = min(ANSWER_BYTES[ip.version], longest or 65535) - (28 if ip.version == 4 else 48)
    quote = ip.frame[ip.l3 : ip.l3 + max(min(ip.length, room), 0) // 4 * 4]
    needed = (ip.frame[ip.l3] & 15) * 4 + 8 if ip.version == 4 else 40
    if len(quote) < needed:
        return None
    return message_of(ip.version, kind, code, word, quote, source or ip.destination, ip.source)


def reset_about(ip):
    """The reset that answers a segment (RFC 9293 3.10.7.1); None: there is none."""
    frame, at = ip.frame, ip.l4
    if at > HEAD_BYTES or len(frame) < at + 20 or ip.first_fragment:
        return None
    flags, data = frame[at + 13], at + (frame[at + 12] >> 4) * 4
    if flags & 4 or data > ip.end:
        return None
    source_port, destination_port, sequence, acknowledged = struct.unpack_from(">HHII", frame, at)
    if flags & 0x10:
        sequence, acknowledged, flags = acknowledged, 0, 0x04
    else:
        length = ip.end - data + (flags >> 1 & 1) + (flags & 1)
        sequence, acknowledged, flags = 0, sequence + length & 0xFFFFFFFF, 0x14
    tcp = struct.pack(">HHIIBBHHH", destination_port, source_port, sequence, acknowledged, 0x50, flags, 0, 0, 0)
    check = checksum(ip.destination + ip.source + struct.pack(">II", 20, TCP) + tcp)
    tcp = tcp[:16] + check + tcp[18:]
    source, destination = int.from_bytes(ip.destination, "big"), int.from_bytes(ip.source, "big")
    if ip.version == 4:
        return outer_ipv4(0, 20, TCP, source, destination) + tcp
    return outer_ipv6(0, 0, 20, TCP, source, destination) + tcp
