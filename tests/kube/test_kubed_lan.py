#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 120
"""Who answers for VIPs on a flat LAN, by a Lease: lb-kubed, a real lb-neighbor and lbd; and another member, whose leadership is read in a file."""
import json
import os
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import rig as lab  # noqa: E402 pylint: disable=wrong-import-position
from rig import check, wait_for  # noqa: E402 pylint: disable=wrong-import-position

lab.in_namespace()

from apiserver import ApiServer  # noqa: E402 pylint: disable=wrong-import-position
from client import Client  # noqa: E402 pylint: disable=wrong-import-position

NEIGHBOR = os.path.join(lab.ROOT, "build/lb-neighbor")


class Lan:
    """lb-neighbor of this member, and the directory of another one's."""

    def __init__(self, rig):
        self.bpffs = os.path.join(rig.directory, "bpf", "weir")
        self.directory, self.other = (os.path.join(rig.directory, name) for name in ("lan", "other-lan"))
        for directory in (self.directory, self.other):
            os.mkdir(directory)
            os.chmod(directory, 0o777)
        self.log = open(os.path.join(rig.directory, "neighbor.log"), "wb")  # pylint: disable=consider-using-with
        self.process = None

    def start(self):
        self.process = subprocess.Popen([NEIGHBOR, "run", "--bpffs", self.bpffs, "--run-dir", self.directory], stdout=self.log, stderr=self.log)

    def stop(self):
        self.process.terminate()
        return self.process.wait(10)

    def status(self):
        said = subprocess.run([NEIGHBOR, "status", "-j", "--bpffs", self.bpffs], capture_output=True, text=True, check=False).stdout
        return json.loads(said) if said else {"groups": [], "vips": []}

    def leads(self):
        """As the packet path has it."""
        groups = self.status()["groups"]
        return bool(groups) and groups[0]["leads"]

    def fit(self, number):
        """What the other one's lb-neighbor says of it."""
        with open(os.path.join(self.other, "group-51"), "w", encoding="utf-8") as file:
            file.write(f"{number}\n")

    def word(self):
        try:
            with open(os.path.join(self.other, "lead-51"), encoding="utf-8") as file:
                return file.read().split()[0]
        except (OSError, IndexError):
            return ""


def holder(cluster):
    return (cluster.client.get("leases", "weir", "weir-lan").body.get("spec") or {}).get("holderIdentity")


def only_who_can_serve(rig, cluster, lan):
    cluster.service("web")
    check("a Service's address is one of the LAN's", wait_for(lambda: [vip["vip"] for vip in lan.status()["vips"]] == ["203.0.113.0"]), (lan.status(), rig.state()))
    check("a member that serves nothing does not stand", wait_for(lambda: os.path.exists(lan.directory + "/group-51")) and not holder(cluster) and not lan.leads(), holder(cluster))
    cluster.endpoints("web", ("n1", "ready"))
    check("one that serves holds the Lease, and the packet path answers", wait_for(lambda: lan.leads() and holder(cluster) == "edge-1"), (holder(cluster), rig.state()))
    check("which is a metric", rig.metric("weir_kube_lan_leader") == 1)


def renewals(rig, api, cluster, lan, second):
    version = cluster.client.get("leases", "weir", "weir-lan").body["metadata"]["resourceVersion"]
    check("it is renewed", wait_for(lambda: cluster.client.get("leases", "weir", "weir-lan").body["metadata"]["resourceVersion"] != version))
    check("another member follows", wait_for(lambda: lan.word() == "follow") and second.poll() is None, lan.word())
    lan.stop()
    check("lb-neighbor ends, and the packet path goes on answering", lan.leads())
    lan.start()
    api.faults.set([{"verb": "update", "user": "kubed", "do": "status", "code": 429, "retry_after": 1, "times": 4}])
    wait_for(lambda: sum(api.faults.hits()) >= 4, 20)
    check("429s cost no leadership", lan.leads() and holder(cluster) == "edge-1", holder(cluster))
    api.down()
    rig.stop_kubed(sure=True)
    check("without an API server, and without lb-kubed, it goes on as well", lan.leads())
    api.up()
    rig.start_kubed(api, *OPTIONS(lan))
    check("the next one of this node goes on with the Lease", wait_for(lambda: rig.metric("weir_kube_lan_leader") == 1 and holder(cluster) == "edge-1"), (holder(cluster), rig.logged()))
    check("and nobody noticed", lan.leads() and lan.word() == "follow", lan.word())


def handed_over(rig, cluster, lan):
    rig.agent("POST", "/v1/leave")
    check("one that leaves its fleet hands over at once", wait_for(lambda: lan.word() == "lead" and holder(cluster) == "edge-2", 10), (lan.word(), holder(cluster), rig.logged()))
    check("and answers no more", wait_for(lambda: not lan.leads()))
    rig.agent("POST", "/v1/join")
    check("come back, it follows", wait_for(lambda: rig.metric("weir_kube_lan_leader") == 0) and holder(cluster) == "edge-2", holder(cluster))
    lan.fit(-254)
    check("until the other one can serve nothing", wait_for(lambda: lan.leads() and holder(cluster) == "edge-1", 15) and lan.word() == "follow", (lan.word(), holder(cluster)))


def restarted_while_leaving(rig, api, cluster, lan, second):
    """Killed before it could say so: what the earlier one said is there still."""
    second.kill()
    second.wait(10)
    with open(os.path.join(lan.other, "lead-51"), "w", encoding="utf-8") as file:
        file.write("lead 1\n")
    second = rig.another_kubed(api, "edge-2", 9653, "--lan", lan.other)
    check("one that starts while its member leaves has it follow", wait_for(lambda: lan.word() == "follow") and second.poll() is None, lan.word())
    check("which costs the other one nothing", lan.leads() and holder(cluster) == "edge-1", holder(cluster))
    return second


def OPTIONS(lan):  # pylint: disable=invalid-name
    return ["--announce", "neighbor", "--lan", lan.directory]


def main():
    rig = lab.Rig()
    lan = Lan(rig)
    with ApiServer() as api:
        api.control("token", {"token": "kubed", "user": "kubed", "groups": ["system:masters"]})
        cluster = lab.Cluster(Client(api.plain_url, api.token), rig.nodes)
        cluster.begin()
        rig.start_lbd({"announce": {"interface": "weir0"}})
        lan.start()
        rig.start_kubed(api, *OPTIONS(lan))
        check("lb-kubed starts", wait_for(rig.is_ready), rig.logged())
        only_who_can_serve(rig, cluster, lan)
        lan.fit(0)
        second = rig.another_kubed(api, "edge-2", 9653, "--lan", lan.other)
        renewals(rig, api, cluster, lan, second)
        handed_over(rig, cluster, lan)
        second = restarted_while_leaving(rig, api, cluster, lan, second)
        second.terminate()
        check("both end in order, and have lost no memory", second.wait(10) == 0 and rig.stop_kubed() == 0, rig.logged()[-3000:])
        lan.stop()
        rig.stop_lbd()
    lab.done()


main()
