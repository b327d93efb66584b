"""Extract the texts, update `zh_CN`, compile it, and list what is not translated: `python -m sft_tui.locale [--check]`.

With `--check` nothing is written; exit 1 if the catalogue is not complete. Needs Babel (an extra for developers).
"""

from __future__ import annotations

import io
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

PACKAGE = Path(__file__).parents[1]
FOLDER = Path(__file__).parent / "zh_CN" / "LC_MESSAGES"
PO, MO = FOLDER / "sft_tui.po", FOLDER / "sft_tui.mo"
_NO_DATE = datetime(2026, 1, 1, tzinfo=UTC)
"""The same text shall always give the same file."""
_FIELD = re.compile(r"\{([^{}]*)\}")


def template() -> Catalog:
    """Every text in the package that is marked for translation."""
    catalog = Catalog(project="sft-tui", charset="utf-8")
    keywords = {"_": None, "N_": None}
    for name, line, text, _comments, context in extract_from_dir(str(PACKAGE), keywords=keywords):
        if isinstance(text, str) and text:
            catalog.add(text, None, [(f"sft_tui/{name}", line)], context=context)
    return catalog


def translated() -> Catalog:
    """The Chinese catalogue as it is kept."""
    if not PO.is_file():
        return Catalog(locale="zh_CN", domain="sft_tui", charset="utf-8")
    with PO.open("rb") as stream:
        catalog = read_po(stream, locale="zh_CN", domain="sft_tui")
    catalog.creation_date = catalog.revision_date = _NO_DATE
    return catalog


def updated() -> Catalog:
    """The kept catalogue with today's texts: new ones without a translation, those that are gone left out."""
    catalog = translated()
    catalog.update(template(), no_fuzzy_matching=True)
    catalog.obsolete.clear()
    return catalog


def missing(catalog: Catalog) -> list[str]:
    """The texts that have no translation."""
    return [str(message.id) for message in catalog if message.id and not message.string]


def broken(catalog: Catalog) -> list[str]:
    """The texts whose translation has other fields (`{name}`) than the text itself."""
    return [str(m.id) for m in catalog if m.id and m.string and _fields(m.id) != _fields(m.string)]


def _fields(text: object) -> set[str]:
    return set(_FIELD.findall(str(text).replace("{{", "").replace("}}", "")))


def as_po(catalog: Catalog) -> bytes:
    """The text of the .po file: sorted, without line numbers, so that changes are small."""
    stream = io.BytesIO()
    write_po(stream, catalog, width=120, sort_output=True, no_location=True, omit_header=False)
    lines = stream.getvalue().decode("utf-8").split("\n")
    return "\n".join(line for line in lines if not line.startswith(('"POT-Creation', '"PO-Revision'))).encode()


def as_mo(catalog: Catalog) -> bytes:
    """The compiled catalogue."""
    stream = io.BytesIO()
    write_mo(stream, catalog)
    return stream.getvalue()


def main(argv: list[str]) -> int:
    """Write both files, or with `--check` only look; 1 if something is not translated."""
    catalog = updated()
    gaps, odd = missing(catalog), broken(catalog)
    if "--check" not in argv:
        FOLDER.mkdir(parents=True, exist_ok=True)
        PO.write_bytes(as_po(catalog))
        MO.write_bytes(as_mo(translated()))
    for what, texts in (("not translated", gaps), ("with other fields", odd)):
        for text in texts:
            sys.stdout.write(f"{what}: {text}\n")
    return 1 if gaps or odd else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
