# SPDX-License-Identifier: GPL-2.0-only
"""Nodes for a real Kubernetes: the namespaces of a lab (scripts/lab.sh), a real kube-proxy in each that has pods, and what a kubelet and a
scheduler would do, done here: pods of DaemonSets are bound, their containers run from our image (container.py), their status is told; pods that
go are ended within their grace.

    client - router (API server) - switch - lb, b3: edge nodes, label weir.dev/edge: pods of DaemonSet weir; the router shares flows out
                                          - b1, b2: pods of weir-node, kube-proxy, and behind them p1, p2: nginx

All of it is dual-stack."""
import os
import subprocess
import threading
import time

import container
from client import MERGE, path_of
from cluster import ROOT, TOOLS

API_HOST = "10.77.0.1"
ADDRESS = {"lb": "10.77.0.2", "b1": "10.77.0.11", "b2": "10.77.0.12", "b3": "10.77.0.13"}
ADDRESS6 = {"lb": "fd77::2", "b1": "fd77::11", "b2": "fd77::12", "b3": "fd77::13"}
EDGES = ("lb", "b3")
NGINX = """user www-data; worker_processes 1; pid {d}/nginx.pid; error_log {d}/error.log;
events {{ worker_connections 1024; }}
http {{ access_log off; keepalive_requests 1000000; keepalive_timeout 600s;
  client_body_temp_path {d}; proxy_temp_path {d}; fastcgi_temp_path {d}; uwsgi_temp_path {d}; scgi_temp_path {d};
  server {{ listen 8080; listen [::]:8080 ipv6only=on; location / {{ return 200 "{name} $remote_addr\\n"; }} }} }}
"""


def run(*words, check=True, **more):
    done = subprocess.run(words, capture_output=True, text=True, check=False, **more)
    if check and done.returncode:
        raise RuntimeError(f"{words}: {done.stdout}{done.stderr}")
    return done.stdout


