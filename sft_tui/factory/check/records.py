"""The first records of a data file, read cheaply: enough to see its columns, their types and whether it is whole."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from sft_tui.factory.check.parquet_footer import read_footer
from sft_tui.i18n import _

HEAD_BYTES = 512 << 10
WHOLE_BYTES = 16 << 20
COUNT_BYTES = 48 << 20
MAX_RECORDS = 20_000
_NESTED_RECORDS = 5_000
_HEAD_RECORDS = 400
_TWICE_RECORDS = 50


@dataclass(slots=True)
class Records:
    """What the head of a data file shows.

    `rows` are its first records, `whole` says that they are all; `total` counts the file's records where that is
    cheap to know, otherwise None. `kinds` are the kinds of the columns where only they are known. `fault` is
    `(code, sentence, line or None)` where the file cannot be read.
    """

    rows: list[Any] = field(default_factory=list)
    whole: bool = False
    total: int | None = None
    columns: set[str] = field(default_factory=set)
    kinds: dict[str, str] = field(default_factory=dict)
    fault: tuple[str, str, int | None] | None = None


def read_records(path: Path, kind: str) -> Records:
    """The head of the file at `path`, of LLaMA-Factory's file type `kind` (json, csv, parquet, text, arrow)."""
    try:
        size = path.stat().st_size
        if size == 0:
            return Records(fault=("empty_data", _("{file} is empty.").format(file=path.name), None))
        if kind == "json":
            records = _read_json(path, size)
        elif kind == "csv":
            records = _read_csv(path, size)
        elif kind == "text":
            records = _read_text(path, size)
        elif kind == "parquet":
            records = _read_parquet(path)
        else:
            return Records()
    except OSError as error:
        text = _("{file} cannot be read: {reason}.").format(file=path.name, reason=error.strerror)
        return Records(fault=("file_unreadable", text, None))
    except UnicodeDecodeError as error:
        text = _("{file} is not UTF-8 (byte {offset}).").format(file=path.name, offset=error.start)
        return Records(fault=("not_utf8", text, None))
    if records.fault is None and not records.rows and kind != "parquet":
        records.fault = ("empty_data", _("{file} holds no records.").format(file=path.name), None)
    records.columns = {key for row in records.rows if isinstance(row, dict) for key in row} | records.columns
    return records


def _read_json(path: Path, size: int) -> Records:
    with path.open("rb") as file:
        head = file.read(WHOLE_BYTES if size <= WHOLE_BYTES else HEAD_BYTES)
    if head.startswith(b"version https://git-lfs"):
        text = _("{file} is a Git LFS pointer, not the data.").format(file=path.name)
        return Records(fault=("lfs_pointer", text, None))
    marked = head.startswith(b"\xef\xbb\xbf")
    whole = size == len(head)
    head = head.removeprefix(b"\xef\xbb\xbf")
    if head.lstrip().startswith(b"["):
        if marked:
            text = _("{file} begins with a byte order mark, which the dataset library refuses.").format(file=path.name)
            return Records(fault=("bom", text, None))
        return _json_array(path, head, whole, size)
    return _json_lines(path, head, whole, size)


def _json_array(path: Path, head: bytes, whole: bool, size: int) -> Records:
    if whole:
        try:
            rows = _loads(head, strict=False)
        except ValueError as error:
            line = getattr(error, "lineno", None)
            text = _("{file} is not valid JSON: {reason}.").format(file=path.name, reason=_reason(error))
            return Records(fault=("bad_json", text, line))
        return _kept(rows)
    with path.open("rb") as file:
        file.seek(size - 64)
        if not file.read().rstrip().endswith(b"]"):
            text = _("{file} is cut off: the list in it is not closed.").format(file=path.name)
            return Records(fault=("bad_json", text, None))
    return _array_head(path, head.decode("utf-8", "ignore"))


