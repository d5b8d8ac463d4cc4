#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 120
"""configs/kubernetes as it would be applied: no container may do more than it must, what is said in several places is the same everywhere,
programs take the options that they are given, and a server takes all of it. The real server's word on them is make check-kube's."""
import base64
import ipaddress
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

import yaml

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import manifests  # noqa: E402 pylint: disable=wrong-import-position
from apiserver import ApiServer  # noqa: E402 pylint: disable=wrong-import-position
from client import Client  # noqa: E402 pylint: disable=wrong-import-position
from kinds import RESOURCES  # noqa: E402 pylint: disable=wrong-import-position

results = []
# What a container may have beyond nothing.
POWERS = {"lbd": {"BPF", "NET_ADMIN", "PERFMON"}, "leave": set(), "purge": {"BPF", "NET_ADMIN", "PERFMON"}, "down": {"BPF", "NET_ADMIN", "PERFMON", "SYS_ADMIN"}, "lb-checkd": {"NET_RAW", "SETGID", "SETUID"}, "lb-backend": {"BPF", "NET_ADMIN", "PERFMON", "SYS_ADMIN"}, "lb-neighbor": {"BPF", "NET_RAW"}, "bird": {"NET_BIND_SERVICE", "NET_RAW", "NET_ADMIN"}}
HOST_PATHS = {"/sys/fs/bpf", "/var/lib/weir", "/run/weir", "/run/weir-backend"}


def check(what, good, why=""):
    results.append(bool(good))
    print(f"{'ok' if good else 'not ok'} {len(results)} - {what}", flush=True)
    if not good and why != "":
        print("# " + str(why).replace("\n", "\n# "), flush=True)


def containers(items):
    return [(pod, spec, container) for pod, spec in manifests.pods(items) for container in spec["containers"] + spec.get("initContainers", [])]


def no_power(overlay, items):
    """Every container: bounded, read-only, and root only where it needs a capability."""
    wrong = []
    for pod, spec, container in containers(items):
        name, own = container["name"], container.get("securityContext", {})
        powers = own.get("capabilities", {})
        if own.get("privileged") or own.get("allowPrivilegeEscalation") is not False or own.get("readOnlyRootFilesystem") is not True:
            wrong.append(f"{name}: privileged, escalation or a writable root")
        if powers.get("drop") != ["ALL"] or set(powers.get("add", [])) != POWERS.get(name, set()):
            wrong.append(f"{name}: capabilities {powers}")
        if (own.get("runAsUser") == 0) != (name in POWERS) or (name not in POWERS and not own.get("runAsNonRoot")):
            wrong.append(f"{name}: user {own.get('runAsUser')}")
        if spec.get("hostPID") or spec.get("hostIPC") or spec["securityContext"].get("seccompProfile", {}).get("type") != "RuntimeDefault":
            wrong.append(f"{pod}: the host's processes, or no seccomp")
    check(f"{overlay}: no container may do more than it must", not wrong, wrong)
    users = [container["securityContext"]["runAsUser"] for _, _, container in containers(items) if container["name"] not in POWERS]
    check(f"{overlay}: each helper has a user of its own", len(users) == len(set(users)), users)


def lives_well(overlay, items):
    """Rolling update, probes, resources, and which folders of the host."""
    wrong = []
    for item in items:
        if item["kind"] == "DaemonSet" and item["spec"]["updateStrategy"] not in (
                {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}, {"type": "OnDelete"}):
            wrong.append(f"{item['metadata']['name']}: {item['spec']['updateStrategy']}")
    for pod, spec in manifests.pods(items):
        if spec.get("priorityClassName") != "system-node-critical" or {"operator": "Exists"} not in spec.get("tolerations", []) or not spec.get("hostNetwork"):
            wrong.append(f"{pod}: priority, tolerations or network")
        for volume in spec.get("volumes", []):
            if "hostPath" in volume and volume["hostPath"]["path"] not in HOST_PATHS:
                wrong.append(f"{pod}: {volume}")
    for pod, spec, container in containers(items):
        if not container.get("resources", {}).get("requests") or "lifecycle" in container:
            wrong.append(f"{container['name']}: no requests, or a hook")
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            ask = container.get(probe, {}).get("httpGet")
            if ask and ask.get("host") != "127.0.0.1":
                wrong.append(f"{container['name']}: {probe} asks the node's address, where nobody listens")
        for mount in container.get("volumeMounts", []):
            if mount["mountPath"] == "/sys/fs/bpf" and mount.get("mountPropagation") != "HostToContainer":
                wrong.append(f"{container['name']}: {mount}")
    check(f"{overlay}: rolled one by one, probed on loopback, with what it needs of the host", not wrong, wrong)


