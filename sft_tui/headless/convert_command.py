"""`sft-tui convert SOURCE`: any data file to LLaMA-Factory data, registered in `dataset_info.json`."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

from sft_tui.dataset import Columns, ConvertRequest, ConvertResult, Progress
from sft_tui.dataset.rows.unused import mapping_line, unused_note
from sft_tui.headless.output import put, put_json, report_refusal, say, show_problems
from sft_tui.i18n import _
from sft_tui.problems import ExitCode, Problems, Refusal

_ROLES = tuple(f.name for f in fields(Columns))
_INTEGER = re.compile(r"[+-]?\d+")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `convert`."""
    add_source_arguments(parser)
    parser.add_argument("--out", metavar="DIR", default="data", help=_("the dataset directory (default: data)"))
    parser.add_argument("--test-size", metavar="F|N", help=_("rows for testing: a share (0.1) or a number (200)"))
    parser.add_argument("--dedupe", action="store_true", help=_("leave out samples that occur twice"))
    parser.add_argument("--strict", action="store_true", help=_("refuse if any record would be left out"))
    parser.add_argument("--overwrite", action="store_true", help=_("replace an earlier conversion of that name"))


def add_source_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that say what is read and how it is mapped, shared with `preview`."""
    parser.add_argument("source", metavar="SOURCE", help=_("a file, a directory, a pattern, or hub:NAME"))
    parser.add_argument("--format", metavar="FORMAT", default="auto", help="auto, columns, alpaca, sharegpt, openai")
    for role in _ROLES:
        parser.add_argument(f"--{role}-column", metavar="C", help=_("the column of the role {role}").format(role=role))
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
    parser.add_argument("--json", action="store_true", help=_("result as JSON on stdout"))


def run(args: argparse.Namespace) -> int:
    """Convert; 0 if it was done, otherwise the refusal's exit code."""
    from sft_tui.plan.conversion import convert_and_register

    try:
        request = request_from(args)
        result = convert_and_register(request, None if args.json else _narrator())
    except Refusal as refusal:
        return report_refusal(refusal, args.json)
    show_problems(result.notes)
    if args.json:
        put_json(result.as_json())
    else:
        _tell(result)
    return int(ExitCode.DONE)


def request_from(args: argparse.Namespace) -> ConvertRequest:
    """The request that the options describe. Raises `Refusal` with every value that is no number."""
    problems = Problems()
    max_samples = _integer(args.max_samples, "--max-samples", "data.max_samples", problems)
    seed = _integer(args.seed, "--seed", "data.seed", problems)
    test_size = _size(getattr(args, "test_size", None), problems)
    problems.raise_if_any()
    return ConvertRequest(
        source=args.source,
        out_dir=Path(getattr(args, "out", "data")),
        name=args.name,
        format=args.format,
        columns=Columns(**{role: getattr(args, f"{role}_column") for role in _ROLES}),
        instruction=args.instruction,
        system=args.system,
        max_samples=max_samples,
        sample=args.sample,
        test_size=test_size,
        seed=42 if seed is None else seed,
        dedupe=getattr(args, "dedupe", False),
        strict=getattr(args, "strict", False),
        overwrite=getattr(args, "overwrite", False),
        sheet=args.sheet,
        reasoning=args.reasoning,
        mask_history=args.mask_history,
        train_python=args.train_python or find_train_python(args.source.startswith("hub:")),
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


def _narrator() -> Callable[[Progress], None] | None:
    """Progress on one line of stderr; None where stderr is no terminal."""
    if not sys.stderr.isatty():
        return None

    def show(progress: Progress) -> None:
        share = ""
        if progress.bytes_total:
            share = f" {min(progress.bytes_read / progress.bytes_total, 1):.0%}"
        sys.stderr.write("\r" + _("{rows} records{share}").format(rows=progress.rows, share=share) + "\x1b[K")
        sys.stderr.flush()

    return show


def _tell(result: ConvertResult) -> None:
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
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
