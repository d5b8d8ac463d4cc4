# SPDX-License-Identifier: GPL-2.0-only
"""Patches and the ownership of fields, as Kubernetes has them: merge patch (RFC 7386), JSON patch (RFC 6902), strategic merge, and
server-side apply with managed fields. Objects are plain values of JSON; nothing here changes what it is given.

A path is a tuple of steps: ("f", field), ("k", keys of an item as JSON), ("v", value of a set as JSON)."""
import json

from errors import Failure, invalid

# How a list is merged: the keys of its items, SET for a set of scalars; other lists are replaced as a whole. By (parent field, field).
SET = ()
LISTS = {
    ("metadata", "finalizers"): SET,
    ("metadata", "ownerReferences"): ("uid",),
    ("spec", "ports"): ("port", "protocol"),
    ("containers", "ports"): ("containerPort", "protocol"),
    ("spec", "containers"): ("name",),
    ("spec", "initContainers"): ("name",),
    ("containers", "env"): ("name",),
    ("containers", "volumeMounts"): ("mountPath",),
    ("spec", "volumes"): ("name",),
    ("status", "conditions"): ("type",),
    ("status", "addresses"): ("type",),
    ("status", "podIPs"): ("ip",),
}
# Maps that are replaced as a whole.
ATOMIC_MAPS = {("spec", "selector")}
DEFAULTS = {"protocol": "TCP"}
# Strategic merge knows some lists by fewer keys than apply does.
STRATEGIC = {("spec", "ports"): ("port",), ("containers", "ports"): ("containerPort",)}
UNOWNED = {"name", "namespace", "uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "deletionTimestamp",
           "deletionGracePeriodSeconds", "selfLink", "generateName"}


def copied(value):
    if isinstance(value, dict):
        return {key: copied(child) for key, child in value.items()}
    if isinstance(value, list):
        return [copied(child) for child in value]
    return value


