"""A field of a form: what it asks, its control on the same line, and under it what is wrong with the value."""

from __future__ import annotations

from typing import Any

from rich.cells import cell_len
from rich.highlighter import Highlighter
from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input, Static

from sft_tui.tui.look.text import clean, pad
from sft_tui.tui.widgets.bars import signs_of


class _Visible(Highlighter):
    """Shows each control character as `?`, without changing what the input holds."""

    def highlight(self, text: Text) -> None:
        """Replace them one by one, so that the cursor stays where it belongs."""
        text.plain = "".join(character if character.isprintable() else "?" for character in text.plain)


class LineInput(Input):
    """A one-line input: no border, no blinking cursor; with `replace` the focus selects what it holds."""

    def __init__(
        self, value: str = "", *, placeholder: str = "", id: str | None = None, replace: bool = False, **more: Any
    ) -> None:
        more |= {"compact": True, "select_on_focus": replace, "highlighter": _Visible()}
        super().__init__(value, placeholder=placeholder, id=id, **more)
        self.cursor_blink = False

    def on_key(self, event: events.Key) -> None:
        """`=` takes what is suggested where that cannot be meant as a letter; Del behind the text clears it."""
        field = next((above for above in self.ancestors if isinstance(above, Field)), None)
        if field is None:
            return
        taken = False
        if event.key == "equals_sign" and (field.failed or not self.value):
            taken = field.take_suggestion()
        elif event.key == "delete" and self.cursor_at_end and self.selection.is_empty:
            taken = field.restore()
        if taken:
            event.stop()
            event.prevent_default()


class Field(Vertical):
    """`> Label  [control] note`, and below it a message. The `>` stands at the focused field.

    `key` is the dotted path of the answer that it edits; `help_id` names its help text (the key if not given).
    """

    LABEL_CELLS = 22

    def __init__(
        self, label: str, control: Widget, *, key: str = "", note: str = "", help_id: str = "", id: str | None = None
    ) -> None:
        super().__init__(id=id, classes="field")
        self.label = label
        self.control = control
        self.key = key
        self.help_id = help_id or key
        self.suggestion: Any = None
        self._note = note
        self._message = ""

    def compose(self) -> ComposeResult:
        """Label, control and note on one line, the message below."""
        inputs = isinstance(self.control, Input)
        with Horizontal(classes="field-line"):
            yield Static(self._label_text(False), classes="field-label", markup=False)
            if inputs:
                yield Static("[", classes="bracket", markup=False)
            yield self.control
            if inputs:
                yield Static("]", classes="bracket", markup=False)
            note = Static(Content(clean(self._note)), classes="field-note", markup=False)
            note.display = bool(self._note)
            yield note
        yield Static("", classes="field-message", markup=False)

    def _label_text(self, focused: bool) -> Content:
        mark = signs_of(self).focus if focused else " "
        return Content.styled(f"{mark} {clean(self.label)}", "bold" if focused else "")

    def on_descendant_focus(self, _event: events.DescendantFocus) -> None:
        """Put the mark at the label."""
        self.query_one(".field-label", Static).update(self._label_text(True))

    def on_descendant_blur(self, _event: events.DescendantBlur) -> None:
        """Take the mark away."""
        self.query_one(".field-label", Static).update(self._label_text(False))

    @property
    def message(self) -> str:
        """What is shown under the field."""
        return self._message

    @property
    def failed(self) -> bool:
        """Whether the message is an error."""
        return self.has_class("-error")

    def show(self, message: str, severity: str = "") -> None:
        """Show `message` under the field; `severity` is "", "warning" or "error". An empty message shows nothing."""
        sign = {"error": signs_of(self).problem, "warning": signs_of(self).warning}.get(severity, "")
        text = f"{sign} {message}" if sign and message else message
        self.set_class(severity == "error" and bool(message), "-error")
        self.set_class(severity == "warning" and bool(message), "-warning")
        if text == self._message:
            return
        self._message = text
        for line in self.query(".field-message").results(Static):
            line.update(Content(clean(text)))
            line.display = bool(text)

    def take_suggestion(self) -> bool:
        """`=`: hold what is suggested; whether there is anything."""
        if self.suggestion is None or not isinstance(self.control, Input):
            return False
        self.control.value = str(self.suggestion)
        self.control.cursor_position = len(self.control.value)
        return True

    def restore(self) -> bool:
        """Del: hold what holds where nothing is said; whether that was another value."""
        return False

    def set_note(self, note: str) -> None:
        """Replace what stands at the right of the control."""
        if note != self._note:
            self._note = note
            for line in self.query(".field-note").results(Static):
                line.update(Content(clean(note)))
                line.display = bool(note)


def columns(rows: list[tuple[str, ...]], gap: int = 2) -> list[str]:
    """`rows` as lines with aligned columns; wide characters count two cells."""
    if not rows:
        return []
    widths = [max(cell_len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["".join(pad(cell, width + gap) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
