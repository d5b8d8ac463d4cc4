#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""What lb-kubed relies on of an API server, one test a promise. The same tests run against our own (test_apiserver.py, in make check) and
against the real one (make check-kube): what passes on both may be believed of ours.

    conformance.py --url URL --token TOKEN [--ca FILE] [--etcd URL]      prints TAP"""
import argparse
import json
import os
import sys
import time
import urllib.error
import urllib.request
import uuid

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from client import JSON, STRATEGIC, Client  # noqa: E402 pylint: disable=wrong-import-position

TESTS = []
LEASE = {"holderIdentity": "one", "leaseDurationSeconds": 15, "acquireTime": "2026-01-01T00:00:00.000000Z", "renewTime": "2026-01-01T00:00:00.000000Z"}


def test(what):
    def mark(function):
        TESTS.append((what, function))
        return function
    return mark


def expect(condition, *what):
    if not condition:
        raise AssertionError(" ".join(map(str, what))[:1500])


class World:
    """A namespace of its own on a server. compact makes the server forget old versions; old is a version from before its time, ahead one that
    has not been yet."""

    def __init__(self, url, token, ca_file, compact, old, ahead):
        self.url, self.ca_file, self.compact, self.old, self.ahead = url, ca_file, compact, old, ahead
        self.client = Client(url, token, ca_file)
        self.namespace = f"conformance-{uuid.uuid4().hex[:8]}"
        made = self.client.create("namespaces", {"metadata": {"name": self.namespace}})
        expect(made.code == 201, made)

    def service(self, name, labels=None, **spec):
        spec = {"type": "LoadBalancer", "loadBalancerClass": "weir.dev/weir", "ports": [{"name": "web", "port": 80}], **spec}
        made = self.client.create("services", {"metadata": {"name": name, "labels": labels or {}}, "spec": spec}, self.namespace)
        expect(made.code == 201, made)
        return made.body

    def services(self, **query):
        return self.client.get("services", self.namespace, **query)

    def patch(self, name, body, **more):
        return self.client.patch("services", self.namespace, name, body, **more)

    def done(self):
        for item in self.services().body["items"]:
            self.patch(item["metadata"]["name"], {"metadata": {"finalizers": None}})
            self.client.delete("services", self.namespace, item["metadata"]["name"])
        self.client.delete("namespaces", "", self.namespace)


def names(items):
    return [item["metadata"]["name"] for item in items]


def refused(answer, code, reason):
    expect(answer.code == code and answer.body and answer.body.get("kind") == "Status" and answer.body.get("reason") == reason and
           answer.body.get("code") == code, f"wanted {code} {reason}:", answer)


# --- lists --------------------------------------------------------------------------------------------------------------------------

@test("a list comes in pages of one version, and says how many remain")
def _pages(world):
    for number in range(7):
        world.service(f"page-{number}", {"set": "pages"})
    seen, versions, remaining, token = [], set(), [], None
    while True:
        page = world.services(limit=3, **({"continue": token} if token else {}))
        expect(page.code == 200 and page.body["kind"] == "ServiceList", page)
        seen += names(page.body["items"])
        meta = page.body["metadata"]
        versions.add(meta["resourceVersion"])
        remaining.append(meta.get("remainingItemCount", 0))
        token = meta.get("continue")
        if not token:
            break
    expect(seen == [f"page-{number}" for number in range(7)], seen)
    expect(len(versions) == 1 and remaining == [4, 1, 0], versions, remaining)


@test("what is made or deleted between two pages does not show in the second")
def _pages_are_consistent(world):
    for name in ("a", "b", "c"):
        world.service(name, {"set": "consistent"})
    page = world.services(limit=1)
    world.service("b-new")
    world.client.delete("services", world.namespace, "c")
    rest = world.services(**{"limit": 10, "continue": page.body["metadata"]["continue"]})
    expect(names(page.body["items"] + rest.body["items"]) == ["a", "b", "c"], page, rest)


@test("with a selector the remaining ones are not counted, and pages still hold only what is selected")
def _pages_selected(world):
    for number in range(6):
        world.service(f"sel-{number}", {"odd": str(number % 2)})
    page = world.services(limit=2, labelSelector="odd=1")
    expect(names(page.body["items"]) == ["sel-1", "sel-3"] and "remainingItemCount" not in page.body["metadata"], page)
    rest = world.services(**{"limit": 2, "labelSelector": "odd=1", "continue": page.body["metadata"]["continue"]})
    expect(names(rest.body["items"]) == ["sel-5"] and not rest.body["metadata"].get("continue"), rest)


@test("a page token that has expired is 410 Expired with a token that goes on")
def _expired_page(world):
    for number in range(4):
        world.service(f"exp-{number}")
    token = world.services(limit=2).body["metadata"]["continue"]
    world.compact()
    # The real one goes on from copies of its own until its compactor has been round.
    deadline = time.monotonic() + 30
    while True:
        late = world.services(**{"limit": 2, "continue": token})
        if late.code == 410 or time.monotonic() > deadline:
            break
        time.sleep(0.1)
        world.service(f"exp-other-{time.monotonic_ns()}")
        world.compact()
    refused(late, 410, "Expired")
    onward = late.body["metadata"].get("continue")
    expect(onward, late)
    rest = world.services(**{"limit": 10, "continue": onward})
    expect(rest.code == 200 and names(rest.body["items"])[:2] == ["exp-2", "exp-3"], rest)


@test("a page token that is none, and a version that is none, are 400")
def _bad_tokens(world):
    refused(world.services(**{"limit": 2, "continue": "not a token"}), 400, "BadRequest")
    refused(world.services(resourceVersion="not a version"), 400, "BadRequest")


@test("a list of a version that has not been yet is 504 with ResourceVersionTooLarge")
def _future_list(world):
    answer = world.services(resourceVersion=world.ahead, resourceVersionMatch="NotOlderThan")
    refused(answer, 504, "Timeout")
    expect(any(cause.get("reason") == "ResourceVersionTooLarge" for cause in answer.body["details"].get("causes", [])), answer)


@test("items of a list have no kind of their own")
def _items_bare(world):
    world.service("bare")
    expect("kind" not in world.services().body["items"][0], world.services())


# --- watches ------------------------------------------------------------------------------------------------------------------------

@test("a watch from a list's version tells of each change once, in order")
def _watch(world):
    version = world.services().body["metadata"]["resourceVersion"]
    watch = world.client.watch("services", world.namespace, resourceVersion=version)
    expect(watch.code == 200, watch.code)
    made = world.service("seen")
    world.patch("seen", {"metadata": {"labels": {"a": "b"}}})
    world.client.delete("services", world.namespace, "seen")
    events = [watch.next() for _ in range(3)]
    expect([event and event[0] for event in events] == ["ADDED", "MODIFIED", "DELETED"], events)
    expect(events[0][1]["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"], events[0])
    expect(all(event[1]["kind"] == "Service" and event[1]["metadata"]["uid"] == made["metadata"]["uid"] for event in events), events)
    expect(len({event[1]["metadata"]["resourceVersion"] for event in events}) == 3, "the deletion has a version of its own")
    watch.close()


@test("a watch from any event's version goes on behind it")
def _watch_resumes(world):
    first = world.service("one")
    world.service("two")
    watch = world.client.watch("services", world.namespace, resourceVersion=first["metadata"]["resourceVersion"])
    event = watch.next()
    expect(event and event[0] == "ADDED" and event[1]["metadata"]["name"] == "two", event)
    watch.close()


@test("a watch without a version begins with what is there")
def _watch_from_any(world):
    world.service("there")
    for query in ({}, {"resourceVersion": "0"}):
        watch = world.client.watch("services", world.namespace, **query)
        event = watch.next()
        expect(event and event[0] == "ADDED" and event[1]["metadata"]["name"] == "there", query, event)
        watch.close()


@test("a bookmark comes before the end of a watch if anything has happened since, is only a version, and can be gone on from")
def _bookmark(world):
    world.service("old")
    version = world.services().body["metadata"]["resourceVersion"]
    watch = world.client.watch("services", world.namespace, resourceVersion=version, allowWatchBookmarks=True, timeoutSeconds=5)
    elsewhere = {"metadata": {"generateName": "elsewhere-"}, "spec": {"ports": [{"port": 80}]}}
    made = world.client.create("services", elsewhere, "default")
    expect(made.code == 201, made)
    world.client.delete("services", "default", made.body["metadata"]["name"])
    event = watch.until(lambda kind, _: kind == "BOOKMARK", 8)
    expect(event and event[1]["kind"] == "Service" and event[1]["metadata"].get("resourceVersion"), event)
    expect("name" not in event[1]["metadata"] or not event[1]["metadata"]["name"], event)
    world.service("new")
    again = world.client.watch("services", world.namespace, resourceVersion=event[1]["metadata"]["resourceVersion"])
    following = again.next()
    expect(following and following[1]["metadata"]["name"] == "new", following)
    again.close()
    while watch.next(8):
        pass
    expect(watch.ended, "timeoutSeconds ends a watch")


@test("a watch may begin with a list of its own, ended by a bookmark")
def _initial_events(world):
    world.service("first")
    watch = world.client.watch("services", world.namespace, sendInitialEvents=True, resourceVersionMatch="NotOlderThan", allowWatchBookmarks=True)
    event = watch.next()
    expect(event and event[0] == "ADDED" and event[1]["metadata"]["name"] == "first", event)
    event = watch.next()
    expect(event and event[0] == "BOOKMARK" and event[1]["metadata"].get("annotations", {}).get("k8s.io/initial-events-end") == "true", event)
    watch.close()


@test("a watch from a version that is too old is answered 200 and ends with an ERROR event of 410 Expired")
def _watch_expired(world):
    watch = world.client.watch("services", world.namespace, resourceVersion=world.old)
    event = watch.next()
    expect(watch.code == 200 and event and event[0] == "ERROR", watch.code, event)
    expect(event[1]["kind"] == "Status" and event[1]["code"] == 410 and event[1]["reason"] == "Expired", event)
    expect(watch.next(2) is None and watch.ended, "it ends after it")


@test("a watch from a version that has not been yet says nothing")
def _watch_future(world):
    watch = world.client.watch("services", world.namespace, resourceVersion=world.ahead)
    world.service("unseen")
    event = watch.next(2)
    expect(watch.code == 200 and event is None and not watch.ended, watch.code, event)
    watch.close()


@test("a watch from a version that is none is refused")
def _watch_bad_version(world):
    watch = world.client.watch("services", world.namespace, resourceVersion="not a version")
    expect(watch.code == 500, watch.code)
    watch.close()


@test("for a watch with a selector, what leaves the selection is deleted, what enters it is added")
def _watch_selected(world):
    world.service("moves", {"in": "no"})
    version = world.services().body["metadata"]["resourceVersion"]
    watch = world.client.watch("services", world.namespace, resourceVersion=version, labelSelector="in=yes")
    for label in ("yes", "yes", "no"):
        world.patch("moves", {"metadata": {"labels": {"in": label}, "annotations": {"at": str(time.monotonic())}}})
    events = [watch.next() for _ in range(3)]
    expect([event and event[0] for event in events] == ["ADDED", "MODIFIED", "DELETED"], events)
    watch.close()


@test("deleted and made again under the same name is another uid")
def _uid(world):
    before = world.service("again")["metadata"]["uid"]
    world.client.delete("services", world.namespace, "again")
    expect(world.service("again")["metadata"]["uid"] != before, before)


# --- writing ------------------------------------------------------------------------------------------------------------------------

@test("an update or patch of an old version is 409 Conflict")
def _conflict(world):
    old = world.service("written")
    world.patch("written", {"metadata": {"labels": {"a": "1"}}})
    old["metadata"]["labels"] = {"a": "2"}
    refused(world.client.replace("services", old), 409, "Conflict")
    refused(world.patch("written", {"metadata": {"resourceVersion": old["metadata"]["resourceVersion"], "labels": {"a": "3"}}}), 409, "Conflict")
    expect(world.patch("written", {"metadata": {"labels": {"a": "4"}}}).code == 200, "a patch without a version goes on top")


@test("a patch that changes nothing makes no new version")
def _no_change(world):
    before = world.service("same", {"a": "b"})["metadata"]["resourceVersion"]
    after = world.patch("same", {"metadata": {"labels": {"a": "b"}}})
    expect(after.code == 200 and after.body["metadata"]["resourceVersion"] == before, before, after)


@test("what is there already cannot be made; what is not there is 404")
def _exists(world):
    world.service("twice")
    spec = {"ports": [{"port": 80}]}
    refused(world.client.create("services", {"metadata": {"name": "twice"}, "spec": spec}, world.namespace), 409, "AlreadyExists")
    refused(world.client.get("services", world.namespace, "nowhere"), 404, "NotFound")
    refused(world.patch("nowhere", {"metadata": {"labels": {"a": "b"}}}), 404, "NotFound")
    refused(world.client.create("services", {"metadata": {"name": "x"}, "spec": spec}, "no-such-namespace"), 404, "NotFound")


@test("a dry run stores nothing")
def _dry_run(world):
    answer = world.client.create("services", {"metadata": {"name": "dry"}, "spec": {"ports": [{"port": 80}]}}, world.namespace, dryRun="All")
    expect(answer.code == 201, answer)
    refused(world.client.get("services", world.namespace, "dry"), 404, "NotFound")


@test("JSON patch, and its test of a value; strategic merge of ports by their number")
def _patches(world):
    world.service("patched")
    good = world.patch("patched", [{"op": "add", "path": "/metadata/annotations", "value": {"weir.dev/ring": "64"}}], kind=JSON)
    expect(good.code == 200 and good.body["metadata"]["annotations"]["weir.dev/ring"] == "64", good)
    refused(world.patch("patched", [{"op": "test", "path": "/metadata/annotations/weir.dev~1ring", "value": "1"}], kind=JSON), 422, "Invalid")
    more = world.patch("patched", {"spec": {"ports": [{"name": "tls", "port": 443}]}}, kind=STRATEGIC)
    expect(more.code == 200 and {port["port"] for port in more.body["spec"]["ports"]} == {80, 443}, more)


@test("status: the ingress with ipMode and ports; a patch of it touches no spec, an update of the object no status")
def _status(world):
    world.service("stat")
    ingress = [{"ip": "192.0.2.1", "ipMode": "VIP", "ports": [{"port": 80, "protocol": "TCP"}]}, {"ip": "2001:db8::1", "ipMode": "VIP"}]
    done = world.patch("stat", {"status": {"loadBalancer": {"ingress": ingress}}, "spec": {"externalTrafficPolicy": "Local"}}, sub="status")
    expect(done.code == 200 and done.body["status"]["loadBalancer"]["ingress"] == ingress, done)
    expect(done.body["spec"]["externalTrafficPolicy"] == "Cluster", done)
    item = {**done.body, "status": {"loadBalancer": {}}}
    kept = world.client.replace("services", item)
    expect(kept.code == 200 and kept.body["status"]["loadBalancer"].get("ingress") == ingress, kept)
    gone = world.patch("stat", {"status": {"loadBalancer": {"ingress": None}}}, sub="status")
    expect(gone.code == 200 and not gone.body["status"]["loadBalancer"].get("ingress"), gone)


@test("status: no address that is none, no mode that is none; a mode is filled in")
def _status_refused(world):
    world.service("bad")

    def put(entry):
        return world.patch("bad", {"status": {"loadBalancer": {"ingress": [entry]}}}, sub="status")
    refused(put({"ip": "300.1.1.1"}), 422, "Invalid")
    refused(put({"ip": "192.0.2.1", "ipMode": "vip"}), 422, "Invalid")
    refused(put({"hostname": "a.example", "ipMode": "VIP"}), 422, "Invalid")
    good = put({"ip": "192.0.2.1"})
    expect(good.code == 200 and good.body["status"]["loadBalancer"]["ingress"][0]["ipMode"] == "VIP", good)


@test("status: a Service that is no LoadBalancer any more has lost its ingress")
def _status_type(world):
    world.service("type")
    world.patch("type", {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}, sub="status")
    item = world.patch("type", {"spec": {"type": "ClusterIP", "loadBalancerClass": None}})
    expect(item.code == 200 and not item.body["status"]["loadBalancer"].get("ingress"), item)


@test("a finalizer holds a deleted object until it is taken off")
def _finalizer(world):
    world.service("held")
    done = world.patch("held", {"metadata": {"finalizers": ["weir.dev/address"]}})
    expect(done.code == 200 and done.body["metadata"]["finalizers"] == ["weir.dev/address"], done)
    watch = world.client.watch("services", world.namespace, resourceVersion=done.body["metadata"]["resourceVersion"])
    gone = world.client.delete("services", world.namespace, "held")
    expect(gone.code == 200, gone)
    event = watch.next()
    expect(event and event[0] == "MODIFIED" and event[1]["metadata"].get("deletionTimestamp"), event)
    refused(world.patch("held", {"metadata": {"finalizers": ["weir.dev/address", "weir.dev/more"]}}), 422, "Invalid")
    expect(world.patch("held", {"metadata": {"finalizers": None}}).code == 200, "taken off")
    event = watch.next()
    expect(event and event[0] == "DELETED", event)
    refused(world.client.get("services", world.namespace, "held"), 404, "NotFound")
    watch.close()


@test("a deletion with another uid is 409 Conflict")
def _precondition(world):
    world.service("kept")
    refused(world.client.delete("services", world.namespace, "kept", kind="DeleteOptions", apiVersion="v1", preconditions={"uid": str(uuid.uuid4())}), 409, "Conflict")
    expect(world.client.get("services", world.namespace, "kept").code == 200, "kept")


# --- apply --------------------------------------------------------------------------------------------------------------------------

def _own(**metadata):
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata}


@test("apply sets our own fields, leaves others', and takes off what we no longer name")
def _apply(world):
    world.service("applied", {"theirs": "label"})
    world.patch("applied", {"metadata": {"finalizers": ["other.dev/theirs"], "annotations": {"theirs": "1"}}})
    done = world.client.apply("services", world.namespace, "applied", _own(finalizers=["weir.dev/ours"], annotations={"weir.dev/ring": "64"}), "weir")
    meta = done.body["metadata"]
    expect(done.code == 200 and sorted(meta["finalizers"]) == ["other.dev/theirs", "weir.dev/ours"], done)
    expect(meta["annotations"] == {"theirs": "1", "weir.dev/ring": "64"} and meta["labels"] == {"theirs": "label"}, done)
    expect(any(entry["manager"] == "weir" and entry["operation"] == "Apply" for entry in meta["managedFields"]), meta)
    done = world.client.apply("services", world.namespace, "applied", _own(annotations={"weir.dev/ring": "64"}), "weir")
    expect(done.code == 200 and done.body["metadata"]["finalizers"] == ["other.dev/theirs"], done)
    done = world.client.apply("services", world.namespace, "applied", _own(), "weir")
    expect(done.body["metadata"]["annotations"] == {"theirs": "1"}, done)


@test("apply of a field that another manager set to something else is 409, unless forced")
def _apply_conflict(world):
    world.service("fought")
    world.client.apply("services", world.namespace, "fought", _own(annotations={"weir.dev/ring": "64"}), "one")
    answer = world.client.apply("services", world.namespace, "fought", _own(annotations={"weir.dev/ring": "128"}), "two")
    refused(answer, 409, "Conflict")
    expect(answer.body["details"]["causes"][0]["reason"] == "FieldManagerConflict", answer)
    forced = world.client.apply("services", world.namespace, "fought", _own(annotations={"weir.dev/ring": "128"}), "two", force=True)
    expect(forced.code == 200 and forced.body["metadata"]["annotations"]["weir.dev/ring"] == "128", forced)
    same = world.client.apply("services", world.namespace, "fought", _own(annotations={"weir.dev/ring": "128"}), "three")
    expect(same.code == 200, "the same value is no conflict", same)


@test("apply of the status writes the ingress and nothing else")
def _apply_status(world):
    world.service("ast")
    body = {"apiVersion": "v1", "kind": "Service", "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.7", "ipMode": "VIP"}]}}}
    done = world.client.apply("services", world.namespace, "ast", body, "weir", sub="status", force=True)
    expect(done.code == 200 and done.body["status"]["loadBalancer"]["ingress"][0]["ip"] == "192.0.2.7", done)
    again = world.client.apply("services", world.namespace, "ast", body, "weir", sub="status", force=True)
    expect(again.body["metadata"]["resourceVersion"] == done.body["metadata"]["resourceVersion"], "the same again changes nothing", again)


# --- leases, events, slices ---------------------------------------------------------------------------------------------------------

@test("a Lease: made once, renewed by its version alone")
def _lease(world):
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "leader"}, "spec": LEASE}
    made = world.client.create("leases", lease, world.namespace)
    expect(made.code == 201, made)
    refused(world.client.create("leases", lease, world.namespace), 409, "AlreadyExists")
    mine = {**made.body, "spec": {**LEASE, "renewTime": "2026-01-01T00:00:05.000001Z"}}
    renewed = world.client.replace("leases", mine)
    expect(renewed.code == 200 and renewed.body["spec"]["renewTime"] == "2026-01-01T00:00:05.000001Z", renewed)
    refused(world.client.replace("leases", {**made.body, "spec": {**LEASE, "holderIdentity": "two"}}), 409, "Conflict")
    blind = {**made.body, "metadata": {key: value for key, value in made.body["metadata"].items() if key != "resourceVersion"}}
    refused(world.client.replace("leases", blind), 422, "Invalid")
    wrong = {**renewed.body, "spec": {**LEASE, "renewTime": "yesterday"}}
    expect(world.client.replace("leases", wrong).code in (400, 422), "a time is a time")


@test("an Event can be made in either group and is seen in both")
def _events(world):
    service = world.service("noted")
    about = {"kind": "Service", "apiVersion": "v1", "name": "noted", "namespace": world.namespace, "uid": service["metadata"]["uid"]}
    core = {"metadata": {"generateName": "noted-"}, "involvedObject": about, "type": "Warning", "reason": "NoAddress", "message": "all pools are empty",
            "source": {"component": "lb-kubed"}, "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:00:00Z", "count": 1}
    made = world.client.create("events", core, world.namespace)
    expect(made.code == 201 and made.body["metadata"]["name"].startswith("noted-"), made)
    new = {"metadata": {"generateName": "noted-"}, "regarding": about, "type": "Normal", "reason": "Given", "note": "192.0.2.1", "action": "Allocate",
           "eventTime": "2026-01-01T00:00:00.000000Z", "reportingController": "weir.dev/lb-kubed", "reportingInstance": "edge-1"}
    made = world.client.create("events.events.k8s.io", new, world.namespace)
    expect(made.code == 201 and made.body["note"] == "192.0.2.1", made)
    refused(world.client.create("events.events.k8s.io", {key: value for key, value in new.items() if key != "reportingInstance"}, world.namespace), 422, "Invalid")
    seen = world.client.get("events", world.namespace).body["items"]
    expect({item["message"] for item in seen} >= {"all pools are empty", "192.0.2.1"}, seen)


@test("EndpointSlices of a Service are found by their label, and hold at most 1,000 endpoints")
def _slices(world):
    def make(name, service, count=1):
        return world.client.create("endpointslices", {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {
            "name": name, "labels": {"kubernetes.io/service-name": service}}, "addressType": "IPv4", "ports": [{"name": "web", "port": 8080, "protocol": "TCP"}],
            "endpoints": [{"addresses": [f"10.1.{number // 250}.{number % 250 + 1}"], "conditions": {"ready": True}, "nodeName": "n1"} for number in range(count)]},
            world.namespace)
    expect(make("s-1", "web").code == 201 and make("s-2", "web").code == 201 and make("o-1", "other").code == 201, "made")
    found = world.client.get("endpointslices", world.namespace, labelSelector="kubernetes.io/service-name=web")
    expect(names(found.body["items"]) == ["s-1", "s-2"] and found.body["kind"] == "EndpointSliceList", found)
    refused(make("many", "web", 1001), 422, "Invalid")


# --- services -----------------------------------------------------------------------------------------------------------------------

@test("a Service: loadBalancerClass does not change; Local gives a healthCheckNodePort; node ports may be refused")
def _service_fields(world):
    made = world.service("fields", externalTrafficPolicy="Local", allocateLoadBalancerNodePorts=False)
    spec = made["spec"]
    expect(spec["healthCheckNodePort"] > 0 and not spec["ports"][0].get("nodePort"), spec)
    refused(world.patch("fields", {"spec": {"loadBalancerClass": "other.dev/x"}}), 422, "Invalid")
    spec = world.service("ports")["spec"]
    expect(spec["ports"][0]["nodePort"] > 0 and not spec.get("healthCheckNodePort") and spec["allocateLoadBalancerNodePorts"], spec)
    spec = world.patch("fields", {"spec": {"externalTrafficPolicy": "Cluster"}}).body["spec"]
    expect(not spec.get("healthCheckNodePort"), spec)
    spec = world.service("both", ipFamilyPolicy="PreferDualStack")["spec"]
    expect(spec["ipFamilies"] == ["IPv4", "IPv6"] and len(spec["clusterIPs"]) == 2, spec)
    bad = {"metadata": {"name": "UPPER"}, "spec": {"ports": [{"port": 80}]}}
    refused(world.client.create("services", bad, world.namespace), 422, "Invalid")


# --- rights -------------------------------------------------------------------------------------------------------------------------

def _account(world, name, rules):
    """A client with a service account's own token and these rights in the namespace."""
    group = "rbac.authorization.k8s.io"
    world.client.create("serviceaccounts", {"metadata": {"name": name}}, world.namespace)
    world.client.create("roles", {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": {"name": name}, "rules": rules}, world.namespace)
    world.client.create("rolebindings", {"apiVersion": f"{group}/v1", "kind": "RoleBinding", "metadata": {"name": name},
                                         "roleRef": {"apiGroup": group, "kind": "Role", "name": name},
                                         "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": world.namespace}]}, world.namespace)
    path = f"/api/v1/namespaces/{world.namespace}/serviceaccounts/{name}/token"
    answer = world.client.ask("POST", path, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}})
    expect(answer.code == 201 and answer.body["status"]["token"], answer)
    return Client(world.url, answer.body["status"]["token"], world.ca_file)


