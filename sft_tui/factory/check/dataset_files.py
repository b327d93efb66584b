"""The data files of a dataset: whether their records have the declared shape, and enough text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sft_tui.factory.check.dataset_entry import FORMATTINGS, Dataset
from sft_tui.factory.check.judge import judge
from sft_tui.factory.check.kinds import column_kinds, kind_of, mixed_types
from sft_tui.factory.check.parquet_rows import parquet_head
from sft_tui.factory.check.records import WHOLE_BYTES, Records, numeric_columns, read_records
from sft_tui.factory.check.shapes import TAG_DEFAULTS, Shape, needed_columns, shape_of
from sft_tui.factory.check.splits import rows_of_split
from sft_tui.i18n import _
from sft_tui.problems import nearest

_FILES_READ = 3
_MOST_FILES = 64
_BYTES_READ = 24 << 20
_LENGTHS_READ = 400


def check_files(dataset: Dataset, files: list[tuple[Path, str]]) -> int | None:
    """Look into the files (of many only the first ones); returns the rows where all are known."""
    total: int | None = 0
    known = dataset.entry.get("formatting", "alpaca") in FORMATTINGS
    read, first = _files_to_read(files), None
    for path, kind in read:
        records = read_records(path, kind)
        if records.fault:
            code, message, line = records.fault
            dataset.error(code, message, _("Repair the file, or convert the source again."), path, line=line)
            return None
        if known and kind == "parquet" and dataset.entry.get("formatting", "alpaca") != "alpaca":
            records.rows = parquet_head(path)
        if known and records.rows:
            _check_records(dataset, path, kind, records, alone=len(files) == 1)
        elif known and records.columns:
            _check_kinds(dataset, path, records)
        if first is None:
            first = path, records
        elif not _check_alike(dataset, first[0], first[1], path, records):
            return None
        total = None if total is None or records.total is None else total + records.total
    return _rows_used(dataset, None if len(files) > len(read) else total)


def _files_to_read(files: list[tuple[Path, str]]) -> list[tuple[Path, str]]:
    """The first files, as many as can be read in no time."""
    budget, kept = _BYTES_READ, 0
    for path, _kind in files[:_MOST_FILES]:
        budget -= min(path.stat().st_size, WHOLE_BYTES)
        if budget < 0 and kept >= _FILES_READ:
            break
        kept += 1
    return files[:kept]


def _check_alike(dataset: Dataset, first: Path, model: Records, other: Path, records: Records) -> bool:
    """Whether a file has only columns, and kinds of values, that the first one has, which decides them for all."""
    columns = records.columns - model.columns if model.columns else set()
    if columns:
        text = _("{first} and {other} of `{name}` differ in their columns: {columns}.")
        names = ", ".join(f"`{column}`" for column in sorted(map(str, columns))[:6])
        text = text.format(first=first.name, other=other.name, name=dataset.name, columns=names)
        dataset.error("columns_differ", text, _("Give all files the same columns, or register them apart."), other)
        return False
    if other.suffix not in (".json", ".jsonl") or not model.whole:
        return True
    before, after = column_kinds(model.rows), column_kinds(records.rows)
    column = next((c for c, kind in after.items() if c in before and not _casts(before[c], kind)), None)
    if column is None:
        return True
    text = _("Column `{column}` is {before} in {first} and {after} in {other}.")
    text = text.format(
        column=column, before=before[column] or kind_of(None), first=first.name, after=after[column], other=other.name
    )
    dataset.error("mixed_types", text, _("A column must have one type in all records."), other)
    return False


def _casts(before: str, after: str) -> bool:
    """Whether values of one kind fit into a column of another; numbers and truth values become texts."""
    return before == after or not after or (before == kind_of("") and after in (kind_of(0), kind_of(True)))


def _rows_used(dataset: Dataset, total: int | None) -> int | None:
    """The rows of the split, or `num_samples`; reports a split without rows."""
    split, wanted = dataset.entry.get("split", "train"), dataset.entry.get("num_samples")
    rows = rows_of_split(split, total)
    if rows == 0 and total:
        text = _("The split `{split}` of `{name}` holds no rows: there are only {rows}.")
        hint = _("Delete `split` from the entry.")
        dataset.error("bad_split", text.format(split=split, name=dataset.name, rows=total), hint)
        return None
    return wanted if isinstance(wanted, int) and not isinstance(wanted, bool) else rows


def _converted(dataset: Dataset, records: Records, alone: bool) -> list[Any]:
    """The rows that are converted: `max_samples` of a file are its first ones, the others are only loaded."""
    limit = dataset.findings.get("max_samples")
    plain = alone and dataset.entry.get("split", "train") == "train" and "num_samples" not in dataset.entry
    return records.rows[:limit] if plain and isinstance(limit, int) and limit > 0 else records.rows


def _check_records(dataset: Dataset, path: Path, kind: str, records: Records, *, alone: bool) -> None:
    shape = shape_of(dataset.entry)
    if not all(isinstance(row, dict) for row in records.rows):
        text = _("The records of {file} are no objects with columns.").format(file=path.name)
        dataset.error("bad_record", text, path=path)
        return
    if not _check_declared(dataset, shape) or not _check_columns(dataset, path, shape, records):
        return
    mixed = mixed_types(records.rows)
    if mixed is not None and kind == "json":
        column, number, before, there = mixed
        text = _("Column `{column}` of {file} is {before} at first and {there} in record {number}.")
        text = text.format(column=column, file=path.name, before=before, there=there, number=number)
        dataset.error("mixed_types", text, _("A column must have one type in all records."), path)
        return
    numeric = numeric_columns(records.rows) if kind == "csv" else set()
    verdict = judge(shape, _converted(dataset, records, alone), numeric, str(dataset.findings.get("stage")))
    if verdict.fatal:
        hint = _("Correct the file, or `columns` and `tags` of the entry in dataset_info.json.")
        dataset.error(verdict.fatal[0], verdict.fatal[1], hint, path)
    elif verdict.dropped:
        _report_dropped(dataset, path, verdict.dropped.most_common(1)[0], verdict.examined, verdict.all_dropped)
    if verdict.nameless_tools and not verdict.fatal:
        text = _("A tool in {file} has no `name` or no `parameters`, so no model can call it.").format(file=path.name)
        dataset.warning("nameless_tool", text, _("Describe each tool with `name`, `description` and `parameters`."))
    _check_media(dataset, verdict.with_media)
    _check_cutoff(dataset, path, shape, records.rows[:_LENGTHS_READ])
    if records.whole:
        _check_blocks(dataset, path, shape, records.rows)


def _check_kinds(dataset: Dataset, path: Path, records: Records) -> None:
    """A file of which only the columns are known."""
    shape = shape_of(dataset.entry)
    if not _check_declared(dataset, shape) or not _check_columns(dataset, path, shape, records):
        return
    names = ("prompt", "query", "response", "system") if shape.formatting == "alpaca" else ()
    for name in names:
        column = shape.column(name)
        if column and records.kinds.get(column, "text") != "text":
            text = _("Column `{column}` of {file} holds no text.").format(column=column, file=path.name)
            dataset.error("not_text", text, _("Correct `columns` of the entry in dataset_info.json."), path)


def _check_declared(dataset: Dataset, shape: Shape) -> bool:
    """Giving `columns` or `tags` drops all their defaults, so the needed ones must be among them."""
    wanted: tuple[str, ...] = ("chosen", "rejected") if shape.ranking else ()
    if dataset.findings.get("stage") == "kto" and not shape.ranking:
        wanted = ("kto_tag",)
    for name in wanted:
        if not shape.column(name):
            text = _("`columns` of `{name}` does not say which column holds `{role}`.")
            hint = _('Add "{role}": "..." to `columns`.').format(role=name)
            dataset.error("missing_column", text.format(name=dataset.name, role=name), hint)
            return False
    if shape.formatting == "alpaca":
        return True
    if not shape.column("messages"):
        text = _("`columns` of `{name}` does not say which column holds the `messages`.").format(name=dataset.name)
        dataset.error("missing_column", text, _('Add "messages": "..." to `columns`.'))
        return False
    lacking = [tag for tag in ("role_tag", "content_tag", "user_tag", "assistant_tag") if not shape.tags[tag]]
    if lacking:
        text = _("`tags` of `{name}` lacks {tags}; with `tags` given, the defaults no longer hold.")
        text = text.format(name=dataset.name, tags=", ".join(f"`{tag}`" for tag in lacking))
        dataset.error("missing_tag", text, _("Give all of them: {names}.").format(names=", ".join(TAG_DEFAULTS)))
        return False
    return True


def _check_columns(dataset: Dataset, path: Path, shape: Shape, records: Records) -> bool:
    for name, column in needed_columns(shape):
        if column not in records.columns:
            text = _("{file} has no column `{column}`, which `{name}` needs as `{role}`; it has {columns}.")
            has = ", ".join(f"`{c}`" for c in sorted(map(str, records.columns))[:10])
            text = text.format(file=path.name, column=column, name=dataset.name, role=name, columns=has)
            close = nearest(column, records.columns, 1)
            hint = _("Correct `columns` of the entry in dataset_info.json.")
            if close:
                hint += " " + _("Did you mean `{name}`?").format(name=close[0])
            dataset.error("missing_column", text, hint)
            return False
    if shape.formatting == "alpaca" and not shape.column("prompt") and not shape.column("query"):
        text = _("`columns` of `{name}` declares no `prompt`, so every question is empty.").format(name=dataset.name)
        dataset.warning("missing_column", text, _('Add "prompt": "..." to `columns`.'))
    return True


def _report_dropped(dataset: Dataset, path: Path, worst: tuple[str, int], examined: int, all_of_them: bool) -> None:
    reason, count = worst
    hint = _("Correct `columns` and `tags` of the entry in dataset_info.json, or the data.")
    if all_of_them:
        text = _("No usable record in the first {examined} of {file}: {reason}.")
        text = text.format(examined=examined, file=path.name, reason=reason)
        dataset.error("no_valid_samples", text, hint, path)
    else:
        text = _("{count} of the first {examined} records of {file} will be skipped: {reason}.")
        text = text.format(count=count, examined=examined, file=path.name, reason=reason)
        dataset.warning("skipped_samples", text, hint, path)


def _check_cutoff(dataset: Dataset, path: Path, shape: Shape, rows: list[Any]) -> None:
    """Warn where most samples are surely longer than `cutoff_len`, counting few tokens for much text."""
    findings = dataset.findings
    if findings.get("stage") == "pt" or "cutoff_len" in findings.bad:
        return
    names = [shape.column(name) for name in ("prompt", "query", "response", "system", "messages")]
    lengths = [_few_tokens("".join(_texts(row.get(column)) for column in names if column)) for row in rows]
    cutoff = int(findings.number("cutoff_len"))
    long = sum(length > cutoff for length in lengths)
    if long > len(lengths) / 2 and len(lengths) >= 5:
        message = _(
            "More than half of the samples in {file} are longer than `cutoff_len: {cutoff}` and will be cut off."
        )
        median = sorted(lengths)[len(lengths) // 2]
        hint = _("Half of them have more than about {tokens} tokens.").format(tokens=median)
        findings.warning("cuts_off", "cutoff_len", message.format(file=path.name, cutoff=cutoff), hint)


def _few_tokens(text: str) -> int:
    """Fewer tokens than any tokenizer for these languages makes: five ASCII characters or two others for each."""
    others = (len(text.encode("utf-8", "replace")) - len(text)) // 2  # Chinese takes three bytes
    return max(0, len(text) - others) // 5 + others // 2


def _texts(value: Any) -> str:
    """All texts in a value, one after the other."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return "".join(_texts(item) for item in value.values())
    return "".join(_texts(item) for item in value) if isinstance(value, list) else ""


