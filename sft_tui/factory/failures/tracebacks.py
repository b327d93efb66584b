"""The exceptions in a log, as chains: the root cause first, what it led to behind it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from sft_tui.factory.failures.lines import Line

_NAME = r"(?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*"
_EXCEPTION = re.compile(
    r"(?:(?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*(?:Error|Exception|Invalid|Failure|Timeout|Exit|NotFound|Traceback)"
    r"|KeyboardInterrupt|StopIteration|StopAsyncIteration|SystemExit|Exception"
    r"|(?:[A-Za-z_]\w*\.)+[A-Z]\w*Interrupt)(?::\s.*|:)?$",
    re.DOTALL,
)
_AFTER_FRAMES = re.compile(rf"(?!(?:raise|return|pass|continue|break|yield)$){_NAME}(?::\s.*|:)?$", re.DOTALL)
_EMBEDDED = re.compile(
    r"(?:^|[\s:：>\u4e00-\u9fff])"
    r"(?P<exception>(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|ArrowInvalid|NotFound): \S.*)$"
)
_DOUBLED = re.compile(r"([A-Za-z_][\w.]*(?:Error|Exception|Invalid))\1{1,15}: ?(?:: ?)*")
_WARNING = re.compile(rf"{_NAME}Warning\b")
_CAUSED = ("The above exception was the direct cause", "During handling of the above exception")
_ENDS_MESSAGE = re.compile(
    r"Traceback \(most recent|The above exception|During handling of|\[(?:INFO|WARNING|ERROR|DEBUG)\b|"
    r"\[[EWI]\d{3,4} |[EWI]\d{4} |\{'|\"\"\"|={10}|-{10}|\*{5}|wandb:|ERROR:torch|WARNING:torch|terminate called"
)
_MAX_MESSAGE_LINES = 40
_MAX_STRAY_LINES = 60
_MAX_HEAD_CHARS = 2000
_MAX_MESSAGE_CHARS = 16_384
WRAPPERS = frozenset({"ChildFailedError", "CalledProcessError", "RemoteTraceback", "RayTaskError", "RemoteError"})
"""Exceptions of launchers that only say that another process failed."""


@dataclass(frozen=True, slots=True)
class Raised:
    """An exception: its name as printed, its message (lines joined), its frames' lines, its line in the log."""

    name: str
    message: str
    frames: str
    number: int

    @property
    def text(self) -> str:
        """`Name: message`, as in the log."""
        return f"{self.name}: {self.message}" if self.message else self.name

    @property
    def first_line(self) -> str:
        """`text` without the further lines of the message."""
        return self.text.partition("\n")[0]

    @property
    def is_wrapper(self) -> bool:
        """Whether it only reports the failure of another process."""
        return self.name.rpartition(".")[2] in WRAPPERS


@dataclass(slots=True)
class Failure:
    """A chain of exceptions on one stream, the root cause first.

    `ignored`: Python went on regardless. `embedded`: it stood in the middle of a line.
    """

    stream: str
    chain: list[Raised] = field(default_factory=list)
    ignored: bool = False
    embedded: bool = False

    @property
    def is_wrapper(self) -> bool:
        """Whether no exception of the chain says more than that another process failed."""
        return all(raised.is_wrapper for raised in self.chain)


