"""Signals that arrive while something must be whole."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

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
