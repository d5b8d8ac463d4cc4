#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""The whole path under load, profile by profile: `sudo make bench-load PROFILE=name` (all of them without PROFILE).

    wl-gen                wl-lb                              wl-sink
      gen0 ------------ eth0   eth1 ---------------------- snk0
      generator         lbd's lb_ingress, redirects        sink: all backends, 10.99.0.1 to .100 and fd99::1 on

The generator (load.bpf.c) stays on the first CPU we may use; balancer and sink get threads of their own (threaded NAPI) on the last,
so that more can be offered than is taken: what does not fit a veth's ring of 256 is lost, and counted here. With one CPU
everything takes turns on it, and next to nothing is lost that way.

Every packet has one fate: offered = lost before the balancer + dropped (by reason) + lost behind it + received; what
passes to the host is none of the generator's. Two differences must agree with what others have counted, or the run fails:
what lbd counts as come in is what it says became of it, and what is lost is what the links count as dropped at a full ring.
Times are of probe packets, one in 101, from their making to the sink, ring and thread wake-ups included. Generator and
threads have priority, so that other work disturbs less. A rate that the generator does not reach is named.

SECONDS (5; 2 when all profiles run), RATE packets/s (300000; saturation: as fast as it goes). Writes
build/bench/load.json. Root.
"""
import json
import os
import re
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
from control import Agent, Lab, run  # noqa: E402 pylint: disable=wrong-import-position
from report import BUILD, interruptible, machine, prefer  # noqa: E402 pylint: disable=wrong-import-position

PROFILES = ["steady", "bursts", "syn-flood", "random-flows", "elephant-mice", "fragments", "mixed", "hot-backend",
            "brown-out", "saturation"]
RATE = int(os.environ.get("RATE", "300000"))
HOST_PACKETS = 8
COLUMNS = [["profile", "profile"], ["offered_mpps", "offered Mpps"], ["forwarded_mpps", "received Mpps"], ["offered", "offered"],
           ["dropped", "dropped by reason"], ["passed", "others, passed"], ["lost_before", "lost before"],
           ["lost_behind", "lost behind"], ["p50_us", "p50 us"], ["p90_us", "p90 us"], ["p99_us", "p99 us"],
           ["p999_us", "p99.9 us"], ["max_over_mean", "max/mean backend"], ["note", ""]]


class LoadLab(Lab):
    """Generator, balancer and sink."""

    def __init__(self, prefix="wl"):
        super().__init__(prefix)
        self.names = {n: f"{self.prefix}-{n}" for n in ("gen", "lb", "sink")}

    def namespaces(self):
        return self.names.values()

    def up(self, queues=1):
        """The link to the sink with so many queues."""
        gen, balancer, sink = self.names.values()
        for name in self.names.values():
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        self.link(gen, "gen0", balancer, "eth0", "192.0.2.1/24", "192.0.2.2/24")
        self.link(balancer, "eth1", sink, "snk0", "10.98.0.2/24", "10.98.0.1/24", queues)
        run("ip", "-n", balancer, "address", "add", "fd98::2/64", "dev", "eth1", "nodad")
        run("ip", "-n", sink, "address", "add", "fd98::1/64", "dev", "snk0", "nodad")
        run("ip", "-n", balancer, "route", "add", "10.99.0.0/16", "via", "10.98.0.1")
        run("ip", "-n", balancer, "-6", "route", "add", "fd99::/64", "via", "fd98::1")
        self.mount()

    @staticmethod
    def link(left, left_device, right, right_device, left_address, right_address, queues=1):
        each = ("mtu", "1500", "numtxqueues", str(queues), "numrxqueues", str(queues))
        run("ip", "-n", left, "link", "add", left_device, *each, "type", "veth", "peer", "name", right_device, *each, "netns", right)
        for name, device, address in ((left, left_device, left_address), (right, right_device, right_address)):
            run("ip", "-n", name, "address", "add", address, "dev", device)
            run("ip", "-n", name, "link", "set", device, "up")

    def configuration(self):
        def service(name, vip, protocol, address="10.99.0.{}"):
            return {"name": name, "vip": vip, "protocol": protocol, "port": 80, "forward": "ipip", "fragments": "drop",
                    "idle_timeout_s": 10,
                    "backends": [{"name": f"b{i}", "address": address.format(i)} for i in range(1, 101)]}
        return {"version": 1, "hash_seed": "bench", "interfaces": [{"name": "eth0", "attach": "exclusive"}],
                "tunnel_source": {"ipv4": "172.16.0.0/16", "ipv6": "fd00:77::/64"}, "limits": {"flow_entries": 1000000},
                "api": {"socket": self.path("lbd.sock"), "metrics": ""},
                "services": [service("tcp4", "203.0.113.10", "tcp"), service("udp4", "203.0.113.10", "udp"),
                             service("tcp6", "2001:db8:113::10", "tcp", "fd99::{:x}"),
                             service("udp6", "2001:db8:113::10", "udp", "fd99::{:x}")]}

    def mac(self, name="eth0"):
        return json.loads(run("ip", "-j", "-n", self.names["lb"], "link", "show", name))[0]["address"]


def napi_threads():
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/comm", encoding="ascii") as file:
                name = file.read().strip()
        except OSError:
            continue
        if name.startswith("napi/"):
            found[int(pid)] = name
    return found


def spread_over_cpus(places):
    """Threads of their own for balancer and sink, on the last CPU: (namespace, device) of each. True if that worked."""
    last = max(os.sched_getaffinity(0))
    if len(os.sched_getaffinity(0)) < 2:
        return False
    before = napi_threads()
    for name, device in places:
        subprocess.run(["nsenter", f"--net=/run/netns/{name}", "unshare", "-m", "sh", "-c",
                        f"mount -t sysfs sysfs /sys && echo 1 > /sys/class/net/{device}/threaded"],
                       stderr=subprocess.DEVNULL, check=False)
    devices = "|".join(device for _, device in places)
    new = {pid: name for pid, name in napi_threads().items() if pid not in before and re.match(f"napi/({devices})-", name)}
    for pid, name in new.items():
        os.sched_setaffinity(pid, {last})
        try:  # before everything else, as the soft interrupt would be that they stand for; the sink first of all
            os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(1 if places[0][1] in name else 2))
        except OSError:
            prefer(pid)
    return len(new) == 2


def ring_drops(lab):
    """What did not fit the rings before and behind the balancer, by the links' own account."""
    found = [json.loads(run("ip", "-j", "-s", "-n", lab.names[name], "link", "show", device))[0]["stats64"]["tx"]["dropped"]
             for name, device in (("gen", "gen0"), ("lb", "eth1"))]
    return dict(zip(("lost_before", "lost_behind"), found))


