#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""What two cores are worth on the settled path: one CPU, the other, and both at once.

First the loaded program alone, by BPF_PROG_TEST_RUN (tests/load/bench_scaling.c), next to a constant encapsulation, which
no balancer could beat. Then the whole path, one lbd for both:

    ws-gen                ws-lb                              ws-sink
      gen0 ------------ eth0                                                  first CPU: generator, balancer, sink
      gen1 ------------ eth2   eth1 ====================== snk0               second CPU: the same
                                     (two queues: CPU i's packets take queue i)

Generators are pinned, and a veth's other end works on the CPU that has sent: nothing crosses. That each CPU has counted
its own share is read from lbd. Where the floor itself scales below 1.6, or runs of the whole path differ by more than a
quarter (the outer four of nine aside), the machine is too busy to judge: status 75. Writes build/bench/scaling.json. Root.
"""
import json
import os
import signal
import statistics
import subprocess
import sys

sys.dont_write_bytecode = True
from control import Agent, run  # noqa: E402 pylint: disable=wrong-import-position
from load import LoadLab  # noqa: E402 pylint: disable=wrong-import-position
from report import BUILD, TOO_BUSY, UNSTABLE, interruptible, machine, prefer  # noqa: E402 pylint: disable=wrong-import-position

COLUMNS = [["name", ""], ["one_mpps", "one core, Mpps"], ["two_mpps", "two cores, Mpps"], ["scaling", "two / one"]]
FLOOR = 1.6
ROUNDS, SECONDS = 9, 0.4
PAIRS = [("gen0", "eth0"), ("gen1", "eth2")]


def too_busy(why):
    print(f"bench-scaling: machine too busy to judge: {why}")
    sys.exit(TOO_BUSY)


def program_alone():
    with subprocess.Popen([os.path.join(BUILD, "tests", "load", "bench_scaling")], stdout=subprocess.PIPE, text=True,
                          start_new_session=True) as bench:
        prefer(bench.pid)
        try:
            output, _ = bench.communicate()
        except BaseException:
            bench.kill()
            raise
    if bench.returncode:
        sys.exit(f"bench-scaling: ended with status {bench.returncode}")
    rows = json.loads(output)
    if rows[0]["scaling"] < FLOOR:
        too_busy(f"the floor is {rows[0]['scaling']:.2f} times as fast on two cores")
    return rows


class ScalingLab(LoadLab):
    """A second way in, and a queue for each CPU on the way out."""

    def __init__(self):
        super().__init__("ws")

    def up(self, queues=2):
        super().up(queues)
        self.link(self.names["gen"], "gen1", self.names["lb"], "eth2", "192.0.3.1/24", "192.0.3.2/24")

    def configuration(self):
        text = super().configuration()
        text["interfaces"].append({"name": "eth2", "attach": "exclusive"})
        return text

    def start(self, number, cpu, sink):
        """A generator on this CPU, ready to go."""
        left, right = PAIRS[number]
        child = subprocess.Popen(
            [os.path.join(BUILD, "tests", "bench", "load"), self.names["gen"], left, self.names["sink"], sink, self.mac(right),
             "steady", str(SECONDS), "0"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {cpu}))
        prefer(child.pid)
        self.children.append(child)
        if child.stdout.readline() != "ready\n":
            sys.exit(f"bench-scaling: the generator ended with status {child.wait()}")
        return child

    def send(self, numbers, cpus):
        """Million packets/s of these pairs at once, that have come."""
        children = [self.start(n, cpus[n], "-" if i else "snk0") for i, n in enumerate(numbers)]
        for child in children:
            child.stdin.write("\n")
            child.stdin.flush()
        results = []
        for child in reversed(children):  # the sink's last: the other has ended by then
            output = child.stdout.read()
            self.children.remove(child)
            if child.wait():
                sys.exit(f"bench-scaling: the generator ended with status {child.returncode}")
            results.append(json.loads(output))
        offered, received = sum(r["offered"] for r in results), results[-1]["received"]
        return sum(r["offered"] / r["elapsed_ns"] for r in results) * 1e3 * received / offered


def by_cpu(agent, cpus):
    counted = {c["cpu"]: c["rx"] for c in agent.get("/v1/stats")["cpus"]}
    return [counted.get(cpu, 0) for cpu in cpus]


def whole_path(cpus):
    lab = ScalingLab()
    one, other, both = [], [], []
    try:
        lab.up()
        with open(lab.path("weir.json"), "w", encoding="ascii") as file:
            json.dump(lab.configuration(), file)
        agent = Agent(lab)
        lab.send([0], cpus)  # next hops
        for _ in range(ROUNDS):
            one.append(lab.send([0], cpus))
            other.append(lab.send([1], cpus))
            before = by_cpu(agent, cpus)
            both.append(lab.send([0, 1], cpus))
            counted = [after - b for after, b in zip(by_cpu(agent, cpus), before)]
        agent.kill(signal.SIGTERM)
    finally:
        lab.down()
    for values in (one, other, both):
        middle = sorted(values)[2:-2]  # one run or two may have been disturbed
        spread = (middle[-1] - middle[0]) / statistics.median(values)
        if spread > UNSTABLE:
            too_busy(f"runs of the whole path differ by {spread:.0%}")
    single, double = (statistics.median(one) + statistics.median(other)) / 2, statistics.median(both)
    return {"name": "whole path, a veth pair for each core", "one_mpps": single, "two_mpps": double, "scaling": double / single,
            "packets_by_cpu": counted}


def main():
    if os.geteuid() != 0:
        sys.exit("bench-scaling: must be root")
    interruptible()
    cpus = sorted(os.sched_getaffinity(0))[:2]
    if len(cpus) < 2:
        print("bench-scaling: one CPU only: there is nothing to compare")
        return
    where = machine("sudo make bench-scaling", judged=True)
    rows = program_alone()
    rows.append(whole_path(cpus))
    os.makedirs(os.path.join(BUILD, "bench"), exist_ok=True)
    with open(os.path.join(BUILD, "bench", "scaling.json"), "w", encoding="ascii") as file:
        json.dump({"machine": where, "columns": COLUMNS, "rows": rows}, file, indent=1)
        file.write("\n")
    print(f"{'':40}{'one core':>12}{'two cores':>12}{'two / one':>12}")
    for row in rows:
        print(f"{row['name']:40}{row['one_mpps']:>7.2f} Mpps{row['two_mpps']:>7.2f} Mpps{row['scaling']:>12.2f}")
    print("whole path, packets that each CPU counted in the last run of both: "
          + ", ".join(f"{n:,}" for n in rows[-1]["packets_by_cpu"]))


if __name__ == "__main__":
    main()
