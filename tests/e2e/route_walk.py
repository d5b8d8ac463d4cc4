#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""A random walk through what changes the ways of a host: routes, rules, nexthop objects and groups, neighbours, links,
macvlans, bridges (with --stacked also VLANs, bonds, tunnels) come and go. After every step it waits until lbd's answer
for every backend is the kernel's own, and now and then a packet must arrive where the kernel would have sent it.

Runs beside test_lbd_route_walk.sh, which makes the namespaces. Far ends are in P-net: f1, f2, f3 answer for the
routers .1 to .3 of 10.1.N.0/24 and fd01:N::/64. Prints TAP. A difference prints the seed and the step.
"""

import argparse
import json
import random
import socket
import subprocess
import time

from route_wire import LINKS, Wire

USABLE = {"REACHABLE", "STALE", "DELAY", "PROBE", "PERMANENT", "NOARP"}
VLANS = (100, 200)
BOUND_S = 12.0  # a neighbour that is asked and does not answer, then the hold, then the plan


class Host:
    """ip(8) in a namespace."""

    def __init__(self, namespace):
        self.namespace = namespace

    def run(self, *words):
        """True if it worked. What the kernel refuses is no step, and no harm."""
        command = ["ip", "-n", self.namespace, *" ".join(words).split()]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def batch(self, lines):
        """Many at once, whatever becomes of each."""
        subprocess.run(["ip", "-n", self.namespace, "-force", "-batch", "-"], input="\n".join(lines) + "\n", text=True,
                       capture_output=True, check=False)

    def sysctl(self, name, value):
        subprocess.run(["nsenter", f"--net=/run/netns/{self.namespace}", "--", "sysctl", "-qw", f"{name}={value}"],
                       capture_output=True, check=False)

    def ask(self, words):
        """The answers to many questions: a list of JSON values, None where ip(8) failed."""
        process = subprocess.run(["ip", "-n", self.namespace, "-j", "-d", "-force", "-batch", "-"],
                                 input="\n".join(words) + "\n", capture_output=True, text=True, check=False)
        failed = {int(line.rsplit(":", 1)[1]) - 1 for line in process.stderr.splitlines()
                  if line.startswith("Command failed")}
        decoder, text, at, values = json.JSONDecoder(), process.stdout, 0, []
        while at < len(text):
            if text[at].isspace():
                at += 1
                continue
            value, at = decoder.raw_decode(text, at)
            values.append(value)
        answers = iter(values)
        return [None if i in failed else next(answers, None) for i in range(len(words))]


class Agent:
    def __init__(self, path):
        self.path = path

    def get(self, path):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(10)
            connection.connect(self.path)
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: weir\r\nConnection: close\r\n\r\n".encode())
            data = b""
            while chunk := connection.recv(65536):
                data += chunk
        head, body = data.split(b"\r\n\r\n", 1)
        if b"chunked" in head.lower():
            parts = []
            while body:
                size, body = body.split(b"\r\n", 1)
                n = int(size, 16)
                if n == 0:
                    break
                parts.append(body[:n])
                body = body[n + 2:]
            body = b"".join(parts)
        return json.loads(body)

    def nexthops(self):
        return {b["address"]: b["nexthop"] for b in self.get("/v1/backends")["backends"] if not b.get("leaving")}


class Kernel:
    """What the kernel itself says, read anew each time."""

    def __init__(self, host, backends):
        self.host, self.backends = host, backends

    def read(self):
        words = ["link show", "neigh show", "nexthop show"]
        for backend in self.backends:
            words += [f"route get {backend}", f"route get fibmatch {backend}"]
        answers = self.host.ask(words)
        self.links = {link["ifname"]: link for link in answers[0] or [] if link}
        self.by_index = {link["ifindex"]: link for link in self.links.values()}
        self.neighbors = {(n["dev"], n["dst"]): n for n in answers[1] or [] if n and "dev" in n}
        self.objects = {o["id"]: o for o in answers[2] or [] if o}
        self.ways = {b: (answers[3 + 2 * i], answers[4 + 2 * i]) for i, b in enumerate(self.backends)}

    def egress(self, name):
        """The device that takes the frames and the identifier of their VLAN (0: untagged), or None."""
        link, tag = self.links.get(name), 0
        for _ in range(4):
            if not link or "LOWER_UP" not in link["flags"] or "UP" not in link["flags"]:
                return None
            kind = link.get("linkinfo", {}).get("info_kind", "")
            if kind in ("", "veth"):
                return link["ifname"], tag
            if kind == "vlan":
                if tag:  # one tag is pushed
                    return None
                tag = link["linkinfo"]["info_data"]["id"]
                link = self.links.get(link.get("link"))
            elif kind == "bond":
                active = link["linkinfo"]["info_data"].get("active_slave")
                link = self.links.get(active)
            elif kind == "macvlan":
                link = self.links.get(link.get("link"))
            else:
                return None
        return None

    def mac(self, device, address):
        """Of a neighbour that can be used, or None."""
        neighbor = self.neighbors.get((device, address))
        if neighbor and set(neighbor.get("state", [])) & USABLE:
            return neighbor.get("lladdr")
        return None

    def undecided(self, device, address):
        neighbor = self.neighbors.get((device, address))
        return not neighbor or "INCOMPLETE" in neighbor.get("state", [])

    def asks(self, device):
        """Whether neighbours are asked for there at all: not through a tunnel."""
        link = self.links.get(device, {})
        return link.get("link_type") == "ether" and "NOARP" not in link.get("flags", [])

    def members(self, backend, match):
        """(device, neighbour) of every member of the route."""
        found = []

        def add(hop):
            flags = hop.get("flags", [])
            if "dev" in hop and "encap" not in hop and "dead" not in flags and "linkdown" not in flags:
                gateway = hop.get("gateway") or hop.get("via", {}).get("host") or backend
                found.append((hop["dev"], gateway))

        def add_object(number):
            hop = self.objects.get(number, {})
            for member in hop.get("group", []):
                add_object(member["id"])
            if "blackhole" not in hop:
                add(hop)

        route = (match or [{}])[0]
        if route.get("nexthops"):
            for hop in route["nexthops"]:
                add(hop)
        elif "dev" in route:
            add(route)
        elif "nhid" in route:
            add_object(route["nhid"])
        return found

    def expected(self, backend):
        """(set of right (device, MAC), settled). An empty set: not to be resolved."""
        got, match = self.ways[backend]
        if not got:
            return set(), True
        route = got[0]
        if route.get("type", "unicast") != "unicast" or "dev" not in route or "encap" in route:
            return set(), True
        chosen = (route["dev"], route.get("gateway") or route.get("via", {}).get("host") or backend)
        # IPv6: "dev" may be lo for an unreachable one
        if route["dev"] == "lo":
            return set(), True
        right = set()
        mac = self.mac(*chosen)
        if mac and self.links.get(chosen[0], {}).get("flags", []).count("LOWER_UP"):
            # The kernel's choice can be used: whether XDP can is the device's matter.
            return ({(chosen[0], mac)} if self.egress(chosen[0]) else set()) | \
                self.usable(self.members(backend, match)), True
        members = self.members(backend, match)
        right = self.usable(members)
        settled = right or not any(self.undecided(*m) for m in [chosen, *members] if self.asks(m[0]))
        return right, bool(settled)

    def usable(self, members):
        right = set()
        for device, neighbor in members:
            mac = self.mac(device, neighbor)
            if mac and self.egress(device):
                right.add((device, mac))
        return right


def agree(kernel, agent):
    """None, or the first backend that lbd and the kernel disagree about."""
    kernel.read()
    known = agent.nexthops()
    for backend in kernel.backends:
        right, settled = kernel.expected(backend)
        has = known[backend]
        if has["resolved"]:
            if (has["interface"], has["mac"]) not in right:
                return backend, has, right, kernel.ways[backend]
        elif right or not settled:
            return backend, has, right, kernel.ways[backend]
    return None


class Walk:
    """The steps. Each returns what it did, in words."""

    def __init__(self, host, net, rng, stacked):
        self.host, self.net, self.rng, self.stacked = host, net, rng, stacked
        self.steps = [self.route, self.route, self.route, self.multipath, self.multipath, self.rule, self.rule,
                      self.nexthop, self.nexthop, self.group, self.object_route, self.neighbor, self.neighbor,
                      self.flush, self.far_address, self.far_address, self.link, self.far_link, self.mtu, self.macvlan,
                      self.bridge, self.address, self.link_local, self.sysctl, self.encapsulated, self.rename_far_mac]
        if stacked:
            self.steps += [self.vlan] * 5 + [self.vlan_neighbor, self.far_vlan, self.bond, self.bond, self.tunnel]

    def pick(self, *choices):
        return self.rng.choice(choices)

    def prefix(self):
        if self.rng.random() < 0.5:
            return "", self.pick("10.50.0.0/24", "10.50.0.0/30", "10.50.0.4/30", "10.50.0.1/32", "default")
        return "-6", self.pick("fd50::/64", "fd50::/126", "fd50::4/126", "fd50::1/128", "default")

    def router(self, family, link=None, number=None):
        link, number = link or self.pick(*LINKS), number or self.pick(1, 2, 3)
        return f"fd01:{link}::{number}" if family else f"10.1.{link}.{number}", link

    def table(self):
        return self.pick("", "", "table 100")

    def ip(self, *words):
        text = " ".join(w for w in words if w)
        return text if self.host.run(text) else text + " (refused)"

    def route(self):
        family, prefix = self.prefix()
        verb = self.pick("replace", "replace", "replace", "del")
        metric = self.pick("", "", "metric 10")
        if verb == "del":
            return self.ip(family, "route del", prefix, self.table(), metric)
        kind = self.rng.random()
        if kind < 0.15:
            return self.ip(family, "route replace", self.pick("unreachable", "blackhole", "prohibit"), prefix,
                           self.table(), metric)
        gateway, link = self.router(family)
        if kind < 0.3:
            return self.ip(family, "route replace", prefix, f"dev e{link}", self.table(), metric)
        return self.ip(family, "route replace", prefix, f"via {gateway} dev e{link}", self.table(), metric,
                       self.pick("", "", "mtu 1400"))

    def multipath(self):
        family, prefix = self.prefix()
        words = [family, "route replace", prefix, self.table()]
        for link in self.rng.sample(LINKS, self.pick(2, 2, 3)):
            words.append(f"nexthop via {self.router(family, link)[0]} dev e{link}")
        return self.ip(*words)

    def rule(self):
        family, prefix = self.prefix()
        target = "" if prefix == "default" else f"to {prefix}"
        action = self.pick("lookup 100", "lookup 100", "lookup 100", "unreachable")
        if action == "unreachable" and not target:
            action = "lookup 100"
        return self.ip(family, "rule", self.pick("add", "del"), target, action, f"pref {self.pick(90, 91)}")

    def nexthop(self):
        number = self.pick(1, 2, 3, 4, 5, 6)
        if self.rng.random() < 0.3:
            return self.ip(f"nexthop del id {number}")
        family = "" if number < 4 else "-6"
        if self.rng.random() < 0.1:
            return self.ip(family, f"nexthop replace id {number} blackhole")
        gateway, link = self.router(family)
        return self.ip(family, f"nexthop replace id {number} via {gateway} dev e{link}")

    def group(self):
        number = self.pick(10, 11)
        members = (1, 2, 3) if number == 10 else (4, 5, 6)
        if self.rng.random() < 0.2:
            return self.ip(f"nexthop del id {number}")
        chosen = self.rng.sample(members, self.pick(1, 2, 3))
        return self.ip(f"nexthop replace id {number} group", "/".join(map(str, chosen)))

    def object_route(self):
        family, prefix = self.prefix()
        number = self.pick(1, 2, 3, 10, 10, 10) if not family else self.pick(4, 5, 6, 11, 11, 11)
        return self.ip(family, "route replace", prefix, f"nhid {number}", self.table())

    def neighbor(self):
        family = self.pick("", "-6")
        address, link = self.router(family)
        if self.rng.random() < 0.5:
            return self.ip(f"neigh del {address} dev e{link}")
        mac = f"02:00:00:00:0{link}:{self.rng.randrange(16, 99)}"
        return self.ip(f"neigh replace {address} lladdr {mac} dev e{link} nud", self.pick("permanent", "reachable"))

    def flush(self):
        return self.ip(self.pick("", "-6"), "neigh flush", self.pick("all", "dev e1", "dev e2", "dev e3"))

    def far_address(self):
        """A router comes or goes."""
        family = self.pick("", "-6")
        address, link = self.router(family)
        verb = self.pick("del", "add", "add")
        self.net.run(f"address {verb} {address}/{64 if family else 24} dev f{link}", "nodad" if family else "")
        return f"far {verb} {address}"

    def link(self):
        text = f"link set e{self.pick(*LINKS)} {self.pick('up', 'up', 'down')}"
        return self.ip(text)

    def far_link(self):
        link, state = self.pick(*LINKS), self.pick("up", "up", "down")
        self.net.run(f"link set f{link} {state}")
        return f"far link {link} {state}"

    def mtu(self):
        return self.ip(f"link set e{self.pick(*LINKS)} mtu {self.pick(1500, 1400, 1600)}")

    def rename_far_mac(self):
        link = self.pick(*LINKS)
        mac = f"02:00:00:00:0{link}:{self.rng.randrange(16, 99)}"
        self.net.run(f"link set f{link} address {mac}")
        return f"far MAC {mac}"

    def above(self, name, *make):
        """A device above another: made with an address and a route by it, or taken away."""
        if self.rng.random() < 0.4:
            return self.ip(f"link del {name}")
        link = self.pick(*LINKS)
        done = [self.ip(*(w.format(link=link) for w in make))]
        done.append(self.ip(f"link set {name} up"))
        done.append(self.ip(f"address add 10.1.{link}.{self.pick(110, 111)}/32 dev {name}"))
        family, prefix = self.prefix()
        gateway, _ = self.router(family, link)
        done.append(self.ip(family, "route replace", prefix, f"via {gateway} dev {name} onlink"))
        return "; ".join(done)

    def macvlan(self):
        return self.above("mv1", "link add mv1 link e{link} type macvlan mode bridge")

    def bridge(self):
        if self.rng.random() < 0.4:
            return self.ip("link del br1")
        done = [self.ip("link add br1 type bridge"), self.ip("link set br1 up"),
                self.ip(f"link set e{self.pick(*LINKS)}", self.pick("master br1", "nomaster"))]
        family, prefix = self.prefix()
        gateway, _ = self.router(family)
        done.append(self.ip(family, "route replace", prefix, f"via {gateway} dev br1 onlink"))
        return "; ".join(done)

    def vlan(self):
        """Upon a link, or upon the bond, whichever there is."""
        number = self.pick(*VLANS)
        under = self.pick("e{link}", "e{link}", "e{link}", "bond1")
        return self.above(f"v{number}", f"link add link {under} name v{number} type vlan id {number}")

    def first_vlan(self):
        """What a walk with VLANs begins with, so that some packet is tagged however it goes on."""
        return "; ".join(self.ip(words) for words in (
            "link add link e1 name v100 type vlan id 100", "link set v100 up",
            "route replace 10.50.0.0/24 via 10.1.1.1 dev v100 onlink"))

    def vlan_neighbor(self):
        family = self.pick("", "-6")
        address, link = self.router(family)
        number = self.pick(*VLANS)
        if self.rng.random() < 0.5:
            return self.ip(f"neigh del {address} dev v{number}")
        mac = f"02:00:00:00:0{link}:{self.rng.randrange(16, 99)}"
        return self.ip(f"neigh replace {address} lladdr {mac} dev v{number} nud", self.pick("permanent", "reachable"))

    def far_vlan(self):
        """The routers' side of a VLAN goes or comes."""
        name, state = f"f{self.pick(*LINKS)}.{self.pick(*VLANS)}", self.pick("up", "up", "down")
        self.net.run(f"link set {name} {state}")
        return f"far {name} {state}"

    def bond(self):
        if self.rng.random() < 0.4:
            return self.ip("link del bond1")
        link = self.pick(*LINKS)
        done = [self.ip("link add bond1 type bond mode active-backup miimon 100"), self.ip(f"link set e{link} down"),
                self.ip(f"link set e{link}", self.pick("master bond1", "master bond1", "nomaster")),
                self.ip(f"link set e{link} up"), self.ip("link set bond1 up")]
        family, prefix = self.prefix()
        gateway, _ = self.router(family, link)
        done.append(self.ip(family, "route replace", prefix, f"via {gateway} dev bond1 onlink"))
        return "; ".join(done)

    def tunnel(self):
        if self.rng.random() < 0.4:
            return self.ip("link del tun1")
        family, prefix = self.prefix()
        return "; ".join([self.ip("link add tun1 type ipip local 10.1.1.100 remote 10.1.1.1"),
                          self.ip("link set tun1 up"), self.ip(family, "route replace", prefix, "dev tun1")])

    def address(self):
        link = self.pick(*LINKS)
        family = self.pick("", "-6")
        address = f"fd01:{link}::100/64" if family else f"10.1.{link}.100/24"
        return self.ip(f"address {self.pick('add', 'add', 'del')} {address} dev e{link}", "nodad" if family else "")

    def link_local(self):
        link = self.pick(*LINKS)
        return self.ip(f"address {self.pick('add', 'add', 'del')} fe80::100/64 dev e{link} nodad")

    def sysctl(self):
        name = self.pick("net.ipv4.fib_multipath_use_neigh", "net.ipv4.nexthop_compat_mode",
                         "net.ipv4.conf.all.ignore_routes_with_linkdown",
                         "net.ipv6.conf.all.ignore_routes_with_linkdown")
        value = self.pick(0, 1)
        self.host.sysctl(name, value)
        return f"{name}={value}"

    def encapsulated(self):
        family, prefix = self.prefix()
        gateway, link = self.router(family)
        encap = self.pick("encap mpls 100", "encap seg6 mode encap segs fd00::1",
                          "encap ip id 7 dst 10.1.1.1" if not family else "encap ip6 id 7 dst fd01:1::1")
        return self.ip(family, "route replace", prefix, encap, f"via {gateway} dev e{link}")

    @staticmethod
    def routers(link, device):
        """What gives a device of the far end the addresses of the routers of a link."""
        return [words for n in (1, 2, 3) for words in (f"address add 10.1.{link}.{n}/24 dev {device}",
                                                       f"address add fd01:{link}::{n}/64 dev {device} nodad")]

    def repair(self):
        """Now and then the world is whole again, or all of it would be broken for ever."""
        host, net = [], []
        for i in LINKS:
            host += [f"link set e{i} nomaster", f"link set e{i} up mtu 1500", f"address add 10.1.{i}.100/24 dev e{i}",
                     f"address add fd01:{i}::100/64 dev e{i} nodad", f"address add fe80::100/64 dev e{i} nodad"]
            net += [f"link set f{i} up", *self.routers(i, f"f{i}")]
            for number in VLANS if self.stacked else ():
                name = f"f{i}.{number}"
                net += [f"link add link f{i} name {name} type vlan id {number}", f"link set {name} up",
                        *self.routers(i, name)]
        self.host.batch(host)
        self.net.batch(net)
        for family in ("", "-6"):
            for pref in (90, 91):
                while self.host.run(family, f"rule del pref {pref}"):
                    pass
        return "repair"

    def step(self, number):
        if number % 12 == 0:
            return self.repair()
        return self.rng.choice(self.steps)()


