"""The options of another export: largest file, where the merge is computed, whether the result is checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, Static

from sft_tui.i18n import _
from sft_tui.tui.dialogs.dialog import Dialog
from sft_tui.tui.widgets.bars import signs_of
from sft_tui.tui.widgets.choice import Choice, Item
from sft_tui.tui.widgets.field import Field, LineInput


@dataclass(frozen=True, slots=True)
class ExportChoice:
    """What was chosen. `size_gb` is the largest file of the merged model, `device` cpu or auto."""

    size_gb: int
    device: str
    verify: bool


class ExportScreen(Dialog[ExportChoice | None]):
    """Dismissed with the options, or None. `replaces`: a merged model is there already."""

    HELP_ID = "result"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "accept", "", show=False),
        Binding("escape", "cancel", "", show=False),
    ]

    def __init__(self, replaces: bool) -> None:
        super().__init__()
        self._replaces = replaces

    def compose(self) -> ComposeResult:
        """Three fields and the two answers."""
        with Vertical(id="export-box", classes="-ascii" if signs_of(self).ascii else ""):
            yield Static(_("Merge the adapter into the model again?"), classes="title", markup=False)
            if self._replaces:
                yield Static(_("The merged model that is there is replaced."), classes="warning", markup=False)
            yield Field(_("Largest file (GB)"), LineInput("2", id="export-size"), key="export.size_gb")
            devices = [
                Item("cpu", _("merge on the CPU: slower, needs no GPU memory")),
                Item("auto", _("merge on the GPU where there is one")),
            ]
            yield Field(_("Device"), Choice(devices, chosen=["cpu"], id="export-device"), key="export.device")
            checks = [Item("yes", _("check the merged model")), Item("no", _("do not check it"))]
            yield Field(_("Then"), Choice(checks, chosen=["yes"], id="export-verify"), key="export.verify")
            keys = f" Enter: {_('export')} "
            back = _("Esc: back")
            yield Static(Content.assemble((keys, "reverse"), f"   {back}"), classes="note", markup=False)

    def on_mount(self) -> None:
        """Begin at the size."""
        self.query_one("#export-size").focus()

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_accept()

    def action_accept(self) -> None:
        """Enter: check the number and close."""
        field = self.query_one("#export-size", LineInput)
        text = field.value.strip()
        if not text.isdecimal() or not 1 <= int(text) <= 1000:
            message = _("Largest file: {value} is no whole number from 1 to 1000.").format(value=text or _("nothing"))
            self.query_one(Field).show(message, "error")
            field.focus()
            return
        device = self.query_one("#export-device", Choice).value or "cpu"
        self.dismiss(ExportChoice(int(text), device, self.query_one("#export-verify", Choice).value != "no"))

    def action_cancel(self) -> None:
        """Esc."""
        self.dismiss(None)
