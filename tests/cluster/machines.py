"""Linux machines on one computer, joined by a network of their own, to try a cluster on.

A machine is a set of namespaces (mount, network, process, host name, IPC) with a disk, a network
card, a host name and an sshd of its own: `ray stop`, kill and a power cut reach nothing else. Their
network is a bridge that leads nowhere. All of it hangs off this process and ends with it. It takes
root, and Debian's iproute2, openssh-server, openssh-client and rsync; `here.missing` says what is
not there.

The kernel ends a machine with the thread that started it, so start machines from one that stays.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from cluster.here import OWN_NAMESPACES

Finished = subprocess.CompletedProcess[str]
Running = subprocess.Popen[str]

NETWORK = "10.88.0"
GATEWAY = f"{NETWORK}.1"
DISKS = "4g"  # in memory, and taken as it is used
LOGGED_IN = {
    "HOME": "/root",
    "USER": "root",
    "SHELL": "/bin/bash",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
}
DIES_WITH_PARENT = 1  # prctl's PR_SET_PDEATHSIG


class Machine:
    """One machine of a network; `power_on` starts it."""

    def __init__(self, network: Network, name: str, address: str) -> None:
        self.name = name
        self.address = address
        self._network = network
        self._card = f"card-{name}"
        self._first: Running | None = None
        self._pid = 0

    @property
    def is_on(self) -> bool:
        """Whether it has been started and not been powered off."""
        return self._pid != 0

    def power_on(self, *, blank: bool = False) -> None:
        """Start it: as it was, after a reboot, or with an empty disk."""
        if blank:
            shutil.rmtree(self._network.disks / self.name, ignore_errors=True)
        self._first = self._network.start_first(self.name, self.address)
        word, _, pid = self._heard().partition(" ")
        assert word == "ready", word
        self._pid = int(pid)
        self.write("/root/.ssh/authorized_keys", self._network.public_key, mode=0o600)
        self._network.plug_in(self._card, self._pid)
        assert self._first.stdin is not None
        self._first.stdin.write(f"{self._network.hosts}\n")
        self._first.stdin.flush()
        assert self._heard() == "up"

    def _heard(self) -> str:
        assert self._first is not None
        assert self._first.stdout is not None
        line = self._first.stdout.readline().strip()
        if not line:
            raise RuntimeError(f"{self.name} did not start: {self._network.log_text()}")
        return line

    def power_off(self) -> None:
        """Cut its power: every process ends at once, and nobody is told."""
        self._network.ip("link", "set", self._card, "down")
        assert self._first is not None
        os.kill(self._pid, signal.SIGKILL)
        self._first.wait(30)
        self._pid = 0
        # The card goes with the network namespace, a moment later.
        wait_for("the card is gone", lambda: not self._network.has_card(self._card), 30, 0.1)

    def path(self, inside: str) -> Path:
        """A path of its file system, as this process sees it."""
        return Path(f"/proc/{self._pid}/root{inside}")

    def write(self, inside: str, text: str, mode: int = 0o644) -> None:
        """Put a file there; its folder is made, for its owner alone."""
        path = self.path(inside)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    def start(self, command: str, env: Mapping[str, str] | None = None) -> Running:
        """Start a shell command there, as root at home; its output and errors come in one pipe."""
        inside = ("nsenter", "-t", str(self._pid), "-m", "-n", "-u", "-i", "-p", "--")
        return subprocess.Popen(
            [*inside, "bash", "-c", f"cd /root && {command}"],
            env={**LOGGED_IN, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=_die_with_parent,
        )

    def run(
        self, command: str, env: Mapping[str, str] | None = None, *, timeout_s: float = 180
    ) -> Finished:
        """Run a shell command there to its end, whatever its exit status."""
        process = self.start(command, env)
        try:
            text, _ = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            text, _ = process.communicate()
            raise TimeoutError(f"{self.name}: {command!r} took {timeout_s:g} s: {text}") from None
        return subprocess.CompletedProcess(command, process.returncode, text)

    def processes(self) -> list[str]:
        """The command lines of everything that runs there."""
        if not self.is_on:
            return []
        own = Path(f"/proc/{self._pid}/ns/pid").readlink()
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if (folder / "ns" / "pid").readlink() == own:
                    found.append((folder / "cmdline").read_text().replace("\0", " ").strip())
            except OSError:
                continue
        return found


class Network:
    """Machines by name and the bridge between them; a context manager that ends them all.

    Args:
        names: of the machines, in the order of their addresses.
        shared: folders of this computer that every machine sees, read-only.
    """

    def __init__(self, names: Sequence[str], shared: Sequence[str]) -> None:
        self._shared = [*shared]
        self._machines = {
            name: Machine(self, name, f"{NETWORK}.{number}")
            for number, name in enumerate(names, 10)
        }
        self.hosts = ",".join(f"{one.address} {name}" for name, one in self._machines.items())

    def __getitem__(self, name: str) -> Machine:
        return self._machines[name]

    def __enter__(self) -> Network:
        self._folder = tempfile.TemporaryDirectory(prefix="machines-")
        folder = Path(self._folder.name)
        self._disks = folder / "disks"
        self._disks.mkdir()
        self._log: IO[str] = (folder / "log").open("w+")
        key = folder / "key"
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "machines", "-f", str(key))
        self.private_key, self.public_key = key.read_text(), Path(f"{key}.pub").read_text()
        self._first = self._start_bridge()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._first.kill()
        self._first.wait(30)
        wait_for("the machines are gone", lambda: not Path(f"/proc/{self._pid}").exists(), 30, 0.1)
        self._log.close()
        self._folder.cleanup()

    def _start_bridge(self) -> Running:
        script = (
            "read -r pid _ < /proc/self/stat; "
            f"mount -t tmpfs -o size={DISKS},mode=755 disks {self._disks} && echo $pid; "
            "exec > /dev/null; while :; do sleep 3600 & wait $!; done"
        )
        first = self._popen([*OWN_NAMESPACES, "bash", "-c", script], stdin=subprocess.DEVNULL)
        assert first.stdout is not None
        self._pid = int(first.stdout.readline())
        self.ip("link", "set", "lo", "up")
        self.ip("link", "add", "br0", "type", "bridge", "forward_delay", "0")
        self.ip("address", "add", f"{GATEWAY}/24", "dev", "br0")
        self.ip("link", "set", "br0", "up")
        return first

    @property
    def disks(self) -> Path:
        """Where the machines' disks are, as this process sees it."""
        return Path(f"/proc/{self._pid}/root{self._disks}")

    @property
    def net_namespace(self) -> str:
        """The bridge's, as a path."""
        return f"/proc/{self._pid}/ns/net"

    def start_first(self, name: str, address: str) -> Running:
        """Start the first process of a machine."""
        script = str(Path(__file__).with_name("machine.sh"))
        words = (name, address, GATEWAY, str(self._disks), DISKS, *self._shared)
        inside = ("nsenter", "-t", str(self._pid), "-m", "-p", "--")
        return self._popen([*inside, *OWN_NAMESPACES, "bash", script, *words], subprocess.PIPE)

    def _popen(self, words: Sequence[str], stdin: int) -> Running:
        return subprocess.Popen(
            words,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            preexec_fn=_die_with_parent,
        )

    def on_bridge(self, command: Sequence[str], env: Mapping[str, str]) -> Running:
        """Start a program of this computer at the bridge's own address, for all machines."""
        return subprocess.Popen(
            ["nsenter", "-t", str(self._pid), "-n", "--", *command],
            env=os.environ | {**env},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            text=True,
            preexec_fn=_die_with_parent,
        )

    def plug_in(self, card: str, pid: int) -> None:
        """Join a machine's network namespace to the bridge."""
        peer = ("peer", "name", "eth0", "netns", str(pid))
        self.ip("link", "add", card, "type", "veth", *peer)
        self.ip("link", "set", card, "master", "br0", "up")

    def has_card(self, card: str) -> bool:
        """Whether a machine's card is still on the bridge."""
        return f" {card}@" in self.ip("link", "show").stdout

    def ip(self, *words: str) -> Finished:
        """Run `ip` where the bridge is."""
        return _run("nsenter", "-t", str(self._pid), "-n", "ip", *words)

    def log_text(self) -> str:
        """The end of what the machines' first processes complained of."""
        self._log.flush()
        return Path(self._log.name).read_text()[-2000:]


def wait_for(what: str, done: Callable[[], Any], timeout_s: float, every_s: float = 0.5) -> Any:
    """What `done` returns, as soon as that is true.

    Raises:
        TimeoutError: it was not in time.
    """
    deadline = time.monotonic() + timeout_s
    while not (found := done()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout_s:g} s: {what}")
        time.sleep(every_s)
    return found


def _run(*words: str) -> Finished:
    return subprocess.run(words, check=True, capture_output=True, text=True)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(DIES_WITH_PARENT, signal.SIGKILL)