class Lab:
    def __init__(self):
        self.prefix = f"k{os.getpid()}"
        self.directory = f"/run/weir-lab/{self.prefix}"

    def netns(self, host):
        return f"{self.prefix}-{host}"

    def inside(self, host, *words, **more):
        return run("nsenter", f"--net=/run/netns/{self.netns(host)}", *words, **more)

    def up(self):
        run("bash", os.path.join(ROOT, "scripts/lab.sh"), "up", "--prefix", self.prefix, "--arm", "one", "--backends", "3", "--decap", "off")
        for number in (1, 2):
            self._pod_network(number)
        # Frames that are sent back arrive only where the other end has a program (scripts/lab.sh).
        run("ip", "-n", self.netns("sw"), "link", "set", "dev", "b3", "xdpdrv", "object", os.path.join(ROOT, "build/bpf/lb_pass.bpf.o"), "section", "xdp.frags")
        self.inside("router", "sysctl", "-qw", "net.ipv4.fib_multipath_hash_policy=1", "net.ipv6.fib_multipath_hash_policy=1")
        for net, addresses in (("203.0.113.0/24", ADDRESS), ("2001:db8:113::/64", ADDRESS6)):
            hops = [word for edge in EDGES for word in ("nexthop", "via", addresses[edge])]
            run("ip", "-n", self.netns("router"), "route", "del", net)
            run("ip", "-n", self.netns("router"), "route", "add", net, *hops)

    def _pod_network(self, number):
        """A pod's namespace behind its node, and the way to it from the other node."""
        node, pod, other = f"b{number}", self.netns(f"p{number}"), f"b{3 - number}"
        net, net6 = f"10.244.{number}", f"fd10:244:{number}:"
        run("ip", "netns", "add", pod)
        run("ip", "-n", self.netns(node), "link", "add", "pod", "type", "veth", "peer", "name", "eth0", "netns", pod)
        for words in ((self.netns(node), "address", "add", f"{net}.1/24", "dev", "pod"), (self.netns(node), "link", "set", "pod", "up"),
                      (pod, "address", "add", f"{net}.2/24", "dev", "eth0"), (pod, "link", "set", "eth0", "up"), (pod, "link", "set", "lo", "up"),
                      (pod, "route", "add", "default", "via", f"{net}.1"), (self.netns(other), "route", "add", f"{net}.0/24", "via", ADDRESS[node]),
                      (self.netns(node), "address", "add", f"{net6}:1/64", "dev", "pod", "nodad"), (pod, "address", "add", f"{net6}:2/64", "dev", "eth0", "nodad"),
                      (pod, "route", "add", "default", "via", f"{net6}:1"), (self.netns(other), "route", "add", f"{net6}:/64", "via", ADDRESS6[node])):
            run("ip", "-n", *words)
        self.inside(node, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.pod.rp_filter=0", "net.ipv6.conf.all.forwarding=1")
        for place in (self.netns(node), pod):
            run("nsenter", f"--net=/run/netns/{place}", "ethtool", "-K", "pod" if place != pod else "eth0", "tx", "off")

    def nginx(self, number):
        directory = os.path.join(self.directory, f"p{number}")
        os.makedirs(directory, exist_ok=True)
        with open(directory + "/nginx.conf", "w", encoding="utf-8") as file:
            file.write(NGINX.format(d=directory, name=f"p{number}"))
        run("nsenter", f"--net=/run/netns/{self.netns(f'p{number}')}", "nginx", "-c", directory + "/nginx.conf", "-p", directory, "-e", directory + "/error.log")

    def down(self):
        for number in (1, 2):
            for pid in run("ip", "netns", "pids", self.netns(f"p{number}"), check=False).split():
                os.kill(int(pid), 9)
            run("ip", "netns", "del", self.netns(f"p{number}"), check=False)
        run("bash", os.path.join(ROOT, "scripts/lab.sh"), "down", "--prefix", self.prefix, check=False)


class Kubelet(threading.Thread):
    """The part of a kubelet for pods of DaemonSets, on all nodes of the lab; and the scheduler's."""

    def __init__(self, cluster, lab, rootfs):
        super().__init__(daemon=True)
        self.cluster, self.lab, self.rootfs = cluster, lab, rootfs
        self.client = cluster.client()
        self.running, self.stopped, self.error = {}, False, None
        self.lock = threading.Lock()

    def host(self, node):
        directory = os.path.join(self.cluster.directory, "hosts", node)
        if not os.path.isdir(directory + "/sys/fs/bpf"):
            os.makedirs(directory + "/sys/fs/bpf")
            run("mount", "-t", "bpf", "bpf", directory + "/sys/fs/bpf")
        return directory

    def _volumes(self, pod):
        """Secrets and projected volumes as files."""
        found = {}
        for volume in pod["spec"]["volumes"]:
            directory = os.path.join(self.cluster.directory, "volumes", pod["metadata"]["uid"], volume["name"])
            if "secret" in volume:
                data = self.client.get("secrets", "weir", volume["secret"]["secretName"]).body["data"]
                # What the lab has of it differs from the example only in what an administrator fills in.
                files = {name: subprocess.run(["base64", "-d"], input=text.encode(), capture_output=True, check=True).stdout for name, text in data.items()}
            elif "projected" in volume:
                path = path_of("serviceaccounts", "weir", pod["spec"]["serviceAccountName"], "token")
                token = self.client.ask("POST", path, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}).body["status"]["token"]
                with open(self.cluster.ca_file, "rb") as file:
                    files = {"token": token.encode(), "ca.crt": file.read(), "namespace": b"weir"}
            else:
                continue
            os.makedirs(directory, mode=0o755)
            for name, text in files.items():
                with open(os.path.join(directory, name), "wb") as file:
                    file.write(text)
                os.chmod(os.path.join(directory, name), 0o444)
            found[volume["name"]] = directory
        return found

    def _start(self, pod):
        node = pod["spec"]["nodeName"]
        env = {"NODE_NAME": node, "POD_NAMESPACE": "weir", "KUBERNETES_SERVICE_HOST": API_HOST, "KUBERNETES_SERVICE_PORT": "6443"}
        spec = container.Pod(pod["spec"], self.rootfs, self.host(node), self.lab.netns(node), self._volumes(pod), env)
        processes = {}
        for entry in pod["spec"]["containers"]:
            processes[entry["name"]] = self._run(spec, node, entry["name"])
        self.running[pod["metadata"]["name"]] = (spec, node, processes)
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        status = {"phase": "Running", "hostIP": ADDRESS[node], "podIP": ADDRESS[node], "podIPs": [{"ip": ADDRESS[node]}, {"ip": ADDRESS6[node]}],
                  "conditions": [{"type": kind, "status": "True", "lastTransitionTime": now} for kind in ("Ready", "ContainersReady", "Initialized")]}
        self.client.patch("pods", "weir", pod["metadata"]["name"], {"status": status}, MERGE, "status")

    def _run(self, spec, node, name):
        with open(os.path.join(self.cluster.directory, f"{node}-{name}.log"), "ab") as log:
            return spec.start(name, stdout=log, stderr=log)

    def _end(self, name):
        _, _, processes = self.running.pop(name)
        for process in processes.values():
            process.terminate()
        for process in processes.values():
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
        self.client.ask("DELETE", path_of("pods", "weir", name), {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0})

    def _turn(self):
        answer = self.client.get("pods", "weir")
        for pod in answer.body["items"] if answer.code == 200 else []:
            name = pod["metadata"]["name"]
            if pod["metadata"].get("deletionTimestamp"):
                if name in self.running:
                    self._end(name)
            elif not pod["spec"].get("nodeName"):
                node = "lb"
                if "affinity" in pod["spec"]:
                    terms = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
                    node = next(field["values"][0] for field in terms[0]["matchFields"] if field["key"] == "metadata.name")
                self.client.ask("POST", path_of("pods", "weir", name, "binding"), {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name},
                                                                                  "target": {"apiVersion": "v1", "kind": "Node", "name": node}})
            elif name not in self.running and pod["status"].get("phase") not in ("Succeeded", "Failed"):
                self._start(pod)
        for pod, (spec, node, processes) in list(self.running.items()):
            for name, process in list(processes.items()):
                if process.poll() is None:
                    continue
                if spec.spec["restartPolicy"] == "Never":
                    self._ended(pod, process.returncode)
                else:
                    processes[name] = self._run(spec, node, name)

    def _ended(self, pod, code):
        """The container of a Job's pod has come to its end."""
        self.running.pop(pod)
        conditions = [{"type": kind, "status": "False", "reason": "PodCompleted"} for kind in ("Ready", "ContainersReady")]
        self.client.patch("pods", "weir", pod, {"status": {"phase": "Failed" if code else "Succeeded", "conditions": conditions}}, MERGE, "status")

    def run(self):
        while not self.stopped:
            try:
                with self.lock:
                    self._turn()
            except (OSError, TypeError, KeyError, RuntimeError, StopIteration) as error:  # the API server may be away; the next turn sees
                self.error = error
                self.client = self.cluster.client()
            time.sleep(0.1)

    def process(self, node, name):
        """The process of a container on a node, or None."""
        with self.lock:
            return next((processes[name] for _, where, processes in self.running.values() if where == node and name in processes), None)

    def end(self):
        self.stopped = True
        self.join(30)
        for _, _, processes in self.running.values():
            for process in processes.values():
                process.kill()
                process.wait()
        for node in ADDRESS:
            run("umount", os.path.join(self.cluster.directory, "hosts", node, "sys/fs/bpf"), check=False)


def start_proxy(cluster, lab, node):
    cluster.spawn(f"proxy-{node}", os.path.join(TOOLS, "kube-proxy"), "--kubeconfig", cluster.path("kubeconfig"), "--proxy-mode=nftables", f"--hostname-override={node}",
                  "--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=0", "--conntrack-tcp-timeout-close-wait=0", netns=lab.netns(node))
