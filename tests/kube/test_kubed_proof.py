#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 120
"""No flow goes to a node before its service proxy knows the address: nodes whose proxies are late, as lb-kubed sees them."""
import json
import os
import sys
import time

import yaml

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import rig as lab  # noqa: E402 pylint: disable=wrong-import-position
from rig import check, wait_for  # noqa: E402 pylint: disable=wrong-import-position

lab.in_namespace()

from apiserver import ApiServer  # noqa: E402 pylint: disable=wrong-import-position
from client import Client  # noqa: E402 pylint: disable=wrong-import-position

WEB, TLS, NEXT, SHUT = (f"default.{name}.tcp.v4" for name in ("web.80", "web.443", "next.80", "shut.80"))


class Proxies:
    """Service proxies as far as the witness goes: a node that looks has seen all that the server has."""

    def __init__(self, rig, cluster):
        self.nodes, self.cluster, self.open = rig.nodes, cluster, {}
        with open(os.path.join(lab.ROOT, "configs/kubernetes/base/witness.yaml"), encoding="utf-8") as file:
            cluster.client.create("services", yaml.safe_load(file), "weir")

    def port(self):
        return self.cluster.get("weir-witness", "weir")["spec"].get("healthCheckNodePort")

    def look(self, *numbers):
        """True, so that conditions can begin with it."""
        port = self.port()
        for node in (self.nodes[number - 1] for number in numbers):
            if port == self.open.get(node.name):
                continue
            if self.open.get(node.name):
                node.answer(self.open[node.name], None)
            self.open[node.name] = port
            if port:
                node.answer(port, 503, json.dumps({"service": {"namespace": "weir", "name": "weir-witness"}, "localEndpoints": 0}).encode())
        return True


def has(rig, what, name, wanted, before=lambda: True):
    got = wait_for(lambda: before() and rig.backends(name) == wanted)
    check(what, got, f"{rig.backends(name)!r} instead of {wanted!r}\n{rig.state()}")


def late_nodes(rig, cluster, proxies):
    cluster.service("web")
    cluster.endpoints("web", ("n1", "ready"))
    check("a Service gets an address, and is lbd's", wait_for(lambda: cluster.address("web") and WEB in rig.services()), rig.state())
    check("an epoch begins", wait_for(proxies.port), cluster.get("weir-witness", "weir"))
    rig.nodes[2].answer(proxies.port(), 200, json.dumps({"service": {"namespace": "default", "name": "other"}, "localEndpoints": 1}).encode())
    check("nodes are asked", wait_for(lambda: rig.nodes[2].asked.get(proxies.port(), 0) >= 3), rig.state())
    check("healthy ones that do not know the address yet get no flow, nor one whose port is another Service's", rig.backends(WEB) == "", rig.backends(WEB))
    has(rig, "the first that does gets them", WEB, "n1=100", lambda: proxies.look(1))
    has(rig, "and the next", WEB, "n1=100 n2=100", lambda: proxies.look(2))


def more_ports(rig, cluster, proxies):
    before = proxies.port()
    cluster.client.patch("services", "default", "web", {"spec": {"ports": [{"name": name, "port": port, "protocol": "TCP"} for name, port in (("http", 80), ("tls", 443))]}})
    slices = cluster.client.get("endpointslices", "default", "web-1").body
    cluster.client.patch("endpointslices", "default", "web-1", {"ports": slices["ports"] + [{"name": "tls", "port": 8443, "protocol": "TCP"}]})
    check("another port is another service, and begins another epoch", wait_for(lambda: TLS in rig.services() and proxies.port() not in (None, before)), rig.state())
    has(rig, "nodes get flows of it when they know it", TLS, "n2=100", lambda: proxies.look(2))
    check("those of the first port never stopped", rig.backends(WEB) == "n1=100 n2=100", rig.backends(WEB))
    has(rig, "one after the other", TLS, "n1=100 n2=100", lambda: proxies.look(1))


def many_at_once(rig, cluster, proxies):
    before = rig.metric("weir_kube_proof_epochs_total")
    for number in range(20):
        cluster.service(f"many{number}")
        cluster.endpoints(f"many{number}", ("n1", "ready"))
    good = wait_for(lambda: proxies.look(1, 2) and all(rig.backends(f"default.many{number}.80.tcp.v4") == "n1=100 n2=100" for number in range(20)), 20)
    epochs = rig.metric("weir_kube_proof_epochs_total") - before
    check("of twenty Services at once all are served", good, rig.state())
    check("after fewer epochs than Services", 1 <= epochs < 10, epochs)


def close_witness(cluster):
    cluster.client.patch("services", "weir", "weir-witness", {"spec": {"externalTrafficPolicy": "Cluster", "healthCheckNodePort": None}})


