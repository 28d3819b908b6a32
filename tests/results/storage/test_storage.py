"""Where a study may lie, what its names may be, and which failures are worth waiting for."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ffl_ray.errors import StudyError
from ffl_ray.results.storage.access import open_for_writing
from ffl_ray.results.storage.retry import VARIABLE, Retry, may_pass, storage_is_full
from ffl_ray.results.storage.storage import COPIES, Storage

SECRET = "wJalrXUtnFEMI"
WITH_SECRETS = (
    f"s3://AKIAIOSFODNN7:{SECRET}@bucket/studies",
    f"s3://AKIAIOSFODNN7:K7/{SECRET}@bucket/studies",
    f"s3://bucket/studies?access_key=AKIA&secret_key={SECRET}",
    f"s3://bucket/studies?region=eu-west-1&session_token={SECRET}",
    f"gs://someone:{SECRET}@bucket/studies",
    f"abfs://container@account/x?sas_token={SECRET}",
)


@pytest.mark.parametrize("uri", WITH_SECRETS)
def test_credentials_in_a_uri_are_refused_and_not_repeated(uri: str) -> None:
    with pytest.raises(StudyError, match="must hold no credentials") as refused:
        Storage(uri)

    assert SECRET not in str(refused.value)
    assert "AKIA" not in str(refused.value)


@pytest.mark.parametrize(
    "uri", ["file://{}/with%20space", "{}/with space", "file://{}/with%20space?"]
)
def test_a_path_and_its_file_uri_are_the_same_folder(uri: str, tmp_path: Path) -> None:
    storage = Storage(uri.format(tmp_path)).child("study")
    storage.make_folder()
    storage.write("a.txt", b"1")

    assert (tmp_path / "with space" / "study" / "a.txt").read_bytes() == b"1"
    assert storage.location == str(tmp_path / "with space" / "study")
    assert storage.parent == str(tmp_path / "with space")


def test_a_query_stays_behind_the_path_of_a_uri() -> None:
    uri = "s3://bucket/studies?endpoint_override=http://127.0.0.1:9&scheme=http"

    inner = Storage(uri).child("study").child("trials")

    assert inner.location == (
        "s3://bucket/studies/study/trials?endpoint_override=http://127.0.0.1:9&scheme=http"
    )
    assert inner.name == "trials"
    assert inner.parent == (
        "s3://bucket/studies/study?endpoint_override=http://127.0.0.1:9&scheme=http"
    )


@pytest.mark.parametrize(
    "name", ["../x", "a/../../x", "/etc/x", "a//b", "..", ".", "a/..", "a\\b", "a\0b", "a/"]
)
def test_a_name_that_leads_out_of_the_folder_is_refused(name: str, tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))

    for act in (storage.child, storage.read, storage.exists, storage.delete, storage.names):
        with pytest.raises(StudyError, match="must stay inside its folder"):
            act(name)
    with pytest.raises(StudyError, match="must stay inside its folder"):
        storage.write(name, b"")


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (OSError(errno.EIO, "Input/output error"), True),
        (OSError(errno.ESTALE, "Stale file handle"), True),
        (ConnectionResetError(errno.ECONNRESET, "reset"), True),
        (OSError(errno.ENOSPC, "No space left"), False),
        (OSError(errno.EROFS, "Read-only file system"), False),
        (FileNotFoundError(errno.ENOENT, "gone"), False),
        (PermissionError(errno.EACCES, "denied"), False),
        (OSError("AWS Error NETWORK_CONNECTION during PutObject operation: curlCode: 7"), True),
        (OSError("AWS Error NETWORK_CONNECTION during PutObject: curlCode: 60, SSL"), False),
        (OSError("AWS Error SLOW_DOWN during PutObject operation: Please reduce"), True),
        (OSError("AWS Error UNKNOWN (HTTP status 503) during HeadObject operation"), True),
        (OSError("AWS Error UNKNOWN (HTTP status 507) during PutObject: StorageFull"), False),
        (OSError("AWS Error NO_SUCH_BUCKET during PutObject operation"), False),
        (OSError("AWS Error ACCESS_DENIED during PutObject operation"), False),
        (OSError("google::cloud::Status(UNAVAILABLE: Retry policy exhausted"), True),
        (ValueError("timed out"), False),
    ],
)
def test_only_failures_of_a_network_or_a_server_may_pass(error: Exception, passes: bool) -> None:
    assert may_pass(error) is passes


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        OSError("AWS Error UNKNOWN (HTTP status 507) during PutObject operation"),
        OSError("Unable to parse ExceptionName: XMinioStorageFull Message: full"),
        OSError("Unable to parse ExceptionName: QuotaExceeded Message: full"),
    ],
)
def test_a_full_disk_and_a_full_bucket_are_full(error: OSError) -> None:
    assert storage_is_full(error)
    assert not storage_is_full(OSError("AWS Error ACCESS_DENIED (HTTP status 403)"))


def failing(times: int) -> Iterator[str]:
    for _ in range(times):
        yield "fails"
    while True:
        yield "works"


def test_a_call_that_fails_in_passing_is_made_again(caplog: pytest.LogCaptureFixture) -> None:
    turns = failing(2)

    def act() -> str:
        if (turn := next(turns)) == "fails":
            raise OSError(errno.EIO, "Input/output error")
        return turn

    assert Retry("the store")(act) == "works"
    assert "the store does not answer; trying again for 300 s" in caplog.text
    assert "the store answers again after" in caplog.text


def test_a_retry_that_ran_out_is_not_spent_again_until_a_call_succeeds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(VARIABLE, "0.5")
    retry, calls = Retry("the store"), []

    def fails() -> None:
        calls.append(1)
        raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(OSError, match="Input/output"):
        retry(fails)
    waited = len(calls)
    with pytest.raises(OSError, match="Input/output"):
        retry(fails)

    assert waited >= 2
    assert len(calls) == waited + 1


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can be not")
def test_a_folder_of_somebody_else_is_refused_at_once(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    os.seteuid(65534)
    try:
        with pytest.raises(StudyError, match=r"can't be (written to|used)"):
            open_for_writing(str(tmp_path / "a" / "b"))
    finally:
        os.seteuid(0)


def test_a_folder_below_a_file_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(StudyError, match=r"can't be created: .*/file is no folder"):
        open_for_writing(str(tmp_path / "file" / "b"))


def test_a_copied_file_lies_twice(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))

    storage.write("study.json", b"{}", copied=True)

    assert (tmp_path / COPIES / "study.json").read_bytes() == b"{}"
    assert sorted(path.name for path in tmp_path.iterdir()) == [COPIES, "study.json"]
