#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Connects so many clients to lbd's socket, prints "connected", and says nothing until it is killed.

idle_clients.py SOCKET N"""

import socket
import sys
import time

clients = []
for _ in range(int(sys.argv[2])):
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.connect(sys.argv[1])
    clients.append(client)
print("connected", flush=True)
while True:
    time.sleep(60)
