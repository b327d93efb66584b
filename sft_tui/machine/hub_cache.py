"""Models of a hub on this machine: where its library keeps them, what of one is there, whether the hub answers.

The layouts are those of huggingface_hub (`models--owner--name/{refs,snapshots,blobs}`, files of a snapshot being links
to blobs, unfinished ones `*.incomplete`) and of modelscope (`models/owner/name`, unfinished ones in `._____temp`).
"""

from __future__ import annotations

import os
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LIMIT_S = 3.0
"""How long `ask_hub` waits at most."""
_YES = frozenset(("1", "true", "yes", "on"))
_POINTER = b"version https://git-lfs"


@dataclass(frozen=True, slots=True)
class CachedModel:
    """What the cache in `cache` (which need not exist) holds of a model.

    `directory` is the model's directory in it, None where there is none. `dangling` are files of it whose content is
    gone, `pointers` those that are only a Git LFS pointer, `unfinished` the bytes of downloads that were broken off;
    `held_bytes` is what its whole files take.
    """

    cache: Path
    directory: Path | None = None
    dangling: tuple[str, ...] = ()
    pointers: tuple[str, ...] = ()
    unfinished_bytes: int = 0
    held_bytes: int = 0


@dataclass(frozen=True, slots=True)
class HubAnswer:
    """What the hub said: `status` is HTTP's, None where nothing came within the limit, `reason` says why then."""

    url: str
    status: int | None
    reason: str = ""


def cache_directory(source: str, environment: Mapping[str, str] = os.environ) -> Path:
    """Where the library of `huggingface` or `modelscope` keeps models, from its environment variables."""
    home = Path(environment.get("HOME") or str(Path.home()))
    if source == "modelscope":
        return Path(environment.get("MODELSCOPE_CACHE") or str(home / ".cache" / "modelscope")).expanduser()
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if environment.get(name):
            return Path(environment[name]).expanduser()
    return _hf_home(environment) / "hub"


def _hf_home(environment: Mapping[str, str]) -> Path:
    home = Path(environment.get("HOME") or str(Path.home()))
    caches = environment.get("XDG_CACHE_HOME") or str(home / ".cache")
    return Path(environment.get("HF_HOME") or str(Path(caches) / "huggingface")).expanduser()


def hub_token(environment: Mapping[str, str] = os.environ) -> str | None:
    """The token that huggingface_hub would use: of the environment, otherwise of `hf auth login`; None without one."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if token := environment.get(name, "").strip():
            return token
    path = Path(environment.get("HF_TOKEN_PATH") or str(_hf_home(environment) / "token")).expanduser()
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except (OSError, ValueError):
        return None


def offline_variable(source: str, environment: Mapping[str, str] = os.environ) -> str | None:
    """The environment variable that forbids the hub's library to use the network, None where none does."""
    names = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE") if source == "huggingface" else ()
    return next((name for name in names if environment.get(name, "").lower() in _YES), None)


def find_model(
    hub_id: str, source: str = "huggingface", revision: str = "main", environment: Mapping[str, str] = os.environ
) -> CachedModel:
    """What the cache holds of the model `hub_id` (`owner/name`)."""
    cache = cache_directory(source, environment)
    if source == "modelscope":
        owner, _slash, name = hub_id.partition("/")
        names = [Path(owner) / name.replace(".", "___"), Path(owner) / name]
        roots = (cache / "models", cache / "hub" / "models", cache / "hub", cache)
        directory = next((root / n for root in roots for n in names if (root / n).is_dir()), None)
        temporary = [root / "._____temp" / n for root in roots for n in names]
        return _read(cache, directory, sum(_size(path) for path in temporary))
    store = cache / f"models--{hub_id.replace('/', '--')}"
    unfinished = [path for path in _files(store / "blobs") if path.name.endswith(".incomplete")]
    return _read(cache, _snapshot(store, revision), sum(path.stat().st_size for path in unfinished))


def _snapshot(store: Path, revision: str) -> Path | None:
    """The directory of a revision: the commit that its name refers to, or a commit itself."""
    try:
        commit = (store / "refs" / revision).read_text(encoding="utf-8").strip()
    except OSError:
        commit = revision
    directory = store / "snapshots" / commit
    return directory if directory.is_dir() else None


def _read(cache: Path, directory: Path | None, unfinished_bytes: int) -> CachedModel:
    dangling: list[str] = []
    pointers: list[str] = []
    held = 0
    for path in sorted(directory.iterdir()) if directory is not None else ():
        if path.is_symlink() and not path.exists():
            dangling.append(path.name)
        elif path.is_file():
            size = path.stat().st_size
            held += size
            if size < 1024 and path.read_bytes().startswith(_POINTER):
                pointers.append(path.name)
    return CachedModel(cache, directory, tuple(dangling), tuple(pointers), unfinished_bytes, held)


def _files(directory: Path) -> list[Path]:
    return [path for path in directory.iterdir() if path.is_file()] if directory.is_dir() else []


def _size(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file()) if directory.is_dir() else 0


def hub_url(hub_id: str, source: str, environment: Mapping[str, str] = os.environ) -> str:
    """The address that says whether the hub has the model: that of its config.json."""
    if source == "modelscope":
        domain = environment.get("MODELSCOPE_DOMAIN") or "www.modelscope.cn"
        base = domain if "://" in domain else f"https://{domain}"
        return f"{base.rstrip('/')}/models/{hub_id}/resolve/master/config.json"
    base = environment.get("HF_ENDPOINT") or "https://huggingface.co"
    return f"{base.rstrip('/')}/{hub_id}/resolve/main/config.json"


def ask_hub(url: str, token: str | None = None, limit_s: float = LIMIT_S) -> HubAnswer:
    """Ask for the head of `url` (proxies of the environment hold); waits `limit_s` at most, also for a name server."""
    answers: list[HubAnswer] = []
    worker = threading.Thread(target=lambda: answers.append(_head(url, token, limit_s)), daemon=True)
    worker.start()
    worker.join(limit_s)
    return answers[0] if answers else HubAnswer(url, None, "timeout")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer: the hub is there, and files come from another host."""

    def redirect_request(self, *_arguments: Any) -> None:
        """Follow none."""
        return


def _head(url: str, token: str | None, limit_s: float) -> HubAnswer:
    if not url.startswith(("http://", "https://")):
        return HubAnswer(url, None, "not an http address")
    headers = {"User-Agent": "sft-tui"} | ({"Authorization": f"Bearer {token}"} if token else {})
    request = urllib.request.Request(url, method="HEAD", headers=headers)
    try:
        with urllib.request.build_opener(_NoRedirect()).open(request, timeout=limit_s) as response:
            return HubAnswer(url, response.status)
    except urllib.error.HTTPError as error:
        return HubAnswer(url, error.code, str(error.reason))
    except urllib.error.URLError as error:
        return HubAnswer(url, None, str(getattr(error.reason, "strerror", None) or error.reason))
    except (OSError, ValueError) as error:
        return HubAnswer(url, None, str(getattr(error, "strerror", None) or error))
