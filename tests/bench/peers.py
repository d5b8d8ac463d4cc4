#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Weir next to what people would use instead, in the same lab, with the same client and servers, one after the other.

`direct` (no balancer, the floor), the kernel's nftables DNAT (numgen, and jhash of the client), HAProxy in TCP mode, nginx
stream, Weir (peers_kinds.py). Three things are measured of each:

- what 100,000 connections held open need, in the kernel and in its processes. Where a process may not open so many files,
  clients, servers and proxies are several processes;
- short connections (connect, one small request, answer, close) and requests on connections that stay, in rounds over all
  peers: the median of the rounds counts, percentiles are of single connections and requests;
- packets: a flood of UDP (live frames, load.c) through the balancer's namespace on one CPU, and their times at a rate that
  all can take. A proxy has no part in this.

The lab is scripts/lab.sh with two arms and four backends, each running peers_server. nftables and the proxies run in the
balancer's namespace without lbd; Weir answers straight from backend to client (DSR), with IPIP.

CPU is of the whole machine, /proc/stat, client and servers included: what a connection costs beyond `direct` is the
balancer's. Where the rounds of `direct` differ by more than a quarter, twice, the machine is too busy to judge: it says
so, and ends with status 75. A peer that this machine does not have is named in the table, with the reason. Writes
build/bench/peers.json. QUICK=1: shorter runs, 10,000 connections. ONLY=NAME: direct and the peers with that in their name.
Root.
"""
import json
import os
import resource
import statistics
import subprocess
import sys
import time

sys.dont_write_bytecode = True
from control import run  # noqa: E402 pylint: disable=wrong-import-position
from load import spread_over_cpus  # noqa: E402 pylint: disable=wrong-import-position
from peers_kinds import (BACKENDS, CLOSES, ENVIRONMENT, KINDS, WAITS, Missing, PeersLab,  # noqa: E402 pylint: disable=wrong-import-position
                         files_limit, processes_for)
from report import BUILD, TOO_BUSY, UNSTABLE, interruptible, machine  # noqa: E402 pylint: disable=wrong-import-position

QUICK = bool(os.environ.get("QUICK"))
ROUNDS, SHORT_S, KEEP_S, FLOOD_S = (2, 0.7, 0.5, 0.5) if QUICK else (3, 1.5, 1, 1)
CONCURRENT = 64
HOLD_WANTED = 10000 if QUICK else 100000
HOLD_S = 90
HOLD_KIB = 50  # of memory for one connection, at worst: a proxy's buffers
FLOOD_RATE = 150000
COLUMNS = [["name", ""],
           ["short_per_s", "short connections/s"], ["short_ratio", "short: its / direct's"], ["short_weir", "short: Weir's / its"],
           ["short_cpu_us", "short: CPU us each"], ["short_cpu_beyond_us", "short: of it beyond direct"],
           ["short_p50_us", "short: p50 us"], ["short_p99_us", "short: p99 us"], ["short_p999_us", "short: p99.9 us"],
           ["keep_per_s", "requests/s, connections stay"], ["keep_ratio", "requests: its / direct's"],
           ["keep_weir", "requests: Weir's / its"], ["keep_packets_per_s", "requests: packets/s at the client"],
           ["keep_cpu_packet_us", "requests: CPU us a packet"], ["keep_cpu_beyond_us", "requests: of it beyond direct"],
           ["keep_p50_us", "requests: p50 us"], ["keep_p99_us", "requests: p99 us"], ["keep_p999_us", "requests: p99.9 us"],
           ["flood_per_s", "UDP packets/s on one CPU"], ["flood_ratio", "UDP: its / direct's"], ["flood_weir", "UDP: Weir's / its"],
           ["flood_cpu_us", "UDP: CPU us a packet"], ["flood_p50_us", f"UDP at {FLOOD_RATE:,}/s: p50 us"],
           ["flood_p99_us", f"UDP at {FLOOD_RATE:,}/s: p99 us"], ["flood_p999_us", f"UDP at {FLOOD_RATE:,}/s: p99.9 us"],
           ["held", "connections held open"], ["kernel_bytes", "held: kernel bytes beyond direct"],
           ["process_bytes", "held: process bytes"], ["rest_mib", "before: processes, maps, MiB"],
           ["held_mib", "held: MiB beyond direct"], ["failed", "failed"], ["note", ""]]
NOTES = [
    "HAProxy and nginx terminate connections: TLS, content switching, retries, queues and protection of slow backends are "
    "theirs; Weir and nftables move packets and can do none of it.",
    "nftables and the proxies need no tunnel, no VIP on the backends and no route back past the balancer; the backend sees the "
    "balancer's address, unless told by the PROXY protocol. With Weir it sees the client's.",
    "nftables remembers every connection (conntrack), and can filter and count by it; Weir remembers none while nothing changes.",
    "Answers go through nftables and the proxies, and past Weir (DSR): half of the packets it never sees.",
]
# What Weir is compared in: key, whether more is better, words.
CONTEST = [("short_per_s", True, "short connections/s"), ("short_cpu_us", False, "CPU of a short connection"),
           ("short_p99_us", False, "p99 of short connections"), ("short_p999_us", False, "p99.9 of short connections"),
           ("keep_per_s", True, "requests/s"), ("keep_p99_us", False, "p99 of requests"),
           ("keep_p999_us", False, "p99.9 of requests"), ("flood_per_s", True, "packets/s"),
           ("flood_p99_us", False, "p99 of packets"), ("flood_p999_us", False, "p99.9 of packets"),
           ("rest_mib", False, "memory before there are connections"), ("held_mib", False, "memory with all connections open")]


# --- counters of the machine ----------------------------------------------------------------------------------

def raise_files_limit():
    """As far as we may."""
    wanted = 2 * HOLD_WANTED + 1000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(wanted, soft), max(wanted, hard)))
    except (OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def busy_s():
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, _, _, irq, softirq = map(int, file.readline().split()[1:8])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def meminfo():
    with open("/proc/meminfo", encoding="ascii") as file:
        return {line.split(":")[0]: int(line.split()[1]) * 1024 for line in file}


def kernel_bytes():
    """What the kernel has for itself, and tells of. What is free says less: the kernel keeps pages at hand."""
    m = meminfo()
    return sum(m[key] for key in ("Slab", "PageTables", "KernelStack", "VmallocUsed", "Percpu"))


def packets(lab):
    """That have gone through the client's link, both ways."""
    stats = json.loads(run("ip", "-j", "-s", "-n", f"{lab.prefix}-client", "link", "show", "eth0"))[0]["stats64"]
    return stats["rx"]["packets"] + stats["tx"]["packets"]


