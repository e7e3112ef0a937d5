"""The house rules that no type checker sees: what imports what, and what `import` costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import wdstudy

PACKAGE = Path(wdstudy.__file__).parent


def imports(path: Path) -> set[str]:
    """Everything a module imports at run time; `if TYPE_CHECKING` blocks don't count."""
    found: set[str] = set()
    stack: list[ast.AST] = [ast.parse(path.read_text())]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
        stack.extend(ast.iter_child_nodes(node))
    return found


def closure(module: str) -> set[str]:
    """All modules that a module of the package reaches."""
    seen: set[str] = set()
    todo = [module]
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        path = PACKAGE.joinpath(*name.split(".")[1:])
        for file in (path.with_suffix(".py"), path / "__init__.py"):
            if name.startswith("wdstudy.") and file.is_file():
                todo.extend(imports(file))
    return seen


def modules(folder: str = "") -> list[str]:
    files = (PACKAGE / folder).glob("*.py")
    prefix = ".".join(["wdstudy", *Path(folder).parts])
    return sorted(f"{prefix}.{f.stem}" for f in files if f.stem != "__init__")


@pytest.mark.parametrize("module", [*modules("analysis"), "wdstudy.storage", "wdstudy.curves"])
def test_reading_never_imports_torch(module: str) -> None:
    assert not {name for name in closure(module) if name.split(".")[0] == "torch"}


@pytest.mark.parametrize(
    "module", ["wdstudy.training", "wdstudy.lanes", "wdstudy.recorder", "wdstudy.decay"]
)
def test_training_never_imports_optuna_or_the_analysis(module: str) -> None:
    reached = closure(module)
    assert not {name for name in reached if name.split(".")[0] == "optuna"}
    assert not {name for name in reached if name.startswith("wdstudy.analysis")}


def test_the_foundation_needs_nothing() -> None:
    for module in ("wdstudy.space", "wdstudy.curves", "wdstudy.errors"):
        assert not {n for n in closure(module) if n.split(".")[0] in ("torch", "optuna")}


def test_every_public_name_resolves_and_is_documented() -> None:
    for name in wdstudy.__all__:
        assert getattr(wdstudy, name).__doc__, name
    assert dir(wdstudy) == sorted(wdstudy.__all__)
    with pytest.raises(AttributeError, match="no attribute 'plot'"):
        _ = wdstudy.plot


def test_importing_the_package_and_its_command_line_is_light() -> None:
    code = "import sys, wdstudy, wdstudy.cli; print([m for m in ('torch', 'optuna', 'pandas', "
    code += "'matplotlib') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_live_page_needs_no_drawing_library() -> None:
    """It is imported by every run, beside the training: pyplot and seaborn would cost it 0.4 s."""
    code = "import sys, wdstudy.analysis.live_page as p; p.warm_up(); print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not {"matplotlib.pyplot", "seaborn", "jinja2"} & set(loaded.stdout.split())
