#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""
Judges the loaded packet path by the reference balancer: reference.py --packets N --seed S, or --replay FILE. The last
line is "reference: P packets, D disagreements"; exit status 1 if there was one. A disagreement is saved under
build/reference/ together with the earlier packets that the balancer remembers something of.
"""

import argparse
import collections
import glob
import json
import os
import random
import sys
import time

from balancer import Balancer
from generator import Generator
from runner import BUILD, Clock, Flows, Request, Runner
from scenario import SCENARIOS

BATCH = 2048
PART = 256  # packets in the same second
EPOCH_S = 31  # the clock moves by so much between batches: all fragments are forgotten, their table never fills
SHOWN_MAX = 20
SAVED_MAX = 200


def hexed(frame):
    """For people; the files have all of it."""
    return frame.hex() if len(frame) <= 400 else f"{frame[:400].hex()}... ({len(frame)} bytes)"


def agrees(opinion, answer):
    return (opinion.action == answer.action and opinion.counters == answer.counters
            and (opinion.frame is None or opinion.frame == answer.frame))


class Judge:
    """One scenario: a runner, and a balancer with the same tables."""

    def __init__(self, name):
        self.name = name
        self.runner = Runner(name)
        self.balancer = Balancer(self.runner.tables)
        self.names = self.counter_names()
        self.clock_s = self.balancer.clock_s
        self.history = collections.OrderedDict()  # by addresses: what was remembered, as items
        self.seen = collections.Counter()
        self.packets = self.disagreements = 0

    def counter_names(self):
        names = {number: reason for reason, number in self.runner.tables["reasons"].items()}
        fields = ("tx_packets", "tx_bytes", "redirect_packets", "redirect_bytes", "syn", "known", "base", "refused")
        for service in self.runner.tables["services"]:
            for backend in service["backends"]:
                for i, field in enumerate(fields):
                    names[1000 + 8 * backend["id"] + i] = f"{service['name']}/{backend['name']} {field}"
        return names

    def opinions(self, items):
        result = []
        for item in items:
            if isinstance(item, Clock):
                self.balancer.clock_s = item.now_s
                continue
            before = self.balancer.remembered
            opinion = self.balancer.decide(item.frame, item.ingress, item.linear)
            if self.balancer.remembered != before:
                self.history[item] = self.balancer.clock_s
            result.append(opinion)
            self.seen[opinion.reason or f"{opinion.action} {opinion.note.rpartition(' ')[2]}"] += 1
        while len(self.history) > 200000:
            self.history.popitem(last=False)
        return result

    def judge(self, items):
        """Runs items; a list of (item, opinion, answer, clock) where they disagree."""
        clock = self.balancer.clock_s
        opinions, answers = self.opinions(items), self.runner.run(items)
        bad, i = [], 0
        for item in items:
            if isinstance(item, Clock):
                clock = item.now_s
                continue
            if not agrees(opinions[i], answers[i]):
                bad.append((item, opinions[i], answers[i], clock))
            i += 1
        self.packets += i
        self.disagreements += len(bad)
        return bad

    def flow_tables_agree(self, say=print):
        (answer,) = self.runner.run([Flows()])
        mine = self.balancer.flows.sums()
        if mine == answer.counters:
            return True
        say(f"flows by state (1 once, 2 embryonic, 3 established), FIN, RST, sums of numbers: reference {mine}, program {answer.counters}")
        self.disagreements += 1
        return False

    # --- for people -------------------------------------------------------------------------------------------

    def text_of(self, who, action, reason, frame, counters, note):
        moved = ", ".join(f"{self.names.get(n, n)} +{by}" for n, by in sorted(counters.items()))
        lines = [f"  {who}: {action} {reason}".rstrip() + (f" ({note})" if note else ""), f"    counts {moved}"]
        if frame is not None:
            lines.append(f"    leaves {hexed(frame)}")
        return lines

    def show(self, item, opinion, answer):
        extra = f", port {item.ingress}" + (
            f", {item.linear} bytes linear" if item.linear else "")
        lines = [f"packet of {len(item.frame)} bytes{extra}:", f"    {hexed(item.frame)}"]
        lines += self.text_of("reference", opinion.action, opinion.reason, opinion.frame, opinion.counters, opinion.note)
        frame = None if answer.action == "DROP" else answer.frame
        lines += self.text_of("program", answer.action, "", frame, answer.counters, "")
        if opinion.frame is not None and opinion.frame != answer.frame:
            at = next((i for i, (a, b) in enumerate(zip(opinion.frame, answer.frame)) if a != b),
                      min(len(opinion.frame), len(answer.frame)))
            lines.append(f"  first different byte: {at}")
        return "\n".join(lines)

    def save(self, path, item, opinion, answer, clock):
        """The packet, and before it those that share an address pair with it and were remembered."""
        addresses = self.addresses_in(item.frame)
        earlier = [(i, c) for i, c in self.history.items() if i != item and self.addresses_in(i.frame) & addresses]
        entry = lambda i, c: {"frame": i.frame.hex(), "ingress": i.ingress, "linear": i.linear,
                              "clock_s": c}
        with open(path, "w", encoding="ascii") as out:
            json.dump({"scenario": self.name, "packets": [entry(*e) for e in earlier] + [entry(item, clock)],
                       "opinions": self.show(item, opinion, answer).split("\n")}, out, indent=1)

    @staticmethod
    def addresses_in(frame):
        """Pairs of neighbouring addresses anywhere in the headers; an error quotes them the other way round."""
        pairs = set()
        for size, first in ((4, 26), (16, 22)):
            for at in range(first, min(len(frame) - 2 * size + 1, 150)):
                a, b = frame[at : at + size], frame[at + size : at + 2 * size]
                if a.count(0) < size - 1 and b.count(0) < size - 1:
                    pairs.add(frozenset((a, b)))
        return pairs


def items_of(rng, generator, n, several):
    for _ in range(n):
        frame = generator.next()
        linear = 0
        if rng.random() < 0.05:
            linear = rng.randint(14, max(14, min(len(frame), 120)))
        yield Request(frame, rng.randrange(3) if several and rng.random() < 0.5 else 0, linear)


def campaign(packets, seed, keep=SAVED_MAX, sabotage=None):
    """Every scenario in turn, batch by batch. (packets, disagreements). sabotage: called with every balancer"""
    for old in glob.glob(os.path.join(BUILD, f"disagreement-{seed}-*.json")):
        os.unlink(old)
    seen, total, disagreements, saved = collections.Counter(), 0, 0, 0
    start = time.monotonic()
    for s, name in enumerate(SCENARIOS):
        share = packets * (s + 1) // len(SCENARIOS) - packets * s // len(SCENARIOS)
        rng = random.Random(f"{seed} {name}")
        judge = Judge(name)
        if sabotage:
            sabotage(judge.balancer)
        generator = Generator(rng, judge.runner.tables["config"])
        while judge.packets < share:
            n = min(BATCH, share - judge.packets)
            items = []
            for first in range(0, n, PART):
                judge.clock_s += rng.choice((0, 1, 10, 29, 30)) if first else EPOCH_S
                items.append(Clock(judge.clock_s))
                items += items_of(rng, generator, min(PART, n - first), SCENARIOS[name][0])
            for bad in judge.judge(items):
                saved += 1
                if saved <= keep:
                    path = os.path.join(BUILD, f"disagreement-{seed}-{saved}.json")
                    judge.save(path, *bad)
                    if saved <= SHOWN_MAX and not sabotage:
                        print(f"{os.path.relpath(path)}: {judge.show(*bad[:3])}\n", flush=True)
            if sys.stdout.isatty():
                done = total + judge.packets
                print(f"\r{done} of {packets} packets, {int(time.monotonic() - start)} s ", end="", flush=True)
        judge.flow_tables_agree()
        total += judge.packets
        disagreements += judge.disagreements
        seen.update(judge.seen)
        if judge.runner.close() != 0:
            raise SystemExit("the runner failed")
    if sys.stdout.isatty():
        print("\r", end="")
    print("outcomes: " + ", ".join(f"{name} {count}" for name, count in seen.most_common()))
    print(f"{time.monotonic() - start:.0f} s")
    return total, disagreements


def replay(path, say=print, judges=None):
    """Packets and disagreements of one file. judges: by scenario, to be used again; the caller closes them"""
    with open(path, encoding="ascii") as file:
        saved = json.load(file)
    name = saved["scenario"]
    judge = judges[name] if judges and name in judges else Judge(name)
    disagreements = 0
    for p in saved["packets"]:
        item = Request(bytes.fromhex(p["frame"]), p["ingress"], p["linear"])
        clock = Clock(p["clock_s"])
        judge.opinions([clock])
        opinions, answers = judge.opinions([item]), judge.runner.run([clock, item])
        right = agrees(opinions[0], answers[0])
        disagreements += not right
        say(("agreed: " if right else "DISAGREED: ") + judge.show(item, opinions[0], answers[0]) + "\n")
    disagreements += not judge.flow_tables_agree(say)
    if judges is None:
        judge.runner.close()
    else:
        judges[name] = judge
    return len(saved["packets"]), disagreements


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packets", type=int, default=1000000)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--replay", metavar="FILE")
    arguments = parser.parse_args()
    if arguments.replay:
        packets, disagreements = replay(arguments.replay)
    else:
        packets, disagreements = campaign(arguments.packets, arguments.seed)
    print(f"reference: {packets} packets, {disagreements} disagreements")
    return disagreements > 0


if __name__ == "__main__":
    sys.exit(main())
