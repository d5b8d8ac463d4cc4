#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""lb-kubed with 5,000 Services and 100,000 endpoints on 20 nodes, between our API server for tests and a real lbd: what it needs, and how late it
is. Writes build/bench/kube.json; run by make bench-kube. Times of the API server for tests, which is Python, are in all of it."""
import argparse
import json
import os
import subprocess
import sys
import time
import uuid

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "kube"))
os.environ.setdefault("KUBED", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "build", "lb-kubed"))
import rig as lab  # noqa: E402 pylint: disable=wrong-import-position
from rig import wait_for  # noqa: E402 pylint: disable=wrong-import-position

lab.in_namespace()

from apiserver import ApiServer  # noqa: E402 pylint: disable=wrong-import-position
from client import Client  # noqa: E402 pylint: disable=wrong-import-position
from kinds import RESOURCES  # noqa: E402 pylint: disable=wrong-import-position

NODES, ENDPOINTS = 20, 20
EVENT_GAP_S = 0.3
rows = []


def row(what, value, unit, target):
    rows.append({"what": what, "value": round(value, 3), "unit": unit, "target": target, "holds": value <= target})
    print(f"{what}: {value:.3f} {unit} (at most {target}){'' if value <= target else '  MISSED'}", flush=True)


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))]


def objects(services):
    """Services that have had addresses for long, with their slices."""
    for number in range(services):
        name, ip = f"s{number}", f"203.0.{112 + number // 250}.{number % 250 + 1}"
        port = {"name": "http", "port": 80, "protocol": "TCP"}
        yield {"apiVersion": "v1", "kind": "Service",
               "metadata": {"name": name, "namespace": "default", "annotations": {"weir.dev/ring-size": "64"}, "finalizers": ["weir.dev/service"]},
               "spec": {"type": "LoadBalancer", "loadBalancerClass": "weir.dev/weir", "externalTrafficPolicy": "Cluster", "ipFamilies": ["IPv4"],
                        "ipFamilyPolicy": "SingleStack", "clusterIP": "None", "selector": {"app": name}, "ports": [port]},
               "status": {"loadBalancer": {"ingress": [{"ip": ip, "ipMode": "VIP", "ports": [{"port": 80, "protocol": "TCP"}]}]}}}
        yield slice_of(name, [("ready", f"n{node + 1}") for node in range(ENDPOINTS)], number)


def load(store, items):
    """As if they had been there for long: without the server's own checks, which take minutes for so many."""
    with store.lock:
        for item in items:
            resource = next(r for r in RESOURCES if r.api_version == item["apiVersion"] and r.kind == item["kind"])
            item["metadata"].update(uid=str(uuid.uuid4()), creationTimestamp=store.stamp())
            store._commit(resource, "ADDED", item, None)  # pylint: disable=protected-access


def slice_of(name, endpoints, number=0):
    return {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": f"{name}-1", "namespace": "default", "labels": {"kubernetes.io/service-name": name}},
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
            "endpoints": [{"addresses": [f"10.{100 + number // 250}.{number % 250}.{i + 1}"], "nodeName": node, "targetRef": {"kind": "Pod", "name": f"{name}-{i}"},
                           "conditions": {"ready": how == "ready", "serving": how == "ready", "terminating": False}}
                          for i, (how, node) in enumerate(endpoints)]}


def fetch_all(client):
    """As curl would: both lists in pages. Seconds."""
    begin = time.monotonic()
    for plural in ("services", "endpointslices"):
        more = {}
        while True:
            answer = client.get(plural, limit=500, **more)
            if not answer.body["metadata"].get("continue"):
                break
            more = {"continue": answer.body["metadata"]["continue"]}
    return time.monotonic() - begin


def agent_value(rig, path, key):
    """0 where nobody answers yet."""
    return (rig.agent("GET", path)[1] or {}).get(key, 0)


def starts(rig, api, client, services):
    fetching = fetch_all(client)
    begin = time.monotonic()
    rig.start_kubed(api)
    wait_for(lambda: (rig.metric("weir_kube_endpoints") or 0) >= services * ENDPOINTS and rig.metric("weir_kube_watch_watches_total{resource=\"endpointslices\"}"), 120)
    row(f"lists of {services} Services and {services * ENDPOINTS} endpoints, beyond fetching them", max(0, time.monotonic() - begin - fetching), "s", 2)
    wait_for(lambda: (rig.metric("weir_kube_agent_services") or 0) >= services and rig.metric("weir_kube_agent_waiting") == 0, 300)
    wait_for(lambda: agent_value(rig, "/v1/status", "services") >= services and not agent_value(rig, "/v1/sources/kubernetes", "pending"), 60)
    print(f"# fetching {fetching:.2f} s; all at lbd after {time.monotonic() - begin:.2f} s", flush=True)
    row(f"memory with {services} Services and {services * ENDPOINTS} endpoints", rig.resident_kib() / 1024, "MiB", 64)


