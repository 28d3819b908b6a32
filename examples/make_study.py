"""Make the shipped study again, and the notebook's outputs from it.

    python examples/make_study.py            # search: about five minutes on two CPU cores
    python examples/make_study.py FOLDER     # ship this finished study instead of searching

Only study.json and the three tables are shipped: no checkpoint, no log, no path of a machine.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent
STUDY = HERE / "digits-study"
NOTEBOOK = HERE / "analysis.ipynb"
SHIPPED = ("study.json", "trials", "epochs", "members", "classes")
SEARCH = ("--num-samples", "40", "--name", STUDY.name)


def search(storage: Path) -> Path:
    """Search the four dimensions on the embedded digits."""
    command = [sys.executable, "-m", "ffl_ray.tune", *SEARCH, "--storage-path", str(storage)]
    subprocess.run(command, check=True)
    return storage / STUDY.name


def ship(study: Path) -> None:
    """Copy what is shipped of a study."""
    shutil.rmtree(STUDY, ignore_errors=True)
    STUDY.mkdir()
    for name in SHIPPED:
        copy = shutil.copytree if (study / name).is_dir() else shutil.copy
        copy(study / name, STUDY / name)


def execute() -> None:
    """Run the notebook and store its outputs in it."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, resources={"metadata": {"path": str(HERE)}}).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    nbformat.write(notebook, NOTEBOOK)


def main() -> None:
    """Search, ship, execute."""
    if len(sys.argv) > 1:
        ship(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            ship(search(Path(folder)))
    execute()


if __name__ == "__main__":
    main()
