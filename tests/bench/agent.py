#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""The agent beside hostile clients: how late its loop answers, and what memory that costs.

The real lbd with 5,000 services of 20 backends, and 112 hostile connections of every kind at once: silent, half a
request, a body that drips, a large body that never ends, a list of ones, readers that do not read of all long
answers, hang-ups, garbage. Beside them a small request falls due every 50 ms, at fixed times, and its delay counts
from then; the same goes to an epoll echo in the same run. What the machine itself is late shows in both.

Writes build/bench/agent.json, a list of { "what", "value", "unit", "target", "holds" }, and every sample to
build/bench/agent-samples.json. Where the echo alone is too late to tell, the machine is too busy: status 75.

  agent.py [--seconds N] [--services N] [--backends N] [--stop] [--anyway] [--output FILE]

--stop: the measured agent stands still for 200 ms in every 10 s: then nothing may hold. --anyway: judge on a busy
machine as well. Root; cleans up behind itself.
"""
import argparse
import contextlib
import json
import multiprocessing
import os
import random
import resource
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("LAB_BUILD", os.path.join(ROOT, "build"))
TOO_BUSY = 75
HOSTILE = 112
PERIOD_S = 0.05
BODIES_MIB = 64  # the stated budget of all bodies together
MIB = 1048576
TARGETS = {
    "loop delay beyond an echo, p99": (20, "ms"),
    "memory beyond maps, configuration and bodies": (64, "MiB"),
    "probes that were not answered": (0, ""),
}
ECHO_TOO_LATE_MS = 20


def configuration(services, backends):
    return {
        "version": 1, "hash_seed": "bench", "interfaces": [{"name": "eth0", "attach": "exclusive"}],
        "api": {"metrics": "127.0.0.1:9909"}, "limits": {"flow_entries": 100000},
        "services": [{
            "name": f"s{i}", "vip": f"203.{i >> 14}.{(i >> 7) & 127}.{i & 127}", "protocol": "tcp", "port": 80, "forward": "ipip",
            "backends": [{"name": f"b{j}", "address": f"10.{99 + (j >> 8)}.{j & 255}.1"} for j in range(backends)],
        } for i in range(services)],
    }


# --- what is measured ------------------------------------------------------------------------------------------

def connect(path, timeout=5):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.settimeout(timeout)
    s.connect(path)
    return s


def ask(path, request):
    """The answer's first bytes; empty: there was none."""
    try:
        with contextlib.closing(connect(path)) as s:
            s.sendall(request)
            return s.recv(64)
    except OSError:
        return b""


VERSION = b"GET /v1/version HTTP/1.1\r\nHost: w\r\nConnection: close\r\n\r\n"


def probe(path, request, begin, seconds, pipe):
    """Delays in ms of requests that fall due at fixed times; None: not answered."""
    delays = []
    due = begin
    while due < begin + seconds:
        time.sleep(max(0, due - time.monotonic()))
        # One that is so late that there is no time left to ask is not answered.
        answer = ask(path, request) if time.monotonic() < begin + seconds + 5 else b""
        delays.append((time.monotonic() - due) * 1000 if answer else None)
        due += PERIOD_S
    pipe.send(delays)


def echo(path):
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(path)
    server.listen(1024)
    epoll = select.epoll()
    epoll.register(server, select.EPOLLIN)
    clients = {}
    while True:
        for fd, _ in epoll.poll():
            if fd == server.fileno():
                client, _ = server.accept()
                clients[client.fileno()] = client
                epoll.register(client, select.EPOLLIN)
                continue
            client = clients[fd]
            data = client.recv(65536)
            if data:
                client.sendall(data)
            epoll.unregister(fd)
            clients.pop(fd).close()


def resident_mib(pid):
    """Of the agent's own memory: what is mapped of bpf maps is not counted."""
    total, own = 0, True
    with open(f"/proc/{pid}/smaps", encoding="ascii") as smaps:
        for line in smaps:
            head = line.split()
            if "-" in head[0] and not head[0].endswith(":"):
                own = "bpf-map" not in line
            elif head[0] == "Rss:" and own:
                total += int(head[1])
    return total / 1024


