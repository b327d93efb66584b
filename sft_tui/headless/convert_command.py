"""`sft-tui convert SOURCE`: any data file to LLaMA-Factory data, registered in `dataset_info.json`."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from sft_tui.dataset import Columns, ConvertRequest, ConvertResult, Progress
from sft_tui.dataset.rows.unused import mapping_line, unused_note
from sft_tui.headless.arguments import add_json
from sft_tui.headless.output import put, put_json, say, say_in_place, show_problems
from sft_tui.i18n import _
from sft_tui.problems import ExitCode, Problems

_INTEGER = re.compile(r"[+-]?\d+")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `convert`."""
    add_source_arguments(parser)
    parser.add_argument(
        "--out", type=Path, metavar="DIR", default=Path("data"), help=_("the dataset directory (default: data)")
    )
    parser.add_argument("--test-size", metavar="F|N", help=_("rows for testing: a share (0.1) or a number (200)"))
    parser.add_argument("--dedupe", action="store_true", help=_("leave out samples that occur twice"))
    parser.add_argument("--strict", action="store_true", help=_("refuse if any record would be left out"))
    parser.add_argument("--overwrite", action="store_true", help=_("replace an earlier conversion of that name"))


class _Column(argparse.Action):
    """Collects the columns of all roles in `columns`."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        namespace.columns = {**namespace.columns, self.dest: values}


def add_source_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that say what is read and how it is mapped, shared with `preview`."""
    parser.add_argument("source", metavar="SOURCE", help=_("a file, a directory, a pattern, or hub:NAME"))
    parser.add_argument("--format", metavar="FORMAT", default="auto", help="auto, columns, alpaca, sharegpt, openai")
    parser.set_defaults(columns={})
    for role in (field.name for field in fields(Columns)):
        help_text = _("the column of the role {role}").format(role=role)
        parser.add_argument(
            f"--{role}-column", action=_Column, dest=role, default=argparse.SUPPRESS, metavar="C", help=help_text
        )
    parser.add_argument("--reasoning", metavar="R", default="keep", help=_("keep or drop reasoning before the answers"))
    parser.add_argument("--mask-history", action="store_true", help=_("as in the training config"))
    parser.add_argument("--instruction", metavar="TEXT", help=_("an instruction for rows that have none"))
    parser.add_argument("--system", metavar="TEXT", help=_("a system prompt for rows that have none"))
    parser.add_argument("--max-samples", metavar="N", help=_("read at most so many records"))
    parser.add_argument("--sample", metavar="HOW", default="first", help=_("which ones: first or random"))
    parser.add_argument("--seed", metavar="N", default="42", help=_("seed of the split and of a random sample"))
    parser.add_argument("--sheet", metavar="S", help=_("the sheet of a workbook"))
    parser.add_argument("--name", metavar="NAME", help=_("the name of the dataset (default: from the file)"))
    parser.add_argument("--train-python", metavar="PATH", help=_("the Python that has LLaMA-Factory"))
    add_json(parser)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRequest:
    """What to read and how to map it, as it was typed."""

    source: str
    format: str
    columns: dict[str, str]
    reasoning: str
    mask_history: bool
    instruction: str | None
    system: str | None
    max_samples: str | None
    sample: str
    seed: str
    sheet: str | None
    name: str | None
    train_python: str | None
    json: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Request(SourceRequest):
    """What to convert, and into what."""

    out: Path
    test_size: str | None
    dedupe: bool
    strict: bool
    overwrite: bool


def run(request: Request) -> int:
    """Convert. Raises `Refusal`."""
    from sft_tui.plan.conversion import convert_and_register

    problems = Problems()
    test_size = _size(request.test_size, problems)
    wanted = replace(
        conversion_of(request, problems),
        out_dir=request.out,
        test_size=test_size,
        dedupe=request.dedupe,
        strict=request.strict,
        overwrite=request.overwrite,
    )
    result = convert_and_register(wanted, None if request.json else _show)
    show_problems(result.notes)
    if request.json:
        put_json(result.as_json())
    else:
        _tell(result)
    return int(ExitCode.DONE)


def conversion_of(request: SourceRequest, problems: Problems) -> ConvertRequest:
    """The conversion that the words describe. Raises `Refusal` with `problems` and every value that is no number."""
    max_samples = _integer(request.max_samples, "--max-samples", "data.max_samples", problems)
    seed = _integer(request.seed, "--seed", "data.seed", problems)
    problems.raise_if_any()
    return ConvertRequest(
        source=request.source,
        out_dir=Path("data"),
        name=request.name,
        format=request.format,
        columns=Columns(**request.columns),
        instruction=request.instruction,
        system=request.system,
        max_samples=max_samples,
        sample=request.sample,
        seed=42 if seed is None else seed,
        sheet=request.sheet,
        reasoning=request.reasoning,
        mask_history=request.mask_history,
        train_python=request.train_python or find_train_python(request.source.startswith("hub:")),
    )


def find_train_python(needed: bool) -> str | None:
    """The Python of the training environment where it is `needed`, None where there is none."""
    if not needed:
        return None
    from sft_tui.machine.environment import find_environment

    environment = find_environment().environment
    return environment.python if environment is not None else None


def _integer(text: str | None, flag: str, key: str, problems: Problems) -> int | None:
    if text is None:
        return None
    if _INTEGER.fullmatch(text.strip()):
        return int(text)
    message = _("{flag} is {value}, which is no whole number.").format(flag=flag, value=text)
    problems.error(
        "bad_number", message, key=key, hint=_("Give a whole number, such as {flag} 1000.").format(flag=flag)
    )
    return None


def _size(text: str | None, problems: Problems) -> int | float:
    """A share where there is a decimal point, otherwise a number of rows."""
    if text is None:
        return 0
    if _INTEGER.fullmatch(text.strip()):
        return int(text)
    try:
        return float(text)
    except ValueError:
        message = _("--test-size is {value}; it must be a share between 0.0 and 1.0 or a number of rows.")
        hint = _("Examples: 0.1 for a tenth of the rows, 200 for 200 rows, 0 for none.")
        problems.error("bad_test_size", message.format(value=text), key="data.test_size", hint=hint)
        return 0


def _show(progress: Progress) -> None:
    share = f" {min(progress.bytes_read / progress.bytes_total, 1):.0%}" if progress.bytes_total else ""
    say_in_place(_("{rows} records{share}").format(rows=progress.rows, share=share))


def _tell(result: ConvertResult) -> None:
    say(_("{count} samples written as {format}.").format(count=result.written, format=result.format))
    say(mapping_line(result.mapping))
    for note in unused_note(result.unused):
        say(note.message)
    if result.test is not None:
        say(_("{train} for training, {test} for testing.").format(train=result.train_rows, test=result.test_rows))
    for reason, count in result.dropped.items():
        rows = ", ".join(map(str, result.dropped_rows.get(reason, ())))
        more = ", ..." if count > len(result.dropped_rows.get(reason, ())) else ""
        say(_("{count} left out, {reason}: rows {rows}").format(count=count, reason=reason, rows=rows + more))
    put(str(result.train))
    if result.test is not None:
        put(str(result.test))
