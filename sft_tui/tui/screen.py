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
from sft_tui.tui.widgets.bars import STEPS, ActionBar, KeyBar, Primary, StepBar
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
    ]

    @property
    def sft(self) -> SftApp:
        """The app, typed."""
        return cast("SftApp", self.app)

    def __init__(self) -> None:
        super().__init__()
        self.language = current_language()

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

    def first_field(self) -> Widget | None:
        """The widget that the focus starts on; None is the first that takes it."""
        return None

    def on_screen_resume(self) -> None:
        """Back from a screen on which the language was changed: show this one in it, too."""
        if self.language != current_language():
            self.sft.in_new_language()

    def on_mount(self) -> None:
        """Show what happens next and put the focus on the one question."""
        self.refresh_actions()
        self.call_after_refresh(self.focus_first)

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

    def help_topic(self) -> str:
        """The id of the help text for the focused field, or for the screen."""
        widget: Widget | None = self.focused
        while widget is not None and widget is not self:
            topic = getattr(widget, "help_id", "")
            if topic:
                return str(topic)
            widget = widget.parent if isinstance(widget.parent, Widget) else None
        return self.HELP_ID or self.STEP


class WizardScreen(BaseScreen):
    """A step of the wizard: Enter stores, saves and goes to the next step, Esc to the one before."""

    def check(self) -> bool:
        """Whether the user may go on; where not, the problem is shown at its field, which has the focus."""
        return True

    def primary(self) -> None:
        """Store, check, save, next step."""
        self.store()
        if self.check():
            self.sft.go_step(+1)

    def back(self) -> None:
        """Store and go to the step before; the first step stays."""
        self.sft.go_step(-1)

    def next_text(self) -> str:
        """Which step comes next."""
        names = [name for name, _label in STEPS]
        here = names.index(self.STEP)
        return _("Next: {step}").format(step=_(STEPS[here + 1][1])) if here + 1 < len(STEPS) else ""
