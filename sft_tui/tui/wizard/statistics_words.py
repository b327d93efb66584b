"""What is known of the examples as a whole: how it is found out, kept, and put into words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sft_tui.i18n import N_, _
from sft_tui.tui.look.values import show_typed

if TYPE_CHECKING:
    from sft_tui.answers import Answers
    from sft_tui.dataset import Progress
    from sft_tui.dataset.request import ConvertRequest
    from sft_tui.dataset.stats.content_checks import Finding
    from sft_tui.dataset.stats.data_statistics import Statistics, Suggestion
    from sft_tui.dataset.stats.token_lengths import TokenLengths
    from sft_tui.tui.look.signs import Signs
    from sft_tui.tui.services import Machine

SCRIPTS: dict[str, str] = {
    "han": N_("Chinese"),
    "latin": N_("Latin"),
    "kana": N_("Japanese"),
    "hangul": N_("Korean"),
    "cyrillic": N_("Cyrillic"),
    "arabic": N_("Arabic"),
    "devanagari": N_("Devanagari"),
    "other": N_("other"),
}
"""Scripts in words; they tell languages apart as far as that matters here."""
PERSONAL: dict[str, str] = {
    "mail": N_("mail addresses"),
    "phone": N_("phone numbers"),
    "id_number": N_("identity numbers"),
    "key": N_("keys and passwords of programs"),
}
DEFAULT_CUTOFF = 2048
SPARK_CELLS = 40


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be looked at: every row of `request`, with the tokenizer of `model` where that is a directory.

    Two jobs with the same `mark` find the same. `cutoff_len` and `batch_size` are those of the training as it stands.
    """

    request: ConvertRequest
    model: Path | None
    template: str | None
    python: str | None
    cutoff_len: int
    batch_size: int
    options: Mapping[str, Any]
    mark: tuple[str, ...]


def make_job(answers: Answers, answers_path: Path, machine: Machine) -> Job:
    """Find out what the statistics of the draft's examples depend on. Raises `Refusal`."""
    from sft_tui.plan.context import gather, template_of
    from sft_tui.plan.conversion import fingerprint
    from sft_tui.plan.decide import decide
    from sft_tui.plan.sources import trained_parts

    situation = replace(gather(answers, answers_path, fresh=True, rows=0), gpus=machine.gpus)
    options = decide(answers, situation, estimated=False).options
    python = machine.environment.python if machine.environment is not None else None
    known = template_of(answers, situation.model, situation.factory)
    folder = situation.project / "data"
    first = replace(trained_parts(answers, situation)[0], dataset="statistics", before=())
    request = first.request(folder, known, python)
    model = situation.model.directory
    template = situation.model.template if model is not None else None
    return Job(
        request,
        model,
        template,
        python,
        whole(options.get("cutoff_len"), DEFAULT_CUTOFF),
        whole(options.get("per_device_train_batch_size"), 1),
        options,
        (fingerprint(request), str(model), str(template), str(python)),
    )


