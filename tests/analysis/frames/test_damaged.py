"""A database in which something can't be decoded: what is whole is read, the rest is named."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import optuna
import pytest
from made_studies import grid_study

from wdstudy.__main__ import main
from wdstudy.storage.opening import open_storage

URL = "sqlite:///wd.db"

CUT_RECORD = "UPDATE study_user_attributes SET value_json = '{\"sch' WHERE study_id = 1"
CUT_SERIES = (
    "UPDATE trial_user_attributes SET value_json = '[2.0,' WHERE trial_id = 4 AND key = 'val_loss'"
)
NO_UTF8 = (
    "UPDATE trial_user_attributes SET value_json = CAST(x'22ff22' AS TEXT) "
    "WHERE trial_id = 4 AND key = 'worker'"
)
NO_STATE = "UPDATE trials SET state = 'XOMPLETE' WHERE trial_id = 4"
NO_NUMBER = "UPDATE trial_values SET value = 'abc' WHERE trial_id = 4"
OF_A_TRIAL = {
    CUT_SERIES: "its attribute 'val_loss' is no JSON",
    NO_UTF8: "its attribute 'worker' is no JSON",
    NO_STATE: "'XOMPLETE' is not among the defined enum values",
    NO_NUMBER: "its value is 'abc', and no number",
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of the studies `a` and `b`, of twelve trials each."""
    path = tmp_path_factory.mktemp("whole") / "wd.db"
    storage = open_storage(f"sqlite:///{path}")
    for name in ("a", "b"):
        made = grid_study(name, space={"lr": [0.1], "weight_decay": [0.1]})
        study = optuna.create_study(study_name=name, storage=storage)
        study.set_user_attr("wdstudy", made.user_attrs["wdstudy"])
        study.add_trials(made.trials)
    return path


@pytest.fixture
def two_studies(in_folder: Path, whole: Path) -> Path:
    """Such a database in an empty folder."""
    with closing(sqlite3.connect(whole)) as source, closing(sqlite3.connect("wd.db")) as copy:
        source.backup(copy)
    return in_folder


def sql(*statements: str) -> None:
    with closing(sqlite3.connect("wd.db")) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


@pytest.mark.parametrize("damage", [CUT_RECORD, *OF_A_TRIAL])
def test_others_are_listed_and_the_damaged_one_is_named(
    two_studies: Path, capfd: pytest.CaptureFixture[str], damage: str
) -> None:
    sql(damage)
    assert main(["list", "--storage", URL]) == 0
    out, err = capfd.readouterr()
    assert [line.split()[:3] for line in out.splitlines()[1:]] == [
        ["a", "damaged", "—"],
        ["b", "12", "min"],
    ]
    (line,) = err.splitlines()
    says = OF_A_TRIAL.get(damage, "its attribute 'wdstudy' is no JSON")
    assert line.startswith("damaged: the study 'a' in sqlite:///wd.db is damaged (")
    assert says in line
    assert main(["list", "--json", "--storage", URL]) == 0
    a, b = json.loads(capfd.readouterr().out)
    assert (says in a["damage"], a["trials"], b["damage"], b["trials"]) == (True, None, None, 12)


@pytest.mark.parametrize("damage", OF_A_TRIAL)
@pytest.mark.parametrize("arguments", [["suggest", "a"], ["export", "a", "--out", "a.csv"]])
def test_a_damaged_trial_is_named_in_one_line(
    two_studies: Path, capfd: pytest.CaptureFixture[str], damage: str, arguments: list[str]
) -> None:
    sql(damage)
    assert main([*arguments, "--storage", URL]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert f"the study 'a' in sqlite:///wd.db is damaged (trial 3: {OF_A_TRIAL[damage]}" in line
    assert not Path("a.csv").exists()


@pytest.mark.usefixtures("one_figure")
def test_a_report_leaves_out_what_can_not_be_read_and_says_so(
    two_studies: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    sql(CUT_SERIES)
    assert main(["report", "a", "--storage", URL]) == 0
    assert "left out of 'a': trial 3: its attribute 'val_loss'" in capfd.readouterr().err
    summary = json.loads(Path("reports/a/summary.json").read_text())
    assert summary["trials"] == {"COMPLETE": 11}
    assert any("trial 3: its attribute" in caveat for caveat in summary["caveats"])
    assert "trial 3: its attribute" in Path("reports/a/report.html").read_text()


@pytest.mark.slow
def test_a_report_of_half_a_letter_is_written(two_studies: Path) -> None:
    """JSON can hold half of a pair of surrogates, which no file of UTF-8 can."""
    half = r"""'"\ud800"'"""
    sql(
        f"UPDATE trial_user_attributes SET value_json = {half} WHERE key = 'worker'",
        "UPDATE study_user_attributes "
        """SET value_json = replace(value_json, '"SGD"', '"\\ud800"')""",
    )
    assert main(["report", "a", "--storage", URL]) == 0
    assert Path("reports/a/report.html").is_file()
    assert main(["export", "a", "--what", "trials", "--out", "a.csv", "--storage", URL]) == 0


@pytest.mark.slow
def test_a_report_that_fails_leaves_no_folder_without_its_page(
    two_studies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("wdstudy.analysis.report.page.as_json", full)
    assert main(["report", "a", "--storage", URL]) == 2
    assert not Path("reports/a").exists()


def test_a_broken_page_is_one_line(two_studies: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pages = bytearray(Path("wd.db").read_bytes())
    with closing(sqlite3.connect("wd.db")) as connection:
        (root,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'trials'"
        ).fetchone()
    pages[4096 * (root - 1) : 4096 * root] = b"\xff" * 4096
    Path("wd.db").write_bytes(pages)
    for arguments in (["list"], ["report", "a"], ["suggest", "a"], ["export", "a", "--out", "-"]):
        assert main([*arguments, "--storage", URL]) == 2
        (line,) = capfd.readouterr().err.splitlines()
        assert "is damaged (database disk image is malformed); put back a copy" in line
    assert not Path("reports").exists()
