"""Following a run by its files, for people (a line in place, or a line a log step) and for programs (events)."""

from __future__ import annotations

import shutil
import sys
import time
from typing import Any

from sft_tui.headless.output import duration, put_json, say
from sft_tui.i18n import _
from sft_tui.problems import ExitCode
from sft_tui.project.events import Event, EventReader
from sft_tui.project.layout import RunLayout
from sft_tui.project.state import RunState, Status, present_status, read_state
from sft_tui.view.pace import Pace

_POLL_S = 0.25
_LOOK_AT_PROCESS_EVERY_S = 3.0


def follow(layout: RunLayout, reader: EventReader, *, as_json: bool) -> int:
    """Show what happens until the run ends; its exit code. Ctrl-C leaves the run alone (130)."""
    narrator = _JsonNarrator() if as_json else _Narrator(layout)
    looked = time.monotonic()
    try:
        while True:
            for event in reader.poll():
                narrator.tell(event)
                if event["type"] == "run_finished":
                    return int(event.get("exit_code", ExitCode.TRAIN))
            if time.monotonic() - looked > _LOOK_AT_PROCESS_EVERY_S:
                looked = time.monotonic()
                state = read_state(layout)
                if state is not None and present_status(state) is Status.LOST:
                    narrator.end()
                    text = _("The supervisor of {run} is gone. Go on with: sft-tui resume {run}")
                    say(text.format(run=layout.name))
                    return int(ExitCode.TRAIN)
            time.sleep(_POLL_S)
    except KeyboardInterrupt:
        narrator.end()
        say_detached(layout)
        return int(ExitCode.INTERRUPTED)


def say_detached(layout: RunLayout) -> None:
    """Say that the run goes on without this terminal, and how to look and to stop."""
    say(_("The run {run} goes on without this terminal.").format(run=layout.name))
    say(_("  look:  sft-tui attach {run}    all runs: sft-tui runs").format(run=layout.name))
    say(_("  stop:  sft-tui stop {run}").format(run=layout.name))
    say(_("  (in {project})").format(project=layout.project))


class _JsonNarrator:
    def tell(self, event: Event) -> None:
        put_json(event)

    def end(self) -> None:
        return


class _Narrator:
    """Plain lines on stderr; on a terminal the progress of a stage is one line that is written over."""

    def __init__(self, layout: RunLayout) -> None:
        self._layout = layout
        self._in_place = sys.stderr.isatty()
        self._open_line = False
        self._figures: dict[str, Any] = {}
        self._pace = Pace()

    def tell(self, event: Event) -> None:
        """Narrate one event."""
        handler = getattr(self, f"_{event['type']}", None)
        if handler is not None:
            handler(event)

    def end(self) -> None:
        """Leave the line that is written over."""
        if self._open_line:
            sys.stderr.write("\n")
            self._open_line = False

    def _line(self, text: str) -> None:
        self.end()
        say(text)

    def _run_started(self, event: Event) -> None:
        self._line(_("run {run} in {project}").format(run=self._layout.name, project=self._layout.project))

    def _stage_started(self, event: Event) -> None:
        self._pace.clear()
        self._line(_("{stage}: started, log {log}").format(stage=event["stage"], log=event["log"]))

    def _stage_finished(self, event: Event) -> None:
        text = _("{stage}: {status} after {time}")
        status = {"finished": _("done"), "failed": _("failed"), "stopped": _("stopped")}[event["status"]]
        self._line(text.format(stage=event["stage"], status=status, time=duration(event["seconds"])))

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

    def _show(self, text: str) -> None:
        if not self._in_place:
            say(text)
            return
        width = shutil.get_terminal_size().columns - 1
        sys.stderr.write("\r\x1b[K" + text[:width])
        sys.stderr.flush()
        self._open_line = True

    def _warning(self, event: Event) -> None:
        self._line(_("warning: {message}").format(message=event["message"]))
        if event.get("hint"):
            self._line(f"  -> {event['hint']}")

    def _diagnosis(self, event: Event) -> None:
        self._line(_("cause: {title}").format(title=event["title"]))
        self._line(f"  {event['cause']}")
        for fix in event.get("fixes", []):
            self._line(f"  -> {fix['text']}")

    def _run_finished(self, event: Event) -> None:
        self.end()


def summary(state: RunState, layout: RunLayout) -> list[str]:
    """How a run ended, as lines for people."""
    from sft_tui.project.files import read_json

    metrics = state.metrics
    lines: list[str] = []
    if metrics.get("first_loss") is not None and metrics.get("loss") is not None:
        lines.append(_("loss {first:.4f} -> {last:.4f}").format(first=metrics["first_loss"], last=metrics["loss"]))
    if metrics.get("first_eval_loss") is not None and metrics.get("eval_loss") is not None:
        text = _("eval loss {first:.4f} -> {last:.4f}")
        lines.append(text.format(first=metrics["first_eval_loss"], last=metrics["eval_loss"]))
    verified = read_json(layout.verify_result)
    samples = verified.get("samples", []) if isinstance(verified, dict) else []
    for sample in samples[:1]:
        lines.append(_("question: {text}").format(text=_one_line(sample.get("prompt"))))
        lines.append(_("  before: {text}").format(text=_one_line(sample.get("before"))))
        lines.append(_("  after:  {text}").format(text=_one_line(sample.get("after"))))
    if layout.model_dir.is_dir():
        lines.append(_("merged model: {path}").format(path=layout.model_dir))
    elif layout.save_dir.is_dir():
        lines.append(_("adapter: {path}").format(path=layout.save_dir))
    return lines


def _one_line(text: Any) -> str:
    return " ".join(str(text if text is not None else "-").split()) or "-"
