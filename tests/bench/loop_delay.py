# SPDX-License-Identifier: GPL-2.0-only
"""How late the agent's loop is while it has much to do (bench-control's rows loop_delay_*).

With 5,000 services, GET /v1/version falls due every 10 ms, at fixed times, and its delay counts from then: during a first
load, full reloads, changes with next hops that do not answer, the start of captures, while somebody reads all that there is to
read, and beside 20 clients that say nothing. The same goes to a plain epoll echo in the same moments; what the machine itself is late shows in both, and the row is the difference of
their 99th percentiles. The first load counts from when the socket takes connections.
"""
import contextlib
import multiprocessing
import signal
import socket
import time

from agent import VERSION, ask, echo, percentile

PERIOD_S = 0.01
TARGET_MS = 10
SILENT = 20


def probe(path, begin, stop, pipe):
    """Delays in ms of requests that fall due at fixed times, until stop; None: not answered."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    delays, due = [], begin
    while not stop.is_set():
        time.sleep(max(0, due - time.monotonic()))
        answer = ask(path, VERSION)
        delays.append((time.monotonic() - due) * 1000 if answer else None)
        due += PERIOD_S
    # What fell due before the end is asked for as well: it was late, not left out.
    end = time.monotonic()
    while due < end:
        answer = ask(path, VERSION)
        delays.append((time.monotonic() - due) * 1000 if answer else None)
        due += PERIOD_S
    pipe.send(delays)


class Probes:
    """Asks the agent and an echo at the same times."""

    def __init__(self, lab):
        self.spawn = multiprocessing.get_context("fork")
        self.paths = (lab.path("lbd.sock"), lab.path("echo.sock"))
        self.echo = self.spawn.Process(target=echo, args=(self.paths[1],), daemon=True)
        self.echo.start()

    def during(self, operation):
        stop, pipes = self.spawn.Event(), []
        begin = time.monotonic() + 0.05
        for path in self.paths:
            ours, theirs = self.spawn.Pipe()
            process = self.spawn.Process(target=probe, args=(path, begin, stop, theirs), daemon=True)
            process.start()
            pipes.append((ours, process))
        try:
            took = time.monotonic()
            operation()
            took = time.monotonic() - took
        finally:
            stop.set()
        delays, echoes = [(pipe.recv(), process.join())[0] for pipe, process in pipes]
        return row(delays, echoes, took)

    def close(self):
        self.echo.kill()
        self.echo.join()


def row(delays, echoes, took):
    answered = [d for d in delays if d is not None]
    late, echo_late = percentile(answered, 0.99), percentile([e for e in echoes if e is not None], 0.99)
    return {"probes": len(delays), "unanswered": len(delays) - len(answered), "p99_ms": late, "echo_p99_ms": echo_late,
            "max_ms": max(answered, default=float("inf")), "beyond_echo_p99_ms": max(0.0, late - echo_late), "took_s": took}


# --- what the agent has to do ----------------------------------------------------------------------------------

def wait_connectable(path, agent, seconds=60):
    """Seconds until the socket takes connections."""
    begin = time.monotonic()
    while True:
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as s:
            if s.connect_ex(path) == 0:
                return time.monotonic() - begin
        if agent.process.poll() is not None or time.monotonic() > begin + seconds:
            raise SystemExit("bench-control: lbd does not open its socket:\n" + "".join(agent.log[-20:]))
        time.sleep(0.001)


def first_load(lab, probes, start_agent):
    """The agent, its row, and ms until its socket was there."""
    agent = start_agent(lab, wait=False)
    opened = wait_connectable(lab.path("lbd.sock"), agent)
    result = probes.during(agent.wait_ready)
    result["socket_ms"] = opened * 1000
    return agent, result


def reloads(agent, texts):
    for text in (texts[1], texts[0], texts[1]):
        agent.answer(agent.request("POST", "/v1/apply?allow_break=1", text))


def unreachable(agent):
    """Backends on the balancer's own link, where nobody answers for them."""
    for i in range(5):
        body = b'{"address":"192.0.2.%d"}' % (100 + i)
        agent.answer(agent.request("PUT", f"/v1/services/service-{i}/backends/nobody?add=1", body))


def captures(agent):
    """Each loads the capturing program: the one before has ended."""
    for _ in range(3):
        connection = agent.request("GET", "/v1/capture?seconds=60")
        connection.settimeout(30)
        if not connection.recv(64):
            raise SystemExit("bench-control: no capture")
        connection.close()
        end = time.monotonic() + 10
        while agent.get("/v1/status")["captures"] and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(0.5)


def silence(lab):
    clients = []
    for _ in range(SILENT):
        clients.append(socket.socket(socket.AF_UNIX))
        clients[-1].connect(lab.path("lbd.sock"))
    time.sleep(5)
    for client in clients:
        client.close()


def readers(agent):
    """Whoever asks for all that there is, one answer after the other."""
    for path in ("/v1/status", "/v1/rings", "/v1/stats", "/v1/services", "/v1/backends", "/v1/drops", "/v1/observe", "/v1/health",
                 "/v1/flows", "/v1/sources", "/v1/generations", "/v1/events"):
        agent.get(path)


def measure(lab, texts, start_agent):
    """All rows. texts: the configuration and one that differs in every service."""
    lab.wipe()
    with open(lab.path("weir.json"), "wb") as file:
        file.write(texts[0])
    probes = Probes(lab)
    try:
        agent, first = first_load(lab, probes, start_agent)
        rows = {"first_load": first}
        time.sleep(1)
        rows["full_reload"] = probes.during(lambda: reloads(agent, texts))
        rows["unreachable"] = probes.during(lambda: unreachable(agent))
        rows["capture"] = probes.during(lambda: captures(agent))
        rows["readers"] = probes.during(lambda: readers(agent))
        rows["silent_clients"] = probes.during(lambda: silence(lab))
        agent.kill(signal.SIGTERM)
    finally:
        probes.close()
    return rows


def show(rows):
    """One line each: p99 beyond the echo; True if all targets hold."""
    for name, result in rows.items():
        holds = result["beyond_echo_p99_ms"] <= TARGET_MS and not result["unanswered"]
        print(f"{'loop_delay_' + name:36}{result['beyond_echo_p99_ms']:12.1f} ms p99 beyond an echo's {result['echo_p99_ms']:.1f}"
              f"   (of {result['probes']}; the worst {result['max_ms']:.0f} ms; not answered {result['unanswered']})   "
              f"<= {TARGET_MS} ms{'' if holds else '   MISSED'}")
    print(f"{'first load: socket opens after':36}{rows['first_load']['socket_ms']:12.0f} ms")
