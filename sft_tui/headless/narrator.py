"""What is said of a run that is followed: lines for people, events for programs."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from typing import Any

from sft_tui.headless.follow import Listener, follow
from sft_tui.headless.output import duration, put_json, say, say_in_place
from sft_tui.i18n import _
from sft_tui.project.events import Event, EventReader
from sft_tui.project.layout import RunLayout
from sft_tui.project.state import RunState, Status, present_status
from sft_tui.view.outcome import exit_code_of, lacked_memory, read_outcome, status_word
from sft_tui.view.pace import Pace


def watch(layout: RunLayout, reader: EventReader, *, as_json: bool) -> int:
    """Follow a run to its end and say how it ended; its exit code."""
    return follow(layout, reader, JsonNarrator() if as_json else Narrator(layout))


def say_where(layout: RunLayout, state: RunState) -> None:
    """Say how far a run is that somebody begins to follow."""
    metrics = state.metrics
    if "step" in metrics:
        text = _("{run}: {stage}, step {step}/{total}, loss {loss}")
        loss = f"{metrics['loss']:.4f}" if "loss" in metrics else "-"
        step, total = int(metrics["step"]), int(metrics.get("total_steps", 0))
        say(text.format(run=layout.name, stage=state.stage, step=step, total=total, loss=loss))


def say_end(layout: RunLayout, state: RunState) -> None:
    """Say how a run has ended: why and the end of its log where it failed, then what there is and how to go on."""
    outcome = read_outcome(layout, state)
    say(outcome.headline)
    not_started = lacked_memory(outcome.status, state.exit_code, state.stage)
    if outcome.status is Status.FAILED and state.stage and not not_started:
        _say_end_of_log(layout, state.stage)
    for line in outcome.lines[1:]:
        say(line)


def _say_end_of_log(layout: RunLayout, stage: str) -> None:
    from sft_tui.view.failure_report import lines_that_matter

    say(_("The last lines of {path}:").format(path=layout.stage_log(stage)))
    for line in lines_that_matter(layout, stage, ""):
        say(f"  | {line}")


class JsonNarrator(Listener):
    """The events as they are, a line each; the last one also where it was never written."""

    as_json = True

    def __init__(self) -> None:
        self._finished = False

    def tell(self, event: Event) -> None:
        """Hand it on."""
        put_json(event)
        self._finished = event.get("type") == "run_finished"

    def end(self, layout: RunLayout, state: RunState) -> None:
        """Why it failed on stderr."""
        if not self._finished:
            put_json({"type": "run_finished", **end_as_json(layout, state)})
        if state.message:
            say(state.message)


def end_as_json(layout: RunLayout, state: RunState) -> dict[str, Any]:
    """How a run has ended, in the words of its last event."""
    return {
        "run": layout.name,
        "status": present_status(state).value,
        "exit_code": exit_code_of(state),
        "message": state.message,
    }


class Narrator(Listener):
    """Plain lines on stderr; on a terminal the progress of a stage is one line that is written over."""

    def __init__(self, layout: RunLayout) -> None:
        self._layout = layout
        self._figures: dict[str, Any] = {}
        self._pace = Pace()

    def tell(self, event: Event) -> None:
        """Narrate one event; one of a later version, or edited by hand, may lack what it would be told with."""
        tellers: dict[object, Callable[[Event], None]] = {
            "run_started": self._run_started,
            "stage_started": self._stage_started,
            "stage_finished": self._stage_finished,
            "progress": self._progress,
            "metric": self._metric,
            "warning": self._warning,
            "diagnosis": self._diagnosis,
        }
        teller = tellers.get(event.get("type"))
        if teller is not None:
            with contextlib.suppress(KeyError, TypeError, ValueError):
                teller(event)

    def end(self, layout: RunLayout, state: RunState) -> None:
        """How it has ended."""
        say_end(layout, state)

    def _run_started(self, event: Event) -> None:
        say(_("run {run} in {project}").format(run=self._layout.name, project=self._layout.project))
        if event.get("parent"):
            say(_("it trains the adapter of {run} further").format(run=event["parent"]))

    def _stage_started(self, event: Event) -> None:
        self._pace.clear()
        say(_("{stage}: started, log {log}").format(stage=event["stage"], log=event["log"]))

    def _stage_finished(self, event: Event) -> None:
        text = _("{stage}: {status} after {time}")
        word = _("done") if event["status"] == Status.FINISHED else status_word(Status(event["status"]))
        say(text.format(stage=event["stage"], status=word, time=duration(event["seconds"])))

    def _progress(self, event: Event) -> None:
        if event.get("stage") == "wait":
            self._show(f"  {event['message']}")
            return
        if event.get("stage") != "train":
            self._show(_("  {rows} rows").format(rows=event.get("rows", 0)))
            return
        self._figures.update({k: v for k, v in event.items() if k not in ("t", "type", "stage")})
        self._pace.add(int(event.get("step", 0)), event.get("elapsed_s"))

    def _metric(self, event: Event) -> None:
        for key in ("loss", "eval_loss"):  # each line shows what is new in it
            self._figures.pop(key, None)
        self._figures.update({k: v for k, v in event.items() if k not in ("t", "type")})
        self._pace.add(int(event.get("step", 0)), event.get("elapsed_s"))
        self._show(self._progress_text())

    def _progress_text(self) -> str:
        figures = self._figures
        step, total = int(figures.get("step", 0)), figures.get("total_steps")
        parts = [_("step {step}/{total}").format(step=step, total=int(total) if total else "?")]
        if figures.get("percent") is not None:
            parts.append(f"{figures['percent']:.0f}%")
        for key, name in (("loss", _("loss")), ("eval_loss", _("eval loss"))):
            if figures.get(key) is not None:
                parts.append(f"{name} {figures[key]:.4f}")
        pace = self._pace.step_s()
        if pace is not None:
            parts.append(_("{seconds} s/step").format(seconds=f"{pace:.2g}"))
        if figures.get("remaining_s") is not None:
            parts.append(_("ETA {time}").format(time=duration(figures["remaining_s"])))
        return "  " + "  ".join(parts)

    @staticmethod
    def _show(text: str) -> None:
        if sys.stderr.isatty():
            say_in_place(text)
        else:
            say(text)

    def _warning(self, event: Event) -> None:
        say(_("warning: {message}").format(message=event["message"]))
        if event.get("hint"):
            say(f"  -> {event['hint']}")

    def _diagnosis(self, event: Event) -> None:
        say(_("cause: {title}").format(title=event["title"]))
        say(f"  {event['cause']}")
        for fix in event.get("fixes", []):
            say(f"  -> {fix['text']}")
