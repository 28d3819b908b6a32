"""What a terminal of any width, and a pipe, shows of prose."""

from __future__ import annotations

import io
from contextlib import suppress
from pathlib import Path

import pytest
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from ffl_ray.console.terminal import PlainConsole, Prose, make_console, say
from ffl_ray.show.__main__ import main as show

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


@pytest.mark.parametrize(
    ("arguments", "start"),
    [([], "error: no study here: "), (["--evry", "2"], "python -m ffl_ray.show: error: ")],
)
@pytest.mark.parametrize("terminal", [True, False])
def test_an_error_breaks_between_words_on_a_terminal_and_is_one_line_elsewhere(
    terminal: bool,
    arguments: list[str],
    start: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    err = io.StringIO()
    monkeypatch.setattr(err, "isatty", lambda: terminal)
    monkeypatch.setattr("sys.stderr", err)
    monkeypatch.setenv("COLUMNS", "40")

    with suppress(SystemExit):
        show(["none", "--storage-path", str(tmp_path), *arguments])

    lines = err.getvalue().splitlines()
    (first,) = [place for place, line in enumerate(lines) if line.startswith(start[:6])]
    assert (len(lines) == first + 1) == (not terminal)
    assert " ".join(lines[first:]).startswith(start.strip())
    assert all(len(line) <= 40 or " " not in line for line in lines[first:]) == terminal


def test_a_table_in_a_pipe_ends_with_its_words_and_on_a_terminal_stays() -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    for cells in (("limit", "a"), ("", "a longer one")):
        table.add_row(*cells)

    def shown(terminal: bool) -> list[str]:
        console = PlainConsole(file=io.StringIO(), width=60, force_terminal=terminal)
        with console.capture() as caught:
            console.print(Group(table, Text("after")))
        return caught.get().splitlines()

    assert shown(terminal=False) == ["limit  a", "       a longer one", "after"]
    assert shown(terminal=True)[0].startswith("limit  a    ")


def test_prose_in_a_table_of_others_does_the_same() -> None:
    console = Console(width=40, force_terminal=True, color_system=None, file=io.StringIO())
    with console.capture() as caught:
        console.print(Prose(FIRST))

    assert caught.get().splitlines() == ["plan  24 trials, 2 at once, each with 1", "      worker"]
