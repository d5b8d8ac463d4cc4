# SPDX-License-Identifier: GPL-2.0-only
"""What the API server for tests answers: reading, writing, watching, and what there is."""
import gzip
import json
import re
import time

from errors import Failure, expired
from kinds import BY_PATH, RESOURCES, to_group
from wire import Gone

PATCHES = {"application/merge-patch+json": "merge", "application/json-patch+json": "json", "application/strategic-merge-patch+json": "strategic"}
GZIP_FROM = 128 << 10


# --- selectors ----------------------------------------------------------------------------------------------------------------------

def _label_terms(text):
    """[function of labels] of a label selector."""
    terms = []
    for term in re.findall(r"[^,(]+(?:\([^)]*\))?", text):
        term = term.strip()
        in_set = re.match(r"^(\S+)\s+(in|notin)\s+\(([^)]*)\)$", term)
        if in_set:
            key, values = in_set[1], {value.strip() for value in in_set[3].split(",")}
            terms.append(lambda labels, k=key, v=values, i=in_set[2] == "in": (k in labels and labels[k] in v) if i else labels.get(k) not in v)
        elif "!=" in term:
            key, value = (part.strip() for part in term.split("!=", 1))
            terms.append(lambda labels, k=key, v=value: labels.get(k) != v)
        elif "=" in term:
            key, value = (part.strip() for part in term.replace("==", "=").split("=", 1))
            terms.append(lambda labels, k=key, v=value: labels.get(k) == v)
        elif term.startswith("!"):
            terms.append(lambda labels, k=term[1:].strip(): k not in labels)
        elif term:
            terms.append(lambda labels, k=term: k in labels)
    return terms


def _field_terms(text):
    terms = []
    for term in filter(None, text.split(",")):
        path, differs, value = re.match(r"^([^=!]+)(!?)==?(.*)$", term).groups()

        def fits(item, path=path, differs=bool(differs), value=value):
            for step in path.split("."):
                item = (item or {}).get(step)
            return (str(item or "") == value) != differs
        terms.append(fits)
    return terms


def selector(request):
    """function of an item, or None where all are meant."""
    labels, named = _label_terms(request.query.get("labelSelector", "")), _field_terms(request.query.get("fieldSelector", ""))
    if not labels and not named:
        return None
    return lambda item: all(term(item["metadata"].get("labels") or {}) for term in labels) and all(term(item) for term in named)


# --- what there is ------------------------------------------------------------------------------------------------------------------

def discover(connection, request):
    path = request.path.rstrip("/")
    if path in ("/healthz", "/readyz", "/livez"):
        connection.answer(200, b"ok", "text/plain")
        return 200
    found = None
    if path == "/version":
        found = {"major": "1", "minor": "36", "gitVersion": "v1.36.0-weir", "platform": "linux/amd64"}
    elif path == "/api":
        found = {"kind": "APIVersions", "versions": ["v1"]}
    elif path == "/apis":
        groups = sorted({(resource.group, resource.version) for resource in RESOURCES if resource.group})
        versions = [{"groupVersion": f"{group}/{version}", "version": version} for group, version in groups]
        found = {"kind": "APIGroupList", "apiVersion": "v1", "groups": [
            {"name": group, "versions": [entry], "preferredVersion": entry} for (group, _), entry in zip(groups, versions)]}
    else:
        parts = path.strip("/").split("/")
        key = ("", parts[1]) if parts[0] == "api" and len(parts) == 2 else tuple(parts[1:]) if parts[0] == "apis" and len(parts) == 3 else None
        having = [resource for resource in RESOURCES if (resource.group, resource.version) == key]
        if having:
            entries = [entry for resource in having for entry in resource.describe()]
            if key == ("", "v1"):
                entries.append({"name": "serviceaccounts/token", "singularName": "", "namespaced": True, "kind": "TokenRequest",
                                "group": "authentication.k8s.io", "version": "v1", "verbs": ["create"]})
            found = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": having[0].api_version, "resources": entries}
    if found is None:
        raise Failure(404, "NotFound", "the server could not find the requested resource")
    connection.answer(200, found)
    return 200


