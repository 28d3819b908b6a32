"""The package keeps its shape: short files and functions, imports at the top, no circles."""

from __future__ import annotations

import ast
import functools
import graphlib
import re
from pathlib import Path

import pytest
from support.helpers import ROOT

FILES = sorted((ROOT / "ffl_ray").rglob("*.py"))
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in FILES
}
# Where private names of a library stand, each with its upstream link.
ADAPTERS = {"ray": "orchestration/ray_private.py", "optuna": "search/optuna_private.py"}
Function = ast.FunctionDef | ast.AsyncFunctionDef


@functools.cache
def nodes(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def functions(path: Path) -> list[Function]:
    return [node for node in nodes(path) if isinstance(node, Function)]


def imported(path: Path) -> set[str]:
    """Modules of the package that this one loads when it runs, at its top or in a function."""
    for_types = {
        node
        for block in nodes(path)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for line in block.body
        for node in ast.walk(line)
    }
    names: set[str] = set()
    for node in nodes(path):
        if node in for_types:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = {f"{node.module}.{alias.name}" for alias in node.names} & MODULES.keys()
            names |= inside or {node.module}
    return names & MODULES.keys()


def test_the_root_holds_ten_modules_at_most() -> None:
    assert len(list((ROOT / "ffl_ray").glob("*.py"))) <= 10


def test_a_file_has_300_lines_at_most_and_a_function_40() -> None:
    files = {str(path): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    lengths = {
        f"{path}: {function.name}": (function.end_lineno or 0) - function.lineno + 1
        for path in FILES
        for function in functions(path)
    }

    assert {name: count for name, count in files.items() if count > 300} == {}
    assert {name: count for name, count in lengths.items() if count > 40} == {}


def test_imports_stand_at_the_top_but_for_a_few() -> None:
    inside = {
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in FILES
        for function in functions(path)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }

    assert len(inside) < 60, sorted(inside)


def test_no_module_imports_itself_by_way_of_others() -> None:
    graph = {name: imported(path) - {name} for name, path in MODULES.items()}

    graphlib.TopologicalSorter(graph).prepare()  # CycleError names the circle


@pytest.mark.parametrize("library", ADAPTERS)
def test_private_names_of_a_library_stand_in_one_file(library: str) -> None:
    private = re.compile(
        rf"\b{library}(\.\w+)*\._[a-z]|^\s*from {library}(\.\w+)* import _[a-z]", re.M
    )

    found = {path for path in FILES if private.search(path.read_text(encoding="utf-8"))}

    assert found <= {ROOT / "ffl_ray" / ADAPTERS[library]}


def test_no_test_imports_another_test() -> None:
    tests = [*(ROOT / "tests").rglob("test_*.py")]
    names = {path.stem for path in tests}

    for path in tests:
        for module in re.findall(r"^\s*from\s+([\w.]+)", path.read_text(encoding="utf-8"), re.M):
            assert module.rpartition(".")[2] not in names, f"{path} imports {module}"


def test_the_readme_has_170_lines_at_most() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 170
