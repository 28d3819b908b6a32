"""`ray up` for real: a head, two workers and a laptop, each a machine of its own.

The commands are those of clusters/local.md, word by word. The tests are one story, in this order,
on one cluster: it is made once.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from threading import Thread
from typing import Any

import pytest
from cluster.derived import derived_local
from cluster.here import environment_folders, missing
from cluster.lab import ENV, LAPTOP, ROOT, STUDIES, Lab, Transcript, ray_processes, stored, uri_of
from cluster.machines import Machine, Network
from cluster.processes import Running, end, wait_for
from cluster.two_hosts import EPOCHS

pytestmark = [
    pytest.mark.ray,
    pytest.mark.skipif(
        not os.environ.get("FFL_RAY_TEST_SLOW"),
        reason="five minutes: `make test-cluster`, or FFL_RAY_TEST_SLOW=1",
    ),
]

HEAD, WORKERS = "head", ("worker1", "worker2")
FEW = " --num-samples 2 --set optim.epochs=2 --set data.fraction=0.2 --set search.scheduler=none"
TUNNEL = "ray dashboard clusters/local.yaml > /dev/null 2>&1"
DASHBOARD = "http://127.0.0.1:8265"
JOB = (
    f"ray job submit --address {DASHBOARD} -- bash -c 'cd ~/ffl_ray && python -m ffl_ray.tune "
    "tests/cluster/two_hosts.py --name second --num-workers 2 --address auto "
    f'--storage-path "{STUDIES}"\''
)


def documented(part: str) -> str:
    """The one command of clusters/local.md with these words in it, its placeholders filled in."""
    text = (ROOT / "clusters" / "local.md").read_text(encoding="utf-8")
    lines: list[str] = re.findall(r"^\$ (.*?)(?: +#.*)?$", text, re.MULTILINE)
    [line] = [line for line in lines if part in line]
    filled = line.replace("s3://BUCKET/studies", f'"{STUDIES}"').replace("USER@", "root@")
    return filled.replace("WORKER1 WORKER2", " ".join(WORKERS))


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    why_not = missing()
    if why_not:
        pytest.skip(why_not)
    transcript = Transcript()
    with Network([LAPTOP, HEAD, *WORKERS], environment_folders()) as network:
        with transcript.step("a laptop, a head, two workers and an S3 store, each on its own"):
            nodes = [network[name] for name in (HEAD, *WORKERS)]
            for node in nodes:
                node.power_on()
            head, *workers = (node.address for node in nodes)
            made = Lab(
                network,
                transcript,
                "clusters/local.yaml",
                lambda c: derived_local(c, head, workers),
            )
        yield made
    transcript.say("the machines are gone")


def nodes_of(lab: Lab) -> list[Machine]:
    """The machines that Ray runs on."""
    return [lab.network[name] for name in (HEAD, *WORKERS)]


class Watch:
    """What a study's tables hold, seen from the laptop while it runs."""

    def __init__(self, lab: Lab, name: str) -> None:
        self.trials: dict[str, Any] = {}
        self._process = lab.start(f"exec python tests/cluster/watch_study.py '{uri_of(name)}'")
        self._listener = Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                self.trials = json.loads(line)

    def epochs(self) -> int:
        """How many epochs are stored, over all trials."""
        return sum(len(trial["epochs"]) for trial in self.trials.values())

    def attempts(self) -> set[int]:
        """The attempts that have rows."""
        return {attempt for trial in self.trials.values() for attempt in trial["attempts"]}

    def stop(self) -> None:
        """Look no longer."""
        self._process.kill()
        self._listener.join(30)
        end(self._process)


def hosts_of(lab: Lab, title: str) -> list[str]:
    """The machines on which a Ray process of this title runs."""
    return [node.name for node in nodes_of(lab) if any(title in one for one in node.processes())]


def test_ray_up_brings_up_the_head_and_both_workers(lab: Lab) -> None:
    lab.run(documented("get-auth-token"))
    with lab.transcript.step("ray up"):
        lab.transcript.show(lab.run(f"{documented('RAY_UP')} && {documented('ray up')}"), 3)

    with lab.transcript.step("both workers have joined"):
        wait_for("three nodes", lambda: len(hosts_of(lab, "raylet")) == 3, 240)
        shown = wait_for("their CPUs", lambda: _status(lab), 120)

    lab.transcript.show(shown, 20)
    assert "0.0/2.0 CPU" in shown


def _status(lab: Lab) -> str:
    done = lab.try_(documented("ray status"))
    return done.stdout if "/2.0 CPU" in done.stdout else ""


def reaches(machine: Machine, address: str, port: int) -> bool:
    """Whether a TCP connection from a machine is taken."""
    return machine.run(f"timeout 3 bash -c '< /dev/tcp/{address}/{port}'").returncode == 0


def dashboard_answers(lab: Lab, header: str) -> str:
    """The HTTP status of the dashboard's list of jobs, asked on the head."""
    code = (
        "import urllib.request as u, urllib.error as e\n"
        f"try: print(u.urlopen(u.Request('{DASHBOARD}/api/jobs/', headers={{{header}}})).status)\n"
        "except e.HTTPError as error: print(error.code)"
    )
    return lab.network[HEAD].run(f'python3 -c "{code}"', ENV).stdout.strip()


