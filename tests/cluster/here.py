"""Whether machines of one's own can be made on this computer, and what they must see of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile

OWN_NAMESPACES = (
    "unshare",
    "--mount",
    "--net",
    "--uts",
    "--ipc",
    "--pid",
    "--fork",
    "--kill-child=SIGKILL",
)
PROGRAMS = {
    "ip": "iproute2",
    "sshd": "openssh-server",
    "ssh": "openssh-client",
    "rsync": "rsync",
    "nsenter": "util-linux",
    "unshare": "util-linux",
}
TRIAL = """
mount --make-rprivate / && mount -t tmpfs disks {0} && mkdir {0}/upper {0}/work {0}/root &&
mount -t overlay trial -o lowerdir=/,upperdir={0}/upper,workdir={0}/work {0}/root &&
mount -t proc proc {0}/root/proc && ip link add name trial type bridge &&
ip link add trial0 type veth peer name trial1
"""


def missing() -> str | None:
    """Why no machines can be made here, in a line; None when they can."""
    if not sys.platform.startswith("linux"):
        return "machines are made of Linux namespaces"
    if os.geteuid() != 0:
        return "machines of one's own take root"
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    lacking = sorted({PROGRAMS[name] for name in PROGRAMS if not shutil.which(name, path=path)})
    if lacking:
        return f"machines of one's own take {', '.join(lacking)} (Debian's names)"
    with tempfile.TemporaryDirectory() as folder:
        tried = subprocess.run(
            [*OWN_NAMESPACES, "sh", "-ec", TRIAL.format(folder)],
            capture_output=True,
            text=True,
            check=False,
        )
    if tried.returncode:
        reason = (tried.stderr.strip().splitlines() or ["no reason given"])[-1]
        return f"no namespaces, overlays or bridges may be made here: {reason}"
    return None


def environment_folders() -> list[str]:
    """What a machine must see to run this Python: its environment, and what that is made from."""
    folders = dict.fromkeys((sys.prefix, sys.base_prefix))
    return [folder for folder in folders if not folder.startswith("/usr")]
