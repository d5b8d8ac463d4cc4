#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""An API server of Kubernetes for tests: as the real one in what a load balancer relies on (tests/kube/conformance.py passes on both), and
misbehaving where a test asks for it (faults.py).

In Python:      with ApiServer() as api: ... api.url, api.ca_file, api.token ("admin", may all), api.store, api.faults
As a program:   apiserver.py --directory D [--port N] [--plain-port N] [--opaque]; prints one line of JSON when it is ready.

It listens with TLS (url) and without (plain_url). Under plain_url, POST /control/VERB drives it: faults (a list), fault (one more), load
(a list of objects), compact, keep and restore ({"name", "keep_watches"}), down and up (the TLS side), disconnect, freeze (all open watches
fall silent), skew ({"seconds"}), token ({"token", "user", "groups", "seconds"}), bookmarks ({"seconds"}), progress ({"on"}: whether bookmarks follow other resources' changes); GET /control/requests and
/control/watches tell what was asked."""
import argparse
import collections
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import answers  # noqa: E402 pylint: disable=wrong-import-position
import rbac  # noqa: E402 pylint: disable=wrong-import-position
from errors import Failure  # noqa: E402 pylint: disable=wrong-import-position
from faults import Faults, WATCH_ENDS  # noqa: E402 pylint: disable=wrong-import-position
from kinds import ALIAS, BY_PATH  # noqa: E402 pylint: disable=wrong-import-position
from store import Store  # noqa: E402 pylint: disable=wrong-import-position
from wire import Connection, Gone  # noqa: E402 pylint: disable=wrong-import-position

PATH = re.compile(r"^/(?:api/(?P<core>v1)|apis/(?P<group>[^/]+)/(?P<version>[^/]+))"
                  r"(?:/namespaces/(?P<namespace>[^/]+)(?=/[^/]+(?:/|$)(?!status$)|/[^/]+$))?/(?P<plural>[^/]+)(?:/(?P<name>[^/]+))?(?:/(?P<sub>[^/]+))?/?$")
VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


def make_certificates(directory):
    """A CA and a certificate of it for 127.0.0.1, ::1 and localhost: ca.pem, server.pem, server.key."""
    def openssl(*words):
        subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=directory)
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *curve, "-keyout", "ca.key", "-out", "ca.pem", "-days", "3", "-subj", "/CN=kubernetes-ca",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    openssl("req", *curve, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=kube-apiserver")
    with open(os.path.join(directory, "server.ext"), "w", encoding="utf-8") as file:
        file.write("subjectAltName=DNS:localhost,DNS:kubernetes.default.svc,IP:127.0.0.1,IP:::1\n")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", "server.pem", "-days", "3", "-extfile", "server.ext")


class ApiServer:
    def __init__(self, directory=None, port=0, plain_port=0, opaque=False, host="127.0.0.1"):
        self.own_directory = directory is None
        self.directory = directory or tempfile.mkdtemp(prefix="kube-api-")
        self.store, self.faults, self.tokens = Store(opaque), Faults(), rbac.Tokens()
        self.token = "admin"
        self.tokens.add(self.token, "admin", ["system:masters"])
        self.host, self.port, self.plain_port = host, port, plain_port
        self.bookmark_s, self.progress = 60.0, True
        self.requests = collections.deque(maxlen=200000)
        self.connections, self.watches = set(), set()
        self.lock = threading.Lock()
        self.frozen = 0
        self.context = None
        self.listeners = {}

    # --- life

    def __enter__(self):
        make_certificates(self.directory)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(os.path.join(self.directory, "server.pem"), os.path.join(self.directory, "server.key"))
        self.ca_file = os.path.join(self.directory, "ca.pem")
        self.plain_port = self._listen("plain", self.plain_port)
        self.up()
        return self

    def __exit__(self, *_):
        for which in list(self.listeners):
            self._stop(which)
        if self.own_directory:
            shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def url(self):
        return f"https://{self.host}:{self.port}"

    @property
    def plain_url(self):
        return f"http://{self.host}:{self.plain_port}"

    def up(self):
        if "tls" not in self.listeners:
            self.port = self._listen("tls", self.port)

    def down(self):
        """As killed: nobody listens, and all connections are reset."""
        self._stop("tls")

    def _listen(self, which, port):
        sock = socket.create_server((self.host, port), family=socket.AF_INET6 if ":" in self.host else socket.AF_INET, backlog=512)
        self.listeners[which] = sock
        threading.Thread(target=self._accept, args=(which, sock), daemon=True).start()
        return sock.getsockname()[1]

    def _stop(self, which):
        sock = self.listeners.pop(which, None)
        if sock:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()
        self.disconnect(which)

    def disconnect(self, which="tls"):
        with self.lock:
            gone = [connection for connection in self.connections if connection.which == which]
        for connection in gone:
            connection.reset()

    def freeze(self):
        """Open watches say nothing more; their connections stay."""
        self.frozen += 1

    def _accept(self, which, sock):
        while True:
            try:
                client, _ = sock.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(which, client), daemon=True).start()

    def _serve(self, which, client):
        try:
            if which == "tls":
                client.settimeout(10)
                client = self.context.wrap_socket(client, server_side=True)
                client.settimeout(None)
        except OSError:
            client.close()
            return
        connection = Connection(client)
        connection.which = which
        with self.lock:
            self.connections.add(connection)
        try:
            while self._one(connection):
                pass
        except Gone:
            pass
        finally:
            connection.close()
            with self.lock:
                self.connections.discard(connection)

    # --- one request

    def _one(self, connection):
        """Reads and answers a request; whether another may follow."""
        request = connection.read()
        if request is None:
            return False
        connection.piece, connection.left, connection.skew_s = 0, None, self.store.skew_s
        if request.path.startswith("/control/") and connection.which == "plain":
            self._control(connection, request)
            return True
        code = 0
        try:
            self._route(request)
            code = self._handle(connection, request)
        except Failure as failure:
            code = failure.code
            connection.answer(code, failure.status(), headers=failure.headers)
        finally:
            self.requests.append((time.monotonic(), request.user, request.verb, request.resource_name, request.namespace, request.name, code,
                                  request.headers.get("content-type", ""), request.target))
        return request.headers.get("connection", "").lower() != "close"

    def _route(self, request):
        """What the request is about, and who asks."""
        match = PATH.match(request.path)
        if match:
            key = (match["group"] or "", match["core"] or match["version"], match["plural"])
            request.resource = BY_PATH.get(key)
            request.namespace, request.name, request.sub = match["namespace"] or "", match["name"] or "", match["sub"] or ""
            if request.resource:
                request.resource_name = match["plural"] + (f"/{request.sub}" if request.sub else "")
                request.verb = VERBS.get(request.method) or ("get" if request.name else "watch" if request.flag("watch") else "list")
                if request.method == "DELETE" and not request.name:
                    request.verb = "deletecollection"
        token = request.headers.get("authorization", "")
        who = self.tokens.who(token[7:] if token.startswith("Bearer ") else None, self.store.now())
        if who is None:
            raise Failure(401, "Unauthorized", "Unauthorized")
        request.user, request.who = who[0], who

    def _handle(self, connection, request):
        fault = self.faults.find(request)
        if fault:
            code = self._misbehave(connection, request, fault)
            if code is not None:
                return code
        if request.resource is None:
            return answers.discover(connection, request)
        self._authorize(request)
        if request.verb == "watch":
            return answers.watch(self, connection, request, fault if fault and fault["do"] in WATCH_ENDS | {"silent", "late"} else None)
        if fault and fault["do"] == "reset_after":
            answers.carry_out(self, request)
            connection.reset()
            raise Gone
        return answers.reply(self, connection, request)

    def _authorize(self, request):
        verbs = [request.verb]
        if request.verb == "patch" and request.headers.get("content-type", "").startswith("application/apply-patch") and not request.sub:
            alias = ALIAS.get((request.resource.group, request.resource.plural), request.resource)
            if not self.store.peek(alias.group, alias.plural, request.namespace, request.name):
                verbs.append("create")
        for verb in verbs:
            if not rbac.allowed(self.store, request.who, verb, request.resource.group, request.resource_name, request.namespace,
                                request.name or self._only_name(request)):
                where = f'in the namespace "{request.namespace}"' if request.namespace else "at the cluster scope"
                name = f' "{request.name}"' if request.name else ""
                raise Failure(403, "Forbidden", f'{request.resource.full}{name} is forbidden: User "{request.user}" cannot {verb} resource '
                              f'"{request.resource_name}" in API group "{request.resource.group}" {where}',
                              {"name": request.name, "group": request.resource.group, "kind": request.resource.plural})

    @staticmethod
    def _only_name(request):
        """The name that a list or watch is bound to by its field selector: rights by name count then."""
        match = re.search(r"(?:^|,)metadata\.name==?([^,]+)", request.query.get("fieldSelector", ""))
        return match[1] if match and request.verb in ("list", "watch") else ""

    def _misbehave(self, connection, request, fault):
        """Does what a fault says; the answer's code when that was all, None when the request goes on."""
        kind = fault["do"]
        if kind == "status":
            code = fault["code"]
            headers = {"Retry-After": fault["retry_after"]} if "retry_after" in fault else {}
            reason = {410: "Expired", 429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable", 409: "Conflict", 401: "Unauthorized",
                      403: "Forbidden", 504: "Timeout"}.get(code, "Unknown")
            raise Failure(code, fault.get("reason", reason), fault.get("message", f"a test wants {code}"), None, headers)
        if kind == "html":
            connection.answer(fault.get("code", 200), b"<!DOCTYPE html><html><body><h1>Welcome to the proxy</h1></body></html>\n", "text/html")
            return fault.get("code", 200)
        if kind == "body":
            connection.answer(fault.get("code", 200), fault["body"].encode(), fault.get("content_type", "application/json"))
            return fault.get("code", 200)
        if kind == "hang":
            self._hang(connection)
        if kind == "reset":
            connection.reset()
            raise Gone
        if kind == "cut":
            connection.left = fault["bytes"]
        elif kind == "slow":
            connection.piece, connection.delay_s = fault.get("bytes", 1), fault.get("delay_ms", 1) / 1000
        elif kind == "delay":
            time.sleep(fault["delay_ms"] / 1000)
        return None

    @staticmethod
    def _hang(connection):
        """Nothing more, until the other side goes."""
        connection.read()
        raise Gone

    # --- control

    def _control(self, connection, request):
        verb = request.path[len("/control/"):]
        try:
            given = json.loads(request.body) if request.body else {}
            connection.answer(200, {"result": self.control(verb, given)})
        except (ValueError, KeyError, TypeError, Failure) as error:
            connection.answer(400, {"error": f"{type(error).__name__}: {error}"})

    def control(self, verb, given):
        store = self.store
        table = {
            "faults": lambda: self.faults.set(given), "fault": lambda: self.faults.add(given), "hits": self.faults.hits,
            "load": lambda: len([store.seed(item) for item in given]), "compact": store.compact,
            "keep": lambda: store.keep(given["name"]), "restore": lambda: store.restore(given["name"], given.get("keep_watches", False)),
            "down": self.down, "up": self.up, "disconnect": self.disconnect, "freeze": self.freeze,
            "skew": lambda: setattr(store, "skew_s", given["seconds"]), "bookmarks": lambda: setattr(self, "bookmark_s", given["seconds"]),
            "progress": lambda: setattr(self, "progress", given["on"]),
            "token": lambda: self.tokens.add(given["token"], given["user"], given.get("groups", []),
                                             store.now() + given["seconds"] if "seconds" in given else None),
            "requests": lambda: [list(entry) for entry in self.requests], "watches": self.open_watches, "forget": self.requests.clear,
        }
        if verb not in table:
            raise KeyError(f"no such verb; there are {', '.join(sorted(table))}")
        return table[verb]()

    def open_watches(self):
        """[[user, plural], ...] of the watches that are open now."""
        with self.lock:
            return sorted([request.user, request.resource.plural] for request in self.watches)


def main():
    parser = argparse.ArgumentParser(description="An API server of Kubernetes for tests")
    parser.add_argument("--directory", required=True, help="where its certificates go (ca.pem)")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--plain-port", type=int, default=0)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--opaque", action="store_true", help="resourceVersions that are no numbers")
    parser.add_argument("--token-auth-file", help="more tokens: token,user,uid,\"group,group\"")
    asked = parser.parse_args()
    with ApiServer(asked.directory, asked.port, asked.plain_port, asked.opaque, asked.host) as api:
        if asked.token_auth_file:
            api.tokens.load(asked.token_auth_file)
        print(json.dumps({"url": api.url, "plain_url": api.plain_url, "ca": api.ca_file, "token": api.token}), flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
