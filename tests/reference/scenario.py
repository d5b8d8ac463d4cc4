# SPDX-License-Identifier: GPL-2.0-only
"""
The configurations that packets are judged under. Each scenario is a list of configurations, applied one after the
other: what the last one moved is unsettled while packets run. The runner makes next hops from the backends'
addresses: the byte before the last picks the MTU (1500, 9000, 1400, 1320, 600), the last one modulo 3 the port (0 is
the interface that packets come in on); 250 has no next hop, 251 a port without interface.
"""

import json
import os


def backends(*addresses, **states):
    """b0, b1, ...; states: b1="drain" or b1={...}."""
    result = []
    for i, address in enumerate(addresses):
        backend = {"name": f"b{i}", "address": address}
        more = states.get(f"b{i}")
        if isinstance(more, dict):
            backend.update(more)
        elif more:
            backend["state"] = more
        result.append(backend)
    return result


def service(name, vip, protocol, port, pool, **more):
    return {"name": name, "vip": vip, "protocol": protocol, "port": port, "ring_size": 64, "backends": pool, **more}


def quic(server_id_bytes, *rotations):
    return {"configs": [{"rotation": r, "server_id_bytes": server_id_bytes} for r in rotations]}


def server_ids(size, n, **states):
    ids = {f"b{i}": {"server_id": (i * 257 + 1).to_bytes(size, "big").hex()} for i in range(n)}
    for name, state in states.items():
        ids[name]["state"] = state
    return ids


POOL4 = ("10.1.0.1", "10.1.0.2", "10.1.0.3", "10.1.1.4", "10.1.2.5")
POOL6 = ("fd00:1::1", "fd00:1::2", "fd00:1::3", "fd00:1::104", "fd00:1::205")
MIXED = ("10.2.0.1", "fd00:2::2", "10.2.1.3", "fd00:2::304", "10.2.3.6")


# Of the generator's clients about half are in them.
RANGES4 = [{"prefix": prefix} for prefix in ("10.0.0.0/8", "203.0.0.0/9", "172.0.0.0/6", "100.128.0.0/9", "192.0.0.0/10")]
RANGES6 = [{"prefix": prefix} for prefix in ("2001:db8::/33", "2001:db8:c000::/34")]


