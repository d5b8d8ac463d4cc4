#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""The control plane at scale: what the real lbd costs with many services, over a real bpffs and veth.

A change is on disk before packets see it: what the disk takes for that is measured beside. Two shapes, 5,000 services x
20 backends and 200 x 1,000. For each: first load, one-backend changes, full reload
(every service changes) over the API and by SIGHUP, restart with adoption; time until packets see it (the word
lb_control.active, read from the pinned map), CPU, memory beyond the maps, processor time at rest, and a test that no
packet sees old and new services mixed: while the configuration is reloaded, packets are run through the loaded
program for the first and the last service, and once one of them was treated as new none may be treated as old.

And how late the loop is meanwhile, with 5,000 services: loop_delay.py.

Between the shapes a fixed piece of work is timed again and again. Where the middle half of these times differ by more than a
quarter the machine is too busy to judge: it says so, and ends with status 75. Writes build/bench/control.json. QUICK=1: 10 s
at rest instead of 20. ONLY=5000x20, 200x1000 or loop_delay: that alone. ANYWAY=1: judged on a busy machine
as well. Root; cleans up behind itself.
"""
import ctypes
import hashlib
import json
import mmap
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
import loop_delay  # noqa: E402 pylint: disable=wrong-import-position
from report import TOO_BUSY, UNSTABLE, interruptible, machine, prefer  # noqa: E402 pylint: disable=wrong-import-position

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("LAB_BUILD", os.path.join(ROOT, "build"))
REST_S = 10 if os.environ.get("QUICK") else 20
SHAPES = [(5000, 20), (200, 1000)]
ONE_CHANGES = 21
TARGETS = {"one_change_visible_ms": 5, "full_reload_visible_ms": 1000, "resident_beyond_maps_mib": 64,
           "cpu_at_rest_percent": 0.2, "cpu_settling_percent": 1.1}
MIB = 1048576

# --- the bpf system call: what bpftool has no words for -------------------------------------------------------

BPF_OBJ_GET, BPF_PROG_TEST_RUN, BPF_PROG_GET_FD_BY_ID = 7, 10, 13
SYS_BPF = {"x86_64": 321, "aarch64": 280}[os.uname().machine]
libc = ctypes.CDLL(None, use_errno=True)


def bpf(command, attributes):
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    fd = libc.syscall(SYS_BPF, command, buffer, len(attributes))
    if fd < 0:
        raise OSError(ctypes.get_errno(), f"bpf({command})")
    return fd, buffer.raw


def map_memory(path, length):
    name = ctypes.create_string_buffer(path.encode())
    fd, _ = bpf(BPF_OBJ_GET, struct.pack("<QII", ctypes.addressof(name), 0, 0))
    memory = mmap.mmap(fd, length, prot=mmap.PROT_READ)
    os.close(fd)
    return memory


class Prober:
    """Runs one packet after the other through a loaded program."""

    def __init__(self, program_id):
        self.fd, _ = bpf(BPF_PROG_GET_FD_BY_ID, struct.pack("<III", program_id, 0, 0))
        self.out = ctypes.create_string_buffer(256)

    def run(self, frame):
        """The network of the outer source that the packet leaves with, or None."""
        data = ctypes.create_string_buffer(frame, len(frame))
        attributes = struct.pack("<IIIIQQIIIIQQIIII", self.fd, 0, len(frame), 256, ctypes.addressof(data),
                                 ctypes.addressof(self.out), 1, 0, 0, 0, 0, 0, 0, 0, 0, 0)
        _, after = bpf(BPF_PROG_TEST_RUN, attributes)
        size = struct.unpack_from("<I", after, 12)[0]
        return self.out.raw[26:28] if size == len(frame) + 20 else None

    def close(self):
        os.close(self.fd)


def packet(vip, port):
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 40, 0, 0x4000, 64, 6, 0, socket.inet_aton("198.51.100.2"),
                     socket.inet_aton(vip))
    tcp = struct.pack(">HHIIBBHHH", port, 443, 0, 0, 0x50, 0x10, 1024, 0, 0)
    return b"\x02\0\0\0\0\x01\x02\0\0\0\0\x02\x08\0" + ip + tcp + b"\0" * 10


# --- configurations -------------------------------------------------------------------------------------------

OLD_SOURCE, NEW_SOURCE = bytes((172, 16)), bytes((172, 18))


def vip_of(service):
    return f"203.{service >> 16}.{service >> 8 & 255}.{service & 255}"


def configuration(services, backends, socket_path, variant):
    """Variant 1 is variant 0 with one backend of every service replaced by another; 2 is 0 with another tunnel source."""
    def pool(service):
        numbers = list(range(backends))
        if variant == 1:
            numbers[service % backends] = backends
        return [{"name": f"backend-{service}-{n}", "address": f"10.{service % 200}.{n >> 8 | service // 200 << 3}.{n & 255}"}
                for n in numbers]
    return {"version": 1, "hash_seed": "bench", "interfaces": [{"name": "eth0", "attach": "exclusive"}],
            "tunnel_source": {"ipv4": f"172.{18 if variant == 2 else 16}.0.0/16"}, "api": {"socket": socket_path, "metrics": ""},
            "services": [{"name": f"service-{s}", "vip": vip_of(s), "protocol": "tcp", "port": 443, "backends": pool(s)}
                         for s in range(services)]}


# --- the lab: the balancer, and a gateway that all backends are behind ----------------------------------------

class Lab:
    """The lab of bench-control; other benches derive theirs."""

    def __init__(self, prefix="wc"):
        self.prefix = f"{prefix}{os.getpid()}"
        self.directory = tempfile.mkdtemp(prefix="weir-bench.", dir="/run")
        self.bpffs = os.path.join(self.directory, "bpf")
        self.agent = None
        self.children = []
        self.threaded = self.threaded_tried = False

    def namespaces(self):
        return [f"{self.prefix}-lb", f"{self.prefix}-gw"]

    def up(self):
        a, b = self.namespaces()
        for name in (a, b):
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "-n", a, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", b)
        for name, address in ((a, "192.0.2.2/24"), (b, "192.0.2.1/24")):
            run("ip", "-n", name, "address", "add", address, "dev", "eth0")
            run("ip", "-n", name, "link", "set", "eth0", "up")
        run("ip", "-n", a, "route", "add", "default", "via", "192.0.2.1")
        self.mount()

    def mount(self):
        os.mkdir(self.bpffs)
        run("mount", "-t", "bpf", "bpf", self.bpffs)

    def wipe(self):
        """A first start again: no pins, no state."""
        shutil.rmtree(os.path.join(self.bpffs, "weir"), ignore_errors=True)
        shutil.rmtree(os.path.join(self.directory, "state"), ignore_errors=True)

    def down(self):
        for number in (signal.SIGINT, signal.SIGTERM):  # what is taken down is taken down whole
            signal.signal(number, signal.SIG_IGN)
        if self.agent:
            self.agent.kill()
        for child in self.children:
            child.kill()
            child.wait()
        subprocess.run(["umount", "-l", self.bpffs], stderr=subprocess.DEVNULL, check=False)
        for name in self.namespaces():
            subprocess.run(["ip", "netns", "del", name], stderr=subprocess.DEVNULL, check=False)
        shutil.rmtree(self.directory, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.directory, name)


def run(*command):
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        sys.exit(f"bench: {' '.join(command)}: {result.stderr.strip()}")
    return result.stdout


class Agent:
    """One running lbd, from the outside: its log, its API, /proc."""

    def __init__(self, lab, wait=True):
        self.lab = lab
        self.log = []
        self.ready_ms = None
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{lab.prefix}-lb", "--", os.path.join(BUILD, "lbd"), "-c", lab.path("weir.json"),
             "--bpffs", os.path.join(lab.bpffs, "weir"), "--state-dir", lab.path("state"), "--socket", lab.path("lbd.sock")],
            stderr=subprocess.PIPE, text=True, start_new_session=True)
        prefer(self.process.pid)  # so that other work on the machine disturbs less
        lab.agent = self
        self.pid = self.process.pid
        if wait:
            self.wait_ready()

    def wait_ready(self):
        for line in self.process.stderr:
            self.log.append(line)
            if "event=ready" in line:
                break
        else:
            sys.exit(f"bench-control: lbd does not start (status {self.process.wait()}):\n" + "".join(self.log[-20:]))
        self.ready_ms = (time.monotonic() - self.started) * 1e3
        threading.Thread(target=self.drain, daemon=True).start()

    def drain(self):
        for line in self.process.stderr:
            self.log.append(line)

    def kill(self, how=signal.SIGKILL):
        if self.process.poll() is None:
            self.process.send_signal(how)
        self.process.wait()
        self.lab.agent = None

    def request(self, method, path, body=b""):
        """Sends a request; the socket to read the answer from."""
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(self.lab.path("lbd.sock"))
        connection.sendall(f"{method} {path} HTTP/1.1\r\nHost: weir\r\nConnection: close\r\n"
                           f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        return connection

    @staticmethod
    def answer(connection):
        data = b""
        while part := connection.recv(1 << 20):
            data += part
        connection.close()
        head, _, body = data.partition(b"\r\n\r\n")
        if b" 200 " not in head.split(b"\r\n")[0]:
            sys.exit(f"bench-control: the API says: {data[:500]}")
        if b"chunked" in head:
            chunks, rest = [], body
            while rest:
                size, _, rest = rest.partition(b"\r\n")
                chunks.append(rest[:int(size, 16)])
                rest = rest[int(size, 16) + 2:]
            body = b"".join(chunks)
        return json.loads(body)

    def get(self, path):
        return self.answer(self.request("GET", path))

    def cpu_ms(self):
        total = 0
        for task in os.listdir(f"/proc/{self.pid}/task"):
            with open(f"/proc/{self.pid}/task/{task}/schedstat", encoding="ascii") as file:
                total += int(file.read().split()[0])
        return total / 1e6

    def memory(self):
        """Resident MiB: of the maps, beyond them, of it private, and the peak beyond them since peak_reset()."""
        maps = beyond = private = 0
        is_map = False
        with open(f"/proc/{self.pid}/smaps", encoding="ascii") as file:
            for line in file:
                word = line.split()
                if not word[0].endswith(":"):
                    is_map = "bpf-map" in line or "bpf_map" in line
                elif word[0] == "Rss:":
                    maps += is_map * int(word[1])
                    beyond += (not is_map) * int(word[1])
                elif word[0] in ("Private_Dirty:", "Private_Clean:"):
                    private += (not is_map) * int(word[1])
        with open(f"/proc/{self.pid}/status", encoding="ascii") as file:
            peak = next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
        return {"maps_mib": maps / 1024, "beyond_maps_mib": beyond / 1024, "private_mib": private / 1024,
                "peak_beyond_maps_mib": (peak - maps) / 1024}

    def peak_reset(self):
        with open(f"/proc/{self.pid}/clear_refs", "w", encoding="ascii") as file:
            file.write("5")


# --- measurements ---------------------------------------------------------------------------------------------

def work_ms(samples=30):
    """What the same work takes, time after time."""
    text, values = bytes(2 << 20), []
    for _ in range(samples):
        begin = time.monotonic()
        hashlib.sha256(text).digest()
        values.append((time.monotonic() - begin) * 1e3)
    return values


def spread_of_half(values):
    values = sorted(values)
    n = len(values)
    return (values[n * 3 // 4] - values[n // 4]) / values[n // 2]


def wait_visible(control, before, seconds=30):
    """Looks until the active word is another; time.monotonic() of then. Between looks it sleeps for a moment: a process
    that spins keeps the kernel's own threads, which the flush of a record waits for, off its processor (4 ms a flush)."""
    end = time.monotonic() + seconds
    while control[0:8] == before:
        if time.monotonic() > end:
            sys.exit("bench-control: a change did not become visible")
        time.sleep(0.00002)
    return time.monotonic()


