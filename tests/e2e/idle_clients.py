#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Connects so many clients to lbd's socket, prints "connected", and says nothing until it is killed; or asks for a
path first, again and again, and never reads what comes.

idle_clients.py SOCKET N [PATH]"""

import socket
import sys
import time

clients = []
for _ in range(int(sys.argv[2])):
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(sys.argv[1])
    if len(sys.argv) > 3:
        client.sendall(b"GET %s HTTP/1.1\r\nHost: w\r\n\r\n" % sys.argv[3].encode() * 50)
    clients.append(client)
print("connected", flush=True)
while True:
    time.sleep(60)
