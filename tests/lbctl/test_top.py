#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""lbctl top, as a person sees it: in tmux, by reading the screen; the agent's counters are set by the test."""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import canned
from fake_lbd import FakeLbd

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LBCTL = os.environ.get("LBCTL", os.path.join(ROOT, "build/lbctl"))

passed = failed = 0


def result(name, good, why=""):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    print(f"{'ok' if good else 'not ok'} {passed + failed} - {name}")
    if not good:
        print("".join(f"# {line}\n" for line in why.splitlines()), end="")
    sys.stdout.flush()


class Counters:
    """Answers of /v1/stats whose counters run: each is so many per second of the answer's own clock."""

    def __init__(self):
        self.polls = 0
        self.names = ["web", "mail", "quiet"]
        self.rates = {"web": 1000, "mail": 5000, "quiet": 0}

    def stats(self, query, body):
        self.polls += 1
        t = self.polls  # seconds
        services, total = [], 0
        for name in self.names:
            n = self.rates[name] * t
            total += n
            backends = [{"name": f"{name}-{i}", "tx_packets": n * (3 if i == 1 else 1) // 4, "tx_bytes": n * 25,
                         "redirect_packets": 0, "redirect_bytes": 0, "syns": n // 20, "known": 0, "base": 0,
                         "refused": 0} for i in (1, 2)]
            services.append({"name": name, "packets": n, "bytes": n * 100, "syns": n // 10, "known": 0, "base": 0,
                             "refused": 0, "backends": backends})
        sums = {"rx": total, "tx": total, "redirect": 0, "pass": 0, "drop": 7 * t, "bytes": total * 100}
        cpus = [{"cpu": i, "rx": total * (3 if i else 1) // 4, "tx": total // 2, "redirect": 0, "pass": 0, "drop": 0,
                 "polls": 10 * t, "polled_packets": (370 if i else 15) * t, "squeezed": i * 21 * t} for i in (0, 1)]
        return {"time_ms": t * 1000, "totals": sums, "cpus": cpus, "services": services}


class Terminal:
    servers = 0  # each has a socket of its own: one that ends may still hold its

    def __init__(self, folder, command, columns=80, lines=24, term="screen-256color"):
        Terminal.servers += 1
        self.socket = os.path.join(folder, f"tmux{Terminal.servers}")
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(lines), "-s", "t",
                  f"TERM={term} LC_ALL=C.UTF-8 {command}; echo ended $?; exec sleep 1000")

    def tmux(self, *words):
        env = dict(os.environ, LC_ALL="C.UTF-8")
        return subprocess.run(["tmux", "-u", "-S", self.socket, *words], capture_output=True, text=True, env=env).stdout

    def screen(self):
        return self.tmux("capture-pane", "-p", "-t", "t")

    def keys(self, *keys):
        self.tmux("send-keys", "-t", "t", *keys)

    def resize(self, columns, lines):
        self.tmux("resize-window", "-t", "t", "-x", str(columns), "-y", str(lines))

    def wait(self, condition, seconds=15):
        end = time.monotonic() + seconds
        while True:
            screen = self.screen()
            if condition(screen):
                return True, screen
            if time.monotonic() > end:
                return False, screen
            time.sleep(0.05)

    def close(self):
        self.tmux("kill-server")


def order(screen, *names):
    """The names stand at the beginnings of lines, in this order."""
    at = [next((i for i, line in enumerate(screen.splitlines()) if line.startswith(name)), -1) for name in names]
    return -1 not in at and at == sorted(at)


def line_of(screen, name):
    return next((line for line in screen.splitlines() if line.startswith(name)), "")


def walk(terminal, counters):
    """Every view and key, one after the other."""
    steps = [
        ("services are sorted by packets", (), lambda s: order(s, "mail", "web", "quiet") and "5000" in line_of(s, "mail")),
        ("rates of bits", (), lambda s: "4.00M" in line_of(s, "mail")),
        ("the head has the sum and what is dropped", (), lambda s: "6000 packets/s in" in s and "7 dropped/s" in s),
        ("imbalance of cores", (), lambda s: "max/mean 1.50" in s),
        ("n sorts by name", ("n",), lambda s: order(s, "mail", "quiet", "web")),
        ("> sorts by a number again", (">",), lambda s: order(s, "mail", "web", "quiet")),
        ("b shows backends and their shares", ("b",), lambda s: "75.0%" in line_of(s, "mail/mail-1")),
        ("/ filters", ("/", "w", "e", "b"), lambda s: "web/web-1" in s and "mail/" not in s and "filter: web" in s),
        ("Escape ends the filter", ("Escape",), lambda s: "mail/mail-1" in s),
        ("c shows cores", ("c",), lambda s: "4500" in line_of(s, "cpu 1") and "1500" in line_of(s, "cpu 0")),
        ("with packets per poll and squeezes", (), lambda s: "37.0" in line_of(s, "cpu 1").split() and "21" in line_of(s, "cpu 1").split()
         and "1.5" in line_of(s, "cpu 0").split()),
        ("d shows drops", ("d",), lambda s: "drop ttl" in s),
        ("h helps", ("h",), lambda s: "this help" in s),
        ("s is services again", ("h", "s"), lambda s: order(s, "mail", "web", "quiet")),
    ]
    for name, keys, condition in steps:
        for key in keys:
            terminal.keys(key)
        good, screen = terminal.wait(condition)
        result(name, good, screen)


