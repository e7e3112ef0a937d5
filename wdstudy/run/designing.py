"""A study that designs itself, while it runs: what its design asks next, and how it ended.

Every worker asks for itself, on what is told and what runs, whenever its queue is empty. There is
no coordinator: the same trials give the same batch, and of one batch one worker's stands.
"""

from __future__ import annotations

import time

from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from wdstudy.design.batch import Batch, Stop
from wdstudy.errors import fault
from wdstudy.run.batches import place
from wdstudy.run.cells import TAKEN
from wdstudy.run.ending import ALREADY, forget_stop, note_stop
from wdstudy.run.outcomes import (
    batch_of,
    is_placed,
    newest_batch,
    on_the_way,
    outcomes_of,
    scouts_of,
)
from wdstudy.run.plan import GUESSED
from wdstudy.run.prepared import Prepared
from wdstudy.run.progress import Display
from wdstudy.run.queue import ENQUEUE_SECONDS
from wdstudy.run.status import Status
from wdstudy.run.timebudget import TimeBudget
from wdstudy.space import TrialParams
from wdstudy.training.probe import LaneChoice
from wdstudy.words import counted

ANY_SIZE = 8
"""Trials of a batch, before it is known how many train at once."""

FEWEST = 4
"""Trials of a batch at least: with fewer, workers wait for each other more than they learn."""

_POLL_SECONDS = 0.25


