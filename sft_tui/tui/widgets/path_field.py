"""A field for a path: completions below it while one types, Tab takes them, F4 opens the list of files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Static

from sft_tui.i18n import N_, _
from sft_tui.tui.jobs import Jobs
from sft_tui.tui.look.text import clean, one_line
from sft_tui.tui.widgets.bars import app_of, signs_of
from sft_tui.tui.widgets.field import Field, LineInput
from sft_tui.tui.widgets.paths import Completions, complete

SHOWN, OFFERED = 5, 10
"""So many completions are shown, and so many of what there is while nothing is typed."""


class PathInput(LineInput):
    """An input in which Tab completes as in a shell; where there is nothing to complete it goes to the next field."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("f4", "browse", N_("Browse"))]

    def __init__(self, value: str = "", **more: Any) -> None:
        super().__init__(value, **more)
        self.completions = Completions()
        self.looked_for = value
        self._tab = False
        self.at = -1

    @property
    def chosen(self) -> str | None:
        """The completion at the `>`."""
        return self.completions.all[self.at] if 0 <= self.at < len(self.completions.all) else None

    def on_key(self, event: events.Key) -> None:
        """Tab; one that comes before the completions are known waits for them. Down goes into them, Enter takes one."""
        if event.key == "enter" and self.chosen is not None:
            self.value = self.chosen
        step = {"down": 1, "up": -1}.get(event.key, 0)
        if step and -1 <= self.at + step < min(len(self.completions.all), self.shown):
            self.at += step
            event.stop()
            event.prevent_default()
            for field in self.ancestors:
                if isinstance(field, PathField):
                    field.show_completions()
            return
        waits = self.value != self.looked_for and bool(self.value.strip())
        self._tab = event.key == "tab" and waits
        if event.key == "tab" and (waits or self.complete()):
            event.stop()
            event.prevent_default()

    @property
    def shown(self) -> int:
        """How many completions are shown."""
        return SHOWN if self.value.strip() else OFFERED

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
        self.at = 0 if not text and len(found.all) == 1 else -1  # the only one there is
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
        offers: Callable[[], Sequence[str]] = tuple,
        id: str | None = None,
    ) -> None:
        self.input = PathInput(value, placeholder=placeholder, id=f"{id}-input" if id else None)
        super().__init__(label, self.input, key=key, id=id)
        self._bases = tuple(bases)
        self._models = models
        self._extra, self._offers = extra, offers
        self._jobs = Jobs(self)

    def compose(self) -> ComposeResult:
        """The field, and the completions below it."""
        yield from super().compose()
        yield Static("", classes="completions", markup=False)

    @property
    def value(self) -> str:
        """The typed text without blanks around it."""
        return self.input.value.strip()

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """While nothing is typed, show what there is."""
        if not self.value:
            self._look()

    def on_input_changed(self) -> None:
        """Look for completions in a thread, because a directory may be slow to read."""
        if self.input.has_focus:
            self._look()
        else:
            self._jobs.cancel("complete")

    def _look(self) -> None:
        text, offers = self.input.value, self._offers
        extra = tuple(self._extra()) if text.strip() else ()
        look = partial(complete, text, self._bases, models=self._models, extra=extra)
        self._jobs.start(
            "complete", lambda _job: look() if text.strip() else Completions(names=tuple(offers())), self._completed
        )

    def _completed(self, found: Completions) -> None:
        if self.input.has_focus:
            self._show_completions(found)

    def on_descendant_blur(self, event: events.DescendantBlur) -> None:
        """The completions go when the focus goes."""
        self._show_completions(Completions())

    def _show_completions(self, found: Completions) -> None:
        self.input.take(found, self.input.value)
        self.show_completions()

    def show_completions(self) -> None:
        """Show what the typed text can become, with the `>` at the one that Enter takes."""
        names, at, signs = self.input.completions.all, self.input.at, signs_of(self)
        room, typed = max(20, self.size.width - 8), bool(self.value)
        lines = [one_line(clean(name, " "), room, signs.ellipsis) for name in names[: self.input.shown]]
        lines = [f"{signs.focus if index == at else ' '} {line}" for index, line in enumerate(lines)]
        if len(names) > self.input.shown:
            lines.append("  " + _("and {count} more").format(count=len(names) - self.input.shown))
        if lines and typed:
            lines[0] += "   " + _("(Tab completes)")
        elif lines:
            lines.insert(0, _("Found here (Down chooses, Enter takes):"))
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
