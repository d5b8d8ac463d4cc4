# SPDX-License-Identifier: GPL-2.0-only
"""lb-kubed between an API server for tests and a real lbd, all in a network namespace of their own: what tests of lb-kubed share."""
import http.client
import http.server
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
KUBED = os.environ.get("KUBED", os.path.join(ROOT, "build/san/lb-kubed"))
LBD = os.environ.get("LBD", os.path.join(ROOT, "build/lbd"))
UID = 65102
PROXY_PORT = 10256
results = []


def in_namespace():
    """Starts the running script anew in namespaces of its own, unless that has been done: network, mounts, and processes, which end with it."""
    if os.environ.get("WEIR_KUBE_NAMESPACE"):
        return
    if os.geteuid() != 0:
        print("1..0 # SKIP only root has namespaces")
        sys.exit(0)
    os.execvpe("unshare", ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--", sys.executable, *sys.argv], dict(os.environ, WEIR_KUBE_NAMESPACE="1"))


def run(*words):
    subprocess.run(words, check=True, capture_output=True)


def check(what, good, why=""):
    results.append(bool(good))
    print(f"{'ok' if good else 'not ok'} {len(results)} - {what}", flush=True)
    if not good and why != "":
        print("# " + str(why).replace("\n", "\n# "), flush=True)
    return good


def wait_for(condition, within=10.0):
    """The condition's first true value, or its last one."""
    deadline = time.monotonic() + within
    while True:
        value = condition()
        if value or time.monotonic() > deadline:
            return value
        time.sleep(0.01)


def done():
    print(f"1..{len(results)}", flush=True)
    sys.exit(0 if all(results) else 1)


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("weir", timeout=10)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(self.path)


class Node:
    """A node's service proxy, as far as load balancers ask it: /healthz on an address of this namespace. answers: port -> status."""

    def __init__(self, number):
        self.name, self.number = f"n{number}", number
        self.address, self.address6 = f"10.77.0.{number}", f"fd77::{number}"
        self.answers, self.says, self.servers, self.asked = {}, {}, {}, {}
        run("ip", "address", "add", f"{self.address}/32", "dev", "lo")
        run("ip", "address", "add", f"{self.address6}/128", "dev", "lo", "nodad")
        self.answer(PROXY_PORT, 200)

    def answer(self, port, status, body=b"", **headers):
        """None: the port is closed."""
        self.answers[port] = status
        self.says[port] = (body, headers)
        if status is None:
            for server in self.servers.pop(port, []):
                server.shutdown()
                server.server_close()
        elif port not in self.servers:
            self.servers[port] = [self._serve(self.address, port, socket.AF_INET), self._serve(self.address6, port, socket.AF_INET6)]

    def _serve(self, address, port, family):
        node = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                node.asked[port] = node.asked.get(port, 0) + 1
                self.send_response(node.answers[port] or 503)
                body, headers = node.says[port]
                self.send_header("Content-Length", str(len(body)))
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        kind = type("Server", (http.server.ThreadingHTTPServer,), {"address_family": family, "daemon_threads": True})
        server = kind((address, port), Handler)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return server

    def object(self, labels=None, **spec):
        return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": self.name, "labels": labels or {}}, "spec": spec,
                "status": {"addresses": [{"type": "InternalIP", "address": self.address}, {"type": "InternalIP", "address": self.address6}]}}


