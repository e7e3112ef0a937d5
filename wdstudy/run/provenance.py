"""What a study was made with: versions, machine, code."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from wdstudy.training.devices import device_name

_PACKAGES = ("wdstudy", "torch", "optuna", "numpy")


def provenance(device: torch.device) -> dict[str, Any]:
    """Versions, device and git commit, as plain data."""
    return {
        "versions": {"python": platform.python_version(), **_versions()},
        "device": device_name(device),
        "platform": platform.platform(terse=True),
        "commit": _commit(),
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def _commit() -> str | None:
    """The git commit of the working directory, marked where files differ from it.

    A repository may come from anywhere, and git runs commands that its configuration names. None
    of them is run: monitors, filters and hooks are taken away, submodules and remotes left alone.
    """
    found = _git("describe", "--always", "--abbrev=12")
    if found is None or found.returncode:
        return None
    unfiltered = []
    filters = _git("config", "--includes", "--null", "--name-only", "--get-regexp", r"^filter\.")
    for name in filter(None, filters.stdout.split("\0") if filters else ()):
        unfiltered += ["-c", f"{name}={'false' if name.endswith('.required') else ''}"]
    apart = ("diff", "--quiet", "--no-ext-diff", "--no-textconv", "--ignore-submodules=all", "HEAD")
    differs = _git(*unfiltered, *apart)
    marked = "-dirty" if differs is not None and differs.returncode == 1 else ""
    return found.stdout.strip() + marked


def _git(*arguments: str) -> subprocess.CompletedProcess[str] | None:
    """What git says, none of its configured commands run; None where there is no git."""
    command = ["git", "-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}"]
    alone = {**os.environ, "GIT_ALLOW_PROTOCOL": "none", "GIT_OPTIONAL_LOCKS": "0"}
    try:
        return subprocess.run(
            [*command, *arguments], capture_output=True, text=True, timeout=5, env=alone
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
