#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""make bench-many: what a packet costs with many services, by what they have in common and by what each part of a look-up
costs; as a table into a page, between its marks. QUICK=1 as with make bench.

Ratios are to the constant encapsulation in the same rounds. Each row is a run of the bench with tables of its own.
"""
import json
import os
import re
import subprocess
import sys

BENCH = "build/tests/bench_packet_path"
ONE = "build/bench/many-one.json"
ALL = "build/bench/many.json"
WORKLOADS = ["many_services_1k_flows", "many_services_100k_flows"]

# What the bench is told, what it is, and the targets for 1 K and 100 K flows.
RUNS = [
    ("256 0 different", "256 services, all backends different", 1.6, 3.5),
    ("256 2048 different", "the same, `ring_size` 2,048", 1.6, 2.2),
    ("1024 0", "1,024 services over the same 100 hosts", 1.6, 4.5),
    ("1024 2048", "the same, `ring_size` 2,048", 1.6, 2.8),
    ("1024 0 different", "1,024 services, all backends different", 1.6, 6.5),
    ("1024 2048 different", "the same, `ring_size` 2,048", 1.6, 4.5),
    ("1024 0 sharing", "1,024 services that share a ring by name", 1.6, 1.8),
    ("1024 0 one_ring", "to compare: rings alone are one", None, None),
    ("1024 0 one_region", "records and counters alone are of one service", None, None),
    ("1024 0 one_counter", "counters alone are of one service", None, None),
    ("1024 0 one_ring one_counter", "rings and counters are one, records are not", None, None),
    ("1024 0 one_ring one_region", "all is one but the VIP entry", None, None),
]


def measure(many):
    """Median nanoseconds and the ratio to the encapsulation, by workload."""
    environment = dict(os.environ, MANY=many, ONLY=f"+({'|'.join(WORKLOADS)})")
    subprocess.run([BENCH], env=environment, check=True, stdout=subprocess.DEVNULL)
    with open(ONE, encoding="utf-8") as file:
        rows = {row["workload"]: row for row in json.load(file)}
    os.unlink(ONE)
    return {name: (rows[name]["median_ns"], rows[name]["median_ns"] / rows[name]["encap_median_ns"]) for name in WORKLOADS}


def table_of(results):
    lines = ["| times the encapsulation | 1 K flows | 100 K flows | ns | target, 100 K |", "|---|---:|---:|---:|---:|"]
    for many, text, _, target in RUNS:
        few, more = (results[many][name] for name in WORKLOADS)
        wanted = f"<= {target}" if target else ""
        lines.append(f"| {text} | {few[1]:.2f} | {more[1]:.2f} | {more[0]:.0f} | {wanted} |")
    return "\n".join(lines)


def put(page, table):
    """Between the marks of the page."""
    with open(page, encoding="utf-8") as file:
        text = file.read()
    begin, end = "<!-- bench-many: begin -->", "<!-- bench-many: end -->"
    text, n = re.subn(f"{begin}.*?{end}", lambda _: f"{begin}\n{table}\n{end}", text, flags=re.DOTALL)
    if n != 1:
        sys.exit(f"{page} has no place for the table")
    with open(page, "w", encoding="utf-8") as file:
        file.write(text)


def main():
    if os.geteuid() != 0:
        sys.exit("bench-many needs root")
    results = {}
    for many, text, *_ in RUNS:
        results[many] = measure(many)
        print(f"{many}: {text}: " + ", ".join(f"{ratio:.2f}" for _, ratio in results[many].values()), flush=True)
    with open(ALL, "w", encoding="utf-8") as file:
        json.dump(results, file, indent=1)
    table = table_of(results)
    print(table)
    for page in sys.argv[1:]:
        put(page, table)


if __name__ == "__main__":
    main()