def counters(agent):
    totals = agent.get("/v1/stats")["totals"]
    reasons = {r["reason"]: r["packets"] for r in agent.get("/v1/drops")["reasons"]}
    actions = {r["reason"]: r["action"] for r in agent.get("/v1/drops")["reasons"]}
    return totals, reasons, actions


def brown_out(agent, seconds, begin, row):
    """The operator's side of it: less weight in the second third, down in the last."""
    def change(at, body):
        time.sleep(max(0.0, begin + seconds * at - time.monotonic()))
        for service in ("tcp4", "udp4"):
            agent.answer(agent.request("PATCH", f"/v1/services/{service}/backends/b1?allow_break=1", body))
        return time.monotonic_ns()
    change(1 / 3 + 0.02, b'{"weight":10}')
    row["down_ns"] = change(2 / 3 + 0.02, b'{"state":"down"}')


def measure(lab, agent, profile, seconds):
    rate = 0 if profile == "saturation" else RATE * (5 if profile == "bursts" else 1)
    process = subprocess.Popen(
        [os.path.join(BUILD, "tests", "bench", "load"), lab.names["gen"], "gen0", lab.names["sink"], "snk0", lab.mac(),
         profile, str(seconds), str(rate)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        start_new_session=True)
    prefer(process.pid)
    lab.children.append(process)
    if process.stdout.readline() != "ready\n":
        sys.exit(f"bench-load: the generator ended with status {process.wait()}")
    if not lab.threaded_tried:
        lab.threaded, lab.threaded_tried = spread_over_cpus(
            ((lab.names["lb"], "eth0"), (lab.names["sink"], "snk0"))), True
    totals, reasons, actions = counters(agent)
    rings = ring_drops(lab)
    changed = {}
    begin = time.monotonic()
    process.stdin.write("\n")
    process.stdin.flush()
    if profile == "brown-out":
        brown_out(agent, seconds, begin, changed)
    output = process.stdout.read()
    lab.children.remove(process)
    if process.wait():
        sys.exit(f"bench-load: the generator ended with status {process.returncode}")
    result = json.loads(output)
    totals_after, reasons_after, _ = counters(agent)
    rings = {k: v - rings[k] for k, v in ring_drops(lab).items()}
    if profile == "brown-out":
        for service in ("tcp4", "udp4"):
            agent.answer(agent.request("PATCH", f"/v1/services/{service}/backends/b1", b'{"weight":null,"state":null}'))
    return row_of(profile, result, {k: totals_after[k] - totals[k] for k in ("rx", "tx", "redirect", "pass", "drop")},
                  {k: v - reasons.get(k, 0) for k, v in reasons_after.items() if actions.get(k) == "drop" and v > reasons.get(k, 0)},
                  rings, rate, changed)


def row_of(profile, result, moved, dropped, rings, rate, changed):  # pylint: disable=too-many-arguments
    seconds = result["elapsed_ns"] / 1e9
    forwarded = moved["tx"] + moved["redirect"]
    latency = result["latency_ns"]
    note = []
    if profile == "brown-out":
        note.append(f"{result['refused']} packets met the slow or dead backend")
        late = max(0, result["last_of_first_ns"] - changed["down_ns"]) / 1e6
        note.append(f"the last one {late:.1f} ms after it was taken down")
    if result["strange"]:
        note.append(f"{result['strange']} packets for nobody")
    missing = result["probes_sent"] - result["probes_received"]
    if missing:
        note.append(f"{missing} of {result['probes_sent']} probes lost")
    lost = {"lost_before": result["offered"] - (moved["rx"] - moved["pass"]), "lost_behind": forwarded - result["received"]}
    # The host's own packets, a neighbour's question, may be among what a ring had no room for.
    unaccounted = moved["rx"] - forwarded - moved["pass"] - moved["drop"]
    unexplained = sum(abs(lost[k] - rings[k]) for k in lost)
    share = 0.2 if profile == "bursts" else 1
    if rate and result["offered"] < 0.9 * rate * share * seconds:
        note.append(f"{result['offered'] / seconds / rate / share:.0%} of the rate: the machine is busy")
    busiest = max(result["backends"]) / (sum(result["backends"]) / len(result["backends"]) or 1)
    return {"profile": profile, "seconds": seconds, "offered": result["offered"],
            "offered_mpps": result["offered"] / seconds / 1e6, "forwarded_mpps": result["received"] / seconds / 1e6,
            "forwarded": forwarded, "received": result["received"], "dropped_packets": moved["drop"],
            "dropped": ", ".join(f"{k} {v}" for k, v in dropped.items()) or "0", "drop_reasons": dropped, "passed": moved["pass"],
            **lost, "ring_drops": rings, "unexplained": unexplained if unexplained > HOST_PACKETS else 0,
            "p50_us": latency["p50"] / 1e3, "p90_us": latency["p90"] / 1e3, "p99_us": latency["p99"] / 1e3,
            "p999_us": latency["p99.9"] / 1e3, "max_us": latency["max"] / 1e3, "max_over_mean": busiest,
            "unaccounted": unaccounted, "note": "; ".join(note)}


def show(rows, notes):
    def cell(value):
        return f"{value:,.3g}" if isinstance(value, float) and value < 1000 else f"{value:,.0f}" if not isinstance(value, str) else value
    cells = [[title for _, title in COLUMNS]] + [[cell(row[key]) for key, _ in COLUMNS] for row in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(COLUMNS))]
    for line in cells:
        print("  ".join(text.ljust(w) if i in (0, 4, len(widths) - 1) else text.rjust(w)
                        for i, (text, w) in enumerate(zip(line, widths))).rstrip())
    for note in notes:
        print(note)


