#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 240
"""make image: the same bytes each time, whole as an OCI layout, and its programs run as the manifests of configs/kubernetes have them run:
root without its powers, or a user of its own, on a root that cannot be written, with the host's bpf file system."""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import yaml

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import container  # noqa: E402 pylint: disable=wrong-import-position
import manifests  # noqa: E402 pylint: disable=wrong-import-position

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
NETNS = f"weir-image-{os.getpid()}"
results = []


def check(what, good, why=""):
    results.append(bool(good))
    print(f"{'ok' if good else 'not ok'} {len(results)} - {what}", flush=True)
    if not good and why != "":
        print("# " + str(why).replace("\n", "\n# "), flush=True)
    return good


def run(*words):
    return subprocess.run(words, capture_output=True, text=True, check=False)


def must(*words):
    done = run(*words)
    if done.returncode:
        raise RuntimeError(f"{words}: {done.stderr}")
    return done.stdout


def until(condition, seconds=15):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    return condition()


def pod_of(name):
    with open(os.path.join(ROOT, "configs/kubernetes/base", name), encoding="utf-8") as file:
        return next(item for item in yaml.safe_load_all(file) if item["kind"] == "DaemonSet")["spec"]["template"]["spec"]


def container_of(spec, name):
    return next(entry for entry in spec["containers"] if entry["name"] == name)


class Host:
    """A node: a network with eth0, a bpf file system, and folders that pods of it share."""

    def __init__(self, directory):
        self.directory = directory
        must("ip", "netns", "add", NETNS)
        for words in (("link", "add", "eth0", "type", "veth", "peer", "name", "peer0"), ("link", "set", "lo", "up"), ("link", "set", "eth0", "up"),
                      ("link", "set", "peer0", "up"), ("address", "add", "10.0.1.1/24", "dev", "eth0")):
            must("ip", "-n", NETNS, *words)
        os.makedirs(directory + "/sys/fs/bpf")
        must("mount", "-t", "bpf", "bpf", directory + "/sys/fs/bpf")

    def done(self):
        run("umount", self.directory + "/sys/fs/bpf")
        run("ip", "netns", "del", NETNS)

    @staticmethod
    def get(path, port=9650):
        """What is answered on loopback, as a probe asks: (status, body)."""
        said = run("nsenter", f"--net=/run/netns/{NETNS}", "curl", "-s", "--max-time", "2", "-w", "\n%{http_code}", f"http://127.0.0.1:{port}{path}").stdout
        return said.rpartition("\n")[2], said.rpartition("\n")[0]

    @staticmethod
    def xdp():
        """Id of the program on eth0, or None."""
        link = json.loads(must("ip", "-n", NETNS, "-j", "-d", "link", "show", "eth0"))[0]
        return link.get("xdp", {}).get("prog", {}).get("id")


def same_twice(directory):
    """The image of build/, and once more as another user would make it later."""
    image = os.path.join(ROOT, "build/image/weir.tar")
    done = run("make", "-s", "-C", ROOT, "image")
    if not check("make image", done.returncode == 0 and os.path.exists(image), done.stdout + done.stderr):
        return None
    dry = must("make", "-n", "-C", ROOT, "image").replace("\\\n", " ")
    words = re.search(r"scripts/image\.py (.*build/image/weir\.tar.*)", dry)[1].split()
    words[words.index("--output") + 1] = os.path.join(directory, "again.tar")
    again = subprocess.run([os.path.join(ROOT, "scripts/image.py"), *words], cwd=ROOT, capture_output=True, text=True, check=False, umask=0o077)
    check("made again it is the same, byte for byte", run("cmp", image, os.path.join(directory, "again.tar")).returncode == 0, again.stderr)
    config, _ = container.read_layout(image)
    check("it is small, and whole: each blob is what its name says", config["os"] == "linux" and os.path.getsize(image) < 40 << 20, os.path.getsize(image))
    return image


