# SPDX-License-Identifier: GPL-2.0-only
"""The parts of bench-health that need clients: suspicion by their handshakes, where checks alone would take half a minute,
and an lb-checkd that is killed every second. Twenty backends, each a host of its own with nginx, that decapsulate and answer
clients straight (scripts/lab.sh); clients begin 120 connections a second, so that the observer takes every flow."""
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time

from control import ROOT, Lab, run

BACKENDS = 20
VIP = "203.0.113.10"
CLIENTS_A_SECOND = 120
CLIENTS = r"""
import asyncio, sys
done = failed = 0
async def one(vip):
    global done, failed
    try:
        reader, writer = await asyncio.wait_for(asyncio.open_connection(vip, 80), 4)
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        answer = await asyncio.wait_for(reader.read(4096), 4)
        writer.close()
        failed += b" 200 " not in answer
    except (OSError, asyncio.TimeoutError):
        failed += 1
    done += 1
async def main(vip, pause):
    loop = asyncio.get_running_loop()
    due = loop.time()
    running = set()
    while True:
        due += pause
        task = asyncio.ensure_future(one(vip))
        running.add(task)
        task.add_done_callback(running.discard)
        await asyncio.sleep(max(0, due - loop.time()))
        print(done, failed, flush=True)
asyncio.run(main(sys.argv[1], 1 / float(sys.argv[2])))
"""


class HostsLab(Lab):
    """scripts/lab.sh behind the interface of the other benches' lab."""

    def namespaces(self):
        return []  # lab.sh removes its own

    def script(self, *words):
        run(os.path.join(ROOT, "scripts", "lab.sh"), words[0], "--prefix", self.prefix, *words[1:])

    def up(self):
        self.script("up", "--backends", str(BACKENDS), "--ipv4-only")
        self.mount()

    def down(self):
        super().down()
        self.script("down")

    def enter(self, host, *command):
        return ["nsenter", f"--net=/run/netns/{self.prefix}-{host}", "--", *command]

    def silence(self, n, verb="add"):
        """Nothing that the backend says to anybody leaves it, but for ARP."""
        for network in ("0.0.0.0/1", "128.0.0.0/1", "10.77.0.2/32"):
            run(*self.enter(f"b{n}", "ip", "route", verb, "blackhole", network))

    def kill_server(self, n):
        with open(f"/run/weir-lab/{self.prefix}/b{n}/nginx.pid", encoding="ascii") as file:
            os.kill(int(file.read()), signal.SIGTERM)


class Clients:
    """How many connections of theirs are over, and how many of these failed."""

    def __init__(self, lab):
        self.done = self.failed = 0
        self.process = subprocess.Popen(lab.enter("client", sys.executable, "-c", CLIENTS, VIP, str(CLIENTS_A_SECOND)),
                                        stdout=subprocess.PIPE, text=True)
        lab.children.append(self.process)
        threading.Thread(target=self.drain, daemon=True).start()

    def drain(self):
        for line in self.process.stdout:
            self.done, self.failed = map(int, line.split())

    def wait_for(self, more):
        """So many connections more are over."""
        end, begin = time.monotonic() + 60, self.done
        while self.done < begin + more:
            if time.monotonic() > end:
                sys.exit("bench-health: clients do not get on")
            time.sleep(0.05)


def configuration(lab, interval_ms):
    return {"version": 1, "hash_seed": "bench", "interfaces": [{"name": "eth0", "attach": "exclusive"}],
            "api": {"socket": lab.path("lbd.sock"), "metrics": ""}, "checker": {"socket": lab.path("checkd.sock")},
            "services": [{"name": "s0", "vip": VIP, "protocol": "tcp", "port": 80, "forward": "ipip",
                          "health": {"check": {"kind": "tcp", "interval_ms": interval_ms}},
                          "backends": [{"name": f"b{n}", "address": f"10.77.0.{10 + n}"} for n in range(1, BACKENDS + 1)]}]}


def suspected(begin_run, trials):
    """Seconds from the fault to the suspicion, and to the commit that takes the backend out."""
    lab = HostsLab("wp")
    suspicions, outs = [], []
    try:
        lab.up()
        once = begin_run(lab, configuration(lab, 10000))
        clients = Clients(lab)
        clients.wait_for(5 * CLIENTS_A_SECOND)
        for trial in range(trials):
            n = 7 * trial % BACKENDS + 1
            time.sleep(random.random())
            begin = time.monotonic()
            lab.silence(n)
            suspicions.append(once.agent.seen(f"backend=b{n} passive=suspect", begin, 20, commit=False) - begin)
            outs.append(once.agent.seen(f"backend=b{n} from=closed to=open", begin, 20)[1] - begin)
            lab.silence(n, "del")
            once.agent.seen(f"backend=b{n} from=half-open to=closed", begin, 60)
            clients.wait_for(2 * CLIENTS_A_SECOND)
        once.stop()
    finally:
        lab.down()
    return suspicions, outs


def killed_every_second(begin_run, seconds):
    """How many of clients' connections broke, and how many verdicts were wrong at the end. One server is dead before and stays
    so; another one is killed when the last lb-checkd has just begun."""
    lab = HostsLab("wk")
    try:
        lab.up()
        once = begin_run(lab, configuration(lab, 1000))
        clients = Clients(lab)
        begin = time.monotonic()
        lab.kill_server(3)
        once.agent.seen("backend=b3 from=closed to=open", begin, 20)
        clients.wait_for(6 * CLIENTS_A_SECOND)  # those that were lost with it have given up
        broken = clients.failed
        for _ in range(seconds):
            once.checkd.kill()
            once.checkd.wait()
            once.start_checkd()
            time.sleep(1)
        broken = clients.failed - broken
        begin = time.monotonic()
        lab.kill_server(5)
        once.agent.seen("backend=b5 from=closed to=open", begin, 20)
        backends = once.agent.get("/v1/health")["backends"]
        wrong = [b["backend"] for b in backends if (b["breaker"]["state"] == "closed") == (b["backend"] in ("b3", "b5"))]
        opened = [line for when, line in once.agent.timed if " to=open" in line and not re.search("backend=b[35] ", line)]
        once.stop()
    finally:
        lab.down()
    return broken, len(wrong) + len(opened)
