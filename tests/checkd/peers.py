# SPDX-License-Identifier: GPL-2.0-only
"""Servers that behave in every way a check's peer can, on loopback, each on a port of its own."""
import socket
import ssl
import threading
import time


class Server:
    """serve(connection, server) runs in a thread for each connection; server.seen counts connections."""

    def __init__(self, serve, context=None):
        self.serve, self.context, self.seen = serve, context, 0
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(256)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            self.seen += 1
            threading.Thread(target=self._one, args=(peer,), daemon=True).start()

    def _one(self, peer):
        try:
            if self.context:
                peer = self.context.wrap_socket(peer, server_side=True)
            self.serve(peer, self)
        except (OSError, ssl.SSLError):
            pass
        finally:
            peer.close()


def says(data):
    def serve(peer, _server):
        peer.sendall(data)
        peer.recv(65536)
    return serve


def answers(data):
    """Reads a request first."""
    def serve(peer, _server):
        peer.recv(65536)
        peer.sendall(data)
    return serve


def http(status, body=b"hello", headers=b""):
    return answers(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n%s\r\n%s" % (status, len(body), headers, body))


def silent(peer, _server):
    time.sleep(30)
    peer.close()


def closes(peer, _server):
    peer.recv(65536)


def resets(peer, _server):
    peer.recv(65536)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def drips(data):
    """One byte a second, for ever."""
    def serve(peer, _server):
        for byte in data + b"x" * 1000:
            peer.sendall(bytes([byte]))
            time.sleep(1)
    return serve


def floods(head, sent):
    """A gigabyte, as fast as it is taken; sent[0] is how much was."""
    def serve(peer, _server):
        chunk = b"x" * 65536
        peer.sendall(head)
        for _ in range(16384):
            peer.sendall(chunk)
            sent[0] += len(chunk)
    return serve


def frame(kind, payload=b"", flags=0, stream=0):
    """Of HTTP/2."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def http2_floods(first, again):
    """Speaks HTTP/2 as far as its settings, says first, and then again and again the same, as fast as it is taken."""
    def serve(peer, _server):
        peer.recv(65536)
        peer.sendall(frame(4) + first)
        chunk = again * (65536 // len(again))
        for _ in range(16384):
            peer.sendall(chunk)
    return serve


def sends_to(url):
    return http(b"302 Found", b"", b"Location: %s\r\n" % url.encode())


def slow(seconds, then):
    """Answers so much later."""
    def serve(peer, server):
        peer.recv(65536)
        time.sleep(seconds)
        then(peer, server)
    return serve


def udp(answer):
    """A socket that answers, or (None) does not. Returns it and its port."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))

    def run():
        while True:
            _, peer = sock.recvfrom(65536)
            if answer is not None:
                sock.sendto(answer, peer)
    threading.Thread(target=run, daemon=True).start()
    return sock, sock.getsockname()[1]
