"""Which encoding a text has, and its bytes as UTF-8. Invalid bytes stay invalid, so that they spoil only their row.

Order: by mark, UTF-8, UTF-16, GB18030 (GBK within it), Latin-1 last.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

CHUNK_BYTES = 1 << 20
HEAD_BYTES = 4 << 20
_EVIDENCE_BYTES = 256 << 10
_FEWEST_SIGNS = 4
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SPOILT = "sft_tui.spoilt"
_ESCAPED = re.compile("\udcff")
_OTHER = re.compile("[^\x00-\x7f]")
_CHINESE = re.compile("[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef\u2010-\u2027\u2460-\u24ff]")
_LATIN_WORD = re.compile(rb"(?<![\x81-\xbf])[A-Za-z\xc0-\xd6\xd8-\xf6\xf8-\xfd]{2,}(?![\x81-\xbf])")
_CUT_UTF8 = re.compile(rb"[\xe0-\xef][\x80-\xbf](?![\x80-\xff])|[\xf0-\xf4][\x80-\xbf]{1,2}(?![\x80-\xff])")
_ASCII_BYTES = bytes(range(128))
_HIGH_BYTES = bytes(range(128, 256))
_LATIN_SIGNS = frozenset((*range(0xA0, 0xC0), 0x80, *range(0x84, 0x87), *range(0x91, 0x98), 0x99, 0xD7, 0xF7))
_LATIN_SIGNS |= {0x8A, 0x8B, 0x8C, 0x8E, 0x9A, 0x9B, 0x9C, 0x9E, 0x9F}
_NOT_LATIN = frozenset((*range(0x80, 0xA0), 0xFE, 0xFF)) - _LATIN_SIGNS


def _spoil(error: UnicodeError) -> tuple[str, int]:
    """Stands for bytes that make no character: half of a surrogate pair, which becomes no valid UTF-8 either."""
    assert isinstance(error, UnicodeDecodeError)
    return "\udcff" * (error.end - error.start), error.end


codecs.register_error(_SPOILT, _spoil)


@dataclass(frozen=True, slots=True)
class Encoding:
    """`name` is Python's codec; `mark` the length of a byte order mark; `certain` whether more text could change it."""

    name: str
    mark: int = 0
    certain: bool = True

    @property
    def last_resort(self) -> bool:
        """Whether nothing but Latin-1 (its Windows form) was left."""
        return self.name == "cp1252"


_MOST_CONTROL = 25  # one byte of so many; of random bytes it is one of ten
_FEW_CONTROL = 64

ASCII = Encoding("utf-8", certain=False)
"""No byte above 127 was seen: what it is shows later, if ever."""


def _utf16_without_mark(head: bytes) -> str | None:
    head = head[: len(head) & ~1][: 256 << 10]
    zeros = head.count(0)
    if len(head) < 4 or zeros * 50 < len(head):
        return None
    odd = head[1::2].count(0)
    name = "utf-16-le" if odd * 2 > zeros else "utf-16-be"
    if max(odd, zeros - odd) < 8 * min(odd, zeros - odd):
        return None
    try:
        text = codecs.getincrementaldecoder(name)().decode(head)
    except UnicodeDecodeError:
        return None
    return name if sum(text.count(sign) for sign in '\n,;\t":{}[]') >= _FEWEST_SIGNS else None


_CONTROL = bytes(set(range(32)) - {*b"\t\n\v\f\r\x1a\x1b"}) + b"\x7f"


def is_no_text(head: bytes) -> bool:
    """Whether the start of a file cannot be text in any encoding that is read here: too many control characters."""
    if head.startswith(tuple(mark for mark, _name in _MARKS)) or _utf16_without_mark(head):
        return False
    controls = len(head) - len(head.translate(None, _CONTROL))
    return controls > _FEW_CONTROL and controls * _MOST_CONTROL > len(head)


def _invalid_and_valid(data: bytes, codec: str) -> tuple[int, int, str]:
    """How many bytes above 127 make no character in `codec`, and how many characters above 127 there are."""
    text = data.decode(codec, _SPOILT)
    invalid = len(_ESCAPED.findall(text))
    return invalid, len(_OTHER.findall(text)) - invalid, text


def _is_gb(data: bytes) -> bool:
    invalid, valid, text = _invalid_and_valid(data, "gb18030")
    if valid < 2:  # two stray bytes make a character as often as not
        return False
    return invalid * 4 <= valid and len(_CHINESE.findall(text)) * 2 > valid and _double_high(data) * 5 >= valid * 2


