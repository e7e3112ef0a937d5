"""What is asked of a design, as it is written on the command line and in code."""

from __future__ import annotations

import json
import math

import pytest

from wdstudy.design.batch import QUESTIONS
from wdstudy.design.design import Design, parse_budget, parse_until
from wdstudy.errors import SpecError


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("best=2%,effects,limit=0.3", {"best": 0.02, "effects": 0.05, "limit": 0.3}),
        ("best", {"best": 0.02, "effects": None, "limit": None}),
        ("effects=10%", {"best": None, "effects": 0.1, "limit": None}),
        ("effects=0.1", {"best": None, "effects": 0.1, "limit": None}),
        (" limit , best=0.5% ", {"best": 0.005, "effects": None, "limit": 0.5}),
    ],
)
def test_questions_are_read(text: str, told: dict[str, float | None]) -> None:
    assert parse_until(text) == pytest.approx(told)
    assert Design(**parse_until(text)).as_data() == pytest.approx(told)


@pytest.mark.parametrize(
    "text",
    ["", "bset=2%", "best=", "best=two", "best=0", "best=-1%", "best=inf", "best=nan", "limit=30%",
     "best,,effects", "best=2%%"],
)  # fmt: skip
def test_what_is_no_question_is_named_in_one_line(text: str) -> None:
    with pytest.raises(SpecError, match="--until") as error:
        parse_until(text)
    assert "\n" not in str(error.value)
    assert "=" in str(error.value)  # how it is written


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("20m", 1200), ("1.5h", 5400), (" 2d ", 172_800)]
)
def test_a_budget_is_read(text: str, seconds: float) -> None:
    assert parse_budget(text) == seconds


@pytest.mark.parametrize("text", ["", "20", "m", "0m", "-5m", "1e3s", "20 minutes", "infs"])
def test_what_is_no_budget_is_named_with_the_remedy(text: str) -> None:
    with pytest.raises(SpecError, match=r"like 90s, 20m or 1\.5h") as error:
        parse_budget(text)
    assert f"--budget {text}:" in str(error.value)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"best": 0}, "best=0"),
        ({"best": math.nan}, "best=nan"),
        ({"effects": -0.1}, "effects=-0.1"),
        ({"limit": math.inf}, "limit=inf"),
        ({"best": True}, "best=True"),
        ({"best": "2%"}, "best='2%'"),
        ({"trials": 0}, "trials=0"),
        ({"trials": 2.5}, "trials=2.5"),
        ({"trials": True}, "trials=True"),
        ({"seconds": 0}, "seconds=0"),
        ({"best": None, "effects": None, "limit": None}, "asks nothing"),
        ({"lr": (1.0, 0.1)}, "lr="),
        ({"lr": (0.0, 0.1)}, "lr="),
        ({"lr": (0.1,)}, "lr="),
        ({"lr": 0.1}, "lr="),
        ({"lr": (math.nan, 1.0)}, "lr="),
        ({"weight_decay": (0.0, 0.1)}, "weight_decay="),
        ({"weight_decay": ("a", "b")}, "weight_decay="),
    ],
)
def test_a_design_that_can_not_be_used_names_the_field(
    fields: dict[str, object], named: str
) -> None:
    with pytest.raises(SpecError) as error:
        Design(**fields)  # type: ignore[arg-type]
    assert named in str(error.value)
    assert "\n" not in str(error.value)


def test_what_is_asked_is_data() -> None:
    """As the study's record keeps it: whoever resumes asks the same."""
    for design in (Design(), Design(best=None, trials=30, seconds=90.0)):
        back = json.loads(json.dumps(design.as_data()))
        assert Design(**back) == design


def test_every_question_has_words() -> None:
    assert list(QUESTIONS) == list(parse_until("best"))


def test_the_space_holds_the_limits_and_zero() -> None:
    space = Design(lr=(0.01, 1.0), weight_decay=(1e-4, 0.1)).space
    assert list(space.lr) == [0.01, 1.0]
    assert list(space.weight_decay) == [0.0, 1e-4, 0.1]
