#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 200
"""
The reference balancer in the ordinary test run: a slice of a campaign, the packets that once showed a bug, and that
the judge notices a packet path (or a reference) that is wrong and saves what replays. TAP.
"""

import glob
import os
import sys

import reference
from runner import BUILD

PACKETS = 100000
CASES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "cases")

failed = 0
count = 0


def ok(good, name, diagnostics=()):
    global failed, count
    count += 1
    failed += not good
    for line in diagnostics if not good else ():
        print("# " + line.replace("\n", "\n# "))
    print(f"{'ok' if good else 'not ok'} {count} - {name}", flush=True)


def forget_ports(balancer):
    """A balancer that is wrong: one service believes in another port."""
    service = next(s for s in balancer.services if s.name == "web4")
    service.first = service.last = 81


def replay_cases():
    judges = {}
    for path in sorted(glob.glob(os.path.join(CASES, "*.json"))):
        said = []
        _, disagreements = reference.replay(path, said.append, judges)
        ok(disagreements == 0, os.path.basename(path)[:-5].replace("-", " "), said)
    for judge in judges.values():
        judge.runner.close()


def main():
    packets, disagreements = reference.campaign(PACKETS, "check")
    ok(packets == PACKETS and disagreements == 0, f"{packets} packets, {disagreements} disagreements")
    replay_cases()
    packets, disagreements = reference.campaign(6000, "sabotage", sabotage=forget_ports)
    ok(disagreements > 0, f"a wrong balancer is noticed: {disagreements} of {packets} packets")
    saved = sorted(glob.glob(os.path.join(BUILD, "disagreement-sabotage-*.json")))
    said = []
    ok(saved and reference.replay(saved[0], said.append)[1] == 0, "what it was noticed by replays", said)
    for path in saved:
        os.unlink(path)
    print(f"1..{count}")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
