# SPDX-License-Identifier: GPL-2.0-only
"""Running lbctl and judging what it did. LBCTL names the program; everything lives in one directory, DIR."""

import json
import os
import pty
import select
import subprocess
import tempfile
import time

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
LBCTL = os.path.realpath(os.environ.get("LBCTL", os.path.join(ROOT, "build/san/lbctl")))
DIR = tempfile.mkdtemp(prefix="lbctl-test-")
SOCKET = os.path.join(DIR, "lbd.sock")
ENV = dict(os.environ, LBCTL_SOCKET=SOCKET, TZ="UTC", ASAN_OPTIONS="detect_leaks=1:exitcode=99",
           UBSAN_OPTIONS="print_stacktrace=1")


class Result:
    def __init__(self, rc, out, err):
        self.rc, self.out, self.err = rc, out, err

    def __repr__(self):
        return f"exit {self.rc}\n--- stdout\n{self.out[:3000]}\n--- stderr\n{self.err[:3000]}"


def lbctl(*words, stdin=None, env=None, user=None, program=LBCTL):
    p = subprocess.run([program, *words], input=stdin, capture_output=True, env=dict(ENV, **(env or {})), timeout=60,
                       user=user, group=user, extra_groups=[] if user else None)
    result = Result(p.returncode, p.stdout.decode("utf-8", "replace"), p.stderr.decode("utf-8", "replace"))
    assert result.rc in (0, 1, 2, 3), result
    assert "Sanitizer" not in result.err and "runtime error" not in result.err, result
    return result


def on_terminal(*words, columns=80, answer=None, wait_for=None):
    """Runs on a pseudo terminal: (exit status, what was seen)."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execve("/bin/sh", ["sh", "-c", f'stty cols {columns}; exec "$@"', "sh", LBCTL, *words], ENV)
    seen, deadline = b"", time.monotonic() + 30
    while time.monotonic() < deadline:
        if select.select([fd], [], [], 0.2)[0]:
            try:
                data = os.read(fd, 65536)
            except OSError:
                break
            if not data:
                break
            seen += data
        if wait_for and wait_for in seen:
            os.write(fd, answer)
            wait_for = None
    _, status = os.waitpid(pid, 0)
    os.close(fd)
    return os.waitstatus_to_exitcode(status), seen.decode("utf-8", "replace").replace("\r\n", "\n")


def expect(condition, *what):
    assert condition, " ".join(map(repr, what))


def expect_failure(result, *texts):
    expect(result.rc == 1, result)
    for text in texts:
        expect(text in result.err, text, result)


def wrong(text, *words):
    """Wrong usage, in both forms."""
    r = lbctl(*words)
    expect(r.rc == 2 and r.out == "" and text in r.err and "usage: lbctl" in r.err, text, r)
    r = lbctl("-j", *words)
    expect(r.rc == 2 and r.err == "" and text in json.loads(r.out)["error"]["message"], text, r)


TESTS = []


def test(function):
    TESTS.append(function)
    return function


VERBS = {  # verb: a good command line, the answer it prints with -j
    "status": (["status"], "GET /v1/status"),
    "generations": (["generations"], "GET /v1/generations"),
    "config": (["config"], "GET /v1/config"),
    "service list": (["service", "list"], "GET /v1/services"),
    "service show": (["service", "show", "web"], "GET /v1/services/web"),
    "backend list": (["backend", "list"], "GET /v1/backends"),
    "backend set": (["backend", "set", "web", "web-1", "--weight", "5"], "PATCH /v1/services/web/backends/web-1"),
    "service add": (["service", "add", "ntp", "vip=203.0.113.12", "port=123", "protocol=udp"], "PUT /v1/services/ntp"),
    "service set": (["service", "set", "web", "idle_timeout_s=60"], "PUT /v1/services/web"),
    "service del": (["service", "del", "web"], "DELETE /v1/services/web"),
    "backend add": (["backend", "add", "web", "web-3", "address=10.0.1.13"], "PUT /v1/services/web/backends/web-3"),
    "backend del": (["backend", "del", "web", "web-1"], "DELETE /v1/services/web/backends/web-1"),
    "drain": (["drain", "10.0.1.12"], "PATCH /v1/hosts/10.0.1.12"),
    "backend drain": (["backend", "drain", "web", "web-2"], "PATCH /v1/services/web/backends/web-2"),
    "stats": (["stats"], "GET /v1/stats"),
    "drops": (["drops"], "GET /v1/drops"),
    "ring": (["ring", "web"], "GET /v1/services/web/ring"),
    "explain": (["explain", "tcp", "203.0.113.1:40000", "203.0.113.10:443"], "POST /v1/explain"),
    "flows": (["flows"], "GET /v1/flows"),
    "observe": (["observe"], "GET /v1/observe"),
    "health": (["health"], "GET /v1/health"),
    "events": (["events"], "GET /v1/events"),
    "apply": (["apply", "-f", "-"], "POST /v1/apply"),
    "diff": (["diff", "-f", "-"], "POST /v1/diff"),
    "reload": (["reload"], "POST /v1/reload"),
    "rollback": (["rollback"], "POST /v1/rollback"),
}
STREAMS = ["capture"]
OFFLINE = ["validate", "version", "help"]
