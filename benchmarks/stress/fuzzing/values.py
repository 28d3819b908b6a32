"""Values of every kind, as people and programs get them wrong."""

from __future__ import annotations

import random
import string

WORDS = (
    "", " ", "none", "None", "null", "true", "false", "nan", "NaN", "inf", "-inf", "0", "-0", "-1",
    "1", "2", "3", "0.5", "1e-3", "1e308", "1e309", "1e-400", "99999999999999999999", "-5", "1_000",
    "0x10", "١٢", "½", "2*resnet20", "resnet20+wrn16_2", "99999999999*resnet20", "0*resnet20",
    "-1*resnet20", "resnet31", "resnet999999999998", "resnet2000", "wrn16_999999999", "vgg12", "*",
    "+", "2*", "resnet20+", "a:b", "os:getcwd", "no_such_module:f", ":", "a:", "ffl", "dml", "sum",
    "gated", "folder", "cifar10", "digits", "fused.accuracy", "fused.macs", "fused.", ".accuracy",
    "branch0.accuracy", "0.3,0.6", "0.6,0.3", ",", "0.5,0.5", "sgd", "adamw", "cosine", "../..",
    "/etc/passwd", "~", "[]", "{}", "()", "[1, 2]", "{'a': 1}", "\x00", "\x1b[31mred\x1b[0m",
    "\u202eabc", "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"), "é", "数据",
    "[red]markup[/red]", "<script>alert(1)</script>", "'; DROP TABLE trials; --", "%s%n", "$(id)",
)  # fmt: skip
LETTERS = string.ascii_letters + string.digits + "._-+*:, \t"


def text(rng: random.Random) -> str:
    """A word of the list, digits, noise, or something very long."""
    kind = rng.randrange(10)
    if kind < 6:
        return rng.choice(WORDS)
    if kind == 6:
        return str(rng.choice((rng.randint(-(10**6), 10**6), rng.uniform(-10, 10))))
    if kind == 7:
        return "".join(rng.choice(LETTERS) for _ in range(rng.randint(1, 20)))
    if kind == 8:
        return "".join(chr(rng.randrange(1, 0xD7FF)) for _ in range(rng.randint(1, 20)))
    return rng.choice(("x", "9", "resnet20+", "1,")) * rng.choice((100, 3000, 20000))


def plain(rng: random.Random) -> object:
    """A value as Python code gives it."""
    made = (
        lambda: text(rng), lambda: None, lambda: rng.random() < 0.5,
        lambda: rng.randint(-5, 400), lambda: rng.uniform(-2, 9), lambda: 10**rng.randint(0, 400),
        lambda: float(rng.choice(("nan", "inf", "-inf"))), lambda: [text(rng)],
        lambda: (rng.randint(0, 9), 0.5), lambda: {"a": 1}, lambda: b"bytes", lambda: {1, 2},
        lambda: 1j, lambda: print,
    )  # fmt: skip
    return rng.choice(made)()


def misspelt(rng: random.Random, name: str) -> str:
    """A name with a letter lost, doubled, swapped or changed, or a dot too many or too few."""
    at = rng.randrange(len(name))
    return rng.choice((
        name[:at] + name[at + 1 :], name[:at] + name[at] + name[at:], name.upper(), f"{name}.",
        name.replace(".", ""), name.replace(".", ".."), name[:at] + rng.choice(LETTERS) + name[at:],
        f" {name} ", text(rng), name.replace("_", "-"),
    ))  # fmt: skip
