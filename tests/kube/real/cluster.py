# SPDX-License-Identifier: GPL-2.0-only
"""A real Kubernetes without containers: etcd, kube-apiserver and kube-controller-manager as processes, in the network that netns names (None:
this one). Nodes and pods are objects whose status the test sets, as a kubelet would."""
import os
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from client import Client  # noqa: E402 pylint: disable=wrong-import-position

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../.."))
TOOLS = os.path.join(ROOT, "build/kube")
CONTROLLERS = ("endpointslice-controller", "deployment-controller", "replicaset-controller", "daemonset-controller", "job-controller", "serviceaccount-controller",
               "garbage-collector-controller", "namespace-controller", "root-ca-certificate-publisher-controller")
TOKEN = "admin-token"


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Cluster:
    """host: the address that others reach the API server at."""

    def __init__(self, directory, host="127.0.0.1", netns=None):
        self.directory, self.host, self.netns = directory, host, netns
        self.processes, self.logs = {}, {}
        self.port, self.etcd_port, self.peer_port = (6443, 2379, 2380) if netns else (free_port(), free_port(), free_port())
        os.makedirs(directory, exist_ok=True)
        self.url = f"https://{host}:{self.port}"
        self.etcd_url = f"http://127.0.0.1:{self.etcd_port}"
        self.ca_file = self.path("certs/apiserver.crt")

    def path(self, name):
        return os.path.join(self.directory, name)

    def inside(self, words):
        return ["nsenter", f"--net=/run/netns/{self.netns}", *words] if self.netns else words

    def spawn(self, name, *words, netns=None):
        """Starts a program; its output goes to NAME.log."""
        words = ["nsenter", f"--net=/run/netns/{netns}", *words] if netns else self.inside(list(words))
        with open(self.path(f"{name}.log"), "ab") as log:
            self.processes[name] = subprocess.Popen(words, stdout=log, stderr=log, cwd=self.directory)  # pylint: disable=consider-using-with
        return self.processes[name]

    def kill(self, name):
        process = self.processes.pop(name, None)
        if process:
            process.kill()
            process.wait()

    def log(self, name, count=15):
        try:
            with open(self.path(f"{name}.log"), encoding="utf-8", errors="replace") as file:
                return "".join(file.readlines()[-count:])
        except OSError:
            return ""

    # --- the control plane

    def start_etcd(self):
        peer = f"http://127.0.0.1:{self.peer_port}"
        self.spawn("etcd", os.path.join(TOOLS, "etcd"), "--data-dir", self.path("etcd"), "--unsafe-no-fsync", "--listen-client-urls", self.etcd_url,
                   "--advertise-client-urls", self.etcd_url, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                   "--initial-cluster", f"default={peer}", "--log-level", "error")

    def start_api(self):
        """compaction: every second, so that a page token expires while a test waits."""
        self.spawn("api", os.path.join(TOOLS, "kube-apiserver"), "--etcd-servers", self.etcd_url, "--secure-port", str(self.port), "--cert-dir", self.path("certs"),
                   "--bind-address", "0.0.0.0", "--advertise-address", "192.0.2.1" if self.host.startswith("127.") else self.host,
                   "--service-cluster-ip-range=10.96.0.0/16,fd96::/108", "--service-account-issuer=https://weir.test",
                   "--service-account-key-file", self.path("sa.key"), "--service-account-signing-key-file", self.path("sa.key"),
                   "--token-auth-file", self.path("tokens"), "--authorization-mode=RBAC", "--disable-admission-plugins=ServiceAccount",
                   "--endpoint-reconciler-type=none", "--etcd-compaction-interval=1s", "--shutdown-delay-duration=0s")

    def ready(self, seconds=60):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.processes["api"].poll() is not None:
                break
            done = subprocess.run(self.inside(["curl", "-sk", "--max-time", "2", "-H", f"Authorization: Bearer {TOKEN}", f"https://127.0.0.1:{self.port}/readyz"]),
                                  capture_output=True, text=True, check=False)
            if done.stdout == "ok":
                return
            time.sleep(0.1)
        raise RuntimeError("kube-apiserver is not ready:\n" + self.log("api"))

    def start(self):
        subprocess.run(["openssl", "genrsa", "-out", self.path("sa.key"), "2048"], check=True, capture_output=True)
        with open(self.path("tokens"), "w", encoding="utf-8") as file:
            file.write(f'{TOKEN},admin,1,"system:masters"\n')
        with open(self.path("kubeconfig"), "w", encoding="utf-8") as file:
            file.write(self.kubeconfig(TOKEN))
        self.start_etcd()
        self.start_api()
        self.ready()

    def restart_api(self):
        self.kill("api")
        self.start_api()
        self.ready()

    def start_controllers(self):
        self.spawn("controllers", os.path.join(TOOLS, "kube-controller-manager"), "--kubeconfig", self.path("kubeconfig"), "--controllers", ",".join(CONTROLLERS),
                   "--leader-elect=false", "--root-ca-file", self.ca_file, "--service-account-private-key-file", self.path("sa.key"), "--secure-port=0")

    def stop(self):
        for name in list(self.processes):
            self.kill(name)

    def kubeconfig(self, token):
        return ("apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [ { name: c, cluster: { server: \"" + self.url +
                "\", insecure-skip-tls-verify: true } } ]\nusers: [ { name: u, user: { token: \"" + token +
                "\" } } ]\ncontexts: [ { name: c, context: { cluster: c, user: u } } ]\n")

    # --- what asks it

    def client(self, token=TOKEN):
        return Client(self.url, token, netns=self.netns)

    def kubectl(self, *words, given=None):
        """(exit status, what it said)"""
        done = subprocess.run(self.inside(["kubectl", "--kubeconfig", self.path("kubeconfig"), *words]), input=given, capture_output=True, text=True,
                              check=False, timeout=120, env={**os.environ, "HOME": self.directory})
        return done.returncode, done.stdout + done.stderr
