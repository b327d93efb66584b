"""The first step: what will happen, and whether this machine is ready for it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual.app import ComposeResult
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from sft_tui.i18n import _
from sft_tui.tui.jobs import Job, Jobs
from sft_tui.tui.look.text import clean, pad, wrapped
from sft_tui.tui.steps import STEPS
from sft_tui.tui.widgets.bars import app_of, signs_of
from sft_tui.tui.widgets.choice import Choice, Item
from sft_tui.tui.wizard.base import WizardScreen

if TYPE_CHECKING:
    from sft_tui.tui.services import Services


@dataclass(frozen=True, slots=True)
class Finding:
    """A line of the check: what was looked at, "ok", "warning" or "problem", what was found, and what to type."""

    name: str
    status: str
    message: str
    next_step: str | None = None


class Check(Widget):
    """The environment check as it goes: a sign, a word, what was found, and what to type where something is missing."""

    DEFAULT_CSS = "Check { height: auto; margin-top: 1; }"

    def __init__(self) -> None:
        super().__init__(id="check")
        self.findings: list[Finding] = []
        self.done = False
        self.jobs = Jobs(self)

    def on_mount(self) -> None:
        """Start looking when the first frame is drawn."""
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        app = app_of(self)
        self.jobs.start("check", partial(_look, app.services, app.project), self._end, told=self._found)

    def _found(self, finding: Finding) -> None:
        self.findings.append(finding)
        self.refresh(layout=True)

    def _end(self, _nothing: None) -> None:
        self.done = True
        self.refresh(layout=True)

    def _lines(self, width: int) -> list[Content]:
        signs = signs_of(self)
        words = {"ok": _("ok"), "warning": _("look"), "problem": _("missing")}
        marks = {"ok": signs.done, "warning": signs.warning, "problem": signs.problem}
        colours = {"ok": "$success", "warning": "$warning", "problem": "$error bold"}
        lines: list[Content] = []
        for found in self.findings:
            head = f"{marks[found.status]} {pad(words[found.status], 8)}"
            for index, line in enumerate(wrapped(f"{found.name}: {found.message}", width - 10)):
                start = Content.styled(head, colours[found.status]) if index == 0 else Content(" " * 10)
                lines.append(start + Content(line))
            if found.next_step and found.status != "ok":
                for line in wrapped(f"{signs.arrow} {found.next_step}", width - 10):
                    lines.append(Content.styled(" " * 10 + line, "bold"))
        if not self.done:
            text = _("checking (this may take 10 seconds; you can go on meanwhile)")
            lines.append(Content.styled(f"{signs.waiting} {text}", "dim"))
        return lines

    def get_content_height(self, container: Any, viewport: Any, width: int) -> int:
        """All lines."""
        return len(self._lines(width))

    def render(self) -> Content:
        """The lines found so far."""
        return Content("\n").join(self._lines(self.size.width))


def _look(services: Services, project: Path, job: Job) -> None:
    """In a thread: tell each line as soon as it is known."""
    for line in services.diagnose(project):
        job.check()
        job.tell(Finding(line.name, line.status, line.message, line.next_step))


class WelcomeScreen(WizardScreen):
    """What will happen, the environment check, and where to begin."""

    STEP = "welcome"

    def compose_body(self) -> ComposeResult:
        """Three lines, the choice, the check."""
        yield Static(_("Fine-tune a language model on your own examples."), classes="title", markup=False)
        yield Static(
            _(
                "1. Choose a GPU, a model and a file with examples; sensible settings are filled in.\n"
                "2. sft-tui trains with LLaMA-Factory. Closing this window does not stop the training.\n"
                "3. You get the merged model, checked, with the commands to use it."
            ),
            classes="note gap",
            markup=False,
        )
        yield Choice(self._items(), id="begin", help_id="welcome")
        yield Check()

    def _items(self) -> list[Item]:
        app, items = self.sft, []
        kept = app.kept
        if app.draft.opened_from is not None:
            name = app.draft.opened_from.name
            items.append(Item("draft", _("Go on with {file}").format(file=clean(name, " "))))
        elif app.draft.touched:
            what = app.draft.get("model.path") or app.draft.get("data.source") or ""
            items.append(Item("draft", _("Go on with this setup"), clean(str(what), " ")))
        elif kept is not None:
            what = kept.get("model.path") or kept.get("data.source") or ""
            items.append(Item("kept", _("Go on with the half-finished setup"), clean(str(what), " ")))
        items.append(Item("new", _("Start a new fine-tuning")))
        for layout in app.services.runs(app.project)[:1]:
            items.append(Item("run", _("Open the latest run: {run}").format(run=layout.name)))
        items.append(Item("demo", _("Try the demo: a tiny model and 320 questions, on the CPU in a few minutes")))
        return items

    def primary_label(self) -> str:
        """Enter begins."""
        return _("Continue")

    def next_text(self) -> str:
        """What Enter does; where a kept draft was set aside, where it is."""
        aside = self.sft.set_aside
        if aside is not None:
            return _("The kept setup could not be read; it was set aside: {path}").format(path=aside)
        return _("Enter goes on, Esc goes back, F1 explains. Nothing is started before the last step.")

    def primary(self) -> None:
        """Begin with what is chosen."""
        app = self.sft
        match self.query_one("#begin", Choice).value:
            case "kept" if app.kept is not None:
                app.draft = app.kept
                known = [name for name, _label in STEPS if name not in ("welcome", "run")]
                app.go(app.kept.step if app.kept.step in known else "gpu")
            case "run":
                app.open_run(app.services.runs(app.project)[0])
            case "demo":
                app.try_demo()
            case "new":
                app.new_draft()
                app.go("gpu")
            case _:
                app.go("gpu")

    def back(self) -> None:
        """Esc never leaves the app; say how to."""
        self.say(_("This is the first step. F10 leaves sft-tui."))
