#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 400
"""lb-kubed with a real lbd: a Service from its making to its end, restarts of everybody, and an API server that misbehaves."""
import json
import os
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import rig as lab  # noqa: E402 pylint: disable=wrong-import-position
from rig import check, wait_for  # noqa: E402 pylint: disable=wrong-import-position

lab.in_namespace()

from apiserver import ApiServer  # noqa: E402 pylint: disable=wrong-import-position
from client import Client  # noqa: E402 pylint: disable=wrong-import-position

WEB, WEB6 = "default.web.80.tcp.v4", "default.web.80.tcp.v6"


def backends_are(rig, name, wanted, within=10):
    wait_for(lambda: rig.backends(name) == wanted, within)
    return rig.backends(name)


def has_backends(rig, what, name, wanted, within=10):
    got = backends_are(rig, name, wanted, within)
    check(what, got == wanted, f"{got!r} instead of {wanted!r}\n{rig.state()}")


def a_service(rig, cluster):
    cluster.service("web")
    check("a Service gets an address", wait_for(lambda: cluster.address("web")) == "203.0.113.0", cluster.get("web"))
    item = cluster.get("web")
    check("with ipMode VIP and its ports", item["status"]["loadBalancer"]["ingress"] ==
          [{"ip": "203.0.113.0", "ipMode": "VIP", "ports": [{"port": 80, "protocol": "TCP"}]}], item["status"])
    check("our finalizer was there before it", "weir.dev/service" in item["metadata"].get("finalizers", []), item["metadata"])
    check("the size of the ring is fixed", item["metadata"]["annotations"].get("weir.dev/ring-size") == "1024", item["metadata"])
    has_backends(rig, "without endpoints it has no backends", WEB, "")
    cluster.endpoints("web", ("n1", "ready"), ("n2", "ready"))
    has_backends(rig, "under Cluster all nodes are its backends", WEB, "n1=100 n2=100 n3=100")
    service = rig.service(WEB)
    check("as lbd runs it", service["vip"] == "203.0.113.0" and service["ring_size"] == 1024 and service["forward"] == "ipip", service)
    check("people are told of the address", "AddressAllocated" in wait_for(lambda: cluster.reasons("web")), cluster.reasons("web"))
    check("other classes are left alone", cluster.service("theirs", loadBalancerClass="example.com/x").code == 201 and not cluster.address("theirs"))


