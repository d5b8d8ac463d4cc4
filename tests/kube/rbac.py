# SPDX-License-Identifier: GPL-2.0-only
"""Who may do what: roles and their bindings as they lie in the store, and tokens. Everybody who has a name may ask what there is."""
import base64
import json
import secrets


class Tokens:
    """token -> (user, groups, end on the server's clock or None). A token of a service account looks like a JWT."""

    def __init__(self):
        self.known = {}

    def add(self, token, user, groups, end=None):
        self.known[token] = (user, [*groups, "system:authenticated"], end)

    def load(self, path):
        """A file as kube-apiserver's --token-auth-file: token,user,uid,"group,group"."""
        with open(path, encoding="utf-8") as file:
            for line in file:
                token, user, _, groups = (line.strip().split(",", 3) + [""])[:4]
                self.add(token, user, [group for group in groups.strip('"').split(",") if group])

    def issue(self, namespace, name, now, seconds):
        def part(value):
            return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
        user = f"system:serviceaccount:{namespace}:{name}"
        token = ".".join((part({"alg": "RS256"}), part({"sub": user, "iat": int(now), "exp": int(now + seconds)}), secrets.token_urlsafe(32)))
        self.add(token, user, ["system:serviceaccounts", f"system:serviceaccounts:{namespace}"], now + seconds)
        return token

    def who(self, token, now):
        """(user, groups), or None for a token that is not, or no more, good."""
        if token is None:
            return "system:anonymous", ["system:unauthenticated"]
        found = self.known.get(token)
        if found is None or (found[2] is not None and found[2] <= now):
            return None
        return found[0], found[1]


def _named(subject, user, groups, namespace):
    kind, name = subject.get("kind"), subject.get("name")
    if kind == "ServiceAccount":
        return user == f"system:serviceaccount:{subject.get('namespace') or namespace}:{name}"
    return user == name if kind == "User" else name in groups


def _has(values, wanted):
    return "*" in values or wanted in values


def _grants(rule, verb, group, resource, name):
    names = rule.get("resourceNames")
    return (_has(rule.get("verbs", []), verb) and _has(rule.get("apiGroups", []), group) and
            (_has(rule.get("resources", []), resource) or "*/" + resource.partition("/")[2] in rule.get("resources", [])) and
            (not names or name in names))


def _rules(store, reference, namespace):
    if reference["kind"] == "ClusterRole":
        role = store.peek("rbac.authorization.k8s.io", "clusterroles", "", reference["name"])
    else:
        role = store.peek("rbac.authorization.k8s.io", "roles", namespace, reference["name"])
    return (role or {}).get("rules") or []


def allowed(store, who, verb, group, resource, namespace, name):
    """resource is plural, or plural/subresource; namespace is "" for the whole cluster."""
    user, groups = who
    if "system:masters" in groups:
        return True
    bindings = [(binding, "") for binding in store.peek_all("rbac.authorization.k8s.io", "clusterrolebindings")]
    bindings += [(binding, binding["metadata"]["namespace"]) for binding in store.peek_all("rbac.authorization.k8s.io", "rolebindings")]
    for binding, where in bindings:
        if where and where != namespace:
            continue
        if not any(_named(subject, user, groups, where) for subject in binding.get("subjects") or []):
            continue
        if any(_grants(rule, verb, group, resource, name) for rule in _rules(store, binding["roleRef"], where)):
            return True
    return False
