"""Choosing a model directory or a file with examples from a list; typing filters, Enter opens or takes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from sft_tui.i18n import N_, _
from sft_tui.tui.model_check import file_size
from sft_tui.tui.paths import Entry, entries, place_of
from sft_tui.tui.screen import BaseScreen
from sft_tui.tui.text import shorten_path
from sft_tui.tui.widgets.field import LineInput
from sft_tui.tui.widgets.list_box import ListBox, Row, aligned


class FilesScreen(BaseScreen):
    """Dismissed with the chosen path, relative where it is below the first base, or with None."""

    REMADE = False
    CSS_PATH = "files.tcss"
    HELP_ID = "files"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("left", "up", N_("Parent directory"), priority=True)]

    class Listed(Message):
        """What is in a directory."""

        def __init__(self, directory: Path, found: list[Entry]) -> None:
            super().__init__()
            self.directory = directory
            self.found = found

    def __init__(self, value: str, bases: Sequence[Path], models: bool) -> None:
        super().__init__()
        self._bases = tuple(bases)
        self._models = models
        self._found: list[Entry] = []
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
        super().on_mount()
        self._go(self.directory)

    def _go(self, directory: Path) -> None:
        self.directory = directory
        self.query_one("#files-where", Static).update(shorten_path(str(directory), max(20, self.app.size.width - 4)))
        self.query_one("#files-filter", LineInput).value = ""
        self._list(directory)

    @work(thread=True, group="files", exclusive=True)
    def _list(self, directory: Path) -> None:
        self.post_message(self.Listed(directory, entries(directory, models=self._models)))

    @on(Listed)
    def _listed(self, event: Listed) -> None:
        if event.directory == self.directory:
            self._found = event.found
            self._show()

    def _show(self) -> None:
        text = self.query_one("#files-filter", LineInput).value.lower()
        rows = [Row("..", "../", _("parent directory"))] if self.directory != self.directory.parent else []
        rows += [Row(e.text, e.text, self._note(e)) for e in self._found if text in e.text.lower()]
        first = next((row.id for row in rows if row.id != ".."), None)
        self.query_one(ListBox).set_rows(aligned(rows, 46), first)

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

    def back(self) -> None:
        """Take none."""
        self.dismiss(None)

    @on(LineInput.Changed)
    def _filter(self) -> None:
        self._show()

    @on(ListBox.Moved)
    def _moved(self) -> None:
        self.refresh_actions()

    @on(ListBox.Picked)
    def _picked(self) -> None:
        self.primary()

    def key_up(self) -> None:
        """Up and Down move in the list while the filter has the focus."""
        self.query_one(ListBox).action_move(-1)

    def key_down(self) -> None:
        """Up and Down move in the list while the filter has the focus."""
        self.query_one(ListBox).action_move(1)
