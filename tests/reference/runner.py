# SPDX-License-Identifier: GPL-2.0-only
"""The loaded packet path behind build/tests/reference_run (runner.c describes the protocol)."""

import json
import os
import struct
import subprocess
from collections import namedtuple

import scenario

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.path.join(ROOT, "build", "reference")
PROGRAM = os.path.join(ROOT, "build", "tests", "reference_run")
ACTIONS = {0: "ABORTED", 1: "DROP", 2: "PASS", 3: "TX", 4: "REDIRECT"}

Request = namedtuple("Request", "frame ingress linear")  # linear 0: as the kernel likes
Clock = namedtuple("Clock", "now_s")
Flows = namedtuple("Flows", "")
Answer = namedtuple("Answer", "action frame counters")


class Runner:
    def __init__(self, name):
        arguments = scenario.write(name, BUILD)
        self.process = subprocess.Popen([PROGRAM, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{PROGRAM} did not start (root is needed)")
        self.tables = json.loads(line)

    def run(self, items):
        """Answers to the requests and questions for the flow table among items, in order."""
        parts = []
        for item in items:
            if isinstance(item, Clock):
                parts.append(struct.pack("<IBBHI", 0, 1, 0, 0, item.now_s))
            elif isinstance(item, Flows):
                parts.append(struct.pack("<IBBHI", 0, 2, 0, 0, 0))
            else:
                parts.append(struct.pack("<IBBHI", len(item.frame), 0, 0, item.linear, item.ingress))
                parts.append(item.frame)
        batch = b"".join(parts)
        self.process.stdin.write(struct.pack("<I", len(batch)) + batch)
        self.process.stdin.flush()
        size = self.process.stdout.read(4)
        if len(size) < 4:
            raise RuntimeError(f"{PROGRAM} gave up")
        return list(self.answers(self.process.stdout.read(struct.unpack("<I", size)[0])))

    @staticmethod
    def answers(data):
        at = 0
        while at < len(data):
            verdict, length, moved = struct.unpack_from("<iII", data, at)
            at += 12
            counters = {}
            for _ in range(moved):
                number, increment = struct.unpack_from("<II", data, at)
                counters[number] = increment
                at += 8
            yield Answer(ACTIONS.get(verdict, f"error {verdict}"), data[at : at + length], counters)
            at += length

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        return self.process.wait()
