#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""What a LAN sees of a VIP.

lan_probe.py connect ADDRESS PORT       opens a connection every 20 ms until SIGTERM; how many failed, and the longest
                                        time without one that succeeded
lan_probe.py arp DEVICE SOURCE ADDRESS  asks for the address every 25 ms until SIGTERM; how often nobody and how often
                                        two answered, and for how long at a stretch
"""
import errno
import select
import signal
import socket
import struct
import sys
import time

stopped = False


def stop(number, frame):
    global stopped
    stopped = True


def connect(address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    poller, waiting, last, longest, good, failed = select.poll(), {}, time.monotonic(), 0, 0, 0
    due = last
    while not stopped:
        now = time.monotonic()
        if now >= due:
            s = socket.socket(family, socket.SOCK_STREAM)
            s.setblocking(False)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            if s.connect_ex((address, port)) not in (0, errno.EINPROGRESS):
                failed += 1
                s.close()
            else:
                waiting[s.fileno()] = (s, now)
                poller.register(s, select.POLLOUT)
            due = now + 0.02
        for fd, events in poller.poll(5):
            s, began = waiting.pop(fd)
            poller.unregister(s)
            if s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                failed += 1
            else:
                good += 1
                # A SYN that was sent again belongs to the time when it was first sent.
                if time.monotonic() - began < 0.5:
                    longest, last = max(longest, began - last), began
            s.close()
        for fd, (s, began) in list(waiting.items()):
            if now - began > 3:
                failed += 1
                poller.unregister(s)
                waiting.pop(fd)
                s.close()
    longest = max(longest, time.monotonic() - last)
    print(f"connections {good} failed {failed} longest_gap_ms {longest * 1000:.0f}")


def arp(device, source, address):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))
    s.bind((device, 0x0806))
    mac = s.getsockname()[4]
    request = (b"\xff" * 6 + mac + struct.pack("!HHHBBH", 0x0806, 1, 0x0800, 6, 4, 1) + mac +
               socket.inet_aton(source) + bytes(6) + socket.inet_aton(address))
    asked = nobody = two = 0
    silent_since = two_since = None
    longest_silence = longest_two = 0
    seen = set()
    while not stopped:
        s.send(request)
        asked += 1
        end, answers = time.monotonic() + 0.025, set()
        while (left := end - time.monotonic()) > 0:
            if not select.select([s], [], [], left)[0]:
                break
            frame = s.recv(256)
            if frame[20:22] == b"\0\2" and frame[28:32] == socket.inet_aton(address):
                answers.add(frame[22:28])
        now = time.monotonic()
        seen |= answers
        if not answers:
            nobody += 1
            silent_since = silent_since or now - 0.025
            longest_silence = max(longest_silence, now - silent_since)
        else:
            silent_since = None
        if len(answers) > 1:
            two += 1
            two_since = two_since or now - 0.025
            longest_two = max(longest_two, now - two_since)
        else:
            two_since = None
    print(f"asked {asked} nobody {nobody} silence_ms {longest_silence * 1000:.0f} two {two} "
          f"two_ms {longest_two * 1000:.0f} leaders {len(seen)}")


signal.signal(signal.SIGTERM, stop)
print("probing", flush=True)
if sys.argv[1] == "connect":
    connect(sys.argv[2], int(sys.argv[3]))
else:
    arp(sys.argv[2], sys.argv[3], sys.argv[4])
