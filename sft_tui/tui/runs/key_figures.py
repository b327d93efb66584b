"""The key figures of a training in two lines: how far it is and when it ends, how well it learns."""

from __future__ import annotations

import math

from rich.cells import cell_len
from textual.content import Content
from textual.widget import Widget

from sft_tui.i18n import _
from sft_tui.tui.look import numbers as text
from sft_tui.tui.look.signs import Signs
from sft_tui.tui.widgets.bars import signs_of
from sft_tui.view.curves import Curve
from sft_tui.view.watch import Snapshot

_PARTS = "  "
_NARROWEST_BAR, _WIDEST_BAR = 5, 24


def trend(curve: Curve, signs: Signs) -> str:
    """A sign for where the loss goes: the mean of its last tenth against that of the tenth before; "" is no change."""
    values = [value for _step, value in curve.points if math.isfinite(value)]
    count = max(1, len(values) // 10)
    if len(values) < 2 * count or len(values) < 3:
        return ""
    newer, older = sum(values[-count:]) / count, sum(values[-2 * count : -count]) / count
    if abs(newer - older) <= 0.02 * abs(older):
        return ""
    down, up = ("v", "^") if signs.ascii else ("▼", "▲")
    return down if newer < older else up


def progress_line(snapshot: Snapshot, signs: Signs, width: int) -> Content:
    """`epoch 1.36/3  step 128/282  45%  bar  1.9 s/step  ETA 0:04:51`, in at most `width` cells."""
    figures = snapshot.figures
    epochs = f"/{text.number(figures.epochs)}" if figures.epochs is not None else ""
    total = f"/{text.whole(figures.total_steps)}" if figures.total_steps else ""
    before = [
        _("epoch {value}").format(value=text.number(figures.epoch) + epochs),
        _("step {value}").format(value=text.whole(figures.step) + total),
    ]
    if figures.percent is not None:
        before.append(f"{figures.percent:.0f}%")
    after = [text.pace(figures.step_s)] if figures.step_s else []
    after += [_eta(snapshot)]
    used = cell_len(_PARTS.join([*before, *after])) + 2 * len(_PARTS)
    bar = signs.bar((figures.percent or 0) / 100, min(_WIDEST_BAR, width - used))
    parts = [*before, bar, *after] if width - used >= _NARROWEST_BAR and figures.percent is not None else before + after
    return Content(_PARTS.join(parts))


def _eta(snapshot: Snapshot) -> str:
    """The time left, or "-" and why it is not known."""
    figures = snapshot.figures
    if not snapshot.alive:
        return _("ended")
    if snapshot.stage != "train":
        return _("training has ended") if figures.step is not None else _("training has not begun")
    if figures.remaining_s is not None:
        return _("ETA {value}").format(value=text.seconds(figures.remaining_s))
    if figures.step is None:
        return _("ETA - (no step logged yet)")
    return _("ETA - (known after the next steps)")


def loss_line(snapshot: Snapshot, signs: Signs) -> Content:
    """`loss 1.284 v  eval 1.331  lr 8.1e-5  tokens/s 8,412`."""
    figures = snapshot.figures
    value = snapshot.train_loss.last
    broken = value is not None and not math.isfinite(value)
    parts: list[Content] = [
        Content.assemble(
            _("loss") + " ",
            (text.loss(value), "bold $error" if broken else "bold"),
            f" {trend(snapshot.train_loss, signs)}",
        )
    ]
    evaluated = text.loss(snapshot.eval_loss.last)
    if snapshot.eval_loss.last is None:
        evaluated += f" ({snapshot.why_no_eval()})"
    parts.append(Content.assemble(_("eval") + " ", (evaluated, "bold")))
    parts.append(Content(_("lr {value}").format(value=text.rate(figures.learning_rate))))
    if figures.tokens_per_s:
        parts.append(Content(_("tokens/s {value}").format(value=text.whole(figures.tokens_per_s))))
    return Content(_PARTS).join(parts)


class KeyFigures(Widget):
    """Both lines."""

    DEFAULT_CSS = "KeyFigures { height: 2; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._shown: tuple[Content, ...] = ()
        self._snapshot: Snapshot | None = None

    def show(self, snapshot: Snapshot) -> None:
        """Show the figures of `snapshot`; nothing is drawn where they are the same."""
        self._snapshot = snapshot
        if self._build() != self._shown:
            self.refresh()

    def _build(self) -> tuple[Content, ...]:
        if self._snapshot is None:
            return ()
        signs = signs_of(self)
        return (progress_line(self._snapshot, signs, self.size.width), loss_line(self._snapshot, signs))

    def render(self) -> Content:
        """The lines for the present width."""
        self._shown = self._build()
        return Content("\n").join(self._shown)
