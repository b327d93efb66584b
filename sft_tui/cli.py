"""The command line: picks a front end or a command, and imports it only then."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import time
import traceback
from pathlib import Path
from types import TracebackType

from sft_tui import __version__
from sft_tui.i18n import LANGUAGES, N_, _, set_language
from sft_tui.problems import ExitCode, Refusal, nearest, refusing_locked

# name: (module, its functions' prefix or "", help)
COMMANDS: dict[str, tuple[str, str, str]] = {
    "doctor": ("sft_tui.headless.doctor_command", "", N_("is this machine ready?")),
    "demo": ("sft_tui.headless.demo_command", "", N_("the whole way on the CPU with a tiny model, in two minutes")),
    "check": ("sft_tui.headless.check_command", "", N_("what is wrong with an answers file or a LLaMA-Factory YAML")),
    "convert": ("sft_tui.headless.convert_command", "", N_("turn any data file into LLaMA-Factory data")),
    "preview": ("sft_tui.headless.preview_command", "", N_("rows of a data file as samples and as tokens")),
    "estimate": ("sft_tui.headless.estimate_command", "", N_("GPU memory and time of a training")),
    "explain": ("sft_tui.headless.explain_command", "", N_("what a training option means")),
    "runs": ("sft_tui.headless.runs_command", "runs", N_("the runs of a project")),
    "attach": ("sft_tui.headless.runs_command", "attach", N_("follow a run")),
    "stop": ("sft_tui.headless.runs_command", "stop", N_("stop a run and save what was learned")),
    "resume": ("sft_tui.headless.runs_command", "resume", N_("go on with a run")),
    "export": ("sft_tui.headless.export_command", "", N_("merge the adapter of a run again")),
    "diagnose": ("sft_tui.headless.diagnose_command", "", N_("why did it fail? reads a log")),
    "report": ("sft_tui.headless.report_command", "", N_("an archive of a run for asking others for help")),
    "schema": ("sft_tui.headless.schema_command", "", N_("the JSON Schema of an answers file")),
}


def main(argv: list[str] | None = None) -> int:
    """Run the command line; the exit code."""
    words = sys.argv[1:] if argv is None else argv
    sys.excepthook = _crash
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # looking for them reads every package's metadata
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        with refusing_locked():
            return _command(words[0], words[1:]) if words and words[0] in COMMANDS else _front_end(words)
    except Refusal as refusal:
        from sft_tui.headless.output import report_refusal

        return report_refusal(refusal, "--json" in words)
    except KeyboardInterrupt:
        return int(ExitCode.INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(ExitCode.DONE)


def _command(name: str, words: list[str]) -> int:
    module_name, prefix, text = COMMANDS[name]
    module = importlib.import_module(module_name)
    add = f"add_{prefix}_arguments" if prefix else "add_arguments"
    run = f"run_{prefix}" if prefix else "run"
    if prefix and not hasattr(module, add):
        add = "add_run_argument"
    parser = argparse.ArgumentParser(prog=f"sft-tui {name}", description=_(text), allow_abbrev=False)
    getattr(module, add)(parser)
    args = parser.parse_args(words)
    if name == "attach" and not args.plain and not args.json and sys.stdin.isatty() and sys.stderr.isatty():
        layout, _state = module.find_run(Path(args.dir), args.run)
        from sft_tui.tui import run_tui

        return run_tui(None, attach=layout.name, project=layout.project)
    code = getattr(module, run)(args)
    assert isinstance(code, int)
    return code


def _front_end(words: list[str]) -> int:
    parser = _main_parser()
    args = parser.parse_args(words)
    if args.lang:
        os.environ["SFT_TUI_LANG"] = args.lang
        set_language(args.lang)
    if args.non_interactive is not None:
        from sft_tui.headless import run_command

        args.answers = args.non_interactive
        return run_command.run(args)
    if args.dry_run or args.detach or args.fresh or args.force or args.json:
        parser.error(_("--dry-run, --detach, --fresh, --force and --json belong to --non-interactive ANSWERS"))
    if args.answers is not None and not Path(args.answers).exists():
        close = nearest(args.answers, COMMANDS, 1)
        hint = _(" Did you mean the command `{name}`?").format(name=close[0]) if close else ""
        parser.error(_("{path} does not exist.").format(path=args.answers) + hint)
    from sft_tui.tui import run_tui

    answers = Path(args.answers) if args.answers else None
    return run_tui(
        answers, lang=args.lang, theme=args.theme, mouse=not args.no_mouse, ascii=args.ascii, project=Path.cwd()
    )


def _main_parser() -> argparse.ArgumentParser:
    width = max(len(name) for name in COMMANDS) + 2
    listing = "\n".join(f"  {name:<{width}}{_(text)}" for name, (_module, _prefix, text) in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="sft-tui",
        description=_("Fine-tune a language model with LLaMA-Factory. Without options: the wizard."),
        epilog=_("commands:\n{listing}\n\n`sft-tui COMMAND --help` tells more.").format(listing=listing),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("answers", nargs="?", metavar="ANSWERS", help=_("answers file to start the wizard with"))
    parser.add_argument(
        "--non-interactive", metavar="ANSWERS", help=_("do what the answers file says, without a screen")
    )
    for flag, text in (
        ("--dry-run", N_("print what would be done, and do nothing")),
        ("--detach", N_("start and return at once")),
        ("--fresh", N_("start a new run beside an earlier one")),
        ("--force", N_("start though the GPU memory seems too small")),
        ("--json", N_("events on stdout, one JSON object a line")),
    ):
        parser.add_argument(flag, action="store_true", help=_(text))
    parser.add_argument("--lang", choices=LANGUAGES, help=_("language (default: from the locale)"))
    parser.add_argument("--theme", metavar="NAME", help=_("colour theme of the wizard"))
    parser.add_argument("--no-mouse", action="store_true", help=_("leave the mouse to the terminal"))
    parser.add_argument("--ascii", action="store_true", help=_("draw with ASCII signs only"))
    parser.add_argument("--version", action="version", version=f"sft-tui {__version__}")
    return parser


def _crash(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """An error that nobody expected: the traceback goes to a file, the user gets a sentence."""
    from sft_tui.project.files import write_atomically
    from sft_tui.project.places import state_directory

    path = state_directory() / f"crash-{time.strftime('%Y%m%d-%H%M%S')}.log"
    text = "".join(traceback.format_exception(kind, error, trace))
    try:
        write_atomically(path, text.encode("utf-8", "replace"), private=True)
    except OSError:
        sys.stderr.write(text)
        return
    message = _("sft-tui met an error that it did not expect ({kind}: {error}). Details: {path}")
    sys.stderr.write(message.format(kind=kind.__name__, error=error, path=path) + "\n")


if __name__ == "__main__":
    sys.exit(main())
