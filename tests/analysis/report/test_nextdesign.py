"""How to go on with a design: a command that its run takes, or that there is nothing to do."""

from __future__ import annotations

from dataclasses import replace

import pytest
from made_studies import designed_study, grid_study

from wdstudy.analysis.frames.study import record_of
from wdstudy.analysis.frames.trials import trials_frame
from wdstudy.analysis.numbers.nextsweep import NextSweep
from wdstudy.analysis.report.nextdesign import next_of_design
from wdstudy.design.design import parse_until

COMMAND = ("mine.py", "--epochs", "3", "--trials", "20")


def following(command: tuple[str, ...] = COMMAND, **changes: object) -> NextSweep:
    study = designed_study(**changes)  # type: ignore[arg-type]
    record = replace(record_of(study), command=command)
    found = next_of_design(record, trials_frame(study))
    assert found is not None
    return found


@pytest.mark.parametrize("reason", ["answered", "hopeless"])
def test_what_has_its_answers_or_can_not_have_them_has_no_command(reason: str) -> None:
    found = following(stop=(reason, "why it is so"))
    assert found.command == ()
    told = "\n".join(found.why)
    assert ("you have your answer" in told) is (reason == "answered")
    assert ("why it is so" in told) is (reason == "hopeless")
    assert "the best cell, answered: " in told


def test_a_spent_budget_is_raised_by_what_is_open() -> None:
    found = following(stop=("budget", "spent"))
    assert found.command[:5] == ("run", "mine.py", "--epochs", "3", "--design")
    assert found.command.count("--trials") == 1
    assert int(found.command[-1]) == len(designed_study().trials) + found.trials
    assert found.trials > 0
    assert found.seconds == found.trials  # each took a second
    assert "--lr" not in found.command


def test_what_goes_on_has_its_own_command_again() -> None:
    found = following(stop=None)
    assert found.command == ("run", "mine.py", "--epochs", "3", "--design")
    assert "goes on" in found.why[0]


def test_what_was_asked_and_its_limits_stand_in_the_command() -> None:
    asked = {"best": 0.01, "effects": None, "limit": 0.3}
    space = {"lr": [1e-4, 1.0], "weight_decay": [0.0, 1e-7, 1e2], "seeds": [0]}
    command = following(stop=None, asked=asked, space=space).command
    until = command[command.index("--until") + 1]
    assert parse_until(until) == asked
    assert command[command.index("--lr") + 1] == "0.0001:1"
    assert "--weight-decay" not in command


def test_of_another_program_nothing_is_commanded() -> None:
    found = following((), stop=None)
    assert found.command == ()
    assert found.why[-1] == "go on with the program that trained what is there"


def test_a_grid_is_for_others_to_suggest() -> None:
    study = grid_study()
    assert next_of_design(record_of(study), trials_frame(study)) is None
