#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""How soon the network follows: real lbd, real BIRD on balancer and router (configs/bird/weir.conf), over the lab
(scripts/lab.sh); and a flat LAN with two balancers and real keepalived (configs/keepalived/weir.conf).

Times are from the word to lbd (or the fault) until the router's kernel has the change, as its netlink tells. Writes
build/bench/announce.json: a list of { "what", "value", "unit", "target", "holds", "samples" }; ends with status 75 where
the machine is too busy to judge. QUICK=1: fewer samples. Root; cleans up behind itself."""
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
from control import BUILD, ROOT, spread_of_half, work_ms  # noqa: E402 pylint: disable=wrong-import-position
from report import TOO_BUSY, interruptible  # noqa: E402 pylint: disable=wrong-import-position

QUICK = bool(os.environ.get("QUICK"))
TRIALS = 20 if QUICK else 100
VIPS = 1000
TARGETS = [  # what, unit, target
    ("withdrawn at the router: p99", "ms", 50),
    ("draining at the router: p99", "ms", 20),
    ("1,000 VIPs draining at the router", "ms", 200),
    ("1,000 VIPs serving at the router", "ms", 200),
    ("frozen BIRD noticed at the router: longest", "ms", 400),
    ("planned stop of one of two balancers behind ECMP: connections broken", "", 0),
    ("takeover on a flat LAN, the host crashes: longest", "ms", 1000),
]
LAB = os.path.join(ROOT, "scripts", "lab.sh")
ROUTER = """
router id 10.76.0.1;
protocol device { scan time 10; }
protocol kernel { metric 0; merge paths on; ipv4 { export filter { if source != RTS_BGP then reject;
    if (65535, 0) ~ bgp_community then krt_metric = 77; else krt_metric = 32; accept; }; }; }
