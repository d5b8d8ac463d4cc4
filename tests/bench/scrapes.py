#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Scrapes of a large balancer: how many series, in what time, and how late the loop is meanwhile.

The real lbd with 5,000 services of 20 backends, all of them checked. /metrics is asked for as Prometheus asks (gzip,
OpenMetrics) and plainly; services and backends in 16 shards, one after the other. Then for some seconds they are asked
for without a pause beside a small request that falls due every 50 ms, whose delay is compared with that of an epoll
echo (agent.py).

Writes build/bench/scrapes.json as agent.py does.

  scrapes.py [--seconds N] [--services N] [--backends N] [--anyway] [--output FILE]
"""
import argparse
import gzip
import http.client
import json
import multiprocessing
import os
import resource
import signal
import socket
import sys
import tempfile
import threading
import time

import agent

SHARDS = 16
AS_PROMETHEUS = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                 "Accept-Encoding": "gzip"}
TARGETS = {
    "series of /metrics": (50000, ""),
    "/metrics": (1, "s"),
    "/metrics as Prometheus asks": (1, "s"),
    "services, all shards": (10, "s"),
    "backends, all shards": (10, "s"),
    "loop delay beyond an echo while scraped, p99": (10, "ms"),
}


class Local(http.client.HTTPConnection):
    """Over the monitor socket, which has the metrics as well."""

    def __init__(self, path):
        super().__init__("w", timeout=60)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def scrape(directory, path, headers=None):
    """Body and seconds."""
    begin = time.monotonic()
    connection = Local(f"{directory}/monitor")
    connection.request("GET", path, headers=headers or {})
    answer = connection.getresponse()
    body = answer.read()
    took = time.monotonic() - begin
    connection.close()
    if answer.status != 200:
        sys.exit(f"scrapes.py: {path}: {answer.status} {body[:200]}")
    return gzip.decompress(body) if answer.headers["Content-Encoding"] == "gzip" else body, took


def series(body):
    return sum(not line.startswith(b"#") for line in body.splitlines())


def shards(directory, what):
    """Series in all, seconds, bytes of the largest."""
    count, took, largest = 0, 0, 0
    for k in range(SHARDS):
        body, one = scrape(directory, f"/metrics/{what}?shard={k}/{SHARDS}")
        count, took, largest = count + series(body), took + one, max(largest, len(body))
    return count, took, largest


def without_pause(directory, until):
    while time.monotonic() < until:
        scrape(directory, "/metrics", AS_PROMETHEUS)
        for what in ("services", "backends"):
            shards(directory, what)


def delays(directory, seconds, children):
    spawn = multiprocessing.get_context("fork")
    pipes = []
    server = spawn.Process(target=agent.echo, args=(f"{directory}/echo",), daemon=True)
    server.start()
    children.append(server)
    begin = time.monotonic() + 1
    for path in (f"{directory}/sock", f"{directory}/echo"):
        ours, theirs = spawn.Pipe()
        process = spawn.Process(target=agent.probe, args=(path, agent.VERSION, begin, seconds, theirs), daemon=True)
        process.start()
        children.append(process)
        pipes.append(ours)
    thread = threading.Thread(target=without_pause, args=(directory, begin + seconds), daemon=True)
    thread.start()
    both = [[d for d in pipe.recv() if d is not None] for pipe in pipes]
    thread.join()
    return both


def measure(directory, seconds, children):
    values = {}
    # The second one is of a loop that does nothing else.
    time.sleep(2)
    for name, headers in (("/metrics", None), ("/metrics as Prometheus asks", AS_PROMETHEUS)):
        times = []
        for _ in range(5):
            time.sleep(1.1)
            body, took = scrape(directory, "/metrics", headers)
            times.append(took)
        values[name] = sorted(times)[2]
        values["series of /metrics"] = series(body)
        print(f"{name}: {series(body)} series, {len(body) / 1e6:.1f} MB, {min(times):.3f} to {max(times):.3f} s")
    for what in ("services", "backends"):
        count, took, largest = shards(directory, what)
        values[f"{what}, all shards"] = took
        print(f"{what}: {count} series in {SHARDS} shards, the largest {largest / 1e6:.1f} MB, {took:.3f} s in all")
    late, echoes = delays(directory, seconds, children)
    values["loop delay beyond an echo while scraped, p99"] = agent.percentile(late, 0.99) - agent.percentile(echoes, 0.99)
    return values, agent.percentile(echoes, 0.99)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=15)
    parser.add_argument("--services", type=int, default=5000)
    parser.add_argument("--backends", type=int, default=20)
    parser.add_argument("--output", default=os.path.join(agent.BUILD, "bench", "scrapes.json"))
    parser.add_argument("--anyway", action="store_true")
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("scrapes.py: must be root")
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    directory, namespace = tempfile.mkdtemp(prefix="bench-scrapes."), f"bench-scrapes-{os.getpid()}"
    process, children = None, []
    try:
        config = agent.configuration(options.services, options.backends)
        config["health"] = {"check": {"kind": "tcp"}}
        config["checker"] = {"socket": f"{directory}/checkd"}
        with open(f"{directory}/weir.json", "w", encoding="ascii") as file:
            json.dump(config, file)
        process = agent.start_agent(directory, namespace, "--monitor-socket", f"{directory}/monitor")
        values, late = measure(directory, options.seconds, children)
    finally:
        agent.clean_up(directory, namespace, process, children)
    results = [{"what": what, "value": round(values[what], 3), "unit": unit, "target": target,
                "holds": values[what] <= target} for what, (target, unit) in TARGETS.items()]
    for result in results:
        print(f"{result['what']:<46} {result['value']:>9} {result['unit']:<4} target {result['target']:<6} "
              f"{'holds' if result['holds'] else 'DOES NOT HOLD'}")
    print(f"an echo alone: p99 {late:.1f} ms")
    if late > agent.ECHO_TOO_LATE_MS and not options.anyway:
        print("the machine is too busy to judge")
        return agent.TOO_BUSY
    os.makedirs(os.path.dirname(options.output), exist_ok=True)
    with open(options.output, "w", encoding="ascii") as file:
        json.dump(results, file, indent=1)
    return 0 if all(result["holds"] for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
