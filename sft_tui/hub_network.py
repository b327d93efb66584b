"""The hubs on the network: their addresses, the token, whether one answers."""

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


@dataclass(frozen=True, slots=True)
class HubAnswer:
    """What the hub said: `status` is HTTP's, None where nothing came within the limit, `reason` says why then."""

    url: str
    status: int | None
    reason: str = ""


def hf_home(environment: Mapping[str, str] = os.environ) -> Path:
    """Where huggingface_hub and `datasets` keep what is theirs."""
    home = Path(environment.get("HOME") or str(Path.home()))
    caches = environment.get("XDG_CACHE_HOME") or str(home / ".cache")
    return Path(environment.get("HF_HOME") or str(Path(caches) / "huggingface")).expanduser()


def hub_token(environment: Mapping[str, str] = os.environ) -> str | None:
    """The token that huggingface_hub would use: of the environment, otherwise of `hf auth login`; None without one."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if token := environment.get(name, "").strip():
            return token
    path = Path(environment.get("HF_TOKEN_PATH") or str(hf_home(environment) / "token")).expanduser()
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except (OSError, ValueError):
        return None


def offline_variable(source: str, environment: Mapping[str, str] = os.environ) -> str | None:
    """The environment variable that forbids the hub's library to use the network, None where none does."""
    names = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE") if source == "huggingface" else ()
    return next((name for name in names if environment.get(name, "").lower() in _YES), None)


def hub_url(hub_id: str, source: str, environment: Mapping[str, str] = os.environ, *, dataset: bool = False) -> str:
    """The address that says whether the hub has the model: that of its config.json. Of a data set, its page."""
    if source == "modelscope":
        domain = environment.get("MODELSCOPE_DOMAIN") or "www.modelscope.cn"
        base = domain if "://" in domain else f"https://{domain}"
        return f"{base.rstrip('/')}/" + (
            f"datasets/{hub_id}" if dataset else f"models/{hub_id}/resolve/master/config.json"
        )
    base = environment.get("HF_ENDPOINT") or "https://huggingface.co"
    place = f"datasets/{hub_id}" if dataset else f"{hub_id}/resolve/main/config.json"
    return f"{base.rstrip('/')}/{place}"


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