protocol direct { ipv4; }
protocol bfd { interface "*" { min rx interval 100 ms; min tx interval 100 ms; multiplier 3; }; }
filter weir { if (65535, 0) ~ bgp_community then bgp_local_pref = 0; accept; }
template bgp balancer { local as 64513; passive on; bfd on; error wait time 1, 5; ipv4 { import filter weir; export none; }; }
protocol bgp lb1 from balancer { neighbor 10.76.0.2 as 64512; }
protocol bgp lb2 from balancer { neighbor 10.78.0.2 as 64512; }
"""


def call(*command, check=True):
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if check and result.returncode:
        sys.exit(f"bench-announce: {' '.join(command)}: {result.stderr.strip() or result.stdout.strip()}")
    return result.stdout


def until(good, seconds, what):
    end = time.monotonic() + seconds
    while not good():
        if time.monotonic() > end:
            sys.exit(f"bench-announce: {what} within {seconds} s: no")
        time.sleep(0.02)


class Lab:
    """A lab of scripts/lab.sh, and what runs in it."""

    def __init__(self, *arguments):
        self.prefix = f"wa{os.getpid()}{'l' if '--arm' in arguments else ''}"
        self.directory = f"/run/weir-lab/{self.prefix}"
        self.children = {}
        call("bash", LAB, "up", "--prefix", self.prefix, *arguments)

    def command(self, host, *command):
        return ["nsenter", f"--net=/run/netns/{self.prefix}-{host}", "--", *command]

    def run(self, host, *command, check=True):
        return call(*self.command(host, *command), check=check)

    def spawn(self, name, host, *command):
        self.children[name] = subprocess.Popen(self.command(host, *command), stdout=subprocess.DEVNULL,
                                               stderr=subprocess.DEVNULL)
        return self.children[name]

    def path(self, name):
        return os.path.join(self.directory, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path(name)

    def ip(self, host, *arguments):
        return call("ip", "-n", f"{self.prefix}-{host}", *arguments)

    def lbd(self, host, config):
        path = self.write(f"{host}.json", json.dumps(config))
        self.spawn(f"lbd-{host}", host, os.path.join(BUILD, "lbd"), "-c", path, "--bpffs", self.path(f"bpf/{host}"),
                   "--state-dir", self.path(f"{host}.state"), "--socket", self.path(f"{host}.sock"))
        until(lambda: self.lbctl(host, "status", check=False), 20, f"lbd of {host} runs")

    def lbctl(self, host, *arguments, check=True):
        return self.run(host, os.path.join(BUILD, "lbctl"), "--socket", self.path(f"{host}.sock"), *arguments, check=check)

    def bird(self, host, text):
        path = self.write(f"{host}.bird", text)
        self.spawn(f"bird-{host}", host, "bird", "-f", "-c", path, "-s", self.path(f"{host}.ctl"), "-P",
                   self.path(f"{host}.birdpid"))

    def second(self, bridge_only=False):
        """A second balancer, xlb2: on a link of its own to the router, and on the bridge."""
        name = f"{self.prefix}-xlb2"
        call("ip", "netns", "add", name)
        self.ip("xlb2", "link", "set", "lo", "up")
        self.run("xlb2", "sysctl", "-qw", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0")
        links = [("sw", "eth0" if bridge_only else "eth1", "10.77.0.3/24")]
        if not bridge_only:
            links.append(("router", "eth0", "10.78.0.2/24"))
        for peer, device, address in links:
            mtu = "1600" if peer == "sw" else "1500"
            self.ip(peer, "link", "add", "xlb2", "mtu", mtu, "type", "veth", "peer", "name", device, "mtu", mtu, "netns", name)
            self.ip(peer, "link", "set", "xlb2", "up")
            self.ip("xlb2", "link", "set", device, "up")
            self.ip("xlb2", "address", "add", address, "dev", device)
            self.run("xlb2", "ethtool", "-K", device, "tx", "off")
            self.run(peer, "ethtool", "-K", "xlb2", "tx", "off")
            self.ip(peer, "link", "set", "dev", "xlb2", "xdpdrv", "object", os.path.join(BUILD, "bpf", "lb_pass.bpf.o"),
                    "section", "xdp.frags")
        self.ip("sw", "link", "set", "xlb2", "master", "br0")
        if not bridge_only:
            self.ip("router", "address", "add", "10.78.0.1/24", "dev", "xlb2")

    def down(self):
        for child in self.children.values():
            if child.poll() is None:
                child.send_signal(signal.SIGCONT)
                child.kill()
            child.wait()
        call("bash", LAB, "down", "--prefix", self.prefix, check=False)


class Routes:
    """What the router's kernel tells of routes, as it tells: by time."""

    def __init__(self, lab):
        self.process = subprocess.Popen(lab.command("router", "stdbuf", "-oL", "ip", "-o", "-4", "monitor", "route"),
                                               stdout=subprocess.PIPE, text=True)
        self.lines = []
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.lines.append((time.monotonic(), line))

    def wait(self, pattern, since, count=1, seconds=20):
        """Seconds from since until count different prefixes have been told of in lines that match."""
        end, at, seen = time.monotonic() + seconds, 0, set()
        while time.monotonic() < end:
            while at < len(self.lines):
                when, line = self.lines[at]
                at += 1
                if when < since or not re.search(pattern, line):
                    continue
                seen.add(re.search(r"203\.0\.\d+\.\d+", line).group(0))
                if len(seen) == count:
                    return when - since
            time.sleep(0.001)
        sys.exit(f"bench-announce: {len(seen)} of {count} routes like {pattern} within {seconds} s")

    def close(self):
        self.process.kill()
        self.process.wait()


GONE, SERVING, DRAINING = r"^Deleted 203\..*metric 32", r"^203\..*metric 32", r"^203\..*metric 77"


def configuration(vips, forward="ipip", **more):
    return {"version": 1, "hash_seed": "bench", "interfaces": [{"name": "eth0", "attach": "exclusive"}],
            "announce": {"hold_down_s": 0, "drain_s": 3600, **more.pop("announce", {})}, "api": {"metrics": ""},
            "services": [{"name": f"s{n}", "vip": vip, "protocol": "tcp", "port": 80, "forward": forward, "ring_size": 1024,
                          "idle_timeout_s": 1, "announce": "route",
                          "on_empty": "withdraw", "backends": [{"name": f"b{b}", "address": f"10.77.0.{10 + b}"} for b in (1, 2)],
                          **more} for n, vip in enumerate(vips)]}


def balancer_bird(host, number):
    with open(os.path.join(ROOT, "configs", "bird", "weir.conf"), encoding="utf-8") as file:
        return host, file.read().replace("10.76.0.", f"10.{number}.0.")


def word(lab, routes, words, pattern, count=1):
    begin = time.monotonic()
    lab.lbctl("lb", *words)
    return routes.wait(pattern, begin, count) * 1e3


