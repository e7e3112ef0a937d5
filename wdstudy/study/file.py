"""Reading a study file: `STUDY = …`, `STUDIES = […]` or `def study(…)`."""

from __future__ import annotations

import inspect
import linecache
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from wdstudy.errors import FlagError, SpecError, fault, nearest
from wdstudy.study.designed import ranges_unused, with_design
from wdstudy.study.quick import SUFFIX, quick
from wdstudy.study.scaling import with_axes
from wdstudy.study.spec import StudySpec

ALONG = ("scale", "follow", "at")
"""What of the space a quick study takes from the command line, and makes small."""

OF_THE_LOOP = {"optimizer", "epochs", "compile"}
"""What a study with a loop of its own can't be told on the command line."""


@dataclass(frozen=True)
class SpecSource:
    """A study file and what the command line changes in it. Processes pass it on to others.

    Args:
        path: The study file.
        settings: As in `load_specs`.
        changes: Fields of every spec to replace.
        space: Axes of every space to replace, as in `with_axes`.
        quick: Make every study a small one, with a name of its own; what `changes` and `space`
            ask for still holds.
        only: Names of studies in the file, divided by commas; all of them where it is empty.
        code: What stood in the file when it was read; None to read it whenever it is asked for.
        designs: Let every study design itself. design: fields of their designs to replace.
    """

    path: str
    settings: Mapping[str, str] = field(default_factory=dict)
    changes: Mapping[str, Any] = field(default_factory=dict)
    space: Mapping[str, Any] = field(default_factory=dict)
    quick: bool = False
    only: str = ""
    code: bytes | None = field(default=None, repr=False)
    designs: bool = False
    design: Mapping[str, Any] = field(default_factory=dict)

    def read(self) -> SpecSource:
        """The same with the file's text in hand, for a run: its workers run that, whatever stands
        in the file meanwhile. What it imports and reads, each of them reads anew.
        """
        path = Path(self.path)
        return replace(self, code=path.read_bytes()) if path.is_file() else self

    def specs(self, say: Callable[[str], None] = lambda line: None) -> list[StudySpec]:
        """The specs, changed.

        Args:
            say: Told what of the file is not used.

        Raises:
            SpecError: as `load_specs`, one name is given to several studies, or `only` names none.
        """
        every = load_specs(self.path, self.settings, self.code)
        specs = self._chosen(every)
        if "name" in self.changes and len(specs) > 1:
            raise SpecError(
                f"--name {self.changes['name']}: '{self.path}' describes {len(specs)} studies; "
                "drop it, or choose one with --only"
            )
        changed = [self._changed(spec, one_of_several=len(every) > 1) for spec in specs]
        for spec, now in zip(specs, changed, strict=True):
            if spec.design is None and now.design is not None:
                say(ranges_unused(now.design))
                break
        return changed

    def _chosen(self, specs: list[StudySpec]) -> list[StudySpec]:
        wanted = [name.strip() for name in self.only.split(",")] if self.only else []
        names = [spec.name for spec in specs]
        for name in wanted:
            if name not in names:
                raise SpecError(
                    f"--only {name}: '{self.path}' describes no such study; {nearest(name, names)}"
                )
        return [spec for spec in specs if not wanted or spec.name in wanted]

    def _changed(self, spec: StudySpec, *, one_of_several: bool) -> StudySpec:
        for key in sorted(OF_THE_LOOP & self.changes.keys()) if spec.train is not None else ():
            raise SpecError(
                f"--{key}: '{self.path}' trains in a loop of its own, which decides that; "
                "let the loop read it from a keyword of def study(...), and give it with --set"
            )
        spec = with_design(spec, self.design, self.changes, self.space, wanted=self.designs)
        axes = self.space if spec.design is None else {}  # of a design they are limits
        along = {name: axes[name] for name in ALONG if name in axes}
        if along:
            spec = replace(spec, space=with_axes(spec.space, along))
        if spec.scale is not None and spec.scale.name in self.changes:
            name, given = spec.scale.name, self.changes[spec.scale.name]
            raise FlagError(f"--{name} {given}: the scale {name} decides that; leave out --{name}")
        small = quick(spec) if self.quick else spec
        others = {name: axis for name, axis in axes.items() if name not in along}
        changed = replace(
            small,
            space=with_axes(small.space, others),
            command=self._command(spec.name if one_of_several else ""),
            **self.changes,
        )
        return replace(changed, name=changed.name + SUFFIX) if self.quick else changed

    def _command(self, only: str) -> tuple[str, ...]:
        """What to type for this study alone, but for the axes of the space."""
        chosen = ["--only", only] if only else []
        settings = [("--set", f"{key}={text}") for key, text in self.settings.items()]
        flags = [
            (f"--{key}",) if value is True else (f"--{key}", str(value))
            for key, value in self.changes.items()
            if key != "same"  # it is said once
        ]
        if "scale" in self.space:
            name, values = self.space["scale"]
            flags.append(("--scale", f"{name}={','.join(f'{value:g}' for value in values)}"))
        if "follow" in self.space:
            powers = (f"{axis}={power:g}" for axis, power in self.space["follow"].items())
            flags.append(("--follow", ",".join(powers)))
        quick = ["--quick"] if self.quick else []
        named = (part for pair in (*settings, *flags) for part in pair)
        return (self.path, *chosen, *named, *quick)

    def spec(self, name: str) -> StudySpec:
        """The one of this name, which it had when the run began."""
        return next(spec for spec in self.specs() if spec.name == name)