def agrees_with_image(items):
    """Users and programs of the manifests are those of the image, and sources' users those of the containers."""
    passwd = {}
    with open(os.path.join(manifests.ROOT, "scripts/image.py"), encoding="utf-8") as file:
        text = file.read()
    for line in re.findall(r"^([a-z-]+):x:(\d+)", text, re.M):
        passwd[line[0]] = int(line[1])
    edge = dict(manifests.pods(items))["weir"]
    users = {container["name"]: container["securityContext"]["runAsUser"] for container in edge["containers"]}
    check("users of the manifests are users of the image", "weir-check" in passwd and users["lb-kubed"] == passwd["weir-kube"] and
          edge["securityContext"]["supplementalGroups"] == [passwd["weir-admin"]], (users, passwd))
    config = json.loads(base64.b64decode(manifests.find(items, "Secret", "weir-config")["data"]["weir.json"]))
    check("the source of lbd's configuration is lb-kubed's user", [source["uid"] for source in config["sources"]] == [users["lb-kubed"]], config["sources"])
    with open(os.path.join(manifests.ROOT, "Makefile"), encoding="utf-8") as file:
        programs = re.search(r"^PROGRAMS := (.*)$", file.read(), re.M)[1].split()
    return config, programs


def addresses_agree(items, config):
    """Pools lie within what lbd lets the source claim, and nodes decapsulate for just those."""
    pools = json.loads(manifests.find(items, "ConfigMap", "weir-pools")["data"]["pools.json"])["pools"]
    given = set()
    for pool in pools:
        for entry in pool["addresses"]:
            first, _, last = entry.partition("-")
            if "/" in entry:
                given |= set(ipaddress.ip_network(entry))
            else:
                given |= {ipaddress.ip_address(number) for number in range(int(ipaddress.ip_address(first)), int(ipaddress.ip_address(last or first)) + 1)
                          } if "." in first else {ipaddress.IPv6Address(n) for n in range(int(ipaddress.ip_address(first)), int(ipaddress.ip_address(last or first)) + 1)}
    claims = [ipaddress.ip_network(vip["prefix"]) for source in config["sources"] for vip in source["vips"]]
    outside = [str(address) for address in given if not any(address.version == claim.version and address in claim for claim in claims)]
    check("addresses of pools are addresses that the source may claim", not outside, outside)
    words = dict(manifests.pods(items))["weir-node"]["containers"][0]["args"]
    taken = set()
    for word in words[words.index("--vip") + 1:]:
        if word.startswith("--"):
            break
        taken |= set(ipaddress.ip_network(word))
    check("nodes decapsulate for the addresses of the pools", given <= taken, sorted(map(str, given ^ taken)))


def programs_have_options(overlay, items, programs):
    wrong = []
    for _, _, container in containers(items):
        path = container["command"][0]
        program = os.path.join(manifests.ROOT, "build", os.path.basename(path))
        if os.path.basename(path) not in programs:
            continue
        said = subprocess.run([program, "--help", *container["command"][1:2]] if program.endswith("lbctl") else [program, "--help"], capture_output=True, text=True, check=False).stdout
        for word in container["command"][1:] + container.get("args", []):
            if word.startswith("--") and not re.search(rf"{re.escape(word.split('=')[0])}\b", said):
                wrong.append(f"{os.path.basename(path)} has no {word}")
    check(f"{overlay}: programs have the options that they are given", not wrong, wrong)