# --- reading and writing ------------------------------------------------------------------------------------------------------------

def _body(request):
    try:
        return json.loads(request.body)
    except ValueError as error:
        raise Failure(400, "BadRequest", f"the object provided is unrecognized (must be of type {request.resource.kind}): {error}") from error


def _list(api, request):
    resource, query = request.resource, request.query
    try:
        limit = int(query.get("limit") or 0)
    except ValueError as error:
        raise Failure(400, "BadRequest", f'strconv.ParseInt: parsing "{query["limit"]}": invalid syntax') from error
    if query.get("continue") and query.get("resourceVersion") not in (None, "", "0"):
        raise Failure(400, "BadRequest", "specifying resource version is not allowed when using continue")
    number, items, following, remaining = api.store.page(resource, request.namespace, limit, query.get("continue"), query.get("resourceVersion"),
                                                         query.get("resourceVersionMatch"), selector(request))
    meta = {"resourceVersion": api.store.version(number)}
    if following:
        meta["continue"] = following
        if remaining is not None:
            meta["remainingItemCount"] = remaining
    # As the real one: items of a list do not say their kind.
    items = [{key: value for key, value in to_group(item, resource.group).items() if key not in ("kind", "apiVersion")} for item in items]
    return {"kind": resource.kind + "List", "apiVersion": resource.api_version, "metadata": meta, "items": items}


def _delete(api, request, dry):
    options = _body(request) if request.body else {}
    if request.verb == "deletecollection":
        select = selector(request)
        _, items = api.store.snapshot(request.resource, request.namespace)
        for _, item in items:
            if select is None or select(item):
                api.store.delete(request.resource, item["metadata"].get("namespace", ""), item["metadata"]["name"])
        return 200, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
    item = api.store.delete(request.resource, request.namespace, request.name, options.get("preconditions"), dry)
    if item["metadata"].get("finalizers"):
        return 200, item
    return 200, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
                 "details": {"name": request.name, "group": request.resource.group, "kind": request.resource.plural, "uid": item["metadata"]["uid"]}}


