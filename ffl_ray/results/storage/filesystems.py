"""The file system of a path or URI: no secret in it, and no answer that takes minutes.

pyarrow's own `FileSystem.from_uri` opens the same URIs, so what a person gives here pandas opens
too. It leaves the waiting to the cloud libraries, which try for up to a quarter of an hour; here
they fail within seconds, and `retry` decides how long to go on.
"""

from __future__ import annotations

from functools import cache
from urllib.parse import parse_qsl

from pyarrow import fs

from ffl_ray.config.redaction import holds_credentials
from ffl_ray.errors import StudyError
from ffl_ray.files import expanded

INSTEAD = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, ~/.aws/credentials or the machine's "
    "instance profile",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS, `gcloud auth application-default login` or the "
    "machine's service account",
}
SWITCHES = ("allow_delayed_open", "allow_bucket_creation", "allow_bucket_deletion")
CONNECT_S = 5.0
ANSWER_S = 8.0
ATTEMPTS = 2
GCS_ATTEMPTS_S = 8


def open_uri(uri: str) -> tuple[fs.FileSystem, str]:
    """The file system of a path or URI, and the path in it.

    Raises:
        StudyError: no file system takes such a URI, or it holds a secret.
        OSError: the region of its bucket could not be asked for.
    """
    refuse_secrets(uri)
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return fs.LocalFileSystem(), str(expanded(uri).resolve())
    address, _, query = rest.partition("?")
    try:
        if scheme == "s3":
            bucket = address.partition("/")[0]
            _, path = fs.FileSystem.from_uri(f"s3://{address}?{_with_region(query)}")
            return _s3(bucket, query), path
        if scheme in ("gs", "gcs") and "retry_limit_seconds" not in query:
            query = f"{query}&retry_limit_seconds={GCS_ATTEMPTS_S}".lstrip("&")
            uri = f"{scheme}://{address}?{query}"
        opened: tuple[fs.FileSystem, str] = fs.FileSystem.from_uri(uri)
        return opened
    except ValueError as error:
        raise StudyError(f"storage path {uri!r} can't be opened: {error}") from error


def refuse_secrets(uri: str) -> None:
    """Check that a URI holds no credentials, which tables, logs and Ray's files would repeat.

    Raises:
        StudyError: it does; the message holds none of it.
    """
    what = holds_credentials(uri)
    if what is not None:
        scheme = uri.partition(":")[0]
        family = {"gcs": "gs"}.get(scheme, scheme)
        use = INSTEAD.get(family, "the environment or a file of the cloud's own tools")
        raise StudyError(
            f"a storage path must hold no credentials, and a {scheme}:// one does ({what}): they "
            f"would be repeated in tables, logs and study.json; leave them out, and use {use}"
        )


def _with_region(query: str) -> str:
    """A query that names a region, so that looking at a URI asks nobody."""
    return query if "region=" in query else f"{query}&region=us-east-1".lstrip("&")


@cache
def _s3(bucket: str, query: str) -> fs.S3FileSystem:
    """One client for each bucket of a process: connections are kept, the region asked for once.

    A file is sent with a single request where it is small (`allow_delayed_open`); by default
    Arrow needs three.
    """
    given = dict(parse_qsl(query))
    options = {name: value for name, value in given.items() if name not in SWITCHES}
    switches = {name: given[name].lower() in ("1", "true") for name in SWITCHES if name in given}
    if "region" not in given and "endpoint_override" not in given:
        options["region"] = fs.resolve_s3_region(bucket)
    return fs.S3FileSystem(
        connect_timeout=CONNECT_S,
        request_timeout=ANSWER_S,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
        **({"allow_delayed_open": True} | switches | options),
    )