class Rig:
    """A directory, an lbd, and lb-kubed with its options. With it come clients of both."""

    def __init__(self, nodes=3):
        self.directory = tempfile.mkdtemp(prefix="kubed-test-")
        os.chmod(self.directory, 0o755)
        self.socket = os.path.join(self.directory, "lbd.sock")
        self.lbd, self.kubed, self.log = None, None, None
        self.n_logs = 0
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", "weir0", "type", "veth", "peer", "name", "weir1")
        for name in ("weir0", "weir1"):
            run("ip", "link", "set", name, "up")
        run("ip", "address", "add", "10.78.0.1/24", "dev", "weir0")
        bpffs = os.path.join(self.directory, "bpf")
        os.mkdir(bpffs)
        run("mount", "-t", "bpf", "bpf", bpffs)
        self.nodes = [Node(number) for number in range(1, nodes + 1)]

    # --- lbd

    def start_lbd(self, more=None, **source):
        """more: keys of the configuration; source: of what the source may."""
        config = {
            "version": 1, "hash_seed": "test", "interfaces": [{"name": "weir0", "attach": "exclusive"}],
            "limits": {"services": 16384, "backends": 262144, "ring_slots": 1 << 24, "flow_entries": 65536},
            "api": {"metrics": ""}, "services": [],
            "sources": [{"name": "kubernetes", "uid": UID, "max_services": 16384, "max_backends": 262144,
                         "vips": [{"prefix": "203.0.112.0/20"}, {"prefix": "2001:db8::/32"}], **source}], **(more or {})}
        path = os.path.join(self.directory, "weir.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(config, file)
        with open(os.path.join(self.directory, "lbd.log"), "ab") as log:
            self.lbd = subprocess.Popen([LBD, "-c", path, "--bpffs", os.path.join(self.directory, "bpf", "weir"), "--state-dir",
                                         os.path.join(self.directory, "state"), "--socket", self.socket], stdout=log, stderr=log)
        if not wait_for(lambda: self.agent("GET", "/v1/status")[0] == 200 or self.lbd.poll() is not None, 20) or self.lbd.poll() is not None:
            with open(os.path.join(self.directory, "lbd.log"), encoding="utf-8") as file:
                print("# " + file.read()[-3000:].replace("\n", "\n# "))
        os.chmod(self.socket, 0o666)

    def stop_lbd(self):
        self.lbd.terminate()
        self.lbd.wait(10)

    def agent(self, method, path, body=None):
        """(status, answer); (0, None) where nobody answers."""
        connection = UnixConnection(self.socket)
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        except (OSError, http.client.HTTPException):
            return 0, None
        finally:
            connection.close()

    def service(self, name):
        """One service as lbd runs it, or None."""
        status, answer = self.agent("GET", f"/v1/services/{name}")
        return answer if status == 200 else None

    def backends(self, name):
        """"n1=100 n2!100" of a service, ! for one that drains; None: it is not there."""
        service = self.service(name)
        if service is None:
            return None
        return " ".join(sorted(f"{backend['name']}{'!' if backend['configured']['state'] == 'drain' else '='}{backend['configured']['weight']}"
                               for backend in service["backends"] if backend["configured"]))

    def services(self):
        return sorted(service["name"] for service in self.agent("GET", "/v1/sources/kubernetes")[1]["service_list"])

    # --- lb-kubed

    def start_kubed(self, api, *options, node="edge-1", token=None):
        token_file = os.path.join(self.directory, "token")
        if token is not None or not os.path.exists(token_file):
            self.write_token(token or "kubed")
        os.chmod(api.directory, 0o755)
        self.n_logs += 1
        self.log = os.path.join(self.directory, f"kubed.{self.n_logs}.log")
        self.kubed = self._kubed(api, self.log, "--node", node, "--socket", self.socket, "--metrics", "127.0.0.1:9652", *options)

    def another_kubed(self, api, node, port, *options):
        """One more member, whose lbd does not answer."""
        return self._kubed(api, os.path.join(self.directory, node + ".log"), "--node", node, "--socket", "/nowhere", "--metrics", f"127.0.0.1:{port}", *options)

    def _kubed(self, api, log_file, *options):
        with open(log_file, "wb") as log:
            return subprocess.Popen(
                ["setpriv", "--reuid", str(UID), "--regid", str(UID), "--clear-groups", "--no-new-privs", KUBED, "--api", api.url, "--ca", api.ca_file,
                 "--token-file", os.path.join(self.directory, "token"), *options],
                stdout=log, stderr=log, env={"ASAN_OPTIONS": "detect_leaks=1:exitcode=99", "UBSAN_OPTIONS": "print_stacktrace=1", "PATH": os.environ["PATH"]})

    def write_token(self, token):
        """As the kubelet does it: the whole file at once."""
        path = os.path.join(self.directory, "token")
        with open(path + ".new", "w", encoding="utf-8") as file:
            file.write(token)
        os.chmod(path + ".new", 0o644)
        os.rename(path + ".new", path)

    def stop_kubed(self, sure=False):
        """Its status; in order, or killed."""
        if sure:
            self.kubed.kill()
        else:
            self.kubed.terminate()
        return self.kubed.wait(15)

    def logged(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()

    @staticmethod
    def get(path, port=9652):
        """(status, text) of lb-kubed's own server."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except (OSError, http.client.HTTPException):
            return 0, ""
        finally:
            connection.close()

    def is_ready(self):
        return self.get("/readyz")[0] == 200

    def metric(self, name, port=9652):
        for line in self.get("/metrics", port)[1].splitlines():
            if line.startswith(name + " "):
                return float(line.split()[1])
        return None

    def state(self):
        """What may tell why something is not as it should be."""
        lines = [line for line in self.get("/metrics")[1].splitlines() if not line.startswith("#") and "_watch_" not in line]
        return "\n".join([self.logged()[-1500:], *lines, str(self.agent("GET", "/v1/sources/kubernetes")), str([node.asked for node in self.nodes])])

    def resident_kib(self):
        with open(f"/proc/{self.kubed.pid}/status", encoding="utf-8") as file:
            return int(next(line for line in file if line.startswith("VmRSS")).split()[1])


class Cluster:
    """What people and controllers do to the objects."""

    def __init__(self, client, nodes):
        self.client, self.nodes = client, {node.name: node for node in nodes}

    def begin(self, pools='{"pools":[{"name":"public","addresses":["203.0.113.0/24","2001:db8:113::/120"]}]}'):
        for name in ("weir", "default", "shop"):
            self.client.create("namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        self.pools(pools)
        for node in self.nodes.values():
            self.node(node)

    def pools(self, text):
        item = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "weir-pools", "namespace": "weir"}, "data": {"pools.json": text}}
        if self.client.create("configmaps", item, "weir").code == 409:
            self.client.patch("configmaps", "weir", "weir-pools", {"data": {"pools.json": text}})

    def node(self, node, **more):
        """As a kubelet does it: the object, then its status."""
        item = node.object(**more)
        self.client.create("nodes", item)
        self.client.patch("nodes", "", node.name, {"status": item["status"]}, sub="status")

    def service(self, name, annotations=None, namespace="default", ports=None, **spec):
        item = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace, "annotations": annotations or {}},
                "spec": {"type": "LoadBalancer", "loadBalancerClass": "weir.dev/weir", "selector": {"app": name},
                         "ports": ports or [{"name": "http", "port": 80, "protocol": "TCP"}], **spec}}
        return self.client.create("services", item, namespace)

    def endpoints(self, name, *where, family="IPv4", suffix="1", namespace="default", port="http"):
        """A slice of a Service: each is (node name, "ready", "ending" or "not")."""
        conditions = {"ready": {"ready": True, "serving": True, "terminating": False}, "ending": {"ready": False, "serving": True, "terminating": True},
                      "not": {"ready": False, "serving": False, "terminating": False}}
        base = "10.99.0." if family == "IPv4" else "fd99::"
        item = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": family,
                "metadata": {"name": f"{name}-{suffix}", "namespace": namespace, "labels": {"kubernetes.io/service-name": name}},
                "ports": [{"name": port, "port": 8080, "protocol": "TCP"}],
                "endpoints": [{"addresses": [f"{base}{i + 1}"], "nodeName": node, "conditions": conditions[how]} for i, (node, how) in enumerate(where)]}
        answer = self.client.create("endpointslices", item, namespace)
        if answer.code == 409:
            old = self.client.get("endpointslices", namespace, item["metadata"]["name"]).body
            item["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"]
            answer = self.client.replace("endpointslices", item)
        return answer

    def get(self, name, namespace="default"):
        return self.client.get("services", namespace, name).body

    def address(self, name, namespace="default"):
        """"IP IP" of the status."""
        status = self.get(name, namespace).get("status", {}).get("loadBalancer", {}).get("ingress") or []
        return " ".join(entry.get("ip", "") for entry in status)

    def reasons(self, name, namespace="default"):
        """Reasons of the Events of a Service."""
        return {event["reason"] for event in self.client.get("events", namespace).body["items"] if event["involvedObject"]["name"] == name}
