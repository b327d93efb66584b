"""Translation of what users read. English is the source language; catalogues live in `locale/`.

Mark a text with `_("... {name} ...").format(name=...)`: the whole sentence is the key, its fields are
filled in after translation. Texts in tables that are built at import are marked with `N_` and translated
where they are shown.
"""

from __future__ import annotations

import gettext
import os
from pathlib import Path

LANGUAGES = ("en", "zh_CN")
_DOMAIN = "sft_tui"
_LOCALE_DIR = Path(__file__).parent / "locale"
_translations: gettext.NullTranslations | None = None
_language: str | None = None


def language_from_environment() -> str:
    """The language that the locale variables ask for: `zh_CN` for any Chinese locale, otherwise `en`."""
    for variable in ("SFT_TUI_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(variable, "")
        if value:
            return "zh_CN" if value.lower().startswith("zh") else "en"
    return "en"


def set_language(language: str) -> None:
    """Translate into `language` (one of `LANGUAGES`) from now on."""
    global _translations, _language
    _language = language if language in LANGUAGES else "en"
    _translations = gettext.translation(_DOMAIN, _LOCALE_DIR, [language], fallback=True)


def current_language() -> str:
    """The language that texts are shown in, one of `LANGUAGES`; for tables that hold both languages."""
    if _language is None:
        set_language(language_from_environment())
    assert _language is not None
    return _language


def _(message: str) -> str:
    """`message` in the language of the user."""
    if _translations is None:
        set_language(language_from_environment())
    assert _translations is not None
    return _translations.gettext(message)


def N_(message: str) -> str:
    """Mark `message` for the catalogue without translating it now."""
    return message