def _text(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _item_key(item, keys):
    return _text({key: item.get(key, DEFAULTS.get(key)) for key in keys if item.get(key, DEFAULTS.get(key)) is not None})


# --- patches ------------------------------------------------------------------------------------------------------------------------

def merge_patch(old, patch):
    if not isinstance(patch, dict):
        return copied(patch)
    new = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            new.pop(key, None)
        else:
            new[key] = merge_patch(new.get(key), value)
    return new


def _pointer(document, pointer):
    """The container and the last step of a JSON pointer."""
    steps = [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]
    for step in steps[:-1]:
        document = document[int(step)] if isinstance(document, list) else document[step]
    return document, steps[-1] if steps else ""


def json_patch(old, operations):
    new = copied(old)
    try:
        for operation in operations:
            where, step = _pointer(new, operation["path"])
            kind = operation["op"]
            if kind == "test":
                if (where[int(step)] if isinstance(where, list) else where.get(step)) != operation["value"]:
                    raise Failure(422, "Invalid", "the server rejected our request due to an error in our request")
            elif kind == "remove":
                where.pop(int(step) if isinstance(where, list) else step)
            elif kind in ("add", "replace") and isinstance(where, list):
                if kind == "replace":
                    where[int(step)] = operation["value"]
                else:
                    where.insert(len(where) if step == "-" else int(step), operation["value"])
            elif kind == "add" or (kind == "replace" and step in where):
                where[step] = operation["value"]
            else:
                raise KeyError(kind)
    except (KeyError, IndexError, ValueError, TypeError, AttributeError) as error:
        raise Failure(422, "Invalid", "the server rejected our request due to an error in our request") from error
    return new


def strategic_merge(old, patch, parents=("",)):
    new = dict(old) if isinstance(old, dict) else {}
    if patch.get("$patch") == "replace":
        return copied({key: value for key, value in patch.items() if key != "$patch"})
    for key, value in patch.items():
        if key.startswith("$deleteFromPrimitiveList/"):
            name = key.split("/", 1)[1]
            new[name] = [item for item in new.get(name, []) if item not in value]
        elif key.startswith("$"):
            continue
        elif value is None:
            new.pop(key, None)
        elif isinstance(value, dict):
            new[key] = strategic_merge(new.get(key), value, (*parents, key))
        elif isinstance(value, list) and (parents[-1], key) in LISTS:
            new[key] = _strategic_list(new.get(key) or [], value, (*parents, key))
        else:
            new[key] = copied(value)
    return new


def _strategic_list(old, patch, parents):
    keys = STRATEGIC.get(parents[-2:], LISTS[parents[-2:]])
    if keys == SET:
        return old + [item for item in patch if item not in old]
    new = list(old)
    for item in patch:
        at = next((i for i, have in enumerate(new) if _item_key(have, keys) == _item_key(item, keys)), None)
        if item.get("$patch") == "delete":
            if at is not None:
                new.pop(at)
        elif at is None:
            new.append(copied({key: value for key, value in item.items() if not key.startswith("$")}))
        else:
            new[at] = strategic_merge(new[at], item, parents)
    return new


# --- ownership ----------------------------------------------------------------------------------------------------------------------

def leaves(value, path=(), parents=("", "")):
    """{path: value} of all that can be owned."""
    found = {}
    if isinstance(value, dict) and value and parents not in ATOMIC_MAPS:
        for key, child in value.items():
            if (not path and key in ("apiVersion", "kind")) or (path == (("f", "metadata"),) and key in UNOWNED):
                continue
            found.update(leaves(child, (*path, ("f", key)), (parents[1], key)))
        return found
    if isinstance(value, list) and parents in LISTS and value:
        for item in value:
            if LISTS[parents] == SET:
                found[(*path, ("v", _text(item)))] = item
            else:
                step = (*path, ("k", _item_key(item, LISTS[parents])))
                found[step] = True
                found.update(leaves(item, step, parents))
        return found
    return {path: value} if path and path != (("f", "metadata"),) else {}


def _find(value, path):
    """(container, its key or index) that a path means, or None."""
    where = None
    for number, (kind, name) in enumerate(path):
        if number:
            value = where[0][where[1]]
        if kind == "f":
            if not isinstance(value, dict) or name not in value:
                return None
            where = (value, name)
        else:
            wanted = json.loads(name)
            at = next((i for i, item in enumerate(value if isinstance(value, list) else []) if item == wanted or (
                kind == "k" and isinstance(item, dict) and _item_key(item, wanted) == name)), None)
            if at is None:
                return None
            where = (value, at)
    return where


def _remove(value, path):
    where = _find(value, path)
    if where is None:
        return
    where[0].pop(where[1])
    if len(path) > 1 and not where[0] and path[:-1] != (("f", "metadata"),):
        _remove(value, path[:-1])


def _apply_merge(live, config, parents=("", "")):
    if isinstance(config, dict) and isinstance(live, dict) and parents not in ATOMIC_MAPS:
        new = dict(live)
        for key, value in config.items():
            new[key] = _apply_merge(live.get(key), value, (parents[1], key))
        return new
    if isinstance(config, list) and isinstance(live, list) and parents in LISTS:
        if LISTS[parents] == SET:
            return live + [item for item in config if item not in live]
        new = list(live)
        for item in config:
            key = _item_key(item, LISTS[parents])
            at = next((i for i, have in enumerate(new) if _item_key(have, LISTS[parents]) == key), None)
            if at is None:
                new.append(copied(item))
            else:
                new[at] = _apply_merge(new[at], item, parents)
        return new
    return copied(config)


def _to_tree(paths):
    tree = {}
    for path in paths:
        at = tree
        for kind, name in path:
            at = at.setdefault(f"{kind}:{name}", {})
        if path[-1][0] == "k":
            at.setdefault(".", {})
    return tree


def _from_tree(tree, path=()):
    found = set()
    for key, child in tree.items():
        if key == ".":
            found.add(path)
            continue
        kind, name = key.split(":", 1)
        below = _from_tree(child, (*path, (kind, name)))
        found |= below or {(*path, (kind, name))}
    return found


def managers_of(item):
    """{(manager, operation, subresource): (set of paths, entry)}"""
    return {(entry["manager"], entry["operation"], entry.get("subresource", "")): (_from_tree(entry.get("fieldsV1", {})), entry)
            for entry in (item or {}).get("metadata", {}).get("managedFields", [])}


def with_managers(item, managers, now):
    """The item with managed fields as given: {key: set of paths}; entries that have not changed keep their time."""
    before = managers_of(item)
    entries = []
    for key, paths in managers.items():
        if not paths:
            continue
        if key in before and before[key][0] == paths:
            entries.append(before[key][1])
            continue
        entry = {"manager": key[0], "operation": key[1], "apiVersion": item["apiVersion"], "time": now, "fieldsType": "FieldsV1",
                 "fieldsV1": _to_tree(sorted(paths))}
        if key[2]:
            entry["subresource"] = key[2]
        entries.append(entry)
    return {**item, "metadata": {**item["metadata"], "managedFields": entries}}


def track_update(old, new, manager, subresource, now):
    """What an update changed belongs to who made it."""
    before, after = leaves(old or {}), leaves(new)
    changed = {path for path, value in after.items() if path not in before or before[path] != value}
    gone = set(before) - set(after)
    if old and not changed and not gone:
        return {**new, "metadata": {**new["metadata"], "managedFields": old["metadata"].get("managedFields", [])}}
    managers = {key: paths - changed - gone for key, (paths, _) in managers_of(old).items()}
    mine = (manager, "Update", subresource)
    managers[mine] = managers.get(mine, set()) | changed
    kept = {**new, "metadata": {**new["metadata"], "managedFields": (old or {}).get("metadata", {}).get("managedFields", [])}}
    return with_managers(kept, managers, now)


def _conflicts(live, config, mine, managers, version):
    causes = []
    have = leaves(live)
    for path, value in config.items():
        if path in have and have[path] == value:
            continue
        for key, paths in managers.items():
            if key != mine and path in paths:
                field = "".join(f".{name}" if kind == "f" else f"[{name}]" for kind, name in path)
                causes.append({"reason": "FieldManagerConflict", "message": f'conflict with "{key[0]}" using {version}', "field": field})
    return causes


def apply(live, config, manager, force, subresource, now):
    """Server-side apply of config on live (None: it is created)."""
    if not manager:
        raise invalid("PatchOptions", "meta.k8s.io", "", [("fieldManager", "Required value: is required for apply patch")])
    mine = (manager, "Apply", subresource)
    wanted = leaves(config)
    managers = {key: paths for key, (paths, _) in managers_of(live).items()}
    before = managers.get(mine, set())
    if live:
        causes = _conflicts(live, wanted, mine, managers, live["apiVersion"])
        if causes and not force:
            lines = "\n".join(f'- {cause["field"]}' for cause in causes)
            raise Failure(409, "Conflict", f"Apply failed with {len(causes)} conflict{'s' if len(causes) > 1 else ''}: {causes[0]['message']}: {lines}",
                          {"causes": causes})
        taken = {path for path in wanted if path not in leaves(live) or leaves(live)[path] != wanted[path]}
        managers = {key: paths - taken if key != mine else paths for key, paths in managers.items()}
        new = copied(_apply_merge(live, config))
        others = set().union(*(paths for key, paths in managers.items() if key != mine)) if managers else set()
        for path in sorted(before - set(wanted) - others, key=len, reverse=True):
            if not any(other[:len(path)] == path for other in others | set(wanted)):
                _remove(new, path)
        for name in UNOWNED:
            if name in live["metadata"]:
                new["metadata"][name] = live["metadata"][name]
    else:
        new = copied(config)
    managers[mine] = set(wanted)
    return with_managers(new, managers, now)
