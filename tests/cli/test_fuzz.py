"""Command lines, URLs and study files drawn at random: each ends well, or in one clear line.

What is drawn depends on a seed alone. `counted` is what the tests are made of; called from a
Python prompt with other seeds it looks further.
"""

# ruff: noqa: E501, RUF001
from __future__ import annotations

import contextlib
import io
import random
import re
import signal
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from wdstudy.__main__ import LONGEST, main

StudyFile = Callable[..., Path]

pytestmark = [
    pytest.mark.slow,
    # Of numpy, torch and drivers, over what they are given: what they print is looked at here.
    pytest.mark.filterwarnings("ignore"),
]

SECRET = "hunter2"
SECONDS = 60
"""A command that says nothing for so long hangs."""

TEXTS = ["", " ", "x", "é ü", "a b", "-", "--", "..", "/", "a/b", "\x1b[2J", "a\nb", "\x00", "\udcff",
         "x" * 5000, "'\"", "$(ls)", "%s %d", "{0}", "[red]x", ":100:", "=1+1", "None", "~", "\u202e"]  # fmt: skip
NUMBERS = ["0", "-1", "1", "2", "1.5", "nan", "inf", "-inf", "1e308", "1e-320", "1e400", "9" * 400,
           "0x10", "1_000", "١", "1,2", "½"]  # fmt: skip
AXES = ["", ",", "1:2", "1:2:3", "1:2:3:4", "1e-3:1:0", "1e-3:1:1", "2:1:3", "0:1:3", "1e-3:1:5000",
        "1e-3:1:99999999", "0,1e-3:1:3", "0.1,0.1", "1::3", "a:b:c", *NUMBERS]  # fmt: skip
FILES = ["linear.py", "none.py", ".", "linear.txt", "broken.py", *TEXTS]
URLS = ["sqlite:///s.db", "sqlite:///", "sqlite://", "sqlite:///no/where.db", "sqlite:///linear.py",
        "journal:///s.journal", "journal:///linear.py", "journal:///", "s.db", "@none", "@linear.py",
        "file:s.db", "redis://localhost", "postgresql://u@127.0.0.1:1/db"]  # fmt: skip
NAMES = ["linear", "linear-quick", *TEXTS]
SCALES = ["batch_size", "batch_size=4,8", "width=", "=3", "lr=1,2", "seed", "width=0,1", "width=4,4",
          *(f"batch_size={number}" for number in NUMBERS), *TEXTS]  # fmt: skip
FLAGS: dict[str, dict[str, list[str]]] = {
    "run": {
        "--storage": URLS[:8], "--name": NAMES, "--only": NAMES, "--lr": AXES,
        "--weight-decay": AXES, "--scale": SCALES, "--at": SCALES, "--seeds": NUMBERS, "--epochs": NUMBERS,
        "--optimizer": ["sgd", "SGD", "adamw", "lbfgs", "Optimizer", *TEXTS],
        "--sampler": ["tpe", "grid", "gp", *TEXTS], "--pruner": ["median", "percentile", *TEXTS],
        "--trials": NUMBERS, "--device": ["cpu", "cuda", "cuda:9", "mps", "meta", *TEXTS],
        "--devices": ["cpu,cpu", ",", "cuda:0,cpu", *TEXTS], "--lanes": ["auto", *NUMBERS],
        "--jobs": ["1", "auto", "0", "1e3", "9" * 50, *TEXTS], "--track": ["tensorboard", *TEXTS],
        "--launcher": ["local", *TEXTS], "--address": ["h:1", *TEXTS],
        "--gpus-per-job": NUMBERS, "--set": ["a=1", "=", "a", "tensorboard.dir=/nowhere", *TEXTS],
        "--log": ["s.log", ".", "no/where.log", *TEXTS], "--nonsense": ["1"],
    },
    "list": {"--storage": URLS, "--json": []},
    "report": {"--storage": URLS, "--out": ["reports", "linear.py", *TEXTS], "--format": TEXTS,
               "--scale": SCALES},
    "predict": {"--storage": URLS, "--at": SCALES, "--scale": SCALES, "--json": []},
    "export": {"--storage": URLS, "--out": ["s.csv", "s.parquet", "-", *TEXTS],
               "--what": ["trials", *TEXTS]},
    "suggest": {"--storage": URLS, "--scale": SCALES},
    "delete": {"--storage": URLS, "--yes": [], "--artifacts": TEXTS},
    "rename": {"--storage": URLS, "--yes": []},
    "new": {"--storage": URLS},
}  # fmt: skip
ARGUMENTS = {"run": [FILES], "report": [NAMES], "export": [NAMES], "suggest": [NAMES],
             "predict": [NAMES], "delete": [NAMES], "rename": [NAMES, NAMES], "new": [FILES], "list": []}  # fmt: skip


