"""The datasets that the options name: registered, the file there, its records of the declared shape."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sft_tui.factory.check.context import Findings
from sft_tui.factory.check.dataset_entry import Dataset, check_entry, files_of
from sft_tui.factory.check.dataset_files import check_files
from sft_tui.factory.length import mixed_rows, trained_rows
from sft_tui.i18n import _
from sft_tui.problems import nearest
from sft_tui.project.files import read_json

INFO_FILE = "dataset_info.json"


def check_datasets(findings: Findings) -> int | None:
    """Report what is wrong with `dataset` and `eval_dataset`; returns the number of training rows where it is known."""
    if not findings.context.look_at_files or not (findings.given("dataset") or findings.given("eval_dataset")):
        return None
    tokenized = findings.get("tokenized_path")
    if isinstance(tokenized, str) and _has_content(findings.context.resolve(tokenized)):
        _check_tokenized(findings, tokenized)
        return None
    if isinstance(tokenized, str) and findings.context.resolve(tokenized).is_file():
        message = _("`{key}` is {path}, but {file} is a file.")
        text = message.format(key="tokenized_path", path=tokenized, file=tokenized)
        findings.error("bad_tokenized", "tokenized_path", text, _("Choose another directory."))
    coming = findings.context.coming
    named = {key: findings.words(key) for key in ("dataset", "eval_dataset")}
    info = _read_info(findings) if {*named["dataset"], *named["eval_dataset"]} - set(coming) else {}
    if info is None:
        return None

    def look(option: str, name: str) -> int | None:
        return coming[name] if name in coming else _check_named(findings, option, name, info)

    rows = [look("dataset", name) for name in named["dataset"]]
    for name in named["eval_dataset"]:
        look("eval_dataset", name)
    counts = [count for count in rows if count is not None]
    return mixed_rows(findings.options, counts) if rows and len(counts) == len(rows) else None


def _has_content(path: Path) -> bool:
    return path.is_dir() and any(path.iterdir())


def _check_tokenized(findings: Findings, value: str) -> None:
    path = findings.context.resolve(value)
    missing = _missing_of_saved(path)
    if missing is None:
        message = _("{path} exists, but is no saved dataset.").format(path=value)
        hint = _("Name a directory that does not exist yet, or one that a run has written.")
        findings.error("bad_tokenized", "tokenized_path", message, hint)
        return
    if missing:
        message = _("The tokenized data in {path} is not complete: {file} is missing.").format(path=value, file=missing)
        findings.error("bad_tokenized", "tokenized_path", message, _("Delete the directory, or name another one."))
        return
    message = _("{path} holds tokenized data; dataset, template and cutoff_len of this file are ignored.")
    hint = _("Name another `tokenized_path` if any of them has changed.")
    findings.info("tokenized_reused", "tokenized_path", message.format(path=value), hint)


def _missing_of_saved(path: Path) -> str | None:
    """What a saved dataset (or those of `dataset_dict.json`) lacks, "" for nothing; None where it is none."""
    parts = [path]
    if (path / "dataset_dict.json").is_file():
        splits = _object(path / "dataset_dict.json").get("splits")
        parts = [path / str(name) for name in splits] if isinstance(splits, list) else []
    elif not all((path / name).is_file() for name in _SAVED):
        return None
    for part in parts:
        listed = _object(part / "state.json").get("_data_files")
        files = [str(f.get("filename")) for f in listed if isinstance(f, dict)] if isinstance(listed, list) else []
        for name in (*_SAVED, *files):
            if not (part / name).is_file():
                return str((part / name).relative_to(path))
    return ""


_SAVED = ("state.json", "dataset_info.json")


def _object(path: Path) -> dict[str, Any]:
    data = read_json(path)
    return data if isinstance(data, dict) else {}


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
    except RecursionError:
        reason = _("it is nested too deep")
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
    dataset = Dataset(findings, option, name, entry if isinstance(entry, dict) else {}, directory, info_path)
    if not isinstance(entry, dict):
        dataset.error("bad_entry", _("The entry of `{name}` in dataset_info.json is no object.").format(name=name))
        return None
    check_entry(dataset)
    if any(key in entry for key in ("hf_hub_url", "ms_hub_url", "om_hub_url", "cloud_file_name")):
        return None
    if "script_url" in entry:
        text = _("`{name}` is loaded by a script, which the installed dataset library no longer supports.")
        dataset.error("script_dataset", text.format(name=name), _("Convert it to a JSON file."))
        return None
    files = files_of(dataset)
    return check_files(dataset, files) if files else None


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


def check_split(findings: Findings, rows: int | None) -> int | None:
    """Check `val_size` against the number of rows; returns the rows that are trained on, where known."""
    value = findings.number("val_size")
    if isinstance(findings.get("val_size"), float) and value == 1:
        message = _("`val_size: 1.0` takes the whole dataset for validation.")
        findings.error("out_of_range", "val_size", message, _("Write a share below 1, or a number of rows."))
        return rows
    if rows is None:
        return None
    trained = trained_rows({"val_size": value, "streaming": findings.on("streaming")}, rows)
    if not trained and value > 1e-6:
        message = _("`val_size: {value}` leaves nothing to train on: there are only {rows} rows.")
        message = message.format(value=findings.get("val_size"), rows=rows)
        findings.error("out_of_range", "val_size", message, _("Write a smaller number, for example 0.1."))
        return rows
    return trained
