"""One row a study of a storage."""

from __future__ import annotations

import math

import optuna
import pandas as pd

from wdstudy.record import StudyRecord
from wdstudy.storage.opening import open_storage


def studies_frame(url: str | None = None) -> pd.DataFrame:
    """One row a study of a storage: name, trials, best value, optimizer."""
    rows = []
    for summary in optuna.get_all_study_summaries(open_storage(url, create=False)):
        record = StudyRecord.of(summary.user_attrs)
        best = summary.best_trial.value if summary.best_trial else None
        rows.append(
            {
                "study": summary.study_name,
                "trials": summary.n_trials,
                "best": math.nan if best is None else best,
                "optimizer": record.spec.optimizer or "—",
                "started": f"{summary.datetime_start:%Y-%m-%d %H:%M}"
                if summary.datetime_start
                else "—",
            }
        )
    return pd.DataFrame(rows)
