"""Models of a hub on this machine: where its library keeps them, and what of one is there.

The layouts are those of huggingface_hub (`models--owner--name/{refs,snapshots,blobs}`, files of a snapshot being links
to blobs, unfinished ones `*.incomplete`) and of modelscope (`models/owner/name`, unfinished ones in `._____temp`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sft_tui.hub_network import hf_home

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


def may_be_on_a_hub(named: str) -> bool:
    """Whether a model that is `named` so and is no directory here could be one of a hub (`owner/name`)."""
    return named.count("/") == 1 and not named.startswith((".", "/", "~"))


def cache_directory(source: str, environment: Mapping[str, str] = os.environ) -> Path:
    """Where the library of `huggingface` or `modelscope` keeps models, from its environment variables."""
    home = Path(environment.get("HOME") or str(Path.home()))
    if source == "modelscope":
        return Path(environment.get("MODELSCOPE_CACHE") or str(home / ".cache" / "modelscope")).expanduser()
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if environment.get(name):
            return Path(environment[name]).expanduser()
    return hf_home(environment) / "hub"


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


def cached_ids(environment: Mapping[str, str] = os.environ) -> list[str]:
    """The hub ids of the models that Hugging Face's cache holds with a config, in the order of their names."""
    cache = cache_directory("huggingface", environment)
    try:
        stores = sorted(path for path in cache.iterdir() if path.name.startswith("models--"))
    except OSError:
        return []
    return [
        store.name.removeprefix("models--").replace("--", "/")
        for store in stores
        if next(store.glob("snapshots/*/config.json"), None) is not None
    ]


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
