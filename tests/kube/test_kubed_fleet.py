#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 180
"""lb-kubed where streams fall silent, etcd is restored from a snapshot, a leader dies, and rights are missing."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import rig as lab  # noqa: E402 pylint: disable=wrong-import-position
from rig import check, wait_for  # noqa: E402 pylint: disable=wrong-import-position

lab.in_namespace()

from apiserver import ApiServer  # noqa: E402 pylint: disable=wrong-import-position
from client import Client  # noqa: E402 pylint: disable=wrong-import-position

WEB, ALL = "default.web.80.tcp.v4", "n1=100 n2=100 n3=100"


def backends_are(rig, wanted, within=15):
    return wait_for(lambda: rig.backends(WEB) == wanted, within)


def silence(rig, api, cluster):
    cluster.service("web")
    cluster.endpoints("web", ("n1", "ready"))
    check("a Service is served", backends_are(rig, ALL), rig.state())
    api.freeze()
    cluster.endpoints("web", ("n1", "not"))
    check("streams that fall silent are followed by a list", backends_are(rig, ""), rig.state())
    check("and counted", rig.metric('weir_kube_watch_silent_total{resource="endpointslices"}') >= 1)
    api.store.keep("before")
    cluster.endpoints("web", ("n1", "ready"))
    check("a change", backends_are(rig, ALL), rig.state())
    api.store.restore("before")
    api.disconnect()
    check("etcd is restored from before it: so is what is served", backends_are(rig, ""), rig.state())
    cluster.endpoints("web", ("n1", "ready"))
    check("and what changes then is seen", backends_are(rig, ALL), rig.state())


def leaders(rig, api, cluster):
    second = rig.another_kubed(api, "edge-2", 9653)
    check("of two members one leads", wait_for(lambda: rig.metric("weir_kube_synced") == 1) and rig.metric("weir_kube_leader") == 1)
    check("and the other does not", wait_for(lambda: rig.metric("weir_kube_nodes", 9653) == 3) and rig.metric("weir_kube_leader", 9653) == 0)
    cluster.service("one")
    check("it gives addresses", wait_for(lambda: cluster.address("one")), rig.state())
    rig.stop_kubed(sure=True)
    cluster.service("two")
    check("it dies: the other leads", wait_for(lambda: rig.metric("weir_kube_leader", 9653) == 1, 25))
    check("and gives addresses", wait_for(lambda: cluster.address("two")))
    given = [cluster.address(name) for name in ("web", "one", "two")]
    check("no address twice", len(set(given)) == 3, given)
    rig.start_kubed(api, "--silence", "3")
    check("the first comes back and follows", wait_for(rig.is_ready) and rig.metric("weir_kube_leader") == 0)
    second.terminate()
    check("one that stops in order hands over at once", wait_for(lambda: rig.metric("weir_kube_leader") == 1, 5), rig.state())
    check("and ends well", second.wait(10) == 0)
    check("what was served is served", rig.backends(WEB) == ALL)
    cluster.client.patch("services", "default", "two", {"status": {"loadBalancer": {"ingress": [{"ip": cluster.address("one"), "ipMode": "VIP"}]}}}, sub="status")
    check("of two with one address the younger gets another", wait_for(lambda: cluster.address("two") != cluster.address("one")),
          (cluster.address("one"), cluster.address("two")))


def skewed(rig, api, cluster):
    api.control("skew", {"seconds": 86400})
    cluster.service("tomorrow")
    check("a server whose clock is a day ahead costs nothing", wait_for(lambda: cluster.address("tomorrow")), rig.state())
    check("nor the leadership", rig.metric("weir_kube_leader") == 1)
    api.control("skew", {"seconds": 0})


def main():
    rig = lab.Rig()
    with ApiServer(opaque=True) as api:
        api.control("token", {"token": "kubed", "user": "kubed", "groups": ["system:masters"]})
        api.control("bookmarks", {"seconds": 1})
        cluster = lab.Cluster(Client(api.plain_url, api.token), rig.nodes)
        cluster.begin()
        rig.start_lbd()
        rig.start_kubed(api, "--silence", "3")
        check("lb-kubed starts", wait_for(rig.is_ready), rig.logged())
        silence(rig, api, cluster)
        leaders(rig, api, cluster)
        skewed(rig, api, cluster)
        check("it stops in order, and has lost no memory", rig.stop_kubed() == 0, rig.logged()[-3000:])
        rig.stop_lbd()
    lab.done()


main()
