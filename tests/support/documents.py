"""README.md and the pages of docs/ as tests read them: blocks, commands, headings, links."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterator
from typing import NamedTuple

from support.helpers import ROOT

PAGES = ("README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")))
FENCED = re.compile(r"^( *)```([^\n]*)\n(.*?)^\1```$", re.M | re.S)
INCLUDED = re.compile(r'^ *--8<-- "([^"]+)"$', re.M)
INLINE = re.compile(r"(?<!`)`((?:python -m|ffl-ray predict) [^`]+)`(?!`)")
CHOICES = re.compile(r"\b(\w+)(?:\|\w+)+")  # train|study|tables: the first stands for all
BEFORE_A_PROGRAM = re.compile(r"[A-Za-z_]\w*=.*|\$|do|then|else|!", re.S)
NO_PROGRAM = frozenset(("for", "while", "if", "done", "fi"))
REDIRECTIONS = frozenset((">", ">>", "<", ">&"))


class Block(NamedTuple):
    """A fenced block.

    Attributes:
        page: its file, from the repository's root.
        line: of its opening fence.
        language: as its fence says.
        text: without the indentation of its fence, included files put in.
        folder: of the file that it includes, from the repository's root.
    """

    page: str
    line: int
    language: str
    text: str
    folder: str = ""

    @property
    def place(self) -> str:
        """Where it stands, for a message."""
        return f"{self.page}:{self.line}"


class Command(NamedTuple):
    """A command line that a page shows.

    Attributes:
        place: page and line of its block.
        line: as a shell takes it.
        output: the lines that the page shows after it.
        folder: where it is given, from the repository's root.
    """

    place: str
    line: str
    output: tuple[str, ...] = ()
    folder: str = ""

    @property
    def simple(self) -> tuple[tuple[str, ...], ...]:
        """The words of each program that it starts, those inside `$(...)` among them."""
        return tuple(_as_module(words) for words in _simple(self.line))


def text_of(page: str) -> str:
    """A page as it stands in the repository."""
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    text = text_of(page)
    found = []
    for match in FENCED.finditer(text):
        indent, language, inner = match.groups()
        shown = "\n".join(line.removeprefix(indent) for line in inner.splitlines())
        included = INCLUDED.search(shown)
        folder = posixpath.dirname(included[1]) if included else ""
        line = text.count("\n", 0, match.start()) + 1
        found.append(Block(page, line, language.strip(), _included(shown), folder))
    return found


def prose(page: str) -> str:
    """A page without its fenced blocks; lines keep their numbers."""
    return FENCED.sub(lambda match: "\n" * match[0].count("\n"), text_of(page))


def commands_of(page: str) -> list[Command]:
    """The commands of a page's console blocks; a `cd` holds for the blocks after it too."""
    found: list[Command] = []
    for block in blocks(page):
        if block.language == "console":
            found += commands(block, _folder_after(found))
    return found


def commands(block: Block, folder: str = "") -> list[Command]:
    """The commands of a console block: what follows `$ `, and what the page shows after it."""
    found: list[Command] = []
    for line in re.sub(r"\\\n *", "", block.text).splitlines():
        if line.startswith("$ "):
            found.append(Command(block.place, line.removeprefix("$ "), folder=folder))
            folder = _folder_after(found)
        elif line.strip():
            assert found, f"{block.place}: a console block begins with a command, not {line!r}"
            found[-1] = found[-1]._replace(output=(*found[-1].output, line))
    return found


def inline_commands(page: str) -> list[Command]:
    """`python -m ...` wherever a sentence or a table names it."""
    return [
        Command(page, CHOICES.sub(r"\1", " ".join(match[1].replace("\\|", "|").split())))
        for match in INLINE.finditer(prose(page))
    ]


def anchors(page: str) -> set[str]:
    """What a link to a place in the page may end in."""
    found: dict[str, int] = {}
    for heading in re.findall(r"^#+ (.+?)\s*$", prose(page), re.M):
        slug = re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).strip()
        slug = re.sub(r"[\s-]+", "-", slug)
        found[slug] = found.get(slug, 0) + 1
    return set(found)


def links(page: str) -> list[str]:
    """The targets of a page's links and pictures."""
    return re.findall(r"\]\(([^)\s]+)\)", prose(page))


def _folder_after(found: list[Command]) -> str:
    if not found:
        return ""
    into = re.fullmatch(r"cd ([\w./-]+)", found[-1].line)
    folder = posixpath.normpath(posixpath.join(found[-1].folder, into[1])) if into else ""
    return folder if into and (ROOT / folder).is_dir() else found[-1].folder


def _included(text: str) -> str:
    return INCLUDED.sub(lambda match: (ROOT / match[1]).read_text(encoding="utf-8"), text)


def _as_module(words: tuple[str, ...]) -> tuple[str, ...]:
    """`ffl-ray COMMAND` as the module that it runs."""
    if words[0] == "ffl-ray":
        return "python", "-m", f"ffl_ray.{words[1]}", *words[2:]
    return words


def _simple(line: str) -> Iterator[tuple[str, ...]]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    around: list[list[str]] = []
    to_file = False
    for token in lexer:
        if token in REDIRECTIONS:
            to_file = True
        elif to_file:
            to_file = False
        elif set(token) <= set("();&|"):
            if token == "(":
                around.append(words)
                words = []
                continue
            yield from _without_variables(words)
            words = around.pop() if token.startswith(")") and around else []
        else:
            words.append(token)
    yield from _without_variables(words)


def _without_variables(words: list[str]) -> Iterator[tuple[str, ...]]:
    """The words from the program's name on: no NAME=VALUE or `do` before it, no `$` of a `$(`."""
    first = next(
        (i for i, word in enumerate(words) if not BEFORE_A_PROGRAM.fullmatch(word)), len(words)
    )
    rest = [word for word in words[first:] if word != "$"]
    if rest and rest[0] not in NO_PROGRAM:
        yield tuple(rest)
