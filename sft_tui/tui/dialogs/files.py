"""Choosing a model directory or a file with examples from a list; typing filters, Enter opens or takes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import Static

from sft_tui.i18n import N_, _
from sft_tui.tui.dialogs.filtered import FilteredScreen
from sft_tui.tui.look.text import shorten_path
from sft_tui.tui.widgets.field import LineInput
from sft_tui.tui.widgets.list_box import ListBox, Row, aligned
from sft_tui.tui.widgets.paths import MOST, Entry, entries, place_of
from sft_tui.tui.wizard.model_check import file_size


class FilesScreen(FilteredScreen):
    """Dismissed with the chosen path, relative where it is below the first base, or with None."""

    HELP_ID = "files"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("left", "up", N_("Parent directory"), priority=True)]

    def __init__(self, value: str, bases: Sequence[Path], models: bool) -> None:
        super().__init__()
        self._bases = tuple(bases)
        self._models = models
        self._found: list[Entry] = []
        self._cut = False
        self.directory = self._beginning(value)

    def _beginning(self, value: str) -> Path:
        directory = place_of(value, self._bases)[0]
        while not directory.is_dir() and directory != directory.parent:
            directory = directory.parent
        return directory.resolve()

    def heading(self) -> str:
        """What is looked for."""
        return _("Choose a model directory") if self._models else _("Choose a file with examples")

    def compose_body(self) -> ComposeResult:
        """Where we are, the filter, the list."""
        yield Static("", id="files-where", classes="title", markup=False)
        yield LineInput(placeholder=_("type to filter"), id="files-filter")
        yield ListBox(id="files-list")

    def first_field(self) -> Widget:
        """Typing filters."""
        return self.query_one("#files-filter")

    def on_mount(self) -> None:
        """List where we are."""
        self._go(self.directory)

    def _go(self, directory: Path) -> None:
        self.directory, self._cut = directory, False
        self.query_one("#files-where", Static).update(shorten_path(str(directory), max(20, self.app.size.width - 4)))
        self.query_one("#files-filter", LineInput).value = ""
        self._list(directory)

    def _list(self, directory: Path) -> None:
        models = self._models
        part = self.query_one("#files-filter", LineInput).value
        self.jobs.start("files", lambda _job: entries(directory, models=models, part=part), self._listed)

    def _listed(self, found: list[Entry]) -> None:
        self._found, self._cut = found, self._cut or len(found) == MOST
        self._show()

    def _show(self) -> None:
        rows = self.rows(self.query_one("#files-filter", LineInput).value)
        self.query_one(ListBox).set_rows(rows, next((row.id for row in rows if row.id != ".."), None))

    def rows(self, text: str) -> list[Row]:
        """The parent directory, and what has `text` in its name."""
        rows = [Row("..", "../", _("parent directory"))] if self.directory != self.directory.parent else []
        rows += [Row(e.text, e.text, self._note(e)) for e in self._found if text.lower() in e.text.lower()]
        return aligned(rows, 46)

    def _note(self, entry: Entry) -> str:
        if entry.wanted and entry.directory:
            return _("model")
        return "" if entry.size is None else file_size(entry.size)

    def primary_label(self) -> str:
        """Enter takes what is wanted and opens other directories."""
        entry = self._current()
        return _("Take it") if entry is not None and entry.wanted else _("Open")

    def _current(self) -> Entry | None:
        row = self.query_one(ListBox).current
        return next((e for e in self._found if row is not None and e.text == row.id), None)

    def next_text(self) -> str:
        """What can be done."""
        if not self._found:
            if self._models:
                return _("Nothing here. A model is a directory with config.json.")
            return _("Nothing here. Examples are json, jsonl, csv, tsv, parquet or xlsx files.")
        if self._cut:
            return _("There are more than are shown here: type a part of the name.")
        return _("Arrows move, Enter opens or takes, Left goes to the parent directory.")

    def primary(self) -> None:
        """Take or open the current line."""
        entry = self._current()
        if entry is None:
            if self.query_one(ListBox).current is not None:
                self.action_up()
            return
        path = self.directory / entry.text.rstrip("/")
        if entry.wanted:
            self.dismiss(self._shown(path))
        else:
            self._go(path)

    def _shown(self, path: Path) -> str:
        for base in self._bases[:1]:
            if path.is_relative_to(base.resolve()):
                return os.path.relpath(path, base.resolve())
        return str(path)

    def action_up(self) -> None:
        """Left: the parent directory, unless the cursor moves in the filter."""
        field = self.query_one("#files-filter", LineInput)
        if field.value and self.focused is field:
            field.action_cursor_left()
        else:
            self._go(self.directory.parent)

    def narrow(self, text: str) -> None:
        """Show only what has `text` in its name; where that is not all there is, look again."""
        if self._cut:
            self._list(self.directory)
        else:
            self._show()
