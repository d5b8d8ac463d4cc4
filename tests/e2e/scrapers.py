#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Scrapers that do what they should not, beside one that does as it should.

  scrapers.py ADDRESS PORT API_SOCKET

64 clients ask for the largest answer and never read it; others ask 1,000 times a second for 3 s. Meanwhile a scrape
a second must be answered in time or told at once that it is not now (503), and the API must answer.
"""
import http.client
import socket
import sys
import threading
import time

ADDRESS, PORT, API = sys.argv[1], int(sys.argv[2]), sys.argv[3]
GET = b"GET /metrics HTTP/1.1\r\nHost: w\r\nConnection: close\r\n\r\n"
RATE, SECONDS, WITHIN_S = 1000, 3, 5


def silent():
    """Asks, and takes nothing: its window stays as small as can be."""
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    s.connect((ADDRESS, PORT))
    s.sendall(GET)
    return s


def scrape(path="/metrics"):
    connection = http.client.HTTPConnection(ADDRESS, PORT, timeout=WITHIN_S)
    begin = time.monotonic()
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, len(body), time.monotonic() - begin


def api():
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(WITHIN_S)
    begin = time.monotonic()
    s.connect(API)
    s.sendall(b"GET /v1/version HTTP/1.1\r\nHost: w\r\nConnection: close\r\n\r\n")
    assert s.recv(64).startswith(b"HTTP/1.1 200")
    return time.monotonic() - begin


def hammer(until, counts):
    """A tenth of the rate, each time another shard: nothing is to be shared."""
    n, due = 0, time.monotonic()
    while time.monotonic() < until:
        due += 10 / RATE
        time.sleep(max(0, due - time.monotonic()))
        n += 1
        try:
            status = scrape(f"/metrics/backends?shard=0/{n % 100 + 1}")[0]
        except (OSError, http.client.HTTPException):
            status = "none"
        counts[status] = counts.get(status, 0) + 1


def main():
    clients = [silent() for _ in range(64)]
    status, size, took = 0, 0, 0
    end = time.monotonic() + 15
    # Those that stand still give way.
    while status != 200 and time.monotonic() < end:
        try:
            status, size, took = scrape()
        except (OSError, http.client.HTTPException):
            status = 0
        time.sleep(0.1)
    assert status == 200 and size > 1000, (status, size)
    print(f"beside 64 that never read: answered in {took * 1000:.0f} ms")

    counts, late, answered = {}, 0, 0
    until = time.monotonic() + SECONDS
    threads = [threading.Thread(target=hammer, args=(until, counts)) for _ in range(10)]
    for thread in threads:
        thread.start()
    while time.monotonic() < until:
        late = max(late, api())
        try:
            answered += scrape()[0] == 200
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(0.2)
    for thread in threads:
        thread.join()
    for client in clients:
        client.close()
    print(f"{counts}, {answered} scrapes beside them, the API after at most {late * 1000:.0f} ms")
    assert counts.get(200, 0) > 0 and answered > 0 and late < WITHIN_S
    status, size, took = scrape()
    assert status == 200, status


main()
