"""What a program does, told from its text: comments, docstrings and layout do nothing."""

from __future__ import annotations

import ast
import hashlib

DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)


def program_hash(text: str) -> str:
    """The same for two texts that differ by comments, docstrings and layout alone.

    To be held against another one of the same Python, not kept. A text that is no program is taken
    by its letters.
    """
    return hashlib.sha256(_bare(text).encode()).hexdigest()[:16]


def _bare(text: str) -> str:
    try:
        tree = ast.parse(text)
        for node in ast.walk(tree):
            if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
                node.body = node.body[1:] or [ast.Pass()]
        return ast.dump(tree)
    except UNREADABLE:
        return text