def load_specs(
    path: str | Path, settings: Mapping[str, str] | None = None, code: bytes | None = None
) -> list[StudySpec]:
    """The studies that a file describes. The file is run: name only files you trust.

    Args:
        path: A Python file that holds `STUDY`, `STUDIES`, or a function `study`.
        settings: Texts for the keywords of `def study(...)`, read by the type of their defaults.
        code: What stands in the file, where it was read before.

    Returns:
        At least one spec, each with a name: the spec's own, else the file's.

    Raises:
        SpecError: the file is missing, fails, or holds no study; settings don't fit.
    """
    path = Path(path)
    if code is None and not path.is_file():
        raise SpecError(f"no study file '{path}'{_neighbours(path)}")
    module = _run(path, path.read_bytes() if code is None else code)
    found = _find(module, path, dict(settings or {}))
    specs = list(found) if isinstance(found, Sequence) else [found]
    for spec in specs:
        if not isinstance(spec, StudySpec):
            raise SpecError(f"'{path}' describes {spec!r}, which is not a StudySpec(...)")
    if not specs:
        raise SpecError(f"STUDIES in '{path}' is empty; list at least one StudySpec(...)")
    return _named(specs, path)


def _find(module: ModuleType, path: Path, settings: Mapping[str, str]) -> Any:
    if callable(function := getattr(module, "study", None)):
        return _call(function, path, settings)
    if settings:
        raise SpecError(
            f"--set {next(iter(settings))}: '{path}' takes no settings; "
            "write `def study(data='digits') -> StudySpec` in it instead of STUDY"
        )
    for name in ("STUDIES", "STUDY"):
        if hasattr(module, name):
            return getattr(module, name)
    raise SpecError(
        f"'{path}' describes no study; let it hold STUDY = StudySpec(...), "
        "STUDIES = [...], or def study(...) -> StudySpec"
    )


def _call(function: Callable[..., Any], path: Path, settings: Mapping[str, str]) -> Any:
    parameters = inspect.signature(function).parameters
    values: dict[str, Any] = {
        name: p.default for name, p in parameters.items() if p.default is not p.empty
    }
    for name, text in settings.items():
        if name not in parameters:
            raise SpecError(
                f"--set {name}: no such keyword in '{path}'; {nearest(name, parameters)}"
            )
        values[name] = _typed(name, text, values.get(name, ""))
    try:
        found = function(**values)
    except Exception as error:
        raise SpecError(fault(error)) from error
    plain = {name: v for name, v in values.items() if isinstance(v, str | int | float | bool)}
    return [
        replace(spec, settings=plain) if isinstance(spec, StudySpec) else spec
        for spec in (found if isinstance(found, Sequence) else [found])
    ]


def _typed(name: str, text: str, default: Any) -> Any:
    """The text as the type of the keyword's default."""
    if isinstance(default, bool):
        known = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
        if text.lower() not in known:
            raise SpecError(f"--set {name}={text}: give true or false")
        return known[text.lower()]
    try:
        return type(default)(text) if isinstance(default, int | float) else text
    except ValueError:
        kind = "a whole number" if isinstance(default, int) else "a number"
        raise SpecError(f"--set {name}={text}: give {kind}, like {default!r}") from None


def _run(path: Path, code: bytes) -> ModuleType:
    """Run the file as a module named after it, with its folder importable, as `python FILE` has."""
    name = f"study_file_{path.stem}"  # never the name of an installed module
    module = ModuleType(name)
    module.__file__ = str(path)
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    sys.modules[name] = module  # dataclasses and pickle look their module up
    # Tracebacks and `inspect` show the lines that run, not those that stand there meanwhile.
    lines = code.decode(errors="replace").splitlines(keepends=True)
    linecache.cache[str(path)] = (len(code), None, lines, str(path))
    try:
        exec(compile(code, str(path), "exec"), module.__dict__)
    except Exception as error:
        raise SpecError(fault(error)) from error
    return module


def _named(specs: Sequence[StudySpec], path: Path) -> list[StudySpec]:
    named = [replace(spec, name=spec.name or path.stem) for spec in specs]
    names = [spec.name for spec in named]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise SpecError(f"'{path}': two studies are named '{twice}'; give each StudySpec a name=")
    return named


def _neighbours(path: Path) -> str:
    folder = path.parent if path.parent.is_dir() else Path("studies")
    files = sorted(str(p) for p in folder.glob("*.py")) if folder.is_dir() else []
    return f"; {nearest(str(path), files)}" if files else ""
