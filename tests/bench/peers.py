#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Weir next to what people would use instead, in the same lab, with the same client and servers, one after the other.

`direct` (no balancer, the floor), the kernel's nftables DNAT (numgen, and jhash of the client), HAProxy in TCP mode, nginx
stream, Weir. For each: short connections (connect, one small request, answer, close), requests on connections that stay,
and the memory of N connections held open: 100,000 where the limit on open files allows (a proxy needs two for each).

The lab is scripts/lab.sh with two arms and four backends, each running peers_server. nftables and the proxies run in the
balancer's namespace without lbd; Weir answers straight from backend to client (DSR), with IPIP.

CPU is of the whole machine, /proc/stat, client and servers included: what a connection costs beyond `direct` is the
balancer's. A peer that this machine does not have is named in the table, with the reason. Writes build/bench/peers.json.
QUICK=1: shorter runs. Root.
"""
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
from control import Agent, Lab, run  # noqa: E402 pylint: disable=wrong-import-position
from report import BUILD, ROOT, machine  # noqa: E402 pylint: disable=wrong-import-position

QUICK = bool(os.environ.get("QUICK"))
SHORT_S, KEEP_S, HOLD_S = (1, 1, 10) if QUICK else (4, 2, 20)
CONCURRENT = 64
HOLD_WANTED = 100000
BACKENDS = 4
CLOSES, WAITS = 7100, 7101
ENVIRONMENT = {**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin", "LAB_BUILD": BUILD}
COLUMNS = [["name", ""], ["short_per_s", "short conn./s"], ["short_ratio", "/ direct"], ["short_cpu_us", "CPU us/conn."],
           ["short_cpu_beyond_us", "beyond direct"], ["short_p50_us", "p50 us"], ["short_p99_us", "p99 us"],
           ["short_p999_us", "p99.9 us"], ["keep_per_s", "requests/s"], ["keep_p50_us", "p50 us"],
           ["keep_p99_us", "p99 us"], ["keep_p999_us", "p99.9 us"], ["held", "held open"],
           ["bytes_per_connection", "bytes/conn. beyond direct"], ["process_mib", "processes MiB"], ["failed", "failed"],
           ["note", ""]]
NOTES = [
    "HAProxy and nginx terminate connections: TLS, content switching, retries, queues and protection of slow backends are "
    "theirs; Weir and nftables move packets and can do none of it.",
    "nftables and the proxies need no tunnel, no VIP on the backends and no route back past the balancer; the backend sees the "
    "balancer's address, unless told by the PROXY protocol. With Weir it sees the client's.",
    "nftables remembers every connection (conntrack); Weir remembers none while nothing changes.",
]


class PeersLab(Lab):
    def __init__(self):
        super().__init__("wp")

    def lab(self, *arguments):
        result = subprocess.run(["bash", os.path.join(ROOT, "scripts", "lab.sh"), *arguments, "--prefix", self.prefix],
                                env=ENVIRONMENT, capture_output=True, text=True, check=False)
        return result.returncode, result.stderr

    def namespaces(self):
        return []

    def up(self):
        code, text = self.lab("up", "--arm", "two", "--backends", str(BACKENDS), "--ipv4-only")
        if code:
            sys.exit(f"bench-peers: the lab does not come up: {text}")
        self.mount()
        for i in range(3, 10):
            run("ip", "-n", f"{self.prefix}-client", "address", "add", f"198.51.100.{i}/24", "dev", "eth0")
        for host in ("client", "lb", "router", *(f"b{i}" for i in range(1, BACKENDS + 1))):
            self.sysctl(host, "net.ipv4.ip_local_port_range=1024 65000", "net.core.somaxconn=4096",
                        "net.ipv4.tcp_max_syn_backlog=8192")
        self.sysctl("lb", "net.ipv4.ip_forward=1")
        self.sysctl("client", "net.ipv4.tcp_tw_reuse=1")
        for i in range(1, BACKENDS + 1):
            self.spawn(f"b{i}", os.path.join(BUILD, "tests", "bench", "peers_server"), str(CLOSES), str(WAITS))

    def down(self):
        super().down()
        self.lab("down")

    def sysctl(self, host, *settings):
        subprocess.run(self.inside(host, "sysctl", "-qe", "-w", *settings), check=False, stderr=subprocess.DEVNULL,
                       env=ENVIRONMENT)

    def inside(self, host, *command):
        return ["nsenter", f"--net=/run/netns/{self.prefix}-{host}", "--", *command]

    def spawn(self, host, *command):
        child = subprocess.Popen(self.inside(host, *command), env=ENVIRONMENT, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.PIPE, text=True)
        self.children.append(child)
        return child

    def stop(self, child):
        child.terminate()
        child.wait()
        self.children.remove(child)


# --- the peers: each starts, says where to connect, and stops -------------------------------------------------

class Missing(Exception):
    """A peer that is not to be had here."""


class Direct:
    """No balancer: the client spreads over the backends by itself."""
    name = "direct"

    def __init__(self, lab):
        self.lab = lab
        self.processes = []

    def start(self):
        return ",".join(backends())

    def stop(self):
        for process in self.processes:
            self.lab.stop(process)

    def memory_mib(self):
        """What the peer's processes have."""
        total = 0
        for pid in self.pids():
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
                total += next(int(line.split()[1]) for line in file if line.startswith("Pss:"))
        return total / 1024

    def pids(self):
        found = []
        for process in self.processes:
            found.append(process.pid)
            with open(f"/proc/{process.pid}/task/{process.pid}/children", encoding="ascii") as file:
                found += map(int, file.read().split())
        return found

    def listening(self, port):
        end = time.monotonic() + 10
        while not subprocess.run(self.lab.inside("lb", "ss", "-Htln", f"sport = :{port}"), capture_output=True, text=True,
                                 env=ENVIRONMENT, check=False).stdout:
            if self.processes[0].poll() is not None or time.monotonic() > end:
                raise Missing(f"does not start: {self.processes[0].stderr.read().strip().splitlines()[-1:]}")
            time.sleep(0.05)


