"""Takes out of a text what must not leave the machine: tokens, passwords, e-mail addresses, names, the user's data."""

from __future__ import annotations

import getpass
import os
import re
import socket
from dataclasses import dataclass
from pathlib import Path

REMOVED = "<removed>"
_TOKENS = re.compile(
    r"\b(?:hf_[A-Za-z0-9]{10,}|sk-[A-Za-z0-9_-]{12,}|gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{20,}|glpat-[\w-]{16,}|"
    r"xox[abeprs]-[\w-]{10,}|xapp-[\w-]{10,}|A(?:KI|SI|RO|ID)A[0-9A-Z]{16}|AIza[\w-]{30,}|ms-[0-9a-f]{8}-[0-9a-f-]{20,}|"
    r"r8_[A-Za-z0-9]{20,}|wandb_v\d_\w{20,}|eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{5,}|\d{8,11}:[A-Za-z0-9_-]{34,36}(?![\w-]))"
)
_PEM = re.compile(
    r"(-----BEGIN (?:[A-Z0-9]+ ){0,4}(?:KEY|CERTIFICATE|BLOCK|MESSAGE|PARAMETERS|REQUEST)(?: BLOCK)?-----)"
    r"(?:(?s:.{1,8000}?)(?=-----END )|(?:\\?[\\rn]|[\s>|]|[A-Za-z0-9+/=]{20,})+)"
)
_HOOKS = re.compile(
    r"(?i)(https?://[^\s/'\"<>]*(?:/[\w.-]+){0,4}?/(?:services|(?:web)?hooks?(?:b2)?|robot|bot(?=\d))/?)[^\s'\"<>\\]+"
)
"""Addresses that let anybody write into a chat: Slack, Discord, Feishu, Teams, Telegram, WeCom, DingTalk."""
_PARAMETERS = re.compile(
    r"(?i)([?&;](?:amp;)?(?:sig|sign|signature|key|code|auth|x-(?:amz|goog)-(?:signature|credential|security-token))=)"
    r"[^&\s'\"<>\\]+"
)
_HEADERS = re.compile(r"(?i)\b((?:proxy-)?authorization|x-api-key|(?:set-)?cookie)(['\"]?\s*[:=]\s*['\"]?)[^\r\n'\"]+")
_BEARER = re.compile(r"(?i)\b(bearer|basic|token)(\s+)[\w.~+/=-]{16,}")
_HEX_KEY = re.compile(r"(?i)((?:wandb|\bkey\b|token|secret|login|密钥)[^\n]{0,80}?(?<![\w/-]))[0-9a-f]{40}(?![\w/-])")
_NAMED = re.compile(
    r"(?i)(?P<word>token|(?:api|access|account|shared|private|client|signing|encryption|auth)[_-]?key|"
    r"secret(?:[_-]?key)?|passw(?:or)?d|passphrase|(?<=_)pass|pwd|credentials?|(?<=_)auth|密码|口令|密钥|秘钥|令牌)"
    r"(?P<sign>\\*['\"]?\s{0,3}[:=：＝]\s{0,3}(?:[|>][+-]?[ ]*\n\s{1,8})?|\\*['\"]\s{0,3},\s{0,3}|"
    r"\s{1,3}is:?\s{1,3}|是|为)"
    r"(?P<value>(?P<quote>\\*['\"])[^\n]{0,4000}?(?<!\\)(?P=quote)|[^\s'\",;}\]][^\s'\"]*)"
)
_SPACED = re.compile(
    r"(?im)((?:^|\\n|\")[ ]*(?:- )?[\w.-]*(?:password|passwd|pwd|passphrase|secret)[ ]{0,3}:[ ]{1,3})"
    r"(?![\s'\"\\<|>])((?:(?!\\n)[^\n\"])+)"
)
"""A plain YAML value, which may hold spaces."""
_NAME_BEFORE = re.compile(r"[\w.-]{0,40}\Z")
_COMMAND = re.compile(
    r"(?i)(--[\w-]*(?:token|api[_-]?key|secret|password)|\b(?:login|machine)\s+\S+\s+password)([ =]+)('[^'\n]*'|\S+)"
)
_USER_OPTION = re.compile(r"(?<!\S)(-u|--user|--proxy-user)([ =]+)([^\s:]+:\S+)")
_HARMLESS_NAMES = re.compile(
    r"(?i)(?:^|[._-])(?:eos|bos|pad|unk|sep|cls|mask|stop|image|video|audio|special|im_start|im_end|additional|new|max|per|"
    r"replace|skip)_?token$"
)
_HARMLESS_VALUES = re.compile(
    r"(?i)\\*['\"]?(?:null|none|true|false|<[^>]*>|(?P<number>\d{1,6}(?:\.\d+)?))(?:\\*['\"])?(?:[,;)}\]].*)?$"
)
_TOLD = re.compile(r"(?s)(\bnotify\\?[\"']?\s*:\s*)\[.{0,4000}?\](?=\s*(?:[,}]|\\n|\n|\Z))")
"""The command that is told of alarms: addresses of chats are secrets themselves."""
_URL_LOGIN = re.compile(r"(\w+://)[^\s/@'\"<>]+@")
_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}\b")
_HOMES = re.compile(r"(/(?:home|Users|export/home|data/home)/)[^/\s'\":,;<>]+")
_ADDRESS = re.compile(
    r"(?<![\w.=-])(?!127\.|0\.0\.0\.0)(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\w.])"
)
_HOST_LINE = re.compile(r"(?m)^(\s*host\s*:\s*)\S+")
_DULL_NAMES = frozenset(
    {"root", "user", "ubuntu", "admin", "data", "home", "localhost", "train", "model", "models", "gpu"}
)


