"""A database's trials, many rows in one transaction.

Optuna writes one thing at a time, each in a transaction of its own: fifteen attributes and
twenty reports are most of what a trial costs on SQLite, and as many round trips to a server;
a grid of 5,000 cells takes it half a minute to enqueue.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import sqlalchemy
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Enum, TableClause, column, table

# By name, as they stand in the database: Optuna migrates its tables, not its Python classes.
_STUDIES = table("studies", column("study_id"))
_TRIALS = table(
    "trials",
    column("trial_id"),
    column("number"),
    column("study_id"),
    column("state", Enum(TrialState, name="trialstate")),
)
_USER_ATTRIBUTES, _SYSTEM_ATTRIBUTES = (
    table(f"trial_{kind}_attributes", column("trial_id"), column("key"), column("value_json"))
    for kind in ("user", "system")
)
_REPORTS = table(
    "trial_intermediate_values",
    column("trial_id"),
    column("step"),
    column("intermediate_value"),
    column("intermediate_value_type", Enum("FINITE", name="trialintermediatevaluetype")),
)
_TABLES = (_STUDIES, _TRIALS, _USER_ATTRIBUTES, _SYSTEM_ATTRIBUTES, _REPORTS)
_DIALECTS = ("sqlite", "postgresql", "mysql")


class TrialTables:
    """Writes trials straight into Optuna's tables.

    Args:
        engine: Of a database whose dialect can overwrite a row as it inserts it.
    """

    @classmethod
    def of(cls, database: RDBStorage) -> TrialTables | None:
        """Those of a storage; None where its dialect or, in another Optuna, they are others."""
        engine = database.engine
        if engine.dialect.name not in _DIALECTS or not all(_exists(engine, t) for t in _TABLES):
            return None
        return cls(engine)

    def __init__(self, engine: sqlalchemy.Engine) -> None:
        self._engine = engine
        dialect = engine.dialect.name
        self._set_attributes = _overwriting(dialect, _USER_ATTRIBUTES, ("trial_id", "key"))
        self._set_reports = _overwriting(dialect, _REPORTS, ("trial_id", "step"))

    def write(
        self, trial_id: int, attributes: Mapping[str, Any], reports: Mapping[int, float]
    ) -> None:
        """Set these user attributes and finite reports by step, all of them or none.

        Raises:
            UpdateFinishedTrialError: the trial has ended.
            KeyError: there is no such trial.
        """
        state_of = sqlalchemy.select(_TRIALS.c.state).where(_TRIALS.c.trial_id == trial_id)
        with self._engine.begin() as connection:
            state = connection.execute(state_of.with_for_update()).scalar()
            if state is None:
                raise KeyError(f"no trial with the id {trial_id}")
            if state.is_finished():
                raise UpdateFinishedTrialError(f"trial {trial_id} has already ended")
            if attributes:
                connection.execute(self._set_attributes, _attributes(trial_id, attributes))
            if reports:
                connection.execute(
                    self._set_reports,
                    [
                        {
                            "trial_id": trial_id,
                            "step": step,
                            "intermediate_value": value,
                            "intermediate_value_type": "FINITE",
                        }
                        for step, value in reports.items()
                    ],
                )

    def create(self, study_id: int, templates: Sequence[FrozenTrial]) -> None:
        """Make waiting trials with the attributes of these, all of them or none, in this order.

        Raises:
            KeyError: there is no such study.
        """
        study = sqlalchemy.select(_STUDIES.c.study_id).where(_STUDIES.c.study_id == study_id)
        ours = _TRIALS.c.study_id == study_id
        with self._engine.begin() as connection:
            # Optuna numbers a study's trials under this lock as well.
            if connection.execute(study.with_for_update()).scalar() is None:
                raise KeyError(f"no study with the id {study_id}")
            counted = sqlalchemy.select(sqlalchemy.func.count()).select_from(_TRIALS).where(ours)
            first = connection.execute(counted).scalar_one()
            connection.execute(
                _TRIALS.insert(),
                [
                    {"number": first + i, "study_id": study_id, "state": TrialState.WAITING}
                    for i in range(len(templates))
                ],
            )
            made = sqlalchemy.select(_TRIALS.c.trial_id).where(ours, _TRIALS.c.number >= first)
            ids = connection.execute(made.order_by(_TRIALS.c.number)).scalars().all()
            of_ids = list(zip(ids, templates, strict=True))
            for into, rows in (
                (_USER_ATTRIBUTES, [r for i, t in of_ids for r in _attributes(i, t.user_attrs)]),
                (
                    _SYSTEM_ATTRIBUTES,
                    [r for i, t in of_ids for r in _attributes(i, t.system_attrs)],
                ),
            ):
                if rows:
                    connection.execute(into.insert(), rows)


def _attributes(trial_id: int, attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"trial_id": trial_id, "key": key, "value_json": json.dumps(value)}
        for key, value in attributes.items()
    ]


def _overwriting(dialect: str, into: TableClause, keys: Sequence[str]) -> Any:
    """An insert of rows into a table that overwrites those with the same keys."""
    insert = import_module(f"sqlalchemy.dialects.{dialect}").insert(into)
    others = [c.name for c in into.columns if c.name not in keys]
    if dialect == "mysql":
        return insert.on_duplicate_key_update({name: insert.inserted[name] for name in others})
    return insert.on_conflict_do_update(
        index_elements=list(keys), set_={name: insert.excluded[name] for name in others}
    )


def _exists(engine: sqlalchemy.Engine, wanted: TableClause) -> bool:
    found = sqlalchemy.inspect(engine)
    if not found.has_table(wanted.name):
        return False
    names = {each["name"] for each in found.get_columns(wanted.name)}
    return names >= {each.name for each in wanted.columns}