def command_line(rng: random.Random) -> list[str]:
    """A command with one to three flags; one that could train is dry or quick."""
    name = rng.choice(list(FLAGS))
    line = [name]
    for values in ARGUMENTS[name]:
        line.append(rng.choice([values[0], rng.choice(values)]))
    flags = FLAGS[name]
    for flag in rng.sample(list(flags), min(len(flags), rng.randint(1, 3))):
        line += [flag, rng.choice(flags[flag])] if flags[flag] else [flag]
    return [*line, rng.choice(["--dry-run", "--dry-run", "--quick"])] if name == "run" else line


def storage_line(rng: random.Random) -> list[str]:
    """A command that reads from a server's URL with a password in it, whole or mistyped."""
    password = "".join(rng.sample(["@", ":", "/", "#", "?", "%", "%40", "é", " ", "[", "x"], 2))
    password = rng.choice([SECRET, SECRET, SECRET + password, password + SECRET])
    scheme = rng.choice(
        ["postgresql", "mysql", "postgresql+psycopg", "postgres", "mysql+x", "my sql"]
    )
    host = rng.choice(["127.0.0.1", "[::1]", "[::1", "a..b", "h" * 300, "\udcff", "", "é"])
    port = rng.choice([":1", ":1", ":99999999", ":x", ":", ""])
    database = rng.choice(["/db", "/db", "", "/", "/d\x00b", "/d b", "/db?foo=bar", "/db?charset=x",
                           "/db?connect_timeout=x", f"/db?password={SECRET}"])  # fmt: skip
    slashes = rng.choice(["://", "://", "://", ":", ":/"])
    at = rng.choice(["@", "@", "@", "@@", ""])
    url = f"{scheme}{slashes}u:{password}{at}{host}{port}{database}"
    if not at:
        url = url.replace(SECRET, "")  # then it is a host
    return [rng.choice(["list", "report linear", "suggest linear"]), "--storage", url]


FIELDS = {
    "name": ["5", "None", "''", "'a\\nb'", "'..'", "'x' * 999", "'\\ud800'"],
    "task": ["None", "5", "Task(5, data, loss)", "Task(model, 5, loss)", "Task(model, data, 5)",
             "Task(model(), data, loss)", "Task(model, data(), loss)", "Task(nn.Linear, data, loss)",
             "Task(model, data, nn.MSELoss)", "Task(model, data, nn.MSELoss(reduction='none'))",
             "Task(model, data, loss, {'a': 5})", "Task(model, data, loss, {'a': lambda o, y: 'x'})",
             "Task(model, data, loss, 5)", "Task(model, data, loss, {5: loss})",
             "Task(lambda: nn.LazyLinear(1), data, loss)", "Task(lambda: None, data, loss)",
             "Task(model, lambda: None, loss)", "Task(model, lambda: ((), ()), loss)",
             "Task(model, lambda: 1 / 0, loss)", "Task(model, lambda: exit(), loss)",
             "Task(model, data, lambda o, y: 1 / 0)", "Task(model, data, lambda o, y: bad())",
             "Task(model, data, lambda o, y: o)", "Task(model, data, lambda o, y: None)",
             "Task(model, data, lambda o, y: o.sum() * float('nan'))",
             "Task(model, data, loss, augment=5)", "Task(model, data, lambda o, y: o.detach().sum())"],
    "space": ["None", "5", "SearchSpace([], [])", "SearchSpace(['a'], [0])", "SearchSpace(0.1, 0)",
              "SearchSpace([0.1], [0], seeds='a')", "SearchSpace([0.1], [0], seeds=[])",
              "SearchSpace([None], [0])", "SearchSpace([0.1], [-1])", "SearchSpace([float('nan')], [0])",
              "SearchSpace([True], [0])", "SearchSpace(range(10 ** 6), [0])", "SearchSpace([0.1], [0], 1.5)",
              "SearchSpace([10 ** 400], [0])", "SearchSpace([0.1j], [0])"],
    "optimizer": ["None", "5", "'nope'", "torch.optim.LBFGS", "torch.optim.Optimizer", "lambda: 1",
                  "lambda p: 1", "lambda p, lr, weight_decay: None", "torch.optim.SGD([w], 0.1)", "nn.Linear",
                  "lambda p, lr, weight_decay: torch.optim.SGD(p, lr)", "partial(torch.optim.SGD, nope=1)"],
    "epochs": ["None", "0", "-1", "1.5", "'a'", "float('nan')", "True", "[]"],
    "batch_size": ["None", "0", "1.5", "10 ** 9", "'a'"],
    "schedule": ["None", "5", "'nope'", "torch.optim.lr_scheduler.StepLR", "lambda: 1",
                 "lambda s, t: 'a'", "lambda s, t: float('nan')", "lambda s, t: 1 / 0", "lambda s, t: -1"],
    "warmup": ["None", "-1", "2", "'a'", "float('nan')"],
    "objective": ["None", "5", "''", "'nope'", "'val_nope'", "'step'"],
    "direction": ["None", "5", "'up'"],
    "sampler": ["None", "5", "'nope'", "object()"], "pruner": ["5", "'nope'", "'percentile'"],
    "decay": ["None", "'nope'", "5"], "no_decay": ["5", "'nope'", "lambda: 1", "lambda n, p: 1 / 0"],
    "precision": ["None", "'float8'", "16"], "record_every": ["0", "'a'", "10 ** 9"],
    "diverged_factor": ["None", "0", "-1", "'a'", "float('nan')"], "device": ["None", "5", "'nope'"],
    "train": ["5", "lambda: 1", "lambda p, r: None"], "nope": ["1"],
}  # fmt: skip
LINES = ["exit()", "raise SystemExit(3)", "1 / 0", "def f(:", "raise Bad()", "import nope", "\x00",
         "STUDY = None", "STUDY = [STUDY, STUDY]", "STUDIES = []", "del STUDY",
         "def study(a): return STUDY", "def study(): return 5", "def study(): raise Bad()",
         "raise Exception('\\x1b[2J' * 1000)", "from wdstudy import nope"]  # fmt: skip