# --- connections that are held --------------------------------------------------------------------------------

def client(lab, mode, address, port, n, seconds, *sources):
    return lab.inside("client", os.path.join(BUILD, "tests", "bench", "peers_client"), mode, address, str(port), str(n),
                      str(seconds), *sources)


def bound(peer, n):
    """How many connections we can have open through this peer, and the reason if that is not n."""
    room = peer.room()
    if room and room[0] < n:
        return room[0], f"{room[0]:,} connections, not {n:,}: {room[1]}"
    memory = meminfo()["MemAvailable"] // (HOLD_KIB * 1024)
    if memory < n:
        return memory, f"{memory:,} connections, not {n:,}: this machine has no memory for more"
    return n, ""


def settle(lab, seconds=10):
    """Until what has been closed is gone from the balancer and the client, at most so long."""
    end = time.monotonic() + seconds
    for host in ("client", "lb"):
        while len(subprocess.run(lab.inside(host, "ss", "-Htan", "state", "connected"), capture_output=True, check=False,
                                 env=ENVIRONMENT).stdout.splitlines()) > 64 and time.monotonic() < end:
            time.sleep(0.2)
    before = kernel_bytes()  # freed after a grace period, and by a worker
    while time.monotonic() < end:
        time.sleep(0.3)
        if before - kernel_bytes() < 1 << 20:
            return
        before = kernel_bytes()


