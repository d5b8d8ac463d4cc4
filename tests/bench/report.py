#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""The record of the benches.

  report.py page       docs/performance.md, between its markers, from the JSON files in build/bench; what is not there stays
  report.py baseline   runs the packet path's bench (QUICK) and writes tests/bench/baseline.json: what check compares with
  report.py check      runs the packet path's bench (QUICK) and compares its ratios with the baseline

A ratio is what a workload costs over its floor in the same run: the constant encapsulation, or the no-op for packets
that are not for us. Times are never compared. A run's own noise is estimated from its floors: they are the same program
in every row, so what their medians differ by is not ours. check fails on a rise above 15 % beyond that noise, after a
second look at the row alone. Where floors differ by more than a quarter it tries again, twice, and then says that
the machine is too busy to judge, and ends with status 75.
"""
import datetime
import json
import os
import re
import signal
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("LAB_BUILD", os.path.join(ROOT, "build"))
# The bench writes below its working directory.
PACKET_PATH = os.path.join(ROOT, "build", "bench", "packet-path.json")
BASELINE = os.path.join(ROOT, "tests", "bench", "baseline.json")
PAGE = os.path.join(ROOT, "docs", "performance.md")
RISE = 0.15
MOVED = 0.05
UNSTABLE = 0.25
TRIES = 3
TOO_BUSY = 75
# What issue and page promise of a row: the ratio to its floor. Rows without a target are for comparison.
TARGETS = [(r"(tcp|udp)[46]_", 1.30), (r"syn4_", 1.40), (r"l2_", 0.95), (r"not_for_us$", 1.35), (r"many_services_", 1.80)]


def read(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        return None


def busy_cpus(seconds=0.5):
    """How many CPUs others keep busy just now."""
    def idle_s():
        with open("/proc/stat", encoding="ascii") as file:
            idle, waiting = file.readline().split()[4:6]
        return (int(idle) + int(waiting)) / os.sysconf("SC_CLK_TCK")
    begin, before = time.monotonic(), idle_s()
    time.sleep(seconds)
    return max(0.0, os.cpu_count() - (idle_s() - before) / (time.monotonic() - begin))


def machine(command, judged=False):
    """What every result says of where it comes from. Judged: the bench looks at a floor of its own, and writes nothing where
    the machine is too busy; of others it is said how many CPUs were at work before."""
    with open("/proc/cpuinfo", encoding="ascii") as file:
        model = re.search(r"^(?:model name|CPU part)\s*:\s*(.+)$", file.read(), re.M)
    return {"date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
            "cpu": model.group(1).strip() if model else os.uname().machine, "cpus": os.cpu_count(),
            "kernel": re.match(r"[0-9.]+", os.uname().release).group(0), "command": command,
            "load_before": round(busy_cpus(), 1), "judged": judged}


def prefer(pid):
    """Highest priority, if we may, within its session and (where the kernel groups by session) of its session."""
    try:
        os.setpriority(os.PRIO_PROCESS, pid, -19)
        with open(f"/proc/{pid}/autogroup", "w", encoding="ascii") as file:
            file.write("-19")
    except OSError:
        pass


def interruptible():
    """SIGINT and SIGTERM end the bench by way of its clean-up."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: sys.exit(128 + number))


# --- the packet path ------------------------------------------------------------------------------------------

def floor_of(row):
    return row["noop_median_ns"] if row["workload"].startswith("not_for_us") else row["encap_median_ns"]


def ratio_of(row):
    return row["median_ns"] / floor_of(row)


