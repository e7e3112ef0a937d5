"""Which trackers there are, by name, and the options they are given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from importlib import import_module

from wdstudy.errors import TrackerError, nearest
from wdstudy.trackers.base import Backend

CLASSES = {"tensorboard": "TensorBoard", "wandb": "WandB", "mlflow": "MLflow"}
"""Name, which is also the module's and the extra's → class."""


def make_backend(name: str, options: Mapping[str, str]) -> Backend:
    """A tracker of this name, not checked yet; its package is imported here and not before.

    Args:
        name: `tensorboard`, `wandb` or `mlflow`.
        options: The fields of its class.

    Raises:
        TrackerError: no tracker has this name, or it has no such option.
        MissingPackageError: its package is not installed.
    """
    _check_name(name)
    tracker = getattr(import_module(f"wdstudy.trackers.{name}"), CLASSES[name])
    known = [field.name for field in fields(tracker)]
    for option in options:
        if option not in known:
            shown = nearest(f"{name}.{option}", (f"{name}.{other}" for other in known))
            raise TrackerError(f"{name}.{option}: no such option; {shown}")
    backend: Backend = tracker(**options)
    return backend


def make_backends(names: str, options: Mapping[str, str]) -> list[Backend]:
    """The trackers of `--track tensorboard,wandb`.

    Args:
        names: Comma-separated.
        options: `tracker.option` → text, as `--set tensorboard.dir=runs` gives it.

    Raises:
        TrackerError, MissingPackageError: as `make_backend`, or an option of another tracker.
    """
    wanted = list(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))
    for name in wanted:
        _check_name(name)  # before any package is imported
    of_each: dict[str, dict[str, str]] = {name: {} for name in wanted}
    for key, value in options.items():
        name, _, option = key.partition(".")
        if name not in CLASSES:
            raise TrackerError(f"--set {key}: unknown tracker '{name}'; {nearest(name, CLASSES)}")
        if name not in of_each:
            raise TrackerError(f"--set {key}: {name} does not track this run; add --track {name}")
        of_each[name][option] = value
    return [make_backend(name, of_each[name]) for name in wanted]


def _check_name(name: str) -> None:
    if name not in CLASSES:
        raise TrackerError(f"unknown tracker '{name}'; {nearest(name, CLASSES)}")


def split_settings(settings: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """What `--set` gave: the study file's keywords, and options of trackers, which have a dot.

    >>> split_settings({"data": "digits", "wandb.mode": "offline"})
    ({'data': 'digits'}, {'wandb.mode': 'offline'})
    """
    options = {key: value for key, value in settings.items() if "." in key}
    return {k: v for k, v in settings.items() if k not in options}, options
