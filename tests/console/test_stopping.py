"""A command that is stopped from outside: it says at once that it heard, and how it was stopped."""

import signal
import subprocess
import sys

import pytest
from support.helpers import ROOT

from ffl_ray.console.stopping import STOPPING

PROGRAM = """
import argparse, signal, sys, time
from ffl_ray.cli import guarded

handler = signal.default_int_handler if sys.argv[1] == "heard" else signal.SIG_IGN
signal.signal(signal.SIGINT, handler)

def command():
    print("ready", flush=True)
    time.sleep(30)

sys.exit(guarded(argparse.Namespace(), command))
"""


@pytest.mark.parametrize(
    ("number", "ctrl_c"),
    [
        (signal.SIGINT, "heard"),
        (signal.SIGTERM, "heard"),
        (signal.SIGTERM, "ignored"),  # as a shell has it in the background
        (signal.SIGHUP, "heard"),
    ],
)
def test_a_stop_is_answered_at_once_and_the_status_says_which(
    number: signal.Signals, ctrl_c: str
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, ctrl_c],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    out, errors = process.communicate(timeout=30)

    assert process.returncode == 128 + number
    assert (out, errors) == (f"{STOPPING}\n", "interrupted\n")