class Designer:
    """Asks a study's design on behalf of one worker, and places what it asks for.

    Args:
        prepared: What is worked on.
        status, display: What is told about it, and to whom.
        run: The token of the run. worker: the name of this worker.
        until: When the time of the run is over, in seconds of the clock on the wall, which workers
            on several machines share well enough for that; None where it has no end.

    Attributes:
        over: Why nothing is to be trained, where that was so before anything began.
    """

    def __init__(
        self,
        prepared: Prepared,
        status: Status,
        display: Display,
        *,
        run: str,
        worker: str,
        until: float | None,
    ) -> None:
        assert prepared.plan.design is not None
        self._prepared, self._study = prepared, prepared.study
        self._design, self._objective = prepared.plan.design, prepared.spec.objective
        self._minimize = self._study.direction == StudyDirection.MINIMIZE
        self._status, self._display = status, display
        self._run, self._worker, self._time = run, worker, TimeBudget(until, run)
        self._size, self._jobs = ANY_SIZE, 1
        self._scouts = True
        self._asked: tuple[object, Batch | Stop | None] = (None, None)
        self._told = ""
        self._lacking, self._since = 0, time.monotonic()
        self.over: Stop | None = None

    @property
    def is_closed(self) -> bool:
        """Whether nothing more is to be begun: it was over before, or its time is."""
        return self.over is not None or self._time.is_over

    def take_stock(self) -> int:
        """Find whether there is anything to do, and say so where there is nothing.

        Returns:
            About how many trials are to be trained, to measure by.
        """
        from wdstudy.run.scouting import steps_of

        self._scouts = steps_of(self._prepared) > 0
        trials = self._trials()
        asked = self.ask(trials, scouts=self._scouts)
        waiting = sum(self._prepared.plan.takes(t) for t in trials if is_placed(t))
        if isinstance(asked, Stop) and (asked.reason == "answered" or not waiting):
            self.over = asked
            self._status.ended = True
            self._display.say(ALREADY[asked.reason])
            return 0
        if isinstance(asked, Stop):
            return waiting
        taken = sum(trial.state in TAKEN for trial in trials)
        allowed = self._design.trials - taken if self._design.trials else GUESSED
        return max(1, min(GUESSED, allowed + waiting))

    def set_size(self, lanes: int, jobs: int, seconds: float | None = None) -> None:
        """So many trials train at once: each of so many workers' lanes.

        `seconds`: what a trial takes a worker, its lanes counted, before trials themselves tell.
        """
        self._size, self._jobs = max(lanes * jobs, FEWEST), jobs
        self._time.price(jobs, seconds)

    def foresee(self) -> list[str]:
        """What a run would begin with: short runs and what they cost, or a batch of trials."""
        asked = None if self.is_closed else self.ask(self._trials(), scouts=self._scouts)
        if not isinstance(asked, Batch):
            return []
        if asked.share == 1:
            return [
                f"begins with {counted(len(asked.cells), 'trial')} to {asked.stage}: {asked.why}"
            ]
        cost = len(asked.cells) * self._share_of(asked)
        scouts = counted(len(asked.cells), "scout")
        return [f"begins with {scouts}, which take as long as {cost:.1f} trials: {asked.why}"]

    def lead(self, choice: LaneChoice) -> None:
        """Scout, if that is asked for, and place the first batch."""
        while not self.is_closed:
            trials = self._trials()
            if self._is_on_its_way(trials):
                time.sleep(_POLL_SECONDS)
                continue
            asked = self.ask(trials, scouts=self._scouts)
            if not isinstance(asked, Batch):
                return
            forget_stop(self._study)
            if asked.share == 1:
                self._place(asked, trials)
                return
            self._scout(asked, choice)

    def go_on(self, trials: list[FrozenTrial]) -> bool:
        """Place the next batch, once the queue is empty.

        Returns:
            Whether there may be a trial to claim, or may be in a moment.
        """
        if self._is_on_its_way(trials):
            time.sleep(_POLL_SECONDS)
            return True
        asked = self.ask(trials)
        if isinstance(asked, Batch):
            forget_stop(self._study)
            # Where another was faster, what is known has changed, and is thought over.
            return self._place(asked, trials) or _states(self._trials()) != _states(trials)
        if self.is_closed:
            return False
        return any(is_placed(t) and self._prepared.plan.takes(t) for t in trials)

    def end(self) -> None:
        """Write down why nothing more is placed."""
        stop = self.over or self.ask(self._trials())
        if isinstance(stop, Stop):
            note_stop(self._study, stop)

    def fair(self, lanes: int) -> int:
        """Of a batch that has less than all lanes of all workers, each takes its part."""
        trials = self._trials()
        newest = newest_batch(trials)
        held = sum(batch_of(t) == newest and t.state in TAKEN for t in trials) if newest else lanes
        return max(1, min(lanes, -(-held // self._jobs)))

    def sample(self, like: TrialParams | None = None) -> None:
        """A design enqueues all that it wants."""

    def ask(self, trials: list[FrozenTrial], *, scouts: bool = False) -> Batch | Stop | None:
        """What to train next, by these trials and scouts; what is the same is thought over once."""
        from wdstudy.design.planner import next_batch

        late = self._time.is_over
        left = self._time.trials(trials)
        known = _states(trials), self._size, scouts, late, None if left is None else int(left)
        if known != self._asked[0] or scouts:
            outcomes = outcomes_of(
                trials,
                scouts_of(self._study),
                objective=self._objective,
                run=self._run,
                waiting=not late,
            )
            asked = next_batch(
                outcomes,
                self._design,
                size=self._size,
                minimize=self._minimize,
                scouts=scouts,
                left=left,
            )
            self._asked = known, asked
        return self._asked[1]

    def _trials(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)

    def _is_on_its_way(self, trials: list[FrozenTrial]) -> bool:
        """Whether another worker is in the middle of placing a batch, and makes progress."""
        lacking = on_the_way(trials)
        if lacking != self._lacking:
            self._lacking, self._since = lacking, time.monotonic()
        return lacking > 0 and time.monotonic() - self._since < ENQUEUE_SECONDS

    def _place(self, batch: Batch, trials: list[FrozenTrial]) -> bool:
        """Whether this worker's batch stands, which was planned on these trials."""
        placed = place(self._study, batch, after=newest_batch(trials), by=self._worker)
        if placed:
            trials = self._study.get_trials(deepcopy=False, states=TAKEN)
            told = f"{batch.stage}: {batch.why}"
            self._status.note_batch(placed, told, len(trials))
            if told != self._told:  # a worker of one lane is given one trial after the other
                n = counted(len(batch.cells), "trial")
                self._display.say(f"batch {placed}, {n} to {told}")
            self._told = told
        return placed > 0

    def _scout(self, batch: Batch, choice: LaneChoice) -> None:
        from wdstudy.run.scouting import keep, scout, told_of

        percent = 100 * self._share_of(batch)
        self._display.say(f"scouting: {batch.why}, each {percent:.2g} % of a trial")
        try:
            rows = scout(self._prepared, batch, choice)
        except Exception as error:  # what is wrong will show again, in a trial
            self._scouts = False
            self._display.warn(f"scouting fails, so trials of full length begin: {fault(error)}")
            return
        keep(self._study, rows)
        self._display.say(told_of(rows, self._objective, minimize=self._minimize))

    def _share_of(self, batch: Batch) -> float:
        """How long scouts really are: they have some steps at least."""
        from wdstudy.run.scouting import steps_of

        return steps_of(self._prepared, batch.share) / self._prepared.total_steps


def _states(trials: list[FrozenTrial]) -> tuple[tuple[int, TrialState], ...]:
    """What makes one look at a study differ from another."""
    return tuple((trial.number, trial.state) for trial in trials)
