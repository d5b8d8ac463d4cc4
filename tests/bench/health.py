#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Health with real processes: how soon lb-checkd and lbd have a backend that fails out of the ring, how soon it is back,
what a verdict costs with many services, and what a check costs.

Twenty backends on one host behind the balancer; a server is closed (refuses) or its address is taken away (silence). Times
are from the fault until the commit that packets see. What needs clients is in health_passive.py. Writes
build/bench/health.json: a list of { "what", "value", "unit", "target", "holds", "samples" }; ends with status 75 where the
machine is too busy to judge. ONLY=PART,...: these parts alone (see PARTS), the other rows stay in the file. Root; cleans up
behind itself."""
import json
import os
import random
import re
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
import health_passive  # noqa: E402 pylint: disable=wrong-import-position
from control import BUILD, Agent, Lab, run, spread_of_half, work_ms  # noqa: E402 pylint: disable=wrong-import-position
from report import TOO_BUSY, interruptible  # noqa: E402 pylint: disable=wrong-import-position

BACKENDS = 20
TRIALS_PASSIVE = 6
TARGETS = {  # part: rows of what, unit, target, whether more is better
    "killed": [
        ("process killed, interval 1 s, fall 3, fast 0.25 s: p50", "s", 1.1, False),
        ("process killed, interval 1 s, fall 3, fast 0.25 s: p99", "s", 1.8, False)],
    "silent": [
        ("blackhole, interval 1 s, timeout 1 s, fall 2, fast 0.25 s: p99", "s", 3.5, False)],
    "defaults": [
        ("blackhole, defaults: longest", "s", 6, False),
        ("from the end of a fault to full weight: mean", "s", 12, False),
        ("new flows of a backend that returns: most, in its ramp's shares", "x", 2, False)],
    "passive": [
        ("one of 20 backends drops everything, 120 connections/s, interval 10 s: suspected, longest", "s", 3, False),
        ("one of 20 backends drops everything, 120 connections/s, interval 10 s: out, longest", "s", 6, False)],
    "restarts": [
        ("lb-checkd killed every second for 20 s, 120 connections/s: broken connections", "", 0, False),
        ("lb-checkd killed every second for 20 s: verdicts that were wrong, then or at the end", "", 0, False)],
    "verdicts": [
        ("verdict to slots, one service of 5,000: longest", "ms", 100, False),
        ("verdict to slots, one host in 1,000 services: longest", "ms", 1000, False)],
    "speed": [
        ("TCP checks per CPU second of lb-checkd", "", 20000, True),
        ("TCP checks through the packet path per CPU second of lb-checkd", "", 20000, True)],
}
SERVERS = r"""
import socket, sys, time
listeners = {}
def open_one(n):
    s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind((f"10.99.0.{n}", 80)); s.listen(65535)
    listeners[n] = s
for n in range(1, int(sys.argv[1]) + 1): open_one(n)
print("ready", flush=True)
for line in sys.stdin:
    word, n = line.split()
    listeners.pop(int(n)).close() if word == "close" else open_one(int(n))
    print(time.monotonic(), flush=True)
