# SPDX-License-Identifier: GPL-2.0-only
"""What bench-peers compares, and the lab that it does it in: each kind starts, says where to connect, tells what memory
its processes and tables have, and stops. One that this machine does not have raises Missing, with the reason."""
import json
import math
import os
import resource
import shutil
import signal
import subprocess
import sys
import time

from control import Agent, Lab, run, tables
from report import BUILD, ROOT

BACKENDS = 4
CLOSES, WAITS = 7100, 7101
FLOOD_VIP = "203.0.113.10"  # load.h's
ENVIRONMENT = {**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin", "LAB_BUILD": BUILD}
# Deletes all entries of conntrack: the message has a header and no attribute.
FLUSH = ("import socket, struct; s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12); s.bind((0, 0)); "
         "s.send(struct.pack('=IHHIIBBH', 20, 0x102, 5, 1, 0, 2, 0, 0)); s.recv(4096)")


def files_limit():
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def processes_for(connections, files_each):
    """How many processes it takes to have so many open. They share by hash, so not evenly."""
    n = math.ceil(connections * files_each / (files_limit() - 200))
    return n if n <= 1 else math.ceil(n * 1.1)


class PeersLab(Lab):
    """scripts/lab.sh with two arms, four backends and peers_server on them."""

    def __init__(self):
        super().__init__("wp")
        self.servers = []

    def lab(self, *arguments):
        result = subprocess.run(["bash", os.path.join(ROOT, "scripts", "lab.sh"), *arguments, "--prefix", self.prefix],
                                env=ENVIRONMENT, capture_output=True, text=True, check=False)
        return result.returncode, result.stderr

    def namespaces(self):
        return []

    def hosts(self):
        return ["client", "lb", "router", *(f"b{i}" for i in range(1, BACKENDS + 1))]

    def up(self):
        code, text = self.lab("up", "--arm", "two", "--backends", str(BACKENDS), "--ipv4-only")
        if code:
            sys.exit(f"bench-peers: the lab does not come up: {text}")
        self.mount()
        for i in range(3, 10):
            run("ip", "-n", f"{self.prefix}-client", "address", "add", f"198.51.100.{i}/24", "dev", "eth0")
        for host in self.hosts():
            self.sysctl(host, "net.ipv4.ip_local_port_range=1024 65000", "net.core.somaxconn=4096",
                        "net.ipv4.tcp_max_syn_backlog=8192")
        self.sysctl("lb", "net.ipv4.ip_forward=1")
        self.sysctl("client", "net.ipv4.tcp_tw_reuse=1")

    def serve(self, each):
        """So many peers_server on every backend, instead of those that were."""
        while self.servers:
            self.stop(self.servers.pop())
        for i in range(1, BACKENDS + 1):
            self.servers += [self.spawn(f"b{i}", os.path.join(BUILD, "tests", "bench", "peers_server"), str(CLOSES),
                                        str(WAITS)) for _ in range(each)]

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


class Missing(Exception):
    """A peer that is not to be had here."""


def backends():
    return [f"10.77.0.{10 + i}" for i in range(1, BACKENDS + 1)]


class Direct:
    """No balancer: the client spreads over the backends by itself. Packets for FLOOD_VIP are routed to one of them."""
    name = "direct"
    forwards = True  # packets, not connections: there is something to flood
    plain = True     # without tunnels

    def __init__(self, lab):
        self.lab = lab
        self.processes = []

    def start(self, connections):
        """Where to connect. To hold so many connections it may take several processes."""
        del connections
        subprocess.run(["ip", "-n", f"{self.lab.prefix}-lb", "route", "add", FLOOD_VIP, "via", backends()[0]],
                       env=ENVIRONMENT, check=True)
        return ",".join(backends())

    def stop(self):
        subprocess.run(["ip", "-n", f"{self.lab.prefix}-lb", "route", "del", FLOOD_VIP], env=ENVIRONMENT, check=True)

    def stop_processes(self):
        while self.processes:
            self.lab.stop(self.processes.pop())

    def room(self):
        """How many connections it can have at once, and what says so; None: no bound but memory."""
        return None

    def memory_mib(self):
        """What the peer's processes have, what they share counted once."""
        total = 0
        for pid in self.pids():
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
                total += next(int(line.split()[1]) for line in file if line.startswith("Pss:"))
        return total / 1024

    def maps_mib(self):
        """Tables of the kernel that are there from the start, of one size."""
        return 0.0

    def pids(self):
        found = []
        for process in self.processes:
            found.append(process.pid)
            with open(f"/proc/{process.pid}/task/{process.pid}/children", encoding="ascii") as file:
                found += map(int, file.read().split())
        return found

    def listening(self, port, n):
        """Waits until n sockets listen on the port."""
        end = time.monotonic() + 10
        while len(subprocess.run(self.lab.inside("lb", "ss", "-Htln", f"sport = :{port}"), capture_output=True, text=True,
                                 env=ENVIRONMENT, check=False).stdout.splitlines()) < n:
            ended = next((p for p in self.processes if p.poll() is not None), None)
            if ended or time.monotonic() > end:
                said = ended.stderr.read().strip().splitlines()[-1:] if ended else "it does not listen"
                self.stop_processes()
                raise Missing(f"does not start: {said}")
            time.sleep(0.05)


class Nftables(Direct):
    expression = "numgen inc"

    @property
    def name(self):
        return f"nftables {self.expression.split()[0]}"

    def nft(self, text):
        return subprocess.run(self.lab.inside("lb", "nft", "-f", "-"), input=text, capture_output=True, text=True,
                              env=ENVIRONMENT, check=False)

    def start(self, connections):
        if not shutil.which("nft", path=ENVIRONMENT["PATH"]):
            raise Missing("nft is not installed")
        pool = ", ".join(f"{i} : {a}" for i, a in enumerate(backends()))
        rules = "".join(f"ip daddr {vip} {protocol} dport {{ {ports} }} dnat to {self.expression.format(protocol)} "
                        f"mod {BACKENDS} map {{ {pool} }}\n"
                        for vip, protocol, ports in (("203.0.113.20", "tcp", f"{CLOSES}, {WAITS}"), (FLOOD_VIP, "udp", "80")))
        result = self.nft(f"""table ip weirbench {{
            chain pre {{ type nat hook prerouting priority dstnat;
                {rules}
            }}
            chain post {{ type nat hook postrouting priority srcnat;
                ip daddr 10.77.0.0/24 masquerade
            }}
        }}
        """)
        if result.returncode:
            raise Missing(f"this kernel does not do it: {result.stderr.strip().splitlines()[0]}")
        return "203.0.113.20"

    def stop(self):
        self.nft("delete table ip weirbench")
        subprocess.run(self.lab.inside("lb", sys.executable, "-c", FLUSH), check=False)

    def room(self):
        """The bound is this machine's; only its first namespace may change it."""
        try:
            with open("/proc/sys/net/netfilter/nf_conntrack_max", encoding="ascii") as file:
                return int(file.read()), "net.netfilter.nf_conntrack_max"
        except FileNotFoundError:
            return None


class NftablesHash(Nftables):
    expression = "jhash ip saddr . {} sport"


class Haproxy(Direct):
    name = "HAProxy, TCP"
    forwards = False

    def start(self, connections):
        if not shutil.which("haproxy", path=ENVIRONMENT["PATH"]):
            raise Missing("haproxy is not installed")
        n = max(1, processes_for(connections, 2))
        listeners = "".join(f"""
listen p{port}
    bind 10.76.0.2:{port}
    balance roundrobin
""" + "".join(f"    server b{i} {a}:{port}\n" for i, a in enumerate(backends())) for port in (CLOSES, WAITS))
        path = self.lab.path("haproxy.cfg")
        with open(path, "w", encoding="ascii") as file:
            file.write(f"""global
    maxconn {min(max(connections, 5000) + 100, (files_limit() - 200) // 2)}
    {'nbthread 1' if n > 1 else ''}
defaults
    mode tcp
    timeout connect 5s
    timeout client 300s
    timeout server 300s
{listeners}""")
        for i in range(n):
            self.processes.append(self.lab.spawn("lb", "haproxy", "-db", "-f", path))
            self.listening(WAITS, i + 1)
        return "10.76.0.2"

    def stop(self):
        self.stop_processes()


class Nginx(Direct):
    name = "nginx, stream"
    forwards = False

    def start(self, connections):
        module = "/usr/lib/nginx/modules/ngx_stream_module.so"
        if not os.path.exists(module) or not shutil.which("nginx", path=ENVIRONMENT["PATH"]):
            raise Missing("libnginx-mod-stream is not installed")
        n = processes_for(connections, 2)
        n = max(n, len(os.sched_getaffinity(0)))
        each = min(2 * max(connections, 5000) + 200, files_limit() - 100)
        path = self.lab.path("nginx.conf")
        with open(path, "w", encoding="ascii") as file:
            servers = "".join(f"upstream u{port} {{ {''.join(f'server {a}:{port}; ' for a in backends())} }}\n"
                              f"server {{ listen 10.76.0.2:{port} backlog=4096 reuseport; proxy_pass u{port}; }}\n"
                              for port in (CLOSES, WAITS))
            file.write(f"load_module {module};\ndaemon off;\nworker_processes {n};\npid {self.lab.path('nginx.pid')};\n"
                       f"error_log {self.lab.path('nginx.log')};\n"
                       f"events {{ worker_connections {each}; }}\nstream {{ {servers} }}\n")
        self.processes = [self.lab.spawn("lb", "nginx", "-c", path, "-p", self.lab.directory, "-e",
                                         self.lab.path("nginx.log"))]
        self.listening(WAITS, n)
        return "10.76.0.2"

    def stop(self):
        self.stop_processes()


class Weir(Direct):
    name = "Weir, IPIP"
    plain = False

    def start(self, connections):
        def service(protocol, port):
            return {"name": f"{protocol}{port}", "vip": "203.0.113.10", "protocol": protocol, "port": port,
                    "backends": [{"name": f"b{i}", "address": a} for i, a in enumerate(backends())]}
        with open(self.lab.path("weir.json"), "w", encoding="ascii") as file:
            json.dump({"version": 1, "hash_seed": "bench", "interfaces": [{"name": "eth0", "attach": "exclusive"}],
                       "tunnel_source": {"ipv4": "172.16.0.0/16"}, "limits": {"flow_entries": 100000},
                       "api": {"socket": self.lab.path("lbd.sock"), "metrics": ""},
                       "services": [service("tcp", CLOSES), service("tcp", WAITS), service("udp", 80)]}, file)
        self.agent = Agent(self.lab)
        return "203.0.113.10"

    def stop(self):
        self.agent.kill(signal.SIGTERM)
        detached = subprocess.run(self.lab.inside("lb", os.path.join(BUILD, "lbd"), "--detach", "-c",
                                                  self.lab.path("weir.json"), "--bpffs",
                                                  os.path.join(self.lab.bpffs, "weir"), "--state-dir",
                                                  self.lab.path("state")), capture_output=True, text=True, check=False)
        if detached.returncode:
            sys.exit(f"bench-peers: lbd --detach: {detached.stderr}")
        self.lab.wipe()

    def memory_mib(self):
        return self.agent.memory()["beyond_maps_mib"]

    def maps_mib(self):
        return tables(self.agent, self.lab)["all_maps_mib"]


KINDS = (Direct, Nftables, NftablesHash, Haproxy, Nginx, Weir)