@dataclass(frozen=True, slots=True)
class Names:
    """The names of this machine that are replaced: the home and project directories, the user, the host."""

    home: str
    project: str
    user: str
    hosts: tuple[str, ...]

    @classmethod
    def here(cls, project: Path) -> Names:
        """The names of this machine and user, for the project directory `project`."""
        try:
            user = getpass.getuser()
        except (KeyError, OSError):
            user = ""
        host = socket.gethostname()
        hosts = {host, host.partition(".")[0], os.environ.get("HOSTNAME", "")}
        return cls(str(Path.home()), str(project.resolve()), user, tuple(sorted(hosts - {""}, key=len, reverse=True)))


def scrub(text: str, names: Names) -> str:
    """`text` without secrets and names; what is taken out leaves a word in angle brackets."""
    text = _PEM.sub(rf"\1{REMOVED}", text)
    text = _HOOKS.sub(rf"\1{REMOVED}", text)
    text = _TOKENS.sub(REMOVED, text)
    text = _PARAMETERS.sub(rf"\1{REMOVED}", text)
    text = _HEADERS.sub(rf"\1\2{REMOVED}", text)
    text = _BEARER.sub(rf"\1\2{REMOVED}", text)
    text = _SPACED.sub(rf"\1{REMOVED}", text)
    text = _NAMED.sub(_without_value, text)
    text = _HEX_KEY.sub(rf"\1{REMOVED}", text)
    text = _TOLD.sub(rf"\1[{REMOVED}]", text)
    text = _COMMAND.sub(rf"\1\2{REMOVED}", text)
    text = _USER_OPTION.sub(rf"\1\2{REMOVED}", text)
    if "@" in text:
        text = _URL_LOGIN.sub(r"\1<login>@", text)
        text = _EMAIL.sub("<e-mail>", text)
    text = _HOST_LINE.sub(r"\1<host>", text)
    return _ADDRESS.sub("<address>", _without_names(text, names))


def _without_value(match: re.Match[str]) -> str:
    before = _NAME_BEFORE.search(match.string[max(0, match.start() - 40) : match.start()])
    name, value, quote = (before[0] if before else "") + match["word"], match["value"], match["quote"] or ""
    harmless = _HARMLESS_VALUES.match(value)
    if harmless and harmless["number"] and match["word"].lower() != "token":  # a count of tokens, but no password
        harmless = None
    if harmless or _HARMLESS_NAMES.search(name) or (name.endswith("PWD") and value[0] == "/"):
        return match[0]
    sign = match["sign"].strip(" :")
    in_prose = sign.lower() in ("is", "是", "为") and len(value) < 16 and not re.search(r"\d", value)
    in_list = "," in sign and not name.startswith("-")
    if in_prose or in_list:
        return match[0]
    bare = match["sign"][:1] in "'\"\\" and not quote  # a JSON number or word: what follows it is no part of it
    rest = value[len(re.split(r"[,}\]]", value)[0]) :] if bare else ""
    return f"{match['word']}{match['sign']}{quote}{REMOVED}{quote}{rest}"


def _without_names(text: str, names: Names) -> str:
    if len(names.project) > 1:
        text = text.replace(names.project, "<project>")
    if len(names.home) > 1:
        text = re.sub(rf"{re.escape(names.home)}(?![\w.-])", "<home>", text)
    text = _HOMES.sub(r"\1<user>", text)
    for host in names.hosts:
        if len(host) > 2 and host.lower() not in _DULL_NAMES:
            text = re.sub(rf"(?<![\w-]){re.escape(host)}(?![\w-])", "<host>", text)
    if len(names.user) > 2 and names.user.lower() not in _DULL_NAMES:
        text = re.sub(rf"(?<![A-Za-z0-9]){re.escape(names.user)}(?![A-Za-z0-9])", "<user>", text)
    return text
