"""A field for a path: completions below it while one types, Tab takes them, F4 opens the list of files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from textual import events, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static

from sft_tui.i18n import N_, _
from sft_tui.tui.paths import Completions, complete
from sft_tui.tui.text import clean, one_line
from sft_tui.tui.widgets.bars import app_of, signs_of
from sft_tui.tui.widgets.field import Field, LineInput

SHOWN = 5


class PathInput(LineInput):
    """An input in which Tab completes as in a shell; where there is nothing to complete it goes to the next field."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("f4", "browse", N_("Browse"))]

    def __init__(self, value: str = "", **more: Any) -> None:
        super().__init__(value, **more)
        self.completions = Completions()
        self.looked_for = value
        self._tab = False

    def on_key(self, event: events.Key) -> None:
        """Tab; one that comes before the completions are known waits for them."""
        waits = self.value != self.looked_for and bool(self.value.strip())
        self._tab = event.key == "tab" and waits
        if event.key == "tab" and (waits or self.complete()):
            event.stop()
            event.prevent_default()

    def complete(self) -> bool:
        """Complete what is typed; whether there is anything to add."""
        longer = self.completions.longer(self.value)
        if longer:
            self.value = longer
            self.cursor_position = len(longer)
        return bool(longer)

    def take(self, found: Completions, text: str) -> None:
        """The completions of `text` are known now."""
        self.completions, self.looked_for = found, text
        waited, self._tab = self._tab, False
        if waited and not self.complete():
            self.screen.focus_next()

    def action_browse(self) -> None:
        """F4."""
        for field in self.ancestors:
            if isinstance(field, PathField):
                field.browse()
                return


class PathField(Field):
    """A field whose control is a `PathInput`."""

    class Completed(Message):
        """What the typed text can become."""

        def __init__(self, text: str, found: Completions) -> None:
            super().__init__()
            self.text = text
            self.found = found

    def __init__(
        self,
        label: str,
        value: str,
        *,
        bases: Sequence[Path],
        models: bool,
        key: str,
        placeholder: str,
        extra: Callable[[], Sequence[str]] = tuple,
        id: str | None = None,
    ) -> None:
        self.input = PathInput(value, placeholder=placeholder, id=f"{id}-input" if id else None)
        super().__init__(label, self.input, key=key, id=id)
        self._bases = tuple(bases)
        self._models = models
        self._extra = extra

    def compose(self) -> ComposeResult:
        """The field, and the completions below it."""
        yield from super().compose()
        yield Static("", classes="completions", markup=False)

    @property
    def value(self) -> str:
        """The typed text without blanks around it."""
        return self.input.value.strip()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Look for completions in a thread, because a directory may be slow to read."""
        if self.input.has_focus:
            self._look(event.value)

    @work(thread=True, group="complete", exclusive=True)
    def _look(self, text: str) -> None:
        found = Completions()
        if text.strip():
            found = complete(text, self._bases, models=self._models, extra=self._extra())
        self.post_message(self.Completed(text, found))

    def on_path_field_completed(self, event: Completed) -> None:
        """Show them, unless more was typed since."""
        event.stop()
        if event.text == self.input.value and self.input.has_focus:
            self._show_completions(event.found)

    def on_descendant_blur(self, event: events.DescendantBlur) -> None:
        """The completions go when the focus goes."""
        super().on_descendant_blur(event)
        self._show_completions(Completions())

    def _show_completions(self, found: Completions) -> None:
        self.input.take(found, self.input.value)
        names = found.all
        room = max(20, self.size.width - 6)
        lines = [one_line(clean(name, " "), room, signs_of(self).ellipsis) for name in names[:SHOWN]]
        if len(names) > SHOWN:
            lines.append(_("and {count} more").format(count=len(names) - SHOWN))
        if lines:
            lines[0] += "   " + _("(Tab completes)")
        box = self.query_one(".completions", Static)
        box.update(Content("\n".join(lines)))
        box.display = bool(lines)

    def browse(self) -> None:
        """F4: choose from a list of files."""
        app_of(self).browse(self.value, self._bases, self._models, self._browsed)

    def _browsed(self, path: str | None) -> None:
        if path is not None:
            self.input.value = path
            self.input.cursor_position = len(path)
            self._show_completions(Completions())
