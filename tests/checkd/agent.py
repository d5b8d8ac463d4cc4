# SPDX-License-Identifier: GPL-2.0-only
"""The part of lbd that lb-checkd talks to: says targets, hears results (user/lib/health/message.h)."""
import array
import os
import socket
import struct
import subprocess
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CHECKD = os.environ.get("CHECKD", os.path.join(ROOT, "build/san/lb-checkd"))
VERSION = 4
HELLO, SET, REMOVE, RESULTS, ALIVE, PATH, HURRY = 1, 2, 3, 4, 5, 6, 7
VIP, ADDRESS = 1, 2
OUTCOMES = ["none", "ok", "timeout", "refused", "reset", "protocol", "status", "limited"]
KINDS = {"tcp": 2, "udp": 3, "http": 4, "https": 5, "grpc": 6, "agent": 7, "exec": 8}
STATE = struct.Struct("=IIIIIIQIIII")
TARGET = struct.Struct("=II III B16s3x BBBBBB B16s B16s IIIIIII HH 16s 192s192s192s192s192s192s192s192s".replace(" ", ""))
RESULT = struct.Struct("=IIQQII8x")


class Result:
    def __init__(self, record):
        self.id, self.generation, self.begin_ns, self.end_ns, outcome, self.detail = record
        self.outcome = OUTCOMES[outcome]


class Agent:
    def __init__(self, directory):
        self.path = os.path.join(directory, "checkd.sock")
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(self.path)
        self.listener.listen(4)
        self.link, self.results, self.state, self.alive, self.late = None, [], None, 0, []

    def start(self, program=CHECKD):
        self.process = subprocess.Popen([program, "--socket", self.path], stderr=subprocess.PIPE)
        self.accept()

    def accept(self):
        self.listener.settimeout(10)
        self.link, _ = self.listener.accept()
        self.link.settimeout(0.2)
        self.link.send(STATE.pack(HELLO, 1, VERSION, 0, 0, 0, 0, 0, 0, 0, 0))

    def set(self, number, kind, port, generation=1, **keys):
        def text(name, size=192):
            return keys.get(name, "").encode() if isinstance(keys.get(name, ""), str) else keys[name][:size]
        self.link.send(TARGET.pack(
            SET, 1, number, generation, keys.get("mark", 0), 4 if "source" in keys else 0, socket.inet_aton(keys.get("source", "0.0.0.0")),
            KINDS[kind], 1, 2 if keys.get("insecure") else 1, keys.get("http_version", 1), VIP if "mark" in keys else ADDRESS, 1,
            keys.get("family", 4), socket.inet_aton(keys.get("address", "127.0.0.1")), 0, b"", port,
            keys.get("interval_ms", 300), keys.get("fast_ms", 300), keys.get("down_ms", 300), keys.get("timeout_ms", 300), 2, 3,
            *keys.get("status", (200, 299)), (keys.get("method", "GET")).encode(), keys.get("path", "/").encode(),
            text("host"), text("body"), text("ca"), text("service"), text("send"), text("expect"), text("command")))

    def remove(self, number):
        self.link.send(TARGET.pack(REMOVE, 1, number, 0, 0, 0, b"", *([0] * 7), b"", 0, b"", *([0] * 9), *([b""] * 9)))

    def hurry(self, number, generation=1):
        """Others suspect it: asked at once, if it never was."""
        self.link.send(TARGET.pack(HURRY, 1, number, generation, 0, 0, b"", *([0] * 7), b"", 0, b"", *([0] * 9), *([b""] * 9)))

    def give_ports(self, file):
        """What lbd gives for checks through the packet path: here any file of that size will do."""
        self.link.sendmsg([struct.pack("=II", PATH, 0)],
                          [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [file]).tobytes())])

    def hear(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                data = self.link.recv(65536)
            except TimeoutError:
                continue
            if not data:
                return
            kind, n = struct.unpack_from("=II", data)
            if kind == RESULTS:
                assert len(data) == 8 + n * RESULT.size, (len(data), n)
                self.results += [Result(r) for r in RESULT.iter_unpack(data[8:])]
            else:
                self.state = STATE.unpack(data)
                self.alive += 1
                self.late.append(self.state[5])

    def of(self, number):
        return [r for r in self.results if r.id == number]

    def wait_for(self, numbers, seconds, at_least=1):
        end = time.monotonic() + seconds
        while time.monotonic() < end and any(len(self.of(n)) < at_least for n in numbers):
            self.hear(0.1)

    def stop(self):
        self.process.terminate()
        return self.process.communicate(timeout=10)[1].decode()

    def resident_kib(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return int(next(line.split()[1] for line in file if line.startswith("VmRSS:")))

    def cpu_s(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
