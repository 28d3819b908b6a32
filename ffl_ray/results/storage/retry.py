"""Retry of storage calls: a failure that may pass is tried again, another is an error at once."""

from __future__ import annotations

import errno
import logging
import os
import random
import re
import time
from collections.abc import Callable
from typing import TypeVar

from ffl_ray.errors import on_one_line

Result = TypeVar("Result")

LOG = logging.getLogger("ffl_ray.storage")
VARIABLE = "FFL_RAY_STORAGE_PATIENCE_S"
DEFAULT_S = 300.0
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 8.0
REMINDER_S = 60.0

FULL = (errno.ENOSPC, errno.EDQUOT)
# MinIO, Ceph and NetApp name a full store or bucket so; 507 is HTTP's own number for it.
FULL_WORDS = re.compile(
    r"HTTP status 507|StorageFull|QuotaExceeded|InsufficientStorage|InsufficientCapacity", re.I
)
PASSING = frozenset(
    getattr(errno, name)
    for name in (
        "EIO", "ESTALE", "EAGAIN", "EBUSY", "ETIMEDOUT", "ECONNREFUSED", "ECONNRESET",
        "ECONNABORTED", "EPIPE", "ENETDOWN", "ENETUNREACH", "ENETRESET", "EHOSTDOWN",
        "EHOSTUNREACH", "ENOTCONN", "ESHUTDOWN", "EREMOTEIO", "ENOLINK", "ECOMM",
    )
    if hasattr(errno, name)
)  # fmt: skip
# Arrow gives an object store's errors as text: the SDK's name of the error, or HTTP's number.
PASSING_WORDS = re.compile(
    r"NETWORK_CONNECTION|SLOW_DOWN|THROTTL|REQUEST_TIMEOUT|INTERNAL_FAILURE|SERVICE_UNAVAILABLE"
    r"|HTTP status (408|429|500|502|503|504)"
    r"|UNAVAILABLE|DEADLINE_EXCEEDED|RESOURCE_EXHAUSTED|ABORTED"
    r"|[Tt]imed? ?out|[Cc]onnection (refused|reset|closed)"
)
# A certificate that is wrong stays so; curl's numbers of it.
WRONG_CERTIFICATE = re.compile(r"curlCode: (51|53|54|58|59|60|66|77|80|82|83|90|91)\b")


def storage_is_full(error: BaseException) -> bool:
    """Whether no space, or no quota of it, was left."""
    if not isinstance(error, OSError):
        return False
    return error.errno in FULL or (error.errno is None and bool(FULL_WORDS.search(str(error))))


def may_pass(error: BaseException) -> bool:
    """Whether a storage error may be gone in a while: of a network or a server, not of a request.

    A bucket that does not exist, a right that is lacking or a full disk stays what it is.
    """
    if not isinstance(error, OSError) or storage_is_full(error):
        return False
    if error.errno is not None:
        return error.errno in PASSING
    text = str(error)
    return bool(PASSING_WORDS.search(text)) and not WRONG_CERTIFICATE.search(text)


def limit_from_environment() -> float:
    """How long storage may fail, in seconds: what the environment says, or 300."""
    text = os.environ.get(VARIABLE, "")
    try:
        return max(0.0, float(text))
    except ValueError:
        return DEFAULT_S


class Retry:
    """Calls that are tried again when they fail in passing.

    There is one for each study, so that waiting for it is said once. Once it ran out, every call is
    tried only once more, until one succeeds: a study whose storage is gone for good ends, and does
    not wait as long again at each of its last writes.

    Args:
        place: what is waited for, as a person knows it.
    """

    def __init__(self, place: str) -> None:
        self._place = place
        self._ran_out = False

    def __call__(self, act: Callable[[], Result], limit_s: float | None = None) -> Result:
        """What a call gives, once it does.

        Args:
            limit_s: how long to try; by default what the environment says, or 300 s.

        Raises:
            OSError: as the call raised it: it can't pass, or did not in time.
        """
        limit_s = limit_from_environment() if limit_s is None else limit_s
        started = time.monotonic()
        said_s, pause_s = -REMINDER_S, FIRST_PAUSE_S
        while True:
            try:
                result = act()
            except OSError as error:
                waited_s = time.monotonic() - started
                self._check(error, waited_s, limit_s)
                if waited_s - said_s >= REMINDER_S:
                    said_s = waited_s
                    self._say(error, limit_s - waited_s)
                time.sleep(min(pause_s * random.uniform(0.5, 1.5), limit_s - waited_s))
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
                continue
            if said_s >= 0:
                taken_s = time.monotonic() - started
                LOG.warning("%s answers again after %.0f s", self._place, taken_s)
            self._ran_out = False
            return result

    def _check(self, error: OSError, waited_s: float, limit_s: float) -> None:
        """Raise an error that can't pass, or did not in time."""
        if not may_pass(error):
            raise error
        if self._ran_out or waited_s >= limit_s:
            self._ran_out = self._ran_out or limit_s > 0
            raise error

    def _say(self, error: OSError, left_s: float) -> None:
        text = on_one_line(error)
        LOG.warning("%s does not answer; trying again for %.0f s: %s", self._place, left_s, text)
