# SPDX-License-Identifier: GPL-2.0-only
"""HTTP/1.1 as far as an API server needs it, on sockets of our own, so that tests can have each byte late, cut or missing."""
import email.utils
import http.client
import json
import select
import socket
import struct
import time
import urllib.parse


class Gone(Exception):
    """The connection is over."""


class Request:
    """One request as it was read. What it is about (verb, resource, ...) the router fills in."""

    def __init__(self, method, target, headers, body):
        self.method, self.target, self.headers, self.body = method, target, headers, body
        parts = urllib.parse.urlsplit(target)
        self.path = urllib.parse.unquote(parts.path)
        self.query = {key: values[-1] for key, values in urllib.parse.parse_qs(parts.query, keep_blank_values=True).items()}
        self.verb, self.resource_name, self.user = method.lower(), "", ""
        self.resource, self.namespace, self.name, self.sub = None, "", "", ""

    def flag(self, name):
        return self.query.get(name, "") in ("1", "true", "True")


class Connection:
    def __init__(self, sock):
        self.sock = sock
        self.file = sock.makefile("rb")
        self.piece, self.delay_s, self.left = 0, 0, None
        self.skew_s = 0

    # --- reading

    def read(self):
        """The next request, or None at the end."""
        try:
            line = self.file.readline(65536)
            if not line.strip():
                return None
            method, target, _ = line.decode("latin-1").split(" ", 2)
            headers = {}
            while True:
                line = self.file.readline(65536)
                if line in (b"\r\n", b"\n", b""):
                    break
                name, _, value = line.decode("latin-1").partition(":")
                headers[name.strip().lower()] = value.strip()
            if headers.get("expect", "").lower() == "100-continue":
                self.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            return Request(method, target, headers, self._body(headers))
        except (OSError, ValueError):
            return None

    def _body(self, headers):
        if headers.get("transfer-encoding", "").lower() == "chunked":
            body = b""
            while True:
                size = int(self.file.readline(1024).split(b";")[0], 16)
                body += self.file.read(size)
                self.file.readline(1024)
                if not size:
                    return body
        return self.file.read(int(headers.get("content-length", 0)))

    # --- writing

    def write(self, data):
        """Sends, in pieces or cut where a fault says so."""
        try:
            if self.left is not None:
                data, whole = data[:self.left], len(data) <= self.left
                self.left -= len(data)
                self.sock.sendall(data)
                if not whole:
                    raise Gone
            elif self.piece:
                for at in range(0, len(data), self.piece):
                    self.sock.sendall(data[at:at + self.piece])
                    time.sleep(self.delay_s)
            else:
                self.sock.sendall(data)
        except OSError as error:
            raise Gone from error

    def head(self, code, headers):
        lines = [f"HTTP/1.1 {code} {http.client.responses.get(code, 'Unknown')}", f"Date: {email.utils.formatdate(time.time() + self.skew_s, usegmt=True)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def answer(self, code, body, content_type="application/json", headers=()):
        if not isinstance(body, bytes):
            body = json.dumps(body, separators=(",", ":")).encode()
        fields = {"Content-Type": content_type, "Content-Length": len(body), **dict(headers)}
        self.write(self.head(code, fields) + body)

    def begin(self, code=200, content_type="application/json"):
        """Begins an answer without an end that is known: chunk() follows."""
        self.write(self.head(code, {"Content-Type": content_type, "Transfer-Encoding": "chunked", "Cache-Control": "no-cache, private"}))

    def chunk(self, data):
        self.write(b"%x\r\n" % len(data) + data + b"\r\n")

    def end(self):
        self.write(b"0\r\n\r\n")

    # --- ending

    def over(self):
        """Whether the other side has gone: it asks nothing during a watch, so that what can be read is the end."""
        try:
            return bool(select.select([self.sock], [], [], 0)[0])
        except (OSError, ValueError):
            return True

    def reset(self):
        """Ends the connection with a RST."""
        try:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass
        self.close()

    def close(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        try:
            self.file.close()
            self.sock.close()
        except OSError:
            pass
