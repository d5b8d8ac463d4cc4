# SPDX-License-Identifier: GPL-2.0-only
"""A connection to a container: the process in container_leader, and its root in container_root. For tests of the roles."""
import os
import shlex
import shutil

from ansible.plugins.connection.local import Connection as Local

DOCUMENTATION = """
name: container
short_description: a systemd-nspawn container of this machine
description: Commands run in its namespaces; files are copied to its root.
options:
  container_leader:
    description: a process of the container, by its pid in the namespace of the caller
    vars: [{name: container_leader}]
    required: true
  container_root:
    description: the container's root, as the caller sees it
    vars: [{name: container_root}]
    required: true
extends_documentation_fragment: [connection_pipelining]
"""
ENVIRONMENT = ("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8")


class Connection(Local):
    """As local, elsewhere."""
    transport = "container"
    has_pipelining = True

    def exec_command(self, cmd, in_data=None, sudoable=True):
        command = ["nsenter", "-t", str(self.get_option("container_leader")), "-m", "-u", "-i", "-n", "-p", "--", "env", "-i",
                   *ENVIRONMENT, "/bin/sh", "-c", cmd]
        return super().exec_command(" ".join(map(shlex.quote, command)), in_data, sudoable)

    def _there(self, path):
        return os.path.join(self.get_option("container_root"), path.lstrip("/"))

    def put_file(self, in_path, out_path):
        shutil.copyfile(in_path, self._there(out_path))

    def fetch_file(self, in_path, out_path):
        shutil.copyfile(self._there(in_path), out_path)
