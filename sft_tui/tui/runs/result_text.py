"""A run's result as text: what was learned, answers before and after, where it is, how to use it."""

from __future__ import annotations

from textual.content import Content

from sft_tui.i18n import N_, _
from sft_tui.tui.look.signs import Signs
from sft_tui.tui.look.text import clean
from sft_tui.view.result import Check, Place, RunResult, Sample

KINDS = {
    "merged": N_("merged model"),
    "adapter": N_("adapter and checkpoints"),
    "configs": N_("LLaMA-Factory configs"),
    "logs": N_("logs"),
    "run": N_("answers, plan, events"),
}
_MOST = 600


def size_text(size_bytes: int | None) -> str:
    """Bytes as people read them."""
    if size_bytes is None:
        return _("(not there)")
    size = float(size_bytes)
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def result_lines(result: RunResult, signs: Signs) -> list[Content]:
    """The whole text."""
    return [
        *_learned(result, signs),
        *_samples(result, signs),
        *_where(result),
        *_use(result),
    ]


def _title(text: str) -> list[Content]:
    return [Content(""), Content.styled(text, "bold")]


def _learned(result: RunResult, signs: Signs) -> list[Content]:
    snapshot = result.snapshot
    if snapshot.train_loss.first is None:
        lines = [Content(_("loss  - (nothing was logged)"))]
    elif snapshot.eval_loss.first is None:
        lines = [Content(_("eval  - ({why})").format(why=snapshot.why_no_eval()))]
    else:
        lines = []
    return lines + _verification(result, signs)


def _verification(result: RunResult, signs: Signs) -> list[Content]:
    if result.verified is None:
        why = (
            _("The merged model was not checked.") if result.exported else _("There is no merged model: x exports it.")
        )
        return [Content(f"{signs.warning} {why}")]
    if result.verified:
        head = Content.styled(f"{signs.done} " + _("The merged model has passed all checks."), "$success")
    else:
        head = Content.styled(f"{signs.problem} " + _("The merged model has not passed its checks."), "bold $error")
    lines = [head]
    if result.verify_error:
        lines.append(Content(f"  {signs.problem} {clean(result.verify_error, ' ')}"))
    shown = [check for check in result.checks if check.status != "ok"]
    return lines + [_check(check, signs) for check in shown]


def _check(check: Check, signs: Signs) -> Content:
    sign = {"ok": signs.done, "failed": signs.problem, "differs": signs.warning}.get(check.status, signs.waiting)
    word = {
        "ok": "",
        "failed": _("failed") + ": ",
        "skipped": _("not checked") + ": ",
        "differs": _("note") + ": ",
    }.get(check.status, "")
    return Content(f"  {sign} {word}{clean(check.message, ' ')}")


def _samples(result: RunResult, signs: Signs) -> list[Content]:
    if not result.samples:
        return []
    title = (
        _("Answers before and after, to questions that were kept out of the training:")
        if result.held_out
        else _("Answers before and after, to questions that were trained on:")
    )
    lines = _title(title)
    for number, sample in enumerate(result.samples, 1):
        lines += _sample(number, sample, signs)
    return lines


def _sample(number: int, sample: Sample, signs: Signs) -> list[Content]:
    missing = _("- (not asked)")
    rows = [(_("before"), sample.before, ""), (_("after"), sample.after, "bold")]
    if sample.reference is not None:
        rows.append((_("wanted"), sample.reference, ""))
    lines = [Content.styled(f"{number}. {_flat(sample.prompt, signs)}", "underline")]
    for label, answer, style in rows:
        text = missing if answer is None else _flat(answer, signs) or _("(empty)")
        lines.append(Content.assemble(f"   {label}: ", (text, style)))
    return lines


def _flat(text: str, signs: Signs) -> str:
    """A text of several lines on one, cut where it is very long."""
    cut = text if len(text) <= _MOST else text[:_MOST] + signs.ellipsis
    return clean(cut, f" {signs.newline} ")


def _where(result: RunResult) -> list[Content]:
    places = [place for place in result.places if place.size_bytes is not None]
    return _title(_("Where everything is:")) + [_place(place) for place in places]


def _place(place: Place) -> Content:
    return Content(f"  {clean(place.path)}   {_(KINDS[place.kind])}, {size_text(place.size_bytes)}")


def _use(result: RunResult) -> list[Content]:
    if not result.usages:
        return []
    lines = _title(_("To use it, type in the project directory (w writes these lines to a file):"))
    for usage in result.usages:
        lines += [Content(f"  {usage.tool}:"), Content(f"    {clean(usage.command, ' ')}")]
    return lines