def open_all(lab, address, n):
    """n connections from several processes, and what each said."""
    sources = [f"198.51.100.{i}" for i in range(2, 10)]
    clients = max(1, processes_for(n, 1))
    children = []
    for i in range(clients):
        child = subprocess.Popen(client(lab, "hold", address, WAITS, n * (i + 1) // clients - n * i // clients, HOLD_S, *sources),
                                 env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        children.append(child)
        lab.children.append(child)
    return children, [json.loads(child.stdout.readline()) for child in children]


def hold(lab, peer):
    """Memory of the kernel and of the peer's processes before, and with all connections open."""
    n, reason = bound(peer, HOLD_WANTED)
    try:
        address = peer.start(n)
    except Missing as missing:
        return {"note": f"not measured: {missing}"}
    try:
        time.sleep(0.5)  # its start is not what is measured
        kernel, process, maps = kernel_bytes(), peer.memory_mib(), peer.maps_mib()
        children, results = open_all(lab, address, n)
        held = sum(r["done"] for r in results)
        kernel_after, process_after, processes = kernel_bytes(), peer.memory_mib(), len(peer.pids())
        for child in children:
            child.stdin.close()
            child.wait()
            lab.children.remove(child)
    finally:
        peer.stop()
    settle(lab)
    errors = {r["last_error"] for r in results} - {""}
    return {"held": held, "held_failed": sum(r["failed"] for r in results), "kernel_held_bytes": kernel_after - kernel,
            "rest_mib": process + maps, "process_held_bytes": (process_after - process) * 1048576,
            "processes": processes, "hold_note": "; ".join([*([reason] if reason else []), *sorted(errors)])}


# --- connections and requests ---------------------------------------------------------------------------------

def ask(lab, mode, address, port, seconds):
    before, moved = busy_s(), packets(lab)
    result = json.loads(subprocess.run(client(lab, mode, address, port, CONCURRENT, seconds), capture_output=True, text=True,
                                       check=True, env=ENVIRONMENT).stdout)
    cpu, moved = busy_s() - before, packets(lab) - moved
    return {f"{mode}_per_s": result["done"] / result["seconds"], f"{mode}_cpu_us": cpu * 1e6 / max(1, result["done"]),
            f"{mode}_packets_per_s": moved / result["seconds"], f"{mode}_cpu_packet_us": cpu * 1e6 / max(1, moved),
            f"{mode}_failed": result["failed"], f"{mode}_error": result["last_error"],
            **{f"{mode}_{p}_us": result[f"{p}_us"] for p in ("p50", "p99", "p999")}}


def one_round(lab, peer):
    address = peer.start(0)
    try:
        ask(lab, "short", address, CLOSES, 0.3)  # next hops and caches
        ask(lab, "keep", address, WAITS, 0.2)
        return {**ask(lab, "short", address, CLOSES, SHORT_S), **ask(lab, "keep", address, WAITS, KEEP_S)}
    finally:
        peer.stop()
        forget(lab)


def forget(lab):
    """Closes what waits after its end: the same addresses and ports come again, but from another host's clock, behind
    which the backend would take them for late packets."""
    for host in ("lb", *(f"b{i}" for i in range(1, BACKENDS + 1))):
        subprocess.run(lab.inside(host, "ss", "-K", "-Htn", "state", "time-wait"), stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, check=False, env=ENVIRONMENT)


def median_round(rounds):
    """Medians; what has failed is added up."""
    row = {}
    for key in rounds[0]:
        values = [r[key] for r in rounds]
        row[key] = ", ".join(sorted(set(values) - {""})) if key.endswith("_error") else \
            sum(values) if key.endswith("_failed") else statistics.median(values)
    return row


def spread_of(rounds):
    """By how much the rounds of one peer differ, at most, of the median."""
    widest = 0.0
    for key in ("short_per_s", "keep_per_s", "short_cpu_us"):
        values = [r[key] for r in rounds]
        widest = max(widest, (max(values) - min(values)) / statistics.median(values))
    return widest


def all_rounds(lab, peers):
    """The rounds of each; once more where those of the floor differ by too much. If they do again it is too busy here."""
    for _ in range(2):
        rounds = {peer: [] for peer in peers}
        for number in range(ROUNDS):
            for peer in peers if number % 2 == 0 else reversed(peers):
                rounds[peer].append(one_round(lab, peer))
        spread = spread_of(rounds[peers[0]])
        if spread <= UNSTABLE:
            return rounds
        print(f"rounds without any balancer differ by {spread:.0%}", flush=True)
    print("bench-peers: machine too busy to judge")
    sys.exit(TOO_BUSY)


# --- packets --------------------------------------------------------------------------------------------------

def flood(lab, peer, mac):
    """As fast as the generator goes, then at a rate that all can take."""
    def load(rate):
        command = [os.path.join(BUILD, "tests", "bench", "load"), f"{lab.prefix}-router", "front", f"{lab.prefix}-sw", "lb",
                   mac, "udp", str(FLOOD_S), str(rate), *(["plain"] if peer.plain else [])]
        child = subprocess.Popen(command, env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        lab.children.append(child)
        output = child.communicate("\n")[0]
        lab.children.remove(child)
        if child.returncode:
            raise Missing(f"the flood ended with status {child.returncode}")
        return json.loads(output.partition("ready\n")[2])
    peer.start(0)
    try:
        load(FLOOD_RATE)  # next hops
        lab.threaded = spread_over_cpus(((f"{lab.prefix}-lb", "eth0"), (f"{lab.prefix}-sw", "lb"))) or lab.threaded
        most, paced = zip(*[(load(0), load(FLOOD_RATE)) for _ in range(ROUNDS)])
    finally:
        peer.stop()

    def median(runs, value):
        return statistics.median(map(value, runs))
    rate = median(most, lambda run: run["received"] * 1e9 / run["elapsed_ns"])
    return {"flood_per_s": rate, "flood_offered_per_s": median(most, lambda run: run["offered"] * 1e9 / run["elapsed_ns"]),
            "flood_cpu_us": 1e6 / rate if rate else None,  # all of one CPU
            **{f"flood_{p.replace('.', '')}_us": median(paced, lambda run, p=p: run["latency_ns"][p] / 1e3)
               for p in ("p50", "p99", "p99.9")},
            "flood_lost": sum(run["offered"] - run["received"] for run in paced)}


# --- all of it ------------------------------------------------------------------------------------------------

def measure(lab, peers):
    """A row for each peer, and the spread of the floor."""
    rows = {peer: {"name": peer.name} for peer in peers}
    lab.serve(max(1, processes_for(HOLD_WANTED / BACKENDS, 1)))
    # What is closed does not stay: it would be counted with the next.
    for host in lab.hosts():
        lab.sysctl(host, "net.ipv4.tcp_max_tw_buckets=16")
    for peer in peers:
        rows[peer].update(hold(lab, peer))
    for host in lab.hosts():
        lab.sysctl(host, "net.ipv4.tcp_max_tw_buckets=262144")
    there = [peer for peer in peers if "held" in rows[peer]]

    lab.serve(1)
    rounds = all_rounds(lab, there)
    for peer in there:
        rows[peer].update(median_round(rounds[peer]))

    mac = json.loads(run("ip", "-j", "-n", f"{lab.prefix}-lb", "link", "show", "eth0"))[0]["address"]
    subprocess.run(lab.inside("lb", "ethtool", "-K", "eth0", "gro", "on"), env=ENVIRONMENT, check=True)
    for peer in there:
        if peer.forwards:
            try:
                rows[peer].update(flood(lab, peer, mac))
            except Missing as missing:
                rows[peer]["flood_note"] = f"packets not measured: {missing}"
    return list(rows.values()), spread_of(rounds[peers[0]])


def weir_of(rows):
    return next((row for row in rows if row["name"].startswith("Weir")), {})


def compare(rows):
    """What each is beyond the floor, and next to Weir."""
    direct, weir = rows[0], weir_of(rows)
    for row in rows:
        if "held" not in row:
            continue
        for what in ("short", "keep", "flood"):
            rate = row.get(f"{what}_per_s")
            if rate:
                row[f"{what}_ratio"] = rate / direct[f"{what}_per_s"] if direct.get(f"{what}_per_s") else None
                row[f"{what}_weir"] = weir[f"{what}_per_s"] / rate if weir.get(f"{what}_per_s") else None
        row["short_cpu_beyond_us"] = row["short_cpu_us"] - direct["short_cpu_us"]
        row["keep_cpu_beyond_us"] = row["keep_cpu_packet_us"] - direct["keep_cpu_packet_us"]
        row["kernel_bytes"] = row["kernel_held_bytes"] / row["held"] - direct["kernel_held_bytes"] / direct["held"]
        row["process_bytes"] = row["process_held_bytes"] / row["held"]
        row["held_mib"] = row["rest_mib"] + (row["kernel_bytes"] + row["process_bytes"]) * row["held"] / 1048576
        row["failed"] = row["short_failed"] + row["keep_failed"] + row["held_failed"]
        row["note"] = "; ".join(sorted({row["short_error"], row["keep_error"], row["hold_note"],
                                        row.get("flood_note", "")} - {""}))


def better(rows, spread):
    """Where a peer does more than Weir, beyond the noise."""
    weir, margin = weir_of(rows), max(0.05, spread)
    for row in rows[1:]:
        if row is weir or "held" not in row or "held" not in weir:
            continue
        found = []
        for key, more, words in CONTEST:
            ours, its = weir.get(key), row.get(key)
            if ours is not None and its is not None and (its > ours * (1 + margin) if more else its * (1 + margin) < ours):
                found.append(f"{words} ({cell(its)}, Weir {cell(ours)})")
        yield f"{row['name']} does better than Weir in: {', '.join(found) or 'none of what is measured here'}."


def notes_of(rows, lab, spread):
    yield from better(rows, spread)
    yield from NOTES
    yield (f"Rounds of `direct` differ by {spread:.0%}. Memory: the kernel's is slabs, page tables, stacks, vmalloc and "
           "per-CPU memory; a process's is what is its own and its share of what it shares. Weir's maps are of one size whatever is open.")
    if processes_for(HOLD_WANTED, 2) > 1:
        shown = ", ".join(f"{r['name']} {r['processes']}" for r in rows if r.get("processes", 0) > 1)
        yield (f"A process may open {files_limit():,} files here, so connections were held by several: clients "
               f"{processes_for(HOLD_WANTED, 1)}, servers {processes_for(HOLD_WANTED / BACKENDS, 1)} on each backend"
               + (f", {shown}." if shown else "."))
    yield ("The flood: balancer and sink on a CPU of their own." if lab.threaded else
           "The flood: one CPU for generator, balancer and sink alike (no threaded NAPI).")


def cell(value):
    return "" if value is None else value if isinstance(value, str) else f"{value:,.2f}" if abs(value) < 10 and \
        isinstance(value, float) else f"{value:,.0f}"


def show(rows, notes):
    # A table for a terminal stands on its side.
    width = max(len(r["name"]) for r in rows) + 2
    print(" " * 34 + "".join(row["name"].rjust(width) for row in rows))
    for key, title in COLUMNS[1:-1]:
        print(f"{title:34}" + "".join(cell(row.get(key)).rjust(width) for row in rows))
    for row in rows:
        if row.get("note"):
            print(f"{row['name']}: {row['note']}")
    for note in notes:
        print(note)


def main():
    if os.geteuid() != 0:
        sys.exit("bench-peers: must be root")
    interruptible()
    where = machine("sudo make bench-peers", judged=True)
    raise_files_limit()
    only = os.environ.get("ONLY", "")
    lab = PeersLab()
    try:
        lab.up()
        peers = [kind(lab) for kind in KINDS]
        rows, spread = measure(lab, [p for p in peers if only in p.name or p.name == "direct"])
    finally:
        lab.down()
    compare(rows)
    notes = list(notes_of(rows, lab, spread))
    os.makedirs(os.path.join(BUILD, "bench"), exist_ok=True)
    with open(os.path.join(BUILD, "bench", "peers.json"), "w", encoding="ascii") as file:
        json.dump({"machine": where, "spread": spread, "columns": COLUMNS, "rows": rows, "notes": notes}, file, indent=1)
        file.write("\n")
    show(rows, notes)


if __name__ == "__main__":
    main()