@dataclass(slots=True)
class _Reader:
    """State of one stream."""

    stream: str
    failures: list[Failure] = field(default_factory=list)
    frames: list[str] | None = None
    stray: int = 0
    linked: bool = False
    ignored: bool = False
    embedded: bool = False
    message: list[str] | None = None
    head: tuple[str, int] = ("", 0)
    message_frames: str = ""

    def feed(self, line: Line) -> None:
        """Take in the next line of the stream."""
        if line.text.count("Error") > 1 and (doubled := _DOUBLED.match(line.text)):
            line = replace(line, text=f"{doubled[1]}: {line.text[doubled.end() :]}")  # ranks that wrote at once
        text = line.text
        if self.message is not None and not self._extend_message(text):
            self.close()
        if self.message is not None:
            return
        if text.startswith(("Exception ignored in", "--- Logging error ---")):
            self.ignored = True
        elif text.startswith(_CAUSED):
            self.linked = True
        elif "Traceback (most recent call last)" in text and not text.startswith((" ", "\t")):
            self.frames, self.stray = [], 0
        elif self.frames is not None:
            self._feed_frames(line)
        elif _is_exception(text):
            self._open(text, line.number, "")
        elif embedded := _embedded(text):
            self.embedded = True
            self._open(embedded, line.number, "")

    def _feed_frames(self, line: Line) -> None:
        assert self.frames is not None
        text = line.text
        if not text or text[0] in " \t│╭╰|^" or text.startswith('File "'):
            self.frames.append(text)
        elif _is_exception(text) or (
            _AFTER_FRAMES.match(text) and self.frames and not text.endswith(":") and not _WARNING.match(text)
        ):
            self._open(text, line.number, "\n".join(self.frames))
            self.frames = None
        else:
            self.frames.append(text)  # code that lost its indentation, or a line of another process
            self.stray += 1
            if self.stray > _MAX_STRAY_LINES:
                self.frames = None

    def _open(self, text: str, number: int, frames: str) -> None:
        self.head, self.message, self.message_frames = (text, number), [], frames

    def _extend_message(self, text: str) -> bool:
        """Take `text` as a further line of the message; False where the message has ended."""
        assert self.message is not None
        if not text.strip() and self.head[0].endswith(":") and not self.message:
            return True
        if len(self.message) >= _MAX_MESSAGE_LINES or not text.strip() or _ENDS_MESSAGE.match(text):
            return False
        if _is_exception(text) and not self.head[0].endswith(":"):
            return False
        self.message.append(text)
        return True

    def close(self) -> None:
        """The exception that was being read is complete."""
        if self.message is None:
            return
        name, _, rest = self.head[0].partition(":")
        message = "\n".join([rest.strip(), *self.message]).strip()[:_MAX_MESSAGE_CHARS]
        raised = Raised(name.strip(), message, self.message_frames.replace("\\", "/"), self.head[1])
        self.message = None
        if self.linked and self.failures:
            self.failures[-1].chain.append(raised)
        else:
            self.failures.append(Failure(self.stream, [raised], self.ignored, self.embedded))
        self.linked = raised.name.endswith("RemoteTraceback")
        self.ignored = self.embedded = False


def _embedded(text: str) -> str | None:
    """An exception in the middle of a line of a user's or a script's own words; not one that a logger warns of."""
    if text[:1] in " \t│|{'\"" or ("Error: " not in text and "Exception: " not in text and "Invalid: " not in text):
        return None
    if text.startswith(("[INFO", "[WARNING", "[DEBUG")) or "arning" in text:
        return None
    found = _EMBEDDED.search(text)
    if found is None or any(quote in text[: found.start("exception")] for quote in "\"`'"):
        return None
    return found["exception"]


def _is_exception(text: str) -> bool:
    head = text[:_MAX_HEAD_CHARS]
    if not head or not head[0].isalpha() or " " in head.partition(":")[0]:
        return False
    return _WARNING.match(head) is None and _EXCEPTION.match(head) is not None


def find_failures(lines: list[Line]) -> list[Failure]:
    """All chains of exceptions, in the order in which they ended; those that Python ignored are marked."""
    readers: dict[str, _Reader] = {}
    for line in lines:
        reader = readers.get(line.stream)
        if reader is None:
            reader = readers[line.stream] = _Reader(line.stream)
        reader.feed(line)
    for reader in readers.values():
        reader.close()
    found = [failure for reader in readers.values() for failure in reader.failures]
    return sorted(found, key=lambda failure: failure.chain[-1].number)
