"""The state machine of runs and stages: whatever happens in whatever order, only legal steps are taken."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sft_tui.project.state import (
    TRANSITIONS,
    IllegalTransition,
    RunState,
    StageState,
    Status,
    state_from_json,
)

ENDS = (Status.FINISHED, Status.FAILED, Status.STOPPED)


class Life(RuleBasedStateMachine):
    """A run with one stage, its supervisor as it acts on both, and what is on the disk of them."""

    @initialize()
    def begin(self) -> None:
        self.state = RunState("apples", created=1.0)
        self.state.stages["train"] = StageState()
        self.supervised = False

    @property
    def train(self) -> StageState:
        return self.state.stages["train"]

    @precondition(lambda self: not self.supervised)
    @rule()
    def start(self) -> None:
        self.state.move_to(Status.RUNNING)
        if self.train.status is not Status.RUNNING:
            self.train.move_to(Status.PENDING)
        self.supervised = True

    @precondition(lambda self: self.supervised and self.train.status is Status.PENDING)
    @rule()
    def wait_for_memory(self) -> None:
        self.state.move_to(Status.WAITING)

    @precondition(lambda self: self.supervised and self.train.status is Status.PENDING)
    @rule()
    def start_stage(self) -> None:
        self.state.move_to(Status.RUNNING)
        self.train.move_to(Status.RUNNING)

    @precondition(lambda self: self.supervised and self.train.status is Status.RUNNING)
    @rule()
    def ask_to_stop(self) -> None:
        self.state.move_to(Status.STOPPING)

    @precondition(lambda self: self.supervised and self.train.status is Status.RUNNING)
    @rule()
    def finish(self) -> None:
        self._end(Status.FINISHED)

    @precondition(lambda self: self.supervised)
    @rule()
    def fail(self) -> None:
        self._end(Status.FAILED)

    @precondition(lambda self: self.supervised and self.train.status is not Status.FINISHED)
    @rule()
    def be_stopped(self) -> None:
        self._end(Status.STOPPED)

    def _end(self, status: Status) -> None:
        self.train.move_to(status)
        self.state.move_to(status)
        self.supervised = False

    @precondition(lambda self: self.supervised)
    @rule()
    def lose_the_supervisor(self) -> None:
        self.supervised = False

    @precondition(lambda self: not self.supervised and self.state.status.final)
    @rule()
    def make_stale(self) -> None:
        self.train.move_to(Status.PENDING)

    @rule()
    def read_again(self) -> None:
        self.state = state_from_json(self.state.as_json())

    @invariant()
    def supervised_means_active(self) -> None:
        assert not self.supervised or self.state.status.active
        assert self.state.status is not Status.LOST

    @invariant()
    def an_end_is_an_end(self) -> None:
        if self.state.status.final:
            for status in set(Status) - {Status.PENDING, Status.RUNNING, Status.WAITING, *ENDS}:
                with pytest.raises(IllegalTransition):
                    self.state.move_to(status)


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_the_table_knows_every_status_and_nothing_follows_what_is_only_shown() -> None:
    assert set(TRANSITIONS) == set(Status)
    assert not TRANSITIONS[Status.LOST]
    assert all(Status.LOST not in after for after in TRANSITIONS.values())


def test_a_finished_stage_is_not_stopped_afterwards() -> None:
    stage = StageState(Status.FINISHED)
    with pytest.raises(IllegalTransition):
        stage.move_to(Status.STOPPED)
    assert stage.status is Status.FINISHED
