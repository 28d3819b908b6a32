"""What is installed is what was pinned: one version each, with hashes, from no other place."""

from __future__ import annotations

import re

import pytest
from support.helpers import ROOT

from benchmarks.audit import verdict

FILES = ("requirements.txt", "requirements-dev.txt")
PIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[a-z0-9,_-]+\])?==[A-Za-z0-9.!+_-]+( ; [^\\]+)?")
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def requirements(text: str) -> list[list[str]]:
    """Each requirement: its pin, then its hashes."""
    joined = re.sub(r"\s*\\\n\s*", "\n\t", text)
    blocks = [line for line in joined.split("\n") if line.strip() and not line.startswith("#")]
    found: list[list[str]] = []
    for line in blocks:
        if line.startswith("\t"):
            found[-1].append(line.strip())
        else:
            found.append([line.strip()])
    return found


def flaws(text: str) -> list[str]:
    """Requirements that are not pinned, or not by hashes; and options that would go elsewhere."""
    return [
        name
        for name, *hashes in requirements(text)
        if not PIN.fullmatch(name) or not hashes or not all(map(HASH.fullmatch, hashes))
    ]


@pytest.mark.parametrize("file", FILES)
def test_every_requirement_is_pinned_with_hashes(file: str) -> None:
    text = (ROOT / file).read_text()

    assert len(requirements(text)) > 30
    assert flaws(text) == []
    assert "://" not in text


@pytest.mark.parametrize(
    "line",
    [
        "numpy>=2.0",
        "numpy==2.0",
        "numpy @ https://example.org/numpy.whl",
        "--index-url https://example.org/simple",
        "-e .",
        "numpy==2.0 \\\n    --hash=md5:0123",
    ],
)
def test_what_is_not_pinned_is_found(line: str) -> None:
    assert len(flaws(line)) == 1


CLUSTERS = ("gcp.yaml", "local.yaml", "local.md", "kuberay-cluster.yaml", "kuberay-job.yaml")
INSTALLING = ["Makefile", "Dockerfile", "cluster.yaml", *(f"clusters/{n}" for n in CLUSTERS)]


def test_what_is_installed_without_a_hash_is_named_in_security() -> None:
    """By its version alone, that is; what no version is given of is refused."""
    said = (ROOT / "SECURITY.md").read_text().split("By version alone")[1]
    found = set()
    for file in INSTALLING:
        for line in (ROOT / file).read_text().splitlines():
            found |= set(re.findall(r"rayproject/ray(?=:)", line))
            if "pip install" in line and not re.search("--require-hashes|--no-deps", line):
                found |= set(re.findall(r"([a-z][\w.\[\]-]*)==", line))
                assert "==" in line, f"{file}: {line}"

    assert {"uv", "boto3", "rayproject/ray"} <= found
    assert [name for name in sorted(found) if f"`{name}`" not in said] == []


def test_both_files_agree_on_every_version() -> None:
    pins = [
        dict(re.split("==", name.split(" ; ")[0]) for name, *_ in requirements(text))
        for text in ((ROOT / file).read_text() for file in FILES)
    ]

    both = pins[0].keys() & pins[1].keys()
    assert len(both) > 30
    assert {name: pins[0][name] for name in both} == {name: pins[1][name] for name in both}


WEAK = {"name": "a", "version": "1", "vulns": [{"id": "X-1", "fix_versions": ["2"]}]}
GOOD = {"name": "b", "version": "1", "vulns": []}
UNKNOWN = {"name": "c", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("found", "status", "words"),
    [
        ([WEAK, GOOD], 1, "f: a 1: X-1, mended in 2"),
        ([UNKNOWN, UNKNOWN, WEAK], 1, "f: a 1: X-1, mended in 2"),
        ([GOOD, GOOD, UNKNOWN], 0, "f: no known weakness in 2 packages; 1 were not found"),
        ([GOOD], 0, "f: no known weakness in 1 packages"),
        ([UNKNOWN, UNKNOWN, GOOD], 3, "f: not audited: the advisory service knows nothing of 2"),
        ([], 3, "f: not audited"),
    ],
)
def test_an_audit_that_could_not_ask_does_not_pass(
    found: list[dict[str, object]], status: int, words: str
) -> None:
    came, lines = verdict("f", found)

    assert came == status
    assert lines[0].startswith(words)
