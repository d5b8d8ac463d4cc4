#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""connections.py ADDRESS N: N connections to its port 80 that ask again and again, 0.2 s apart, until SIGTERM.

Prints "ready" when all are open and were answered once; after each SIGUSR1 "round OPEN" as soon as every connection that is
open has been answered anew; at the end "done N broken N". A connection is broken that fails, or is not answered for 8 s."""
import asyncio
import signal
import sys


class Connections:
    def __init__(self, address, n):
        self.address, self.n = address, n
        self.stop = asyncio.Event()
        self.waiting = set(range(n))  # that are to be answered for the next line
        self.line = "ready"
        self.done = self.broken = 0
        self.gone = set()

    def answered(self, number):
        self.waiting.discard(number)
        if self.line and not self.waiting:
            print(self.line, flush=True)
            self.line = None

    def another_round(self):
        self.waiting = set(range(self.n)) - self.gone
        self.line = f"round {len(self.waiting)}"

    async def ask(self, reader, writer):
        writer.write(b"GET /id HTTP/1.1\r\nHost: x\r\n\r\n")
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 8)
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        await asyncio.wait_for(reader.readexactly(length), 8)

    async def one(self, number):
        try:
            await asyncio.sleep(number / self.n * 0.5)
            reader, writer = await asyncio.wait_for(asyncio.open_connection(self.address, 80), 8)
            while not self.stop.is_set():
                await self.ask(reader, writer)
                self.answered(number)
                await asyncio.sleep(0.2)
            writer.close()
            self.done += 1
        except (OSError, asyncio.TimeoutError, asyncio.IncompleteReadError):
            self.broken += 1
            self.gone.add(number)
            self.answered(number)

    async def run(self):
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.stop.set)
        loop.add_signal_handler(signal.SIGUSR1, self.another_round)
        await asyncio.gather(*(self.one(number) for number in range(self.n)))
        print(f"done {self.done} broken {self.broken}", flush=True)


asyncio.run(Connections(sys.argv[1], int(sys.argv[2])).run())
