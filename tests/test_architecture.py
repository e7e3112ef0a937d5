"""The house rules that no type checker sees: who imports whom, and what `import` costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import wdstudy

PACKAGE = Path(wdstudy.__file__).parent

HOUSE = {
    "analysis": "",
    "curves": "",
    "errors": "",
    "fingerprints": "",
    "words": "",
    "workers": "",
    "decay": "errors",
    "directions": "errors",
    "axes": "errors",
    "images": "errors",
    "scale": "curves errors axes",
    "space": "errors axes scale",
    "trackers": "curves errors workers",
    "meter": "curves decay",
    "record": "errors space",
    "storage": "curves errors words workers record",
    "recorder": "curves errors decay trackers meter",
    "analysis.frames": "curves directions errors words space storage record",
    "integrations": "curves errors trackers recorder",
    "analysis.numbers": "curves errors words space record analysis.frames",
    "design": "errors words space analysis.frames analysis.numbers",
    "study": "directions errors words decay scale space record recorder design",
    "analysis.views": "curves errors words space analysis.frames analysis.numbers design",
    "training": "curves errors decay space meter study",
    "design.sampler": "errors space storage design",
    "analysis.figures": (
        "curves errors words space record analysis.frames analysis.numbers design analysis.views"
    ),
    "run": (
        "curves directions errors fingerprints words workers decay scale space storage trackers "
        "meter record recorder study training design"
    ),
    "sources": "curves directions errors words decay space storage record",
    "__init__": "analysis.figures",
    "analysis.report": (
        "curves errors fingerprints words space record analysis.frames analysis.numbers design "
        "analysis.views analysis.figures"
    ),
    "launchers": "errors words workers storage trackers study training run __init__",
    "live": (
        "curves errors words workers space storage record analysis.frames "
        "analysis.numbers analysis.views run analysis.report"
    ),
    "cli": (
        "errors words scale space storage trackers design analysis.frames analysis.numbers study "
        "run sources analysis.report launchers live"
    ),
    "__main__": "errors words cli",
}
"""Room → the rooms that it imports. A room is a folder or a module; it imports only from rooms
that stand above it in this table. An arrow that nobody uses any more is struck."""

OPTIONAL = (
    "accelerate", "datasets", "lightning", "mlflow", "ray", "tensorboard", "transformers", "wandb",
)  # fmt: skip
"""Packages that need not be installed: each is imported in the one module named after it."""


def named(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {named(path): path for path in PACKAGE.rglob("*.py")}


def nodes(path: Path, *, typing: bool) -> list[ast.AST]:
    """Every node of a module, those under `if TYPE_CHECKING` only if they are asked for."""
    found: list[ast.AST] = []
    stack: list[ast.AST] = [ast.parse(path.read_text())]
    while stack:
        node = stack.pop()
        if not typing and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        found.append(node)
        stack.extend(ast.iter_child_nodes(node))
    return found


def imports(module: str, *, typing: bool = False) -> set[str]:
    """What a module imports, wherever the import stands: the packages, and of ours the modules."""
    found: set[str] = set()
    for node in nodes(MODULES[module], typing=typing):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (inner & MODULES.keys()) or {node.module}
    return found


def closure(module: str) -> set[str]:
    """All that a module reaches when all of it is run."""
    seen: set[str] = set()
    todo = [module]
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo.extend(imports(name) if name in MODULES else ())
    return seen


def room_of(module: str) -> str | None:
    """The innermost room of the table in which a module lies."""
    name = module.removeprefix("wdstudy").removeprefix(".") or "__init__"
    while name and name not in HOUSE:
        name = name.rpartition(".")[0]
    return name or None


def test_every_module_lies_in_a_room_and_every_room_is_there() -> None:
    homeless = [module for module in MODULES if room_of(module) is None]
    assert not homeless, f"in no room of the table: {homeless}"
    assert {room_of(module) for module in MODULES} == HOUSE.keys()


def test_who_imports_whom_is_what_the_table_says() -> None:
    """Imports for the type checker count: they are knowledge too."""
    drawn: dict[str, set[str]] = {room: set() for room in HOUSE}
    for module in MODULES:
        here = room_of(module)
        assert here is not None
        for name in imports(module, typing=here != "__init__") & MODULES.keys():
            there = room_of(name)
            if there is not None and there != here:
                drawn[here].add(there)
    told = {room: set(others.split()) for room, others in HOUSE.items()}
    wrong = {
        room: (sorted(drawn[room] - told[room]), sorted(told[room] - drawn[room]))
        for room in HOUSE
        if drawn[room] != told[room]
    }
    assert not wrong, f"room: (imports that are not in the table, arrows of nobody): {wrong}"


def test_the_table_runs_one_way() -> None:
    order = list(HOUSE)
    for room, others in HOUSE.items():
        climbing = [other for other in others.split() if order.index(other) >= order.index(room)]
        assert not climbing, f"{room} stands below {climbing}"


def test_no_two_modules_import_each_other() -> None:
    graph = {m: imports(m, typing=True) & MODULES.keys() for m in MODULES if m != "wdstudy"}
    TopologicalSorter(graph).prepare()


def test_an_optional_package_is_imported_where_it_gives_the_name() -> None:
    for module in MODULES:
        for name in imports(module):
            package = name.partition(".")[0]
            if package in OPTIONAL:
                home = {"accelerate": "transformers", "datasets": "images"}.get(package, package)
                assert module.rpartition(".")[2].startswith(home), (module, package)


def reading() -> list[str]:
    return sorted(
        m for m in MODULES if m.startswith(("wdstudy.analysis", "wdstudy.storage.opening"))
    )


@pytest.mark.parametrize("module", [*reading(), "wdstudy.curves"])
def test_reading_never_imports_torch(module: str) -> None:
    assert not {name for name in closure(module) if name.split(".")[0] == "torch"}


@pytest.mark.parametrize(
    "module",
    ["wdstudy.training.loop", "wdstudy.training.lanes", "wdstudy.recorder", "wdstudy.decay"],
)
def test_training_never_imports_optuna_or_the_analysis(module: str) -> None:
    reached = closure(module)
    assert not {name for name in reached if name.split(".")[0] == "optuna"}
    assert not {name for name in reached if name.startswith("wdstudy.analysis")}


@pytest.mark.parametrize("module", ["wdstudy.design.planner", "wdstudy.design.sampler"])
def test_a_design_is_free_of_torch_and_its_sampler_alone_of_optuna(module: str) -> None:
    reached = {name.split(".")[0] for name in closure(module)}
    assert "torch" not in reached
    assert ("optuna" in reached) == module.endswith("sampler")


def test_the_words_need_nothing() -> None:
    for module in ("wdstudy.space", "wdstudy.curves", "wdstudy.record", "wdstudy.errors"):
        assert not {n for n in closure(module) if n.split(".")[0] in ("torch", "optuna")}


def test_every_public_name_resolves_and_is_documented() -> None:
    for name in wdstudy.__all__:
        assert getattr(wdstudy, name).__doc__, name
    assert dir(wdstudy) == sorted(wdstudy.__all__)
    with pytest.raises(AttributeError, match="no attribute 'plot'"):
        _ = wdstudy.plot


def test_a_type_checker_sees_the_public_names_and_no_others() -> None:
    """They stand there twice: in tables for Python, in imports for whoever reads types."""
    seen: dict[str, str] = {}
    for module in ("wdstudy", "wdstudy.analysis.figures.registry"):
        late = set(map(ast.dump, nodes(MODULES[module], typing=False)))
        for node in nodes(MODULES[module], typing=True):
            if isinstance(node, ast.ImportFrom) and ast.dump(node) not in late and node.module:
                seen |= {a.name: node.module for a in node.names if a.asname == a.name}
    assert seen == {name: getattr(wdstudy, name).__module__ for name in wdstudy.__all__}


def test_importing_the_package_and_its_command_line_is_light() -> None:
    code = "import sys, wdstudy, wdstudy.cli.commands; print([m for m in ('torch', 'optuna', "
    code += "'pandas', 'matplotlib') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_live_page_needs_no_drawing_library() -> None:
    """It is imported by every run, beside the training: pyplot and seaborn would cost it 0.4 s."""
    code = "import sys, wdstudy.live.page as p; p.warm_up(); print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not {"matplotlib.pyplot", "seaborn", "jinja2"} & set(loaded.stdout.split())