def services(moved):
    """moved: after the changes that unsettle slots."""
    tcp4 = backends(*POOL4, b1="drain" if moved else "active", b2="down" if moved else "active")
    udp6 = backends(*POOL6[: 5 if moved else 3], b1="drain" if moved else "active")
    return [
        service("web4", "203.0.113.10", "tcp", 80, backends(*MIXED), unclaimed="reject"),
        service("any4", "203.0.113.10", "tcp", "any", backends("10.3.0.1", "10.3.0.2")),
        service("range4", "203.0.113.10", "tcp", "8000-8999", backends("10.3.0.3", "10.3.0.4"), forward="gue"),
        service("inner-range4", "203.0.113.10", "tcp", "8100-8199", backends("10.3.0.5", "10.3.0.6"), forward="l2"),
        service("udp4", "203.0.113.10", "udp", 53, backends(*MIXED), forward="gue", fragments="drop",
                unclaimed="reject"),
        service("web6", "2001:db8:113::10", "tcp", 80, backends(*POOL6), unclaimed="reject"),
        service("any6", "2001:db8:113::10", "tcp", "any", backends("fd00:3::1", "fd00:3::2"), forward="l2"),
        service("udp6", "2001:db8:113::10", "udp", 53, backends("fd00:4::1", "10.4.0.2", "fd00:4::103"), forward="gue",
                gue_port=5555),
        service("l2-4", "203.0.113.12", "tcp", 443, backends(*POOL4), forward="l2", unclaimed="drop"),
        service("l2-udp4", "203.0.113.12", "udp", "any", backends(*POOL4), forward="l2"),
        service("dns4", "203.0.113.53", "udp", 53, backends("10.5.0.1", "10.5.1.2", b1="down"), affinity="source",
                forward="l2", echo=False, fragments="drop"),
        service("source4", "203.0.113.18", "udp", 7000, backends(*MIXED), affinity="source"),
        service("source6", "2001:db8:113::18", "udp", 7000, backends(*POOL6), affinity="source"),
        service("source-tcp4", "203.0.113.18", "tcp", "100-199", backends(*POOL4), affinity="source", fragments="drop"),
        service("source-moved4", "203.0.113.19", "tcp", 80, tcp4, affinity="source"),
        service("quic4", "203.0.113.11", "udp", 443, backends(*MIXED, **server_ids(
            2, 5, **({"b3": "drain", "b4": "down"} if moved else {}))), affinity="quic", quic=quic(2, 0, 3),
            forward="gue"),
        service("quic6", "2001:db8:113::11", "udp", 443, backends(*POOL6, **server_ids(8, 5)), affinity="quic",
                quic=quic(8, 6)),
        service("quic-plain4", "203.0.113.11", "udp", 444, backends(*POOL4), affinity="quic"),
        service("media6", "2001:db8:113::12", "udp", "16384-32767", backends("fd00:6::1", "10.6.0.2"), forward="gue",
                unclaimed="pass"),
        service("prefix4", "198.51.100.0/24", "tcp", "any", backends("10.7.0.1", "10.7.0.2")),
        service("half4", "198.51.100.128/25", "tcp", "400-500", backends("10.7.0.3", "10.7.0.4"), forward="gue"),
        service("quiet4", "198.51.100.144/28", "udp", 53, backends("10.7.0.6"), echo=False, unclaimed="pass"),
        service("loud4", "198.51.100.152/29", "udp", 53, backends("10.7.0.7", b0="drain" if moved else "active")),
        service("one4", "198.51.100.200", "tcp", 22, backends("10.7.0.5"), echo=False),
        service("prefix6", "2001:db8:200::/48", "tcp", "any", backends("fd00:7::1", "fd00:7::2")),
        service("longer6", "2001:db8:200:1::/64", "udp", "1000-1999", backends("fd00:7::3"), forward="l2"),
        service("moved4", "203.0.113.14", "tcp", 80, tcp4),
        service("moved-udp4", "203.0.113.14", "udp", 5000, tcp4, forward="gue"),
        service("moved-udp6", "2001:db8:113::14", "udp", 5000, udp6),
        service("moved-udp6-blind", "2001:db8:113::14", "udp", 5001, udp6, learning_window_s=0),
        service("moved6", "2001:db8:113::14", "tcp", 80, udp6, forward="l2"),
        service("empty4", "203.0.113.15", "tcp", 80, [], no_backend="reject"),
        service("down4", "203.0.113.15", "udp", 80, backends("10.8.0.1", b0="down"), no_backend="reject"),
        service("drained4", "203.0.113.16", "tcp", 80, backends("10.8.0.2", b0="drain" if moved else "active")),
        service("nowhere4", "203.0.113.17", "tcp", 80, backends("10.8.0.250", "10.8.0.251", "10.8.0.3")),
        service("nowhere6", "2001:db8:113::17", "udp", 80, backends("fd00:8::fa", "fd00:8::fb"), forward="gue"),
        service("ranges4", "203.0.113.20", "tcp", 80, backends(*MIXED), source_ranges=RANGES4, unclaimed="reject"),
        service("ranges-source4", "203.0.113.20", "udp", 7000, backends(*POOL4), affinity="source", source_ranges=RANGES4[1:]),
        service("ranges-quic4", "203.0.113.21", "udp", 443, backends(*MIXED, **server_ids(2, 5)), affinity="quic", quic=quic(2, 1),
                source_ranges=RANGES4),
        service("ranges-any4", "203.0.113.22", "tcp", "any", backends("10.9.0.1", "10.9.0.2"), source_ranges=RANGES4[:1]),
        service("ranges-moved4", "203.0.113.23", "tcp", 80, tcp4, source_ranges=RANGES4[2:] if moved else RANGES4),
        service("ranges-moved-udp6", "2001:db8:113::20", "udp", 5000, udp6, source_ranges=RANGES6),
        service("ranges-empty6", "2001:db8:113::21", "tcp", 80, [], no_backend="reject", source_ranges=RANGES6),
    ]


def configuration(moved, tunnel_source, unclaimed=None):
    config = {
        "version": 1,
        "hash_seed": "reference",
        "interfaces": [{"name": "reference0"}],
        "services": services(moved),
    }
    if unclaimed:
        config["unclaimed"] = unclaimed
    if tunnel_source:
        config["tunnel_source"] = {"ipv4": "172.16.0.0/16", "ipv6": "fd00:77::/64"}
    return config


# name: (several interfaces, [configurations])
SCENARIOS = {
    "one-interface": (False, [configuration(False, True), configuration(True, True)]),
    "several-interfaces": (True, [configuration(False, False, "pass"), configuration(True, False, "pass")]),
}


def write(name, folder):
    """Writes a scenario's configurations; the runner's arguments."""
    several, configs = SCENARIOS[name]
    arguments = ["--several"] if several else []
    os.makedirs(folder, exist_ok=True)
    for i, config in enumerate(configs):
        path = os.path.join(folder, f"{name}-{i}.json")
        fresh = f"{path}.{os.getpid()}"
        with open(fresh, "w", encoding="ascii") as out:
            json.dump(config, out, indent=1)
        os.replace(fresh, path)  # another run may be reading it
        arguments.append(path)
    return arguments