def one_event(rig, client, name):
    """From a watch event to slots: a Service's endpoints go. Milliseconds."""
    item = slice_of(name, [("not", "n1")])
    begin = time.monotonic()
    client.patch("endpointslices", "default", f"{name}-1", {"endpoints": item["endpoints"]})
    wait_for(lambda: rig.backends(f"default.{name}.80.tcp.v4") == "", 10)
    return (time.monotonic() - begin) * 1000


def latencies(rig, client, rounds, services):
    """Single events, and then one after the other without a pause: lbd gives a sixth of a processor to plans that change by themselves."""
    late = []
    for number in range(rounds):
        time.sleep(EVENT_GAP_S)
        late.append(one_event(rig, client, f"s{number * 37 % services}"))
    row("event to slots, p99", percentile(late, 0.99), "ms", 100)
    print(f"# median {percentile(late, 0.5):.1f} ms", flush=True)
    late = [one_event(rig, client, f"s{number * 37 % services + 1}") for number in range(20)]
    print(f"# one after the other: median {percentile(late, 0.5):.1f} ms, longest {max(late):.1f} ms", flush=True)


def divergences(events):
    """The random test of make check, longer: how often lbd had something else than the oracle, in the end of fifty events."""
    test = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "kube", "test_kubed_random.py")
    env = {key: value for key, value in os.environ.items() if key not in ("WEIR_KUBE_NAMESPACE", "KUBED")}
    done = subprocess.run([test], capture_output=True, text=True, check=False, env={**env, "EVENTS": str(events)})
    lines = [line for line in done.stdout.splitlines() if "lbd has what" in line]
    row(f"{events} random events with random faults: differences from the oracle", sum(line.startswith("not ok") for line in lines) + (not lines), "", 0)


def rolls(path):
    """What make check-kube has counted last, in a real cluster."""
    if not os.path.exists(path):
        print(f"# no {path}: make check-kube counts what rolling updates break", flush=True)
        return
    with open(path, encoding="utf-8") as file:
        for line in json.load(file):
            row(line["what"], line["value"], line["unit"], line["target"])


def creations(cluster, rounds, at_once):
    """From a Service's creation to the address in its status."""
    late = []
    for number in range(rounds):
        begin = time.monotonic()
        cluster.service(f"new{number}")
        wait_for(lambda number=number: cluster.address(f"new{number}"), 10)
        late.append((time.monotonic() - begin) * 1000)
    row("created to address, p99", percentile(late, 0.99), "ms", 30)
    print(f"# median {percentile(late, 0.5):.1f} ms", flush=True)
    for number in range(at_once):
        cluster.service(f"many{number}")
    begin = time.monotonic()

    def missing():
        items = cluster.client.get("services", "default").body["items"]
        return sum(not item["status"].get("loadBalancer", {}).get("ingress") for item in items)
    wait_for(lambda: missing() == 0, 60)
    row(f"{at_once} created at once: all have addresses after the last", time.monotonic() - begin, "s", 3)


def restart(rig, api, cluster):
    rig.stop_kubed()
    cluster.service("fresh")
    begin = time.monotonic()
    rig.start_kubed(api)
    wait_for(lambda: cluster.address("fresh"), 60)
    row("started anew: a new Service has its address", time.monotonic() - begin, "s", 3)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--services", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--events", type=int, default=10000, help="random ones, with faults; 0: none")
    parser.add_argument("--output", default="build/bench/kube.json")
    asked = parser.parse_args()
    rig = lab.Rig(NODES)
    with ApiServer() as api:
        api.control("token", {"token": "kubed", "user": "kubed", "groups": ["system:masters"]})
        cluster = lab.Cluster(Client(api.plain_url, api.token), rig.nodes)
        cluster.begin('{"pools":[{"name":"a","addresses":["203.0.112.0-203.0.255.255"]}]}')
        load(api.store, objects(asked.services))
        rig.start_lbd(vips=[{"prefix": "203.0.0.0/16"}])
        starts(rig, api, Client(api.url, api.token, api.ca_file), asked.services)
        latencies(rig, cluster.client, asked.rounds, asked.services)
        creations(cluster, asked.rounds, 1000)
        restart(rig, api, cluster)
        rig.stop_kubed()
        rig.stop_lbd()
    if asked.events:
        divergences(asked.events)
    rolls(os.path.join(os.path.dirname(asked.output), "kube-rolls.json"))
    os.makedirs(os.path.dirname(asked.output), exist_ok=True)
    with open(asked.output, "w", encoding="utf-8") as file:
        json.dump(rows, file, indent=1)
    sys.exit(0)


main()