def test_the_dashboard_is_the_heads_own_and_nobody_enters_without_the_token(lab: Lab) -> None:
    head = lab.network[HEAD]
    token = lab.laptop.path("/root/.ray/auth_token").read_text().strip()
    asked = f"ray status --address {head.address}:6379"
    wrong = "0" * len(token)
    enter = f"python tests/cluster/enter.py {head.address}:10001"

    with lab.transcript.step("knocking at the ports"):
        outside = {port: reaches(lab.laptop, head.address, port) for port in (22, 6379, 8265)}
        inside = reaches(head, "127.0.0.1", 8265)
        jobs = [dashboard_answers(lab, h) for h in ("", f"'Authorization': 'Bearer {token}'")]
        knocks = [
            lab.start(line)
            for line in (
                asked,
                f"{enter} {token}",
                f"RAY_AUTH_TOKEN={wrong} {asked}",
                f"{enter} {wrong}",
            )
        ]
        answers = [(knock.communicate(timeout=90)[0], knock.returncode) for knock in knocks]

    assert (outside, inside) == ({22: True, 6379: True, 8265: False}, True)
    assert jobs == ["401", "200"]
    taken, refused = answers[:2], answers[2:]
    for text, status in taken:
        assert status == 0, text
    for text, status in refused:
        assert status != 0
        assert "uthentic" in text, text
    lab.transcript.say(
        f"of ports 22, 6379 and 8265 the laptop reaches {outside}; without the token:"
    )
    for text, _ in refused:
        lab.transcript.show(text, 1)


def test_a_search_from_the_documented_line_completes_its_trials(lab: Lab) -> None:
    with lab.transcript.step("a search of two trials by `ray exec`"):
        line = documented("ffl_ray.tune")
        lab.transcript.show(lab.run(f"{line[:-1]}{FEW}'"))

    trials = stored(lab, "first")
    assert [trial["status"] for trial in trials.values()] == ["completed"] * 2
    default, plain = (trial["epochs"] for trial in trials.values())
    assert default == [1, 2]
    assert plain == [*range(1, len(plain) + 1)]  # as many as take as long
    assert plain


def test_a_trial_of_two_workers_spans_two_hosts_and_outlives_one_of_them(lab: Lab) -> None:
    say, lost = lab.transcript, lab.network[WORKERS[1]]
    say.say(f"$ {TUNNEL} &")
    tunnel, watch = lab.start(f"exec {TUNNEL}"), Watch(lab, "second")
    try:
        with say.step("the tunnel to the dashboard"):
            wait_for("it", lambda: reaches(lab.laptop, "127.0.0.1", 8265), 60)
        say.say(f"$ {JOB}")
        job = lab.start(JOB)
        with say.step("the trial's two workers, on two hosts"):
            workers = wait_for("them", lambda: _two(lab, job), 300)
        with say.step("three epochs in the tables"):
            wait_for("them", lambda: watch.epochs() >= 3, 180)
        before = watch.epochs()
        lost.power_off()
        say.say(f"{lost.name}'s power is cut after {before} epochs, and comes back after 3 s")
        time.sleep(3)
        lost.power_on()
        with say.step("the trial goes on"):
            wait_for("another epoch", lambda: watch.attempts() > {1}, 300)
        with say.step("the job has ended"):
            said, _ = job.communicate(timeout=300)
    finally:
        end(tunnel)
        watch.stop()
    say.show(said)

    (trial,) = stored(lab, "second").values()
    say.say(f"the trial: {trial}")
    assert workers == [*WORKERS]
    assert job.returncode == 0, said
    assert trial["status"] == "completed"
    assert trial["epochs"] == [*range(1, EPOCHS + 1)]
    assert trial["attempts"] == sorted(trial["attempts"])
    assert trial["attempts"].count(1) >= before
    assert set(trial["attempts"]) == {1, 2}


def _two(lab: Lab, job: Running) -> list[str]:
    """The hosts of a trial's two workers; none before there are two, an error without a job."""
    if job.poll() is not None:
        raise AssertionError(job.communicate()[0])
    found = hosts_of(lab, "RayTrainWorker")
    return found if len(found) == 2 else []


def test_a_submitted_script_searches_too(lab: Lab) -> None:
    with lab.transcript.step("a search by `ray submit`"):
        options = f"digits --name third --address auto --storage-path \"'{STUDIES}'\"{FEW}"
        lab.transcript.show(
            lab.run(f"ray submit clusters/local.yaml ffl_ray/tune.py {options}"), 12
        )

    trials = stored(lab, "third")
    assert [trial["status"] for trial in trials.values()] == ["completed"] * 2


def test_after_down_and_stop_no_process_of_ray_is_left(lab: Lab) -> None:
    with lab.transcript.step("ray down"):
        lab.transcript.show(lab.run(documented("ray down")), 3)
    left = hosts_of(lab, "raylet")
    with lab.transcript.step("ray stop on each worker"):
        lab.run(documented("ray stop"))
        wait_for("Ray's end", lambda: not any(map(ray_processes, nodes_of(lab))), 60)

    lab.transcript.say(f"`ray down` had left Ray on {left}; now nothing of it is anywhere")
    assert left == [*WORKERS]