def choose(rng, kernel, known):
    """The number of a backend to send a packet to; one behind a VLAN, if there is any, mostly."""
    tagged = [i for i, backend in enumerate(kernel.backends)
              if known[backend]["resolved"] and (kernel.egress(known[backend]["interface"]) or (None, 0))[1]]
    return rng.choice(tagged) if tagged and (rng.random() < 0.5 or len(tagged) > 3) else rng.randrange(len(kernel.backends))


def wait_agreement(kernel, agent, bound):
    end = time.monotonic() + bound
    pause = 0.02
    while difference := agree(kernel, agent):
        if time.monotonic() > end:
            return difference
        time.sleep(pause)
        pause = min(2 * pause, 0.3)
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--prefix", required=True)
    parser.add_argument("--socket", required=True)
    parser.add_argument("--vip", required=True)
    parser.add_argument("--first-port", type=int, required=True)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=0, help="no further step after so long")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--stacked", action="store_true")
    parser.add_argument("--slow", type=float, default=1, help="patience, times so much")
    parser.add_argument("backends", nargs="+")
    options = parser.parse_args()
    host, net = Host(f"{options.prefix}-lb"), Host(f"{options.prefix}-net")
    kernel, agent = Kernel(host, options.backends), Agent(options.socket)
    rng = random.Random(options.seed)
    walk = Walk(host, net, rng, options.stacked)
    wire = Wire(options.prefix, options.vip)
    differences = packets = tagged = wrong = resolved = answers = made = 0
    begin = time.monotonic()
    trail = []
    walk.repair()
    for family in ("", "-6"):
        while host.run(family, "route del default"):
            pass
        host.run(family, "route add", "10.50.0.0/24 via 10.1.1.1" if not family else "fd50::/64 via fd01:1::1")
    for number in range(1, options.steps + 1):
        if options.seconds and time.monotonic() - begin > options.seconds:
            break
        made = number
        trail.append(walk.first_vlan() if options.stacked and number == 1 else walk.step(number))
        difference = wait_agreement(kernel, agent, BOUND_S * options.slow)
        if difference:
            differences += 1
            print(f"# seed {options.seed} step {number}: {difference}")
            print("# after: " + " | ".join(trail[-6:]), flush=True)
        known = agent.nexthops()
        resolved += sum(known[b]["resolved"] for b in options.backends)
        answers += len(options.backends)
        if number % 4 == (1 if options.stacked else 0) and not difference:
            i = choose(rng, kernel, known)
            backend = options.backends[i]
            egress = kernel.egress(known[backend]["interface"]) if known[backend]["resolved"] else None
            if egress and egress[0] in ("e1", "e2", "e3"):
                packets += 1
                tagged += egress[1] > 0
                token = f"walk-{options.seed}-{number}".encode()
                got = wire.arrives(backend, options.first_port + i, token)
                want = ("f" + egress[0][1:], known[backend]["mac"], egress[1])
                if got != want and agree(kernel, agent) is None:
                    wrong += 1
                    print(f"# seed {options.seed} step {number}: a packet for {backend} arrived as {got}, not {want}")
                    print("# after: " + " | ".join(trail[-6:]), flush=True)
    print(f"# {made} steps, {answers} answers compared ({resolved} resolved), {packets} packets sent, "
          f"{tagged} of them with a VLAN tag")
    print(("ok" if differences == 0 else "not ok") + f" 1 - lbd and the kernel agree after each of {made} steps")
    print(("ok" if wrong == 0 else "not ok") + f" 2 - {packets} packets went the kernel's way")
    print(("ok" if resolved * 4 > answers else "not ok") + " 3 - a good part of the answers was a way")
    if options.stacked:
        print(("ok" if tagged else "not ok") + " 4 - some packets had a VLAN tag")
    print("1..4" if options.stacked else "1..3")


main()
