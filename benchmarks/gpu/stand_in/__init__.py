"""Stand-ins for a machine that has torch and not all that ffl_ray needs."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def on_path() -> bool:
    """Have this process and its children find what is missing; returns whether anything is."""
    try:
        import pydantic  # noqa: F401
    except ImportError:
        folder = str(Path(__file__).parent)
        sys.path.append(folder)
        paths = [folder, os.environ.get("PYTHONPATH", "")]
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        return True
    return False
