"""The notebooks run from clean without a warning, and what is committed shows what they draw."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
ROOT = Path(__file__).parents[1]

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)]

DRAWS = re.compile(r"\b(plot_\w+\(|plt\.plot|\.plot\()")


def read(path: Path) -> Any:
    import nbformat

    return nbformat.read(path, as_version=4)


def check_outputs(notebook: Any) -> None:
    """No error, no word on standard error, and a picture under every cell that draws."""
    pictures = 0
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        kinds = [output.output_type for output in cell.outputs]
        assert "error" not in kinds
        told = [o.text for o in cell.outputs if o.output_type == "stream" and o.name == "stderr"]
        assert not told
        if DRAWS.search(cell.source):
            assert any("image/png" in o.get("data", {}) for o in cell.outputs), cell.source
            pictures += 1
    assert pictures >= 5


def test_it_runs_from_clean(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nbclient import NotebookClient

    # The kernel is another process: it finds this package, and draws in the notebook.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.delenv("MPLBACKEND", raising=False)
    notebook = read(path)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    where = {"metadata": {"path": str(path.parent)}}
    NotebookClient(notebook, timeout=600, resources=where).execute()
    check_outputs(notebook)


def test_it_is_committed_as_it_ran_from_top_to_bottom(path: Path) -> None:
    notebook = read(path)
    check_outputs(notebook)
    counts = [c.execution_count for c in notebook.cells if c.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))
    assert path.stat().st_size < 1_000_000


def test_it_defines_nothing_and_its_cells_are_short(path: Path) -> None:
    imports, *cells = [cell.source for cell in read(path).cells if cell.cell_type == "code"]
    assert imports.startswith("import")
    for source in (imports, *cells):
        assert not re.search(r"^\s*(def|class) ", source, re.MULTILINE)
    assert max(len(source.splitlines()) for source in cells) <= 30