"""


class Servers:
    """In the namespace of the gateway; they accept nothing: the kernel answers for them."""

    def __init__(self, lab):
        self.gateway = lab.namespaces()[1]
        # What was reset waits to be accepted all the same: room for all checks of a measurement.
        run("nsenter", f"--net=/run/netns/{self.gateway}", "--", "sysctl", "-qw", "net.core.somaxconn=65535")
        for n in range(1, BACKENDS + 1):
            run("ip", "-n", self.gateway, "address", "add", f"10.99.0.{n}/32", "dev", "lo")
        self.process = subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{self.gateway}", "--", sys.executable, "-c", SERVERS, str(BACKENDS)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        lab.children.append(self.process)
        self.process.stdout.readline()

    def say(self, word, n):
        self.process.stdin.write(f"{word} {n}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def address(self, verb, n):
        run("ip", "-n", self.gateway, "address", verb, f"10.99.0.{n}/32", "dev", "lo")
        return time.monotonic()


class TimedAgent(Agent):
    """Notes when each line of the log came."""
    timed = []

    def drain(self):
        self.timed = []
        for line in self.process.stderr:
            self.timed.append((time.monotonic(), line))

    def seen(self, pattern, since, seconds, commit=True):
        """When a line came that matches, and (commit) when the commit after it did."""
        end, at = time.monotonic() + seconds, 0
        found = None
        while time.monotonic() < end:
            lines = self.timed
            while at < len(lines):
                when, line = lines[at]
                at += 1
                if when < since:
                    continue
                if found is None and re.search(pattern, line):
                    found = when
                    if not commit:
                        return found
                if found is not None and "event=health generation=" in line:
                    return found, when
            time.sleep(0.005)
        sys.exit(f"bench-health: nothing like {pattern} within {seconds} s:\n" + "".join(line for _, line in self.timed[-10:]))


def configuration(lab, check, services=1, checked=1, backends=BACKENDS):
    result = {"version": 1, "hash_seed": "bench", "interfaces": [{"name": "eth0", "attach": "exclusive"}],
              "api": {"socket": lab.path("lbd.sock"), "metrics": ""}, "checker": {"socket": lab.path("checkd.sock")},
              "services": [{"name": f"s{s}", "vip": f"203.0.{s >> 8}.{s & 255}", "protocol": "tcp", "port": 443,
                            "backends": [{"name": f"b{n}", "address": f"10.99.0.{n}"} for n in range(1, backends + 1)]}
                           for s in range(services)]}
    for service in result["services"][:checked]:
        service["health"] = {"check": {"kind": "tcp", "port": 80, "target": "address", **check}}
    return result


class Run:
    """lbd and lb-checkd with a configuration."""

    def __init__(self, lab, config):
        lab.wipe()
        with open(lab.path("weir.json"), "w", encoding="utf-8") as file:
            json.dump(config, file)
        self.lab, self.agent = lab, TimedAgent(lab)
        self.checkd = None
        self.start_checkd()
        self.wait(lambda backends: all(b["check"]["last"] == "ok" for b in backends))

    def start_checkd(self):
        self.checkd = subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{self.lab.prefix}-lb", "--", os.path.join(BUILD, "lb-checkd"), "--socket",
             self.lab.path("checkd.sock")], stderr=subprocess.DEVNULL)
        self.lab.children.append(self.checkd)

    def wait(self, good, seconds=30):
        end = time.monotonic() + seconds
        while not good(self.agent.get("/v1/health")["backends"]):
            if time.monotonic() > end:
                sys.exit("bench-health: backends are not as they should be")
            time.sleep(0.05)

    def stop(self):
        self.checkd.kill()
        self.checkd.wait()
        self.agent.kill()


class Ramp:
    """Watches how much of the slots a returning backend has, in shares of the pool that its ramp gives it."""

    def __init__(self, agent, name):
        self.agent, self.name, self.most, self.on = agent, name, 0, True
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()

    def share(self):
        breaker = self.agent.get(f"/v1/health/s0/{self.name}")["backends"][0]["breaker"]
        return breaker["share_permille"] / 1000 if breaker["state"] == "half-open" else None

    def watch(self):
        while self.on:
            before = self.share()
            slots = next((b["share"] for b in self.agent.get("/v1/services/s0")["backends"]
                          if b["name"] == self.name and not b["leaving"]), 0)
            if before and before == self.share():
                self.most = max(self.most, slots * BACKENDS / before)
            time.sleep(0.05)

    def end(self):
        self.on = False
        self.thread.join()
        return self.most


def find(lab, check, fault, mend, trials, returns=0):
    """Seconds from each fault to the commit; of the first few, from its end to full weight, and what Ramp saw."""
    once, out, back, ramps = Run(lab, configuration(lab, check)), [], [], []
    for trial in range(trials):
        n = trial % BACKENDS + 1
        time.sleep(random.random())
        begin = fault(n)
        out.append(once.agent.seen(f"backend=b{n} from=closed to=open", begin, 20)[1] - begin)
        end = mend(n)
        if trial < returns:
            ramp = Ramp(once.agent, f"b{n}")
            back.append(once.agent.seen(f"backend=b{n} from=half-open to=closed", end, 40)[1] - end)
            ramps.append(ramp.end())
    once.stop()
    return out, back, ramps


def verdicts(lab, servers, services, checked):
    """Milliseconds from the verdict to the commit."""
    check = {"interval_ms": 500, "timeout_ms": 400, "fall": 2, "fast_interval_ms": 100}
    once, values = Run(lab, configuration(lab, check, services, checked, 4)), []
    for trial in range(5):
        n = trial % 4 + 1
        begin = servers.say("close", n)
        opened, visible = once.agent.seen(f"service=s0 backend=b{n} from=closed to=open", begin, 30)
        values.append((visible - opened) * 1e3)
        end = servers.say("open", n)
        once.agent.seen(f"service=s0 backend=b{n} from=half-open to=closed", end, 60)
    once.stop()
    return values


def checks_per_second(lab, name, **keys):
    """lb-checkd alone, with more to do than it can: checks made for each second of processor time."""
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "checkd"))
    from agent import Agent as Peer  # pylint: disable=import-outside-toplevel
    directory = lab.path(name)
    os.mkdir(directory)
    peer = Peer(directory)
    program = os.path.join(directory, "checkd")
    with open(program, "w", encoding="ascii") as file:
        file.write(f'#!/bin/sh\nexec nsenter --net=/run/netns/{lab.prefix}-lb -- {BUILD}/lb-checkd "$@"\n')
    os.chmod(program, 0o755)
    peer.start(program)
    ports = os.memfd_create("ports")  # lb_check_ports, without a program that reads it
    os.ftruncate(ports, 2 << 20)
    peer.give_ports(ports)
    ears = threading.Thread(target=lambda: peer.hear(6), daemon=True)
    ears.start()
    for number in range(2000):
        peer.set(number, "tcp", 80, address=f"10.99.0.{number % BACKENDS + 1}", interval_ms=100, fast_ms=100, **keys)
        if number % 50 == 0:
            time.sleep(0.01)
    time.sleep(2)
    before, cpu = peer.state[6], peer.cpu_s()
    time.sleep(3)
    after, used = peer.state[6], peer.cpu_s() - cpu
    ears.join()
    os.close(ports)
    peer.stop()
    wrong = {r.outcome for r in peer.results} - {"ok"}
    if wrong or not peer.results:
        sys.exit(f"bench-health: checks that were to be answered ended as {wrong}")
    return [(after - before) / used]


def percentile(values, percent):
    values = sorted(values)
    return values[min(len(values) - 1, int(percent / 100 * len(values)))]


# Each part: a list of (value, samples), one for each of its rows.

def killed(lab, servers):
    check = {"interval_ms": 1000, "fall": 3, "fast_interval_ms": 250}
    out, _, _ = find(lab, check, lambda n: servers.say("close", n), lambda n: servers.say("open", n), 40)
    return [(percentile(out, 50), out), (percentile(out, 99), out)]


def silent(lab, servers):
    check = {"interval_ms": 1000, "timeout_ms": 1000, "fall": 2, "fast_interval_ms": 250}
    out, _, _ = find(lab, check, lambda n: servers.address("del", n), lambda n: servers.address("add", n), 20)
    return [(percentile(out, 99), out)]


def defaults(lab, servers):
    out, back, ramps = find(lab, {}, lambda n: servers.address("del", n), lambda n: servers.address("add", n), 10, 10)
    return [(max(out), out), (sum(back) / len(back), back), (max(ramps), ramps)]


def passive(_lab, _servers):
    return [(max(samples), samples) for samples in health_passive.suspected(Run, TRIALS_PASSIVE)]


def restarts(_lab, _servers):
    return [(count, [count]) for count in health_passive.killed_every_second(Run, 20)]


def slots(lab, servers):
    return [(max(values), values) for values in (verdicts(lab, servers, 5000, 1), verdicts(lab, servers, 1000, 1000))]


def speed(lab, _servers):
    both = (checks_per_second(lab, "speed"), checks_per_second(lab, "speed-path", mark=0x2000, source="192.0.2.2"))
    return [(values[0], values) for values in both]


PARTS = {"killed": killed, "silent": silent, "defaults": defaults, "passive": passive, "restarts": restarts, "verdicts": slots,
         "speed": speed}


def measure(parts, ret_rows):
    lab = Lab("wh")
    try:
        lab.up()
        servers = Servers(lab)
        for part in parts:
            for (what, unit, target, more), (value, samples) in zip(TARGETS[part], PARTS[part](lab, servers)):
                ret_rows.append({"what": what, "value": round(value, 3), "unit": unit, "target": target,
                                 "holds": value >= target if more else value <= target,
                                 "samples": [round(s, 3) for s in samples]})
    finally:
        lab.down()


def write(rows):
    """In the order of the table; what was not measured now stays as it was."""
    path = os.path.join(BUILD, "bench", "health.json")
    known = {}
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            known = {row["what"]: row for row in json.load(file)}
    known.update({row["what"]: row for row in rows})
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        json.dump([known[row[0]] for part in TARGETS.values() for row in part if row[0] in known], file, indent=1)


def main():
    interruptible()
    parts = [part for part in os.environ.get("ONLY", "").split(",") if part] or list(PARTS)
    if unknown := set(parts) - set(PARTS):
        sys.exit(f"bench-health: ONLY={','.join(unknown)}: parts are {', '.join(PARTS)}")
    rows, busy = [], work_ms()
    measure(parts, rows)
    busy += work_ms()
    write(rows)
    for row in rows:
        print(f"{'holds' if row['holds'] else 'FAILS'}  {row['value']:>10} {row['unit']:2}  (target {row['target']})  {row['what']}")
    if not all(row["holds"] for row in rows) and spread_of_half(busy) > 0.25:
        print("the machine is too busy to judge")
        return TOO_BUSY
    return 0 if all(row["holds"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
