#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""lbctl alone: command line, exit statuses, output, and what it makes of a peer that misbehaves.

    lbctl  <-- UNIX socket -->  FakeLbd (fake_lbd.py; answers: canned.py)

LBCTL names the program (default: the one built with sanitizers). Prints TAP. Needs no root; runs what needs
another user only as root. FULL=1: all wrong answers instead of a sample. TIMES=1: how long each test takes."""

import os
import shutil
import sys
import time
import traceback

import cases_capture  # noqa: F401
import cases_drain  # noqa: F401
import cases_edit  # noqa: F401
import cases_output  # noqa: F401: they register themselves
import cases_peers  # noqa: F401
from fake_lbd import FakeLbd
from harness import DIR, LBCTL, SOCKET, TESTS


def main():
    failed = 0
    if not os.access(LBCTL, os.X_OK):
        print(f"Bail out! {LBCTL} is not there: make lbctl-test builds it")
        return 1
    lbd = FakeLbd(SOCKET)
    print(f"1..{len(TESTS)}")
    for n, function in enumerate(TESTS, 1):
        name = function.__name__.replace("_", " ")
        lbd.reset()
        try:
            start = time.monotonic()
            skip = function(lbd)
            if os.environ.get("TIMES"):
                print(f"# {time.monotonic() - start:.1f} s")
            print(f"ok {n} - lbctl: {name}" + (f" # SKIP {skip}" if skip else ""), flush=True)
        except Exception:  # every failure is reported, the rest still runs
            failed += 1
            print(f"not ok {n} - lbctl: {name}")
            for line in traceback.format_exc(limit=-3)[-6000:].replace("\\n", "\n").splitlines():
                print("#   " + line, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    finally:
        shutil.rmtree(DIR)
