"""Which column of a sweep is what, by its name: the axes, the seed, the optimizer, the metrics."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from wdstudy.curves import (
    FINAL_PREFIX,
    INITIAL_LOSS,
    LEARNING_RATE,
    PRIMARY_LOSS,
    SERIES,
    TRAIN_SECONDS,
    VAL_LOSS,
    VAL_PREFIX,
    WEIGHT_NORM,
)
from wdstudy.directions import Direction, direction_of
from wdstudy.errors import SpecError

_LR = ("lr", "learningrate", "initlr", "initiallr", "baselr", "peaklr", "maxlr", "lr0", "eta",
       "initiallearningrate", "peaklearningrate", "maxlearningrate", "baselearningrate",
       "learningrateinit", "stepsize")  # fmt: skip
_WEIGHT_DECAY = ("weightdecay", "wd", "l2", "l2reg", "l2regularization", "l2penalty", "l2lambda",
                 "weightdecayrate", "decay", "lambda", "reglambda", "regularization")  # fmt: skip
_SEED = ("seed", "randomseed", "rngseed", "randomstate", "globalseed", "trialseed", "replica",
         "replicate", "repeat", "repetition", "fold", "split")  # fmt: skip
_OPTIMIZER = ("optimizer", "optim", "opt", "optimizername", "optimname", "optimizertype",
              "optimizerclass", "optimizertarget")  # fmt: skip
_STATE = ("state", "status", "runstate", "trialstate")
_RUN = ("run", "runid", "id", "trial", "trialid", "number", "trialnumber", "runname", "name")
_STEP = ("step", "globalstep", "iteration", "trainingiteration", "iter", "steps", "epoch")
_NORM = ("weightnorm", "weightsnorm", "paramnorm", "paramsnorm", "parameternorm", "weightsl2",
         "weightl2norm", "l2norm", "weightnorml2", "normweights", "normparams")  # fmt: skip

_VAL = {"val", "valid", "validation", "eval", "evaluation", "dev", "heldout", "holdout"}
_TRAIN = {"train", "training", "trn"}
_TEST = {"test", "testing"}
_LAST = {"final", "last", "end", "epoch", "mean", "avg"}  # of what a metric is told beside its name
_OF_BEST = {"best", "min", "max"}

SCALARS = (INITIAL_LOSS, TRAIN_SECONDS)
"""What a study keeps of a trial beside its series, under the same name."""

PARTS_OF_A_CONFIG = ("params", "param", "config", "hparams", "hparam", "args", "hyperparameters")


def words_of(name: str) -> list[str]:
    """A name in its words.

    >>> words_of("config/optimizer.learningRate")
    ['config', 'optimizer', 'learning', 'rate']
    """
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return re.findall(r"[a-z0-9]+", apart.lower())


def rank_of_lr(name: str) -> int | None:
    """How surely a name is that of the learning rate, 0 the surest; None where it is not."""
    return _rank(name, _LR)


def rank_of_weight_decay(name: str) -> int | None:
    """How surely a name is that of the weight decay."""
    return _rank(name, _WEIGHT_DECAY)


def rank_of_seed(name: str) -> int | None:
    """How surely a name is that of the seed."""
    return _rank(name, _SEED)


def rank_of_optimizer(name: str) -> int | None:
    """How surely a name is that of the optimizer."""
    words = [word for word in words_of(name) if word not in ("class", "target", "cls")]
    return _rank(".".join(words), _OPTIMIZER)


def rank_of_state(name: str) -> int | None:
    """How surely a name is that of how a run ended."""
    return _rank(name, _STATE, alone=True)


def rank_of_run(name: str) -> int | None:
    """How surely a name is that of what a run is known by."""
    return _rank(name, _RUN, alone=True)


def rank_of_step(name: str) -> int | None:
    """How surely a name is that of the steps of a curve."""
    return _rank(name, _STEP, alone=True)


def ranked(names: Iterable[str], rank: Callable[[str], int | None]) -> list[str]:
    """Those names that are what `rank` looks for, the surest first."""
    found = [(order, name) for name in names if (order := rank(name)) is not None]
    return [name for _, name in sorted(found, key=lambda item: item[0])]


def _rank(name: str, known: tuple[str, ...], *, alone: bool = False) -> int | None:
    """The place among known names; after all of them what ends in one, as `optimizer.lr` does."""
    words = words_of(name)
    while words and words[0] in PARTS_OF_A_CONFIG:
        words = words[1:]
    whole = "".join(words)
    if whole in known:
        return known.index(whole)
    parts = re.split(r"[./]", name)
    last = "".join(words_of(parts[-1]))
    if alone or len(parts) < 2 or last not in known:
        return None
    return len(known) + known.index(last)


def way_of(metric: str) -> Direction | None:
    """Whether low or high is good; None where the name does not say."""
    try:
        return direction_of(" ".join(words_of(metric)))
    except SpecError:
        return None


def is_metric(name: str) -> bool:
    """Whether a name is that of something measured."""
    words = set(words_of(name))
    return way_of(name) is not None or bool(words & (_VAL | _TRAIN | _TEST)) or is_norm(name)


def is_norm(name: str) -> bool:
    """Whether a name is that of the norm of the weights."""
    words = [word for word in words_of(name) if word not in _TRAIN | _LAST]
    return "".join(words) in _NORM


def rank_of_metric(name: str) -> int | None:
    """How fit a metric is to judge a sweep by: validation before test before training, losses
    before what else is measured; None where the name does not say which way is better.
    """
    way = way_of(name)
    words = set(words_of(name))
    if way is None or words & {"decay", "total", "initial"}:
        return None
    part = 0 if words & _VAL else 2 if words & _TEST else 3 if words & _TRAIN else 1
    loss = 0 if words & {"loss", "nll"} else 1 if way == "minimize" else 2
    return 10 * part + 3 * bool(words & _OF_BEST) + loss


def series_of(name: str, beside: Iterable[str] = ()) -> str | None:
    """What a study of wdstudy calls a metric; None where it has no word for it.

    What is called `loss` alone is the loss of the training where a validation loss stands beside
    it, as Keras and Lightning have it; else it is what the sweep was judged by.

    >>> series_of("eval/loss"), series_of("train_loss"), series_of("test_accuracy")
    ('val_loss', 'primary_loss', None)
    """
    plain = name.removeprefix(FINAL_PREFIX)
    if plain in SCALARS:
        return plain
    if plain in SERIES:
        return None if SERIES[plain].derived else plain
    if plain.startswith(VAL_PREFIX):
        return plain
    if is_norm(name):
        return WEIGHT_NORM
    words = words_of(plain)
    if rank_of_lr(plain) is not None or words[-2:] == ["learning", "rate"] or words[-1:] == ["lr"]:
        return LEARNING_RATE
    if set(words) & _TEST:
        return None
    rest = [w for w in words if w not in _VAL | _TRAIN and w not in _LAST]
    if set(words) & _TRAIN:
        return PRIMARY_LOSS if rest == ["loss"] else None
    if set(words) & _VAL:
        return VAL_PREFIX + "_".join(rest or ["loss"])
    if way_of(name) is None:
        return None
    if rest == ["loss"] and any(other != name and series_of(other) == VAL_LOSS for other in beside):
        return PRIMARY_LOSS
    return VAL_PREFIX + "_".join(rest)


def says_where(name: str) -> bool:
    """Whether a metric's name says on which data it was measured."""
    return bool(set(words_of(name)) & (_VAL | _TEST | _TRAIN)) or name in SERIES


def column_of(name: str) -> str:
    """A metric's name as an attribute of a study: letters, digits and underscores.

    >>> column_of("test/top-1 Accuracy")
    'test_top_1_accuracy'
    """
    return "_".join(words_of(name)) or "value"
