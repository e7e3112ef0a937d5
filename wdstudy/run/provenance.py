"""What a study was made with: versions, machine, code."""

from __future__ import annotations

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
    """The git commit of the working directory, marked where files differ from it."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
