"""What a command says when it has no time to say it: killed, or ended by Ray in mid-sentence.

Ray's C++ core ends the process when the head has been gone for a minute, and no Python runs then.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator

# A line means a decent end, and the end of the pipe alone another one. The live view hides the
# cursor of a terminal.
WATCHER = """
trap '' INT TERM HUP
read -r ended && exit
[ -t 2 ] && printf '\\033[?25h' >&2
printf '\\n%s\\n' "$1" >&2
"""


@contextlib.contextmanager
def last_words(text: str) -> Iterator[None]:
    """Have a line on stderr if the process ends inside this block without leaving it."""
    watcher = subprocess.Popen(["/bin/sh", "-c", WATCHER, "sh", text], stdin=subprocess.PIPE)
    try:
        yield
    finally:
        with contextlib.suppress(BrokenPipeError):
            watcher.communicate(b"ended\n")


def lost_head(command: str) -> str:
    """What became of a search whose process is gone, and what to do.

    Args:
        command: how it goes on.
    """
    return (
        f"error: this process was ended from outside: it was killed, or Ray's head is lost. "
        f"Nothing that was finished is lost: {command} goes on (on a new head, if Ray's is gone)"
    )