STUDY_FILE = """
from functools import partial
import torch
from torch import nn
from wdstudy import SearchSpace, StudySpec, Task

class Bad(Exception):
    def __str__(self):
        raise RuntimeError("its text raises")

def bad():
    raise Bad()

def data():
    x = torch.randn(96, 4, generator=torch.Generator().manual_seed(0))
    return (x[:64], x[:64, :1]), (x[64:], x[64:, :1])

def model():
    return nn.Linear(4, 1)

loss = nn.functional.mse_loss
w = nn.Parameter(torch.zeros(2, 2))
"""


def file_line(rng: random.Random) -> list[str]:
    """A quick run of a study file with one or two odd fields, or an odd line."""
    fields = {
        "task": "Task(model, data, loss)",
        "space": "SearchSpace([0.01, 0.1], [0, 0.1])",
        "optimizer": "'sgd'",
        "epochs": "2",
    }
    for name in rng.sample(list(FIELDS), rng.choice([1, 1, 2])):
        fields[name] = rng.choice(FIELDS[name])
    if "train" in fields:
        fields.pop(rng.choice(["task", "optimizer"]))
    given = ", ".join(f"{name}={value}" for name, value in fields.items())
    text = f"{STUDY_FILE}\nSTUDY = StudySpec({given})\n"
    if rng.random() < 0.2:
        text += rng.choice(LINES) + "\n"
    Path("drawn.py").write_text(text)
    return ["run", "drawn.py", rng.choice(["--quick", "--dry-run"]), "--jobs", "1"]


class Hanging(BaseException):
    """The command says nothing for too long."""


@contextlib.contextmanager
def limited(seconds: int) -> Iterator[None]:
    def over(*_: object) -> None:
        raise Hanging

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def what_is_wrong(line: list[str]) -> str:
    """What a command line does that none should; empty where it ends well or in one line."""
    out, err = io.StringIO(), io.StringIO()
    try:
        with limited(SECONDS), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(" ".join(line[:1]).split(" ") + line[1:])
    except Hanging:
        return "hangs"
    except BaseException as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} at {Path(where.filename).name}:{where.lineno}"
    said = err.getvalue()
    lines = said.splitlines()
    if code not in (0, 2):
        return f"exit code {code}"
    if SECRET in said + out.getvalue():
        return "tells the password"
    if "Traceback" in said:
        return "traceback"
    if re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", said):
        return "raw control characters"
    complaints = [text for text in lines if text.startswith("wdstudy: ")]
    if code == 2 and (len(complaints) != 1 or lines[-1] != complaints[0]):
        return "not one line"
    if any(len(text) > LONGEST + 20 for text in complaints):
        return "a line too long to read"
    return ""


def counted(
    draw: Callable[[random.Random], list[str]], seed: int, number: int
) -> dict[str, list[list[str]]]:
    """What is wrong → the command lines with which it is."""
    rng = random.Random(seed)
    found: dict[str, list[list[str]]] = {}
    for _ in range(number):
        line = draw(rng)
        if wrong := what_is_wrong(line):
            drawn = Path("drawn.py").read_text().splitlines()[-2:] if draw is file_line else []
            found.setdefault(wrong, []).append(line + drawn)
    return found


@pytest.mark.parametrize(
    ("draw", "number"), [(command_line, 300), (storage_line, 300), (file_line, 150)]
)
def test_whatever_is_typed_ends_well_or_in_one_line(
    study_file: StudyFile, draw: Callable[[random.Random], list[str]], number: int
) -> None:
    study_file()
    Path("linear.txt").write_text("STUDY = 1")
    Path("broken.py").write_text("def f(:")
    assert main(["run", "linear.py", "--storage", "sqlite:///s.db"]) == 0
    assert counted(draw, 1, number) == {}
