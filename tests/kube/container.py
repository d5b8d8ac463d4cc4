#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Runs a container as a kubelet would have it run, as far as it matters here: the root file system of an image, read-only where the pod says
so; its volumes; a host's network (a namespace); users, groups and capabilities exactly as securityContext says, bounded, with no new
privileges. Nothing of it is docker's: a mount namespace, chroot, prctl.

    unpack(layout tar, directory)                            the image's root file system
    Pod(spec, rootfs, host, netns, volumes, env).start(name) a container of a pod: subprocess.Popen
    container.py JSON                                        (what start() runs)

host is the folder that hostPath volumes of that host lie in; /sys/fs/bpf of it must be a bpf file system."""
import ctypes
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile

CAPABILITIES = {"CHOWN": 0, "DAC_OVERRIDE": 1, "FOWNER": 3, "SETGID": 6, "SETUID": 7, "NET_BIND_SERVICE": 10, "NET_ADMIN": 12, "NET_RAW": 13, "SYS_CHROOT": 18,
                "SYS_ADMIN": 21, "SYS_RESOURCE": 24, "PERFMON": 38, "BPF": 39}
LAST_CAPABILITY = 40
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_SLAVE, MS_NOSUID, MS_NODEV = 1, 32, 4096, 16384, 1 << 19, 2, 4
CLONE_NEWNS = 0x20000
PR_CAPBSET_DROP, PR_SET_KEEPCAPS, PR_SET_NO_NEW_PRIVS = 24, 8, 38
SYS_CAPSET = {"x86_64": 126, "aarch64": 91}


# --- images -------------------------------------------------------------------------------------------------------------------------

def read_layout(path):
    """(config, [layer as bytes]) of an OCI layout in a tar; each blob is what its name says."""
    with tarfile.open(path) as tar:
        blobs = {entry.name: tar.extractfile(entry).read() for entry in tar if entry.isfile()}

    def blob(descriptor):
        algorithm, digest = descriptor["digest"].split(":")
        data = blobs[f"blobs/{algorithm}/{digest}"]
        assert hashlib.sha256(data).hexdigest() == digest and len(data) == descriptor["size"], descriptor
        return data
    assert json.loads(blobs["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    manifest = json.loads(blob(json.loads(blobs["index.json"])["manifests"][0]))
    return json.loads(blob(manifest["config"])), [blob(layer) for layer in manifest["layers"]]


def unpack(path, directory):
    """The root file system of an image, new in directory."""
    _, layers = read_layout(path)
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    for layer in layers:
        with tarfile.open(fileobj=io.BytesIO(layer), mode="r:gz") as tar:
            tar.extractall(directory)  # our own image


# --- pods ---------------------------------------------------------------------------------------------------------------------------

class Pod:
    """spec: of a pod, as rendered. volumes: {name: folder here} for those that are no hostPath. env: values for fieldRef and the like."""

    def __init__(self, spec, rootfs, host, netns, volumes=None, env=None):
        self.spec, self.rootfs, self.host, self.netns = spec, rootfs, host, netns
        self.volumes, self.env = volumes or {}, env or {}

    def _source(self, name):
        volume = next(volume for volume in self.spec["volumes"] if volume["name"] == name)
        if "hostPath" in volume:
            path = self.host + volume["hostPath"]["path"]
            if volume["hostPath"].get("type") == "DirectoryOrCreate":
                os.makedirs(path, exist_ok=True)
            return path
        if "emptyDir" in volume and name not in self.volumes:
            self.volumes[name] = os.path.join(self.host, "empty", name)
            os.makedirs(self.volumes[name], exist_ok=True)
        return self.volumes[name]

    def _mounts(self, container):
        found = []
        for mount in container.get("volumeMounts", []):
            source = self._source(mount["name"])
            found.append({"source": os.path.join(source, mount["subPath"]) if "subPath" in mount else source, "target": mount["mountPath"],
                          "readonly": mount.get("readOnly", False)})
        return found

    def _environment(self, container):
        found = {"PATH": "/usr/local/sbin:/usr/sbin", **{key: value for key, value in self.env.items() if key.startswith("KUBERNETES_")}}
        for entry in container.get("env", []):
            found[entry["name"]] = entry["value"] if "value" in entry else self.env[entry["name"]]
        return found

    def command(self, name):
        """The command line that runs a container of the pod."""
        container = next(c for c in self.spec["containers"] + self.spec.get("initContainers", []) if c["name"] == name)
        own, pods = container.get("securityContext", {}), self.spec.get("securityContext", {})
        environment = self._environment(container)
        words = [*container["command"], *container.get("args", [])]
        for key, value in environment.items():
            words = [word.replace(f"$({key})", value) for word in words]
        given = {"rootfs": self.rootfs, "mounts": self._mounts(container), "words": words, "env": environment,
                 "uid": own.get("runAsUser", pods.get("runAsUser", 0)), "gid": own.get("runAsGroup", pods.get("runAsGroup", 0)),
                 "groups": pods.get("supplementalGroups", []), "readonly": own.get("readOnlyRootFilesystem", False),
                 "drop_all": "ALL" in own.get("capabilities", {}).get("drop", []), "add": own.get("capabilities", {}).get("add", []),
                 "no_new_privileges": not own.get("allowPrivilegeEscalation", True)}
        return ["nsenter", f"--net=/run/netns/{self.netns}", sys.executable, os.path.abspath(__file__), json.dumps(given)]

    def start(self, name, **popen):
        return subprocess.Popen(self.command(name), **popen)  # pylint: disable=consider-using-with


# --- in the new process -------------------------------------------------------------------------------------------------------------

LIBC = ctypes.CDLL(None, use_errno=True)


def call(function, *arguments):
    """A function of libc that must succeed."""
    if getattr(LIBC, function)(*arguments) < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{function}{arguments}: {os.strerror(code)}")


def mount(source, target, kind, flags, data=None):
    call("mount", *(value.encode() if value is not None else None for value in (source, target, kind)), ctypes.c_ulong(flags),
         data.encode() if data is not None else None)


def make_root(given):
    """Mounts everything below a root of its own, which only this process sees; the path of that root."""
    call("unshare", CLONE_NEWNS)
    mount(None, "/", None, MS_REC | MS_SLAVE)
    root = given["rootfs"]
    for entry in given["mounts"]:
        # A runtime makes the places to mount at; the image's own folder would be read-only by then.
        place = root + entry["target"]
        if not place.startswith(root + "/sys/"):
            os.makedirs(place if os.path.isdir(entry["source"]) else os.path.dirname(place), exist_ok=True)
            if not os.path.isdir(entry["source"]) and not os.path.exists(place):
                with open(place, "wb"):
                    pass
    mount(root, root, None, MS_BIND)
    mount("proc", root + "/proc", "proc", MS_NOSUID)
    mount("sysfs", root + "/sys", "sysfs", MS_NOSUID | MS_RDONLY)
    mount("tmpfs", root + "/dev", "tmpfs", MS_NOSUID, "mode=755,size=64k")
    for device in ("null", "zero", "urandom", "random"):
        with open(f"{root}/dev/{device}", "wb"):
            pass
        mount(f"/dev/{device}", f"{root}/dev/{device}", None, MS_BIND)
    for entry in given["mounts"]:
        place = root + entry["target"]
        mount(entry["source"], place, None, MS_BIND | MS_REC)
        if entry["readonly"]:
            mount(None, place, None, MS_BIND | MS_REMOUNT | MS_RDONLY)
    if given["readonly"]:
        mount(None, root, None, MS_BIND | MS_REMOUNT | MS_RDONLY)
    return root


def drop(given):
    """Users, groups and capabilities as asked; nothing comes back."""
    kept = {CAPABILITIES[name] for name in given["add"]} if given["drop_all"] else set(range(LAST_CAPABILITY + 1))
    for number in range(LAST_CAPABILITY + 1):
        if number not in kept:
            LIBC.prctl(PR_CAPBSET_DROP, number, 0, 0, 0)
    if given["no_new_privileges"]:
        call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    os.setgroups(given["groups"])
    os.setgid(given["gid"])
    os.setuid(given["uid"])
    # Containers have no ambient capabilities: a user other than root has none at all.
    if given["uid"] == 0:
        low, high = (sum(1 << number % 32 for number in kept if number // 32 == half) for half in (0, 1))
        header = (ctypes.c_uint32 * 2)(0x20080522, 0)
        sets = (ctypes.c_uint32 * 6)(low, low, 0, high, high, 0)
        if LIBC.syscall(SYS_CAPSET[os.uname().machine], header, sets) < 0:
            raise OSError(ctypes.get_errno(), "capset")


def main():
    given = json.loads(sys.argv[1])
    os.chroot(make_root(given))
    os.chdir("/")
    drop(given)
    os.execve(given["words"][0], given["words"], given["env"])


if __name__ == "__main__":
    main()
