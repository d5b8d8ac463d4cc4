# SPDX-License-Identifier: GPL-2.0-only
"""A small agent made of canned answers, on a UNIX socket, that can also misbehave in every way a peer can."""

import json
import os
import socket
import threading

import canned


class FakeLbd:
    """answers: "METHOD /path" (query cut off) -> dict (JSON), bytes (body), (status, dict or bytes), or a function
    of (query, body) that returns one of these. raw: function of the connected socket that takes over instead."""

    def __init__(self, path):
        self.path = path
        self.answers = {}
        self.raw = None
        self.requests = []  # (method, path with query, body)
        self.reset()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(16)
        threading.Thread(target=self._accept, daemon=True).start()

    def reset(self):
        self.answers = dict(canned.ANSWERS)
        self.raw = None
        self.requests = []

    def close(self):
        self.listener.close()
        os.unlink(self.path)

    def _accept(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer):
        try:
            with peer:
                buffer = b""
                while True:
                    request = self._read(peer, buffer)
                    if request is None:
                        return
                    method, path, body, buffer = request
                    self.requests.append((method, path, body))
                    if self.raw:
                        self.raw(peer)
                        return
                    peer.sendall(self._answer(method, path, body))
        except OSError:
            pass

    @staticmethod
    def _read(peer, buffer):
        while b"\r\n\r\n" not in buffer:
            data = peer.recv(65536)
            if not data:
                return None
            buffer += data
        head, buffer = buffer.split(b"\r\n\r\n", 1)
        lines = head.decode().split("\r\n")
        method, path, _ = lines[0].split(" ")
        length = 0
        for line in lines[1:]:
            key, value = line.split(":", 1)
            if key.lower() == "content-length":
                length = int(value)
        while len(buffer) < length:
            data = peer.recv(1 << 20)
            if not data:
                return None
            buffer += data
        return method, path, buffer[:length], buffer[length:]

    def _answer(self, method, path, body):
        plain, _, query = path.partition("?")
        answer = self.answers.get(f"{method} {plain}", (404, {"error": {"message": f"there is no {plain}"}}))
        if callable(answer):
            answer = answer(query, body)
        status = 200
        if isinstance(answer, tuple):
            status, answer = answer
        text = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        return (f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n".encode()
                + text)
