#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 90
"""lb-checkd and lb-execd: commands as checks. Each end has its outcome; nothing runs but what root's list names; a command
that takes too long, writes too much or leaves something behind is killed as a whole; who may not ask is not heard."""
import os
import pwd
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from agent import CHECKD, ROOT, Agent  # noqa: E402 pylint: disable=wrong-import-position

EXECD = os.environ.get("EXECD", os.path.join(ROOT, "build/san/lb-execd"))
USER = "nobody"
REQUEST = struct.Struct("=QIIB16s7x192s")
ANSWER = struct.Struct("=QII")

passed = failed = 0


def check(what, good, why=""):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    print(f"{'ok' if good else 'not ok'} {passed + failed} - {what}", flush=True)
    if not good and why != "":
        print("# " + str(why).replace("\n", "\n# "), flush=True)


def until(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


class Place:
    """A folder that everybody may pass, with commands of root's and their list."""

    def __init__(self):
        self.path = tempfile.mkdtemp(prefix="execd-")
        os.chmod(self.path, 0o755)
        self.list = os.path.join(self.path, "commands")
        self.socket = os.path.join(self.path, "execd.sock")
        self.marks = os.path.join(self.path, "marks")
        os.mkdir(self.marks)
        os.chmod(self.marks, 0o777)
        self.names = []

    def command(self, name, text, listed=True, mode=0o755):
        path = os.path.join(self.path, name)
        with open(path, "w", encoding="ascii") as file:
            file.write("#!/bin/sh\n" + text)
        os.chmod(path, mode)
        if listed:
            self.names.append(path)
        self.write_list()
        return path

    def write_list(self, mode=0o644):
        with open(self.list, "w", encoding="ascii") as file:
            file.write("# commands of these tests\n" + "".join(f"{name}  # one\n" for name in self.names))
        os.chmod(self.list, mode)

    def mark(self, name):
        try:
            with open(os.path.join(self.marks, name), encoding="ascii") as file:
                return file.read()
        except FileNotFoundError:
            return None

    def start(self, *arguments):
        process = subprocess.Popen([EXECD, "--socket", self.socket, "--commands", self.list, "--user", USER, *arguments],
                                   stderr=subprocess.PIPE, text=True)
        until(lambda: os.path.exists(self.socket) or process.poll() is not None)
        return process


def processes(tag):
    """Numbers of processes whose command line has the tag."""
    found = []
    for entry in os.listdir("/proc"):
        try:
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                if entry.isdigit() and tag.encode() in file.read() and int(entry) != os.getpid():
                    found.append(int(entry))
        except OSError:
            pass
    return found


def outcomes(place, agent):
    """By a command: what lb-checkd tells of it."""
    sleep = os.path.join(place.path, "sleeper")
    shutil.copy("/bin/sleep", sleep)
    cases = [
        ("status 0 is good", "ok", 0, place.command("good", f"echo $# $1 $2 $(id -un) > {place.marks}/good; pwd; exit 0\n"), {}),
        ("another status is a failure", "status", 3, place.command("bad", "exit 3\n"), {}),
        ("a signal is one", "status", 128 + 15, place.command("signal", "kill -TERM $$\n"), {}),
        ("one that takes too long", "timeout", 0, place.command("slow", f"{sleep} 1001 & {sleep} 1002\n"), {}),
        ("one that writes too much", "protocol", 0, place.command("flood", "while :; do echo xxxxxxxxxxxxxxxxxxxxxxxx; done\n"),
         {"timeout_ms": 3000, "interval_ms": 3000, "fast_ms": 3000, "down_ms": 3000}),
        ("one that has more to say than a pipe holds, but not too much", "ok", 0,
         place.command("talk", "head -c 60000 /dev/zero; exit 0\n"), {}),
        ("one that leaves something behind, by a session of its own", "ok", 0,
         place.command("leaver", f"setsid {sleep} 1003 >/dev/null 2>&1 &\n{sleep} 0.1; exit 0\n"), {}),
        ("one that is not listed", "none", 13, place.command("stranger", f"touch {place.marks}/stranger\n", listed=False), {}),
        ("one that is not there", "none", 2, os.path.join(place.path, "nothing"), {}),
        ("one that is no program", "none", 13, place.command("text", f"touch {place.marks}/text\n", mode=0o644), {}),
        ("one that others may write", "none", 1, place.command("loose", f"touch {place.marks}/loose\n", mode=0o757), {}),
        ("one that no interpreter is there for", "none", 2, place.command("broken", ""), {}),
    ]
    place.names.append(os.path.join(place.path, "nothing"))
    place.write_list()
    with open(os.path.join(place.path, "broken"), "w", encoding="ascii") as file:
        file.write("#!/no/such/interpreter\n")
    for i, (_, _, _, command, keys) in enumerate(cases):
        agent.set(i, "exec", 8443, command=command, **{"timeout_ms": 700, "interval_ms": 700, "fast_ms": 700, "down_ms": 700, **keys})
    agent.wait_for(range(len(cases)), 20)
    for i, (what, outcome, detail, _, _) in enumerate(cases):
        results = agent.of(i)
        check(f"{what}: {outcome}", results and results[0].outcome == outcome and results[0].detail == detail,
              [(r.outcome, r.detail) for r in results[:3]])
    for i in range(len(cases)):
        agent.remove(i)
    check("a command gets address and port, and is nobody", (place.mark("good") or "").split() == ["2", "127.0.0.1", "8443", USER],
          place.mark("good"))
    check("nothing else was run", not any(place.mark(name) for name in ("stranger", "text", "loose")) and
          not os.path.exists(os.path.join(place.marks, "stranger")))
    timeouts = agent.of(3)
    check("a timeout is told when it is one", timeouts and 0.65 < (timeouts[0].end_ns - timeouts[0].begin_ns) / 1e9 < 1.5)
    check("whatever ran is gone, sessions of its own too", until(lambda: not processes(sleep)), processes(sleep))


def bounded(place, agent):
    """More than may run at once: those wait for nobody, and count neither way."""
    sleep = os.path.join(place.path, "sleeper")
    command = place.command("crowd", f"exec {sleep} 1004\n")
    agent.results.clear()
    for i in range(60):
        agent.set(i, "exec", 80, command=command, timeout_ms=1500, interval_ms=1500, fast_ms=1500, down_ms=1500)
    most = 0
    end = time.monotonic() + 5
    while time.monotonic() < end:
        agent.hear(0.1)
        most = max(most, len(processes(sleep + "\0001004")))
    kinds = {r.outcome for r in agent.results}
    check("at most 32 run at a time", 8 <= most <= 32, most)
    check("those that do not run say nothing, the others are late", kinds == {"none", "timeout"}, kinds)
    check("for a shortage of ours", {r.detail for r in agent.results if r.outcome == "none"} == {11})
    for i in range(60):
        agent.remove(i)
    check("all are gone in the end", until(lambda: not processes(sleep)), processes(sleep))


def guarded(place, agent):
    """Root's list and who asks."""
    good = os.path.join(place.path, "good")
    agent.results.clear()
    place.write_list(0o666)
    agent.set(0, "exec", 80, command=good)
    agent.wait_for([0], 5)
    check("a list that others may write allows nothing", [r.outcome for r in agent.of(0)[:1]] == ["none"])
    place.write_list()
    agent.wait_for([0], 5, len(agent.of(0)) + 2)
    check("put right it does", agent.of(0)[-1].outcome == "ok", agent.of(0)[-1].detail)
    os.chown(place.list, 1, 1)
    agent.wait_for([0], 5, len(agent.of(0)) + 2)
    check("one that is not root's does not", agent.of(0)[-1].outcome == "none")
    os.chown(place.list, 0, 0)
    agent.remove(0)

    def ask(uid, message):
        text = ("import socket,sys\ns=socket.socket(socket.AF_UNIX,socket.SOCK_SEQPACKET)\ns.settimeout(5)\n"
                f"s.connect({place.socket!r})\ntry:\n s.send({message!r})\n print(len(s.recv(100)))\nexcept OSError as e:\n print(0)\n")
        return subprocess.run(["/usr/bin/python3", "-c", text], user=uid, capture_output=True, text=True, check=False, timeout=10).stdout.strip()

    request = REQUEST.pack(7, 1000, 80, 4, socket.inet_aton("127.0.0.1"), good.encode())
    check("root may ask", ask(0, request) == str(ANSWER.size))
    check("a stranger may not", ask(12345, request) == "0")
    check("less than a request ends the talk", ask(0, request[:-1]) == "0")
    check("and so do lies", ask(0, REQUEST.pack(7, 1000, 80, 9, b"", good.encode())) == "0" and
          ask(0, REQUEST.pack(7, 1000, 80, 4, b"", b"/" * 192)) == "0")
    check("it goes on all the while", ask(0, request) == str(ANSWER.size))


def away(place, agent, execd):
    """lb-execd comes and goes."""
    sleep = os.path.join(place.path, "sleeper")
    good, hang = os.path.join(place.path, "good"), place.command("hang", f"exec {sleep} 1005\n")
    agent.results.clear()
    agent.set(1, "exec", 80, command=hang, timeout_ms=3000, interval_ms=3000, fast_ms=3000, down_ms=3000)
    check("a long one runs", until(lambda: agent.hear(0.05) or processes(sleep)))
    execd.terminate()
    execd.wait(10)
    agent.wait_for([1], 5)
    check("killed under it, it has said nothing", agent.of(1) and agent.of(1)[0].outcome == "none", [r.outcome for r in agent.of(1)])
    check("and ends with it", until(lambda: not processes(sleep)), processes(sleep))
    agent.remove(1)
    agent.set(2, "exec", 80, command=good)
    agent.wait_for([2], 5)
    check("away it says nothing", agent.of(2) and agent.of(2)[0].outcome == "none")
    os.unlink(place.socket)
    execd = place.start()
    agent.wait_for([2], 5, len(agent.of(2)) + 2)
    check("back it does", agent.of(2)[-1].outcome == "ok", agent.of(2)[-1].detail)
    agent.remove(2)
    return execd


def main():
    if os.geteuid() != 0:
        print("1..0 # SKIP needs root")
        return 0
    pwd.getpwnam(USER)
    place = Place()
    agent = Agent(place.path)
    agent.process = subprocess.Popen([CHECKD, "--socket", agent.path, "--exec-socket", place.socket], stderr=subprocess.PIPE)
    agent.accept()
    refused = subprocess.run([EXECD, "--socket", place.socket, "--user", "root"], capture_output=True, text=True, check=False, timeout=10)
    check("it never runs commands as root", refused.returncode == 1 and "root is none" in refused.stderr, refused.stderr)
    os.unlink(place.socket)
    execd = place.start()
    try:
        outcomes(place, agent)
        bounded(place, agent)
        guarded(place, agent)
        execd = away(place, agent, execd)
    finally:
        execd.terminate()
        said = execd.communicate(timeout=10)[1]
        trouble = agent.stop()
        shutil.rmtree(place.path)
    check("no sanitizer had a word to say", "Sanitizer" not in said + trouble and "runtime error" not in said + trouble, said + trouble)
    print(f"1..{passed + failed}")
    return failed > 0


sys.exit(main())
