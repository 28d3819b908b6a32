"""What a command says when it is killed, and that it says nothing else."""

import os
import signal
import subprocess
import sys
import time

import pytest

PROGRAM = """
import sys, time
from ffl_ray.console.exit_message import exit_message
with exit_message("goes on: the same command"):
    print("inside", flush=True)
    {rest}
"""


def started(rest: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(rest=rest)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "inside\n"
    return process


@pytest.mark.parametrize(
    "rest", ["time.sleep(60)", "import os; os._exit(1)", "import os; os.abort()"]
)
def test_a_process_that_is_ended_from_outside_leaves_its_message(rest: str) -> None:
    process = started(rest)
    if "sleep" in rest:
        process.kill()

    _, errors = process.communicate(timeout=10)

    assert errors == "\ngoes on: the same command\n"


@pytest.mark.parametrize("rest", ["pass", "sys.exit(3)", "1 / 0"])
def test_a_process_that_ends_by_itself_has_none(rest: str) -> None:
    _, errors = started(rest).communicate(timeout=10)

    assert "goes on" not in errors


def test_ctrl_c_reaches_the_whole_group_and_the_words_stay_unsaid() -> None:
    process = started("time.sleep(60)")
    time.sleep(0.2)
    os.killpg(process.pid, signal.SIGINT)

    _, errors = process.communicate(timeout=10)

    assert process.returncode != 0
    assert "goes on" not in errors
    assert "KeyboardInterrupt" in errors
