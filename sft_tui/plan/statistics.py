"""Statistics of a source as the model will see it, with the template's own texts where LLaMA-Factory is there."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sft_tui.dataset import statistics
from sft_tui.factory.model_config import text_config
from sft_tui.factory.rendering import Renderer
from sft_tui.i18n import _
from sft_tui.problems import Refusal
from sft_tui.project.files import read_json

if TYPE_CHECKING:
    from sft_tui.dataset.request import ConvertRequest, Progress
    from sft_tui.dataset.stats.content_checks import Finding
    from sft_tui.dataset.stats.data_statistics import Statistics


def source_statistics(
    request: ConvertRequest,
    *,
    model: Path | None = None,
    template: str | None = None,
    python: str | None = None,
    cutoff_len: int = 2048,
    batch_size: int = 2,
    progress: Callable[[Progress], None] | None = None,
) -> Statistics:
    """Look at every row of `request`; token lengths need a `model` directory.

    The fixed texts of `template` count where LLaMA-Factory can be asked through `python` (10 s). Raises `Refusal`.
    """
    frame: dict[str, Any] | None = None
    if model is not None and template is not None and python is not None:
        with contextlib.suppress(Refusal), Renderer(python) as renderer:
            frame = renderer.frame(model=str(model), data_args={"template": template})
    return statistics(
        request,
        model=model,
        frame=frame,
        cutoff_len=cutoff_len,
        batch_size=batch_size,
        context=_context(model),
        progress=progress,
    )


def _context(model: Path | None) -> int | None:
    """The tokens that the model has positions for, None where nobody says so."""
    config = read_json(model / "config.json") if model is not None else None
    limit = text_config(config).get("max_position_embeddings") if isinstance(config, dict) else None
    return limit if isinstance(limit, int) and limit > 0 else None


def statistics_lines(found: Statistics) -> list[str]:
    """The statistics as lines for people: lengths, what to look at, what to set."""
    lines = [_("{rows} samples").format(rows=f"{found.rows:,}")]
    dropped = ", ".join(f"{reason} {count:,}" for reason, count in found.dropped.items() if count)
    if dropped:
        lines.append(_("left out: {reasons}").format(reasons=dropped))
    if found.duplicates:
        lines.append(_("occurring twice: {count}").format(count=f"{found.duplicates:,}"))
    scripts = ", ".join(f"{name} {share:.0%}" for name, share in found.scripts.items() if share >= 0.005)
    lines.append(_("scripts: {scripts}").format(scripts=scripts or "-"))
    tokens = found.tokens
    if tokens is None:
        lines.append(_("tokens: - (they are counted with the model's own tokenizer: name a model directory)"))
    else:
        shares = (0.5, 0.9, 0.99, 1.0)
        shown = " / ".join(f"{tokens.percentile(share):,}" for share in shares)
        lines.append(_("tokens a sample, p50 / p90 / p99 / longest: {lengths}").format(lengths=shown))
        text = _("cut off at cutoff_len {cutoff}: {share} of the samples; {loss} of the tokens carry loss")
        cut, loss = f"{tokens.truncated_share:.1%}", f"{tokens.loss_share:.0%}"
        lines.append(text.format(cutoff=tokens.cutoff_len, share=cut, loss=loss))
        if not tokens.with_template:
            lines.append(_("(without the fixed texts of the template)"))
    named = [(_("likely personal data, {kind}").format(kind=kind), finding) for kind, finding in found.personal.items()]
    for label, finding in (*doubts(found), *named):
        lines += _finding(label, finding)
    for suggestion in found.suggestions:
        lines.append(_("suggestion: {key}: {value}").format(key=suggestion.key, value=suggestion.value))
        lines.append(f"  {suggestion.text}")
    return lines


def doubts(found: Statistics) -> list[tuple[str, Finding]]:
    """What is doubtful about the texts, in words, with the rows; those without any are among them."""
    words = {
        "mojibake": _("characters of a wrong encoding"),
        "markup": _("HTML in the texts"),
        "structure": _("answers that are lists or objects"),
        "contradiction": _("different answers to one prompt"),
    }
    return [
        (_("answers that are nearly empty"), found.near_empty),
        (_("answers that look cut off"), found.cut_off),
        *((words[kind], finding) for kind, finding in found.doubtful.items()),
    ]


def _finding(label: str, finding: Finding) -> list[str]:
    if not finding.count:
        return []
    rows = ", ".join(str(row) for row in finding.rows[:8])
    return [_("{what}: {count} (rows {rows})").format(what=label, count=f"{finding.count:,}", rows=rows)]
