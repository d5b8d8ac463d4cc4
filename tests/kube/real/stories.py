# SPDX-License-Identifier: GPL-2.0-only
"""Services of a real Kubernetes, served by Weir: created, scaled, rolled, drained, moved between policies and deleted under traffic; the API
server killed, the leader killed, the DaemonSet rolled, a node lost. Traffic is a client's curl through the VIP, all the time."""
import http.client
import json
import os
import subprocess
import threading
import time

import container
from client import MERGE, STRATEGIC
from cluster import ROOT, Cluster
from manifests import FOLDER
from nodes import ADDRESS, ADDRESS6, API_HOST, EDGES, Kubelet, Lab, start_proxy

CLASS = "weir.dev/weir"
CLIENT = {"198.51.100.2", "2001:db8:51::2"}


def until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    return condition()


def url_of(address):
    return f"http://[{address}]/" if ":" in address else f"http://{address}/"


class Traffic(threading.Thread):
    """One connection a request, as fast as answers come, to one address after the other: who answered, and what was not answered within 5 s."""

    def __init__(self, lab, addresses, gap_s=0.02):
        super().__init__(daemon=True)
        self.lab, self.addresses, self.gap_s = lab, addresses, gap_s
        self.answers, self.failed, self.slowest_s, self.stopped = [], [], 0.0, False

    def run(self):
        words = ["nsenter", f"--net=/run/netns/{self.lab.netns('client')}", "curl", "-s", "--max-time", "5"]
        turn = 0
        while not self.stopped:
            begin = time.monotonic()
            turn += 1
            address = self.addresses[turn % len(self.addresses)]
            done = subprocess.run([*words, url_of(address)], capture_output=True, text=True, check=False)
            self.slowest_s = max(self.slowest_s, time.monotonic() - begin)
            if done.returncode or not done.stdout:
                self.failed.append((address, time.monotonic(), done.returncode))
            else:
                self.answers.append(done.stdout.strip())
            time.sleep(self.gap_s)

    def mark(self):
        return len(self.answers), len(self.failed)

    def since(self, mark):
        """(pods that answered, addresses they saw, failures) since a mark."""
        lines = [line.split() for line in self.answers[mark[0]:]]
        return {line[0] for line in lines}, {line[1] for line in lines}, self.failed[mark[1]:]

    def more(self, count=40):
        """Waits for so many more answers; since() of them."""
        mark = self.mark()
        until(lambda: len(self.answers) >= mark[0] + count, 20)
        return self.since(mark)


