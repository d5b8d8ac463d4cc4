# SPDX-License-Identifier: GPL-2.0-only
"""The wires of route_walk.py: what is sent to VIPs, and what of it arrives at the far ends."""

import ctypes
import os
import select
import socket
import struct
import time

LIBC = ctypes.CDLL(None, use_errno=True)
LINKS = (1, 2, 3)
SOL_PACKET, PACKET_AUXDATA, TP_STATUS_VLAN_VALID = 263, 8, 0x10


def enter(namespace):
    fd = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    if LIBC.setns(fd, 0) != 0:
        raise OSError(ctypes.get_errno(), "setns")
    os.close(fd)


class Wire:
    """Sees what arrives at the far ends, and sends to VIPs from the client."""

    def __init__(self, prefix, vip):
        self.vip = vip
        home = os.open("/proc/self/ns/net", os.O_RDONLY)
        enter(f"{prefix}-net")
        self.far = {}
        for i in LINKS:
            tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            tap.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
            tap.bind((f"f{i}", 0))
            self.far[f"f{i}"] = tap
        enter(f"{prefix}-client")
        self.out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        LIBC.setns(home, 0)
        os.close(home)

    def arrives(self, backend, port, token):
        """The far end, destination MAC and VLAN of the packet that a datagram to a service became, or None."""
        for tap in self.far.values():
            while select.select([tap], [], [], 0)[0]:
                self.take(tap)
        self.out.sendto(token, (self.vip, port))
        end = time.monotonic() + 1
        while (left := end - time.monotonic()) > 0:
            for tap in select.select(list(self.far.values()), [], [], left)[0]:
                frame, tag = self.take(tap)
                if token in frame and self.outer(frame) == backend:
                    name = next(n for n, t in self.far.items() if t is tap)
                    return name, ":".join(f"{b:02x}" for b in frame[:6]), tag
        return None

    @staticmethod
    def take(tap):
        """A frame and the VLAN that it is of: the kernel takes the tag off."""
        tag = 0
        try:
            frame, ancillary, _, _ = tap.recvmsg(65535, 256)
        except OSError:  # its link went down meanwhile
            return b"", 0
        for level, kind, data in ancillary:
            if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
                status, tci = struct.unpack("I", data[:4])[0], struct.unpack("H", data[16:18])[0]
                tag = tci & 0xFFF if status & TP_STATUS_VLAN_VALID else 0
        return frame, tag

    @staticmethod
    def outer(frame):
        kind, = struct.unpack("!H", frame[12:14])
        if kind == 0x0800:
            return socket.inet_ntop(socket.AF_INET, frame[30:34])
        if kind == 0x86DD:
            return socket.inet_ntop(socket.AF_INET6, frame[38:54])
        return None
