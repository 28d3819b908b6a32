"""What a terminal of any width, and a pipe, shows of prose."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from ffl_ray.console.terminal import Prose, make_console, say

FIRST = "plan  24 trials, 2 at once, each with 1 worker"
TEXT = f"{FIRST}\n      about 25 min; /a/path/of/more/than/forty/characters/that/is/one"


def printed(width: int, terminal: bool) -> str:
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=terminal, color_system=None)
    say(console, TEXT)
    return out.getvalue()


def test_a_pipe_gets_whole_lines() -> None:
    assert printed(40, terminal=False) == f"{TEXT}\n"


@pytest.mark.parametrize("width", [30, 40, 80])
def test_a_terminal_breaks_between_words_and_goes_on_behind_the_label(width: int) -> None:
    lines = printed(width, terminal=True).splitlines()

    assert " ".join(" ".join(lines).split()) == " ".join(TEXT.split())
    assert all(line.startswith("      ") for line in lines[1:])
    assert all(len(line) <= width for line in lines if "/a/path" not in line)


def test_a_terminal_that_says_no_width_is_printed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(out, "isatty", lambda: True)
    monkeypatch.setattr("sys.__stdout__", out)
    monkeypatch.setenv("COLUMNS", "0")

    say(make_console(), "some words")

    assert out.getvalue() == "some words\n"


def test_prose_in_a_table_of_others_does_the_same() -> None:
    console = Console(width=40, force_terminal=True, color_system=None, file=io.StringIO())
    with console.capture() as caught:
        console.print(Prose(FIRST))

    assert caught.get().splitlines() == ["plan  24 trials, 2 at once, each with 1", "      worker"]
