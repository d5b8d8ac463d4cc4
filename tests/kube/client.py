# SPDX-License-Identifier: GPL-2.0-only
"""A small client of the API, the real server's and ours: what tests do to a cluster, and what they look at."""
import contextlib
import ctypes
import http.client
import json
import ssl
import time
import urllib.parse

PATHS = {
    "namespaces": "/api/v1", "nodes": "/api/v1", "services": "/api/v1", "pods": "/api/v1", "configmaps": "/api/v1", "secrets": "/api/v1",
    "serviceaccounts": "/api/v1", "events": "/api/v1", "events.events.k8s.io": "/apis/events.k8s.io/v1",
    "endpointslices": "/apis/discovery.k8s.io/v1", "leases": "/apis/coordination.k8s.io/v1", "daemonsets": "/apis/apps/v1",
    "deployments": "/apis/apps/v1", "roles": "/apis/rbac.authorization.k8s.io/v1", "rolebindings": "/apis/rbac.authorization.k8s.io/v1",
    "clusterroles": "/apis/rbac.authorization.k8s.io/v1", "clusterrolebindings": "/apis/rbac.authorization.k8s.io/v1",
}
MERGE, JSON, STRATEGIC, APPLY = ("application/merge-patch+json", "application/json-patch+json", "application/strategic-merge-patch+json",
                                 "application/apply-patch+yaml")


class Answer:
    def __init__(self, code, headers, body):
        self.code, self.headers, self.raw = code, headers, body
        try:
            self.body = json.loads(body)
        except ValueError:
            self.body = None

    def __repr__(self):
        return f"{self.code}: {self.raw[:600]!r}"


def path_of(plural, namespace="", name="", sub="", **query):
    """The path of a resource; query's values as they are, True for "true"."""
    path = PATHS[plural] + (f"/namespaces/{namespace}" if namespace else "") + "/" + plural.split(".", maxsplit=1)[0]
    path += (f"/{name}" if name else "") + (f"/{sub}" if sub else "")
    if query:
        path += "?" + urllib.parse.urlencode({key: "true" if value is True else value for key, value in query.items()})
    return path


class Watch:
    """The events of a watch, as they come: next(within) gives (type, object), or None when none came in time; ended says it is over. Reads the
    socket itself, so that a wait that was in vain loses nothing."""

    def __init__(self, client, path):
        self.connection = client.connect(timeout=10)
        self.sock = self.connection.sock
        lines = [f"GET {path} HTTP/1.1", f"Host: {client.url.netloc}"] + [f"{name}: {value}" for name, value in client.headers.items()]
        self.sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self.ended, self.raw, self.rest = False, b"", b""
        while b"\r\n\r\n" not in self.raw and not self.ended:
            self._receive(10)
        head, _, self.raw = self.raw.partition(b"\r\n\r\n")
        self.code = int(head.split(b" ", 2)[1]) if head else 0
        self.chunked = b"transfer-encoding: chunked" in head.lower()

    def _receive(self, within):
        """Takes what comes within so many seconds; whether anything did."""
        self.sock.settimeout(within)
        try:
            data = self.sock.recv(65536)
        except TimeoutError:
            return False
        except OSError:
            data = b""
        self.ended = not data
        self.raw += data
        return True

    def _unchunk(self):
        """Moves what has come whole from raw to rest."""
        while self.chunked:
            size, mark, data = self.raw.partition(b"\r\n")
            if not mark or len(data) < int(size, 16) + 2:
                return
            length = int(size, 16)
            self.ended = self.ended or length == 0
            self.rest, self.raw = self.rest + data[:length], data[length + 2:]

    def next(self, within=5.0):
        deadline = time.monotonic() + within
        while True:
            self._unchunk()
            line, mark, rest = self.rest.partition(b"\n")
            if mark:
                self.rest = rest
                event = json.loads(line)
                return event["type"], event["object"]
            left = deadline - time.monotonic()
            if left <= 0 or self.ended or not self._receive(left):
                return None

    def until(self, wanted, within=5.0):
        """The first event that wanted(type, object) says yes to, or None."""
        deadline = time.monotonic() + within
        while True:
            event = self.next(deadline - time.monotonic())
            if event is None or wanted(*event):
                return event

    def close(self):
        self.connection.close()


@contextlib.contextmanager
def in_netns(name):
    """This thread in a network namespace (None: where it is); sockets that it makes there stay there."""
    if name is None:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net", "rb") as home, open(f"/run/netns/{name}", "rb") as there:
        if libc.setns(there.fileno(), 0x40000000) < 0:
            raise OSError(ctypes.get_errno(), f"setns {name}")
        try:
            yield
        finally:
            libc.setns(home.fileno(), 0x40000000)


class Client:
    """url, token and the file of the CA (None: plain HTTP, or nobody is checked); netns: the network to ask from."""

    def __init__(self, url, token=None, ca_file=None, agent="weir-test/1", netns=None):
        self.url, self.ca_file, self.netns = urllib.parse.urlsplit(url), ca_file, netns
        self.headers = {"User-Agent": agent, "Accept": "application/json"}
        if token:
            self.headers["Authorization"] = f"Bearer {token}"
        self.connection = None

    def connect(self, timeout=30):
        connection = self._connection(timeout)
        with in_netns(self.netns):
            connection.connect()
        return connection

    def _connection(self, timeout):
        if self.url.scheme == "http":
            return http.client.HTTPConnection(self.url.hostname, self.url.port, timeout=timeout)
        context = ssl.create_default_context(cafile=self.ca_file)
        if not self.ca_file:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return http.client.HTTPSConnection(self.url.hostname, self.url.port, timeout=timeout, context=context)

    def ask(self, method, path, body=None, content_type="application/json"):
        data = json.dumps(body).encode() if body is not None and not isinstance(body, bytes) else body
        headers = {**self.headers, **({"Content-Type": content_type} if data is not None else {})}
        for attempt in (1, 2):
            try:
                if self.connection is None or self.connection.sock is None:
                    self.connection = self.connect()
                self.connection.request(method, path, data, headers)
                answer = self.connection.getresponse()
                return Answer(answer.status, answer.headers, answer.read())
            except (OSError, http.client.HTTPException):
                if self.connection is not None:
                    self.connection.close()
                self.connection = None
                if attempt == 2 or method != "GET":
                    raise
        return None

    def get(self, plural, namespace="", name="", **query):
        return self.ask("GET", path_of(plural, namespace, name, **query))

    def create(self, plural, item, namespace="", **query):
        return self.ask("POST", path_of(plural, namespace, **query), item)

    def replace(self, plural, item, sub="", **query):
        meta = item["metadata"]
        return self.ask("PUT", path_of(plural, meta.get("namespace", ""), meta["name"], sub, **query), item)

    def patch(self, plural, namespace, name, body, kind=MERGE, sub="", **query):
        return self.ask("PATCH", path_of(plural, namespace, name, sub, **query), body, kind)

    def apply(self, plural, namespace, name, body, manager="weir-test", sub="", **query):
        return self.patch(plural, namespace, name, body, APPLY, sub, fieldManager=manager, **query)

    def delete(self, plural, namespace, name, **options):
        return self.ask("DELETE", path_of(plural, namespace, name), options or None)

    def watch(self, plural, namespace="", **query):
        return Watch(self, path_of(plural, namespace, watch="1", **query))
