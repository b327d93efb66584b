"""A disk that does not answer for a while, or answers oddly, ends no run and no view of one."""

from __future__ import annotations

from pathlib import Path

from sft_tui.project.events import EventLog, EventReader, append_event, make_event
from sft_tui.project.layout import RunLayout
from sft_tui.project.requests import Request, RequestKind, leave_request, take_requests
from sft_tui.project.state import RunState, StageState
from sft_tui.run.monitor import Monitor


def test_a_request_that_cannot_be_removed_is_passed_over(tmp_path: Path) -> None:
    layout = RunLayout(tmp_path, "apples")
    assert list(take_requests(layout)) == []
    (layout.requests / "1-stop.json").mkdir(parents=True)
    leave_request(layout, Request(RequestKind.STOP))
    assert [request.kind for request in take_requests(layout)] == [RequestKind.STOP]
    assert list(take_requests(layout)) == []


def test_a_project_out_of_reach_raises_no_alarm(tmp_path: Path) -> None:
    layout = RunLayout(tmp_path / "gone", "apples")
    monitor = Monitor(layout, RunState("apples"), StageState(), EventLog(layout.events), None)
    monitor._last_tick = 0.0
    assert monitor.look() is False and monitor._last_tick > 0


def test_events_out_of_reach_come_later(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    reader = EventReader(path)
    path.mkdir()
    assert list(reader.poll()) == []
    path.rmdir()
    append_event(path, make_event("warning", id="x"))
    assert [event["id"] for event in reader.poll()] == ["x"]
