"""What the commands share: options, one-line errors, checks that need no training."""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import ffl_ray
from ffl_ray.console.plain_text import printable_line
from ffl_ray.errors import DataError, FFLRayError, SettingError

if TYPE_CHECKING:
    from ffl_ray.config.settings import Config, SearchConfig
    from ffl_ray.planning.data_check import DataFacts
    from ffl_ray.planning.layout import Plan
    from ffl_ray.results.storage.storage import Storage

COMMANDS = {
    "tune": "ffl_ray.tune",
    "train": "ffl_ray.train",
    "report": "ffl_ray.report.__main__",
    "confirm": "ffl_ray.confirm.__main__",
    "export": "ffl_ray.export.__main__",
    "predict": "ffl_ray.predict",
    "reproduce": "ffl_ray.reproduce.__main__",
    "bench": "ffl_ray.bench.__main__",
    "spot": "ffl_ray.spot",
}
FAILED = 1
WRONG = 2
INTERRUPTED = 130


def new_parser(command: str, description: str) -> argparse.ArgumentParser:
    """A parser named as the command is called."""
    return argparse.ArgumentParser(
        prog=f"python -m ffl_ray.{command}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """The options that every training command has."""
    common = parser.add_argument_group("settings and places")
    common.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="change a setting, such as optim.epochs=30; may be given again",
    )
    common.add_argument(
        "--settings", action="store_true", help="list every setting with its default and stop"
    )
    common.add_argument("--data-dir", metavar="DIR", help="the same as --set data.dir=DIR")
    common.add_argument("--seed", type=int, metavar="N", help="of weights, data and sampler")
    common.add_argument("--name", help="of the study; by default made from the time")
    common.add_argument(
        "--storage-path", metavar="DIR", help="where studies are kept (default ~/ray_results)"
    )
    common.add_argument("--num-workers", type=int, metavar="N", help="processes of one training")
    common.add_argument(
        "--cpus-per-trial", type=int, metavar="N", help="CPUs, and so threads, of all its workers"
    )
    common.add_argument("--gpus-per-trial", type=float, metavar="N", help="over all its workers")
    common.add_argument("--address", help="of a Ray cluster; by default Ray starts on this machine")
    common.add_argument("--version", action="version", version=ffl_ray.__version__)


def guarded(args: argparse.Namespace, command: Callable[[], int]) -> int:
    """Run a command; what it refuses becomes one line on stderr and exit status 2."""
    try:
        if getattr(args, "settings", False):
            print_settings()
            return 0
        return command()
    except FFLRayError as error:
        sys.stderr.write(f"error: {printable_line(str(error))}\n")
        return WRONG
    except OSError as error:
        sys.stderr.write(f"error: {printable_line(str(error))}\n")
        return FAILED
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return INTERRUPTED


def print_settings() -> None:
    """Every setting with its default, unit and meaning."""
    from rich.console import Console
    from rich.table import Table

    from ffl_ray.config.overrides import flatten, settings, shown
    from ffl_ray.config.settings import Config, SearchConfig

    table = Table(box=None, header_style="bold")
    for heading in ("setting", "default", "unit", "meaning"):
        table.add_column(heading)
    for prefix, model in (("", Config), ("search.", SearchConfig)):
        defaults = flatten(model())
        for name, field in settings(model):
            unit = str(field.json_schema_extra["unit"])  # type: ignore[index]
            row = (f"{prefix}{name}", shown(defaults[name]), unit, field.description or "")
            table.add_row(*row)
    Console(soft_wrap=not sys.stdout.isatty(), highlight=False).print(table)


def study_storage(path: str | None, name: str) -> Storage:
    """The folder of a study of this name, in a place that can be written to.

    Raises:
        StudyError: it can't be used.
    """
    from ffl_ray.results.reader import DEFAULT_STORAGE
    from ffl_ray.results.storage.access import open_for_writing

    return open_for_writing(path or DEFAULT_STORAGE).child(name)


def start(
    address: str | None, config: Config, search: SearchConfig, *, final: bool = False
) -> tuple[Plan, DataFacts]:
    """Start Ray here and open the data meanwhile; or join a cluster, and open it there.

    Args:
        final: for final runs, as `data_facts` takes it.

    Raises:
        PlanError: one trial does not fit, or no cluster answers.
        DataError: the data can't be used.
    """
    from ffl_ray.planning.data_check import check_data, data_facts
    from ffl_ray.planning.layout import Machines, check_cpus

    if address is not None:
        plan = _start_ray(address, config, search)
        facts = check_data(config, final)
    else:
        needed = search.cpus_per_trial or search.num_workers
        check_cpus(needed, search.num_workers, Machines(available_cpus(), 0))
        with ThreadPoolExecutor(max_workers=1) as pool:
            opening = pool.submit(data_facts, config, final)
            plan = _start_ray(None, config, search)
            facts = opening.result()
    check_shares(config, plan.num_workers, facts, final=final)
    return plan, facts


def _start_ray(address: str | None, config: Config, search: SearchConfig) -> Plan:
    from ffl_ray.orchestration.ray_setup import cluster_machines, prepare_environment, start_ray
    from ffl_ray.planning.layout import make_plan

    prepare_environment(local=address is None)
    start_ray(address)
    return make_plan(
        search,
        cluster_machines(),
        device=config.compute.device,
        elastic=address is not None,
    )


def check_shares(
    config: Config, num_workers: int, facts: DataFacts, *, final: bool = False
) -> None:
    """Check that every worker gets images in every step.

    Args:
        final: there is no val part.

    Raises:
        SettingError: a batch, or a part of the data, is too small for the workers.
    """
    pair = 2 * num_workers
    shares = [
        ("optim.batch_size", config.optim.batch_size, pair),
        ("data.fraction: the images to train on", facts.num_train, pair),
    ]
    if not final:
        what = "data.val_fraction: the images to validate on"
        shares.append((what, facts.num_val, num_workers))
    for what, count, least in shares:
        if count < least:
            raise SettingError(
                f"{what} must be at least {least} for {num_workers} workers, not {count}"
            )


def log_file(storage: Storage) -> Path:
    """The study's log; in the working folder when the study is not on this file tree."""
    if storage.is_local:
        return Path(storage.location) / "log.txt"
    return Path(f"{storage.name}.log.txt")


class LogFile(io.TextIOBase):
    """A file for what nobody needs: a full disk costs its lines, and never the study."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", buffering=1)

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            self._file.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._file.flush()

    def fileno(self) -> int:
        return self._file.fileno()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._file.close()


@contextlib.contextmanager
def everything_else_to(path: Path) -> Iterator[None]:
    """Send what libraries print, warn and log to a file."""
    with contextlib.closing(LogFile(path)) as log:
        handler = logging.StreamHandler(log)
        handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(message)s"))
        logging.getLogger().addHandler(handler)
        logging.captureWarnings(True)
        try:
            with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
                yield
        finally:
            logging.captureWarnings(False)
            logging.getLogger().removeHandler(handler)


def overrides_of(args: argparse.Namespace) -> dict[str, object]:
    """The settings that the command line changes."""
    from ffl_ray.config.overrides import parse_assignments

    overrides = parse_assignments(args.set)
    if args.data_dir is not None:
        overrides["data.dir"] = args.data_dir
    if args.seed is not None:
        overrides["seed"] = args.seed
    return overrides


def absolute_data_dir(config: Config) -> dict[str, object]:
    """data.dir as an absolute path: workers may have another working folder.

    Raises:
        DataError: on this machine there is no such folder, and nothing will be downloaded.
    """
    if config.data.dir is None:
        return {}
    folder = Path(config.data.dir).expanduser().resolve()
    if not folder.is_dir() and not config.data.download:
        raise DataError(f"data.dir must be an existing folder, not {config.data.dir!r}")
    return {"data.dir": str(folder)}


def available_cpus() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
