"""An entry of dataset_info.json by itself: its formatting, columns, tags, and the files that it names."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sft_tui.factory.check.context import Findings
from sft_tui.factory.check.shapes import COLUMN_NAMES, ENTRY_KEYS, TAG_DEFAULTS
from sft_tui.factory.check.splits import rows_of_split
from sft_tui.i18n import _
from sft_tui.problems import nearest

FORMATTINGS = ("alpaca", "sharegpt", "openai")


@dataclass(slots=True)
class Dataset:
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


def check_entry(dataset: Dataset) -> None:
    """Report what is wrong with the entry itself: its formatting, its columns and tags, what fits the stage."""
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


def _column_names(dataset: Dataset, columns: dict[str, Any], known: tuple[str, ...]) -> None:
    for key in columns:
        if key not in known:
            text = _("`columns` of `{name}` has a key `{key}`, which counts for nothing.")
            close = nearest(key, known, 1)
            by_value = {"instruction": "prompt", "input": "query", "output": "response", "conversations": "messages"}
            better = by_value.get(key) or (close[0] if close else None)
            hint = _("Did you mean `{name}`?").format(name=better) if better else None
            dataset.warning("unknown_column_key", text.format(name=dataset.name, key=key), hint)


def _check_stage(dataset: Dataset) -> None:
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


def _check_numbers(dataset: Dataset) -> None:
    split, count = dataset.entry.get("split", "train"), dataset.entry.get("num_samples")
    if "file_name" in dataset.entry:
        try:
            rows_of_split(split, None)
        except ValueError:
            text = _("The entry of `{name}` asks for split `{split}`, but a file has only `train`.")
            dataset.error("bad_split", text.format(name=dataset.name, split=split), _("Delete `split` from the entry."))
            dataset.entry.pop("split")
    if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
        text = _("`num_samples` of `{name}` must be a whole number from 1; it is {value}.")
        dataset.error("bad_entry", text.format(name=dataset.name, value=json.dumps(count)))


def files_of(dataset: Dataset) -> list[tuple[Path, str]]:
    """The data files with their types; empty where they are not usable (reported)."""
    value = dataset.entry.get("file_name")
    types = dataset.findings.context.factory.file_types
    if not isinstance(value, str) or not value:
        text = _("The entry of `{name}` in dataset_info.json has no `file_name`.").format(name=dataset.name)
        dataset.error("no_file_name", text, _('Add "file_name": "...", relative to the dataset directory.'))
        return []
    path = dataset.directory / value
    if path.is_dir():
        files = list(path.iterdir())  # in LLaMA-Factory's order: the first file decides the columns
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