def _double_high(data: bytes) -> int:
    """How many pairs of two bytes above 127 follow each other: most of a Chinese text, little of a Latin one."""
    return len(re.findall(rb"[\x81-\xfe][\x80-\xfe]", data))


def _is_latin(data: bytes) -> bool:
    """Whether the letters above 127 stand in words, and among others: a text that has nearly no others is not Latin."""
    high = [byte for byte in data if byte > 127]
    if any(byte in _NOT_LATIN for byte in high):
        return False
    letters = sum(byte not in _LATIN_SIGNS for byte in high)
    if not letters and (_double_high(data) or min(high) < 0xA0):
        return False
    words = b"".join(_LATIN_WORD.findall(data))
    plain = len(words.translate(None, _HIGH_BYTES))
    return (len(words) - plain) * 2 >= letters and letters <= 2 * plain


def judge(evidence: bytes) -> str:
    """The codec that explains `evidence` (lines that hold bytes above 127) best."""
    invalid, valid, _text = _invalid_and_valid(evidence, "utf-8")
    if invalid == 0 or valid > invalid or not _CUT_UTF8.sub(b"", evidence).strip(_ASCII_BYTES):
        return "utf-8"
    if _is_gb(evidence):
        return "gb18030"
    return "cp1252" if _is_latin(evidence) and valid == 0 else "utf-8"


def gather(chunks: Iterable[bytes], most_bytes: int | None) -> tuple[bytes, bool]:
    """Lines with bytes above 127 out of the first `most_bytes`, and whether there are enough of them to be sure."""
    found = bytearray()
    seen = 0
    rest = b""
    for chunk in chunks:
        seen += len(chunk)
        data = rest + chunk
        rest = b""
        if not data.isascii():
            cut = data.rfind(b"\n") + 1
            if cut and len(data) - cut < CHUNK_BYTES:
                data, rest = data[:cut], data[cut:]
            lines = data.split(b"\n")
            for line in lines:
                if not line.isascii():
                    found += line[:_EVIDENCE_BYTES] + b"\n"
                if len(found) > _EVIDENCE_BYTES:
                    return bytes(found), True
        if most_bytes is not None and seen >= most_bytes:
            break
    if rest and not rest.isascii():
        found += rest
    return bytes(found), False


def detect(reopen: Callable[[], Iterator[bytes]], *, whole: bool) -> Encoding:
    """The encoding of the text whose raw chunks `reopen` yields.

    Looks at the first 4 MiB. With `whole`, it reads on to the end where those leave a doubt; a text that is ASCII so
    far is `ASCII` and can be judged again where its first other byte turns up.
    """
    head = b""
    for chunk in reopen():
        head += chunk
        if len(head) >= 64 << 10:
            break
    for mark, name in _MARKS:
        if head.startswith(mark):
            return Encoding(name, len(mark))
    utf16 = _utf16_without_mark(head)
    if utf16:
        return Encoding(utf16)
    evidence, enough = gather(reopen(), HEAD_BYTES)
    if not evidence:
        return ASCII
    name = judge(evidence)
    clean = name == "utf-8" and _is_clean(evidence)
    if enough or clean or not whole:
        return Encoding(name, certain=enough or clean)
    evidence, _enough = gather(reopen(), None)
    return Encoding(judge(evidence))


def _is_clean(evidence: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(evidence[:-1])
    except UnicodeDecodeError:
        return False
    return True


def as_utf8(chunks: Iterator[bytes], encoding: Encoding, judge_rest: Callable[[int], Encoding]) -> Iterator[bytes]:
    """`chunks` without their mark, as UTF-8. `judge_rest(offset)` decides where an ASCII text stops being one."""
    offset = 0
    decoder = None if encoding.name == "utf-8" else codecs.getincrementaldecoder(encoding.name)(_SPOILT)
    undecided = encoding is ASCII
    for chunk in chunks:
        if undecided and not chunk.isascii():
            undecided = False
            name = judge_rest(offset).name
            decoder = None if name == "utf-8" else codecs.getincrementaldecoder(name)(_SPOILT)
        data = chunk[encoding.mark :] if offset == 0 else chunk
        offset += len(chunk)
        yield data if decoder is None else _encode(decoder.decode(data))
    if decoder is not None:
        yield _encode(decoder.decode(b"", True))


def _encode(text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def read_chunks(stream: BinaryIO, size: int = CHUNK_BYTES) -> Iterator[bytes]:
    """The bytes of `stream` in chunks of at most `size`."""
    while chunk := stream.read(size):
        yield chunk
