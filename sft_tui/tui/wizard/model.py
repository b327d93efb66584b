"""The third step: the model that learns, its template, and the preset that the settings start from."""

from __future__ import annotations

from copy import deepcopy
from functools import partial
from typing import Any

from textual import events, on
from textual.app import ComposeResult
from textual.widget import Widget
from textual.widgets import Input, Static

from sft_tui.i18n import _
from sft_tui.plan.need import MemoryNeed, PresetNeeds
from sft_tui.tui.look.memory import need_text, preset_text
from sft_tui.tui.look.text import clean
from sft_tui.tui.services import Machine
from sft_tui.tui.widgets.choice import Choice, Item, Toggle
from sft_tui.tui.widgets.chooser import Chooser
from sft_tui.tui.widgets.field import Field
from sft_tui.tui.widgets.path_field import PathField
from sft_tui.tui.widgets.paths import models_here
from sft_tui.tui.wizard.base import CostScreen
from sft_tui.tui.wizard.model_check import ModelFinding


class ModelScreen(CostScreen):
    """A path or a hub id; everything else has a default."""

    STEP = "model"

    def __init__(self) -> None:
        super().__init__()
        self.finding: ModelFinding | None = None
        self.view: MemoryNeed | None = None
        self._fits = PresetNeeds()
        self._going = False
        self._asked = ""

    @property
    def waits(self) -> bool:
        """The model is being looked at."""
        return self._going

    def compose_body(self) -> ComposeResult:
        """The model first; template and preset have defaults."""
        draft = self.sft.draft
        yield Static(_("Which model should learn?"), classes="title", markup=False)
        yield PathField(
            _("Model"),
            str(draft.get("model.path", "")),
            bases=(draft.base, self.sft.project),
            models=True,
            key="model.path",
            placeholder=_("path of a model directory, or a hub id"),
            extra=self._known_ids,
            offers=partial(models_here, self.sft.project),
            id="model",
        )
        hubs = [Item("huggingface", "Hugging Face"), Item("modelscope", "ModelScope")]
        hub = Chooser(hubs, str(draft.get("model.source", "huggingface")), title=_("Hub"), id="hub")
        yield Field(_("Download from"), hub, key="model.source", id="hub-field")
        trust = Toggle(draft.get("train.trust_remote_code") is True, id="trust")
        yield Field(
            _("Run the model's code"),
            trust,
            key="train.trust_remote_code",
            note=_("with your rights; only if you trust its source"),
            id="trust-field",
        )
        template = Chooser((), str(draft.get("model.template", "auto")), title=_("Template"), id="template")
        yield Field(_("Chat template"), template, key="model.template", id="template-field")
        yield Static("", id="model-memory", classes="note gap", markup=False)
        yield Static(_("Start from the settings of a preset:"), classes="note gap", markup=False)
        yield Choice((), id="preset", help_id="preset")

    def on_mount(self) -> None:
        """Fill in what is known of the machine, and look at a model that was given before."""
        self.query_one("#hub-field").display = False
        self.query_one("#trust-field").display = self.query_one("#trust", Toggle).value
        self.query_one("#model-memory").display = False
        self._show_template()
        if self.sft.machine is not None:
            self._show_presets()
        self._learn()

    def first_field(self) -> Widget:
        """The model's path."""
        return self.query_one("#model-input")

    def _known_ids(self) -> list[str]:
        machine = self.sft.machine
        return [i for m in machine.factory.models.values() for i in m.ids[:1]] if machine is not None else []

    def _learn(self) -> None:
        machine, services = self.sft.machine, self.sft.services
        self.jobs.start("machine", lambda _job: machine or services.machine(), self._has_learnt)

    def _has_learnt(self, machine: Machine) -> None:
        self.sft.machine = machine
        self._show_presets()
        if self._field.value and not self.jobs.busy("model"):
            self._look(self._field.value)

    @property
    def _field(self) -> PathField:
        return self.query_one("#model", PathField)

    @on(events.DescendantBlur)
    def _left_field(self) -> None:
        text = self._field.value
        if text and (self.finding is None or self.finding.text != text):
            self._look(text)

    @on(Input.Changed, "#model-input")
    def _typed(self) -> None:
        self._going = False
        if self._field.value != self._asked:
            self.jobs.cancel("model")
        self.notice = ""
        self._field.show("")
        self.refresh_actions()

    def _look(self, text: str) -> None:
        machine, services, draft = self.sft.machine, self.sft.services, self.sft.draft
        self._asked = text
        self.jobs.start(
            "model",
            lambda _job: services.look_at_model(text, draft, machine or services.machine()),
            self._has_looked,
        )

    def _has_looked(self, finding: ModelFinding) -> None:
        self.finding = finding
        self._show_finding()
        going, self._going = self._going, False
        if going and finding.error is None:
            super().primary()
        elif going:
            self.set_focus(self.query_one("#model-input"))
        elif finding.error is None:
            self._judge()

    def _show_finding(self) -> None:
        finding = self.finding
        if finding is None:
            return
        problem = finding.error or next(iter(finding.problems), None)
        if problem is not None:
            text = f"{problem.message} {problem.hint or ''}".strip()
            self._field.show(text, "error" if finding.error else "warning")
        else:
            self._field.show(f"{self.sft.signs.done} {finding.summary}")
        self.query_one("#hub-field").display = not finding.local and finding.error is None
        self.query_one("#trust-field").display = finding.needs_trust or self.query_one("#trust", Toggle).value
        self._show_template()
        self.refresh_actions()

    def _show_template(self) -> None:
        finding, machine = self.finding, self.sft.machine
        found = finding.template if finding is not None and finding.error is None else ""
        label = _("auto: {template}").format(template=found) if found else _("auto")
        items = [Item("auto", label, finding.template_how if found and finding is not None else "")]
        chooser = self.query_one("#template", Chooser)
        wanted = str(self.sft.draft.get("model.template", "auto"))
        names = set(machine.factory.templates) | {wanted} if machine is not None else {wanted}
        items += [Item(name, name) for name in sorted(names - {"auto"})]
        chooser.set_items(items)
        field = self.query_one("#template-field", Field)
        if chooser.value != "auto" or finding is None or not found:
            field.show("")
        elif finding.template_certain:
            field.show(finding.template_how)
        else:
            text = _("A guess: {how} A wrong template spoils the training; choose it if you know it.")
            field.show(text.format(how=finding.template_how), "warning")

    @on(Toggle.Changed, "#trust")
    def _trust_changed(self) -> None:
        """The answer about the model is about the other answer."""
        self.sft.draft.set("train.trust_remote_code", self.query_one("#trust", Toggle).value or None)
        self.finding = None
        self._look(self._field.value)

    @on(Chooser.Changed, "#template")
    def _template_changed(self) -> None:
        self._show_template()

    def _show_presets(self) -> None:
        machine = self.sft.machine
        if machine is None:
            return
        auto = self._auto_preset(machine)
        note = _("here: {preset}. {what}").format(preset=auto.shown_title(), what=auto.shown_description())
        items = [Item("auto", _("Automatic (recommended)"), note + self._fit_text("auto"))]
        for name, preset in machine.presets.items():
            items.append(Item(name, preset.shown_title(), preset.shown_description() + self._fit_text(name)))
        chosen = str(self.sft.draft.get("preset", "auto"))
        if chosen not in [item.id for item in items]:
            items.append(Item(chosen, chosen, _("not known here")))
        choice = self.query_one("#preset", Choice)
        if choice.items and choice.value is not None:
            chosen = choice.value
        choice.set_items(items, [chosen])

    def _fit_text(self, name: str) -> str:
        fit = preset_text(self._fits.needs.get(name))
        return f" {self.sft.signs.arrow} {fit}" if fit else ""

    def _auto_preset(self, machine: Machine) -> Any:
        from sft_tui.presets import choose_preset

        if self._fits.auto in machine.presets:
            return machine.presets[self._fits.auto]
        wanted = self.sft.draft.get("hardware.gpus", "auto")
        gpus = machine.gpus.gpus
        if isinstance(wanted, list):
            gpus = tuple(gpu for gpu in gpus if gpu.index in wanted)
        if wanted == "none" or not gpus:
            return choose_preset(None)
        free = [gpu.free_bytes for gpu in gpus]
        return choose_preset(max(free) if wanted == "auto" else min(free))

    def _judge(self) -> None:
        self._estimate()
        machine, services, path = self.sft.machine, self.sft.services, self.sft.draft.answers_path
        if machine is not None:
            data, here = deepcopy(self.sft.draft.data), machine
            self.jobs.start(
                "fits", lambda _job: services.preset_needs(data, path, here), self._presets_judged, alone=True
            )

    def _estimate(self) -> None:
        self.store()
        self.jobs.start("estimate", self.memory_of(deepcopy(self.sft.draft.data)), self._has_judged, alone=True)

    def _presets_judged(self, fits: PresetNeeds) -> None:
        self._fits = fits
        self._show_presets()

    def _has_judged(self, view: MemoryNeed) -> None:
        self.view = view
        line = self.query_one("#model-memory", Static)
        line.display = view.need is not None
        if view.need is not None:
            line.update(clean(need_text(view.need, self.sft.signs)))
            line.set_class(view.too_much, "warning")
        self.refresh_bindings()
        self.refresh_actions()

    @on(Choice.Changed, "#preset")
    def _preset_changed(self) -> None:
        self.notice = ""
        if self.finding is not None and self.finding.error is None and self.finding.text == self._field.value:
            self._estimate()

    @property
    def fit(self) -> str:
        """What the estimate says."""
        return self.view.need.fit if self.view is not None and self.view.need is not None else ""

    def draft_changed(self) -> None:
        """The training options are others."""
        self._estimate()

    def store(self) -> None:
        """The model, where it comes from, its template, the preset."""
        draft = self.sft.draft
        draft.set("model.path", self._field.value)
        template = self.query_one("#template", Chooser).value
        draft.set("model.template", template if template != "auto" or draft.get("model.template") else None)
        hub = self.query_one("#hub", Chooser).value
        draft.set("model.source", hub if hub != "huggingface" else None)
        preset = self.query_one("#preset", Choice).value
        if preset is not None:  # before the machine is known there are none to choose from
            draft.set("preset", preset)

    def primary(self) -> None:
        """Look at the model first, then go on."""
        text = self._field.value
        if self.finding is not None and self.finding.text == text and self.finding.error is None:
            super().primary()
            return
        if self.finding is not None and self.finding.text == text:
            self._show_finding()
            self.set_focus(self.query_one("#model-input"))
            return
        self.say(_("Looking at {model}").format(model=clean(text, " ")) if text else "")
        self._going = True
        self._look(text)

    def next_text(self) -> str:
        """What comes next."""
        return self.notice or _("Next: choose the file with your examples")
