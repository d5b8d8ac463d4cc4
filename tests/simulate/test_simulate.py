#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 120
"""make simulate-health, a short version: every target holds with the defaults; with fall 1 the row of losses does
not, which shows that the row can fail; and the same seeds give the same figures."""
import json
import os
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = os.path.join(os.environ.get("LAB_BUILD", os.path.join(ROOT, "build")), "tests", "simulate_health")
LOSS = "loss per packet and direction"


def simulate(*arguments):
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "out.json")
        run = subprocess.run([PROGRAM, "--json", path, *arguments], stdout=subprocess.DEVNULL, check=False)
        with open(path, encoding="utf-8") as file:
            return run.returncode, json.load(file)


def main():
    results = []
    short = ("--backends", "200", "--hours", "2")
    status, rows = simulate(*short)
    for row in rows:
        results.append((row["holds"], f"{row['what']}: {row['value']} {row['unit']}, at most {row['target']}"))
    results.append((status == 0 and len(rows) > 10, "it says that all hold"))
    results.append((simulate(*short)[1] == rows, "the same again"))
    status, rows = simulate("--backends", "200", "--hours", "1", "--check", '"fall": 1')
    lost = [row for row in rows if LOSS in row["what"]]
    results.append((status == 1 and len(lost) == 1 and not lost[0]["holds"],
                    f"with fall 1 losses eject: {lost[0]['value'] if lost else 'no such row'}"))
    print(f"1..{len(results)}")
    for i, (good, what) in enumerate(results, 1):
        print(f"{'ok' if good else 'not ok'} {i} - {what}")
    return 0 if all(good for good, _ in results) else 1


if __name__ == "__main__":
    sys.exit(main())