def backends():
    return [f"10.77.0.{10 + i}" for i in range(1, BACKENDS + 1)]


class Nftables(Direct):
    expression = "numgen inc"

    @property
    def name(self):
        return f"nftables {self.expression.split()[0]}"

    def nft(self, text):
        return subprocess.run(self.lab.inside("lb", "nft", "-f", "-"), input=text, capture_output=True, text=True,
                              env=ENVIRONMENT, check=False)

    def start(self):
        if not shutil.which("nft", path=ENVIRONMENT["PATH"]):
            raise Missing("nft is not installed")
        pool = ", ".join(f"{i} : {a}" for i, a in enumerate(backends()))
        result = self.nft(f"""table ip weirbench {{
            chain pre {{ type nat hook prerouting priority dstnat;
                ip daddr 203.0.113.20 tcp dport {{ {CLOSES}, {WAITS} }} dnat to {self.expression} mod {BACKENDS} map {{ {pool} }}
            }}
            chain post {{ type nat hook postrouting priority srcnat;
                ip daddr 10.77.0.0/24 masquerade
            }}
        }}
        """)
        if result.returncode:
            raise Missing(f"this kernel does not do it: {result.stderr.strip().splitlines()[0]}")
        self.lab.sysctl("lb", "net.netfilter.nf_conntrack_max=1000000")
        return "203.0.113.20"

    def stop(self):
        self.nft("delete table ip weirbench")


class NftablesHash(Nftables):
    expression = "jhash ip saddr . tcp sport"


class Haproxy(Direct):
    name = "HAProxy, TCP"

    def start(self):
        if not shutil.which("haproxy", path=ENVIRONMENT["PATH"]):
            raise Missing("haproxy is not installed")
        listeners = "".join(f"""
listen p{port}
    bind 10.76.0.2:{port}
    balance roundrobin
""" + "".join(f"    server b{i} {a}:{port}\n" for i, a in enumerate(backends())) for port in (CLOSES, WAITS))
        path = self.lab.path("haproxy.cfg")
        with open(path, "w", encoding="ascii") as file:
            file.write(f"""global
    maxconn {(files_limit() - 200) // 2}
defaults
    mode tcp
    timeout connect 5s
    timeout client 60s
    timeout server 60s
{listeners}""")
        self.processes = [self.lab.spawn("lb", "haproxy", "-db", "-f", path)]
        self.listening(WAITS)
        return "10.76.0.2"


