from __future__ import annotations

from pathlib import Path

import pytest

from wdstudy.errors import SpecError
from wdstudy.study.file import load_specs

HEAD = """
from wdstudy import SearchSpace, StudySpec
def make(name="", epochs=1):
    return StudySpec(space=SearchSpace([0.1], [0]), train=print, name=name, epochs=epochs)
"""


def write(folder: Path, text: str, name: str = "mine.py") -> Path:
    path = folder / name
    path.write_text(HEAD + text)
    return path


def test_the_three_forms_of_a_study_file(tmp_path: Path) -> None:
    (one,) = load_specs(write(tmp_path, "STUDY = make()"))
    assert one.name == "mine"
    two = load_specs(write(tmp_path, "STUDIES = [make('a'), make('b')]"))
    assert [spec.name for spec in two] == ["a", "b"]
    text = "def study(n=2, rate=0.5, on=False, data='x'): return make(epochs=n)"
    (made,) = load_specs(
        write(tmp_path, text), {"n": "7", "rate": "1", "on": "yes", "data": "cifar10"}
    )
    assert made.epochs == 7
    assert made.settings == {"n": 7, "rate": 1.0, "on": True, "data": "cifar10"}


@pytest.mark.parametrize(
    ("text", "settings", "says"),
    [
        ("x = 3", {}, "describes no study; let it hold STUDY"),
        ("STUDY = 3", {}, r"describes 3, which is not a StudySpec\(...\)"),
        ("STUDIES = []", {}, "STUDIES in .* is empty"),
        ("STUDIES = [make(), make()]", {}, "two studies are named 'mine'"),
        ("STUDY = make()", {"a": "1"}, "takes no settings"),
        ("def study(n=1): return make()", {"m": "1"}, "no such keyword .*Known: n"),
        ("def study(n=1): return make()", {"n": "x"}, "--set n=x: give a whole number, like 1"),
        ("def study(on=True): return make()", {"on": "maybe"}, "give true or false"),
        ("\n1 / 0", {}, r"mine.py', line 6 \(1 / 0\): ZeroDivisionError"),
        ("def study():\n    return [][3]", {}, "line 6 .*IndexError"),
        ("STUDY = make(epochs=0)", {}, "line 4 .*epochs=0"),
        ("def (", {}, r"mine.py', line 5: SyntaxError"),
        ("import no_such_module", {}, "ModuleNotFoundError: No module named 'no_such_module'"),
    ],
)
def test_a_file_that_describes_no_study_says_what_and_where(
    tmp_path: Path, text: str, settings: dict[str, str], says: str
) -> None:
    with pytest.raises(SpecError, match=says) as error:
        load_specs(write(tmp_path, text), settings)
    assert "\n" not in str(error.value)


def test_a_missing_file_shows_its_neighbours(tmp_path: Path) -> None:
    write(tmp_path, "STUDY = make()", "resnet.py")
    with pytest.raises(SpecError, match=r"no study file .*resnett\.py'; did you mean .*resnet\.py"):
        load_specs(tmp_path / "resnett.py")


def test_a_file_may_import_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "neighbour_of_a_study.py").write_text("EPOCHS = 4")
    text = "import neighbour_of_a_study as n\nSTUDY = make(epochs=n.EPOCHS)"
    assert load_specs(write(tmp_path, text))[0].epochs == 4


@pytest.mark.parametrize("path", sorted(Path("studies").glob("*.py")), ids=str)
def test_every_study_of_the_project_loads(path: Path) -> None:
    for spec in load_specs(path):
        assert len(spec.space) >= 4