def whole(value: Any, default: int) -> int:
    """`value` where it is a whole number from 1, otherwise `default`."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else default


def look(job: Job, progress: Callable[[Progress], None]) -> Statistics:
    """Read every row. Raises `Refusal`, and what `progress` raises."""
    from sft_tui.plan.statistics import source_statistics

    return source_statistics(
        job.request,
        model=job.model,
        template=job.template,
        python=job.python,
        cutoff_len=job.cutoff_len,
        batch_size=job.batch_size,
        progress=progress,
    )


def overview(found: Statistics, job: Job, signs: Signs, cutoff_len: int) -> list[str]:
    """What the examples are like, in a few lines, where samples are cut off at `cutoff_len` tokens."""
    first = _("{rows:,} samples").format(rows=found.rows)
    left_out = sum(count for reason, count in found.dropped.items() if reason != "duplicate")
    if left_out:
        first += _(", ") + _("{count:,} rows are left out").format(count=left_out)
    if found.duplicates:
        first += _(", ") + _("{count:,} occur twice").format(count=found.duplicates)
    lines = [first]
    shares = _(", ").join(
        f"{_(SCRIPTS.get(name, name))} {share:.0%}" for name, share in found.scripts.items() if share >= 0.005
    )
    if shares:
        lines.append(_("written in: {scripts}").format(scripts=shares))
    tokens = found.tokens
    return lines + (_lengths(tokens, cutoff_len, signs) if tokens is not None else [_why_no_tokens(job)])


def _why_no_tokens(job: Job) -> str:
    if job.model is None:
        return _("tokens: - (they are counted with the model's own tokenizer, and the model is no directory here)")
    return _("tokens: - (they are counted in LLaMA-Factory's environment, which was not found)")


def _lengths(tokens: TokenLengths, cutoff_len: int, signs: Signs) -> list[str]:
    half, most, nearly, longest = (tokens.percentile(share) for share in (0.5, 0.9, 0.99, 1.0))
    text = _("tokens: half of the samples have up to {half:,}, 90 % up to {most:,}, 99 % up to {nearly:,}")
    lines = [text.format(half=half, most=most, nearly=nearly)]
    lines.append(f"0 {spark(tokens, signs)} {longest:,}")
    share = tokens.share_longer_than(cutoff_len)
    cut = _("longer than {cutoff} and cut off there: {share:.1%} of the samples")
    lines.append(cut.format(cutoff=cutoff_len, share=share))
    loss = _("trained on (the answers): {share:.0%} of the tokens").format(share=tokens.loss_share)
    lines.append(loss if tokens.with_template else loss + " " + _("(the template's own tokens are not counted)"))
    return lines


def spark(tokens: TokenLengths, signs: Signs, cells: int = SPARK_CELLS) -> str:
    """How many samples have which length, from nothing to the longest, as a row of blocks."""
    longest = max(tokens.percentile(1.0), 1)
    heights = [0] * cells
    for length, count in tokens.histogram:
        heights[min(cells - 1, length * cells // (longest + 1))] += count
    top, blocks = max(heights), signs.blocks
    return "".join(blocks[max(1, round(h / top * (len(blocks) - 1)))] if h else " " for h in heights) if top else ""


def to_look_at(found: Statistics) -> list[tuple[str, Finding]]:
    """What is doubtful, in words, with its row numbers."""
    from sft_tui.plan.statistics import doubts

    named = doubts(found)
    text = _("likely personal data: {what}")
    named += [(text.format(what=_(PERSONAL.get(kind, kind))), each) for kind, each in found.personal.items()]
    return [(label, finding) for label, finding in named if finding.count]


def suggested(found: Statistics, job: Job) -> tuple[Suggestion, ...]:
    """What the numbers suggest for the training as it stands now."""
    from sft_tui.dataset.stats.data_statistics import suggest

    return suggest(found.rows, found.tokens, job.batch_size)


def already(suggestion: Suggestion, options: Mapping[str, Any]) -> bool:
    """Whether the training has the suggested value anyway."""
    present = options.get(suggestion.key)
    if isinstance(suggestion.value, bool):
        return bool(present) == suggestion.value
    return bool(present == suggestion.value)


def shown_value(value: Any) -> str:
    """A value as one would type it; nothing is "-"."""
    return show_typed(value) or "-"


def guess_tokens(texts: list[str]) -> float | None:
    """Tokens a sample, guessed: a Chinese character is about 0.7 of one, four other characters are one."""
    if not texts:
        return None
    wide = sum(1 for text in texts for character in text if character >= "\u2e80")
    narrow = sum(len(text) for text in texts) - wide
    return (0.7 * wide + 0.25 * narrow) / len(texts) + TEMPLATE_TOKENS


TEMPLATE_TOKENS = 20
"""What a template adds to a sample, roughly."""