def single_vip(lab, routes, rows):
    """One VIP: withdrawn and back, draining and back."""
    withdrawn, draining = [], []
    for _ in range(TRIALS):
        lab.lbctl("lb", "backend", "set", "s0", "b1", "--state", "drain", "--allow-break")
        withdrawn.append(word(lab, routes, ("backend", "set", "s0", "b2", "--state", "drain", "--allow-break"), GONE))
        word(lab, routes, ("backend", "set", "s0", "b1", "--reset"), SERVING)
        lab.lbctl("lb", "backend", "set", "s0", "b2", "--reset")
    for _ in range(TRIALS):
        draining.append(word(lab, routes, ("leave",), DRAINING))
        word(lab, routes, ("join",), SERVING)
    rows += [(percentile(withdrawn, 99), withdrawn), (percentile(draining, 99), draining)]


def many_vips(lab, routes, rows):
    lab.write("many.json", json.dumps(configuration([f"203.0.{113 + n // 250}.{n % 250 + 1}" for n in range(VIPS)])))
    begin = time.monotonic()
    lab.lbctl("lb", "apply", "-f", lab.path("many.json"), "--yes")
    routes.wait(SERVING, begin, VIPS - 1, 60)
    draining, serving = [], []
    for _ in range(5):
        draining.append(word(lab, routes, ("leave",), DRAINING, VIPS))
        serving.append(word(lab, routes, ("join",), SERVING, VIPS))
    rows += [(percentile(draining, 50), draining), (percentile(serving, 50), serving)]


def frozen(lab, routes, rows):
    values = []
    with open(lab.path("lb.birdpid"), encoding="ascii") as file:
        pid = int(file.read())
    for _ in range(3 if QUICK else 10):
        begin = time.monotonic()
        os.kill(pid, signal.SIGSTOP)
        values.append(routes.wait(GONE, begin) * 1e3)
        os.kill(pid, signal.SIGCONT)
        routes.wait(SERVING, time.monotonic(), VIPS, 30)
        time.sleep(0.5)
    rows.append((max(values), values))


def planned_stop(rows):
    """One of two balancers leaves, stops and takes its packet path off, under 200 connections that go on."""
    lab = Lab("--backends", "2")
    try:
        lab.second()
        lab.run("router", "sysctl", "-qw", "net.ipv4.fib_multipath_hash_policy=1")
        lab.ip("router", "route", "del", "203.0.113.0/24")
        lab.bird("router", ROUTER)
        vip = "203.0.113.10"
        for host, number in (("lb", 76), ("xlb2", 78)):
            config = configuration([vip], announce={"drain_s": 2})
            config["interfaces"].append({"name": "eth1", "attach": "exclusive"})
            lab.lbd(host, config)
            lab.bird(*balancer_bird(host, number))
        until(lambda: lab.ip("router", "route", "show", vip).count("nexthop") == 2, 30, "the router has two ways")
        clients = subprocess.Popen(lab.command("client", sys.executable, os.path.join(ROOT, "tests", "hosts", "connections.py"), vip,
                                               "200"), stdout=subprocess.PIPE, text=True)
        lab.children["clients"] = clients
        clients.stdout.readline()
        lab.lbctl("lb", "leave", "--wait", "--seconds", "60")
        lab.children["lbd-lb"].terminate()
        lab.children["lbd-lb"].wait()
        lab.run("lb", os.path.join(BUILD, "lbd"), "-c", lab.path("lb.json"), "--bpffs", lab.path("bpf/lb"), "--state-dir",
                lab.path("lb.state"), "--socket", lab.path("lb.sock"), "--detach", check=False)
        time.sleep(2)
        clients.terminate()
        done, broken = map(int, re.match(r"done (\d+) broken (\d+)", clients.stdout.readline()).groups())
        if done + broken != 200:
            sys.exit(f"bench-announce: {done} and {broken} of 200 connections")
        rows.append((broken, [broken]))
    finally:
        lab.down()


def lan_start(lab, host, priority):
    config = configuration(["203.0.113.10"], "l2", announce={"drain_s": 1})
    config["services"][0]["announce"] = "neighbor"
    lab.lbd(host, config)
    os.makedirs(lab.path(f"{host}.run"), exist_ok=True)
    lab.spawn(f"neighbor-{host}", host, os.path.join(BUILD, "lb-neighbor"), "run", "--bpffs", lab.path(f"bpf/{host}"), "--run-dir",
              lab.path(f"{host}.run"))
    elect(lab, host, priority)


