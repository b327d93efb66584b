"""The frame of every screen: steps on top, what happens next and the way on at the bottom, the keys below it."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from rich.cells import cell_len
from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.style import Style
from textual.widget import Widget
from textual.widgets import Static

from sft_tui.i18n import _
from sft_tui.tui.look.signs import UNICODE, Signs
from sft_tui.tui.look.text import clean
from sft_tui.tui.steps import STEPS

if TYPE_CHECKING:
    from sft_tui.tui.app import SftApp


def signs_of(widget: Widget) -> Signs:
    """The signs that the app of `widget` draws with."""
    return cast(Signs, getattr(widget.app, "signs", UNICODE))


class StepBar(Widget):
    """`sft-tui  ✓ Start  ▸ GPU  · Model ...`; in narrow terminals `sft-tui  2/8 GPU`."""

    DEFAULT_CSS = "StepBar { dock: top; height: 1; }"

    def __init__(self, step: str, title: str = "") -> None:
        super().__init__(id="step-bar")
        self._step = step
        self._title = title

    def render(self) -> Content:
        """One line for the present width."""
        names = [name for name, _label in STEPS]
        if self._step not in names:
            return Content.assemble((" sft-tui ", "reverse"), "  ", (clean(self._title), "bold"))
        here = names.index(self._step)
        full = self._full(here)
        return full if cell_len(full.plain) <= self.size.width else self._short(here)

    def _full(self, here: int) -> Content:
        signs = signs_of(self)
        parts: list[Content | tuple[str, str]] = [(" sft-tui ", "reverse")]
        for index, (_name, label) in enumerate(STEPS):
            sign = signs.done if index < here else signs.here if index == here else signs.waiting
            parts.append(("  " if index == 0 else " ", ""))
            parts.append((f"{sign} {_(label)}", "bold underline" if index == here else ""))
        return Content.assemble(*parts)

    def _short(self, here: int) -> Content:
        position = f"  {here + 1}/{len(STEPS)} "
        after = f"  {signs_of(self).arrow} {_(STEPS[here + 1][1])}" if here + 1 < len(STEPS) else ""
        return Content.assemble((" sft-tui ", "reverse"), position, (_(STEPS[here][1]), "bold underline"), after)


class Primary(Static, can_focus=True):
    """The way on: what Enter does here, always visible; also pressed by mouse or reached by Tab."""

    class Pressed(Message):
        """The user wants to go on."""

    def on_click(self) -> None:
        """A mouse click is a press."""
        self.post_message(self.Pressed())

    def key_enter(self, event: events.Key) -> None:
        """Enter on the focused button is a press."""
        event.stop()
        self.post_message(self.Pressed())


class ActionBar(Horizontal):
    """What happens next, and the primary action at its right."""

    def __init__(self) -> None:
        super().__init__(id="action-bar")
        self._shown = ("", "", "-")

    def compose(self) -> ComposeResult:
        """The sentence and the button."""
        yield Static("", id="next-text", markup=False)
        yield Primary("", id="primary", markup=False)

    def show(self, text: str, label: str, severity: str = "") -> None:
        """Show what happens next (`text`; `severity` is "", "warning" or "error") and what Enter does (`label`)."""
        if (text, label, severity) == self._shown:
            return
        self._shown = (text, label, severity)
        sentence = self.query_one("#next-text", Static)
        sentence.set_classes(f"-{severity}" if severity else "")
        sentence.update(Content(clean(text)))
        button = self.query_one("#primary", Primary)
        button.display = bool(label)
        button.update(Content(f" Enter: {label} " if label else ""))


KEY_NAMES = {
    "escape": "Esc",
    "enter": "Enter",
    "space": "Space",
    "up": "Up",
    "down": "Down",
    "left": "Left",
    "right": "Right",
    "pageup": "PgUp",
    "pagedown": "PgDn",
    "slash": "/",
    "question_mark": "?",
    "tab": "Tab",
    "delete": "Del",
}


def key_name(key: str) -> str:
    """`key` as keyboards print it: Esc, F1, Ctrl+O."""
    if key.startswith("ctrl+"):
        return "Ctrl+" + key[5:].upper()
    return KEY_NAMES.get(key, key.upper() if key.startswith("f") and key[1:].isdigit() else key)


class KeyBar(Widget):
    """The keys that work here and now, on one line; a click on one presses it."""

    DEFAULT_CSS = "KeyBar { dock: bottom; height: 1; }"

    def __init__(self) -> None:
        super().__init__(id="key-bar")

    def on_mount(self) -> None:
        """Follow the bindings as the focus moves."""
        self.screen.bindings_updated_signal.subscribe(self, lambda _screen: self.refresh())

    def shown_keys(self, *, translated: bool = True) -> list[tuple[str, str, str]]:
        """(key, its name, what it does), those of the focused widget and the screen before those of the app."""
        shown: dict[str, tuple[str, str, str]] = {}
        for key, active in self.screen.active_bindings.items():
            binding = active.binding
            if binding.show and active.enabled and binding.action not in shown:
                name = key_name(key) if signs_of(self).ascii else binding.key_display or key_name(key)
                text = _(binding.description) if translated else binding.description
                text = "zh/en" if key == "f2" and signs_of(self).ascii else text
                shown[binding.action] = (key, name, text)
        return list(shown.values())

    def render(self) -> Content:
        """As many keys as fit. Help, back and quit are always among them."""
        room = self.size.width
        fitting: list[tuple[int, Content]] = []
        for key, name, text in sorted(self.shown_keys(), key=lambda k: _IMPORTANCE.get(k[0], 10)):
            length = cell_len(name) + cell_len(text) + 3
            if length <= room:
                room -= length
                action = Style.from_meta({"@click": f"app.simulate_key('{key}')"})
                content = Content.assemble((f" {name}", "bold"), f" {text} ").stylize(action)
                fitting.append((_PLACE.get(key, 0), content))
        fitting.sort(key=lambda item: item[0])
        return Content("").join([content for _place, content in fitting])


_IMPORTANCE = {"f1": 1, "escape": 2, "f10": 3, "f3": 20, "f2": 21, "ctrl+o": 22, "ctrl+p": 23}
_PLACE = {"escape": 1, "f1": 2, "f2": 3, "f3": 4, "ctrl+o": 5, "ctrl+p": 6, "f10": 7}


def app_of(widget: Widget) -> SftApp:
    """The app of `widget`, typed."""
    return cast("SftApp", widget.app)
