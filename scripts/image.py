#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Makes an OCI image from scratch, without a registry and without a container tool: programs of this tree, the shared libraries that they
need, users, and nothing else. The same files give the same bytes: names are sorted, the only time is that of the commit, symbols and build
ids are taken off.

    scripts/image.py --output build/image/weir.tar --name weir --version VERSION [--epoch SECONDS] FILE=PATH ...

FILE goes to PATH in the image; an executable brings its libraries with it. The result is an OCI image layout in a tar, as "podman load",
"ctr images import", "skopeo copy oci-archive:..." and k3s take it."""
import argparse
import gzip
import hashlib
import io
import json
import os
import platform
import re
import subprocess
import sys
import tarfile
import tempfile

# Users of the containers (configs/kubernetes). lbd knows weir-check by its name, and weir-admin as the group of its socket.
PASSWD = """root:x:0:0:root:/:/none
weir-check:x:65101:65101:health checks:/:/none
weir-kube:x:65102:65102:Kubernetes:/:/none
"""
GROUP = """root:x:0:
weir-admin:x:65100:
weir-check:x:65101:
weir-kube:x:65102:
"""
NSSWITCH = "passwd: files\ngroup: files\nhosts: files dns\n"
DIRECTORIES = ("dev", "etc", "proc", "run", "sys", "tmp", "var", "etc/weir", "run/weir", "var/lib", "var/lib/weir")


def libraries(path):
    """What the loader maps for a program: {path in the image: path here}."""
    said = subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout
    found = {}
    for line in said.splitlines():
        if "not found" in line:
            sys.exit(f"image: {path} needs{line}")
        match = re.match(r"\s*(?:\S+ => )?(/\S+) \(0x", line)
        if match:
            found[match[1]] = os.path.realpath(match[1])
    return found


def stripped(path):
    """The bytes of an executable or library without what differs from one build to the next."""
    with tempfile.TemporaryDirectory() as directory:
        out = os.path.join(directory, "out")
        subprocess.run(["objcopy", "--strip-unneeded", "--remove-section=.note.gnu.build-id", "--remove-section=.gnu_debuglink", path, out], check=True)
        with open(out, "rb") as file:
            return file.read()


def is_elf(path):
    with open(path, "rb") as file:
        head = file.read(20)
    # Objects of BPF are ELF as well; they stay as they are, with their BTF.
    return head[:4] == b"\x7fELF" and int.from_bytes(head[18:20], "little") != 247


def gather(pairs):
    """{path in the image: (bytes, mode)}"""
    files = {"/etc/passwd": (PASSWD.encode(), 0o644), "/etc/group": (GROUP.encode(), 0o644), "/etc/nsswitch.conf": (NSSWITCH.encode(), 0o644)}
    needed = {}
    for here, there in pairs:
        if is_elf(here):
            files[there] = (stripped(here), 0o755)
            needed.update(libraries(here))
        else:
            with open(here, "rb") as file:
                files[there] = (file.read(), 0o644)
    for there, here in needed.items():
        files[there] = (stripped(here), 0o755)
    return files


def layer(files, epoch):
    """The tar of a root file system, folders first."""
    folders = set(DIRECTORIES)
    for path in files:
        parts = path.strip("/").split("/")
        folders |= {"/".join(parts[:n]) for n in range(1, len(parts))}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        def add(name, kind, mode, data=b""):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode, entry.mtime, entry.size = kind, mode, epoch, len(data)
            tar.addfile(entry, io.BytesIO(data))
        for folder in sorted(folders):
            add(folder, tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755)
        for path in sorted(files):
            add(path.strip("/"), tarfile.REGTYPE, files[path][1], files[path][0])
    return out.getvalue()


class Layout:
    """The blobs of an OCI image layout."""

    def __init__(self):
        self.blobs = {}

    def put(self, data, kind):
        digest = hashlib.sha256(data).hexdigest()
        self.blobs[digest] = data
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data)}

    def put_json(self, value, kind):
        return self.put(json.dumps(value, sort_keys=True, separators=(",", ":")).encode(), kind)


def image(files, name, version, epoch):
    """The layout as {name in the tar: bytes}, and the digest of its manifest."""
    oci = "application/vnd.oci.image."
    root = layer(files, epoch)
    layout = Layout()
    made = subprocess.run(["date", "-u", "-d", f"@{epoch}", "+%Y-%m-%dT%H:%M:%SZ"], capture_output=True, text=True, check=True).stdout.strip()
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    labels = {"org.opencontainers.image.title": name, "org.opencontainers.image.version": version, "org.opencontainers.image.licenses": "GPL-2.0-only"}
    config = layout.put_json({"created": made, "architecture": machine, "os": "linux", "config": {
        "Env": ["PATH=/usr/local/sbin:/usr/sbin"], "WorkingDir": "/", "Labels": labels},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(root).hexdigest()]},
        "history": [{"created": made, "created_by": "scripts/image.py"}]}, oci + "config.v1+json")
    packed = layout.put(gzip.compress(root, 9, mtime=0), oci + "layer.v1.tar+gzip")
    manifest = layout.put_json({"schemaVersion": 2, "mediaType": oci + "manifest.v1+json", "config": config, "layers": [packed]}, oci + "manifest.v1+json")
    manifest["annotations"] = {"org.opencontainers.image.ref.name": version, "io.containerd.image.name": f"localhost/{name}:{version}"}
    index = json.dumps({"schemaVersion": 2, "mediaType": oci + "index.v1+json", "manifests": [manifest]}, sort_keys=True).encode()
    out = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": index}
    out.update({f"blobs/sha256/{digest}": data for digest, data in layout.blobs.items()})
    return out, manifest["digest"]


def write(path, parts, epoch):
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with tarfile.open(path + ".new", "w", format=tarfile.USTAR_FORMAT) as tar:
        for name in sorted(parts):
            entry = tarfile.TarInfo(name)
            entry.mode, entry.mtime, entry.size = 0o644, epoch, len(parts[name])
            tar.addfile(entry, io.BytesIO(parts[name]))
    os.rename(path + ".new", path)


def main():
    parser = argparse.ArgumentParser(description="Makes an OCI image from scratch")
    parser.add_argument("--output", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--version", required=True)
    parser.add_argument("--epoch", type=int, default=int(os.environ.get("SOURCE_DATE_EPOCH", 0)), help="the only time in it")
    parser.add_argument("files", nargs="+", metavar="FILE=PATH")
    asked = parser.parse_args()
    pairs = [given.split("=", 1) for given in asked.files]
    files = gather(pairs)
    # A tag has no other characters.
    version = re.sub(r"[^A-Za-z0-9_.-]", "-", asked.version)[:128]
    parts, digest = image(files, asked.name, version, asked.epoch)
    write(asked.output, parts, asked.epoch)
    print(f"{asked.output}: {asked.name}:{version} {digest}, {len(files)} files, {os.path.getsize(asked.output) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