def main():
    if os.geteuid() != 0:
        sys.exit("bench-load: must be root")
    interruptible()
    wanted = [os.environ["PROFILE"]] if os.environ.get("PROFILE") else PROFILES
    if wanted[0] not in PROFILES:
        sys.exit(f"bench-load: no profile {wanted[0]}: one of {', '.join(PROFILES)}")
    seconds = float(os.environ.get("SECONDS", "5" if len(wanted) == 1 else "2"))
    where = machine("sudo make bench-load" + (f" PROFILE={wanted[0]}" if len(wanted) == 1 else ""))
    lab = LoadLab()
    try:
        lab.up()
        with open(lab.path("weir.json"), "w", encoding="ascii") as file:
            json.dump(lab.configuration(), file)
        agent = Agent(lab)
        rows = [measure(lab, agent, profile, seconds) for profile in wanted]
        agent.kill(signal.SIGTERM)
    finally:
        lab.down()
    notes = ["balancer and sink on a CPU of their own" if lab.threaded else
             "one CPU for all (no threaded NAPI): they take turns, so little more is offered than is taken"]
    wrong = [row["profile"] for row in rows if row["unaccounted"] or row["unexplained"]]
    if wrong:
        notes.append(f"NOT every packet is accounted for: a bug ({', '.join(wrong)})")
    os.makedirs(os.path.join(BUILD, "bench"), exist_ok=True)
    with open(os.path.join(BUILD, "bench", "load.json"), "w", encoding="ascii") as file:
        json.dump({"machine": where, "seconds": seconds, "rate": RATE, "columns": COLUMNS, "rows": rows, "notes": notes},
                  file, indent=1)
        file.write("\n")
    show(rows, notes)
    if wrong:
        sys.exit(1)


if __name__ == "__main__":
    main()