def configurations_are_read(items, config):
    """By those who will read them."""
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "weir.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(config, file)
        done = subprocess.run([os.path.join(manifests.ROOT, "build/lbctl"), "validate", path], capture_output=True, text=True, check=False)
        check("lbd's configuration is valid", done.returncode == 0, done.stdout + done.stderr)
        bird = shutil.which("bird", path=os.environ["PATH"] + ":/usr/sbin")
        maps = [item for item in items if item["kind"] == "ConfigMap" and item["metadata"]["name"] == "weir-bird"]
        if bird and maps:
            path = os.path.join(directory, "bird.conf")
            with open(path, "w", encoding="utf-8") as file:
                file.write(maps[0]["data"]["bird.conf"])
            done = subprocess.run([bird, "-p", "-c", path], capture_output=True, text=True, check=False)
            check("BIRD's configuration is valid", done.returncode == 0, done.stderr)


def alerts_are_ours(items):
    """The rules are those of configs/prometheus, which has tests of its own: no alert is left out here."""
    with open(os.path.join(manifests.ROOT, "configs/prometheus/alerts.yml"), encoding="utf-8") as file:
        wanted = yaml.safe_load(file)["groups"]
    check("alerts are those of configs/prometheus", wanted and manifests.find(items, "PrometheusRule", "weir")["spec"]["groups"] == wanted)


def rights_are_few(overlay, items):
    wrong = []
    for item in items:
        for rule in item.get("rules", []) if item["kind"] in ("Role", "ClusterRole") else []:
            if "*" in str(rule) or "secrets" in rule.get("resources", []) or {"delete", "deletecollection", "escalate", "bind"} & set(rule["verbs"]):
                wrong.append(rule)
        if item["kind"].endswith("Binding"):
            accounts = {(other["metadata"]["namespace"], other["metadata"]["name"]) for other in items if other["kind"] == "ServiceAccount"}
            wrong += [subject for subject in item["subjects"] if (subject["namespace"], subject["name"]) not in accounts]
    check(f"{overlay}: no right without bounds, and none for an account that is not there", not wrong, wrong)


def server_takes(overlay, items):
    """Applied by a client without powers of its own, to a server: each object by server-side apply."""
    with ApiServer() as api:
        client = Client(api.url, api.token, api.ca_file)
        wrong = []
        for item in items:
            resource = next((r for r in RESOURCES if r.api_version == item["apiVersion"] and r.kind == item["kind"]), None)
            if resource is None:
                wrong.append(f"{item['apiVersion']} {item['kind']}: no such resource")
                continue
            prefix = "/apis/" + resource.api_version if resource.group else "/api/v1"
            where = f"/namespaces/{item['metadata']['namespace']}" if resource.namespaced else ""
            answer = client.ask("PATCH", f"{prefix}{where}/{resource.plural}/{item['metadata']['name']}?fieldManager=test", item, "application/apply-patch+yaml")
            if answer.code != 201:
                wrong.append(answer)
        check(f"{overlay}: a server takes all of it, in this order", not wrong, wrong)


def main():
    if not manifests.have_kubectl():
        print("ok 1 - the manifests of configs/kubernetes # SKIP there is no kubectl, which renders them\n1..1")
        return
    for overlay in manifests.OVERLAYS:
        items = manifests.render(overlay)
        no_power(overlay, items)
        lives_well(overlay, items)
        rights_are_few(overlay, items)
        server_takes(overlay, items)
        config, programs = agrees_with_image(items)
        addresses_agree(items, config)
        programs_have_options(overlay, items, programs)
        configurations_are_read(items, config)
    jobs = [yaml.safe_load(manifests.job(name)) for name in manifests.JOBS]
    no_power("uninstall", jobs)
    programs_have_options("uninstall", jobs, programs)
    extra = manifests.render("monitoring")
    no_power("monitoring", extra)
    lives_well("monitoring", extra)
    rights_are_few("monitoring", extra)
    server_takes("monitoring", [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "weir"}}, *extra])
    alerts_are_ours(extra)
    print(f"1..{len(results)}")
    sys.exit(not all(results))


if __name__ == "__main__":
    main()
