#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""health_server.py PORT FILE [CERTIFICATE]: what a backend says of itself over HTTP, or HTTPS. FILE, read for each request,
holds the status and, if it is to be slow, seconds. CERTIFICATE (with its key, PEM) is read for each connection."""
import http.server
import socket
import ssl
import sys
import time


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):  # pylint: disable=invalid-name
        with open(sys.argv[2], encoding="ascii") as file:
            status, *slow = file.read().split()
        time.sleep(float(slow[0]) if slow else 0)
        self.send_response(int(status))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):  # pylint: disable=arguments-differ
        pass


class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
    request_queue_size = 256

    def finish_request(self, request, client_address):
        if len(sys.argv) > 3:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(sys.argv[3])
            request = context.wrap_socket(request, server_side=True)
        super().finish_request(request, client_address)

    def handle_error(self, *_):  # pylint: disable=signature-differs
        pass  # whoever asked does not like the certificate


Server(("::", int(sys.argv[1])), Handler).serve_forever()
