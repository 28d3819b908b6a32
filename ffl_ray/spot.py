"""Listen for a spot machine's warning, and have its work move away before the machine goes.

Run it in the background on every node that may be taken away. AWS warns two minutes ahead and
Google Cloud half a minute, both through the metadata service that only the machine itself can
ask; Ray's cluster launcher does not ask. On a warning this node takes no new work from Ray, and
its trainings store what they have after their next step and go on elsewhere.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from ffl_ray.errors import FAILED
from ffl_ray.files import locked
from ffl_ray.training.preemption import leave_mark, lock_path, remove_mark

POLL_S = 5.0
ANSWER_S = 2.0
DRAIN_S = 10.0
GCP_NOTICE_S = 30.0
GONE = 404
METADATA = {"aws": "http://169.254.169.254", "gcp": "http://metadata.google.internal"}


def ask(url: str, headers: dict[str, str], method: str = "GET") -> str | None:
    """A metadata service's answer; None when it knows no such thing.

    Raises:
        OSError: it does not answer.
    """
    # A proxy of the environment would be asked about itself.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, headers=headers, method=method)
    try:
        with direct.open(request, timeout=ANSWER_S) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        if error.code == GONE:
            return None
        raise


def aws_deadline(base: str) -> float | None:
    """When AWS takes this machine away, in seconds since 1970; None while it does not.

    Source: Amazon EC2 User Guide, "Spot Instance interruption notices"; with a session's token,
    since machines may refuse the older way.
    """
    ttl = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
    token = ask(f"{base}/latest/api/token", ttl, "PUT") or ""
    header = {"X-aws-ec2-metadata-token": token}
    notice = ask(f"{base}/latest/meta-data/spot/instance-action", header)
    if notice is None:
        return None
    return datetime.fromisoformat(json.loads(notice)["time"]).timestamp()


def gcp_deadline(base: str) -> float | None:
    """When Google Cloud takes this machine away, in seconds since 1970; None while it does not.

    Source: Compute Engine documentation, "Spot VMs", preemption process.
    """
    answer = ask(f"{base}/computeMetadata/v1/instance/preempted", {"Metadata-Flavor": "Google"})
    return time.time() + GCP_NOTICE_S if (answer or "").strip() == "TRUE" else None


DEADLINES: dict[str, Callable[[str], float | None]] = {"aws": aws_deadline, "gcp": gcp_deadline}


def wait_for_warning(cloud: str, base: str, poll_s: float) -> float:
    """Ask again and again; the deadline once there is one. A silent service is asked again."""
    silent = False
    while True:
        try:
            deadline = DEADLINES[cloud](base)
            silent = False
        except (OSError, ValueError, KeyError) as error:
            if not silent:
                say(f"no answer from {base}: {error}; asking on")
            deadline, silent = None, True
        if deadline is not None:
            return deadline
        time.sleep(poll_s)


def drain_command(deadline: float, address: str | None, node_id: str | None) -> list[str]:
    """What tells Ray to send nothing new here, and that what dies here was preempted."""
    remaining = max(0, int(deadline - time.time()))
    command = [
        ray_executable(),
        "drain-node",
        "--reason=DRAIN_NODE_REASON_PREEMPTION",
        "--reason-message=the machine is about to be taken away",
        f"--deadline-remaining-seconds={remaining}",
    ]
    options = {"--address": address, "--node-id": node_id}
    return command + [f"{name}={value}" for name, value in options.items() if value]


def ray_executable() -> str:
    """The `ray` beside this Python, or that of the PATH."""
    beside = Path(sys.executable).with_name("ray")
    return str(beside) if beside.exists() else "ray"


def move_away(deadline: float, address: str | None = None, node_id: str | None = None) -> None:
    """Drain this node first, so that what stops here does not come back; then have it stop.

    A drain that takes a third of the time left, or ten seconds, is not waited for any longer.
    """
    drain = _draining(drain_command(deadline, address, node_id))
    done = drain is not None and _waited(drain, min(DRAIN_S, (deadline - time.time()) / 3))
    leave_mark(deadline)
    say(f"this machine goes in {deadline - time.time():.0f} s; node drained: {done}")
    if drain is not None and not _waited(drain, deadline - time.time()):
        drain.kill()
        drain.wait()


def _draining(command: list[str]) -> subprocess.Popen[bytes] | None:
    """The drain that has begun; none, and a line of the log, where it can't be started."""
    try:
        return subprocess.Popen(command)
    except OSError as error:
        say(f"the node can't be drained: {error}")
        return None


def _waited(process: subprocess.Popen[bytes], at_most_s: float) -> bool:
    """Whether it has ended well within that time."""
    try:
        return process.wait(max(0.0, at_most_s)) == 0
    except subprocess.TimeoutExpired:
        return False


def say(line: str) -> None:
    """A line of the log, at once."""
    sys.stdout.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {line}\n")
    sys.stdout.flush()


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    made = argparse.ArgumentParser(
        prog="python -m ffl_ray.spot", description=__doc__, allow_abbrev=False
    )
    warning = made.add_mutually_exclusive_group(required=True)
    warning.add_argument("--cloud", choices=DEADLINES, help="whose metadata service to ask")
    warning.add_argument(
        "--now",
        type=float,
        metavar="SECONDS",
        help="the warning has come another way (Kubernetes ends a pod): the machine goes in this "
        "many seconds; the command waits them out",
    )
    made.add_argument("--metadata", metavar="URL", help="the metadata service, if elsewhere")
    made.add_argument(
        "--poll", type=float, default=POLL_S, metavar="SECONDS", help="between two questions"
    )
    made.add_argument("--address", help="of Ray's head; by default that which runs here")
    made.add_argument("--node-id", help="of this node; by default Ray is asked")
    return made


def main(argv: list[str] | None = None) -> int:
    """Listen until there is a warning, and act on it; a second listener ends at once."""
    args = parser().parse_args(argv)
    try:
        lock = lock_path()
        return _listen(args, lock) if args.now is None else _wait_out(args)
    except OSError as error:
        say(f"no mark can be left for trainings: {error}")
        return FAILED


def _wait_out(args: argparse.Namespace) -> int:
    deadline = time.time() + args.now
    move_away(deadline, args.address, args.node_id)
    time.sleep(max(0.0, deadline - time.time()))
    return 0


def _listen(args: argparse.Namespace, lock: Path) -> int:
    try:
        held = locked(lock)
    except BlockingIOError:
        say(f"another one listens: it holds {lock}")
        return 0
    remove_mark()
    base = args.metadata or METADATA[args.cloud]
    say(f"asking {base} every {args.poll:g} s")
    move_away(wait_for_warning(args.cloud, base, args.poll), args.address, args.node_id)
    os.close(held)
    return 0


if __name__ == "__main__":
    sys.exit(main())
