"""What all dialogs share: leaving and help work in them as everywhere."""

from __future__ import annotations

from typing import ClassVar, TypeVar

from textual.binding import Binding, BindingType
from textual.screen import ModalScreen

R = TypeVar("R")


class Dialog(ModalScreen[R]):
    """A question over the screen that asks it. F10 leaves the program, F1 explains."""

    HELP_ID: ClassVar[str] = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f1", "app.help_field", "", show=False),
        Binding("f10,ctrl+q,ctrl+c", "app.leave", "", show=False),
    ]
