# SPDX-License-Identifier: GPL-2.0-only
"""The manifests of configs/kubernetes as kustomize renders them, for the tests that look at them, start their containers, or apply them."""
import os
import re
import shutil
import subprocess

import yaml

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
FOLDER = os.path.join(ROOT, "configs/kubernetes")
OVERLAYS = ("bgp", "flat-lan", "generic-xdp")
EXTRAS = ("monitoring",)
JOBS = ("leave", "give-back", "purge", "down")


def have_kubectl():
    return shutil.which("kubectl") is not None


def render(overlay):
    """[object, ...] of an overlay."""
    done = subprocess.run(["kubectl", "kustomize", os.path.join(FOLDER, overlay)], capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return [item for item in yaml.safe_load_all(done.stdout) if item]


def job(name, node="n1"):
    """A Job of uninstall/, filled in as uninstall.sh does it: its text."""
    with open(os.path.join(FOLDER, "uninstall", name + ".yaml"), encoding="utf-8") as file:
        return re.sub(r"NODE$", node, file.read().replace("NUMBER", "1"), flags=re.M).replace('"LIMIT"', '"900"')


def find(items, kind, name):
    return next(item for item in items if item["kind"] == kind and item["metadata"]["name"] == name)


def pods(items):
    """[(name, spec of the pod)] of all workloads."""
    return [(item["metadata"]["name"], item["spec"]["template"]["spec"]) for item in items if item["kind"] in ("DaemonSet", "Deployment", "Job")]