def noise_of(rows):
    """By how much the floors of a run differ from row to row: the widest of the three floors, without the outermost
    tenth on either side."""
    floors = {"no-op": [r["noop_median_ns"] for r in rows]}
    for row in rows:
        v6 = re.match(r"[a-z]+6_", row["workload"])
        floors.setdefault("encapsulation v6" if v6 else "encapsulation v4", []).append(row["encap_median_ns"])
    widest = 0
    for values in floors.values():
        values.sort()
        cut = len(values) // 10
        kept = values[cut:len(values) - cut]
        widest = max(widest, (kept[-1] - kept[0]) / kept[len(kept) // 2])
    return widest


def run_bench(only=None):
    environment = {**os.environ, "QUICK": "1"}
    for name in ("ONLY", "FEW"):
        environment.pop(name, None)
    if only:
        environment["ONLY"] = only
    with subprocess.Popen([os.path.join(BUILD, "tests", "bench_packet_path")], cwd=ROOT, env=environment,
                          stdout=subprocess.DEVNULL, start_new_session=True) as bench:
        prefer(bench.pid)
        try:
            status = bench.wait()
        except BaseException:
            bench.kill()
            raise
    if status:
        sys.exit(f"bench-check: the bench ended with status {status}")
    rows = read(PACKET_PATH)
    if not rows or not all(floor_of(row) > 0 and row["median_ns"] > 0 for row in rows):
        sys.exit(f"bench-check: the bench has left nothing to judge in {PACKET_PATH}")
    return rows


def stable_run(tries=TRIES):
    for attempt in range(tries):
        rows = run_bench()
        noise = noise_of(rows)
        if noise <= UNSTABLE:
            return rows, noise
        print(f"the floors of run {attempt + 1} differ by {noise:.0%} from row to row", flush=True)
    print("bench-check: machine too busy to judge")
    sys.exit(TOO_BUSY)


def rises(row, was, noise):
    return ratio_of(row) > was["ratio"] * (1 + RISE + noise)


def confirmed(row, was, noise):
    """The row alone once more; the better of the two counts."""
    with open(PACKET_PATH, "rb") as file:
        kept = file.read()
    try:
        again = next((r for r in run_bench(row["workload"]) if r["workload"] == row["workload"]), row)
    finally:
        with open(PACKET_PATH, "wb") as file:
            file.write(kept)
    return again if ratio_of(again) < ratio_of(row) else row, rises(again, was, noise)


def check():
    baseline = read(BASELINE)
    if not baseline:
        sys.exit("bench-check: there is no tests/bench/baseline.json: sudo make bench-baseline on a quiet machine")
    rows, noise = stable_run()
    by_name = {row["workload"]: row for row in rows}
    failed = []
    print(f"{'workload':26}{'ratio':>8}{'recorded':>10}{'change':>9}     noise of this run: {noise:.1%}")
    for name, was in baseline["rows"].items():
        row = by_name.pop(name, None)
        if not row:
            failed.append(name)
            print(f"{name:26}{'gone':>8}{was['ratio']:>10.2f}{'':>9}   FAILED: the bench no longer has this row")
            continue
        bad = rises(row, was, noise)
        if bad:
            row, bad = confirmed(row, was, noise)
        if bad:
            failed.append(name)
        print(f"{name:26}{ratio_of(row):>8.2f}{was['ratio']:>10.2f}{ratio_of(row) / was['ratio'] - 1:>+9.1%}"
              + ("   FAILED" if bad else ""))
    for name in by_name:
        print(f"{name:26}{ratio_of(by_name[name]):>8.2f}   new: record it with make bench-baseline")
    if failed:
        sys.exit(f"bench-check: {len(failed)} rose by more than {RISE:.0%} beyond the noise: {', '.join(failed)}")
    print("bench-check: nothing rose")


def baseline():
    where = machine("sudo make bench-baseline")
    before = (read(BASELINE) or {}).get("rows", {})
    rows, noise = stable_run()
    record = {"machine": where, "noise": round(noise, 3),
              "rows": {r["workload"]: {"ratio": round(ratio_of(r), 3)} for r in rows}}
    with open(BASELINE, "w", encoding="ascii") as file:
        json.dump(record, file, indent=1)
        file.write("\n")
    print(f"recorded {len(rows)} ratios, noise {noise:.1%}")
    # What CHANGELOG has to name.
    for name, now in record["rows"].items():
        was = before.get(name, {}).get("ratio")
        if was and abs(now["ratio"] / was - 1) > MOVED:
            print(f"for the CHANGELOG, moved by more than {MOVED:.0%}: {name} {now['ratio']:.2f} ({was:.2f})")


# --- the page -------------------------------------------------------------------------------------------------

def source(meta):
    disturbed = meta.get("load_before", 0) > meta["cpus"] / 2 and not meta.get("judged")
    return (f"`{meta['command']}`, {meta['date']}, Linux {meta['kernel']}, {meta['cpus']} x {meta['cpu']}."
            + (f" The machine was busy with other work (load {meta['load_before']} before): read ratios, not times."
               if disturbed else "") + "\n")


def table(head, rows):
    width = len(head)
    out = ["| " + " | ".join(head) + " |", "|" + "|".join(["---"] + ["---:"] * (width - 1)) + "|"]
    out += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(out) + "\n"


def page_packet_path():
    rows = read(PACKET_PATH)
    if not rows:
        return
    recorded = (read(BASELINE) or {}).get("rows", {})
    meta = machine("sudo make bench" if rows[0]["rounds"] > 9 else "sudo make bench QUICK=1")
    meta["date"] = datetime.datetime.fromtimestamp(os.path.getmtime(PACKET_PATH), datetime.timezone.utc).strftime(
        "%Y-%m-%d %H:%M UTC")
    noise = noise_of(rows)
    meta["load_before"] = 0
    yield source(meta)
    yield ("Median over rounds, wrapper included. The floors ran in the same rounds through the same wrapper: a program that "
           "does nothing, and one that encapsulates in constant headers without looking at anything. "
           f"The floors of this run differ by {noise:.0%} from row to row"
           + (": **the machine was busy, trust no ratio to better than that.**\n" if noise > UNSTABLE / 2 else ".\n"))
    out = []
    for row in rows:
        name = row["workload"]
        target = next((f"<= {t:.2f}" for pattern, t in TARGETS if re.match(pattern, name)), "")
        was = recorded.get(name)
        out.append((f"`{name}`", row["median_ns"], row["noop_median_ns"], row["encap_median_ns"], f"{ratio_of(row):.2f}",
                    target, f"{was['ratio']:.2f}" if was else ""))
    yield table(("workload", "ns", "no-op", "encapsulation", "ratio", "target", "recorded"), out)
    yield "`not_for_us` is compared with the no-op, everything else with the encapsulation.\n"


def page_observed():
    path = os.path.join(BUILD, "bench", "observed.json")
    rows = read(path)
    if not rows:
        return
    meta = machine("sudo make bench" if rows[0]["rounds"] > 9 else "sudo make bench QUICK=1")
    meta["date"] = datetime.datetime.fromtimestamp(os.path.getmtime(path), datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    meta["load_before"] = 0
    yield source(meta)
    yield ("The same packets through the same program without and with the observer, in turns, programs loaded anew each round: the median of "
           "the rounds' ratios, and what it stays below with 95 % confidence. Flows are sampled as lbd would have it under such a load; rows "
           "`*_every` look at every packet and tell what one costs.\n")
    yield table(("workload", "ns without", "ns with", "1 flow in", "added", "95 % bound", "target"),
                [(f"`{r['workload']}`", r["off_ns"], r["on_ns"], r["one_in"], f"{r['added']:+.1%}", f"{r['added_bound']:+.1%}",
                  f"<= {r['target']:+.1%}" if "target" in r else "") for r in rows])


def page_control():
    result = read(os.path.join(BUILD, "bench", "control.json"))
    if not result:
        return
    from control import lines  # pylint: disable=import-outside-toplevel
    columns = [list(lines(row)) for row in result["rows"]]
    yield source(result["machine"])
    yield ("The real lbd over a real bpffs and veth, all backends behind one gateway. Visible: the word that packets read "
           "once has changed. Maps are memory of the kernel that the agent has mapped; what it has beyond them is its own.\n")
    yield table(["", *(f"{r['services']:,} x {r['backends_each']:,}" for r in result["rows"]), "target"],
                [[cells[0][0], *("?" if c[1] is None else f"{c[1]:,.3g} {c[2]}" if c[1] < 1000 else f"{c[1]:,.0f} {c[2]}"
                                 for c in cells), "" if cells[0][3] is None else f"{cells[0][3]} {cells[0][2]}"]
                 for cells in zip(*columns)])
    delays = result.get("loop_delay")
    if not delays:
        return
    yield ("`GET /v1/version`, which falls due every 10 ms, beside the same to a plain epoll echo, with 5,000 x 20: the 99th percentiles, "
           "and their difference.\n")
    yield table(("while", "agent", "echo", "beyond", "worst", "target"),
                [(name.replace("_", " "), f"{r['p99_ms']:.1f} ms", f"{r['echo_p99_ms']:.1f} ms", f"{r['beyond_echo_p99_ms']:.1f} ms",
                  f"{r['max_ms']:.0f} ms", "10 ms") for name, r in delays.items()])


def cell(value):
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return "" if value is None else f"{value:,}" if isinstance(value, int) else value


def page_rows(name, text, tall=False):
    """Results that carry their own columns: {"machine", "columns": [[key, title]], "rows": [{}], "notes": []}. Tall: a
    column for each row, where there are more columns than a page is wide."""
    result = read(os.path.join(BUILD, "bench", name))
    if not result:
        return
    yield source(result["machine"])
    yield text + "\n"
    head = [t for _, t in result["columns"]]
    rows = [[cell(r.get(k)) for k, _ in result["columns"]] for r in result["rows"]]
    if tall:
        head, *rows = [list(line) for line in zip(head, *rows) if any(line[1:])]
    yield table(head, rows)
    if result.get("notes"):
        yield "\n".join(f"- {note}" for note in result["notes"]) + "\n"


def page():
    parts = {
        "The packet path, nanoseconds per packet": page_packet_path(),
        "What observation costs": page_observed(),
        "The control plane at scale": page_control(),
        "The whole path under load": page_rows(
            "load.json", "Live frames into a veth, through lbd's program, to a sink behind a second veth; times are of a probe "
            "flow through the same path. docs/scaling.md says what the profiles are."),
        "Next to what else there is": page_rows(
            "peers.json", "The same lab, client, servers and run for all. CPU is of the whole machine, client and servers "
            "included; `direct` is without any balancer.", tall=True),
        "One core and two": page_rows(
            "scaling.json", "The settled path on two cores at once: the loaded program alone, each core with packets of its own; "
            "and the whole path, a veth pair and a generator for each core, one lbd."),
    }
    begin, end = "<!-- begin: report.py -->\n", "<!-- end: report.py -->\n"
    try:
        with open(PAGE, encoding="utf-8") as file:
            text = file.read()
    except FileNotFoundError:
        text = f"# Performance\n\n{begin}{end}"
    head, rest = text.split(begin)
    rest, tail = rest.split(end)
    kept = {section.split("\n")[0]: section for section in re.split("^## ", rest, flags=re.M)[1:]}
    sections = []
    for title, lines in parts.items():
        new = "\n".join(lines)
        if new:
            sections.append(f"## {title}\n\n{new}\n")
        elif title in kept:  # was not measured again
            sections.append("## " + kept[title])
    with open(PAGE, "w", encoding="utf-8") as file:
        file.write(head + begin + "\n" + "".join(sections) + end + tail)


def main():
    verbs = {"page": page, "baseline": baseline, "check": check}
    if len(sys.argv) != 2 or sys.argv[1] not in verbs:
        sys.exit("usage: report.py page|baseline|check")
    interruptible()
    verbs[sys.argv[1]]()


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    main()
