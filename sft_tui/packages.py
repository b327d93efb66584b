"""Names of Python packages: everywhere in the program those that pip knows, in one spelling (`liger-kernel`)."""

from __future__ import annotations

import re


def normalised(name: str) -> str:
    """A distribution's name as PEP 503 writes it; `liger_kernel`, as it is imported, is the same package."""
    return re.sub(r"[-_.]+", "-", name).lower()
