"""A model that comes from a hub, just before a launch: is it here, is there room, does the hub answer."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING

from sft_tui.factory.check import check_model_dir
from sft_tui.hub_network import HubAnswer, ask_hub, hub_token, hub_url, offline_variable
from sft_tui.i18n import _
from sft_tui.machine.hub_cache import CachedModel, cache_directory, find_model
from sft_tui.machine.system import existing_parent
from sft_tui.problems import Fix, Problem, Problems, Severity
from sft_tui.units import GIB

if TYPE_CHECKING:
    from sft_tui.answers import Answers
    from sft_tui.plan.context import Situation

KEY = "model.path"
# What a download that goes on repairs, in a snapshot of a hub.
_NOT_THERE_YET = frozenset(("no_config", "no_weights", "no_index", "weights_missing", "tokenizer_missing"))


def check_hub_model(
    answers: Answers,
    situation: Situation,
    problems: Problems,
    *,
    force: bool = False,
    ask: Callable[[str, str | None], HubAnswer] = ask_hub,
) -> None:
    """Report what would keep the model from being loaded or downloaded; takes 3 s at most, nothing where it is here.

    `force` turns errors of the network and of the disk into warnings.
    """
    hub_id, source = answers.model.path, answers.model.source
    if situation.model.directory is not None or hub_id.count("/") != 1:
        return
    revision = str(answers.train.get("model_revision") or ("master" if source == "modelscope" else "main"))
    try:
        cached = find_model(hub_id, source, revision)
    except OSError as error:
        message = _("{cache} cannot be read: {reason}.")
        text = message.format(cache=cache_directory(source), reason=error.strerror or error)
        hint = _("Set HF_HOME (MODELSCOPE_CACHE for ModelScope) to a directory of yours.")
        problems.warning("cache_unreadable", text, key=KEY, hint=hint)
        return
    missing = _missing(cached, problems)
    if not missing:
        return
    found = Problems()
    offline = offline_variable(source)
    if offline is not None:
        message = _("{id} is not complete in {cache} ({missing}), and {variable} forbids to download it.")
        text = message.format(id=hub_id, cache=cached.cache, missing=missing, variable=offline)
        found.error("model_offline", text, key=KEY, hint=_("Unset the variable, or give the model's directory."))
    else:
        _check_room(answers, situation, cached, found)
        token = hub_token() if source == "huggingface" else None
        _check_answer(answers, situation, ask(hub_url(hub_id, source), token), found)
    for problem in found:
        add = problems.warning if force or problem.severity is Severity.WARNING else problems.error
        add(problem.code, problem.message, key=problem.key, hint=problem.hint, fix=problem.fix)


def _missing(cached: CachedModel, problems: Problems) -> str:
    """What of the model is not in the cache yet, in words; "" for nothing. Reports what no download repairs."""
    if cached.directory is None:
        return _("nothing of it is there")
    if cached.dangling:
        return _("{file} has no content").format(file=cached.dangling[0])
    found = [p for p in check_model_dir(cached.directory) if p.severity is Severity.ERROR]
    broken = [p for p in found if p.code not in _NOT_THERE_YET]
    for problem in broken[:1]:
        hint = _("Delete {path} so that it is downloaded anew.").format(path=cached.directory)
        problems.error(problem.code, problem.message, key=KEY, hint=hint, path=problem.path)
    return found[0].message.rstrip(".") if found and not broken else ""


def _check_room(answers: Answers, situation: Situation, cached: CachedModel, problems: Problems) -> None:
    """The download against the room in the file system of the cache."""
    free = shutil.disk_usage(existing_parent(cached.cache)).free
    size = _download_bytes(situation)
    if size is None:
        message = _("{id} will be downloaded to {cache}; its size is not known, {free} GiB are free there.")
        text = message.format(id=answers.model.path, cache=cached.cache, free=f"{free / GIB:.1f}")
        problems.warning("download_unknown", text, key=KEY)
        return
    left = max(0, size - cached.held_bytes - cached.unfinished_bytes)
    if left > free:
        message = _("{id} needs about {need} GiB of download, but {cache} has only {free} GiB free.")
        text = message.format(
            id=answers.model.path, need=f"{left / GIB:.1f}", cache=cached.cache, free=f"{free / GIB:.1f}"
        )
        hint = _("Free space, or set HF_HOME (MODELSCOPE_CACHE for ModelScope) to a directory on a larger disk.")
        problems.error("disk_space", text, key=KEY, hint=hint)


def _download_bytes(situation: Situation) -> int | None:
    """How large the model's files are, from its known config; None where it is not known."""
    from sft_tui.memory import disk_needs
    from sft_tui.plan.estimate import model_config
    from sft_tui.problems import Refusal

    config = model_config(situation)
    if config is None:
        return None
    try:
        return disk_needs(config, {}, export=False, download=True).get("download")
    except Refusal:
        return None


def _check_answer(answers: Answers, situation: Situation, answer: HubAnswer, problems: Problems) -> None:
    """Whether the hub is there, knows the model, and lets us have it."""
    hub_id, source = answers.model.path, answers.model.source
    if answer.status is None:
        host = answer.url.split("/")[2] if answer.url.count("/") > 2 else answer.url
        message = _("{host} does not answer ({reason}), and {id} is not on this machine.")
        text = message.format(host=host, reason=answer.reason, id=hub_id)
        problems.items.append(_unreachable(text, hub_id, source, situation))
    elif answer.status == 404 or (answer.status == 401 and source == "huggingface"):
        message = _("The hub does not show {id} (HTTP {status}): it does not exist there, or needs a token.")
        hint = _("Check the name; for a private or gated model set HF_TOKEN and accept its licence on its page.")
        problems.error("hub_refuses", message.format(id=hub_id, status=answer.status), key=KEY, hint=hint)
    elif answer.status == 403:
        message = _("The hub refuses {id} (HTTP 403): its licence must be accepted on its page.").format(id=hub_id)
        problems.error("hub_refuses", message, key=KEY, hint=_("Accept the licence there, and set HF_TOKEN."))
    elif answer.status >= 500:
        message = _("The hub has trouble (HTTP {status}); the download of {id} may fail.")
        problems.warning("hub_trouble", message.format(id=hub_id, status=answer.status), key=KEY)


def _unreachable(text: str, hub_id: str, source: str, situation: Situation) -> Problem:
    """The problem, with the other ways to the model: a mirror, the other hub, a directory."""
    if source == "modelscope":
        hint = _("Check the network and its proxy, use `model.source: huggingface`, or give the model's directory.")
        return Problem("hub_unreachable", text, key=KEY, hint=hint)
    known = situation.factory.model_by_id(hub_id)
    other = known.modelscope if known is not None else None
    hint = _("Set HF_ENDPOINT to a mirror (such as https://hf-mirror.com), use ModelScope, or give a directory.")
    if other is not None:
        hint = _(
            "Set HF_ENDPOINT to a mirror (such as https://hf-mirror.com), or use ModelScope "
            "(`model.source: modelscope`, `model.path: {id}`)."
        ).format(id=other)
    fix = Fix("set", "model.source", "modelscope") if other == hub_id else None
    return Problem("hub_unreachable", text, key=KEY, hint=hint, fix=fix)