def _check_blocks(dataset: Dataset, path: Path, shape: Shape, rows: list[Any]) -> None:
    """Pretraining cuts all text into blocks of `cutoff_len` tokens; text for less than one block trains nothing.

    A token is at least one byte, so fewer bytes than `cutoff_len` are surely too few, and four times as many rarely so.
    """
    findings = dataset.findings
    column = shape.column("prompt")
    if findings.get("stage") != "pt" or findings.options.get("packing") is False or not column:
        return
    limit = findings.get("max_samples")
    used = rows[:limit] if isinstance(limit, int) and len(findings.words("dataset")) == 1 else rows
    size = sum(len(str(row.get(column) or "").encode()) + 1 for row in used)
    cutoff = int(findings.number("cutoff_len"))
    message = _("{file} holds {size} bytes of text, too little for one block of `cutoff_len: {cutoff}` tokens.")
    text = message.format(file=path.name, size=size, cutoff=cutoff)
    hint = _("Lower `cutoff_len`, or add text.")
    if size < cutoff:
        findings.error("too_little_text", "cutoff_len", text, hint)
    elif size < 3 * cutoff:
        findings.warning("too_little_text", "cutoff_len", text, hint)


def _check_media(dataset: Dataset, with_media: bool) -> None:
    name = dataset.findings.get("template")
    template = dataset.findings.context.factory.templates.get(name) if isinstance(name, str) else None
    if with_media and template is not None and not template.media:
        dataset.findings.error("template_media", "template", *media_sentence(dataset.name, template.name))


def media_sentence(dataset: str, template: str) -> tuple[str, str]:
    """What is wrong with files of images, films or sounds under a template for text alone, and what to do."""
    text = _("`{dataset}` holds images, video or sound, which template `{name}` cannot show to a model.")
    return text.format(dataset=dataset, name=template), _("Use the template of a multimodal model.")