def changes(rig, cluster):
    for node in rig.nodes:
        node.answer(31000, 200)
    cluster.client.patch("services", "default", "web", {"spec": {"externalTrafficPolicy": "Local", "healthCheckNodePort": 31000}})
    has_backends(rig, "under Local those with endpoints are", WEB, "n1=100 n2=100")
    cluster.endpoints("web", ("n1", "ready"), ("n1", "ready"), ("n3", "ready"))
    has_backends(rig, "scaled, by their number", WEB, "n1=200 n3=100")
    rig.nodes[0].answer(31000, 503)
    has_backends(rig, "a node whose healthCheckNodePort says no drains", WEB, "n1!200 n3=100")
    rig.nodes[2].answer(31000, None)
    has_backends(rig, "if all say no at once the set stays", WEB, "n1=200 n3=100")
    rig.nodes[0].answer(31000, 200)
    rig.nodes[2].answer(31000, 200)
    cluster.endpoints("web", ("n1", "ending"), ("n2", "ready"))
    has_backends(rig, "endpoints that end give way to those that are ready", WEB, "n2=100")
    cluster.client.patch("nodes", "", "n2", {"spec": {"taints": [{"key": "ToBeDeletedByClusterAutoscaler", "effect": "NoSchedule"}]}})
    has_backends(rig, "a node that the autoscaler takes away drains", WEB, "n2!100")
    cluster.client.patch("nodes", "", "n2", {"spec": {"taints": None, "unschedulable": True}})
    has_backends(rig, "a cordoned one stays", WEB, "n2=100")
    cluster.client.patch("services", "default", "web", {"spec": {"externalTrafficPolicy": "Cluster", "healthCheckNodePort": None}})
    has_backends(rig, "back to Cluster", WEB, "n1=100 n2=100 n3=100")
    cluster.client.patch("services", "default", "web", {"spec": {"ports": [{"name": "http", "port": 80, "protocol": "TCP"},
                                                                          {"name": "tls", "port": 443, "protocol": "TCP"}]}})
    check("another port is another service", wait_for(lambda: "default.web.443.tcp.v4" in rig.services()), rig.services())
    check("and stands in the status", wait_for(lambda: len(cluster.get("web")["status"]["loadBalancer"]["ingress"][0]["ports"]) == 2))
    cluster.client.patch("services", "default", "web", {"spec": {"ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}})
    check("and goes with it", wait_for(lambda: rig.services() == [WEB]), rig.services())


def mistakes(rig, cluster):
    patch = cluster.client.patch
    patch("services", "default", "web", {"metadata": {"annotations": {"weir.dev/forward": "teleport"}}})
    check("a word that is not known is an Event", wait_for(lambda: "BadAnnotation" in cluster.reasons("web")), cluster.reasons("web"))
    cluster.endpoints("web", ("n1", "not"))
    time.sleep(0.3)
    check("and leaves the Service as it is", rig.backends(WEB) == "n1=100 n2=100 n3=100", rig.backends(WEB))
    cluster.endpoints("web", ("n1", "ready"))
    patch("services", "default", "web", {"metadata": {"annotations": {"weir.dev/forward": "gue"}}})
    check("until it is mended", wait_for(lambda: rig.service(WEB)["forward"] == "gue"), rig.service(WEB))
    patch("services", "default", "web", {"spec": {"loadBalancerSourceRanges": ["10.0.0.0/8"]}})
    check("sources are let in as the Service says", wait_for(lambda: rig.service(WEB)["source_ranges"] == ["10.0.0.0/8"]), rig.service(WEB))
    patch("services", "default", "web", {"spec": {"loadBalancerSourceRanges": ["2001:db8::/32"]}})
    check("ranges of another family are an Event", wait_for(lambda: "NoSourceOfFamily" in cluster.reasons("web")), cluster.reasons("web"))
    check("and let nobody in", wait_for(lambda: rig.service(WEB)["source_ranges"] == ["0.0.0.0"]), rig.service(WEB))
    patch("services", "default", "web", {"spec": {"loadBalancerSourceRanges": None}})
    check("without, everybody is", wait_for(lambda: rig.service(WEB)["source_ranges"] == []), rig.service(WEB))
    cluster.pools("{ not json")
    cluster.service("more")
    check("pools that cannot be read leave the last ones", wait_for(lambda: cluster.address("more")), rig.logged()[-800:])
    cluster.client.delete("services", "default", "more")


def allocation(rig, cluster):
    cluster.pools('{"pools":[{"name":"tiny","addresses":["203.0.113.8/31"]}]}')
    cluster.service("a")
    check("of the new pool", wait_for(lambda: cluster.address("a")) == "203.0.113.8", cluster.address("a"))
    check("what a Service has it keeps", cluster.address("web") == "203.0.113.0")
    check("and people are told", wait_for(lambda: "AddressLeftPool" in cluster.reasons("web")))
    cluster.service("b")
    cluster.service("c")
    check("one has the last", wait_for(lambda: cluster.address("b") or cluster.address("c")) == "203.0.113.9")
    loser = "c" if cluster.address("b") else "b"
    check("the other is told that there is none", wait_for(lambda: "AddressesExhausted" in cluster.reasons(loser)), cluster.reasons(loser))
    cluster.client.delete("services", "default", "a")
    check("until one goes", wait_for(lambda: cluster.address(loser) == "203.0.113.8"), cluster.address(loser))
    check("which went with its finalizer", wait_for(lambda: cluster.client.get("services", "default", "a").code == 404))
    cluster.pools('{"pools":[{"name":"all","addresses":["203.0.113.0/24","2001:db8:113::/120"]}]}')
    cluster.client.patch("services", "default", "b", {"spec": {"type": "ClusterIP", "loadBalancerClass": None}})
    check("one that is no load balancer any more is let go",
          wait_for(lambda: not cluster.get("b")["metadata"].get("finalizers")) and
          "weir.dev/ring-size" not in cluster.get("b")["metadata"].get("annotations", {}), cluster.get("b"))
    cluster.service("d", {"weir.dev/addresses": "203.0.113.77,2001:db8:113::77"}, ipFamilyPolicy="RequireDualStack", ipFamilies=["IPv6", "IPv4"])
    check("two families, as asked for", wait_for(lambda: cluster.address("d")) == "2001:db8:113::77 203.0.113.77", cluster.address("d"))
    check("two services", wait_for(lambda: {"default.d.80.tcp.v4", "default.d.80.tcp.v6"} <= set(rig.services())), rig.services())
    cluster.service("thief", loadBalancerIP="203.0.113.77")
    check("nobody takes another's address", wait_for(lambda: "AddressInUse" in cluster.reasons("thief")) and not cluster.address("thief"))
    for name in ("b", "c", "d", "thief"):
        cluster.client.delete("services", "default", name)
    check("all of them go", wait_for(lambda: rig.services() == [WEB]), rig.services())


def restarts(rig, api, cluster):
    check("it stops in order", rig.stop_kubed() == 0, rig.logged()[-2000:])
    cluster.service("later")
    cluster.client.delete("services", "default", "web")
    check("while it is away its services go on", rig.backends(WEB) == "n1=100 n2=100 n3=100")
    for node in rig.nodes:
        node.answer(lab.PROXY_PORT, 503)
    begin = time.monotonic()
    rig.start_kubed(api)
    check("started again, a new Service has its address within 3 s", wait_for(lambda: cluster.address("later"), 3), rig.logged())
    print(f"# after {time.monotonic() - begin:.2f} s")
    check("and what went meanwhile goes", wait_for(lambda: rig.services() == ["default.later.80.tcp.v4"]), rig.services())
    for node in rig.nodes:
        node.answer(lab.PROXY_PORT, 200)
    cluster.endpoints("later", ("n1", "ready"))
    has_backends(rig, "its nodes come once they have shown themselves", "default.later.80.tcp.v4", "n1=100 n2=100 n3=100")
    rig.stop_kubed(sure=True)
    for node in rig.nodes:
        node.answer(lab.PROXY_PORT, 503)
    rig.start_kubed(api)
    wait_for(rig.is_ready)
    time.sleep(1)
    check("killed and started while no node answers: nothing is taken away", rig.backends("default.later.80.tcp.v4") == "n1=100 n2=100 n3=100",
          rig.backends("default.later.80.tcp.v4"))
    for node in rig.nodes:
        node.answer(lab.PROXY_PORT, 200)
    rig.stop_lbd()
    cluster.endpoints("later", ("n1", "not"))
    rig.start_lbd()
    has_backends(rig, "what changed while lbd was away comes to it", "default.later.80.tcp.v4", "", 15)
    rig.agent("DELETE", "/v1/sources/kubernetes/services/default.later.80.tcp.v4?revision=9000000000&allow_loss=1")
    check("what somebody takes away comes back", wait_for(lambda: rig.services() == ["default.later.80.tcp.v4"], 15), rig.logged()[-1500:])


def misbehaviour(rig, api, cluster):
    name = "default.later.80.tcp.v4"

    def differs(what, fault, within=40):
        """A change that comes to lbd although."""
        wait_for(lambda: [user for user, _ in api.open_watches()].count("kubed") == 4, 40)
        now = rig.backends(name)
        fault()
        cluster.endpoints("later", ("n1", "not" if now else "ready"))
        has_backends(rig, what, name, "" if now else "n1=100 n2=100 n3=100", within)
        api.faults.set([])

    def killed():
        api.down()
        time.sleep(0.5)
        api.up()
    differs("the API server is killed and comes back", killed)
    differs("connections are reset", api.disconnect)
    differs("410 as a status", lambda: (api.store.compact(), api.faults.set([{"verb": "watch", "user": "kubed", "do": "status", "code": 410, "times": 4}]), api.disconnect()))
    differs("410 in mid-stream", lambda: (api.faults.set([{"verb": "watch", "user": "kubed", "do": "gone", "events": 0, "times": 4}]), api.disconnect()))
    differs("a page of HTML", lambda: (api.faults.set([{"resource": "endpointslices", "user": "kubed", "do": "html", "times": 3}]), api.disconnect()))
    differs("500s", lambda: (api.faults.set([{"resource": "endpointslices", "user": "kubed", "do": "status", "code": 500, "times": 3}]), api.disconnect()))
    differs("429 with Retry-After", lambda: (api.faults.set([{"resource": "endpointslices", "user": "kubed", "do": "status", "code": 429, "retry_after": 1, "times": 2}]),
                                             api.disconnect()))
    differs("lines that are no JSON", lambda: (api.faults.set([{"verb": "watch", "user": "kubed", "do": "garbage", "events": 0, "times": 4}]), api.disconnect()))
    differs("answers that end in their middle", lambda: (api.faults.set([{"verb": "list", "user": "kubed", "do": "cut", "bytes": 200, "times": 4}]), api.store.compact(),
                                                         api.disconnect()))
    differs("slow answers", lambda: (api.faults.set([{"resource": "endpointslices", "user": "kubed", "do": "slow", "bytes": 16, "delay_ms": 1, "times": 3}]), api.disconnect()))
    check("the leader still leads", wait_for(lambda: rig.metric("weir_kube_leader") == 1, 20))
    api.faults.set([{"verb": "patch", "user": "kubed", "do": "status", "code": 409, "times": 3}])
    cluster.service("contended")
    check("conflicts are tried again", wait_for(lambda: cluster.address("contended")), rig.logged()[-1000:])
    api.faults.set([{"verb": "patch", "user": "kubed", "do": "reset_after", "times": 2}])
    cluster.service("unsure")
    check("so are writes whose answer was lost", wait_for(lambda: cluster.address("unsure")), rig.logged()[-1000:])
    check("with one address each", cluster.address("unsure") != cluster.address("contended"))
    api.faults.set([])


def wrong_lists(rig, api, cluster):
    """Lists that are whole, valid, and lack what there is."""
    names = [f"default.{name}.80.tcp.v4" for name in ("contended", "later", "unsure")]
    for name in ("contended", "later", "unsure"):
        cluster.endpoints(name, ("n1", "ready"), ("n2", "ready"))
    for name in names:
        has_backends(rig, "it is served", name, "n1=100 n2=100 n3=100")

    def relist(*faults):
        """What broke off is followed by a list."""
        wait_for(lambda: [user for user, _ in api.open_watches()].count("kubed") == 4, 40)
        api.faults.set(list(faults))
        api.disconnect()

    for kind, group in (("services", "v1"), ("endpointslices", "discovery.k8s.io/v1"), ("nodes", "v1")):
        body = json.dumps({"kind": "List", "apiVersion": group, "metadata": {"resourceVersion": api.store.version(api.store.number)}, "items": []})
        relist({"verb": "list", "resource": kind, "user": "kubed", "do": "body", "content_type": "application/json", "body": body, "times": 1})
        check(f"a list of {kind} that is empty takes nothing away", wait_for(lambda: rig.metric("weir_kube_agent_held") == 3, 40), rig.state())
        time.sleep(3.5)
        check("nor later, for it would be all", [rig.backends(name) for name in names] == ["n1=100 n2=100 n3=100"] * 3 and rig.metric("weir_kube_agent_held") == 3, rig.state())
        if kind != "services":
            check("which is an Event", wait_for(lambda: "LossHeld" in cluster.reasons("later")), cluster.reasons("later"))
        relist()
        check("the next list puts it right", wait_for(lambda: rig.metric("weir_kube_agent_held") == 0, 40), rig.state())
        check("and nothing has changed", [rig.backends(name) for name in names] == ["n1=100 n2=100 n3=100"] * 3, rig.state())
    cluster.endpoints("unsure", ("n1", "not"), ("n2", "not"))
    has_backends(rig, "what objects say is done at once", names[2], "")
    rig.stop_kubed()
    cluster.client.patch("services", "default", "contended", {"metadata": {"finalizers": None}})
    cluster.client.delete("services", "default", "contended")
    rig.start_kubed(api)
    check("one that went while nobody looked is believed to be gone", wait_for(lambda: rig.services() == names[1:], 20), rig.state())
    check("and others stay", rig.backends(names[1]) == "n1=100 n2=100 n3=100", rig.backends(names[1]))


def tokens(rig, api, cluster):
    api.control("token", {"token": "new", "user": "kubed", "groups": ["system:masters"]})
    rig.write_token("new")
    api.tokens.known.pop("kubed")
    api.disconnect()
    cluster.service("rotated")
    check("a token that is changed on disk is used", wait_for(lambda: cluster.address("rotated"), 20), rig.logged()[-1500:])


def main():
    rig = lab.Rig()
    with ApiServer() as api:
        api.control("token", {"token": "kubed", "user": "kubed", "groups": ["system:masters"]})
        cluster = lab.Cluster(Client(api.plain_url, api.token), rig.nodes)
        cluster.begin()
        rig.start_lbd()
        rig.start_kubed(api)
        check("lb-kubed starts", wait_for(rig.is_ready), rig.logged())
        a_service(rig, cluster)
        changes(rig, cluster)
        mistakes(rig, cluster)
        allocation(rig, cluster)
        restarts(rig, api, cluster)
        misbehaviour(rig, api, cluster)
        wrong_lists(rig, api, cluster)
        tokens(rig, api, cluster)
        check("it stops in order, and has lost no memory", rig.stop_kubed() == 0, rig.logged()[-3000:])
        rig.stop_lbd()
    lab.done()


main()
