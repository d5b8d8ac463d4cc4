#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""drain_clients.py tcp|udp ADDRESS PORT FILE: connections that live until FILE is gone.

tcp: one connection that asks for /from every 0.2 s; writes to FILE.tcp who answered first, and "broken" when an answer
fails or another answers. udp: 40 flows that send every 0.1 s and want no answer."""

import http.client
import os
import socket
import sys
import time

what, address, port, file = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]


def who(connection):
    connection.request("GET", "/from")
    return connection.getresponse().read().decode().split()[0]


def tcp():
    connection = http.client.HTTPConnection(address, port, timeout=3)
    first = who(connection)
    with open(file + ".tcp", "w") as out:
        print(first, file=out, flush=True)
        try:
            while os.path.exists(file):
                time.sleep(0.2)
                assert connection.sock is not None and who(connection) == first
        except Exception as e:  # whatever it is, the connection did not live
            print("broken", e, file=out, flush=True)


def udp():
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(40)]
    for s in sockets:
        s.bind(("", 0))
    while os.path.exists(file):
        for s in sockets:
            s.sendto(b"x" * 50, (address, port))
        time.sleep(0.1)


tcp() if what == "tcp" else udp()