def _eventually(ask, code):
    """Rights take a moment to be known."""
    deadline = time.monotonic() + 10
    while ask().code != code and time.monotonic() < deadline:
        time.sleep(0.02)
    return ask()


@test("a service account may do what its role says: all else is 403 Forbidden, a token that is none 401")
def _rights(world):
    world.service("guarded")
    client = _account(world, "reader", [{"apiGroups": [""], "resources": ["services"], "verbs": ["get", "list", "watch"]},
                                        {"apiGroups": [""], "resources": ["services/status"], "verbs": ["patch"]}])
    answer = _eventually(lambda: client.get("services", world.namespace), 200)
    expect(answer.code == 200, answer)
    refused(client.patch("services", world.namespace, "guarded", {"metadata": {"labels": {"a": "b"}}}), 403, "Forbidden")
    good = client.patch("services", world.namespace, "guarded", {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}, sub="status")
    expect(good.code == 200, good)
    refused(client.get("services"), 403, "Forbidden")
    refused(client.get("nodes"), 403, "Forbidden")
    watch = client.watch("endpointslices", world.namespace)
    expect(watch.code == 403, watch.code)
    watch.close()
    stranger = Client(world.url, "nobody", world.ca_file)
    refused(stranger.get("services", world.namespace), 401, "Unauthorized")