def status_of(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def powers(process, wanted):
    """Whether a process has these capabilities, and gets no other."""
    status = status_of(process.pid)
    bits = sum(1 << container.CAPABILITIES[name] for name in wanted)
    return all(int(status[key], 16) == bits for key in ("CapPrm", "CapEff")) and status["NoNewPrivs"] == "1", status


def with_check(path):
    """A service whose backend is checked: without one lbd does not wait for lb-checkd."""
    with open(path, encoding="utf-8") as file:
        config = json.load(file)
    config["health"] = {"check": {"kind": "tcp"}}
    config["services"] = [{"name": "web", "vip": "203.0.113.10", "protocol": "tcp", "port": 80, "backends": [{"name": "b1", "address": "10.0.1.11"}]}]
    os.chmod(path, 0o600)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(config, file)


def edge(host, rootfs, directory, logs):
    """The pod of an edge node, without lb-kubed, which has tests of its own."""
    spec = pod_of("edge.yaml")
    config = os.path.join(directory, "config")
    os.makedirs(config)
    shutil.copy(os.path.join(ROOT, "configs/kubernetes/base/weir.json"), config)
    os.chmod(config + "/weir.json", 0o400)
    pod = container.Pod(spec, rootfs, host.directory, NETNS, {"config": config, "token": config})
    lbd = pod.start("lbd", stdout=logs, stderr=logs)
    probes = container_of(spec, "lbd")
    ready = until(lambda: lbd.poll() is not None or host.get(probes["readinessProbe"]["httpGet"]["path"])[0] == "200")
    check("lbd is ready, as its probes ask, though no service has come yet", ready and lbd.poll() is None and host.get(probes["livenessProbe"]["httpGet"]["path"])[0] == "200", (lbd.poll(), host.get("/readyz"), host.get("/healthz")))
    check("the packet path is on eth0", host.xdp())
    good, status = powers(lbd, ["BPF", "NET_ADMIN", "PERFMON"])
    check("lbd is root with three capabilities, and can have no more", good and status["Uid"].split()[0] == "0", status)
    with_check(config + "/weir.json")
    lbd.send_signal(signal.SIGHUP)
    checkd = pod.start("lb-checkd", stdout=logs, stderr=logs)
    check("lb-checkd reaches it", until(lambda: "\nweir_checker_connected 1\n" in host.get("/metrics")[1]), host.get("/metrics")[1][:300])
    good, status = powers(checkd, ["NET_RAW"])
    check("lb-checkd is nobody, and may do no more than mark its packets", good and status["Uid"].split()[0] == "65101", status)
    with open(f"/proc/{lbd.pid}/mountinfo", encoding="utf-8") as file:
        mounts = {line.split()[4]: line.split()[5] for line in file}
    check("its root cannot be written", mounts["/"].startswith("ro"), mounts)
    return pod, lbd, checkd


def rolled(host, pod, lbd, logs):
    """A pod goes, and another takes its place: the packet path stays, and is adopted."""
    before = host.xdp()
    lbd.terminate()
    check("stopped within the pod's grace", lbd.wait(15) == 0, lbd.returncode)
    check("the packet path stays while no lbd is there", host.xdp() == before, host.xdp())
    lbd = pod.start("lbd", stdout=logs, stderr=logs)
    check("the next one adopts it", until(lambda: host.get("/readyz")[0] == "200") and host.xdp() == before, (before, host.xdp()))
    return lbd


def removed(host, pod, logs):
    must("ip", "-n", NETNS, "route", "add", "203.0.113.10/32", "dev", "lo", "table", "177", "proto", "201")
    job = container.Pod(yaml.safe_load(manifests.job("purge"))["spec"]["template"]["spec"], pod.rootfs, host.directory, NETNS, pod.volumes)
    check("the Job that purges takes it off", job.start("purge", stdout=logs, stderr=logs).wait(20) == 0 and host.xdp() is None, host.xdp())
    check("and leaves no pin", not os.path.exists(host.directory + "/sys/fs/bpf/weir"), os.listdir(host.directory + "/sys/fs/bpf"))
    check("no route by which a VIP was announced", not run("ip", "-n", NETNS, "route", "show", "table", "177").stdout)
    check("and no file", not os.listdir(host.directory + "/var/lib/weir"), os.listdir(host.directory + "/var/lib/weir"))


def node(host, rootfs, directory, logs):
    """lb-backend as on the other nodes."""
    spec = pod_of("node.yaml")
    pod = container.Pod(spec, rootfs, host.directory, NETNS)
    said = os.path.join(directory, "lb-backend.log")
    with open(said, "wb") as out:
        backend = pod.start("lb-backend", stdout=out, stderr=out)
    check("lb-backend decapsulates on eth0", until(lambda: backend.poll() is not None or host.xdp()) and backend.poll() is None, open_text(said))
    good, status = powers(backend, container_of(spec, "lb-backend")["securityContext"]["capabilities"]["add"])
    check("with its four capabilities, and no more", good, status)
    addresses = must("ip", "-n", NETNS, "-o", "address", "show", "dev", "lo")
    check("and adds no address", "203.0.113." not in addresses, addresses)
    backend.terminate()
    backend.wait(15)
    container_of(spec, "lb-backend").update(command=["/usr/local/sbin/lb-backend", "down"], args=[])
    check("down takes it off", pod.start("lb-backend", stdout=logs, stderr=logs).wait(15) == 0 and host.xdp() is None, (open_text(said), host.xdp()))


def open_text(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()[-3000:]


def main():
    directory = tempfile.mkdtemp(prefix="weir-image-")
    processes = []
    host = Host(os.path.join(directory, "host"))
    try:
        image = same_twice(directory)
        if image:
            rootfs = os.path.join(directory, "root")
            container.unpack(image, rootfs)
            with open(os.path.join(directory, "log"), "wb") as logs:
                pod, lbd, checkd = edge(host, rootfs, directory, logs)
                processes += [lbd, checkd]
                lbd = rolled(host, pod, lbd, logs)
                processes.append(lbd)
                for process in processes:
                    process.kill()
                    process.wait()
                removed(host, pod, logs)
                node(host, rootfs, directory, logs)
            if not all(results):
                print("# " + open_text(os.path.join(directory, "log")).replace("\n", "\n# "))
    finally:
        for process in processes:
            process.kill()
        host.done()
        shutil.rmtree(directory, ignore_errors=True)
    print(f"1..{len(results)}")
    sys.exit(not all(results))


if __name__ == "__main__":
    main()