def closed_by_others(rig, cluster, proxies):
    before = proxies.port()
    cluster.service("shut")
    cluster.endpoints("shut", ("n1", "ready"))
    check("one more epoch begins", wait_for(lambda: SHUT in rig.services() and proxies.port() not in (None, before)), rig.state())
    has(rig, "and one of two nodes is proven", SHUT, "n1=100", lambda: proxies.look(1))
    close_witness(cluster)
    check("a witness that somebody sets to Cluster is opened again, as a node is waited for", wait_for(proxies.port, 15), rig.state())
    has(rig, "which is proven by it", SHUT, "n1=100 n2=100", lambda: proxies.look(2))
    check("that is an Event", wait_for(lambda: "WitnessClosed" in cluster.reasons("weir-witness", "weir")), cluster.reasons("weir-witness", "weir"))
    openings, end = -1, time.monotonic() + 9
    while wait_for(proxies.port, end - time.monotonic()):
        openings += 1
        close_witness(cluster)
    check("one that is always set to Cluster again is opened more rarely each time", 1 <= openings <= 2, openings)
    check("and told of once", rig.logged().count("WitnessClosed") == 1, rig.logged()[-3000:])
    cluster.client.patch("services", "weir", "weir-witness", {"spec": {"externalTrafficPolicy": "Local"}})
    proxies.look(1, 2)


def restarted(rig, api, cluster, proxies):
    before = proxies.port()
    rig.stop_kubed(sure=True)
    rig.start_kubed(api)
    check("killed and started, all is planned for", wait_for(lambda: rig.metric("weir_kube_synced") == 1), rig.state())
    wait_for(lambda: rig.nodes[0].asked.get(before) and rig.metric("weir_kube_agent_waiting") == 0)
    check("what was served is served", rig.backends(WEB) == "n1=100 n2=100" and rig.backends(TLS) == "n1=100 n2=100", (rig.backends(WEB), rig.backends(TLS)))
    check("and needs no new epoch", proxies.port() == before)
    cluster.service("next")
    cluster.endpoints("next", ("n1", "ready"))
    has(rig, "a new one does", NEXT, "n1=100 n2=100", lambda: proxies.look(1, 2))
    check("as it got one", proxies.port() != before)
    proxies.look(3)
    rig.nodes[2].answer(proxies.port(), None)
    proxies.open.pop("n3")
    cluster.client.delete("services", "weir", "weir-witness")
    has(rig, "without a witness healthy nodes know everything", NEXT, "n1=100 n2=100 n3=100", lambda: cluster.endpoints("next", ("n2", "ready")))


def endpoints_by_their_own_word(rig, cluster):
    for node in rig.nodes[:2]:
        node.answer(31001, 200, X_Load_Balancing_Endpoint_Weight="1")
    cluster.client.patch("services", "default", "next", {"spec": {"externalTrafficPolicy": "Local", "healthCheckNodePort": 31001}})
    cluster.endpoints("next", ("n1", "ready"), ("n1", "ready"), ("n2", "ready"))
    has(rig, "under Local, endpoints count when their node knows them", NEXT, "n1=100 n2=100")
    rig.nodes[0].answer(31001, 200, X_Load_Balancing_Endpoint_Weight="2")
    has(rig, "which it is asked again about", NEXT, "n1=200 n2=100")
    cluster.endpoints("next", ("n1", "ready"), ("n2", "ready"))
    has(rig, "one less counts at once", NEXT, "n1=100 n2=100")


def given_back(rig, api, cluster):
    """What the last step of removing Weir does, when no member runs."""
    cluster.service("theirs", loadBalancerClass="example.com/x")
    cluster.client.patch("services", "default", "theirs", {"metadata": {"finalizers": ["example.com/y"]}})
    services = rig.services()
    rig.start_kubed(api, "--give-back", node="cleaner")
    check("lb-kubed --give-back comes to its end by itself", wait_for(lambda: rig.kubed.poll() is not None, 15) and rig.kubed.poll() == 0, rig.logged()[-2000:])
    left = [item["metadata"]["name"] for item in cluster.client.get("services", "default").body["items"]
            if "weir.dev/" in json.dumps([item["metadata"].get("finalizers"), item["metadata"].get("annotations")]) or item["status"].get("loadBalancer", {}).get("ingress")]
    check("no Service has an address, a finalizer or an annotation of ours", not left, left)
    check("others have theirs", cluster.get("theirs")["metadata"]["finalizers"] == ["example.com/y"], cluster.get("theirs"))
    check("and what lbd serves is for who leaves to say", rig.services() == services)


def main():
    rig = lab.Rig()
    with ApiServer() as api:
        api.control("token", {"token": "kubed", "user": "kubed", "groups": ["system:masters"]})
        cluster = lab.Cluster(Client(api.plain_url, api.token), rig.nodes)
        cluster.begin()
        proxies = Proxies(rig, cluster)
        rig.start_lbd()
        rig.start_kubed(api)
        check("lb-kubed starts", wait_for(rig.is_ready), rig.logged())
        late_nodes(rig, cluster, proxies)
        more_ports(rig, cluster, proxies)
        many_at_once(rig, cluster, proxies)
        closed_by_others(rig, cluster, proxies)
        restarted(rig, api, cluster, proxies)
        endpoints_by_their_own_word(rig, cluster)
        check("it stops in order, and has lost no memory", rig.stop_kubed() == 0, rig.logged()[-3000:])
        given_back(rig, api, cluster)
        rig.stop_lbd()
    lab.done()


main()