@test("a right by name holds for a get and for a list or watch bound to that name")
def _rights_by_name(world):
    for name in ("pools", "other"):
        world.client.create("configmaps", {"metadata": {"name": name}, "data": {"a": "b"}}, world.namespace)
    client = _account(world, "named", [{"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["pools"], "verbs": ["get", "list", "watch"]}])
    answer = _eventually(lambda: client.get("configmaps", world.namespace, "pools"), 200)
    expect(answer.code == 200, answer)
    found = client.get("configmaps", world.namespace, fieldSelector="metadata.name=pools")
    expect(found.code == 200 and names(found.body["items"]) == ["pools"], found)
    refused(client.get("configmaps", world.namespace), 403, "Forbidden")
    refused(client.get("configmaps", world.namespace, "other"), 403, "Forbidden")


# --- running ------------------------------------------------------------------------------------------------------------------------

def run(url, token, ca_file, compact, check, old="1", ahead="900000000000"):
    """Runs all; check(what, good, why) is told of each."""
    for what, function in TESTS:
        why = ""
        world = World(url, token, ca_file, compact, old, ahead)
        try:
            function(world)
        except (AssertionError, KeyError, TypeError, OSError, ValueError, IndexError) as error:
            why = f"{type(error).__name__}: {error}"
        finally:
            world.done()
        check(what, not why, why)


def etcd_compact(url):
    """Compacts the etcd of a real server up to now, through its JSON gateway."""
    def ask(path, body):
        request = urllib.request.Request(url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)
    revision = ask("/v3/kv/range", {"key": "AA=="})["header"]["revision"]
    try:
        ask("/v3/kv/compaction", {"revision": revision, "physical": True})
    except urllib.error.HTTPError:
        pass  # compacted already


def main():
    parser = argparse.ArgumentParser(description="What lb-kubed relies on of an API server")
    parser.add_argument("--url", required=True)
    parser.add_argument("--token", required=True)
    parser.add_argument("--ca")
    parser.add_argument("--etcd", required=True, help="the etcd behind it, to be compacted")
    asked = parser.parse_args()
    done, failed = [], []

    def check(what, good, why):
        done.append(what)
        print(f"{'ok' if good else 'not ok'} {len(done)} - {what}", flush=True)
        if not good:
            failed.append(what)
            print("# " + why.replace("\n", "\n# "), flush=True)
    run(asked.url, asked.token, asked.ca, lambda: etcd_compact(asked.etcd), check)
    print(f"1..{len(TESTS)}")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
