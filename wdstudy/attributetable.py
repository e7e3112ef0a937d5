"""A database's trial attributes, many rows in one transaction.

Optuna sets one attribute at a time, each in a transaction of its own: fifteen of them are nearly
half of what a trial costs on SQLite, and fifteen round trips to a server.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from sqlalchemy import column, table
from sqlalchemy.dialects import postgresql, sqlite

# By name, as they stand in the database: Optuna migrates its tables, not its Python classes.
_TRIALS = table("trials", column("trial_id"), column("state"))
_ATTRIBUTES = table(
    "trial_user_attributes", column("trial_id"), column("key"), column("value_json")
)
_TABLES = (_TRIALS, _ATTRIBUTES)
_INSERTS: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


class AttributeTable:
    """Writes user attributes of trials straight into Optuna's table.

    Args:
        engine: Of a database whose dialect can overwrite a row as it inserts it.
    """

    @classmethod
    def of(cls, database: RDBStorage) -> AttributeTable | None:
        """That of a storage; None where its dialect or, in another Optuna, its table is another."""
        engine = database.engine
        if engine.dialect.name not in _INSERTS or not all(_exists(engine, t) for t in _TABLES):
            return None
        return cls(engine)

    def __init__(self, engine: sqlalchemy.Engine) -> None:
        self._engine = engine
        insert = _INSERTS[engine.dialect.name](_ATTRIBUTES)
        self._upsert = insert.on_conflict_do_update(
            index_elements=["trial_id", "key"], set_={"value_json": insert.excluded.value_json}
        )

    def write(self, trial_id: int, attributes: Mapping[str, Any]) -> None:
        """Set these attributes, all of them or none.

        Raises:
            UpdateFinishedTrialError: the trial has ended.
            KeyError: there is no such trial.
        """
        rows = [
            {"trial_id": trial_id, "key": key, "value_json": json.dumps(value)}
            for key, value in attributes.items()
        ]
        state_of = sqlalchemy.select(_TRIALS.c.state).where(_TRIALS.c.trial_id == trial_id)
        with self._engine.begin() as connection:
            state = connection.execute(state_of.with_for_update()).scalar()
            if state is None:
                raise KeyError(f"no trial with the id {trial_id}")
            if TrialState[state].is_finished():
                raise UpdateFinishedTrialError(f"trial {trial_id} has already ended")
            connection.execute(self._upsert, rows)


def _exists(engine: sqlalchemy.Engine, wanted: sqlalchemy.TableClause) -> bool:
    found = sqlalchemy.inspect(engine)
    if not found.has_table(wanted.name):
        return False
    names = {each["name"] for each in found.get_columns(wanted.name)}
    return names >= {each.name for each in wanted.columns}
