"""What all screens share: the frame, the keys, saving to the draft, help for the focused field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input

from sft_tui.i18n import N_, _, current_language
from sft_tui.tui.jobs import Jobs
from sft_tui.tui.widgets.bars import ActionBar, KeyBar, Primary, StepBar
from sft_tui.tui.widgets.body import Body

if TYPE_CHECKING:
    from sft_tui.tui.app import SftApp


class BaseScreen(Screen[Any]):
    """A screen with the frame of the app: step bar, scrolling body, way on, keys.

    Subclasses give `compose_body`, and override what differs: `title`, `next_text`, `primary_label`, `primary`, `back`.
    Enter is the primary action everywhere, Esc goes back and never leaves the app.
    """

    REMADE: ClassVar[bool] = True
    """Whether `again` can make it anew in another language; what gives an answer back is closed instead."""
    STEP: ClassVar[str] = ""
    HELP_ID: ClassVar[str] = ""
    AUTO_FOCUS = ""
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (70, "-normal"), (110, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-short"), (24, "-tall")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "primary", "", show=False),
        Binding("escape", "back", N_("Back")),
        Binding("up", "step(-1)", "", show=False),
        Binding("down", "step(1)", "", show=False),
        Binding("pageup", "page(-1)", "", show=False),
        Binding("pagedown", "page(1)", "", show=False),
    ]

    @property
    def sft(self) -> SftApp:
        """The app, typed."""
        return cast("SftApp", self.app)

    def __init__(self) -> None:
        super().__init__()
        self.language = current_language()
        self.jobs = Jobs(self)
        self._begun = False

    def compose(self) -> ComposeResult:
        """The frame around the body."""
        self.set_class(self.sft.signs.ascii, "-ascii")
        yield StepBar(self.STEP, self.heading())
        with Body(id="body"):
            yield from self.compose_body()
        yield ActionBar()
        yield KeyBar()

    def compose_body(self) -> ComposeResult:
        """The widgets between the bars."""
        yield from ()

    def heading(self) -> str:
        """What the top line says on a screen that is no step of the wizard."""
        return ""

    def next_text(self) -> str:
        """One sentence: what happens when the user goes on."""
        return ""

    def primary_label(self) -> str:
        """What Enter does, in one or two words; empty hides the button."""
        return _("Continue")

    def primary(self) -> None:
        """Do what `primary_label` says."""

    def back(self) -> None:
        """Go back where the user came from."""
        self.sft.leave_overlay()

    def store(self) -> None:
        """Write what the widgets hold into the draft; called before every change of screen."""

    def tokens_known(self) -> None:
        """It is known now how long the samples are."""

    def again(self) -> BaseScreen:
        """A new screen that shows the same; screens with arguments override it."""
        return type(self)()

    @property
    def waits(self) -> bool:
        """Whether it is being found out whether Enter goes on from here; what is typed meanwhile is for afterwards."""
        return False

    @property
    def ready(self) -> bool:
        """Whether what is typed reaches the field that it is meant for."""
        return self._begun and not self.waits

    def first_field(self) -> Widget | None:
        """The widget that the focus starts on; None is the first that takes it."""
        return None

    def on_screen_resume(self) -> None:
        """Back from a screen on which the language was changed: show this one in it, too."""
        if self.language != current_language():
            self.sft.in_new_language()

    def on_unmount(self) -> None:
        """Nobody waits for what is still being worked out."""
        self.jobs.close()

    def on_mount(self) -> None:
        """Show what happens next and put the focus on the one question."""
        self.refresh_actions()
        self.call_after_refresh(self._settle)

    def _settle(self) -> None:
        self.focus_first()
        self._begun = True

    def focus_first(self) -> None:
        """Put the focus on the first field, unless it is somewhere already."""
        if self.focused is not None:
            return
        field = self.first_field()
        if field is not None:
            self.set_focus(field)
        else:
            self.focus_next("#body *") or self.focus_next()

    def refresh_actions(self) -> None:
        """Show again what happens next and what Enter does."""
        self.say(self.next_text())

    def say(self, text: str, severity: str = "") -> None:
        """Show `text` beside the way on; `severity` is "", "warning" or "error"."""
        for bar in self.query(ActionBar):
            bar.show(text, self.primary_label(), severity)

    def action_primary(self) -> None:
        """Enter; one that comes before the screen is there was meant for another."""
        if self.is_mounted:
            self.primary()

    def action_back(self) -> None:
        """Esc; as with Enter."""
        if self.is_mounted:
            self.back()

    def action_step(self, direction: int) -> None:
        """Up or Down that nothing in the body wanted: from the way on back into the body, or scroll it."""
        for body in self.query(Body):
            body.step(direction)

    def action_page(self, direction: int) -> None:
        """PgUp or PgDn, wherever the focus is."""
        for body in self.query(Body):
            (body.scroll_page_up if direction < 0 else body.scroll_page_down)(animate=False)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_primary()

    @on(Primary.Pressed)
    def _pressed(self, event: Primary.Pressed) -> None:
        event.stop()
        self.action_primary()

    def messages(self) -> tuple[str, ...]:
        """The problems that the screen shows, for a report."""
        from sft_tui.tui.widgets.field import Field

        return tuple(field.message for field in self.query(Field) if field.message)


def help_topic(screen: Screen[Any]) -> str:
    """The id of the help text for what has the focus on `screen`, or for the screen."""
    widget: Widget | None = screen.focused
    while widget is not None and widget is not screen:
        topic = getattr(widget, "help_id", "")
        if topic:
            return str(topic)
        widget = widget.parent if isinstance(widget.parent, Widget) else None
    return str(getattr(screen, "HELP_ID", "") or getattr(screen, "STEP", ""))
