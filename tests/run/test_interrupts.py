"""Signals that arrive while something must be whole."""

from __future__ import annotations

import _thread
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import small_tasks

from wdstudy.run.interrupts import interrupt_on, uninterrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before, hook = [signal.getsignal(number) for number in SIGNALS], sys.unraisablehook
    yield
    for number, handler in zip(SIGNALS, before, strict=True):
        signal.signal(number, handler)
    sys.unraisablehook = hook


def receive(*signals: signal.Signals, after: list[str]) -> None:
    """Get signals in a block, and one more after it; what was done in full is noted."""
    try:
        with uninterrupted():
            for number in signals:
                signal.raise_signal(number)
            after.append("block")
    finally:
        signal.raise_signal(signal.SIGTERM)
        after.append("end")


@pytest.mark.parametrize("first", SIGNALS)
def test_a_signal_waits_for_the_end_of_the_block(first: signal.Signals) -> None:
    interrupt_on(*SIGNALS)
    done: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        receive(first, after=done)
    assert done == ["block", "end"]


def test_a_sigterm_after_a_ctrl_c_that_is_ignored_ends_the_worker() -> None:
    """Ctrl-C reaches workers as well, which ignore it; then their parent ends them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    interrupt_on(signal.SIGTERM)
    done: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        receive(signal.SIGINT, signal.SIGTERM, after=done)
    assert done == ["block", "end"]  # or the one after the block would have raised


def test_a_sigterm_after_a_ctrl_c_does_not_disturb_the_end() -> None:
    interrupt_on(*SIGNALS)
    done: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        receive(signal.SIGINT, signal.SIGTERM, after=done)
    assert done == ["block", "end"]


def test_an_interrupt_is_handed_on_where_its_signal_is_blocked() -> None:
    """As in a job of Ray's: Ctrl-C is not to reach it, and it is cancelled from another thread."""
    interrupt_on(signal.SIGINT)
    done: list[str] = []

    def cancelled() -> None:
        with uninterrupted():
            _thread.interrupt_main()
            done.append("block")
        done.append("went on")

    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with pytest.raises(KeyboardInterrupt):
            cancelled()
        assert done == ["block"]
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_where_nobody_handles_it_a_sigterm_ends_the_process_after_the_block() -> None:
    code = (
        "import signal\n"
        "from wdstudy.run.interrupts import uninterrupted\n"
        "with uninterrupted():\n"
        "    signal.raise_signal(signal.SIGTERM)\n"
        "    print('whole', flush=True)\n"
        "print('alive')\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.stdout == "whole\n"
    assert ended.returncode == -signal.SIGTERM


@pytest.mark.parametrize("first", SIGNALS)
def test_a_signal_is_not_lost_where_the_block_fails(first: signal.Signals) -> None:
    interrupt_on(*SIGNALS)

    def fail() -> None:
        with uninterrupted():
            signal.raise_signal(first)
            raise OSError

    with pytest.raises(KeyboardInterrupt):
        fail()


STOPPED_WHILE_AWAY = """
import os, signal, sys, threading
from optuna.storages import InMemoryStorage
from sqlalchemy.exc import OperationalError
from small_tasks import blobs, mlp
from torch.nn.functional import cross_entropy
from wdstudy import SearchSpace, StudySpec, Task
from wdstudy.run.interrupts import interrupt_on
from wdstudy.run.prepared import prepare
from wdstudy.run.progress import Silent
from wdstudy.run.runner import Runner
from wdstudy.training.probe import LaneChoice

claimed, received = sys.argv[1] == "claimed", getattr(signal, sys.argv[2])
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's job may ignore it
interrupt_on(signal.SIGTERM)
spec = StudySpec(name="a", task=Task(mlp, blobs, cross_entropy), epochs=1, device="cpu",
                 space=SearchSpace(lr=[0.1, 0.2], weight_decay=[0]))
prepared = prepare(spec, InMemoryStorage())
runner = Runner(prepared, Silent())
runner.enqueue()
inner = prepared.storage.storage
stop = threading.Timer(0.5, os.kill, (os.getpid(), received))

def away(really):
    def ask(*asked):
        if prepared.storage.patience < 10:  # it is back when trials are given back
            return really(*asked)
        if not stop.ident:
            stop.start()
        raise OperationalError("UPDATE", {}, Exception("gone"))
    return ask

part = "set_trial_user_attr" if claimed else "set_trial_state_values"
setattr(inner, part, away(getattr(inner, part)))
try:
    runner.work(LaneChoice(1, ""))
except KeyboardInterrupt:
    print("interrupted", *(trial.state.name for trial in prepared.study.trials))
"""


@pytest.mark.slow
@pytest.mark.parametrize("received", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize(
    ("while_", "left"), [("claiming", "WAITING WAITING"), ("claimed", "FAIL WAITING")]
)
def test_who_waits_for_a_storage_to_claim_a_trial_can_be_stopped(
    while_: str, left: str, received: str
) -> None:
    """The storage is away for a moment between two statements, and no trial stays anybody's."""
    support = Path(small_tasks.__file__).parent
    path = os.pathsep.join([str(support), os.environ.get("PYTHONPATH", "")])
    ended = subprocess.run(
        [sys.executable, "-c", STOPPED_WHILE_AWAY, while_, received],
        env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert ended.stdout == f"interrupted {left}\n", ended.stderr
