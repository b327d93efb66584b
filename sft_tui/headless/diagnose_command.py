"""`sft-tui diagnose LOG|-`: why did it fail? Reads a log of LLaMA-Factory, of this program's run or any other."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from sft_tui.factory.failures import Diagnosis, FixStep, diagnose_text, last_exception, read_log, read_stream
from sft_tui.headless.output import put, put_json, report_refusal, say
from sft_tui.i18n import _
from sft_tui.problems import ExitCode, Refusal

ASK = "https://github.com/hiyouga/LLaMA-Factory/issues"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `diagnose`."""
    parser.add_argument("log", metavar="LOG|-", help=_("a log file, or - for stdin"))
    parser.add_argument("--json", action="store_true", help=_("result as JSON on stdout"))


def run(args: argparse.Namespace) -> int:
    """Diagnose the log; exit 0 also where nothing is known, 2 where there is no readable log."""
    try:
        text = read_stream(sys.stdin.buffer, _("standard input")) if args.log == "-" else read_log(Path(args.log))
    except Refusal as refusal:
        return report_refusal(refusal, args.json)
    diagnoses = diagnose_text(text)
    if args.json:
        put_json({"diagnoses": [diagnosis.as_json() for diagnosis in diagnoses]})
    elif diagnoses:
        for number, diagnosis in enumerate(diagnoses):
            if number == 1:
                put("")
                put(_("Less likely, or a consequence:"))
            show(diagnosis)
    else:
        _show_unknown(text)
    return int(ExitCode.DONE)


def show(diagnosis: Diagnosis) -> None:
    """What happened, why, what helps."""
    put(f"{diagnosis.title}  [{diagnosis.id}]")
    put(f"  {diagnosis.cause}")
    put(f"  > {diagnosis.line}")
    for fix in diagnosis.fixes:
        change = change_text(fix)
        put(f"  - {fix.text}" + (f"  ({change})" if change else ""))
    put(f"  {diagnosis.source}")


def change_text(fix: FixStep) -> str:
    """The change in the words of a config or a shell; empty for advice."""
    if fix.kind == "set":
        return f"{fix.key}: {fix.value if isinstance(fix.value, str) else json.dumps(fix.value)}"
    if fix.kind == "unset":
        return _("delete {key}").format(key=fix.key)
    if fix.kind == "env":
        return f"unset {fix.key}" if fix.value is None else f"export {fix.key}={fix.value}"
    if fix.kind == "install":
        quoted = " ".join(f"'{word}'" if set(word) & set("<>[]") else word for word in str(fix.value).split())
        return f"pip install {quoted}"
    return ""


def _show_unknown(text: str) -> None:
    last = last_exception(text)
    if last is None:
        put(_("No known failure, and no exception in this log."))
        return
    put(_("No known failure. The log ends in:"))
    put(f"  {last}")
    say(_("Search for it or ask at {url}; `sft-tui report RUN` packs what others need to help.").format(url=ASK))
