"""Redaction: what a text shows of credentials, in every form in which they come, is `***`.

Messages, logs, tables and reports repeat what they were given: addresses with a password in them,
parameters of a query, the values of secret environment variables.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterator
from urllib.parse import parse_qsl, unquote, unquote_plus

HIDDEN = "***"
SECRET = re.compile(r"key|secret|token|passw|passphrase|pwd|credential|auth$|sig(nature)?$", re.I)
PUBLIC_USERS = ("anonymous",)  # gs://anonymous@bucket is a public bucket, and no secret
_NAMES = r"secret|token|passw|passphrase|pwd|credential|api[_-]?key|(access|account)[_-]?key"
_URI = re.compile(r"[A-Za-z][\w+.-]*:/+|(s3|gs|gcs|abfss?|hdfs|https?):")
# From :// to the last @ of a word: a password may hold / and @.
_USER = re.compile(r"(:/+)(?=[^\s/?#]{0,999}[:@])(\S{0,999})@")
_PARAMETER = re.compile(r"""([?&;][\w.-]*=)([^\s&;'"]+)""")
_NAMED = re.compile(
    rf"""((?:{_NAMES})[\w.-]{{0,99}}["']?(?:=|["']\s*:)\s*["']?)[^\s&;,"'}}]+""", re.I
)
_BEARER = re.compile(r"\b(bearer|basic) [\w.~+/=-]{8,}", re.I)
_WORD = re.compile(r"\S+")
_DEPTH = 3  # as often may an address be encoded into a parameter of another one
_SHORTEST = 8  # a shorter value of a variable is a word like any other
_PIECE = 3


def redacted(text: str, *addresses: str) -> str:
    """The text without the credentials that it shows.

    Args:
        addresses: URLs whose secrets are hidden wherever they stand, in whole or broken by a
            library that took a / or @ in them for its own.
    """
    known = _of_environment() if len(text) >= _SHORTEST else ()
    for secret in sorted({*known, *_pieces(addresses)}, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    if "%" in text:
        text = _WORD.sub(lambda found: _decoded(found[0]), text)
    return _plain_redacted(text)


def holds_credentials(uri: str) -> str | None:
    """Where a URI holds credentials, if it does: what stands before the @, or a parameter."""
    if not _URI.match(uri):
        return None
    rest = _URI.sub("", _unquoted(uri))
    address, _, query = rest.partition("?")
    for name, value in parse_qsl(query, keep_blank_values=True):
        if SECRET.search(name) or "@" in value:
            return f"its parameter {name}" if name.isidentifier() else "a parameter"
    authority = address.partition("/")[0]
    user, at, _ = authority.rpartition("@")
    # A secret with a / or ? in it ends the authority before its @.
    broken = ":" in authority and "@" in rest
    return "what stands before the @" if (at and user not in PUBLIC_USERS) or broken else None


def _plain_redacted(text: str) -> str:
    text = _USER.sub(_hidden_user, text)
    text = _PARAMETER.sub(_hidden_parameter, text)
    return _BEARER.sub(rf"\1 {HIDDEN}", _NAMED.sub(rf"\1{HIDDEN}", text))


def _hidden_user(found: re.Match[str]) -> str:
    return found[0] if found[2] in PUBLIC_USERS else f"{found[1]}{HIDDEN}@"


def _hidden_parameter(found: re.Match[str]) -> str:
    name = found[1]
    return f"{name}{HIDDEN}" if SECRET.search(name.strip("?&;=")) else found[0]


def _decoded(word: str) -> str:
    """A percent-encoded word, decoded only where credentials would show in it."""
    plain = _unquoted(word) if "%" in word else word
    return hidden if (hidden := _plain_redacted(plain)) != plain else word


def _unquoted(text: str) -> str:
    for _ in range(_DEPTH):
        text = unquote(text)
    return text


def _of_environment() -> Iterator[str]:
    """Values of this process's variables that are named as secrets and are no paths."""
    for name in filter(_is_secret, os.environ):
        value = os.environ.get(name, "")
        if len(value) >= _SHORTEST and value[0] != "/":
            yield value


@functools.cache
def _is_secret(name: str) -> bool:
    return re.search(_NAMES, name, re.I) is not None


def _pieces(addresses: tuple[str, ...]) -> Iterator[str]:
    """The secrets of addresses, as written and as meant, and their parts between a URL's signs."""
    for address in addresses:
        user = address.partition("://")[2].rpartition("@")[0]
        pairs = (part.partition("=") for part in re.split("[?&]", address))
        named = [value for name, _, value in pairs if SECRET.search(name)]
        for secret in (user.partition(":")[2] or user, *named):
            for form in (secret, _unquoted(secret), unquote_plus(secret)):
                parts = (form, *re.split(r"[/@:?#&]", form))
                yield from (part for part in parts if len(part) >= _PIECE)
