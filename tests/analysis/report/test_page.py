from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest
from made_studies import grid_study, placed, study_of
from matplotlib.figure import Figure
from optuna.trial import TrialState
from pages import Page

from wdstudy.__main__ import main
from wdstudy.analysis.frames.curves import curves_frame
from wdstudy.analysis.numbers.reading import read_study
from wdstudy.analysis.report.files import folder_name
from wdstudy.analysis.report.page import write_report
from wdstudy.analysis.report.summary import summary
from wdstudy.errors import SpecError, StorageError, StudyError

SMALL: dict[str, Any] = {"lrs": [0.1, 1.0], "weight_decays": [0.01, 0.1]}


@pytest.fixture
def unsaved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw every figure, but spare the time to save it, for tests of the words."""
    monkeypatch.setattr(Figure, "savefig", lambda *_, **__: None)


def test_a_report_is_one_file_with_its_data_beside_it(tmp_path: Path) -> None:
    study = grid_study(seeds=2, model="net", diverges=lambda lr, wd: lr == 1.0 and wd == 0.1)
    path = write_report(study, tmp_path)
    assert path == tmp_path / "made" / "report.html"
    page = Page(path.read_text(encoding="utf-8"))
    order = [
        page.text.index(words)
        for words in ("Train with lr 0.1 and weight_decay 0.01", "Figure 1", "Explorer Choose",
                      "Best cell: lr 0.1, weight_decay 0.01", "Weight decay by lr")
    ]  # fmt: skip
    assert order == sorted(order)
    sources = [a["src"] or "" for t, a in page.tags if t in ("img", "script") and "src" in a]
    assert sources
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    ids = [a["id"] for _, a in page.tags if a.get("id")]
    assert len(ids) == len(set(ids))
    links = [a["href"] or "" for t, a in page.tags if t == "a"]
    assert {link[1:] for link in links if link.startswith("#")} <= set(ids)
    assert all(a.get("alt") for t, a in page.tags if t == "img")
    figures = sorted(p.stem for p in (path.parent / "figures").glob("*.png"))
    assert {
        "effects",
        "heatmap",
        "curves",
        "components",
        "axis-lr",
        "best-of-n",
        "weight-norm",
    } <= set(figures)
    assert len(pd.read_csv(path.parent / "trials.csv")) == 24
    assert len(pd.read_csv(path.parent / "curves.csv")) == len(curves_frame(study))
    summary = json.loads((path.parent / "summary.json").read_text(), parse_constant=pytest.fail)
    assert summary["landscape"]["best"]["lr"] == 0.1
    assert summary["diverged"] == 2
    assert not list(path.parent.rglob("*.part"))


@pytest.mark.usefixtures("one_figure")
def test_the_same_study_gives_the_same_page(tmp_path: Path) -> None:
    study = grid_study(**SMALL)
    pages = [write_report(study, tmp_path / folder).read_bytes() for folder in "ab"]
    assert pages[0] == pages[1]


@pytest.mark.usefixtures("one_figure")
def test_everything_from_the_study_is_escaped(tmp_path: Path) -> None:
    name = "<script>alert(1)</script> é/../x"
    evil = "</script><img src=x onerror=alert(2)>"
    rows = [placed(lr, wd, lr + wd, step=[1, 2], val_loss=[2.0, 1.0], worker=evil)
            for lr in (0.1, 1.0) for wd in (0.1, 0.01)]  # fmt: skip
    study = study_of(rows, name, model=evil, optimizer=evil, settings={"a": evil})
    path = write_report(study, tmp_path)
    assert path.parent.parent == tmp_path
    page = Page(path.read_text(encoding="utf-8"))
    assert sum(t == "script" for t, _ in page.tags) == 3
    assert not any("onerror" in a for _, a in page.tags)
    assert page.text.count(f"suggest {name}") <= 1
    assert page.text.count(name) - page.text.count(f"suggest {name}") == 2  # title and heading
    assert evil in page.text


@pytest.mark.parametrize(
    "name", ["..", ".", "/etc/passwd", "a b", "é", "x" * 300, "", "CON\n", "~"]
)
def test_a_folder_stays_inside_the_output(name: str) -> None:
    folder = folder_name(name)
    assert re.fullmatch(r"[\w.-]{1,80}", folder)
    assert folder.strip(".") == folder


def test_different_studies_have_different_folders() -> None:
    names = ["a b", "a/b", "a-b", "a  b", "..", "../..", "resnet"]
    assert len({folder_name(n) for n in names}) == len(names)
    assert folder_name("resnet") == "resnet"


@pytest.mark.usefixtures("one_figure")
@pytest.mark.parametrize("format", ["svg", "pdf"])
def test_figures_come_in_other_formats(tmp_path: Path, format: str) -> None:
    folder = write_report(grid_study(**SMALL), tmp_path, format).parent / "figures"
    heads = {"svg": b"<?xml", "pdf": b"%PDF"}
    files = list(folder.iterdir())
    assert files
    assert all(f.read_bytes().startswith(heads[format]) for f in files)


def test_what_can_not_be_written_is_one_line(tmp_path: Path) -> None:
    study = grid_study(**SMALL)
    with pytest.raises(SpecError, match="--format gif: Known: pdf, png, svg"):
        write_report(study, tmp_path, "gif")
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"can't be written to .*file.* name another --out"):
        write_report(study, tmp_path / "file")


def test_a_study_without_a_finished_trial_is_one_line(tmp_path: Path) -> None:
    for rows in ([], [placed(0.1, 0.1, None, TrialState.RUNNING)]):
        with pytest.raises(StudyError, match="'made' has no finished trial yet"):
            write_report(study_of(rows), tmp_path)
    assert not list(tmp_path.iterdir())


def text_of(study: optuna.Study, folder: Path) -> str:
    return Page(write_report(study, folder).read_text(encoding="utf-8")).text


@pytest.mark.usefixtures("unsaved")
def test_only_diverged_trials_make_a_report_that_says_so(tmp_path: Path) -> None:
    text = text_of(grid_study(**SMALL, diverges=lambda lr, wd: True), tmp_path)
    assert "Nothing can be said: none of 4 trials finished with a finite value." in text
    assert "What can't be shown" in text
    assert "best of n: every finished trial diverged" in text


@pytest.mark.usefixtures("unsaved")
@pytest.mark.parametrize(
    ("lrs", "weight_decays", "says"),
    [
        ([0.1], [0.001, 0.01, 0.1], "Only one lr was tried"),
        ([0.01, 0.1, 1.0], [0.01], "Only one weight_decay was tried"),
        ([0.1], [0.01], "Only one lr was tried"),
    ],
)
def test_a_single_line_or_cell_is_reported(
    tmp_path: Path, lrs: list[float], weight_decays: list[float], says: str
) -> None:
    text = text_of(grid_study(lrs=lrs, weight_decays=weight_decays), tmp_path)
    assert says in text
    assert "isolation" in text[text.index("What can't be shown") :]


def stored(folder: Path, study: optuna.Study) -> str:
    url = f"sqlite:///{folder / 'studies.db'}"
    optuna.copy_study(
        from_study_name=study.study_name,
        from_storage=study._storage,
        to_storage=url,
    )
    return url


@pytest.mark.usefixtures("one_figure")
def test_the_command_writes_where_it_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = stored(tmp_path, grid_study("small", **SMALL))
    assert main(["report", "small", "--storage", url, "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out.strip()
    assert said == f"report: {tmp_path / 'out' / 'small' / 'report.html'}"
    assert Path(said.removeprefix("report: ")).is_file()
    assert main(["report", "smal", "--storage", url]) == 2
    assert "did you mean 'small'" in capsys.readouterr().err
    assert main(["report", "small", "--storage", url, "--format", "gif"]) == 2
    assert "--format gif" in capsys.readouterr().err


BLOCKED = """
import sys

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'")

