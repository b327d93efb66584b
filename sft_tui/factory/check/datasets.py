"""The datasets that the options name: registered, the file there, its records of the declared shape."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sft_tui.factory.check.context import Findings
from sft_tui.factory.check.records import Records, numeric_columns, read_records
from sft_tui.factory.check.shapes import (
    COLUMN_NAMES,
    ENTRY_KEYS,
    TAG_DEFAULTS,
    Shape,
    judge,
    mixed_types,
    needed_columns,
    shape_of,
)
from sft_tui.i18n import _
from sft_tui.problems import nearest

INFO_FILE = "dataset_info.json"
FORMATTINGS = ("alpaca", "sharegpt", "openai")
_ROW_NUMBERS = 3


@dataclass(slots=True)
class _Dataset:
    """One registered dataset under check."""

    findings: Findings
    option: str
    name: str
    entry: dict[str, Any]
    directory: Path
    info_path: str | None

    def error(self, code: str, message: str, hint: str | None = None, path: Path | None = None, **more: Any) -> None:
        """Report an error of this dataset."""
        self.findings.error(code, self.option, message, hint, path=str(path) if path else self.info_path, **more)

    def warning(self, code: str, message: str, hint: str | None = None, path: Path | None = None) -> None:
        """Report a warning of this dataset."""
        self.findings.warning(code, self.option, message, hint, path=str(path) if path else self.info_path)


def check_datasets(findings: Findings) -> int | None:
    """Report what is wrong with `dataset` and `eval_dataset`; returns the number of training rows where it is known."""
    if not findings.context.look_at_files or not (findings.given("dataset") or findings.given("eval_dataset")):
        return None
    tokenized = findings.get("tokenized_path")
    if isinstance(tokenized, str) and _has_content(findings.context.resolve(tokenized)):
        _check_tokenized(findings, tokenized)
        return None
    info = _read_info(findings)
    if info is None:
        return None
    rows: list[int | None] = [_check_named(findings, "dataset", name, info) for name in findings.words("dataset")]
    for name in findings.words("eval_dataset"):
        _check_named(findings, "eval_dataset", name, info)
    counts = [count for count in rows if count is not None]
    return sum(counts) if rows and len(counts) == len(rows) else None


def _has_content(path: Path) -> bool:
    return path.is_dir() and any(path.iterdir())


def _check_tokenized(findings: Findings, value: str) -> None:
    path = findings.context.resolve(value)
    if not any((path / name).is_file() for name in ("dataset_dict.json", "state.json", "dataset_info.json")):
        message = _("{path} exists, but is no saved dataset.").format(path=value)
        hint = _("Name a directory that does not exist yet, or one that a run has written.")
        findings.error("bad_tokenized", "tokenized_path", message, hint)
        return
    message = _("{path} holds tokenized data; dataset, template and cutoff_len of this file are ignored.")
    hint = _("Name another `tokenized_path` if any of them has changed.")
    findings.info("tokenized_reused", "tokenized_path", message.format(path=value), hint)


def _read_info(findings: Findings) -> dict[str, Any] | None:
    """dataset_info.json as a mapping; None where there is none to judge (reported if it should be there)."""
    value = findings.get("dataset_dir")
    if isinstance(value, dict):
        return value
    if not isinstance(value, str) or value == "ONLINE" or value.startswith("REMOTE:"):
        return None
    directory = findings.context.base_dir / value
    path = directory / INFO_FILE
    if not directory.is_dir():
        message = _("The dataset directory {path} does not exist.").format(path=value)
        hint = _("Relative paths start where the training is started: {base}.").format(base=findings.context.base_dir)
        findings.error("dataset_dir_not_found", "dataset_dir", message, hint)
        return None
    if not path.is_file():
        message = _("{path} has no dataset_info.json.").format(path=value)
        hint = _("Register the dataset there; `sft-tui convert` does so.")
        findings.error("no_dataset_info", "dataset_dir", message, hint)
        return None
    return _parse_info(findings, path)


def _parse_info(findings: Findings, path: Path) -> dict[str, Any] | None:
    line: int | None = None
    try:
        data = json.loads(path.read_bytes().decode("utf-8"))
        if isinstance(data, dict):
            return data
        reason = _("it is no object")
    except json.JSONDecodeError as error:
        reason, line = error.msg, error.lineno
    except UnicodeDecodeError:
        reason = _("it is not UTF-8")
    except OSError as error:
        reason = error.strerror or str(error)
    message = _("dataset_info.json cannot be read: {reason}.").format(reason=reason)
    hint = _("Look for a missing comma or bracket near line {line}.").format(line=line) if line else None
    findings.error("bad_dataset_info", "dataset_dir", message, hint, path=str(path), line=line)
    return None


def _check_named(findings: Findings, option: str, name: str, info: dict[str, Any]) -> int | None:
    """Check one dataset by its name; returns its rows where known."""
    where = findings.get("dataset_dir")
    directory = findings.context.base_dir / where if isinstance(where, str) else findings.context.base_dir / "data"
    info_path = str(directory / INFO_FILE) if isinstance(where, str) else None
    if name not in info:
        _undefined(findings, option, name, info)
        return None
    entry = info[name]
    dataset = _Dataset(findings, option, name, entry if isinstance(entry, dict) else {}, directory, info_path)
    if not isinstance(entry, dict):
        dataset.error("bad_entry", _("The entry of `{name}` in dataset_info.json is no object.").format(name=name))
        return None
    _check_entry(dataset)
    if any(key in entry for key in ("hf_hub_url", "ms_hub_url", "om_hub_url", "cloud_file_name")):
        return None
    if "script_url" in entry:
        text = _("`{name}` is loaded by a script, which the installed dataset library no longer supports.")
        dataset.error("script_dataset", text.format(name=name), _("Convert it to a JSON file."))
        return None
    files = _files_of(dataset)
    return _check_files(dataset, files) if files else None


def _undefined(findings: Findings, option: str, name: str, info: dict[str, Any]) -> None:
    message = _("Dataset `{name}` is not registered in dataset_info.json.").format(name=name)
    by_file = [key for key, entry in info.items() if isinstance(entry, dict) and entry.get("file_name") == name]
    close = by_file or nearest(name, info, 1)
    names = findings.words(option)
    if close:
        value = ",".join(close[0] if word == name else word for word in names)
        hint = _("Did you mean `{name}`?").format(name=close[0])
        findings.error("unknown_dataset", option, message, hint, fix=("set", value))
        return
    known = ", ".join(list(info)[:8]) or _("none")
    findings.error("unknown_dataset", option, message, _("Registered are: {names}.").format(names=known))


def _check_entry(dataset: _Dataset) -> None:
    """The entry itself: its formatting, the names of its columns and tags, what fits the stage."""
    entry, name = dataset.entry, dataset.name
    for key in entry:
        if key not in ENTRY_KEYS:
            close = nearest(key, ENTRY_KEYS, 1) or (["formatting"] if key == "format" else [])
            if close:
                text = _("The entry of `{name}` has a key `{key}`, which counts for nothing.")
                hint = _("Did you mean `{name}`?").format(name=close[0])
                dataset.warning("unknown_entry_key", text.format(name=name, key=key), hint)
    formatting = entry.get("formatting", "alpaca")
    if formatting not in FORMATTINGS:
        text = _("The entry of `{name}` has formatting `{value}`, which does not exist.")
        hint = _("Possible are: {choices}.").format(choices=", ".join(FORMATTINGS))
        dataset.error("bad_formatting", text.format(name=name, value=formatting), hint)
    for section, known in (("columns", COLUMN_NAMES), ("tags", tuple(TAG_DEFAULTS))):
        value = entry.get(section)
        if section in entry and not _all_texts(value):
            text = _("`{section}` of `{name}` in dataset_info.json is no object of texts.")
            dataset.error("bad_entry", text.format(section=section, name=name))
            entry.pop(section)
        elif section == "columns" and isinstance(value, dict):
            _column_names(dataset, value, known)
    _check_stage(dataset)
    _check_numbers(dataset)


def _all_texts(value: Any) -> bool:
    return isinstance(value, dict) and all(item is None or isinstance(item, str) for item in value.values())


def _column_names(dataset: _Dataset, columns: dict[str, Any], known: tuple[str, ...]) -> None:
    for key in columns:
        if key not in known:
            text = _("`columns` of `{name}` has a key `{key}`, which counts for nothing.")
            close = nearest(key, known, 1)
            by_value = {"instruction": "prompt", "input": "query", "output": "response", "conversations": "messages"}
            better = by_value.get(key) or (close[0] if close else None)
            hint = _("Did you mean `{name}`?").format(name=better) if better else None
            dataset.warning("unknown_column_key", text.format(name=dataset.name, key=key), hint)


def _check_stage(dataset: _Dataset) -> None:
    """Preference stages need a ranking dataset, the others must not have one."""
    stage, ranking = dataset.findings.get("stage"), dataset.entry.get("ranking", False)
    pairs = stage in ("rm", "dpo")
    if pairs and ranking is False:
        text = _("Stage `{stage}` needs pairs of answers, but `{name}` is not marked with `ranking`.")
        hint = _('Use a preference dataset with "ranking": true, or `stage: sft`.')
        dataset.error("wrong_stage", text.format(stage=stage, name=dataset.name), hint)
    elif not pairs and ranking is True:
        text = _("`{name}` is a preference dataset (ranking), which stage `{stage}` cannot use.")
        hint = _("Use `stage: dpo` or `rm`, or another dataset.")
        dataset.error("wrong_stage", text.format(stage=stage, name=dataset.name), hint)


def _check_numbers(dataset: _Dataset) -> None:
    split, count = dataset.entry.get("split", "train"), dataset.entry.get("num_samples")
    if "file_name" in dataset.entry and (not isinstance(split, str) or not split.startswith("train")):
        text = _("The entry of `{name}` asks for split `{split}`, but a file has only `train`.")
        dataset.error("bad_split", text.format(name=dataset.name, split=split), _("Delete `split` from the entry."))
    if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
        text = _("`num_samples` of `{name}` must be a whole number from 1; it is {value}.")
        dataset.error("bad_entry", text.format(name=dataset.name, value=json.dumps(count)))


def _files_of(dataset: _Dataset) -> list[tuple[Path, str]]:
    """The data files with their types; empty where they are not usable (reported)."""
    value = dataset.entry.get("file_name")
    types = dataset.findings.context.factory.file_types
    if not isinstance(value, str) or not value:
        text = _("The entry of `{name}` in dataset_info.json has no `file_name`.").format(name=dataset.name)
        dataset.error("no_file_name", text, _('Add "file_name": "...", relative to the dataset directory.'))
        return []
    path = dataset.directory / value
    if path.is_dir():
        files = sorted(path.iterdir())
    elif path.is_file():
        files = [path]
    else:
        text = _("The data file {path} of `{name}` does not exist.").format(path=value, name=dataset.name)
        hint = _("`file_name` is relative to {directory}.").format(directory=dataset.directory)
        dataset.error("data_not_found", text, hint)
        return []
    kinds = [types.get(file.suffix[1:]) for file in files]
    if not files or kinds[0] is None:
        text = _("{path} of `{name}` is no file of an allowed type.").format(path=value, name=dataset.name)
        hint = _("Allowed are: {types}; `sft-tui convert` makes one of other files.").format(types=", ".join(types))
        dataset.error("bad_file_type", text, hint)
        return []
    if len(set(kinds)) > 1:
        other = next(file.name for file, kind in zip(files, kinds, strict=True) if kind != kinds[0])
        text = _("The directory {path} of `{name}` mixes file types; {file} is another one.")
        dataset.error("mixed_file_types", text.format(path=value, name=dataset.name, file=other))
        return []
    return [(file, str(kinds[0])) for file in files]


def _check_files(dataset: _Dataset, files: list[tuple[Path, str]]) -> int | None:
    """Look into the files; returns the rows where all are known. Of many files only the first ones are read."""
    total: int | None = 0
    known = dataset.entry.get("formatting", "alpaca") in FORMATTINGS
    for path, kind in files[:_ROW_NUMBERS]:
        records = read_records(path, kind)
        if records.fault:
            code, message, line = records.fault
            dataset.error(code, message, _("Repair the file, or convert the source again."), path, line=line)
            return None
        if known and records.rows:
            _check_records(dataset, path, kind, records)
        elif known and records.columns:
            _check_kinds(dataset, path, records)
        total = None if total is None or records.total is None else total + records.total
    if len(files) > _ROW_NUMBERS:
        return None
    wanted = dataset.entry.get("num_samples")
    return wanted if isinstance(wanted, int) and not isinstance(wanted, bool) else total


def _check_records(dataset: _Dataset, path: Path, kind: str, records: Records) -> None:
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
    verdict = judge(shape, records.rows, numeric, str(dataset.findings.get("stage")))
    if verdict.fatal:
        hint = _("Correct the file, or `columns` and `tags` of the entry in dataset_info.json.")
        dataset.error(verdict.fatal[0], verdict.fatal[1], hint, path)
    elif verdict.dropped:
        _report_dropped(dataset, path, verdict.dropped.most_common(1)[0], verdict.examined, verdict.all_dropped)
    _check_media(dataset, verdict.with_media)
    _check_cutoff(dataset, path, shape, records.rows)
    if records.whole:
        _check_blocks(dataset, path, shape, records.rows)


def _check_kinds(dataset: _Dataset, path: Path, records: Records) -> None:
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


def _check_declared(dataset: _Dataset, shape: Shape) -> bool:
    """Giving `columns` or `tags` drops all their defaults, so the needed ones must be among them."""
    wanted = ("chosen", "rejected") if shape.ranking else ()
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


def _check_columns(dataset: _Dataset, path: Path, shape: Shape, records: Records) -> bool:
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


def _report_dropped(dataset: _Dataset, path: Path, worst: tuple[str, int], examined: int, all_of_them: bool) -> None:
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


def _check_cutoff(dataset: _Dataset, path: Path, shape: Shape, rows: list[Any]) -> None:
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


def _check_blocks(dataset: _Dataset, path: Path, shape: Shape, rows: list[Any]) -> None:
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


def _check_media(dataset: _Dataset, with_media: bool) -> None:
    name = dataset.findings.get("template")
    template = dataset.findings.context.factory.templates.get(name) if isinstance(name, str) else None
    if with_media and template is not None and not template.media:
        text = _("`{dataset}` holds images, video or sound, which template `{name}` cannot show to a model.")
        text = text.format(dataset=dataset.name, name=name)
        dataset.findings.error("template_media", "template", text, _("Use the template of a multimodal model."))


def check_split(findings: Findings, rows: int | None) -> int | None:
    """Check `val_size` against the number of rows; returns the rows that are trained on, where known."""
    value = findings.number("val_size")
    if isinstance(findings.get("val_size"), float) and value == 1:
        message = _("`val_size: 1.0` takes the whole dataset for validation.")
        findings.error("out_of_range", "val_size", message, _("Write a share below 1, or a number of rows."))
        return rows
    if rows is None:
        return None
    limit = findings.get("max_samples")
    names = len(findings.words("dataset"))
    if isinstance(limit, int) and names == 1:
        rows = min(rows, limit)
    if value <= 1e-6 or findings.on("streaming"):
        return rows
    held_out = int(value) if value >= 1 else math.ceil(value * rows)
    if held_out >= rows or (value < 1 and math.floor((1 - value) * rows) < 1):
        message = _("`val_size: {value}` leaves nothing to train on: there are only {rows} rows.")
        message = message.format(value=findings.get("val_size"), rows=rows)
        findings.error("out_of_range", "val_size", message, _("Write a smaller number, for example 0.1."))
        return rows
    return rows - held_out
