"""The flags of the command line: their types, how they are written, and what help says of them."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from wdstudy.cli.completion import OPTIMIZERS, PRUNERS, SAMPLERS, known_studies, one_of
from wdstudy.launchers.base import LAUNCHERS
from wdstudy.trackers.options import CLASSES
from wdstudy.words import command

STORAGE = "--storage"


def called(arguments: list[str]) -> str:
    """The command line as it can be typed again, without the passwords in it."""
    from wdstudy.storage.url import masked

    shown = []
    for before, item in pairwise(["", *arguments]):
        flag, is_, url = item.partition("=")
        if flag == STORAGE and is_:  # also a mistyped one, as is no URL at all
            item = f"{flag}={masked(url)}"
        elif before == STORAGE or "://" in item:
            item = masked(item)
        shown.append(item)
    return command(shown)


StudyName = Annotated[str, Argument(metavar="NAME", help="A study.", autocompletion=known_studies)]
StudyNames = Annotated[
    list[str],
    Argument(metavar="NAME…", help="One study, or several.", autocompletion=known_studies),
]
StorageURL = Annotated[
    str | None,
    Option(
        metavar="URL",
        help="sqlite:///FILE, journal:///FILE, postgresql://…, or @FILE that holds it; "
        "$OPTUNA_STORAGE where it is not given, else sqlite:///wdstudy.db.",
    ),
]
StudyFile = Annotated[Path, Argument(metavar="STUDY_FILE", help="A Python file: see studies/.")]
Name = Annotated[str | None, Option(metavar="NAME", help="The study's name, not the file's.")]
Only = Annotated[
    str, Option(metavar="NAMES", help="Of a file with several studies, these: sgd,adamw.")
]
Epochs = Annotated[int | None, Option(metavar="N", help="Epochs of a trial.")]
OptimizerName = Annotated[
    str | None,
    Option(
        metavar="NAME",
        help="A class of torch.optim, in any case: sgd, adamw.",
        autocompletion=one_of(OPTIMIZERS),
    ),
]
LR = Annotated[str | None, Option("--lr", metavar="AXIS", help="Values, ranges: 1e-3:1:7.")]
WeightDecay = Annotated[
    str | None, Option(metavar="AXIS", help="Values, ranges: 0,1e-5:1e-1:6; 0 is the baseline.")
]
Tau = Annotated[
    str | None,
    Option(
        metavar="AXIS",
        help="Instead of weight decay, how long it remembers: 1/(lr·weight_decay) steps, as shares "
        "of the run: 0.01:1:5.",
    ),
]
Scales = Annotated[
    list[str] | None,
    Option(
        "--scale",
        metavar="NAME=VALUES",
        help="A third axis: batch_size, epochs, train_examples, or the file's own Scale: "
        "batch_size=32,64,128,256.",
    ),
]
Follow = Annotated[
    str | None,
    Option(
        metavar="AXIS=POWER",
        help="Along a scale, move the window of lr or weight_decay by this power of it: lr=0.5.",
    ),
]
OnlyAt = Annotated[
    str | None,
    Option(
        "--at",
        metavar="NAME=VALUES",
        help="Along a scale, train at these values alone; new ones join it: batch_size=512.",
    ),
]
Cells = Annotated[
    str | None,
    Option(
        metavar="PLACES",
        help="These places of the plane and no others, lr:weight_decay: 0.1:0.003,0.03:0.",
    ),
]
Seeds = Annotated[int | None, Option(metavar="N", help="Replicas of every cell.")]
Sampler = Annotated[
    str | None,
    Option(
        metavar="NAME",
        help=f"{', '.join(SAMPLERS[:-1])} or {SAMPLERS[-1]}.",
        autocompletion=one_of(SAMPLERS),
    ),
]
Pruner = Annotated[
    str | None,
    Option(metavar="NAME", help="median, hyperband, …", autocompletion=one_of(PRUNERS)),
]
Trials = Annotated[
    int | None, Option(metavar="N", help="Trials that a sampler makes, or a design may take.")
]
Designs = Annotated[
    bool,
    Option(
        "--design",
        help="Let the study find its own ranges, trials and seeds, and stop when what is asked is "
        "answered; --lr and --weight-decay are limits then: 1e-4:1.",
    ),
]
Until = Annotated[
    str | None,
    Option(
        metavar="QUESTIONS",
        help="What a design is to answer: best=2%,effects=5%,limit=0.5 (decades); one, or several.",
    ),
]
Minutes = Annotated[
    float | None, Option(metavar="N", help="How long a design may take, from now on.")
]
Budget = Annotated[str | None, Option(metavar="TIME", help="The same, as 90s, 20m or 1.5h.")]
Device = Annotated[str | None, Option(metavar="NAME", help="auto, cpu, cuda, cuda:1 or mps.")]
Compile = Annotated[
    bool, Option("--compile", help="Through torch.compile: for long trainings, and for GPUs.")
]
Devices = Annotated[
    str | None, Option(metavar="NAMES", help="For several jobs, in turn: cuda:0,cuda:1.")
]
Lanes = Annotated[
    str, Option(metavar="N", help="Trials trained as one model; auto: as many as are fastest.")
]
Jobs = Annotated[
    str, Option(metavar="N", help="Processes; auto: as many as the cores or GPUs are worth.")
]
Launcher = Annotated[
    str,
    Option(
        metavar="NAME",
        help="; ".join(f"{name}: {entry.says}" for name, entry in LAUNCHERS.items()) + ".",
        autocompletion=one_of(LAUNCHERS),
    ),
]
Address = Annotated[
    str | None,
    Option(metavar="HOST:PORT", help="The Ray cluster; where not given, a Ray on this machine."),
]
GpusPerJob = Annotated[
    float | None, Option(metavar="N", help="With Ray: 0.25 lets four jobs share a GPU.")
]
Same = Annotated[
    bool,
    Option("--same", help="Go on with a study though its code looks changed: you know better."),
]
Settings = Annotated[
    list[str] | None,
    Option(
        "--set",
        metavar="KEY=VALUE",
        help="A keyword of the file's def study(...), or TRACKER.OPTION=VALUE.",
    ),
]
Track = Annotated[
    str | None,
    Option(
        metavar="NAMES",
        help=f"Where every trial is a run as well: {','.join(CLASSES)}. Options: "
        "--set tensorboard.dir=runs, wandb.project, wandb.mode=offline, mlflow.uri, …",
    ),
]
Quick = Annotated[
    bool,
    Option("--quick", help="Does it all work? 3 × 3 cells of 12 steps, as the study NAME-quick."),
]
DryRun = Annotated[
    bool,
    Option(
        "--dry-run",
        help="Say what would be trained, and what time and disk it takes; write nothing.",
    ),
]
Quiet = Annotated[bool, Option("--quiet", "-q", help="Show nothing but what is wrong.")]
Log = Annotated[
    Path | None, Option(metavar="FILE", help="Append what is shown, with the time, to this file.")
]
Yes = Annotated[bool, Option("--yes", "-y", help="Don't ask.")]
Artifacts = Annotated[
    Path | None,
    Option(
        metavar="DIR",
        help="Where published figures are kept; FILE.artifacts beside the storage's file if not "
        "given.",
    ),
]
Live = Annotated[
    bool, Option("--live/--no-live", help="Keep the study's page in optuna-dashboard up to date.")
]
AlongScale = Annotated[
    str | None,
    Option(
        "--scale",
        metavar="NAME[=VALUES]",
        help="Read several studies as one along this scale, or one that holds it as another "
        "hyperparameter: batch_size. Where they don't tell its values, in the order of the "
        "studies: width=64,128,256.",
    ),
]