def pause(terminal, counters):
    terminal.keys("p")
    good, screen = terminal.wait(lambda s: "(paused)" in s)
    result("p pauses", good, screen)
    polls = counters.polls
    terminal.keys("n")
    terminal.wait(lambda s: order(s, "mail", "quiet", "web"))
    terminal.keys("<")
    terminal.wait(lambda s: order(s, "mail", "web", "quiet") or True)
    result("nothing is asked meanwhile", counters.polls <= polls + 1, f"{polls} -> {counters.polls}")
    terminal.keys("p")
    good, screen = terminal.wait(lambda s: counters.polls > polls + 2)
    result("p goes on", good, screen)


def sizes(terminal):
    for columns, lines in ((132, 40), (10, 5), (1, 1), (80, 24)):
        terminal.resize(columns, lines)
        good, screen = terminal.wait(lambda s: "ended" not in s and len(s.splitlines()) <= lines)
        result(f"{columns}x{lines} is drawn", good and "ended" not in screen, screen)
    good, screen = terminal.wait(lambda s: "mail" in s and "web" in s and "PACKETS/S" in s)
    result("back at 80x24 all is there", good, screen)


def ends(folder, agent):
    command = f"{shlex.quote(LBCTL)} --socket {shlex.quote(agent.path)} top --interval 0.2"
    terminal = Terminal(folder, command)
    terminal.wait(lambda s: "mail" in s)
    agent.answers["GET /v1/stats"] = (500, {"error": {"message": "out of order"}})
    good, screen = terminal.wait(lambda s: "out of order" in s)
    result("an error is shown", good, screen)
    agent.answers["GET /v1/stats"] = counters.stats
    good, screen = terminal.wait(lambda s: "out of order" not in s and "mail" in s)
    result("and gone when the agent is back", good, screen)
    terminal.keys("q")
    good, screen = terminal.wait(lambda s: "ended 0" in s)
    result("q quits clean", good and "mail" not in screen, screen)
    terminal.close()
    for term, why in (("''", "TERM is not set"), ("nonsense", "not known")):
        terminal = Terminal(folder, command, term=term)
        good, screen = terminal.wait(lambda s: "ended 1" in s.replace("\n", ""))
        result(f"TERM={term}: {why}", good and why.split()[0] in screen, screen)
        terminal.close()


def gone(agent):
    """What repeats ends when its reader has gone, though nothing more is printed to notice it by."""
    for words in (["stats", "--interval", "3600"], ["drops", "--interval", "3600"], ["events", "--follow"]):
        process = subprocess.Popen([LBCTL, "--socket", agent.path, *words], stdout=subprocess.PIPE)
        process.stdout.readline()
        process.stdout.close()
        try:
            process.wait(10)
            result(f"{' '.join(words)} ends when its reader has gone", True)
        except subprocess.TimeoutExpired:
            process.kill()
            result(f"{' '.join(words)} ends when its reader has gone", False)
    process = subprocess.run([LBCTL, "--socket", agent.path, "top"], capture_output=True, text=True)
    result("top without a terminal says what to do instead", process.returncode == 1 and "stats" in process.stderr,
           process.stderr)


if not shutil.which("tmux"):
    result("tmux is there: apt install tmux", False)
    sys.exit(1)
work = tempfile.mkdtemp(prefix="weir-top-")
counters = Counters()
agent = FakeLbd(os.path.join(work, "lbd.sock"))
agent.answers["GET /v1/stats"] = counters.stats
try:
    tmux = Terminal(work, f"{shlex.quote(LBCTL)} --socket {shlex.quote(agent.path)} top --interval 0.2")
    try:
        walk(tmux, counters)
        pause(tmux, counters)
        sizes(tmux)
    finally:
        tmux.close()
    ends(work, agent)
    gone(agent)
finally:
    agent.close()
    shutil.rmtree(work, ignore_errors=True)
print(f"1..{passed + failed}")
sys.exit(failed > 0)
