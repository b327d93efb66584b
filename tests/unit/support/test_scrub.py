"""Planted secrets never survive, whatever they look like and wherever they stand; ordinary text does."""

from __future__ import annotations

import base64
import json
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sft_tui.support.scrub import Names, scrub

NOBODY = Names("", "", "", ())
_PRINTED = string.ascii_letters + string.digits + string.punctuation
_ALNUM = string.ascii_letters + string.digits


_DIGITS = str.maketrans("abcdef", "456789")


def texts(alphabet: str, least: int, most: int | None = None) -> st.SearchStrategy[str]:
    return st.text(alphabet, min_size=least, max_size=most or least)


# A digit first: no value that says nothing ("none", "true") is made by chance, and no quote that opens another.
PASSWORDS = st.builds("Q7{}z".format, texts(_PRINTED.replace("\\", "").replace('"', "").replace("'", ""), 6, 24))
ANY_TEXT = st.builds("Q7{}z".format, texts(_PRINTED + " 密", 6, 24))
WORDS = st.builds("Q7{}z".format, texts(_ALNUM, 10, 30))
SHOWN = [
    "password={}",
    "export MYSQL_PWD={} PATH=/usr/bin",
    "PGPASSWORD={}",
    "REDISCLI_AUTH={}",
    "DB_PASS={}",
    "密码:{}",
    "密码：{}",
    "我的口令是{}",
    "the password is {}",
    "api_key = {}",
    "AccountKey={}",
    "--hub_token {}",
    "[--wandb_api_key={}]",
    "machine api.wandb.ai login user password {}",
]
URLS = [
    "redis://:{}@cache:6379/0",
    "postgres://me:{}@db.lan/x",
    "https://{}@github.com/a/b.git",
    "https://hooks.slack.com/services/T012/B345/{}",
    "https://api.telegram.org/bot{}/sendMessage?chat_id=1",
    "https://discord.com/api/webhooks/123/{}",
    "https://open.feishu.cn/open-apis/bot/v2/hook/{}",
    "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key={}",
    "https://oapi.dingtalk.com/robot/send?access_token={}",
    "https://acc.blob.core.windows.net/c/x?sv=2022&sig={}&se=2030",
    "https://b.s3.amazonaws.com/k?X-Amz-Date=2025&X-Amz-Signature={}",
    "https://b.s3.amazonaws.com/k?X-Amz-Security-Token={}&X-Amz-Expires=60",
    "https://h.example/x?a=1&amp;signature={}",
]
_NOT_IN_URLS = str.maketrans("", "", "/@?&#<>:;=")


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(SHOWN), PASSWORDS)
def test_a_named_secret_is_gone(shown: str, secret: str) -> None:
    assert secret not in scrub(f"a line\n[INFO] {shown.format(secret)}\nanother", NOBODY)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(URLS), PASSWORDS)
def test_a_secret_in_an_address_is_gone(url: str, secret: str) -> None:
    secret = "7Qz" + secret.translate(_NOT_IN_URLS)
    secret = secret if "telegram" not in url else f"12345678:{secret}"
    clean = scrub(f"ERROR cannot reach {url.format(secret)} (timeout)", NOBODY)
    assert secret not in clean and clean.startswith("ERROR cannot reach ") and clean.endswith("(timeout)")


@settings(max_examples=300, deadline=None)
@given(ANY_TEXT, st.integers(0, 3), st.sampled_from(["password", "mysql_pwd", "密码", "hub_token", "client_secret"]))
def test_a_secret_in_json_is_gone_however_deep(secret: str, depth: int, key: str) -> None:
    text = json.dumps({"lora_rank": 8, key: secret, "seed": 42}, ensure_ascii=False)
    inner = json.dumps(secret, ensure_ascii=False)[1:-1]
    for _ in range(depth):
        text = json.dumps({"body": text, "kept": "this"}, ensure_ascii=False)
        inner = json.dumps(inner, ensure_ascii=False)[1:-1]
    clean = scrub(text, NOBODY)
    assert inner not in clean and secret not in clean
    assert "lora_rank" in clean


@settings(max_examples=100, deadline=None)
@given(st.lists(texts(_ALNUM, 8), min_size=2, max_size=4), st.booleans())
def test_a_plain_yaml_value_may_hold_spaces(words: list[str], packed: bool) -> None:
    text = f"train:\n  password: {' '.join(words)}\n  lora_rank: 8\n"
    clean = scrub(json.dumps({"content": text}) if packed else text, NOBODY)
    assert all(word not in clean for word in words)
    assert "lora_rank: 8" in clean
    if packed:
        json.loads(clean)


@settings(max_examples=60, deadline=None)
@given(st.binary(min_size=200, max_size=600), st.sampled_from(["", "> ", "    "]), st.booleans(), st.booleans())
def test_the_body_of_a_pem_block_is_gone(raw: bytes, indent: str, packed: bool, cut: bool) -> None:
    body = base64.encodebytes(raw).decode().splitlines()
    lines = ["-----BEGIN OPENSSH PRIVATE KEY-----", *body, *([] if cut else ["-----END OPENSSH PRIVATE KEY-----"])]
    text = "\n".join(indent + line for line in [*lines, "step 1: loss 2.5"])
    clean = scrub(json.dumps({"key": text}) if packed else text, NOBODY)
    assert all(line not in clean for line in body if len(line) >= 20)
    assert "step 1: loss 2.5" in clean


@settings(max_examples=100, deadline=None)
@given(texts("0123456789abcdef", 40), texts(string.ascii_uppercase + string.digits, 16), WORDS)
def test_tokens_that_are_known_by_their_looks(hexes: str, upper: str, word: str) -> None:
    for text, secret in (
        (f"I pasted my wandb key {hexes} into the shell", hexes),
        (f"wandb: Paste an API key from your profile: {hexes}", hexes),
        (f"aws: ASIA{upper} and AKIA{upper}", upper),
        (f"curl -u me:{word} https://x.example", word),
        (f"bot 1234567890:AAH{(word * 4)[:32]} said", (word * 4)[:32]),
        (json.dumps(["train", "--hub_token", word]), word),
        (f"password: |\n  {word}\nseed: 1", word),
    ):
        assert secret not in scrub(text, NOBODY), text


@pytest.mark.parametrize(
    "text",
    [
        "PWD=/srv/project OLDPWD=/opt",
        "Loading revision 0123456789abcdef0123456789abcdef01234567 of Qwen/Qwen2.5-7B",
        "models--Qwen--Qwen2.5-7B/snapshots/0123456789abcdef0123456789abcdef01234567/config.json",
        "{'loss': '2.51', 'grad_norm': '1.1', 'learning_rate': '5e-05', 'epoch': '0.5'}",
        "KeyError: 'password_column'",
        "the password is incorrect",
        "the token is too long for the template",
        'the columns are: ["token", "label", "password"]',
        '{"num_tokens": 123, "max_new_tokens": 512, "use_auth_token": false, "token": null, "seed": 1}',
        "first pass: 3 rows, second pass: 4 rows",
        "python -u train.py --lora_rank 8",
        "tokens/s: 8412.5, total tokens: 4096",
        "https://github.com/hiyouga/LLaMA-Factory/issues/12?page=2&sort=new",
        "see https://huggingface.co/docs/transformers/main_classes/tokenizer#services",
        "-----BEGIN TRAINING----- step 1 of 9",
        "ValueError: 12:30:45 no such template",
        "output_dir: saves/a\nlearning_rate: 1.0e-4\n",
    ],
)
def test_ordinary_text_stays(text: str) -> None:
    assert scrub(text, NOBODY) == text
