#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""make check-kube: what make check believes of Kubernetes, asked of the real one (build.sh builds it once). Ends with "N passed, N failed, N
skipped"; where it cannot be built, all is skipped with the reason.

    check.py [--keep] [PART...]     parts: conformance, manifests, stories"""
import os
import shutil
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..")]
import conformance  # noqa: E402 pylint: disable=wrong-import-position
import manifests  # noqa: E402 pylint: disable=wrong-import-position
import stories  # noqa: E402 pylint: disable=wrong-import-position
from cluster import ROOT, TOKEN, Cluster  # noqa: E402 pylint: disable=wrong-import-position

counts = {"passed": 0, "failed": 0, "skipped": 0}
# Of the Prometheus operator's resources only that they are there; what is in them it knows.
CRD = """apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{ name: {plural}.monitoring.coreos.com }}
spec:
  group: monitoring.coreos.com
  scope: Namespaced
  names: {{ plural: {plural}, singular: {singular}, kind: {kind} }}
  versions:
    - name: v1
      served: true
      storage: true
      schema: {{ openAPIV3Schema: {{ type: object, x-kubernetes-preserve-unknown-fields: true }} }}
"""


def check(what, good, why=""):
    counts["passed" if good else "failed"] += 1
    print(f"{'ok' if good else 'not ok'} {sum(counts.values())} - {what}", flush=True)
    if not good and why != "":
        print("# " + str(why)[:4000].replace("\n", "\n# "), flush=True)


def skip(what, why):
    counts["skipped"] += 1
    print(f"ok {sum(counts.values())} - {what} # SKIP {why}", flush=True)


def run_conformance(cluster):
    # Started again, the server has forgotten what was before: the version 1 is too old then.
    cluster.restart_api()
    conformance.run(cluster.url, TOKEN, None, lambda: conformance.etcd_compact(cluster.etcd_url), lambda what, good, why: check("the real server: " + what, good, why))


def run_manifests(cluster):
    if not manifests.have_kubectl():
        skip("the real server takes the manifests", "there is no kubectl")
        return
    for plural, kind in (("servicemonitors", "ServiceMonitor"), ("prometheusrules", "PrometheusRule")):
        status, said = cluster.kubectl("apply", "-f", "-", given=CRD.format(plural=plural, singular=kind.lower(), kind=kind))
        check(f"there is such a thing as a {kind}", status == 0, said)
    status, said = cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=20s")
    check("and the server knows it", status == 0, said)
    status, said = cluster.kubectl("apply", "-f", os.path.join(manifests.FOLDER, "base/namespace.yaml"))
    check("the namespace of the dry runs", status == 0, said)
    for overlay in manifests.OVERLAYS + manifests.EXTRAS:
        status, said = cluster.kubectl("apply", "--dry-run=server", "--validate=strict", "-k", os.path.join(manifests.FOLDER, overlay))
        check(f"the real server takes {overlay}, every field of it", status == 0 and "nknown field" not in said and "arning" not in said, said)
    status, said = cluster.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", given="\n---\n".join(manifests.job(name) for name in manifests.JOBS))
    check("and the Jobs that take it away", status == 0 and "nknown field" not in said and "arning" not in said, said)


def on_server(part, directory):
    """Runs a part against a control plane alone."""
    cluster = Cluster(os.path.join(directory, "server"))
    try:
        cluster.start()
        part(cluster)
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        check("the tests come to their end", False, f"{error}\n{cluster.log('api')}")
    finally:
        cluster.stop()
        shutil.rmtree(cluster.directory, ignore_errors=True)


def run_stories(directory):
    missing = [what for what, there in (("build/lb-kubed", os.path.exists(os.path.join(ROOT, "build/lb-kubed"))), ("kubectl", manifests.have_kubectl()),
                                        ("nft (apt install nftables)", shutil.which("nft", path=os.environ["PATH"] + ":/usr/sbin"))) if not there]
    if missing:
        skip("Services of a real Kubernetes are served", "there is no " + missing[0])
        return
    stories.run(directory, check)


PARTS = {"conformance": lambda directory: on_server(run_conformance, directory), "manifests": lambda directory: on_server(run_manifests, directory),
         "stories": run_stories}


def main():
    wanted = [word for word in sys.argv[1:] if word != "--keep"] or list(PARTS)
    built = subprocess.run([os.path.join(HERE, "build.sh")], capture_output=True, text=True, check=False)
    if built.returncode == 75:
        skip("the real Kubernetes", built.stdout.strip().splitlines()[-1])
    elif built.returncode:
        check("the real Kubernetes is built", False, built.stdout + built.stderr)
    else:
        directory = tempfile.mkdtemp(prefix="weir-kube-")
        os.chmod(directory, 0o755)  # containers of other users look into it
        for part in wanted:
            begin = time.monotonic()
            PARTS[part](directory)
            print(f"# {part}: {time.monotonic() - begin:.0f} s", flush=True)
        if "--keep" not in sys.argv:
            shutil.rmtree(directory, ignore_errors=True)
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    sys.exit(counts["failed"] > 0)


if __name__ == "__main__":
    main()
