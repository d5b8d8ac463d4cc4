# SPDX-License-Identifier: GPL-2.0-only
"""What the API server for tests keeps: objects by resource, the history of their changes as far as it has not been compacted, and the rules
of writing. One lock; objects are never changed in place, so that what was read stays what it was."""
import base64
import bisect
import json
import random
import re
import string
import threading
import time
import uuid

import fields
from errors import Failure, conflict, expired, invalid, not_found
from kinds import ALIAS, RESOURCES, Rules

HISTORY = 10000
SNAPSHOTS = 16


class Event:
    __slots__ = ("number", "kind", "item", "old", "line")

    def __init__(self, number, kind, item, old):
        self.number, self.kind, self.item, self.old, self.line = number, kind, item, old, None


class Shelf:
    """The objects of one resource, and their changes."""

    def __init__(self, lock):
        self.items, self.events, self.oldest = {}, [], 0
        self.changed = threading.Condition(lock)

    def since(self, number):
        """Events after a version."""
        return self.events[bisect.bisect_right(self.events, number, key=lambda event: event.number):]


def key_of(item):
    meta = item["metadata"]
    return f"{meta['namespace']}/{meta['name']}" if meta.get("namespace") else meta["name"]


class Store:
    def __init__(self, opaque=False):
        self.lock = threading.RLock()
        self.shelves = {}
        for resource in RESOURCES:
            if (resource.group, resource.plural) not in ALIAS:
                self.shelves[(resource.group, resource.plural)] = Shelf(self.lock)
        self.rules = Rules()
        self.number = random.randrange(1000, 100000)
        for shelf in self.shelves.values():
            shelf.oldest = self.number
        self.epoch = 0
        self.opaque = opaque
        self.skew_s = 0
        self.pages = {}
        self.kept = {}
        for name in ("default", "kube-system", "kube-public", "kube-node-lease"):
            self.seed({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}, "status": {"phase": "Active"}})

    # --- versions and time

    def now(self):
        return time.time() + self.skew_s

    def stamp(self):
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.now()))

    def version(self, number):
        """A version as clients see it. Opaque ones neither look like numbers nor sort like them."""
        return f"v{number * 2654435761 % (1 << 40):010x}" if self.opaque else str(number)

    def number_of(self, version):
        try:
            if not self.opaque:
                return int(version)
            return int(version[1:], 16) * pow(2654435761, -1, 1 << 40) % (1 << 40)
        except (ValueError, IndexError) as error:
            raise Failure(400, "BadRequest", f'Invalid value: "{version}": strconv.ParseUint: parsing "{version}": invalid syntax') from error

    # --- looking

    def shelf(self, resource):
        alias = ALIAS.get((resource.group, resource.plural), resource)
        return self.shelves[(alias.group, alias.plural)]

    def peek(self, group, plural, namespace, name):
        with self.lock:
            return self.shelves[(group, plural)].items.get(f"{namespace}/{name}" if namespace else name)

    def peek_all(self, group, plural):
        with self.lock:
            return list(self.shelves[(group, plural)].items.values())

    def get(self, resource, namespace, name):
        with self.lock:
            item = self.shelf(resource).items.get(f"{namespace}/{name}" if namespace else name)
        if item is None:
            raise not_found(resource, name)
        return item

    def snapshot(self, resource, namespace):
        """(number, [(key, item)] in the order of keys) of now."""
        with self.lock:
            items = sorted(self.shelf(resource).items.items())
            number = self.number
        if namespace:
            items = [(key, item) for key, item in items if item["metadata"].get("namespace") == namespace]
        return number, items

    def page(self, resource, namespace, limit, token, version, match, select):
        """One page of a list: (number, items, continue or None, remaining or None)."""
        after, number = "", None
        if token:
            number, after = self._token(token)
            with self.lock:
                items = self.pages.get((resource.full, namespace, number))
            if items is None:
                if number != -1:
                    raise expired("The provided continue parameter is too old to display a consistent list result. You can start a new list without the "
                                  "continue parameter, or use the continue token in this response to retrieve the remainder of the results.",
                                  self._make_token(-1, after))
                number, items = self.snapshot(resource, namespace)
        else:
            self._check_version(resource, version, match)
            number, items = self.snapshot(resource, namespace)
        found, remaining, following = [], None, None
        start = bisect.bisect_right(items, after, key=lambda entry: entry[0]) if after else 0
        for at in range(start, len(items)):
            if limit and len(found) == limit:
                following = self._make_token(number, items[at - 1][0])
                remaining = None if select else len(items) - at
                with self.lock:
                    self.pages[(resource.full, namespace, number)] = items
                    while len(self.pages) > SNAPSHOTS:
                        self.pages.pop(next(iter(self.pages)))
                break
            if select is None or select(items[at][1]):
                found.append(items[at][1])
        return number, found, following, remaining

    def _check_version(self, resource, version, match):
        if not version or version == "0":
            return
        number = self.number_of(version)
        with self.lock:
            shelf = self.shelf(resource)
            shelf.changed.wait_for(lambda: self.number >= number, timeout=3)
            if number > self.number:
                raise Failure(504, "Timeout", f"Too large resource version: {number}, current: {self.number}",
                              {"causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}], "retryAfterSeconds": 1},
                              {"Retry-After": "1"})
            if match == "Exact" and number != self.number:
                raise expired("The resourceVersion for the provided list is too old.")

    @staticmethod
    def _make_token(number, after):
        return base64.urlsafe_b64encode(json.dumps({"v": "meta.k8s.io/v1", "rv": number, "start": after}).encode()).decode().rstrip("=")

    @staticmethod
    def _token(token):
        try:
            found = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
            return found["rv"], found["start"]
        except (ValueError, KeyError) as error:
            raise Failure(400, "BadRequest", "continue key is not valid: illegal base64 data") from error

    # --- writing

    def _commit(self, resource, kind, item, old):
        """Under the lock: item, already with its metadata, becomes the truth."""
        self.number += 1
        item = {**item, "metadata": {**item["metadata"], "resourceVersion": self.version(self.number)}}
        shelf = self.shelf(resource)
        if kind == "DELETED":
            shelf.items.pop(key_of(item))
            self.rules.forget(resource, item)
        else:
            shelf.items[key_of(item)] = item
        shelf.events.append(Event(self.number, kind, item, old))
        if len(shelf.events) > HISTORY:
            shelf.oldest = shelf.events[HISTORY // 10 - 1].number
            del shelf.events[:HISTORY // 10]
        shelf.changed.notify_all()
        return item

    def create(self, resource, namespace, given, manager="test", dry=False):
        item = self._shape(resource, namespace, given)
        meta = item["metadata"]
        if not meta.get("name") and meta.get("generateName"):
            # Judged before it is filled up, as if a letter stood for the dash at its end.
            self.rules.check_name(resource, re.sub("-$", "a", meta["generateName"]))
            meta["name"] = meta["generateName"] + "".join(random.choices(string.ascii_lowercase + string.digits, k=5))
        if not meta.get("name"):
            raise invalid(resource.kind, resource.group, "", [("metadata.name", "Required value: name or generateName is required")])
        if meta.get("resourceVersion"):
            raise Failure(400, "BadRequest", "resourceVersion should not be set on objects to be created")
        self.rules.check_name(resource, meta["name"])
        with self.lock:
            if namespace and f"{namespace}" not in self.shelves[("", "namespaces")].items:
                raise Failure(404, "NotFound", f'namespaces "{namespace}" not found', {"name": namespace, "kind": "namespaces"})
            if key_of(item) in self.shelf(resource).items:
                raise Failure(409, "AlreadyExists", f'{resource.full} "{meta["name"]}" already exists',
                              {"name": meta["name"], "group": resource.group, "kind": resource.plural})
            meta.update(uid=str(uuid.uuid4()), creationTimestamp=self.stamp())
            for name in ("deletionTimestamp", "deletionGracePeriodSeconds"):
                meta.pop(name, None)
            if resource.status:
                item.pop("status", None)
            self.rules.prepare(resource, item, None)
            applied = meta.get("managedFields")
            item = item if applied else fields.track_update(None, item, manager, "", self.stamp())
            return item if dry else self._commit(resource, "ADDED", item, None)

    def seed(self, item):
        """Puts an object there as it is, status included; for what tests start with."""
        resource = next(r for r in RESOURCES if r.api_version == item["apiVersion"] and r.kind == item["kind"])
        with self.lock:
            status = item.get("status")
            made = self.create(resource, item["metadata"].get("namespace", ""), item)
            return self.update(resource, {**fields.copied(made), "status": status}, "status", "test") if status and resource.status else made

    def _shape(self, resource, namespace, given):
        if not isinstance(given, dict):
            raise Failure(400, "BadRequest", "the object provided is unrecognized (must be of type " + resource.kind + ")")
        if given.get("apiVersion", resource.api_version) != resource.api_version or given.get("kind", resource.kind) != resource.kind:
            raise Failure(400, "BadRequest", f"the API version in the data ({given.get('apiVersion')}) does not match the expected API version ({resource.api_version})")
        item = fields.copied({"kind": resource.kind, "apiVersion": resource.api_version, **given})
        meta = item.setdefault("metadata", {})
        if namespace and meta.setdefault("namespace", namespace) != namespace:
            raise Failure(400, "BadRequest", "the namespace of the provided object does not match the namespace sent on the request")
        return item

    def update(self, resource, given, sub="", manager="test", dry=False, owned=False):
        """Replaces an object (sub: "" or "status"); owned: its managed fields are already as they shall be."""
        namespace = given.get("metadata", {}).get("namespace", "") if resource.namespaced else ""
        new = self._shape(resource, namespace, given)
        with self.lock:
            old = self.get(resource, namespace, new["metadata"].get("name"))
            wanted = new["metadata"].get("resourceVersion")
            if wanted and wanted != old["metadata"]["resourceVersion"]:
                raise conflict(resource, old["metadata"]["name"])
            if not wanted and resource.plural == "leases" and not owned:
                raise invalid(resource.kind, resource.group, old["metadata"]["name"], [("metadata.resourceVersion", "Invalid value: 0: must be specified for an update")])
            if new["metadata"].get("uid", old["metadata"]["uid"]) != old["metadata"]["uid"]:
                raise Failure(409, "Conflict", f"Precondition failed: UID in precondition: {new['metadata']['uid']}, UID in object meta: {old['metadata']['uid']}")
            if sub == "status":
                new = {**old, "metadata": new["metadata"], **({"status": new["status"]} if "status" in new else {})}
            elif resource.status:
                new.pop("status", None)
                if "status" in old:
                    new["status"] = old["status"]
            self._keep_metadata(resource, old, new)
            if sub == "status":
                self.rules.check_status(resource, new)
            else:
                self.rules.prepare(resource, new, old)
            if not owned:
                new = fields.track_update(old, new, manager, sub, self.stamp())
            if self._same(old, new):
                return old
            if dry:
                return new
            if old["metadata"].get("deletionTimestamp") and not new["metadata"].get("finalizers"):
                return self._commit(resource, "DELETED", new, old)
            return self._commit(resource, "MODIFIED", new, old)

    @staticmethod
    def _same(old, new):
        def bare(item):
            return {**item, "metadata": {key: value for key, value in item["metadata"].items() if key not in ("managedFields", "resourceVersion")}}

        def owners(item):
            return {key: paths for key, (paths, _) in fields.managers_of(item).items()}
        return bare(old) == bare(new) and owners(old) == owners(new)

    @staticmethod
    def _keep_metadata(resource, old, new):
        before, meta = old["metadata"], new["metadata"]
        for name in ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "resourceVersion"):
            if name in before:
                meta[name] = before[name]
            else:
                meta.pop(name, None)
        if before.get("deletionTimestamp") and set(meta.get("finalizers") or []) - set(before.get("finalizers") or []):
            raise invalid(resource.kind, resource.group, before["name"],
                          [("metadata.finalizers", "Forbidden: no new finalizers can be added if the object is being deleted")])
        if "finalizers" in meta and not meta["finalizers"]:
            meta.pop("finalizers")

    def patch(self, resource, namespace, name, kind, body, sub, manager, dry=False):
        """kind: merge, json or strategic."""
        how = {"merge": fields.merge_patch, "json": fields.json_patch, "strategic": fields.strategic_merge}[kind]
        with self.lock:
            old = self.get(resource, namespace, name)
            new = how(old, body)
            if not isinstance(new, dict) or not isinstance(new.get("metadata"), dict):
                raise Failure(422, "Invalid", "the patched object is no object")
            if new["metadata"].get("name") != name:
                raise Failure(400, "BadRequest", f"the name of the object ({new['metadata'].get('name')}) does not match the name on the URL ({name})")
            return self.update(resource, fields.copied(new), sub, manager, dry)

    def apply(self, resource, namespace, name, config, manager, force, sub, dry=False):
        config = self._shape(resource, namespace, config)
        config["metadata"].setdefault("name", name)
        if "managedFields" in config["metadata"]:
            raise Failure(400, "BadRequest", "metadata.managedFields must be nil")
        with self.lock:
            try:
                old = self.get(resource, namespace, name)
            except Failure:
                if sub:
                    raise
                new = fields.apply(None, config, manager, force, sub, self.stamp())
                return self.create(resource, namespace, new, manager, dry), True
            if config["metadata"].get("resourceVersion", old["metadata"]["resourceVersion"]) != old["metadata"]["resourceVersion"]:
                raise conflict(resource, name)
            new = fields.apply(old, config, manager, force, sub, self.stamp())
            return self.update(resource, new, sub, manager, dry, owned=True), False

    def delete(self, resource, namespace, name, preconditions=None, dry=False):
        with self.lock:
            old = self.get(resource, namespace, name)
            meta = old["metadata"]
            for field in ("uid", "resourceVersion"):
                if (preconditions or {}).get(field) not in (None, meta[field]):
                    raise Failure(409, "Conflict", f"Precondition failed: {field} in precondition: {preconditions[field]}, in object meta: {meta[field]}")
            if dry:
                return old
            if meta.get("finalizers"):
                if meta.get("deletionTimestamp"):
                    return old
                new = {**old, "metadata": {**meta, "deletionTimestamp": self.stamp(), "deletionGracePeriodSeconds": 0}}
                return self._commit(resource, "MODIFIED", new, old)
            return self._commit(resource, "DELETED", old, old)

    # --- what only tests do

    def compact(self):
        """Forgets history: older versions, and pages begun, are expired."""
        with self.lock:
            for shelf in self.shelves.values():
                shelf.events.clear()
                shelf.oldest = self.number
            self.pages.clear()

    def keep(self, name):
        """Takes a snapshot of everything, as of etcd."""
        with self.lock:
            self.kept[name] = (self.number, {key: dict(shelf.items) for key, shelf in self.shelves.items()})

    def restore(self, name, keep_watches=False):
        """Goes back to a snapshot: versions go back too, and nothing tells anybody."""
        with self.lock:
            self.number, items = self.kept[name][0], self.kept[name][1]
            for key, shelf in self.shelves.items():
                shelf.items, shelf.oldest = dict(items[key]), self.number
                shelf.events.clear()
            self.pages.clear()
            if not keep_watches:
                self.epoch += 1
            for shelf in self.shelves.values():
                shelf.changed.notify_all()
