#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 300
"""Random changes of a cluster under random faults: in the end lbd has what an oracle says, which computes it from the objects anew.
EVENTS=N (400), SEED=N."""
import os
import random
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import rig as lab  # noqa: E402 pylint: disable=wrong-import-position
from rig import check, wait_for  # noqa: E402 pylint: disable=wrong-import-position

lab.in_namespace()

from apiserver import ApiServer  # noqa: E402 pylint: disable=wrong-import-position
from client import Client  # noqa: E402 pylint: disable=wrong-import-position

EVENTS, SEED, STEP = int(os.environ.get("EVENTS", "400")), int(os.environ.get("SEED", "1")), 50
EXCLUDE = "node.kubernetes.io/exclude-from-external-load-balancers"
NO_CHECK = {"weir.dev/health-check": "none"}
PORTS = [{"name": "http", "port": 80, "protocol": "TCP"}, {"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "sctp", "port": 99, "protocol": "SCTP"}]
FAULTS = [{"verb": "watch", "do": "gone", "events": 1}, {"verb": "watch", "do": "drop", "events": 2}, {"verb": "watch", "do": "torn", "events": 1},
          {"verb": "watch", "do": "garbage", "events": 1}, {"verb": "list", "do": "cut", "bytes": 500}, {"verb": "list", "do": "html"},
          {"verb": "patch", "do": "status", "code": 409}, {"verb": "patch", "do": "reset_after"}, {"verb": "patch", "do": "status", "code": 500},
          {"verb": "list", "do": "status", "code": 410}, {"verb": "watch", "do": "status", "code": 429, "retry_after": 1}, {"verb": "list", "do": "reset"},
          {"verb": "watch", "do": "late", "delay_ms": 200}, {"verb": "list", "do": "slow", "bytes": 100, "delay_ms": 1}]


# --- the oracle

def usable(slices, port, publish):
    """{node: endpoints} that count, "" for those without a node."""
    ends = {}
    for item in slices:
        if item["addressType"] == "IPv4" and any(p["name"] == port["name"] and p["protocol"] == port["protocol"] for p in item["ports"]):
            for end in item["endpoints"]:
                key, conditions = (end["addresses"][0], end.get("nodeName", "")), end["conditions"]
                old = ends.get(key)
                if old is None or (conditions["ready"] and not old["ready"]):
                    ends[key] = conditions
    good = [node for (_, node), c in ends.items() if c["ready"] or publish] or [node for (_, node), c in ends.items() if c["serving"] and c["terminating"]]
    return {node: good.count(node) for node in set(good)}


def backends_of(service, slices, nodes, port):
    spec = service["spec"]
    counts = usable(slices, port, spec.get("publishNotReadyAddresses", False))
    result = {}
    for node in nodes:
        meta = node["metadata"]
        local = spec.get("externalTrafficPolicy") == "Local"
        weight = 100 * counts.get(meta["name"], 0) if local else 100 if counts else 0
        if weight and EXCLUDE not in meta.get("labels", {}):
            leaving = any(t["key"] == "ToBeDeletedByClusterAutoscaler" for t in node["spec"].get("taints") or [])
            result[meta["name"]] = f"{weight}{'!' if leaving else ''}"
    return result


def wanted(store):
    nodes = store.peek_all("", "nodes")
    result = {}
    for service in store.peek_all("", "services"):
        meta, spec = service["metadata"], service["spec"]
        if spec["type"] != "LoadBalancer" or spec.get("loadBalancerClass") != "weir.dev/weir" or meta.get("deletionTimestamp"):
            continue
        slices = [item for item in store.peek_all("discovery.k8s.io", "endpointslices") if item["metadata"]["labels"]["kubernetes.io/service-name"] == meta["name"]]
        ingress = service.get("status", {}).get("loadBalancer", {}).get("ingress") or [{"ip": "none yet"}]
        for port in spec["ports"]:
            if port["protocol"] != "SCTP":
                name = f"{meta['namespace']}.{meta['name']}.{port['port']}.{port['protocol'].lower()}.v4"
                result[name] = (ingress[0]["ip"], backends_of(service, slices, nodes, port))
    return result


def served(rig):
    services = rig.agent("GET", "/v1/services")[1]
    backends = rig.agent("GET", "/v1/backends")[1]
    if services is None or backends is None:
        return None
    result = {service["name"]: (service["vip"], {}) for service in services["services"]}
    for backend in backends["backends"]:
        if backend["configured"] and backend["service"] in result:
            result[backend["service"]][1][backend["name"]] = f"{backend['configured']['weight']}{'!' if backend['configured']['state'] == 'drain' else ''}"
    return result


# --- what happens

class Chaos:
    def __init__(self, rig, api, cluster):
        self.rig, self.api, self.cluster, self.random = rig, api, cluster, random.Random(SEED)
        self.names = [f"s{i}" for i in range(12)]

    def patch(self, name, body):
        self.cluster.client.patch("services", "default", name, body)

    def create(self, name):
        self.cluster.service(name, NO_CHECK, ports=self.random.sample(PORTS, self.random.randint(1, 3)))

    def delete(self, name):
        self.cluster.client.delete("services", "default", name)

    def again(self, name):
        self.delete(name)
        self.create(name)

    def policy(self, name):
        self.patch(name, {"spec": {"externalTrafficPolicy": self.random.choice(["Local", "Cluster"])}})

    def publish(self, name):
        self.patch(name, {"spec": {"publishNotReadyAddresses": self.random.random() < 0.3}})

    def ports(self, name):
        self.patch(name, {"spec": {"ports": self.random.sample(PORTS, self.random.randint(1, 3))}})

    def type(self, name):
        ours = self.random.random() < 0.5
        self.patch(name, {"spec": {"type": "LoadBalancer" if ours else "ClusterIP", "loadBalancerClass": "weir.dev/weir" if ours else None,
                                   "externalTrafficPolicy": "Cluster" if ours else None, "healthCheckNodePort": None}})

    def ends(self, name):
        where = [(f"n{self.random.randint(1, 4)}", self.random.choice(["ready", "ready", "ending", "not"])) for _ in range(self.random.randint(0, 6))]
        self.cluster.endpoints(name, *where, suffix=str(self.random.randint(1, 2)), port=self.random.choice(["http", "dns"]))

    def no_slice(self, name):
        self.cluster.client.delete("endpointslices", "default", f"{name}-{self.random.randint(1, 2)}")

    def node(self, _):
        number = self.random.randrange(len(self.rig.nodes))
        kind = self.random.choice(["taint", "label", "gone", "back", "back", "back"])
        name = self.rig.nodes[number].name
        if kind == "gone":
            self.cluster.client.delete("nodes", "", name)
        elif kind == "back":
            self.cluster.node(self.rig.nodes[number])
        elif kind == "taint":
            taints = [{"key": "ToBeDeletedByClusterAutoscaler", "effect": "NoSchedule"}] if self.random.random() < 0.5 else None
            self.cluster.client.patch("nodes", "", name, {"spec": {"taints": taints}})
        else:
            self.cluster.client.patch("nodes", "", name, {"metadata": {"labels": {EXCLUDE: self.random.choice(["", None, None])}}})

    def fault(self, _):
        kind = self.random.random()
        if kind < 0.6:
            self.api.faults.set([{**fault, "user": "kubed", "times": self.random.randint(1, 3)} for fault in self.random.sample(FAULTS, 2)])
            self.api.disconnect()
        elif kind < 0.8:
            self.api.store.compact()
            self.api.disconnect()
        elif kind < 0.9:
            self.api.freeze()
        else:
            self.rig.stop_kubed(sure=True)
            self.rig.start_kubed(self.api, "--silence", "3")

    def step(self):
        verb = self.random.choices([self.create, self.delete, self.again, self.policy, self.publish, self.ports, self.type, self.ends, self.no_slice, self.node,
                                    self.fault], [4, 2, 1, 3, 1, 2, 2, 10, 2, 3, 2])[0]
        verb(self.random.choice(self.names))


def differences(rig, api):
    want, have = wanted(api.store), served(rig)
    if have is None:
        return ["lbd does not answer"]
    return [f"{name}: {have.get(name)} instead of {want.get(name)}" for name in sorted(set(want) | set(have)) if want.get(name) != have.get(name)]


def main():
    rig = lab.Rig(4)
    with ApiServer() as api:
        api.control("token", {"token": "kubed", "user": "kubed", "groups": ["system:masters"]})
        api.control("bookmarks", {"seconds": 1})
        cluster = lab.Cluster(Client(api.plain_url, api.token), rig.nodes)
        cluster.begin()
        rig.start_lbd()
        rig.start_kubed(api, "--silence", "3")
        wait_for(rig.is_ready)
        chaos = Chaos(rig, api, cluster)
        print(f"# EVENTS={EVENTS} SEED={SEED}")
        for begin in range(0, EVENTS, STEP):
            for _ in range(STEP):
                chaos.step()
            api.faults.set([])
            start = time.monotonic()
            good = wait_for(lambda: not differences(rig, api), 40)
            check(f"after {begin + STEP} events lbd has what the objects say", good, "\n".join(differences(rig, api)) + "\n" + rig.state())
            print(f"# {time.monotonic() - start:.1f} s later; {len(wanted(api.store))} services, {sum(len(b) for _, b in wanted(api.store).values())} backends")
            given = [address for name, (address, _) in wanted(api.store).items()]
            owners = {(address, name.split(".")[1]) for name, (address, _) in wanted(api.store).items()}
            check("no address is two Services'", len(owners) == len(set(given)), sorted(owners))
        check("it stops in order, and has lost no memory", rig.stop_kubed() == 0, rig.logged()[-3000:])
        rig.stop_lbd()
    lab.done()


main()
