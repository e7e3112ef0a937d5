from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from wdstudy.analysis.frames.files import write_frame, written_whole
from wdstudy.errors import StorageError


def test_no_text_is_a_formula_and_every_number_is_one(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "value": [-1.5, 2.0, float("nan")],
            "tag": ["=cmd|' /C calc'!A0", "-1.5", None],
            "series": pd.Categorical(["@SUM(1)", "val_loss", "val_loss"]),
            "+name": [True, False, True],
            "mixed": [-3, "+x", "\tx"],
        }
    )
    write_frame(frame, tmp_path / "a.csv")
    found = pd.read_csv(tmp_path / "a.csv", dtype=str, keep_default_na=False)
    assert list(found.columns) == ["value", "tag", "series", "'+name", "mixed"]
    assert found.to_numpy().T.tolist() == [
        ["-1.5", "2.0", ""],
        ["'=cmd|' /C calc'!A0", "-1.5", ""],
        ["'@SUM(1)", "val_loss", "val_loss"],
        ["True", "False", "True"],
        ["-3", "'+x", "'\tx"],
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_a_link_is_replaced_and_not_followed(tmp_path: Path, name: str) -> None:
    theirs = tmp_path / "theirs"
    theirs.write_text("precious")
    (tmp_path / name).symlink_to(theirs)
    write_frame(pd.DataFrame({"a": [1]}), tmp_path / name)
    assert theirs.read_text() == "precious"
    assert not (tmp_path / name).is_symlink()
    assert sorted(p.name for p in tmp_path.iterdir()) == [name, "theirs"]


def test_what_can_not_be_finished_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("before")

    def half() -> None:
        with written_whole(path) as file:
            file.write("half")
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        half()
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a.csv", "before")]
    with pytest.raises(StorageError, match="name another"):
        write_frame(pd.DataFrame({"a": [1]}), tmp_path / "no" / "a.csv")
