from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_studies import study_of, trained
from pages import Page

from wdstudy.analysis.report.page import write_report

pytestmark = pytest.mark.slow


def test_a_report_of_5000_samples_is_thinned_and_says_so(tmp_path: Path) -> None:
    places = 10 ** np.random.default_rng(0).uniform([-3, -4], [0, 0], (5000, 2))
    study = study_of([trained(float(lr), float(wd), points=3) for lr, wd in places], sampler="qmc")
    path = write_report(study, tmp_path)
    text = Page(path.read_text(encoding="utf-8")).text
    assert "1,600 of 5,000 cells are shown" in text
    assert "The best 1,000 of 5,000 trials; all are in trials.csv." in text
    assert path.stat().st_size < 15e6
    assert len((path.parent / "trials.csv").read_text().splitlines()) == 5001
