"""What a study was made with is told without running anything that a repository names."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import torch

from wdstudy.run.provenance import provenance


@pytest.fixture
def repository(in_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit, in which we stand."""
    for part in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{part}_NAME", "somebody")
        monkeypatch.setenv(f"GIT_{part}_EMAIL", "somebody@example.org")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    (in_folder / "a.txt").write_text("one\n")
    for arguments in (["init", "-q"], ["add", "a.txt"], ["commit", "-qm", "first"]):
        git(*arguments)
    return in_folder


def git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit() -> str | None:
    found: str | None = provenance(torch.device("cpu"))["commit"]
    return found


def test_the_commit_is_named_and_changed_files_mark_it(repository: Path) -> None:
    head = git("rev-parse", "--short=12", "HEAD")
    assert commit() == head
    (repository / "new.txt").write_text("not git's yet\n")
    assert commit() == head
    (repository / "a.txt").write_text("two\n")
    assert commit() == f"{head}-dirty"


def test_without_a_repository_there_is_none(in_folder: Path) -> None:
    assert commit() is None


def test_no_command_of_the_repository_is_run(repository: Path) -> None:
    program = repository / "program"
    program.write_text(f"#!/bin/sh\necho ran >> {repository}/ran\ncat\n")
    program.chmod(0o755)
    hooks = repository / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    (hooks / "post-index-change").symlink_to(program)
    (repository / ".gitattributes").write_text("* filter=theirs diff=theirs\n")
    for key in ("core.fsmonitor", "filter.theirs.clean", "filter.theirs.process",
                "diff.theirs.textconv", "diff.external", "core.sshCommand"):  # fmt: skip
        git("config", key, str(program))
    git("config", "filter.theirs.required", "true")
    (repository / "a.txt").write_text("two\n")
    assert str(commit()).endswith("-dirty")
    (repository / "a.txt").write_text("one\n")  # as it was, with another time
    commit()
    assert not (repository / "ran").exists()
