"""Sources that are fetched, only where `data.download` asks for it: over TLS, once, with size and checksum told."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import re
import shutil
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from sft_tui.i18n import _
from sft_tui.problems import ExitCode, Refusal, refuse
from sft_tui.project.files import replacing
from sft_tui.units import GIB, size_text

if TYPE_CHECKING:
    from sft_tui.answers import Answers

_SCHEME = "https://"
_MOST_BYTES = 20 * GIB
_SPARE_BYTES = GIB
"""So much stays free on the disk."""
_TIMEOUT_S = 30.0
"""How long an answer, and each piece of it, is waited for."""
_PIECE_BYTES = 1 << 20


def is_fetched(source: str, answers: Answers) -> bool:
    """Whether `source` is an address that the answers allow to fetch."""
    return answers.data.download and source.startswith(_SCHEME)


def fetched_source(url: str, project: Path) -> str:
    """The file that was fetched from `url`. Raises `Refusal` (exit 2) where it was not yet."""
    target = _place(url, project)
    if target.is_file():
        return str(target)
    message = _("{source} has not been fetched yet; that is done when the run is started.").format(source=url)
    hint = _("Start it with: sft-tui --non-interactive ANSWERS")
    raise refuse("not_fetched", message, key="data.source", hint=hint)


def fetch_sources(answers: Answers, project: Path, say: Callable[[str], None]) -> None:
    """Fetch the addresses among the sources of `answers` that are not there yet. Raises `Refusal`."""
    data = answers.data
    named = [source.text for source in (*(data.sources or ()), *((data.eval,) if data.eval else ()))]
    for source in dict.fromkeys([data.source, *named]):
        if is_fetched(source, answers) and not (target := _place(source, project)).is_file():
            say(_("Fetching {source}").format(source=source))
            say(_fetch(source, target))


def _place(url: str, project: Path) -> Path:
    """Where the file of `url` lies; its name keeps what tells its kind, and is that of no other address."""
    name = re.sub(r"[^\w.-]+", "_", unquote(urlsplit(url).path).rpartition("/")[2])[-80:] or "data"
    mark = hashlib.sha256(url.encode()).hexdigest()[:8]
    return project / "data" / "downloads" / mark / name


class _OnlyTls(urllib.request.HTTPRedirectHandler):
    """Follows no redirection that leaves TLS."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if not newurl.startswith(_SCHEME):
            raise OSError(_("it leads to {address}, which is not encrypted").format(address=newurl))
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _fetch(url: str, target: Path) -> str:
    """Fetch `url` to `target`, all or nothing; what came, in a sentence with its size and checksum."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        request = urllib.request.Request(url, headers={"User-Agent": "sft-tui"})
        with urllib.request.build_opener(_OnlyTls).open(request, timeout=_TIMEOUT_S) as answer:
            told = answer.headers.get("Content-Length")
            expected = int(told) if told and told.isdigit() else None
            total, found = 0, hashlib.sha256()
            with replacing(target) as stream:
                _refuse_large(url, expected or 0, target)
                while piece := answer.read(_PIECE_BYTES):
                    total += len(piece)
                    _refuse_large(url, total, target, already=total)
                    found.update(piece)
                    stream.write(piece)
                if expected is not None and total != expected:
                    raise OSError(_("it broke off after {size}").format(size=size_text(total)))
    except (OSError, http.client.HTTPException, ValueError, Refusal) as error:
        with contextlib.suppress(OSError):
            target.parent.rmdir()
        if isinstance(error, Refusal):
            raise
        raise _refusal(url, str(getattr(error, "reason", None) or error)) from None
    message = _("Fetched {size} to {path}, sha256 {sum}")
    return message.format(size=size_text(total), path=target, sum=found.hexdigest())


def _refuse_large(url: str, size: int, target: Path, already: int = 0) -> None:
    """Refuse what is larger than anything should be, or than the disk has room for beside what is there `already`."""
    if size > _MOST_BYTES:
        raise _refusal(url, _("it is larger than {size}").format(size=size_text(_MOST_BYTES)))
    if size - already > shutil.disk_usage(target.parent).free - _SPARE_BYTES:
        raise _refusal(url, _("the disk has no room for it"))


def _refusal(url: str, reason: str) -> Refusal:
    message = _("Cannot fetch {source}: {reason}").format(source=url, reason=reason)
    hint = _("Look at the address, or fetch the file in another way and give its path.")
    return refuse("fetch_failed", message, exit_code=ExitCode.PREFLIGHT, key="data.source", hint=hint)
