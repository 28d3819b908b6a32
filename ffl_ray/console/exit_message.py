"""The message of a command that has no time to give one: killed, or ended by Ray in mid-sentence.

Ray's C++ core ends the process when the head has been gone for a minute, and no Python runs then.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator

from ffl_ray.console.terminal import for_errors

# A line means a decent end, and the end of the pipe alone another one. The live view hides the
# cursor of a terminal.
WATCHER = """
trap '' INT TERM HUP
read -r ended && exit
[ -t 2 ] && printf '\\033[?25h' >&2
printf '\\n%s\\n' "$1" >&2
"""


@contextlib.contextmanager
def exit_message(text: str) -> Iterator[None]:
    """A block with a message: the line on stderr if the process ends without leaving it."""
    said = ["/bin/sh", "-c", WATCHER, "sh", for_errors(text)]
    watcher = subprocess.Popen(said, stdin=subprocess.PIPE)
    try:
        yield
    finally:
        with contextlib.suppress(BrokenPipeError):
            watcher.communicate(b"ended\n")


def killed_text(command: str) -> str:
    """The message of a search whose process is gone: what became of it, and what to do.

    Args:
        command: how it goes on.
    """
    return (
        f"error: this process was ended from outside: it was killed, or Ray's head is lost. "
        f"Nothing that was finished is lost: {command} goes on (on a new head, if Ray's is gone)"
    )
