"""Pictures, films and sounds of a row: their files, found beside the source, and their marks in the prompt."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from sft_tui.dataset.rows.text import clean_text, parse_json
from sft_tui.i18n import _

MEDIA = {"images": "<image>", "videos": "<video>", "audios": "<audio>"}
"""The roles of columns with files, and the mark that stands for one of them in a prompt."""
PART_TYPES = {
    "image": "images", "image_url": "images", "input_image": "images", "video": "videos", "video_url": "videos",
    "audio": "audios", "audio_url": "audios", "input_audio": "audios",
}  # fmt: skip
"""Types of the parts of a turn that are files, and their roles."""
_ADDRESS = ("http://", "https://", "data:", "s3://", "gs://", "oss://")


class MissingFile(ValueError):
    """A file that a row names is not there; the text says which."""


class WrongMedia(ValueError):
    """The files of a row and the marks in its texts do not belong together; the text says why."""


@lru_cache(maxsize=1 << 16)
def _place(path: str, folders: tuple[str, ...]) -> str | None:
    """Where the file `path` is, an absolute path: relative to one of `folders`. None where it is not."""
    places = (os.path.abspath(os.path.join(folder, path)) for folder in folders)  # noqa: PTH100, PTH118 (a speed thing)
    return next((place for place in places if os.path.isfile(place)), None)  # noqa: PTH113


def read_files(value: Any, folders: tuple[str, ...]) -> list[Any]:
    """The files that a cell names, as absolute paths; lists within the list are the pictures of a film.

    Raises `MissingFile` and `WrongMedia`.
    """
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = parse_json(value)
        except ValueError:
            raise WrongMedia(_("the files are no list of paths")) from None
    items = value if isinstance(value, list | tuple) else [value]
    return [_file(item, folders) for item in items if item not in (None, "")]


def _file(item: Any, folders: tuple[str, ...]) -> Any:
    if isinstance(item, list | tuple):
        return [_file(part, folders) for part in item]
    if isinstance(item, dict):
        item = item.get("path") or item.get("url") or item
    if not isinstance(item, str):
        raise WrongMedia(_("the pictures or sounds are stored in the data itself; LLaMA-Factory needs their files"))
    path = clean_text(item).removeprefix("file://")
    if path.startswith(_ADDRESS):
        raise MissingFile(_("{path} is an address; LLaMA-Factory needs a file").format(path=path[:100]))
    place = _place(path, folders)
    if place is None:
        raise MissingFile(_("the file {path} is not there").format(path=path[:200]))
    return place


def part_file(part: dict[str, Any]) -> Any:
    """The file that a part of a turn names; None where it only marks the place of one."""
    value = next((part[key] for key in (part["type"], "url", "path", "value") if part.get(key) is not None), None)
    return value.get("url") or value.get("path") or value if isinstance(value, dict) else value


def parts_roles(turns: Sequence[Any]) -> set[str]:
    """The roles of the files that parts of `turns` name."""
    contents = (turn.get("content") for turn in turns if isinstance(turn, dict))
    parts = (part for content in contents if isinstance(content, list | tuple) for part in content)
    named = (part for part in parts if isinstance(part, dict) and part.get("type") in PART_TYPES)
    return {PART_TYPES[part["type"]] for part in named if part_file(part) is not None}


def place_marks(mark: str, count: int, prompts: Sequence[str]) -> str:
    """What must stand before the first prompt so that `mark` occurs `count` times. Raises `WrongMedia`."""
    marks = sum(prompt.count(mark) for prompt in prompts)
    if marks == count:
        return ""
    if marks == 0:
        return mark * count + "\n"
    words = _("the prompt has {marks} times {mark}, but the row has {count} files")
    raise WrongMedia(words.format(marks=marks, mark=mark, count=count))


def add_media(
    sample: dict[str, Any], files: dict[str, Any], folders: tuple[str, ...], texts: Callable[[], Sequence[str]]
) -> str:
    """Put the files of each role into `sample`; returns the marks that are missing before its first prompt."""
    missing = ""
    for role, value in files.items():
        sample[role] = read_files(value, folders)
        missing += place_marks(MEDIA[role], len(sample[role]), texts())
    return missing