sys.meta_path.insert(0, NoTorch())
"""


def test_the_numbers_are_printed_as_json_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    study = grid_study("small", **SMALL)
    url = stored(tmp_path, study)
    asked = ["report", "small", "--storage", url, "--json"]
    assert main(asked) == 0
    printed = capsys.readouterr().out
    assert json.loads(printed, parse_constant=pytest.fail) == summary(read_study(study))
    assert not Path("reports").exists()
    write_report(study, tmp_path / "out")
    assert (tmp_path / "out" / "small" / "summary.json").read_text() == printed
    assert main([*asked[:2], *asked[1:]]) == 0
    both = json.loads(capsys.readouterr().out)
    assert [found["study"] for found in both] == ["small", "small"]
    assert main([*asked, "--publish"]) == 2
    assert "--publish with --json" in capsys.readouterr().err


def test_a_report_needs_no_torch(tmp_path: Path) -> None:
    url = stored(tmp_path, grid_study("small", **SMALL))
    code = BLOCKED + "from wdstudy.__main__ import main\n"
    code += f"sys.exit(main(['report', 'small', '--storage', {url!r}, '--out', {str(tmp_path)!r}]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "small" / "report.html").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("format", ["png", "pdf"])
def test_links_in_its_folder_are_replaced_and_not_followed(tmp_path: Path, format: str) -> None:
    study = grid_study("linked")
    page = write_report(study, tmp_path, format)
    files = [path for path in page.parent.rglob("*") if path.is_file()]
    theirs = tmp_path / "theirs"
    theirs.write_text("precious")
    for path in files:
        path.unlink()
        path.symlink_to(theirs)
    write_report(study, tmp_path, format)
    assert theirs.read_text() == "precious"
    assert sorted(p for p in page.parent.rglob("*") if p.is_file()) == sorted(files)
    assert not [path for path in files if path.is_symlink()]
