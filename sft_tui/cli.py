"""The command line: picks a front end or a command, and imports it only then.

Nothing is imported here that takes its time: whoever presses Ctrl-C in the first moment is told nothing.
"""

from __future__ import annotations

import os
import signal
import sys

from sft_tui import interrupts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

_INTERRUPTED, _NOBODY_READS = 130, 128 + signal.SIGPIPE


def main(argv: list[str] | None = None) -> int:
    """Run the command line; the exit code."""
    sys.excepthook = _crash
    interrupts.watch()  # who is told to go leaves as by Ctrl-C: it cleans up behind itself, and a run goes on
    try:
        code = _run(sys.argv[1:] if argv is None else argv)
    except KeyboardInterrupt:
        code = _INTERRUPTED
    except BrokenPipeError:
        code = _NOBODY_READS
    return _flushed(code)


def _flushed(code: int) -> int:
    """`code`, once everything is written: an interpreter that finds nobody reading would end with another one."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return code


def _run(words: list[str]) -> int:
    from sft_tui.headless.commands import COMMANDS
    from sft_tui.headless.output import report_refusal
    from sft_tui.problems import Refusal, refusing_locked

    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # looking for them reads every package's metadata
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by the shell
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115, PTH123 - for as long as the program runs
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        with refusing_locked():
            return _command(words[0], words[1:]) if words and words[0] in COMMANDS else _front_end(words)
    except Refusal as refusal:
        return report_refusal(refusal, "--json" in words)


def _command(name: str, words: list[str]) -> int:
    from sft_tui.headless.commands import module_of, parser_of

    module = module_of(name)
    request = module.Request(**vars(parser_of(name).parse_args(words)))
    if name == "attach" and not request.plain and not request.json and sys.stdin.isatty() and sys.stderr.isatty():
        from sft_tui.headless.find import find_run
        from sft_tui.tui import run_tui

        layout, _state = find_run(request.dir, request.run)
        return run_tui(None, attach=layout.name, project=layout.project)
    return int(module.run(request))


def _front_end(words: list[str]) -> int:
    from pathlib import Path

    from sft_tui.headless.commands import main_parser
    from sft_tui.i18n import _, set_language

    parser = main_parser()
    args = parser.parse_args(words)
    if args.lang:
        os.environ["SFT_TUI_LANG"] = args.lang
        set_language(args.lang)
    if args.non_interactive is not None:
        from sft_tui.headless.run_command import Request, run
        from sft_tui.headless.take_over import answers_path

        flags = (args.dry_run, args.detach, args.fresh, args.force, args.json)
        return run(Request(answers_path(Path(args.non_interactive)), *flags, tuple(args.set), args.restart_on_crash))
    for flag in ("dry_run", "detach", "fresh", "force", "json", "set", "restart_on_crash"):
        if getattr(args, flag) not in (False, None, []):
            option = f"--{flag.replace('_', '-')}"
            parser.error(_("{option} belongs to --non-interactive ANSWERS").format(option=option))
    if args.answers is not None and not Path(args.answers).exists():
        parser.error(_no_such_file(args.answers))
    answers = None
    if args.answers:
        from sft_tui.headless.take_over import answers_path

        answers = answers_path(Path(args.answers))
    from sft_tui.tui import run_tui

    return run_tui(
        answers, lang=args.lang, theme=args.theme, mouse=not args.no_mouse, ascii=args.ascii, project=Path.cwd()
    )


def _no_such_file(name: str) -> str:
    from sft_tui.headless.commands import COMMANDS
    from sft_tui.i18n import _
    from sft_tui.problems import nearest

    close = nearest(name, COMMANDS, 1)
    hint = _(" Did you mean the command `{name}`?").format(name=close[0]) if close else ""
    return _("{path} does not exist.").format(path=name) + hint


def _crash(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """An error that nobody expected: the traceback goes to a file, the user gets a sentence."""
    if issubclass(kind, KeyboardInterrupt):
        return  # pressed once more, while the interpreter ends
    import time
    import traceback

    from sft_tui.headless.output import say
    from sft_tui.i18n import _
    from sft_tui.project.files import write_atomically
    from sft_tui.project.places import state_directory

    path = state_directory() / f"crash-{time.strftime('%Y%m%d-%H%M%S')}.log"
    text = "".join(traceback.format_exception(kind, error, trace))
    try:
        write_atomically(path, text.encode("utf-8", "replace"), private=True)
    except OSError:
        say(text)
        return
    message = _("sft-tui met an error that it did not expect ({kind}: {error}). Details: {path}")
    say(message.format(kind=kind.__name__, error=error, path=path))


if __name__ == "__main__":
    sys.exit(main())
