"""How a storage's URL is shown: without what may be its password, and else as it was written."""

from __future__ import annotations

import re

import pytest

from wdstudy.errors import StorageError
from wdstudy.storage.url import kind_of, masked, password_in, without_password

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:hunter2@host/db", "postgresql://u:***@host/db"),
        ("postgresql://u:p@hunter2@host/db", "postgresql://u:***@host/db"),
        ("postgresql://u:a/hunter2:b#c@host/db", "postgresql://u:***@host/db"),
        ("mysql+pymysql://u:a?x=hunter2@h/db", "mysql+pymysql://u:***@h/db"),
        ("postgresql://u:hunter2@h:port/db", "postgresql://u:***@h:port/db"),
        ("postgresql://u:hunter2@[h/db", "postgresql://u:***@[h/db"),
        ("postgresql://u:hunter2", "postgresql://u:***"),
        ("postgresql://u:hunter2/db", "postgresql://u:***"),
        ("postgresql://u/hunter2@h/db", "postgresql://***@h/db"),
        ("postgresql:///u:hunter2@h/db", "postgresql:///u:***@h/db"),
        ("postgresql://h/db?user=u&password=hunter2", "postgresql://h/db?user=u&password=***"),
        ("postgresql:u:hunter2@h", "postgresql:***"),
        ("postgresql:/u:hunter2@h/db", "postgresql:***"),
        ("postgresql//u:hunter2@h/db", "postgresql:***"),
        ("mysql:hunter2", "mysql:***"),
        ("u:hunter2@h/db", "***"),
        ("postgres://wd:hunter2@h/db", "postgres://wd:***@h/db"),
        ("redis://:hunter2@h", "redis://:***@h"),
        ("--storage=postgresql://u:hunter2@h/db", "--storage=postgresql://u:***@h/db"),
    ],
)
def test_what_may_be_a_password_is_not_shown(url: str, shown: str) -> None:
    assert masked(url) == shown


@pytest.mark.parametrize("url", ["postgresql:u:hunter2@h", "u:hunter2@h/db", "redis://:hunter2@h",
                                 "mysql:hunter2", "postgres://u:hunter2@h/db"])  # fmt: skip
def test_an_unknown_storage_is_refused_without_it(url: str) -> None:
    with pytest.raises(StorageError, match="unknown storage") as refused:
        kind_of(url)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///ordner é  x/a@b:c.db", "sqlite:////tmp/ü.db?timeout=3", "journal:///a b.journal",
        "--storage=sqlite:///ü:x@y.db", "postgresql://me@host:5432/db?sslmode=require",
        "postgresql://[::1]:5432/db", "wd.db", "runs/a@b.db", "C:\\wd.db",
    ],
)  # fmt: skip
def test_the_rest_is_shown_as_it_was_written(url: str) -> None:
    assert masked(url) == url
    assert password_in(url) == ""


@pytest.mark.parametrize(
    "url",
    ["postgresql://u:p@hunter2@host/db", "postgresql://u:hunter2/db", "mysql://u/hunter2@h/db"],
)
def test_a_password_that_would_be_taken_for_something_else_is_refused(url: str) -> None:
    with pytest.raises(StorageError, match="in a password @ as %40"):
        kind_of(url)


def test_a_drivers_words_lose_the_password_in_each_of_its_forms() -> None:
    url = "postgresql://u:a%40hunter2@h/db"
    assert without_password(f"no: {url}, a@hunter2, a%40hunter2", url) == (
        "no: postgresql://u:***@h/db, ***, ***"
    )
    url = "postgresql://h/db?password=hunter2"
    assert without_password("hunter2 is wrong", url) == "*** is wrong"


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("sqlite:foo.db", "sqlite:///foo.db"),
        ("sqlite:/tmp/foo.db", "sqlite:////tmp/foo.db"),
        ("sqlite://foo.db", "sqlite:///foo.db"),
        ("journal://runs/a.journal", "journal:///runs/a.journal"),
        ("journal:a.journal", "journal:///a.journal"),
        ("SQLITE:///foo.db", "sqlite:///foo.db"),
        ("SQLite:////tmp/foo.db", "sqlite:////tmp/foo.db"),
        ("Sqlite://foo.db", "sqlite:///foo.db"),
        ("PostgreSQL://u@h/db", "postgresql://u@h/db"),
        ("PostgreSQL://u:hunter2@h/db", "postgresql://u:***@h/db"),
        ("foo.db", "sqlite:///foo.db"),
        ("foo.journal", "journal:///foo.journal"),
    ],
)
def test_what_a_mistyped_url_was_to_be_is_told(url: str, meant: str) -> None:
    with pytest.raises(StorageError, match=f"did you mean '{re.escape(meant)}'") as refused:
        kind_of(url)
    assert SECRET not in str(refused.value)
