"""A command that is stopped from outside: it says at once that it heard, and how it was stopped."""

import argparse
import signal
import subprocess
import sys

import pytest
from support.helpers import ROOT

from ffl_ray.cli import guarded
from ffl_ray.console.stopping import STOPPING

PROGRAM = """
import argparse, contextlib, signal, sys, time
from ffl_ray.cli import guarded
from ffl_ray.console.stopping import needing

handler = signal.SIG_IGN if sys.argv[1] == "ignored" else signal.default_int_handler
signal.signal(signal.SIGINT, handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it is ignored, and stays so

def command():
    with contextlib.suppress(KeyboardInterrupt if sys.argv[1] == "lost" else ()):
        print("ready", flush=True)
        time.sleep(30)
    with needing(lambda: True):
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
        (signal.SIGTERM, "lost"),  # who would end it in order is gone
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
    assert out == f"{STOPPING}\n"
    assert errors == ("" if ctrl_c == "lost" else "interrupted\n")


def test_a_command_without_standard_output_ends_as_it_did(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)  # as after >&-

    assert guarded(argparse.Namespace(), lambda: 0) == 0