def elect(lab, host, priority):
    with open(os.path.join(ROOT, "configs", "keepalived", "weir.conf"), encoding="utf-8") as file:
        text = file.read().replace("/run/lb-neighbor", lab.path(f"{host}.run")).replace("priority 100", f"priority {priority}")
    for name in ("pid", "vrrp"):
        if os.path.exists(lab.path(f"{host}.{name}")):
            os.unlink(lab.path(f"{host}.{name}"))
    lab.spawn(f"keepalived-{host}", host, "keepalived", "-n", "-l", "-P", "-f", lab.write(f"{host}.keepalived", text), "-p",
              lab.path(f"{host}.pid"), "-r", lab.path(f"{host}.vrrp"))


def leads(lab, host):
    out = lab.run(host, os.path.join(BUILD, "lb-neighbor"), "status", "-j", "--bpffs", lab.path(f"bpf/{host}"), check=False)
    return bool(out) and all(group["leads"] for group in json.loads(out)["groups"])


def takeover(rows):
    """The leader's link goes and all of it is killed; how long no connection is answered that a client opens."""
    lab, values = Lab("--arm", "one", "--backends", "2", "--decap", "none"), []
    probe = os.path.join(ROOT, "tests", "hosts", "lan_probe.py")
    try:
        lab.second(bridge_only=True)
        lab.ip("router", "route", "replace", "203.0.113.0/24", "dev", "back")
        lan_start(lab, "lb", 150)
        lan_start(lab, "xlb2", 100)
        for _ in range(2 if QUICK else 5):
            until(lambda: leads(lab, "lb") and not leads(lab, "xlb2"), 20, "the first balancer leads")
            time.sleep(1)
            process = subprocess.Popen(lab.command("client", sys.executable, probe, "connect", "203.0.113.10", "80"),
                                       stdout=subprocess.PIPE, text=True)
            process.stdout.readline()
            time.sleep(0.5)
            lab.ip("sw", "link", "set", "lb", "down")
            keepalived = lab.children["keepalived-lb"]
            for pid in [keepalived.pid, *map(int, call("pgrep", "-P", str(keepalived.pid), check=False).split())]:
                os.kill(pid, signal.SIGKILL)
            until(lambda: leads(lab, "xlb2"), 5, "the second balancer takes over")
            time.sleep(1)
            process.terminate()
            values.append(float(re.search(r"longest_gap_ms (\d+)", process.communicate()[0]).group(1)))
            lab.ip("sw", "link", "set", "lb", "up")
            keepalived.wait()
            elect(lab, "lb", 150)
        rows.append((max(values), values))
    finally:
        lab.down()


def percentile(values, percent):
    values = sorted(values)
    return values[min(len(values) - 1, int(percent / 100 * len(values)))]


def by_route(rows):
    lab = Lab("--backends", "2")
    try:
        lab.ip("router", "route", "del", "203.0.113.0/24")
        lab.bird("router", ROUTER)
        routes = Routes(lab)
        begin = time.monotonic()
        lab.lbd("lb", configuration(["203.0.113.1"]))
        lab.bird(*balancer_bird("lb", 76))
        routes.wait(SERVING, begin, 1, 30)
        single_vip(lab, routes, rows)
        many_vips(lab, routes, rows)
        frozen(lab, routes, rows)
        routes.close()
    finally:
        lab.down()


def main():
    interruptible()
    rows = []
    busy = work_ms()
    by_route(rows)
    planned_stop(rows)
    takeover(rows)
    busy += work_ms()
    report = [{"what": what, "value": round(value, 3), "unit": unit, "target": target, "holds": value <= target,
               "samples": [round(s, 3) for s in samples]} for (what, unit, target), (value, samples) in zip(TARGETS, rows)]
    os.makedirs(os.path.join(BUILD, "bench"), exist_ok=True)
    with open(os.path.join(BUILD, "bench", "announce.json"), "w", encoding="utf-8") as file:
        json.dump(report, file, indent=1)
    for row in report:
        print(f"{'holds' if row['holds'] else 'FAILS'}  {row['value']:>10} {row['unit']:2}  (target {row['target']})  {row['what']}")
    if not all(row["holds"] for row in report) and spread_of_half(busy) > 0.25:
        print("the machine is too busy to judge")
        return TOO_BUSY
    return 0 if all(row["holds"] for row in report) else 1


if __name__ == "__main__":
    sys.exit(main())
