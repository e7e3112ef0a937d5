"""A report's figures as artifacts of its study, which optuna-dashboard shows."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import optuna
from optuna.artifacts import FileSystemArtifactStore, upload_artifact

# Optuna's public list of a study's artifacts stumbles over one that was deleted in the dashboard.
from optuna.artifacts._upload import ARTIFACTS_ATTR_PREFIX
from optuna.artifacts.exceptions import ArtifactNotFound

from wdstudy.errors import StorageError
from wdstudy.storage.ids import id_of_study, storage_of

FIGURES = "wdstudy:figures"
"""The study's system attribute that says which artifacts are ours: file name → artifact."""


def artifacts_folder(url: str) -> Path:
    """Where artifacts are kept if nothing else is said: beside the storage's file, else here."""
    scheme, _, rest = url.partition("://")
    file = Path(rest.removeprefix("/").partition("?")[0])
    if scheme.partition("+")[0] in ("sqlite", "journal") and file.name:
        return file.with_name(file.name + ".artifacts")
    return Path("wdstudy.artifacts")


def publish(study: optuna.Study, figures: Iterable[Path], folder: Path) -> int:
    """Upload figures as artifacts of a study, each over the one of its name that was there.

    Args:
        study: A study in a storage that can be written to.
        figures: Files, their names different.
        folder: The directory of the artifacts; made if it is not there.

    Returns:
        How many.

    Raises:
        StorageError: the directory can't be written.
    """
    attributes = storage_of(study).get_study_system_attrs(id_of_study(study))
    known: dict[str, str] = dict(attributes.get(FIGURES) or {})
    # In the dashboard somebody may have deleted one: its record is null then.
    listed = {name: id for name, id in known.items() if _is_listed(attributes, id)}
    count = 0
    try:
        folder.mkdir(parents=True, exist_ok=True)
        store = FileSystemArtifactStore(folder)
        for count, path in enumerate(sorted(figures), start=1):  # noqa: B007
            if path.name in listed:
                with path.open("rb") as body:
                    store.write(listed[path.name], body)
                continue
            listed[path.name] = upload_artifact(
                artifact_store=store, file_path=str(path), study_or_trial=study
            )
    except OSError as error:
        raise StorageError(
            f"the artifacts can't be written to '{folder}' ({error.strerror or error}); "
            "name another --artifacts"
        ) from error
    storage_of(study).set_study_system_attr(id_of_study(study), FIGURES, listed)
    return count


def delete_study(study: optuna.Study, folder: Path) -> None:
    """Delete a study with its trials, and the files of its artifacts; of what is damaged, all
    that can be found.
    """
    storage = storage_of(study)
    store = FileSystemArtifactStore(folder)
    attributes = [storage.get_study_system_attrs(id_of_study(study))]
    attributes += [trial.system_attrs for trial in study.get_trials(deepcopy=False)]
    for key in (key for each in attributes for key in each):
        if key.startswith(ARTIFACTS_ATTR_PREFIX):
            with suppress(ArtifactNotFound, ValueError):  # it is gone, or was never one
                store.remove(key.removeprefix(ARTIFACTS_ATTR_PREFIX))
    optuna.delete_study(study_name=study.study_name, storage=storage)


def _is_listed(attributes: dict[str, object], artifact: str) -> bool:
    return json.loads(str(attributes.get(ARTIFACTS_ATTR_PREFIX + artifact, "null"))) is not None
