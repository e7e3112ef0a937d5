from __future__ import annotations

from pathlib import Path

import pytest

from wdstudy.__main__ import main


def test_a_new_study_file_runs_and_suggests_what_to_run_next(
    in_folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["new", "studies/mine.py"]) == 0
    assert "next: python -m wdstudy run studies/mine.py" in capfd.readouterr().out
    flags = ["--lr", "1e-2,1e-1", "--weight-decay", "0,1e-3,1e-2", "--epochs", "2"]
    flags += ["--name", "other"]
    assert main(["run", "studies/mine.py", *flags]) == 0
    assert "12/12 trials" in capfd.readouterr().err
    assert main(["suggest", "other"]) == 0
    said = capfd.readouterr().out.splitlines()
    assert said[0].startswith("# ")
    assert said[-1].startswith(
        "python -m wdstudy run studies/mine.py --name other --epochs 2 --lr 0"
    )
    # The line works as it is printed: the study grows by it.
    assert main(said[-1].split()[3:]) == 0
    assert "12 finished trials kept" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("mine", "'mine' is no Python file; name it 'mine.py'"),
        ("there.py", "'there.py' is there already; give another name"),
        ("there.py/mine.py", "can't be written"),
    ],
)
def test_a_file_that_cannot_be_made_is_one_line(
    in_folder: Path, capfd: pytest.CaptureFixture[str], path: str, says: str
) -> None:
    (in_folder / "there.py").write_text("precious")
    assert main(["new", path]) == 2
    assert says in capfd.readouterr().err
    assert (in_folder / "there.py").read_text() == "precious"