class Nginx(Direct):
    name = "nginx, stream"

    def start(self):
        module = "/usr/lib/nginx/modules/ngx_stream_module.so"
        if not os.path.exists(module):
            raise Missing("libnginx-mod-stream is not installed")
        path = self.lab.path("nginx.conf")
        with open(path, "w", encoding="ascii") as file:
            servers = "".join(f"upstream u{port} {{ {''.join(f'server {a}:{port}; ' for a in backends())} }}\n"
                              f"server {{ listen 10.76.0.2:{port} backlog=4096; proxy_pass u{port}; }}\n"
                              for port in (CLOSES, WAITS))
            file.write(f"load_module {module};\ndaemon off;\nworker_processes auto;\npid {self.lab.path('nginx.pid')};\n"
                       f"error_log {self.lab.path('nginx.log')};\n"
                       f"events {{ worker_connections {files_limit() - 100}; }}\nstream {{ {servers} }}\n")
        self.processes = [self.lab.spawn("lb", "nginx", "-c", path, "-p", self.lab.directory, "-e",
                                         self.lab.path("nginx.log"))]
        self.listening(WAITS)
        return "10.76.0.2"


class Weir(Direct):
    name = "Weir, IPIP"

    def start(self):
        def service(port):
            return {"name": f"p{port}", "vip": "203.0.113.10", "protocol": "tcp", "port": port,
                    "backends": [{"name": f"b{i}", "address": a} for i, a in enumerate(backends())]}
        with open(self.lab.path("weir.json"), "w", encoding="ascii") as file:
            json.dump({"version": 1, "hash_seed": "bench", "interfaces": [{"name": "eth0", "attach": "exclusive"}],
                       "tunnel_source": {"ipv4": "172.16.0.0/16"}, "limits": {"flow_entries": 100000},
                       "api": {"socket": self.lab.path("lbd.sock"), "metrics": ""},
                       "services": [service(CLOSES), service(WAITS)]}, file)
        self.agent = Agent(self.lab)
        return "203.0.113.10"

    def stop(self):
        self.agent.kill(signal.SIGTERM)

    def memory_mib(self):
        return self.agent.memory()["beyond_maps_mib"]


# --- measurements ---------------------------------------------------------------------------------------------