# --- what is hostile -------------------------------------------------------------------------------------------

def hold(path, data, stop, receive=0):
    """Sends this, and then nothing; again when it is thrown out."""
    while not stop.is_set():
        try:
            s = connect(path, 1)
            if receive:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
            s.sendall(data)
            poll = select.poll()
            poll.register(s, select.POLLHUP | select.POLLRDHUP)
            poll.poll(3000)
            s.close()
        except OSError:
            time.sleep(0.05)


def drip(path, data, piece, pause, stop):
    while not stop.is_set():
        try:
            s = connect(path, 1)
            s.sendall(data)
            while not stop.is_set():
                s.sendall(piece)
                time.sleep(pause)
        except OSError:
            time.sleep(0.05)


def hang_up(path, data, stop):
    while not stop.is_set():
        try:
            s = connect(path, 1)
            s.sendall(data)
            s.close()
        except OSError:
            pass
        time.sleep(0.05)


def get(path):
    return b"GET " + path + b" HTTP/1.1\r\nHost: w\r\n\r\n"


def post(length, body=b""):
    return b"POST /v1/apply HTTP/1.1\r\nHost: w\r\nContent-Length: %d\r\n\r\n" % length + body


def hostile(path, stop):
    noise = random.Random(1).randbytes(2048)
    ones = b"[" + b"1," * 500000 + b"1]"
    kinds = [
        lambda: hold(path, b"", stop),
        lambda: hold(path, b"GET /v1/sta", stop),
        lambda: drip(path, post(100000, b"{"), b" ", 0.5, stop),
        lambda: drip(path, post(50 * MIB, b"{"), b" " * 65536, 0.1, stop),
        lambda: hold(path, post(len(ones), ones), stop),
        lambda: hold(path, get(b"/v1/backends"), stop, 4096),
        lambda: hold(path, get(b"/v1/stats"), stop, 4096),
        lambda: hold(path, get(b"/v1/services"), stop, 4096),
        lambda: hold(path, get(b"/v1/services/s1/ring?dump=1") * 50, stop, 4096),
        lambda: hang_up(path, get(b"/v1/backends"), stop),
        lambda: hang_up(path, noise, stop),
        lambda: hold(path, get(b"/v1/version") * 200, stop, 4096),
    ]
    threads = [threading.Thread(target=kinds[i % len(kinds)], daemon=True) for i in range(HOSTILE)]
    for thread in threads:
        thread.start()
    signal.pause()


# --- the run ---------------------------------------------------------------------------------------------------

def run(*command):
    subprocess.run(command, check=True)


def start_agent(directory, namespace, *arguments):
    run("ip", "netns", "add", namespace)
    run("ip", "-n", namespace, "link", "add", "eth0", "type", "veth", "peer", "name", "peer0")
    run("ip", "-n", namespace, "address", "add", "10.99.0.250/8", "dev", "eth0")
    for link in ("lo", "eth0", "peer0"):
        run("ip", "-n", namespace, "link", "set", link, "up")
    os.mkdir(f"{directory}/bpf")
    run("mount", "-t", "bpf", "bpf", f"{directory}/bpf")
    log = open(f"{directory}/log", "wb")  # pylint: disable=consider-using-with
    agent = subprocess.Popen(  # pylint: disable=consider-using-with
        ["nsenter", f"--net=/run/netns/{namespace}", "--", f"{BUILD}/lbd", "-c", f"{directory}/weir.json", "--bpffs",
         f"{directory}/bpf/weir", "--state-dir", f"{directory}/state", "--socket", f"{directory}/sock", *arguments], stderr=log)
    end = time.monotonic() + 60
    while b"200" not in ask(f"{directory}/sock", VERSION):
        if agent.poll() is not None or time.monotonic() > end:
            sys.exit("lbd does not start: " + open(f"{directory}/log", encoding="utf-8").read()[-2000:])
        time.sleep(0.1)
    return agent


def watch_memory(pid, until):
    most = 0
    while time.monotonic() < until:
        most = max(most, resident_mib(pid))
        time.sleep(0.2)
    return most