def _array_head(path: Path, text: str) -> Records:
    """The elements of a JSON array of which `text` is the beginning."""
    decoder, at = json.JSONDecoder(strict=False), text.index("[") + 1
    rows: list[Any] = []
    while len(rows) < _HEAD_RECORDS:
        while at < len(text) and text[at] in " \t\r\n,":
            at += 1
        try:
            row, at = decoder.raw_decode(text, at)
        except ValueError as error:
            if not rows and len(text) - at > 1000:
                reason = _("{file} is not valid JSON: {reason}.").format(file=path.name, reason=_reason(error))
                return Records(fault=("bad_json", reason, None))
            break
        rows.append(row)
    return Records(rows)


def _json_lines(path: Path, head: bytes, whole: bool, size: int) -> Records:
    """One object a line; objects over several lines, one after the other, are read as well (as Arrow does)."""
    lines = head.splitlines()
    if not whole:
        lines = lines[:-1]
    rows: list[Any] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        if len(rows) >= _HEAD_RECORDS and not whole:
            break
        try:
            row = _loads(line)
            if len(rows) < _TWICE_RECORDS:
                _no_key_twice(line)
        except ValueError as error:
            refused = isinstance(error, _Refused)
            stream = None if refused else _json_stream(head.decode("utf-8", "strict" if whole else "ignore"), whole)
            if stream is not None:
                return stream
            text = _("Line {line} of {file} is not valid JSON: {reason}.")
            text = text.format(line=number, file=path.name, reason=_reason(error))
            return Records(fault=("bad_json", text, number))
        rows.append(row)
    if whole:
        return _kept(rows)
    return Records(rows, total=_count_lines(path, size))


def _kept(rows: list[Any]) -> Records:
    """All records of a file, or as many as are looked at in no time: of conversations fewer than of plain ones."""
    nested = bool(rows) and isinstance(rows[0], dict) and any(isinstance(v, list | dict) for v in rows[0].values())
    limit = _NESTED_RECORDS if nested else MAX_RECORDS
    return Records(rows[:limit], len(rows) <= limit, len(rows))


def _json_stream(text: str, whole: bool) -> Records | None:
    """Objects one after the other, wherever their lines end; None where that is not what `text` holds."""
    decoder, at = json.JSONDecoder(), 0
    rows: list[Any] = []
    while True:
        while at < len(text) and text[at] in " \t\r\n":
            at += 1
        if at >= len(text):
            break
        try:
            row, at = decoder.raw_decode(text, at)
        except ValueError:
            if whole or not rows:
                return None
            break
        rows.append(row)
    return _kept(rows) if whole else Records(rows)


class _Refused(ValueError):
    """What is valid JSON for Python, but not for the dataset library."""


def _loads(raw: bytes, *, strict: bool = True) -> Any:
    """JSON as the dataset library reads it, at orjson's speed where it can; raises ValueError.

    It reads JSON Lines with Arrow (`strict`), a list with pandas, which takes control characters and half of a
    surrogate pair, but no whole number beyond 64 bits (which Arrow makes a decimal number).
    """
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        if b"\0" in raw:
            raise
        try:
            value = json.loads(raw.decode("utf-8"), strict=strict)
        except RecursionError:
            raise _Refused(_("it is nested too deep")) from None
        if strict and _HALF_PAIR.search(json.dumps(value, ensure_ascii=False)):
            raise _Refused(_("a character is half of a surrogate pair")) from None
    if not strict and _LONG_NUMBER.search(raw):
        json.loads(raw.decode("utf-8"), strict=False, parse_int=_integer)
    return value


_HALF_PAIR = re.compile("[\ud800-\udfff]")
_LONG_NUMBER = re.compile(rb"[:\[,]\s*-?[1-9]\d{18,}\s*[,}\]]")


def _integer(text: str) -> int:
    value = int(text)
    if not -(1 << 63) <= value < 1 << 64:
        raise _Refused(_("{number} is too large a number").format(number=text))
    return value