def _token_request(api, request):
    account = api.store.get(request.resource, request.namespace, request.name)
    given = _body(request)
    seconds = given.get("spec", {}).get("expirationSeconds", 3600)
    token = api.tokens.issue(request.namespace, account["metadata"]["name"], api.store.now(), seconds)
    ends = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(api.store.now() + seconds))
    return 201, {**given, "kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "status": {"token": token, "expirationTimestamp": ends}}


def _manager(request):
    return request.query.get("fieldManager") or request.headers.get("user-agent", "unknown").split("/", 1)[0]


def _patch(api, request, dry):
    kind = request.headers.get("content-type", "").split(";")[0].strip()
    given = _body(request)
    if kind == "application/apply-patch+yaml":
        item, made = api.store.apply(request.resource, request.namespace, request.name, to_group(given, request.resource.group),
                                     request.query.get("fieldManager"), request.flag("force"), request.sub, dry)
        return (201 if made else 200), item
    if kind not in PATCHES:
        raise Failure(415, "UnsupportedMediaType", f"the body of the request was in an unknown format - accepted media types include: "
                      f"{', '.join(PATCHES)}, application/apply-patch+yaml")
    return 200, api.store.patch(request.resource, request.namespace, request.name, PATCHES[kind], given, request.sub, _manager(request), dry)


def carry_out(api, request):
    """Does what a request asks: (code, object)."""
    resource, verb = request.resource, request.verb
    dry = request.query.get("dryRun") == "All"
    if resource.plural == "serviceaccounts" and request.sub == "token" and verb == "create":
        return _token_request(api, request)
    if request.sub and not (request.sub == "status" and resource.status):
        raise Failure(404, "NotFound", "the server could not find the requested resource")
    if resource.namespaced and not request.namespace and (request.name or verb == "create"):
        raise Failure(405 if verb == "create" else 404, "MethodNotAllowed" if verb == "create" else "NotFound", "the server does not allow this method on the requested resource")
    if verb == "list":
        return 200, _list(api, request)
    if verb == "get":
        return 200, api.store.get(resource, request.namespace, request.name)
    if verb in ("delete", "deletecollection"):
        return _delete(api, request, dry)
    if verb == "patch":
        return _patch(api, request, dry)
    given = _body(request)
    if resource.kind == "Event":
        if given.get("apiVersion") not in (None, resource.api_version):
            raise Failure(400, "BadRequest", f"the API version in the data ({given['apiVersion']}) does not match the expected API version ({resource.api_version})")
        given, resource = to_group({"kind": "Event", **given}, ""), BY_PATH[("", "v1", "events")]
    if verb == "create" and not request.name:
        return 201, api.store.create(resource, request.namespace, given, _manager(request), dry)
    if verb == "update" and request.name:
        if given.get("metadata", {}).get("name") != request.name:
            raise Failure(400, "BadRequest", f"the name of the object does not match the name on the URL ({request.name})")
        if resource.namespaced:
            given["metadata"].setdefault("namespace", request.namespace)
        return 200, api.store.update(resource, given, request.sub, _manager(request), dry)
    raise Failure(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")


def reply(api, connection, request):
    code, item = carry_out(api, request)
    headers = {"Cache-Control": "no-cache, private"}
    body = json.dumps(to_group(item, request.resource.group) if item.get("kind") == "Event" else item, separators=(",", ":")).encode()
    if len(body) >= GZIP_FROM and "gzip" in request.headers.get("accept-encoding", ""):
        body, headers["Content-Encoding"] = gzip.compress(body, 1), "gzip"
    connection.answer(code, body, headers=headers)
    return code


# --- watching -----------------------------------------------------------------------------------------------------------------------

class Watch:
    """One stream of events to one client."""

    def __init__(self, api, connection, request, fault):
        self.api, self.store, self.connection, self.request, self.fault = api, api.store, connection, request, fault
        self.shelf = self.store.shelf(request.resource)
        self.select = selector(request)
        self.bookmarks = request.flag("allowWatchBookmarks")
        self.epoch, self.frozen = self.store.epoch, api.frozen
        seconds = request.query.get("timeoutSeconds")
        self.deadline = time.monotonic() + (float(seconds) if seconds else 1800)
        self.last_bookmark_due = self.deadline - 2 if seconds and float(seconds) > 2 else None
        self.sent = 0

    def wanted(self, item):
        return (not self.request.namespace or item["metadata"].get("namespace") == self.request.namespace) and (
            not self.request.name or item["metadata"]["name"] == self.request.name) and (self.select is None or self.select(item))

    def send(self, kind, item):
        self.line(json.dumps({"type": kind, "object": to_group(item, self.request.resource.group)}, separators=(",", ":")).encode())

    def line(self, data):
        fault = self.fault
        if fault and fault["do"] not in ("silent", "late") and self.sent >= fault.get("events", 0):
            self.misbehave(data)
        self.connection.chunk(data + b"\n")
        self.sent += 1

    def misbehave(self, data):
        kind = self.fault["do"]
        if kind == "stall":
            self.silence()
        if kind in ("gone", "error"):
            code = 410 if kind == "gone" else self.fault.get("code", 500)
            self.error(expired("too old resource version: 1 (2)") if code == 410 else Failure(code, "InternalError", "a test wants it"))
            self.connection.end()
        elif kind == "torn":
            self.connection.chunk(data[:len(data) // 2])
        elif kind == "garbage":
            self.connection.chunk(b'{"type":"ADDED","object":{{{\n')
        self.connection.close()
        raise Gone

    def error(self, failure):
        self.connection.chunk(json.dumps({"type": "ERROR", "object": failure.status()}).encode() + b"\n")

    def silence(self):
        self.connection.read()
        raise Gone

    def bookmark(self, number, initial=False):
        meta = {"resourceVersion": self.store.version(number), "creationTimestamp": None}
        if initial:
            meta["annotations"] = {"k8s.io/initial-events-end": "true"}
        self.send("BOOKMARK", {"kind": self.request.resource.kind, "apiVersion": self.request.resource.api_version, "metadata": meta})

    def event(self, event):
        """One change as this watch sees it: what leaves its selection is deleted, what enters it added."""
        was = event.kind != "ADDED" and event.old is not None and self.wanted(event.old)
        now = event.kind != "DELETED" and self.wanted(event.item)
        if was and now and event.kind == "MODIFIED" and self.select is None:
            if event.line is None:
                event.line = json.dumps({"type": "MODIFIED", "object": event.item}, separators=(",", ":")).encode()
            self.line(event.line if self.request.resource.kind != "Event" else json.dumps(
                {"type": "MODIFIED", "object": to_group(event.item, self.request.resource.group)}).encode())
        elif was or now:
            self.send("MODIFIED" if was and now else "ADDED" if now else "DELETED", event.item)

    def start(self):
        """Sends what there is where that is asked; the version to go on from."""
        query, store = self.request.query, self.store
        version = query.get("resourceVersion") or ""
        initial = query.get("sendInitialEvents")
        if initial == "true" and query.get("resourceVersionMatch") != "NotOlderThan":
            raise Failure(422, "Invalid", "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: sendInitialEvents requires setting "
                          "resourceVersionMatch to NotOlderThan")
        if version in ("", "0") or initial == "true":
            if initial == "true" and version not in ("", "0"):
                store.number_of(version)
            number, items = store.snapshot(self.request.resource, self.request.namespace)
            self.connection.begin()
            if initial != "false":
                for _, item in items:
                    if self.wanted(item):
                        self.send("ADDED", item)
            if initial == "true" and self.bookmarks:
                self.bookmark(number, True)
            return number
        try:
            number = store.number_of(version)
        except Failure as failure:  # a list says 400 to the same
            raise Failure(500, "", f'resourceVersion: Invalid value: "{version}": {failure.message}') from failure
        self.connection.begin()
        with store.lock:
            oldest = self.shelf.oldest
        if number < oldest:
            self.error(expired(f"too old resource version: {number} ({oldest})"))
            self.connection.end()
            return None
        return number

    def next_events(self, number, until):
        """What came after a version, waiting for it."""
        with self.store.lock:
            self.shelf.changed.wait_for(lambda: self.store.epoch != self.epoch or self.api.frozen != self.frozen or (
                self.shelf.events and self.shelf.events[-1].number > number), timeout=max(0, min(until - time.monotonic(), 0.5)))
            # A version ahead of the server's own says nothing of itself: silence, until the server has come so far.
            return self.shelf.since(number), self.store.number

    def reached(self, current):
        """The version that a bookmark may tell: without progress notifications of etcd, that of the last change of this resource."""
        with self.store.lock:
            return current if self.api.progress else self.shelf.events[-1].number if self.shelf.events else 0

    def run(self):
        if self.fault and self.fault["do"] == "silent":
            self.connection.begin()
            self.silence()
        began = number = self.start()
        if number is None:
            return
        due = time.monotonic() + self.api.bookmark_s
        while time.monotonic() < self.deadline:
            if self.connection.over():
                raise Gone
            until = min(self.deadline, due if self.bookmarks else self.deadline, self.last_bookmark_due or self.deadline)
            events, current = self.next_events(number, until)
            if self.api.frozen != self.frozen:
                self.silence()
            if self.store.epoch != self.epoch:
                raise Gone
            if events and self.fault and self.fault["do"] == "late":
                time.sleep(self.fault["delay_ms"] / 1000)
            for event in events:
                self.event(event)
                number = event.number
            now = time.monotonic()
            if self.bookmarks and (now >= due or (self.last_bookmark_due and now >= self.last_bookmark_due)) and current >= number:
                # As the real one: where nothing has happened since the version that was asked for, nothing is said.
                if not events and self.reached(current) > began:
                    number = max(number, self.reached(current))
                    self.bookmark(number)
                due, self.last_bookmark_due = now + self.api.bookmark_s, None if now >= (self.last_bookmark_due or now + 1) else self.last_bookmark_due
            elif now >= due:
                due = now + self.api.bookmark_s
        self.connection.end()


def watch(api, connection, request, fault):
    with api.lock:
        api.watches.add(request)
    try:
        Watch(api, connection, request, fault).run()
    finally:
        with api.lock:
            api.watches.discard(request)
    return 200
