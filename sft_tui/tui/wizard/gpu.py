"""The second step: which cards the training may use, read live through NVML."""

from __future__ import annotations

from copy import deepcopy

from textual import on
from textual.app import ComposeResult
from textual.widget import Widget
from textual.widgets import Static

from sft_tui.i18n import N_, _
from sft_tui.machine.gpus import Gpu, GpuReport
from sft_tui.plan.need import MemoryNeed
from sft_tui.tui.look.memory import need_text
from sft_tui.tui.look.text import clean, one_line
from sft_tui.tui.widgets.choice import Choice, Item, Toggle
from sft_tui.tui.widgets.chooser import Chooser
from sft_tui.tui.widgets.field import Field
from sft_tui.tui.widgets.fold import Fold
from sft_tui.tui.wizard.base import CostScreen
from sft_tui.units import GIB

POLL_S = 2.0
FEW = 6
"""Up to so many cards each is offered by itself; of more, only the one that the answers name."""
LAUNCHERS = {
    "auto": N_("auto: one process a card"),
    "deepspeed": N_("deepspeed: the training is divided among the cards (ZeRO)"),
}
"""How the training processes can be started."""


class GpuScreen(CostScreen):
    """The cards with who uses them; one, several, or the processor."""

    STEP = "gpu"

    def __init__(self) -> None:
        super().__init__()
        self.report: GpuReport | None = None
        self.view: MemoryNeed | None = None
        self._judged_for: object = None

    def compose_body(self) -> ComposeResult:
        """The question, what is there, the choice, and who holds the memory."""
        yield Static(_("Which GPU should train?"), classes="title", markup=False)
        yield Static(_("reading the GPUs"), id="gpu-report", classes="note dim", markup=False)
        yield Choice((), id="gpu-mode", help_id="hardware.gpus")
        yield Choice((), id="gpu-cards", several=True, help_id="hardware.gpus.several")
        yield Static("", id="gpu-memory", classes="note gap", markup=False)
        yield Static("", id="gpu-processes", classes="note gap", markup=False)
        yield self._more()

    def _more(self) -> Fold:
        """What few users change: to wait for cards that others use, and how the processes are started."""
        draft = self.sft.draft
        wait, launcher = bool(draft.get("hardware.wait")), str(draft.get("hardware.launcher", "auto"))
        names = dict.fromkeys((*LAUNCHERS, launcher))
        items = [Item(name, _(LAUNCHERS[name]) if name in LAUNCHERS else name) for name in names]
        fields = (
            Field(
                _("Wait for a free GPU"),
                Toggle(wait, id="gpu-wait"),
                key="hardware.wait",
                note=_("until its memory suffices"),
            ),
            Field(
                _("Launcher"),
                Chooser(items, launcher, title=_("Launcher"), id="gpu-launcher"),
                key="hardware.launcher",
            ),
        )
        note = _("{count} settings").format(count=len(fields))
        is_open = wait or launcher != "auto"
        return Fold(_("More about the cards"), *fields, is_open=is_open, note=note, id="gpu-more")

    def on_mount(self) -> None:
        """Read the cards, and again every two seconds where there are some."""
        self.query_one("#gpu-cards").display = False
        self.query_one("#gpu-memory").display = False
        self.query_one("#gpu-processes").display = False
        self._show_modes()
        self._read()

    def _read(self) -> None:
        if not self.jobs.busy("gpus"):
            services = self.sft.services
            self.jobs.start("gpus", lambda _job: services.gpus(), self._has_read)

    def _has_read(self, report: GpuReport) -> None:
        first = self.report is None
        self.report = report
        if first and report.gpus:
            self.set_interval(POLL_S, self._read)
        self._show_report(report)
        if first:
            self._show_modes()
        self._show_cards(report)
        self.refresh_actions()
        self._judge()

    # -- what the training needs there, once there is a model ---------------------------------------------------------

    def _judge(self) -> None:
        """Estimate anew where the choice or the free memory is another one."""
        if not self.sft.draft.get("model.path") or self.report is None:
            return
        self.store()
        free = tuple((gpu.index, round(gpu.free_bytes / GIB, 1)) for gpu in self.report.gpus)
        now = (self.sft.draft.get("hardware.gpus"), free, self.sft.draft.get("train"))
        if repr(now) != self._judged_for:
            self._judged_for = repr(now)
            self.jobs.start("estimate", self.memory_of(deepcopy(self.sft.draft.data)), self._has_judged, alone=True)

    def _has_judged(self, view: MemoryNeed) -> None:
        self.view = view
        line = self.query_one("#gpu-memory", Static)
        line.display = view.need is not None
        if view.need is not None:
            text = _("For {model}: {need}").format(
                model=one_line(str(self.sft.draft.get("model.path")), 40, self.sft.signs.ellipsis),
                need=need_text(view.need, self.sft.signs),
            )
            line.update(clean(text))
            line.set_class(view.too_much, "warning")
        self.refresh_bindings()
        self.refresh_actions()

    @property
    def fit(self) -> str:
        """What the estimate says."""
        return self.view.need.fit if self.view is not None and self.view.need is not None else ""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The memory depends on the model."""
        if action == "memory":
            return bool(self.sft.draft.get("model.path"))
        return super().check_action(action, parameters)

    def draft_changed(self) -> None:
        """The training options are others."""
        self._judge()

    # -- what is there ------------------------------------------------------------------------------------------------

    def _show_report(self, report: GpuReport) -> None:
        line = self.query_one("#gpu-report", Static)
        if report.gpus:
            driver = _("NVIDIA driver {version}").format(version=report.driver or "?")
            text = driver if report.reason is None else f"{driver}. {report.reason}"
        else:
            text = report.reason or _("There is no GPU here.")
            text += " " + _(
                "You can go on with the processor: it trains tiny models in minutes, a 7B model would take weeks."
            )
        line.update(clean(text))
        line.set_class(not report.gpus, "warning")
        line.remove_class("dim")
        self._show_processes(report)

    def _show_processes(self, report: GpuReport) -> None:
        lines = []
        for gpu in report.gpus:
            for process in gpu.processes[:4]:
                memory = f"{process.memory_bytes / GIB:.1f} GiB" if process.memory_bytes is not None else "?"
                who = process.user or _("another user or container")
                what = process.command or ""
                text = f"  GPU {gpu.index}  {memory:>9}  pid {process.pid}  {who}  {what}"
                lines.append(one_line(text, max(20, self.size.width - 4), self.sft.signs.ellipsis))
            if not gpu.processes and gpu.used_bytes > GIB:
                text = _("  GPU {index}  memory is in use, but by whom cannot be seen from here (a container?).")
                lines.append(text.format(index=gpu.index))
        head = _("Who holds the memory:") + "\n" if lines else ""
        box = self.query_one("#gpu-processes", Static)
        box.display = bool(lines)
        box.update(head + "\n".join(lines))

    def _show_modes(self) -> None:
        """How to choose: automatically, by hand where there is a choice, or the processor."""
        gpus = self.report.gpus if self.report is not None else ()
        items = []
        if gpus or self.report is None:
            free = max(gpus, key=lambda g: g.free_bytes) if gpus else None
            note = _("now GPU {index}, {name}").format(index=free.index, name=clean(free.name, " ")) if free else ""
            items.append(Item("auto", _("The freest card (recommended)"), note))
        mode = self._mode()
        for gpu in gpus:
            if len(gpus) <= FEW or mode == f"gpu:{gpu.index}":
                items.append(Item(f"gpu:{gpu.index}", self._gpu_line(gpu)))
        if mode.startswith("gpu:") and mode not in [item.id for item in items]:
            items.append(Item(mode, _absent(mode.removeprefix("gpu:"))))
        if len(gpus) > 1 or mode == "several":
            items.append(Item("several", _("Several cards together")))
        items.append(Item("none", _("The processor (CPU): slow, for tiny models and for trying out")))
        choice = self.query_one("#gpu-mode", Choice)
        choice.set_items(items, [mode])

    def _mode(self) -> str:
        chosen = self.sft.draft.get("hardware.gpus", "auto")
        if isinstance(chosen, list):
            return f"gpu:{chosen[0]}" if len(chosen) == 1 else "several"
        if chosen == "auto" and self.report is not None and not self.report.gpus:
            return "none"
        return str(chosen)

    def _gpu_line(self, gpu: Gpu) -> str:
        signs = self.sft.signs
        name = one_line(gpu.name, 26, signs.ellipsis)
        if not gpu.total_bytes:
            return f"GPU {gpu.index}  {name}  " + _("memory unknown")
        used, free, total = gpu.used_bytes / GIB, gpu.free_bytes / GIB, gpu.total_bytes / GIB
        load = f"{gpu.utilisation}%" if gpu.utilisation is not None else "-"
        bar = signs.bar(gpu.used_bytes / gpu.total_bytes, 8)
        text = _("{used:.1f} of {total:.1f} GiB used {bar} {free:.1f} free, load {load}")
        return f"GPU {gpu.index}  {name}  " + text.format(used=used, total=total, bar=bar, free=free, load=load)

    def _show_cards(self, report: GpuReport) -> None:
        """Live figures at each card."""
        gpus = report.gpus
        mode = self.query_one("#gpu-mode", Choice)
        lines = {f"gpu:{gpu.index}": self._gpu_line(gpu) for gpu in gpus}
        mode.set_items([Item(i.id, lines.get(i.id, i.label), i.note, i.enabled) for i in mode.items])
        cards = self.query_one("#gpu-cards", Choice)
        chosen = None
        items = [Item(str(gpu.index), self._gpu_line(gpu)) for gpu in gpus]
        wanted = self.sft.draft.get("hardware.gpus")
        named = [str(i) for i in wanted] if isinstance(wanted, list) else []
        items += [Item(i, _absent(i)) for i in named if i not in {item.id for item in items}]
        if not cards.items:
            chosen = named or [item.id for item in items]
        cards.set_items(items, chosen)
        cards.display = mode.value == "several"

    @on(Choice.Changed)
    def _changed(self, event: Choice.Changed) -> None:
        if event.choice.id == "gpu-mode":
            self.query_one("#gpu-cards").display = event.choice.value == "several"
        self.notice = ""
        self.refresh_actions()
        self._judge()

    def first_field(self) -> Widget:
        """How to choose."""
        return self.query_one("#gpu-mode")

    def store(self) -> None:
        """`auto`, `none`, or the list of indices; what differs from the defaults of the rest."""
        launcher = self.query_one("#gpu-launcher", Chooser).value
        self.sft.draft.set("hardware.wait", self.query_one("#gpu-wait", Toggle).value or None)
        self.sft.draft.set("hardware.launcher", launcher if launcher != "auto" else None)
        mode = self.query_one("#gpu-mode", Choice).value
        if self.report is None or mode is None:
            return
        if mode == "several":
            chosen = [int(i) for i in self.query_one("#gpu-cards", Choice).chosen]
            if chosen:
                self.sft.draft.set("hardware.gpus", chosen)
        else:
            self.sft.draft.set("hardware.gpus", [int(mode[4:])] if mode.startswith("gpu:") else mode)

    def check(self) -> bool:
        """With several cards at least one must be chosen."""
        mode = self.query_one("#gpu-mode", Choice).value
        if mode == "several" and not self.query_one("#gpu-cards", Choice).chosen:
            self.say(_("No card is chosen: press Space at one, or choose another way."), "error")
            self.set_focus(self.query_one("#gpu-cards"))
            return False
        return True

    def next_text(self) -> str:
        """What the choice means, and what comes next."""
        if self.notice:
            return self.notice
        mode = self.query_one("#gpu-mode", Choice).value
        if mode == "none":
            return _("No GPU will be touched. Next: choose the model")
        return _("Looking does not use a card. Next: choose the model")


def _absent(index: str) -> str:
    return _("GPU {index}  named in the answers, not there now").format(index=index)