def files_limit():
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def raise_files_limit():
    """To what 100,000 connections of a proxy need, if we may."""
    wanted = 2 * HOLD_WANTED + 1000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(wanted, soft), max(wanted, hard)))
    except (OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return min(HOLD_WANTED, (files_limit() - 400) // 2)


def busy_s():
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, _, _, irq, softirq = map(int, file.readline().split()[1:8])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def free_kib():
    with open("/proc/meminfo", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("MemFree"))


def client(lab, mode, address, port, n, seconds, *sources):
    return lab.inside("client", os.path.join(BUILD, "tests", "bench", "peers_client"), mode, address, str(port), str(n),
                      str(seconds), *sources)


def ask(lab, mode, address, port, seconds):
    before = busy_s()
    result = json.loads(subprocess.run(client(lab, mode, address, port, CONCURRENT, seconds), capture_output=True, text=True,
                                       check=True, env=ENVIRONMENT).stdout)
    result["cpu_us"] = (busy_s() - before) * 1e6 / max(1, result["done"])
    return result


def hold(lab, peer, address, n):
    """Opens n connections from several processes; memory of the machine that went, and what the peer's processes have."""
    sources = [f"198.51.100.{i}" for i in range(2, 10)]
    each = min(n, files_limit() - 100)
    before = free_kib()
    children, left = [], n
    while left > 0:
        child = subprocess.Popen(client(lab, "hold", address, WAITS, min(left, each), HOLD_S, *sources), env=ENVIRONMENT,
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        children.append(child)
        lab.children.append(child)
        left -= each
    results = [json.loads(child.stdout.readline()) for child in children]
    held = sum(r["done"] for r in results)
    after = free_kib()
    process_mib = peer.memory_mib()
    for child in children:
        child.stdin.close()
        child.wait()
        lab.children.remove(child)
    return {"held": held, "failed": sum(r["failed"] for r in results), "bytes": (before - after) * 1024 / max(1, held),
            "process_mib": process_mib,
            "error": next((r["last_error"] for r in results if r["last_error"]), "")}


def measure(lab, peer, n):
    row = {"name": peer.name}
    try:
        address = peer.start()
    except Missing as reason:
        return {**row, "note": f"not measured: {reason}"}
    try:
        ask(lab, "short", address, CLOSES, 0.3)  # next hops and caches
        short = ask(lab, "short", address, CLOSES, SHORT_S)
        keep = ask(lab, "keep", address, WAITS, KEEP_S)
        held = hold(lab, peer, address, n)
    finally:
        peer.stop()
    errors = {r.get("last_error") or r.get("error") for r in (short, keep, held)} - {"", None}
    return {**row, "short_per_s": short["done"] / short["seconds"], "short_cpu_us": short["cpu_us"],
            **{f"short_{p}_us": short[f"{p}_us"] for p in ("p50", "p99", "p999")},
            "keep_per_s": keep["done"] / keep["seconds"], "keep_cpu_us": keep["cpu_us"],
            **{f"keep_{p}_us": keep[f"{p}_us"] for p in ("p50", "p99", "p999")}, "held": held["held"],
            "held_bytes": held["bytes"], "process_mib": held["process_mib"],
            "failed": short["failed"] + keep["failed"] + held["failed"], "note": ", ".join(sorted(errors))}


def compare(rows):
    """What each is beyond the floor."""
    direct = rows[0]
    for row in rows:
        if "short_per_s" not in row:
            continue
        row["short_ratio"] = row["short_per_s"] / direct["short_per_s"]
        row["short_cpu_beyond_us"] = row["short_cpu_us"] - direct["short_cpu_us"]
        row["bytes_per_connection"] = row["held_bytes"] - direct["held_bytes"]


def show(rows, notes):
    def cell(value):
        return "" if value is None else value if isinstance(value, str) else f"{value:,.2f}" if abs(value) < 10 and \
            isinstance(value, float) else f"{value:,.0f}"
    # A table for a terminal stands on its side.
    width = max(len(r["name"]) for r in rows) + 2
    print(" " * 28 + "".join(row["name"].rjust(width) for row in rows))
    for key, title in COLUMNS[1:-1]:
        kind = "short " if key.startswith("short") else "keep " if key.startswith("keep") else ""
        print(f"{kind + title if 'us' in title or title == '/ direct' else title:28}"
              + "".join(cell(row.get(key)).rjust(width) for row in rows))
    for row in rows:
        if row.get("note"):
            print(f"{row['name']}: {row['note']}")
    for note in notes:
        print(note)


def main():
    if os.geteuid() != 0:
        sys.exit("bench-peers: must be root")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    where = machine("sudo make bench-peers")
    n = raise_files_limit()
    only = os.environ.get("ONLY", "")
    lab = PeersLab()
    try:
        lab.up()
        peers = [kind(lab) for kind in (Direct, Nftables, NftablesHash, Haproxy, Nginx, Weir)]
        rows = [measure(lab, peer, n) for peer in peers if only in peer.name or peer.name == "direct"]
    finally:
        lab.down()
    compare(rows)
    notes = list(NOTES)
    if n < HOLD_WANTED:
        notes.insert(0, f"{n:,} connections held open, not {HOLD_WANTED:,}: this machine allows {files_limit():,} open files to a "
                     "process, and a proxy needs two for each.")
    os.makedirs(os.path.join(BUILD, "bench"), exist_ok=True)
    with open(os.path.join(BUILD, "bench", "peers.json"), "w", encoding="ascii") as file:
        json.dump({"machine": where, "columns": COLUMNS, "rows": rows, "notes": notes}, file, indent=1)
        file.write("\n")
    show(rows, notes)


if __name__ == "__main__":
    main()
