#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 240
"""The rights of configs/kubernetes/base/rbac.yaml: lb-kubed does all that it does with them and is refused nothing, uses each of them, and
with any one taken away something that is named here is missing."""
import os
import sys

import yaml

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import rig as lab  # noqa: E402 pylint: disable=wrong-import-position
from rig import check, wait_for  # noqa: E402 pylint: disable=wrong-import-position

lab.in_namespace()

from apiserver import ApiServer  # noqa: E402 pylint: disable=wrong-import-position
from client import Client  # noqa: E402 pylint: disable=wrong-import-position
from kinds import RESOURCES  # noqa: E402 pylint: disable=wrong-import-position

USER = "system:serviceaccount:weir:weir"
GROUPS = {resource.plural: resource.group for resource in RESOURCES if resource.group != "events.k8s.io"}


def manifest():
    """The objects of rbac.yaml with the namespace that kustomize gives them."""
    with open(os.path.join(lab.ROOT, "configs/kubernetes/base/rbac.yaml"), encoding="utf-8") as file:
        items = list(yaml.safe_load_all(file))
    for item in items:
        if not item["kind"].startswith("Cluster"):
            item["metadata"]["namespace"] = "weir"
    return items


def rights_of(items):
    """{(verb, group, resource)} that the rules give."""
    return {(verb, group, resource) for item in items for rule in item.get("rules", []) for verb in rule["verbs"] for group in rule["apiGroups"]
            for resource in rule["resources"]}


def without(items, right):
    """The objects, one right less."""
    verb, _, resource = right
    new = []
    for item in items:
        rules = []
        for rule in item.get("rules", []):
            kept = [name for name in rule["resources"] if name != resource]
            if resource in rule["resources"]:
                verbs = [name for name in rule["verbs"] if name != verb]
                rules += [{**rule, "resources": [resource], "verbs": verbs}] if verbs else []
            if kept:
                rules.append({**rule, "resources": kept})
        new.append({**item, "rules": rules} if "rules" in item else item)
    return new


def begin(rig, items):
    """A server with these rights, one Service to be served, and lb-kubed."""
    api = ApiServer().__enter__()
    api.tokens.add("kubed", USER, ["system:serviceaccounts", "system:serviceaccounts:weir"])
    cluster = lab.Cluster(Client(api.url, api.token, api.ca_file), rig.nodes)
    cluster.begin()
    for item in items:
        api.store.seed(item)
    cluster.service("web")
    cluster.endpoints("web", ("n1", "ready"))
    cluster.service("wrong", {"weir.dev/forward": "teleport"})
    rig.start_kubed(api)
    return api, cluster


def works(rig, cluster):
    """What lb-kubed is there for; the name of the first thing that is missing, or None."""
    for what, done in (("an address", lambda: cluster.address("web")), ("a service of lbd", lambda: rig.backends("default.web.80.tcp.v4")),
                       ("an Event", lambda: "BadAnnotation" in cluster.reasons("wrong"))):
        if not done():
            return what
    return None


def end(rig, api):
    rig.stop_kubed(sure=True)
    api.__exit__()
    rig.agent("PUT", "/v1/sources/kubernetes?revision=9000000000000&allow_loss=1", [])


def asked(api):
    """{(verb, group, resource)} that lb-kubed has asked for, and which of them were refused."""
    done = [(verb, GROUPS.get(resource.partition("/")[0], ""), resource, code) for _, user, verb, resource, _, _, code, *_ in api.requests if user == USER and resource]
    # A watch is among the requests when it has ended.
    watches = {("watch", GROUPS[plural], plural) for user, plural in api.open_watches() if user == USER}
    return {entry[:3] for entry in done} | watches, {entry for entry in done if entry[3] == 403}


def all_rights(rig, items):
    api, cluster = begin(rig, items)
    check("with its rights it gives an address, has lbd serve, and tells", wait_for(lambda: works(rig, cluster) is None), (works(rig, cluster), rig.state()))
    wait_for(lambda: cluster.client.get("leases", "weir", "weir").code == 200 and ("update", "coordination.k8s.io", "leases") in asked(api)[0], 15)
    # What it gave it takes back: the finalizer, when a Service goes.
    cluster.client.delete("services", "default", "web")
    check("and lets a Service go", wait_for(lambda: cluster.client.get("services", "default", "web").code == 404), cluster.get("web"))
    used, refused = asked(api)
    check("it is refused nothing", not refused, refused)
    check("it uses each right that it has", rights_of(items) <= used, sorted(rights_of(items) - used))
    check("and none that it has not", used <= rights_of(items), sorted(used - rights_of(items)))
    end(rig, api)


def one_less(rig, items, right):
    api, _ = begin(rig, without(items, right))
    verb, _, resource = right
    refused = wait_for(lambda: [entry for entry in asked(api)[1] if entry[0] == verb and entry[2] == resource], 15)
    check(f"without the right to {verb} {resource} it is refused just that, and lives on", refused and {entry[:3] for entry in asked(api)[1]} == {right} and
          rig.kubed.poll() is None, (asked(api)[1], rig.logged()[-600:]))
    end(rig, api)


def main():
    items = manifest()
    rig = lab.Rig()
    rig.start_lbd()
    all_rights(rig, items)
    for right in sorted(rights_of(items)):
        one_less(rig, items, right)
    rig.stop_lbd()
    lab.done()


main()