def stand_still(pid, until):
    while time.monotonic() < until:
        os.kill(pid, signal.SIGSTOP)
        time.sleep(0.2)
        os.kill(pid, signal.SIGCONT)
        time.sleep(9.8)


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))] if values else float("inf")


def measure(options, directory, agent, children):
    """Delays of both, and memory before and at most."""
    spawn = multiprocessing.get_context("fork")
    stop = spawn.Event()

    def child(function, *arguments):
        process = spawn.Process(target=function, args=arguments, daemon=True)
        process.start()
        children.append(process)
        return process

    child(echo, f"{directory}/echo")
    time.sleep(2)
    before = resident_mib(agent.pid)
    child(hostile, f"{directory}/sock", stop)
    time.sleep(1)
    begin = time.monotonic() + 1
    pipes = []
    for path in (f"{directory}/sock", f"{directory}/echo"):
        ours, theirs = spawn.Pipe()
        child(probe, path, VERSION, begin, options.seconds, theirs)
        pipes.append(ours)
    if options.stop:
        threading.Thread(target=stand_still, args=(agent.pid, begin + options.seconds), daemon=True).start()
    most = watch_memory(agent.pid, begin + options.seconds)
    return pipes[0].recv(), pipes[1].recv(), before, most


def judge(delays, echoes, before, most):
    answered = [d for d in delays if d is not None]
    values = {
        "loop delay beyond an echo, p99": percentile(answered, 0.99) - percentile([e for e in echoes if e is not None], 0.99),
        "memory beyond maps, configuration and bodies": max(0.0, most - before - BODIES_MIB),
        "probes that were not answered": len(delays) - len(answered),
    }
    return [{"what": what, "value": round(values[what], 2), "unit": unit, "target": target, "holds": values[what] <= target}
            for what, (target, unit) in TARGETS.items()]


def clean_up(directory, namespace, agent, children):
    for process in children:
        process.kill()
    if agent and agent.poll() is None:
        agent.send_signal(signal.SIGCONT)
        agent.kill()
        agent.wait()
    subprocess.run(["umount", "-l", f"{directory}/bpf"], check=False, stderr=subprocess.DEVNULL)
    subprocess.run(["ip", "netns", "del", namespace], check=False, stderr=subprocess.DEVNULL)
    shutil.rmtree(directory, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--services", type=int, default=5000)
    parser.add_argument("--backends", type=int, default=20)
    parser.add_argument("--output", default=os.path.join(BUILD, "bench", "agent.json"))
    parser.add_argument("--stop", action="store_true")
    parser.add_argument("--anyway", action="store_true")
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("agent.py: must be root")
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    directory, namespace = tempfile.mkdtemp(prefix="bench-agent."), f"bench-agent-{os.getpid()}"
    agent, children = None, []
    try:
        with open(f"{directory}/weir.json", "w", encoding="ascii") as file:
            json.dump(configuration(options.services, options.backends), file)
        agent = start_agent(directory, namespace)
        delays, echoes, before, most = measure(options, directory, agent, children)
    finally:
        clean_up(directory, namespace, agent, children)
    results = judge(delays, echoes, before, most)
    os.makedirs(os.path.dirname(options.output), exist_ok=True)
    with open(options.output.removesuffix(".json") + "-samples.json", "w", encoding="ascii") as file:
        json.dump({"delays_ms": delays, "echoes_ms": echoes, "resident_before_mib": before, "resident_most_mib": most}, file)
    late = percentile([e for e in echoes if e is not None], 0.99)
    for result in results:
        print(f"{result['what']:<46} {result['value']:>9} {result['unit']:<4} target {result['target']:<4} "
              f"{'holds' if result['holds'] else 'DOES NOT HOLD'}")
    print(f"an echo alone: p99 {late:.1f} ms; resident {before:.0f} MiB at rest, {most:.0f} MiB at most")
    if late > ECHO_TOO_LATE_MS and not options.anyway:
        print("the machine is too busy to judge")
        return TOO_BUSY
    with open(options.output, "w", encoding="ascii") as file:
        json.dump(results, file, indent=1)
    return 0 if all(result["holds"] for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