def _no_key_twice(line: bytes) -> None:
    """Raise ValueError where an object has a key twice: Arrow refuses it, Python takes the last."""
    json.loads(line.decode("utf-8"), object_pairs_hook=_unique)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        names = [name for name, _value in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _Refused(_("the key {name} is there twice").format(name=twice))
    return value


def _reason(error: ValueError) -> str:
    return str(getattr(error, "msg", error)).rstrip(".")


def _count_lines(path: Path, size: int) -> int | None:
    if size > COUNT_BYTES:
        return None
    count, last = 0, b"\n"
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            count += block.count(b"\n")
            last = block[-1:]
    return count + (last != b"\n")


def _read_csv(path: Path, size: int) -> Records:
    with path.open("rb") as file:
        raw = file.read(WHOLE_BYTES if size <= WHOLE_BYTES else HEAD_BYTES)
    whole = size == len(raw)
    text = raw.decode("utf-8-sig", "strict" if whole else "ignore")
    if whole and (broken := _open_quote(path, text)) is not None:
        return broken
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        rows = list(reader) if whole else [row for _i, row in zip(range(_HEAD_RECORDS), reader, strict=False)]
    except csv.Error as error:
        message = _("{file} is not valid CSV: {reason}.").format(file=path.name, reason=error)
        return Records(fault=("bad_csv", message, reader.line_num))
    header = [name for name in reader.fieldnames or [] if name is not None]
    total = len(rows) if whole else None
    long = next((i for i, row in enumerate(rows) if None in row), None)
    if long is not None:
        message = _("Row {row} of {file} has more fields than the header.").format(row=long + 1, file=path.name)
        return Records(fault=("bad_csv", message, None))
    plain = [{k: _csv_value(v) for k, v in row.items()} for row in rows[:MAX_RECORDS]]
    return Records(list(plain), whole and len(rows) <= MAX_RECORDS, total, set(header))


def _open_quote(path: Path, text: str) -> Records | None:
    """A quote that is never closed swallows the rest of the file; pandas refuses it."""
    try:
        if list(csv.reader(io.StringIO(f"{text}\n{_END_MARK}", newline="")))[-1] == [_END_MARK]:
            return None
    except csv.Error:
        return None  # reported by the reading proper
    message = _("{file} has a quote that is never closed.").format(file=path.name)
    return Records(fault=("bad_csv", message, None))


# What pandas, which reads CSV for the dataset library, takes for "no value" and for truth values.
_END_MARK = "\x01end of data\x01"
_NO_VALUE = frozenset((
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
    "NULL", "NaN", "None", "n/a", "nan", "null",
))  # fmt: skip
_TRUTH = frozenset(("True", "TRUE", "true", "False", "FALSE", "false"))


def _csv_value(value: str | None) -> str | None:
    return None if value is None or value in _NO_VALUE else value


def numeric_columns(rows: list[Any]) -> set[str]:
    """The columns of CSV rows that pandas makes no text: every filled cell is a number, or every one a truth value."""
    columns = {key for row in rows for key in row}
    return {
        c
        for c in columns
        if (cells := [row[c] for row in rows if row.get(c) is not None])
        and (all(map(_is_number, cells)) or all(cell in _TRUTH for cell in cells))
    }


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _read_text(path: Path, size: int) -> Records:
    with path.open("rb") as file:
        raw = file.read(HEAD_BYTES)
    lines = raw.decode("utf-8", "ignore").splitlines()
    whole = size == len(raw)
    rows: list[Any] = [{"text": line} for line in lines[:MAX_RECORDS]]
    return Records(rows, whole and len(lines) <= MAX_RECORDS, len(lines) if whole else None, {"text"})


def _read_parquet(path: Path) -> Records:
    """Columns, their kinds and the number of rows; not the rows."""
    footer = read_footer(path)
    if footer is None:
        text = _("{file} is no complete Parquet file.").format(file=path.name)
        return Records(fault=("bad_parquet", text, None))
    if footer.rows == 0:
        return Records(fault=("empty_data", _("{file} holds no records.").format(file=path.name), None))
    return Records(total=footer.rows, columns=set(footer.columns), kinds=footer.columns)
