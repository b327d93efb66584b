"""`sft-tui service`: have the runs of a project brought back after a reboot."""

from __future__ import annotations

import argparse
import getpass
from dataclasses import dataclass
from pathlib import Path

from sft_tui.headless.arguments import add_project
from sft_tui.headless.find import find_project
from sft_tui.headless.output import put, put_json, say
from sft_tui.i18n import _
from sft_tui.problems import ExitCode


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `service`."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--print", action="store_true", help=_("show what would be written, and write nothing"))
    group.add_argument("--remove", action="store_true", help=_("take away what was written"))
    group.add_argument("--bring-back", action="store_true", help=_("go on now with the runs that a reboot interrupted"))
    add_project(parser)


@dataclass(frozen=True, slots=True)
class Request:
    """What to do for which project."""

    print: bool
    remove: bool
    bring_back: bool
    dir: Path
    json: bool


def run(request: Request) -> int:
    """Write, show or remove what brings runs back, or bring them back. Raises `Refusal`."""
    from sft_tui.run.service import Kind, install, lingers, plan_service, remove

    project = find_project(request.dir)
    if request.bring_back:
        return _bring_back(project, as_json=request.json)
    service = plan_service(project)
    done = False if request.print else remove(service) if request.remove else install(service)
    linger = lingers() if service.kind is Kind.SYSTEMD else None
    if request.json:
        put_json(
            {
                "project": str(project),
                "kind": service.kind.value,
                "path": str(service.path) if service.path else None,
                "content": service.content,
                "changed": done,
                "linger": linger,
            }
        )
        return int(ExitCode.DONE)
    place = service.path or _("the crontab of {user}").format(user=getpass.getuser())
    if request.remove:
        say((_("Removed from {place}.") if done else _("Nothing to remove: {place}")).format(place=place))
        return int(ExitCode.DONE)
    if request.print:
        say(_("This would be written into {place}:").format(place=place))
        put(service.content.rstrip("\n"))
    else:
        say((_("Written: {place}") if done else _("It is there already: {place}")).format(place=place))
    say(
        _("At the next boot the runs of {project} that were on before go on from their last checkpoint.").format(
            project=project
        )
    )
    if service.kind is Kind.SYSTEMD and not linger:
        say(_("Units of a user start with the first login, unless you say once: loginctl enable-linger"))
        say(_("Without it a machine may also end what you have started when you log out."))
    say(_("Away with it: sft-tui service --remove"))
    return int(ExitCode.DONE)


def _bring_back(project: Path, *, as_json: bool) -> int:
    from sft_tui.run.service import bring_back

    found = bring_back(project)
    if as_json:
        put_json([{"run": run.run, "refused": run.refused} for run in found])
    if not found:
        say(_("No run of {project} was interrupted by a reboot.").format(project=project))
    for run in found:
        if run.refused is None:
            say(_("Going on with the run {run}.").format(run=run.run))
        else:
            say(f"{run.run}: {run.refused}")
    return int(ExitCode.PREFLIGHT if any(run.refused for run in found) else ExitCode.DONE)
