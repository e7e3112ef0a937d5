"""What the shell completes after a flag: names, without the seconds that importing torch takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress

from typer import Context

# tests/cli/test_completion.py holds them equal to what torch and Optuna have.
OPTIMIZERS = ("adadelta", "adafactor", "adagrad", "adam", "adamax", "adamw", "asgd", "muon",
              "nadam", "radam", "rmsprop", "sgd")  # fmt: skip
SAMPLERS = ("grid", "tpe", "qmc", "random", "gp", "cmaes")
PRUNERS = ("hyperband", "median", "successive_halving")
SOURCES = ("table", "optuna", "wandb", "mlflow", "raytune", "tensorboard", "trackio")


def one_of(names: Iterable[str]) -> Callable[[str], list[str]]:
    """The names among these that begin as what is typed so far."""
    return lambda incomplete: [name for name in names if name.startswith(incomplete)]


def known_studies(context: Context, incomplete: str) -> list[str]:
    """Names of studies in the storage that the command line names so far."""
    with suppress(Exception):  # a shell has no place for what is wrong with a storage
        from wdstudy.storage.opening import open_storage, study_names

        names = study_names(open_storage(context.params.get("storage"), create=False))
        return one_of(names)(incomplete)
    return []
