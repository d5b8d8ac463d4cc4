#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 180
"""The API server that tests of lb-kubed use: it keeps every promise of conformance.py, which the real one keeps too (make check-kube), and
misbehaves as it is told."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import conformance  # noqa: E402 pylint: disable=wrong-import-position
from apiserver import ApiServer  # noqa: E402 pylint: disable=wrong-import-position
from client import Client  # noqa: E402 pylint: disable=wrong-import-position

results = []


def check(what, good, why=""):
    results.append(bool(good))
    print(f"{'ok' if good else 'not ok'} {len(results)} - {what}", flush=True)
    if not good and why != "":
        print("# " + str(why).replace("\n", "\n# "), flush=True)


def conforms(opaque):
    with ApiServer(opaque=opaque) as api:
        ahead = api.store.version(api.store.number + (1 << 30))
        kind = ", with versions that are no numbers" if opaque else ""
        conformance.run(api.url, api.token, api.ca_file, api.store.compact, lambda what, good, why: check(what + kind, good, why),
                        api.store.version(1), ahead)


def service(name, **spec):
    return {"metadata": {"name": name}, "spec": {"type": "LoadBalancer", "ports": [{"port": 80}], **spec}}


def code_of(ask):
    try:
        return ask().code
    except OSError as error:
        return type(error).__name__
    except Exception as error:  # pylint: disable=broad-except
        return type(error).__name__


def answers_badly(api, client):
    """Each fault once (twice where the client asks again by itself); after it the server is as before."""
    for fault, wanted in (
            ({"do": "status", "code": 429, "retry_after": 1}, {429}), ({"do": "status", "code": 500}, {500}), ({"do": "status", "code": 410}, {410}),
            ({"do": "html"}, {200}), ({"do": "html", "code": 502}, {502}), ({"do": "body", "body": "{}"}, {200}),
            ({"do": "reset"}, {"ConnectionResetError", "RemoteDisconnected"}), ({"do": "cut", "bytes": 300}, {"IncompleteRead"}),
            ({"do": "delay", "delay_ms": 50}, {200}), ({"do": "slow", "bytes": 100}, {200})):
        api.faults.set([{"verb": "get", "resource": "services", "times": 2 if fault["do"] in ("reset", "cut") else 1, **fault}])
        seen = code_of(lambda: client.get("services", "default", "web"))
        after = code_of(lambda: client.get("services", "default", "web"))
        check(f"a fault of {fault}: {wanted}", seen in wanted and after == 200, (seen, after))
    api.faults.set([{"verb": "get", "do": "status", "code": 429, "retry_after": 7, "times": 1}])
    check("429 says when to come back", client.get("services", "default", "web").headers.get("Retry-After") == "7")
    api.faults.set([{"verb": "patch", "resource": "services", "do": "reset_after", "times": 1}])
    seen = code_of(lambda: client.patch("services", "default", "web", {"metadata": {"labels": {"written": "yes"}}}))
    written = client.get("services", "default", "web").body["metadata"].get("labels")
    check("a write whose answer is lost is a write", seen != 200 and written == {"written": "yes"}, (seen, written))
    api.faults.set([{"verb": "get", "do": "status", "code": 503, "skip": 1, "times": 1}])
    seen = [client.get("services", "default", "web").code for _ in range(3)]
    check("a fault waits and ends as it says", seen == [200, 503, 200] and api.faults.hits() == [1], seen)


def watches_badly(api, client):
    """What a watch under a fault says: its events, then its end or its silence."""
    for kind, last, ended in (("gone", "ERROR", True), ("error", "ERROR", True), ("drop", None, True), ("stall", None, False), ("silent", None, False)):
        api.faults.set([{"verb": "watch", "do": kind, "events": 1}])
        watch = client.watch("services", resourceVersion=client.get("services").body["metadata"]["resourceVersion"])
        for number in range(2):
            client.patch("services", "default", "web", {"metadata": {"annotations": {"at": f"{kind}{number}"}}})
        first = None if kind == "silent" else watch.next()
        event = watch.next(0.3 if not ended else 3)
        good = (kind == "silent" or (first and first[0] == "MODIFIED")) and (event and event[0]) == last
        if ended and good:
            good = watch.next(2) is None and watch.ended
        check(f"a watch with the fault {kind}", good and watch.ended == ended, (first, event, watch.ended))
        if last:
            check(f"{kind}: with its code", event and event[1]["code"] == (410 if kind == "gone" else 500), event)
        watch.close()
    api.faults.set([{"verb": "watch", "resource": "services", "do": "late", "delay_ms": 300}])
    slow, quick = client.watch("services", resourceVersion="0"), client.watch("configmaps", resourceVersion="0")
    slow.next()
    client.patch("services", "default", "web", {"metadata": {"annotations": {"order": "first"}}})
    client.create("configmaps", {"metadata": {"name": "second"}}, "default")
    seen = quick.next()
    check("events of one resource may come after later ones of another", seen and slow.next(0.05) is None and slow.next(3), seen)
    api.faults.set([])
    slow.close()
    quick.close()


def goes_back(api, client):
    """Restored from a snapshot: what came after it is gone, and watches of later versions are silent for ever."""
    api.store.keep("before")
    later = client.patch("services", "default", "web", {"metadata": {"annotations": {"after": "snapshot"}}}).body["metadata"]["resourceVersion"]
    for number in range(20):
        later = client.create("configmaps", {"metadata": {"name": f"later-{number}"}}, "default").body["metadata"]["resourceVersion"]
    api.store.restore("before")
    annotations = client.get("services", "default", "web").body["metadata"].get("annotations", {})
    check("restored, an object is what it was", "after" not in annotations, annotations)
    watch = client.watch("services", resourceVersion=later)
    client.patch("services", "default", "web", {"metadata": {"annotations": {"new": "life"}}})
    seen = watch.next(1)
    check("a watch of a version from before the restore gets 200 and nothing", watch.code == 200 and seen is None and not watch.ended, seen)
    watch.close()


def ends_tokens(api):
    api.tokens.add("short", "system:serviceaccount:x:y", ["system:masters"], api.store.now() + 60)
    client = Client(api.url, "short", api.ca_file)
    before = client.get("services").code
    api.control("skew", {"seconds": 120})
    after, date = client.get("services"), None
    date = after.headers["Date"]
    api.control("skew", {"seconds": 0})
    check("a token ends on the server's own clock, which may be another", before == 200 and after.code == 401 and date, (before, after))


def dies_and_comes_back(api, client):
    watch = client.watch("services", resourceVersion="0")
    watch.next()
    api.down()
    gone = code_of(lambda: client.get("services"))
    check("killed: refused, and open watches are reset", gone == "ConnectionRefusedError" and watch.next(2) is None and watch.ended, gone)
    api.up()
    check("back under the same address", client.get("services", "default", "web").code == 200)
    watch.close()
    watch = client.watch("services", resourceVersion="0")
    watch.next()
    api.freeze()
    client.patch("services", "default", "web", {"metadata": {"annotations": {"unheard": "1"}}})
    check("frozen: the connection stays, and nothing comes", watch.next(0.7) is None and not watch.ended)
    watch.close()


def bookmarks(api, client):
    api.bookmark_s = 0.1
    watch = client.watch("services", resourceVersion=client.get("services").body["metadata"]["resourceVersion"], allowWatchBookmarks=True)
    made = client.create("configmaps", {"metadata": {"name": "elsewhere"}}, "default").body["metadata"]["resourceVersion"]
    event = watch.until(lambda kind, item: kind == "BOOKMARK" and item["metadata"]["resourceVersion"] == made, 3)
    check("bookmarks follow what happens to other resources", event)
    watch.close()
    api.bookmark_s = 60


def as_a_program():
    """With kubectl, where it is there."""
    directory = tempfile.mkdtemp(prefix="kube-api-")
    program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "apiserver.py")
    with subprocess.Popen([sys.executable, program, "--directory", directory], stdout=subprocess.PIPE, text=True) as server:
        try:
            said = json.loads(server.stdout.readline())
            body = json.dumps([{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}, "status": {"addresses": [{"type": "InternalIP", "address": "10.0.0.1"}]}}])
            request = urllib.request.Request(said["plain_url"] + "/control/load", body.encode())
            with urllib.request.urlopen(request, timeout=10) as answer:
                loaded = json.load(answer)
            node = Client(said["url"], said["token"], said["ca"]).get("nodes", "", "n1")
            check("a program of its own, driven over HTTP", loaded == {"result": 1} and node.body["status"]["addresses"][0]["address"] == "10.0.0.1", node)
            kubectl(said)
        finally:
            server.kill()
    shutil.rmtree(directory, ignore_errors=True)


def kubectl(said):
    if not shutil.which("kubectl"):
        print(f"ok {len(results) + 1} - kubectl can use it # SKIP no kubectl here", flush=True)
        results.append(True)
        return

    def run(*words, given=None):
        command = ["kubectl", "--kubeconfig=/dev/null", f"--server={said['url']}", f"--certificate-authority={said['ca']}", f"--token={said['token']}", *words]
        done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=60, env={**os.environ, "HOME": os.path.dirname(said["ca"])})
        return done.returncode, done.stdout + done.stderr
    manifest = json.dumps({"apiVersion": "v1", "kind": "Service", **service("shown", externalTrafficPolicy="Local")})
    steps = (("apply", "--validate=false", "-f", "-"), ("apply", "--server-side", "--validate=false", "-f", "-", "--force-conflicts"), ("get", "services", "shown"),
             ("annotate", "service", "shown", "weir.dev/pool=blue"), ("wait", "--for=jsonpath={.spec.type}=LoadBalancer", "service/shown", "--timeout=5s"),
             ("patch", "service", "shown", "--subresource=status", "--type=merge", "-p", '{"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.9"}]}}}'),
             ("delete", "service", "shown", "--timeout=10s"))
    for words in steps:
        code, said_back = run(*words, given=manifest if "-" in words else None)
        check(f"kubectl {' '.join(words[:2])}", code == 0, said_back)


def main():
    conforms(False)
    conforms(True)
    with ApiServer() as api:
        client = Client(api.url, api.token, api.ca_file)
        client.create("services", service("web"), "default")
        answers_badly(api, client)
        watches_badly(api, client)
        bookmarks(api, client)
        ends_tokens(api)
        dies_and_comes_back(api, client)
        goes_back(api, client)
    as_a_program()
    print(f"1..{len(results)}")
    sys.exit(not all(results))


if __name__ == "__main__":
    main()