class Story:
    def __init__(self, directory, check):
        self.check, self.directory, self.rows = check, directory, []
        self.lab = Lab()
        self.cluster = Cluster(directory, API_HOST, self.lab.netns("router"))
        self.kubelet = self.client = self.traffic = None

    # --- setting the stage

    def start(self):
        self.lab.up()
        self.cluster.start()
        self.client = self.cluster.client()
        self.cluster.start_controllers()
        rootfs = os.path.join(self.directory, "root")
        container.unpack(os.path.join(ROOT, "build/image/weir.tar"), rootfs)
        for node in ADDRESS:
            self._node(node)
        self._apply()
        self.kubelet = Kubelet(self.cluster, self.lab, rootfs)
        self.kubelet.start()
        for number in (1, 2):
            start_proxy(self.cluster, self.lab, f"b{number}")
            self.lab.nginx(number)
            self._pod(f"web-{number}", number)

    def _node(self, name):
        labels = {"kubernetes.io/hostname": name, **({"weir.dev/edge": ""} if name in EDGES else {})}
        self.client.create("nodes", {"metadata": {"name": name, "labels": labels}})
        self._node_status(name, "True")

    def _node_status(self, name, ready):
        self.client.patch("nodes", "", name, {"status": {"addresses": [{"type": "InternalIP", "address": address} for address in (ADDRESS[name], ADDRESS6[name])], "conditions": [
            {"type": "Ready", "status": ready, "reason": "Test", "message": "", "lastHeartbeatTime": None, "lastTransitionTime": None}]}}, STRATEGIC, "status")

    def _pod(self, name, number):
        """A pod as its kubelet tells of it; who answers in it is the lab's nginx."""
        made = self.client.create("pods", {"metadata": {"name": name, "labels": {"app": "web"}}, "spec": {
            "nodeName": f"b{number}", "terminationGracePeriodSeconds": 30, "tolerations": [{"operator": "Exists"}],
            "containers": [{"name": "nginx", "image": "nginx", "ports": [{"containerPort": 8080}]}]}}, "default")
        if made.code != 201:
            raise RuntimeError(f"pod {name}: {made}")
        self._pod_status(name, number, "True")

    def _pod_status(self, name, number, ready):
        address = f"10.244.{number}.2"
        self.client.patch("pods", "default", name, {"status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}, {"ip": f"fd10:244:{number}::2"}], "conditions": [
            {"type": kind, "status": ready} for kind in ("Ready", "ContainersReady")]}}, MERGE, "status")

    def _pod_gone(self, name):
        self.client.delete("pods", "default", name, kind="DeleteOptions", apiVersion="v1", gracePeriodSeconds=0)

    def _apply(self):
        """The manifests as they are, but for what an administrator fills in."""
        overlay = os.path.join(self.directory, "overlay")
        os.makedirs(overlay)
        with open(os.path.join(FOLDER, "base/weir.json"), encoding="utf-8") as file:
            config = json.load(file)
        config.pop("tunnel_source")
        config["limits"] = {"flow_entries": 100000}
        with open(os.path.join(overlay, "weir.json"), "w", encoding="utf-8") as file:
            json.dump(config, file)
        with open(os.path.join(overlay, "kustomization.yaml"), "w", encoding="utf-8") as file:
            json.dump({"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "namespace": "weir",
                       "resources": [os.path.relpath(os.path.join(FOLDER, "base"), overlay)],
                       "secretGenerator": [{"name": "weir-config", "behavior": "replace", "files": ["weir.json"]}],
                       "generatorOptions": {"disableNameSuffixHash": True}}, file)
        status, said = self.cluster.kubectl("apply", "-k", overlay)
        self.check("kubectl apply of the manifests", status == 0, said)

    def stop(self):
        if self.traffic:
            self.traffic.stopped = True
        if self.kubelet:
            self.kubelet.end()
        self.cluster.stop()
        self.lab.down()

    # --- what is looked at

    def service(self, name="web"):
        return self.client.get("services", "default", name).body

    def address(self, name="web"):
        ingress = self.service(name).get("status", {}).get("loadBalancer", {}).get("ingress") or []
        return ingress[0].get("ip") if ingress else None

    def addresses(self, name="web"):
        """Both, once it has both."""
        ingress = self.service(name).get("status", {}).get("loadBalancer", {}).get("ingress") or []
        return [entry["ip"] for entry in ingress] if len(ingress) == 2 else None

    def make_service(self, name="web", **spec):
        return self.client.create("services", {"metadata": {"name": name}, "spec": {
            "ipFamilyPolicy": "RequireDualStack", "type": "LoadBalancer", "loadBalancerClass": CLASS, "selector": {"app": "web"}, "externalTrafficPolicy": "Local",
            "ports": [{"name": "http", "port": 80, "targetPort": 8080}], **spec}}, "default")

    def diagnosis(self):
        lbctl = [os.path.join(ROOT, "build/lbctl"), "--socket", os.path.join(self.directory, "hosts/lb/run/weir/lbd.sock")]
        said = [self.kubelet and f"kubelet: {self.kubelet.error!r}"]
        for words in (["status"], ["backend", "list"], ["drops"]):
            said.append(subprocess.run([*lbctl, *words], capture_output=True, text=True, check=False).stdout[-1500:])
        for name in ("lb-lb-kubed", "lb-lbd", "b1-lb-backend", "proxy-b1", "controllers"):
            said.append(f"{name}: " + self.cluster.log(name, 8)[-1200:])
        return "\n".join(str(text) for text in said)

    def whole(self, what, mark, pods=None):
        """No request has failed since a mark; and, where said, just these pods answer from now on."""
        good = until(lambda: pods is None or self.traffic.more()[0] == pods, 30)
        answered, _, failed = self.traffic.since(mark)
        self.check(what, good and not failed, f"{answered} answered, failed: {failed}\n{self.diagnosis()}")
        return failed

    def broke(self, what, failed):
        """A row for make bench-kube."""
        self.rows.append({"what": what, "value": len(failed), "unit": "", "target": 0, "holds": not failed})
        os.makedirs(os.path.join(ROOT, "build/bench"), exist_ok=True)
        with open(os.path.join(ROOT, "build/bench/kube-rolls.json"), "w", encoding="utf-8") as file:
            json.dump(self.rows, file, indent=1)

    # --- the story

    def rolls_out(self):
        good = until(lambda: self.client.get("daemonsets", "weir", "weir").body["status"].get("numberReady") == 2 and
                     self.client.get("daemonsets", "weir", "weir-node").body["status"].get("numberReady") == 2, 30)
        self.check("pods of both DaemonSets run: two edge nodes, two others", good, self.client.get("pods", "weir"))

    def created(self):
        begin = time.monotonic()
        made = self.make_service()
        address = until(self.address)
        self.check("a Service gets an address", made.code == 201 and address, self.diagnosis())
        print(f"# the address came {(time.monotonic() - begin) * 1000:.0f} ms after the Service", flush=True)
        service = self.service()
        entry = (service["status"]["loadBalancer"].get("ingress") or [{}])[0]
        self.check("with the mode VIP, and a finalizer of ours", entry.get("ipMode") == "VIP" and any("weir.dev" in name for name in
                   service["metadata"].get("finalizers", [])), service)
        told = until(lambda: [event for event in self.client.get("events", "default").body["items"] if event["reason"] == "AddressAllocated"])
        self.check("and an Event that tells of it", told, self.diagnosis())
        answer = until(lambda: self.lab.inside("client", "curl", "-s", "--max-time", "1", f"http://{address}/", check=False))
        self.check("and traffic", answer, self.diagnosis())
        print(f"# the first answer came {(time.monotonic() - begin) * 1000:.0f} ms after the Service", flush=True)
        addresses = self.addresses()
        self.check("of both families", addresses and until(lambda: self.lab.inside("client", "curl", "-s", "--max-time", "1", url_of(addresses[1]), check=False)),
                   (addresses, self.diagnosis()))
        self.traffic = Traffic(self.lab, addresses or [address])
        self.traffic.start()
        pods = until(lambda: self.traffic.more()[0] == {"p1", "p2"}, 30)
        _, seen, _ = self.traffic.more()
        self.check("both pods answer, and see the client's own address", pods and seen == CLIENT, (self.traffic.more(), self.diagnosis()))
        forwarded = [self.forwarded(edge) for edge in EDGES]
        self.check("each edge node has its share", all(forwarded), forwarded)

    def forwarded(self, edge):
        """Packets that an edge node has sent on."""
        said = subprocess.run([os.path.join(ROOT, "build/lbctl"), "--socket", os.path.join(self.directory, "hosts", edge, "run/weir/lbd.sock"), "-j", "service", "list"],
                              capture_output=True, text=True, check=False).stdout
        return sum(service["packets"] for service in json.loads(said)["services"]) if said else 0

    def scaled(self):
        mark = self.traffic.mark()
        # A pod that is told to end goes on serving until it does: ready no more, serving and terminating.
        self.client.delete("pods", "default", "web-2")
        self.whole("drained: a pod that ends answers no new client, and none fails", mark, {"p1"})
        mark = self.traffic.mark()
        self._pod_gone("web-2")
        self.traffic.more()
        self.whole("scaled down: the pod is gone, and nobody noticed", mark)
        self._pod("web-2b", 2)
        self.whole("scaled up: the new pod answers, and no request fails", mark, {"p1", "p2"})

    def policies(self):
        mark = self.traffic.mark()
        self.client.patch("services", "default", "web", {"spec": {"externalTrafficPolicy": "Cluster"}})
        moved = until(lambda: not CLIENT & self.traffic.more(20)[1], 20)
        self.check("policy Cluster: nodes' addresses are seen", moved, (self.traffic.more(), self.diagnosis()))
        self.whole("policy Cluster: no request fails on the way", mark)
        mark = self.traffic.mark()
        self.client.patch("services", "default", "web", {"spec": {"externalTrafficPolicy": "Local"}})
        back = until(lambda: self.traffic.more()[1] == CLIENT, 30)
        self.check("policy Local again: the client's own address", back, self.traffic.more())
        self.whole("policy Local again: no request fails on the way", mark, {"p1", "p2"})

    def server_away(self):
        mark = self.traffic.mark()
        self.cluster.kill("api")
        self.traffic.more(100)
        self.whole("the API server is killed: no packet knows", mark)
        self.cluster.start_api()
        self.cluster.ready()
        self.client = self.cluster.client()
        self.make_service("later")
        self.check("it is back: a new Service gets its address", until(lambda: self.address("later"), 30), self.diagnosis())
        self.whole("and nobody noticed", mark, {"p1", "p2"})

    def leader_dies(self):
        mark = self.traffic.mark()
        holder = self.client.get("leases", "weir", "weir").body["spec"]["holderIdentity"]
        self.kubelet.process(holder, "lb-kubed").kill()
        self.make_service("last")
        self.check("the leader is killed: the next one gives addresses", until(lambda: self.address("last"), 40), self.diagnosis())
        self.check("and another address than those that are given", len({self.address(name) for name in ("web", "later", "last")}) == 3,
                   [self.address(name) for name in ("web", "later", "last")])
        self.whole("and nobody noticed", mark, {"p1", "p2"})

    def rolled(self):
        mark = self.traffic.mark()
        before = [self.kubelet.process(edge, "lbd") for edge in EDGES]
        self.client.patch("daemonsets", "weir", "weir", {"spec": {"template": {"metadata": {"annotations": {"weir.dev/restarted": "now"}}}}})
        new = until(lambda: all(self.kubelet.process(edge, "lbd") not in (None, *before) for edge in EDGES), 60)
        ready = until(lambda: self.client.get("daemonsets", "weir", "weir").body["status"].get("updatedNumberScheduled") == 2, 20)
        self.check("the DaemonSet is rolled", new and ready, self.diagnosis())
        self.traffic.more(100)
        self.broke("rolling restart of the DaemonSet: broken connections", self.whole("rolled: no request fails", mark, {"p1", "p2"}))

    def node_dies(self):
        self.lab.inside("b2", "ip", "link", "set", "eth0", "down")
        begin = time.monotonic()
        self._node_status("b2", "Unknown")
        self._pod_status("web-2b", 2, "False")
        good = until(lambda: self.traffic.more(60)[::2] == ({"p1"}, []), 40)
        self.check("a node dies: the other answers everybody", good, (self.traffic.more(), self.diagnosis()))
        print(f"# within {time.monotonic() - begin:.1f} s at most", flush=True)

    def deleted(self):
        address = self.address()
        self.traffic.stopped = True
        self.traffic.join()
        for name in ("web", "later", "last"):
            self.client.delete("services", "default", name)
        self.check("deleted: our finalizer does not hold it", until(lambda: self.client.get("services", "default", "web").code == 404), self.service())
        gone = until(lambda: not self.lab.inside("client", "curl", "-s", "--max-time", "1", f"http://{address}/", check=False), 10)
        self.check("and the address answers no more", gone)
        routes = until(lambda: not self.announced(), 10)
        self.check("nor is it announced", routes, self.announced())

    def announced(self):
        """By any edge node, in either family."""
        return "".join(self.lab.inside(edge, "ip", family, "route", "show", "table", "177", check=False) for edge in EDGES for family in ("-4", "-6")).strip()

    def uninstalled(self):
        """As an administrator does it, by the script, and then everything is looked for."""
        self.make_service("kept")
        self.check("a Service that outlives Weir", until(lambda: self.address("kept")), self.diagnosis())
        kubectl = f"nsenter --net=/run/netns/{self.lab.netns('router')} kubectl --kubeconfig {self.cluster.path('kubeconfig')}"
        done = subprocess.run([os.path.join(FOLDER, "uninstall/uninstall.sh"), "--limit", "30"], capture_output=True, text=True, check=False, timeout=180,
                              env={**os.environ, "KUBECTL": kubectl, "HOME": self.directory})
        logs = [self.cluster.log(f"{node}-{name}") for node, name in (("lb", "leave"), ("lb", "purge"), ("lb", "lb-kubed"), ("b1", "down"))]
        self.check("uninstall.sh comes to its end", done.returncode == 0, done.stdout[-1500:] + done.stderr[-1500:] + "\n".join(logs))
        kept = self.service("kept")
        self.check("the Service has nothing of ours any more", "finalizers" not in kept["metadata"] and not kept["status"]["loadBalancer"] and
                   not [key for key in kept["metadata"].get("annotations", {}) if key.startswith("weir.dev/")], kept)
        left = [f"{node}: {name}" for node in ADDRESS for name in os.listdir(os.path.join(self.directory, "hosts", node, "sys/fs/bpf"))
                if not name.endswith(".debug")]  # the kernel's own
        left += [f"{edge}: {name}" for edge in EDGES for name in os.listdir(os.path.join(self.directory, "hosts", edge, "var/lib/weir"))]
        for node in ADDRESS:
            left += [f"{node}: {line}" for line in self.lab.inside(node, "ip", "-d", "link", "show", "eth0").splitlines() if "prog/xdp" in line]
        left += self.announced().splitlines()
        left += [line for edge in EDGES for line in self.lab.inside(edge, "ip", "rule").splitlines() if "fwmark" in line]
        self.check("no host has a program, a pin, a route, a rule or a file of ours", not left, left)
        self.check("nor the cluster a namespace", self.client.get("namespaces", "", "weir").code == 404, self.client.get("namespaces", "", "weir"))

    def tell(self):
        for part in (self.rolls_out, self.created, self.scaled, self.policies, self.server_away, self.leader_dies, self.rolled, self.node_dies, self.deleted, self.uninstalled):
            part()


def run(directory, check):
    story = Story(os.path.join(directory, "stories"), check)
    try:
        story.start()
        story.tell()
    except (RuntimeError, OSError, KeyError, TypeError, AttributeError, http.client.HTTPException, subprocess.SubprocessError) as error:
        check("the story comes to its end", False, f"{type(error).__name__}: {error}\n{story.diagnosis() if story.client else ''}")
    finally:
        story.stop()
