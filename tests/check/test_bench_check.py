#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""What `make bench-check` makes of results: the real report.py in a tree of its own, where a bench stands that writes what
the test gives it, run after run. Each test says which results come, and how check must end."""
import atexit
import copy
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# Takes the next of its results, and the last one again and again; a status instead of results ends it with that.
BENCH = """#!/usr/bin/env python3
import json, os, time
here = os.path.dirname(os.path.abspath(__file__))
runs = json.load(open(os.path.join(here, "runs.json")))
rows = runs.pop(0)
if runs:
    json.dump(runs, open(os.path.join(here, "runs.json"), "w"))
open(os.path.join(here, "pid"), "w").write(str(os.getpid()))
if rows == "hang":
    time.sleep(60)
if isinstance(rows, int):
    raise SystemExit(rows)
only = os.environ.get("ONLY", "")
os.makedirs("build/bench", exist_ok=True)
json.dump([r for r in rows if only in r["workload"]], open("build/bench/packet-path.json", "w"))
"""
NAMES = ["tcp4_1_flow", "tcp6_1_flow", "udp4_1_flow", "tcp4_4m_flows", "tcp6_4m_flows", "syn4_random", "not_for_us",
         "l2_1m_flows", "gue4_1m_flows", "unsettled_1k_known", "lru_1k_known", "many_services_4m_flows"]
# All alike: 84 ns over an encapsulation of 60 and a no-op of 42.
RECORDED = {name: 2.0 if name == "not_for_us" else 1.4 for name in NAMES}
tests = failures = 0


def rows(scale=1.0, **changed):
    """Results; changed: row=(what its time is multiplied with)."""
    return [{"workload": name, "median_ns": 84.0 * scale * changed.get(name, 1.0), "min_ns": 80.0,
             "noop_median_ns": 42.0 * scale, "encap_median_ns": 60.0 * scale, "rounds": 9} for name in NAMES]


def noisy(results, by):
    """The same with floors that differ so much from row to row; ratios stay."""
    results = copy.deepcopy(results)
    for i, row in enumerate(results):
        factor = 1 + by * (i % 2)
        for key in ("median_ns", "noop_median_ns", "encap_median_ns"):
            row[key] *= factor
    return results


class Tree:
    """A tree with report.py, a bench and what was recorded."""

    def __init__(self, runs, recorded=None):
        self.directory = tempfile.mkdtemp(prefix="bench-check.")
        atexit.register(shutil.rmtree, self.directory)
        for part in ("tests/bench", "build/tests"):
            os.makedirs(os.path.join(self.directory, part))
        shutil.copy(os.path.join(ROOT, "tests", "bench", "report.py"), os.path.join(self.directory, "tests", "bench"))
        self.write("build/tests/bench_packet_path", BENCH)
        os.chmod(os.path.join(self.directory, "build/tests/bench_packet_path"), 0o755)
        self.write("build/tests/runs.json", json.dumps(runs))
        if recorded is not False:
            self.write("tests/bench/baseline.json", json.dumps({"noise": 0.02, "rows": {
                name: {"ratio": ratio} for name, ratio in (recorded or RECORDED).items()}}))

    def write(self, path, text):
        with open(os.path.join(self.directory, path), "w", encoding="ascii") as file:
            file.write(text)

    def read(self, path):
        with open(os.path.join(self.directory, path), encoding="ascii") as file:
            return file.read()

    def start(self, verb="check"):
        environment = {k: v for k, v in os.environ.items() if k not in ("LAB_BUILD", "ONLY")}
        return subprocess.Popen([sys.executable, os.path.join(self.directory, "tests/bench/report.py"), verb],
                                env={**environment, "FEW": "1"}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def result(right, name, diagnostics=""):
    global tests, failures  # pylint: disable=global-statement
    tests += 1
    failures += not right
    print(f"{'' if right else 'not '}ok {tests} - {name}")
    if not right:
        print("# " + diagnostics.rstrip("\n").replace("\n", "\n# "))


def check(name, runs, status, *words, recorded=None, verb="check"):
    tree = Tree(runs, recorded)
    process = tree.start(verb)
    output = process.communicate()[0]
    kept = tree.read("build/bench/packet-path.json") if os.path.exists(tree.directory + "/build/bench/packet-path.json") else "[]"
    whole = status == 1 or kept.count('"workload"') == len(NAMES)  # a second look at one row does not stay
    result(process.returncode == status and all(w in output for w in words) and whole and "Traceback" not in output,
           name, f"status {process.returncode}, wanted {status} and {words}; left in the file: {kept}\n{output}")


def interrupted(number):
    tree = Tree(["hang"])
    process = tree.start()
    end = time.monotonic() + 10
    while not os.path.exists(tree.directory + "/build/tests/pid") or not tree.read("build/tests/pid"):
        if time.monotonic() > end:
            break
        time.sleep(0.02)
    process.send_signal(number)
    try:
        output = process.communicate(timeout=20)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        output = "it does not end"
    try:
        os.kill(int(tree.read("build/tests/pid")), 0)
        left = True
    except OSError:
        left = False
    result(process.returncode == 128 + number and not left and "Traceback" not in output,
           f"{signal.Signals(number).name} ends check and the bench, with status {128 + number}",
           f"status {process.returncode}, bench left: {left}\n{output}")


def check_page():
    """One result is new, all others are as they were."""
    tree = Tree([])
    with open(os.path.join(ROOT, "docs", "performance.md"), encoding="utf-8") as file:
        before = file.read()
    os.makedirs(tree.directory + "/docs")
    os.makedirs(tree.directory + "/build/bench")
    tree.write("docs/performance.md", before)
    tree.write("build/bench/scaling.json", json.dumps({
        "machine": {"date": "today", "cpu": "X", "cpus": 2, "kernel": "7", "command": "sudo make bench-scaling"},
        "columns": [["name", ""], ["scaling", "two / one"]], "rows": [{"name": "marked", "scaling": 1.5}]}))
    process = tree.start("page")
    output = process.communicate()[0]
    after = tree.read("docs/performance.md")
    old, new = before.partition("## One core and two"), after.partition("## One core and two")
    result(process.returncode == 0 and old[0] == new[0] and "| marked | 1.5 |" in new[2] and "two cores, Mpps" not in new[2]
           and new[2].endswith("<!-- end: report.py -->\n"), "a page keeps what was not measured again", f"{output}\n{after}")


check("what is as recorded passes", [rows()], 0, "nothing rose")
check("a slower machine is none of our business", [rows(2.5)], 0, "nothing rose")
check("14 % more pass", [rows(tcp6_1_flow=1.14)], 0, "+14.0%", "nothing rose")
check("16 % more fail, and the row is named", [rows(tcp6_1_flow=1.16)], 1, "+16.0%   FAILED", "1 rose", ": tcp6_1_flow")
check("two rows that rose are both named", [rows(syn4_random=1.2, l2_1m_flows=1.3)], 1, "syn4_random, l2_1m_flows")
check("what did not rise at the second look passes", [rows(tcp6_1_flow=1.5), rows()], 0, "nothing rose")
check("what is not for us is held against the no-op",
      [[{**r, "noop_median_ns": 35.0} for r in rows()]], 1, "1 rose", ": not_for_us")
check("less is no failure", [rows(**{n: 0.5 for n in NAMES})], 0, "-50.0%", "nothing rose")
check("the run's own noise is allowed for", [noisy(rows(tcp4_1_flow=1.22), 0.1)], 0, "nothing rose")
check("and no more than that", [noisy(rows(tcp4_1_flow=1.3), 0.1)], 1, ": tcp4_1_flow")
check("floors that differ by more than a quarter are not judged: status 75", [noisy(rows(tcp4_1_flow=3.0), 0.4)], 75,
      "machine too busy to judge")
check("a machine that calms down is judged", [noisy(rows(), 0.4), noisy(rows(), 0.4), rows(tcp4_1_flow=1.3)], 1, ": tcp4_1_flow")
check("a row that the bench no longer has fails", [[r for r in rows() if r["workload"] != "l2_1m_flows"]], 1, "gone", ": l2_1m_flows")
check("a new row is said to be new", [rows()], 0, "new: record it", recorded={k: v for k, v in RECORDED.items() if k != "syn4_random"})
check("a bench that fails is no success", [3], 1, "ended with status 3")
check("a bench that leaves nothing is no success", [[]], 1, "nothing to judge")
check("without a record it says how to make one", [rows()], 1, "make bench-baseline", recorded=False)
check("a new record names what the CHANGELOG has to", [rows(syn4_random=1.06, l2_1m_flows=1.04)], 0,
      "for the CHANGELOG, moved by more than 5%: syn4_random 1.48 (1.40)\n", "recorded 12 ratios", verb="baseline")
check_page()
interrupted(signal.SIGINT)
interrupted(signal.SIGTERM)
print(f"1..{tests}")
sys.exit(failures > 0)