def change(agent, control, method, path, body):
    """Visible and answered, ms after the request was on its way; CPU ms."""
    before, cpu = control[0:8], agent.cpu_ms()
    begin = time.monotonic()
    connection = agent.request(method, path, body)
    visible = wait_visible(control, before)
    agent.answer(connection)
    end = time.monotonic()
    return (visible - begin) * 1e3, (end - begin) * 1e3, agent.cpu_ms() - cpu


def spread(values):
    values = sorted(values)
    return {"median": values[len(values) // 2], "min": values[0], "max": values[-1]}


def disk_ms(lab):
    """What the disk takes for the record of a change: a small file, flushed, renamed, and its directory flushed."""
    values = []
    for i in range(11):
        time.sleep(0.15)  # as often as changes are made here
        begin = time.monotonic()
        fd = os.open(lab.path("flush.new"), os.O_WRONLY | os.O_CREAT, 0o600)
        os.write(fd, b"x" * 300)
        os.fsync(fd)
        os.close(fd)
        os.rename(lab.path("flush.new"), lab.path(f"flush.{i}"))
        fd = os.open(lab.directory, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)
        values.append((time.monotonic() - begin) * 1e3)
    return spread(values)


def one_change(agent, control, services):
    visible, answered, cpu = [], [], []
    agent.peak_reset()
    for i in range(ONE_CHANGES):
        s = i * services // ONE_CHANGES
        body = b'{"weight":%d}' % (50 if i % 2 else 10)
        v, a, c = change(agent, control, "PATCH", f"/v1/services/service-{s}/backends/backend-{s}-3", body)
        visible.append(v)
        answered.append(a)
        cpu.append(c)
        time.sleep(0.15)  # one change, not a flood of them
    return {"changes": ONE_CHANGES, "visible_ms": spread(visible), "answered_ms": spread(answered), "cpu_ms": spread(cpu),
            "peak_beyond_maps_mib": agent.memory()["peak_beyond_maps_mib"]}


def full_reload(agent, control, lab, texts):
    """Back and forth over the API, then by SIGHUP from the file on disk."""
    agent.peak_reset()
    visible, answered, cpu = zip(*[change(agent, control, "POST", "/v1/apply?allow_break=1", texts[v]) for v in (1, 0, 1)])
    result = {"visible_ms": spread(visible), "answered_ms": spread(answered), "cpu_ms": spread(cpu),
              "peak_beyond_maps_mib": agent.memory()["peak_beyond_maps_mib"]}
    with open(lab.path("weir.json"), "wb") as file:
        file.write(texts[0])
    before, begin = control[0:8], time.monotonic()
    os.kill(agent.pid, signal.SIGHUP)
    result["sighup_visible_ms"] = (wait_visible(control, before) - begin) * 1e3
    agent.get("/v1/version")
    begin = time.monotonic()
    with open(lab.path("new.json"), "wb") as file:
        file.write(texts[1])
    run(os.path.join(BUILD, "lbctl"), "--socket", lab.path("lbd.sock"), "apply", "--yes", "-f", lab.path("new.json"))
    result["lbctl_apply_ms"] = (time.monotonic() - begin) * 1e3
    return result


def mixed(agent, texts, services):
    """Reloads while packets run; the new configuration has another tunnel source for every service. Between the first
    packet that met the new services and the last one that met old ones must be no time at all."""
    prober = Prober(agent.get("/v1/status")["interfaces"][0]["program_id"])
    frames = [packet(vip_of(s), 20000 + p) for p in range(32) for s in (0, services - 1, services // 2)]
    seen = []
    done = threading.Event()

    def apply():
        agent.answer(agent.request("POST", "/v1/apply?allow_break=1", texts[2]))
        done.set()
    thread = threading.Thread(target=apply)
    thread.start()
    after = 0
    while after < 2 * len(frames):
        seen.append((time.monotonic(), prober.run(frames[len(seen) % len(frames)])))
        after += done.is_set()
    thread.join()
    prober.close()
    old = [t for t, source in seen if source == OLD_SOURCE]
    new = [t for t, source in seen if source == NEW_SOURCE]
    if not old or not new:
        return {"packets": len(seen), "note": "no packet saw old, or new, services"}
    return {"packets": len(seen), "old": len(old), "new": len(new), "neither": len(seen) - len(old) - len(new),
            "mixed_ms": max(0.0, (old[-1] - new[0]) * 1e3)}


def restart(agent, lab, control):
    before = agent.get("/v1/status")
    word = control[0:8]
    agent.kill(signal.SIGTERM)
    agent = Agent(lab)
    after = agent.get("/v1/status")
    return agent, {"ready_ms": agent.ready_ms, "cpu_ms": agent.cpu_ms(), **agent.memory(),
                   "same_generation": control[0:8] == word and before["generation"] == after["generation"],
                   "same_program": before["interfaces"][0]["program_id"] == after["interfaces"][0]["program_id"]}


def at_rest(agent, seconds):
    time.sleep(2)
    cpu, begin = agent.cpu_ms(), time.monotonic()
    time.sleep(seconds)
    spent = (agent.cpu_ms() - cpu) / (time.monotonic() - begin) / 10
    return {"seconds": seconds, "cpu_percent": spent, **agent.memory()}


def tables(agent, lab):
    status = agent.get("/v1/status")["tables"]
    maps = {}
    for name in sorted(os.listdir(os.path.join(lab.bpffs, "weir"))):
        path = os.path.join(lab.bpffs, "weir", name)
        shown = subprocess.run(["bpftool", "-j", "map", "show", "pinned", path], capture_output=True, text=True,
                               env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin"}, check=False)
        if shown.returncode == 0:
            maps[name] = json.loads(shown.stdout).get("bytes_memlock", 0) / MIB
    return {"ring_slots_used": status["ring_slots"]["used"], "ring_used_mib": status["ring_slots"]["used"] * 4 / MIB,
            "ring_map_mib": maps.get("lb_rings"), "all_maps_mib": sum(maps.values()), "maps_mib": maps}


def control_map(lab):
    directory = os.path.join(lab.bpffs, "weir")
    name = next(n for n in os.listdir(directory) if n.endswith("lb_control"))
    return map_memory(os.path.join(directory, name), mmap.PAGESIZE)


def shape(lab, services, backends):
    texts = [json.dumps(configuration(services, backends, lab.path("lbd.sock"), v)).encode() for v in (0, 1, 2)]
    lab.wipe()
    with open(lab.path("weir.json"), "wb") as file:
        file.write(texts[0])
    agent = Agent(lab)
    row = {"services": services, "backends_each": backends, "config_mib": len(texts[0]) / MIB,
           "first_load": {"ready_ms": agent.ready_ms, "cpu_ms": agent.cpu_ms(), **agent.memory()}}
    control = control_map(lab)
    resolved = agent.get("/v1/backends")["backends"][0]["nexthop"]["resolved"]
    if not resolved:
        sys.exit("bench-control: the gateway was not resolved")
    row["at_rest"] = at_rest(agent, REST_S)
    row["one_change"] = {**one_change(agent, control, services), "disk_ms": disk_ms(lab)}
    row["full_reload"] = full_reload(agent, control, lab, texts)
    row["mixed"] = mixed(agent, texts, services)
    agent, row["restart"] = restart(agent, lab, control)
    row["settling"] = at_rest(agent, REST_S // 4)
    row["tables"] = tables(agent, lab)
    agent.kill(signal.SIGTERM)
    control.close()
    subprocess.run(["nsenter", f"--net=/run/netns/{lab.prefix}-lb", "--", os.path.join(BUILD, "lbd"), "--detach", "-c",
                    lab.path("weir.json"), "--bpffs", os.path.join(lab.bpffs, "weir"), "--state-dir", lab.path("state")],
                   stderr=subprocess.DEVNULL, check=False)
    return row


# --- the table ------------------------------------------------------------------------------------------------

def lines(row):
    """(what, value, unit, target or None)"""
    yield "configuration file", row["config_mib"], "MiB", None
    yield "first load: ready", row["first_load"]["ready_ms"], "ms", None
    yield "first load: CPU", row["first_load"]["cpu_ms"], "ms", None
    yield "first load: peak beyond the maps", row["first_load"]["peak_beyond_maps_mib"], "MiB", None
    yield "one backend: visible, median", row["one_change"]["visible_ms"]["median"], "ms", TARGETS["one_change_visible_ms"]
    yield "one backend: of it the disk, median", row["one_change"]["disk_ms"]["median"], "ms", None
    yield "one backend: visible, worst", row["one_change"]["visible_ms"]["max"], "ms", None
    yield "one backend: answered, median", row["one_change"]["answered_ms"]["median"], "ms", None
    yield "one backend: CPU, median", row["one_change"]["cpu_ms"]["median"], "ms", None
    if "peak_beyond_maps_mib" in row["one_change"]:
        yield "one backend: peak beyond the maps", row["one_change"]["peak_beyond_maps_mib"], "MiB", None
    yield "full reload: visible, median", row["full_reload"]["visible_ms"]["median"], "ms", TARGETS["full_reload_visible_ms"]
    yield "full reload: visible, worst", row["full_reload"]["visible_ms"]["max"], "ms", None
    yield "full reload: CPU, median", row["full_reload"]["cpu_ms"]["median"], "ms", None
    yield "full reload: peak beyond the maps", row["full_reload"]["peak_beyond_maps_mib"], "MiB", None
    yield "full reload by SIGHUP: visible", row["full_reload"]["sighup_visible_ms"], "ms", None
    yield "full reload by lbctl apply: done", row["full_reload"]["lbctl_apply_ms"], "ms", None
    yield "full reload: old and new mixed", row["mixed"].get("mixed_ms"), "ms", 0
    yield "restart: ready", row["restart"]["ready_ms"], "ms", None
    yield "restart: CPU", row["restart"]["cpu_ms"], "ms", None
    yield "restart: peak beyond the maps", row["restart"]["peak_beyond_maps_mib"], "MiB", None
    yield "restart: program, tables made anew", [row["restart"][k] for k in ("same_program", "same_generation")].count(False), "", 0
    yield "at rest: resident beyond the maps", row["at_rest"]["beyond_maps_mib"], "MiB", TARGETS["resident_beyond_maps_mib"]
    yield "at rest: of it private", row["at_rest"]["private_mib"], "MiB", None
    yield "at rest: CPU", row["at_rest"]["cpu_percent"], "%", TARGETS["cpu_at_rest_percent"]
    yield "after reloads: resident beyond maps", row["settling"]["beyond_maps_mib"], "MiB", TARGETS["resident_beyond_maps_mib"]
    yield "while slots settle: CPU", row["settling"]["cpu_percent"], "%", TARGETS["cpu_settling_percent"]
    yield "rings in use", row["tables"]["ring_used_mib"], "MiB", None
    yield "ring map", row["tables"]["ring_map_mib"], "MiB", None
    yield "all maps", row["tables"]["all_maps_mib"], "MiB", None


def show(rows):
    columns = [list(lines(row)) for row in rows]
    print(f"{'':36}" + "".join(f"{row['services']} x {row['backends_each']}".rjust(18) for row in rows) + "   target")
    for cells in zip(*columns):
        what, _, unit, target = cells[0]
        print(f"{what:36}", end="")
        for _, value, _, _ in cells:
            print("?".rjust(18) if value is None else f"{value:.3g} {unit}".rjust(18) if value < 100 else
                  f"{value:.0f} {unit}".rjust(18), end="")
        print("" if target is None else f"   {'<=' if target else '='} {target} {unit}".rstrip()
              + ("" if all(v is not None and v <= target for _, v, _, _ in cells) else "   MISSED"))


def main():
    if os.geteuid() != 0:
        sys.exit("bench-control: must be root")
    interruptible()
    where = machine("sudo make bench-control", judged=True)
    lab = Lab()
    try:
        lab.up()
        floor, rows, delays = work_ms(), [], {}
        if os.environ.get("ONLY", "loop_delay") == "loop_delay":
            delays = loop_delay.measure(lab, [json.dumps(configuration(*SHAPES[0], lab.path("lbd.sock"), v)).encode() for v in (0, 1)],
                                        Agent)
            floor += work_ms()
        for s in SHAPES:
            if os.environ.get("ONLY", f"{s[0]}x{s[1]}") == f"{s[0]}x{s[1]}":
                rows.append(shape(lab, *s))
                floor += work_ms()
    finally:
        lab.down()
    if spread_of_half(floor) > UNSTABLE and not os.environ.get("ANYWAY"):
        print(f"bench-control: machine too busy to judge: the same work takes times that differ by {spread_of_half(floor):.0%}")
        sys.exit(TOO_BUSY)
    out = os.path.join(BUILD, "bench")
    os.makedirs(out, exist_ok=True)
    with open(os.path.join(out, "control.json"), "w", encoding="ascii") as file:
        json.dump({"machine": where, "targets": TARGETS, "rows": rows, "loop_delay": delays}, file, indent=1)
        file.write("\n")
    if rows:
        show(rows)
    if delays:
        loop_delay.show(delays)


if __name__ == "__main__":
    main()
