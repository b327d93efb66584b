"""The archive for others: everything that helps, no secret, no name, no training data."""

from __future__ import annotations

import getpass
import json
import os
import socket
import tarfile
from pathlib import Path

import pytest

from sft_tui.answers import Answers, dump_answers
from sft_tui.problems import Refusal
from sft_tui.support.report import write_report
from sft_tui.support.scrub import Names, scrub

HF = "hf_" + "AbCdEfGhIjKlMnOpQrStUvWxYz012345"
OPENAI = "sk-" + "proj-abcdefghijklmnopqrstuvwx"
SECRETS = {
    "hub": HF,
    "openai": OPENAI,
    "github": "ghp_" + "abcdefghijklmnopqrstuvwxyz0123456789",
    "wandb": "0123456789abcdef0123456789abcdef01234567",
    "password": "correct-horse-battery",
    "login": "alice:tr0ub4dor",
    "mail": "alice.smith@example.org",
    "bearer": "abcDEF1234567890.signature",
    "address": "10.23.45.67",
}
LOG = f"""[INFO|a.py:1] 2025-01-01 00:00:00 >> token: {SECRETS["hub"]}
HF_TOKEN={SECRETS["hub"]} OPENAI_API_KEY={SECRETS["openai"]} llamafactory-cli train x.yaml
Authorization: Bearer {SECRETS["bearer"]}
wandb: WANDB_API_KEY={SECRETS["wandb"]}
{{"password": "{SECRETS["password"]}", "eos_token": "<|im_end|>", "max_new_tokens": 512, "pad_token": "[PAD]"}}
git clone https://{SECRETS["login"]}@git.example.org/repo.git
contact {SECRETS["mail"]} or {SECRETS["address"]} (not 127.0.0.1, not nvidia-cudnn-cu12==8.9.2.26)
  host      : secretbox.example.org
training example:
input_ids:
[1, 2, 3]
inputs:
<|im_start|>user
the private question<|im_end|>
<|im_start|>assistant
the private answer<|im_end|>

label_ids:
[-100, 2, 3]
labels:
the private answer<|im_end|>

Traceback (most recent call last):
  File "/home/zhangsan/env/lib/x.py", line 1, in <module>
ValueError: Template llama does not exist.
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    files = {
        "runs/apples/state.json": json.dumps({"stage": "train", "token": HF}),
        "runs/apples/answers.yaml": f"train:\n  hf_hub_token: {HF}\n  learning_rate: 1.0e-4\n",
        "runs/apples/events.jsonl": '{"t": "x", "type": "run_started"}\n' * 10,
        "configs/apples/train_config.yaml": f"output_dir: {root}/saves/apples\nlora_rank: 8\n",
        "logs/apples/train.log": LOG,
        "saves/apples/trainer_log.jsonl": '{"current_steps": 1}\n' * 10,
        "saves/apples/model.safetensors": "weights",
        "data/dataset_info.json": "{}",
        "data/apples_train.jsonl": '{"instruction": "the private question"}\n',
        "logs/other/train.log": "another run\n",
    }
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def contents(path: Path) -> dict[str, str]:
    with tarfile.open(path) as archive:
        read = {}
        for entry in archive.getmembers():
            stream = archive.extractfile(entry)
            assert stream is not None
            assert entry.uname == "" and entry.uid == 0
            read[entry.name.partition("/")[2]] = stream.read().decode()
        return read


def test_what_helps_is_there_and_nothing_else(project: Path) -> None:
    (project / "saves/apples/trainer_log.jsonl").write_text('{"current_steps": 1}\n' * 120_000)
    path = write_report(project, "apples", None)
    assert path.parent == project
    assert path.stat().st_mode & 0o077 == 0
    read = contents(path)
    assert set(read) == {
        "versions.txt",
        "diagnosis.txt",
        "runs/apples/state.json",
        "runs/apples/answers.yaml",
        "runs/apples/events.jsonl",
        "configs/apples/train_config.yaml",
        "logs/apples/train.log",
        "saves/apples/trainer_log.jsonl",
        "data/dataset_info.json",
    }
    assert "template-unknown" in read["diagnosis.txt"]
    assert "ValueError: Template llama does not exist." in read["logs/apples/train.log"]
    assert "learning_rate: 1.0e-4" in read["runs/apples/answers.yaml"]
    assert 1_000_000 < len(read["saves/apples/trainer_log.jsonl"]) <= 2 * 1024 * 1024
    assert "Python" in read["versions.txt"]
    assert list(project.glob(".*")) == []


def test_no_secret_no_name_no_data(project: Path) -> None:
    everything = "\n".join(contents(write_report(project, "apples", project / "out.tar.gz")).values())
    for name, secret in SECRETS.items():
        assert secret not in everything, name
    for word in ("private question", "private answer", "zhangsan", "secretbox", str(project)):
        assert word not in everything, word
    user = getpass.getuser()
    if user != "root":
        assert user not in everything
    host = socket.gethostname()
    if len(host) > 2:
        assert host not in everything
    for kept in ("<|im_end|>", '"max_new_tokens": 512', "[PAD]", "127.0.0.1", "8.9.2.26", "<project>/saves/apples"):
        assert kept in everything, kept


QUESTION, ANSWER = "How much does Ms Meier owe?", "Ms Meier owes 4,711 euros"


@pytest.mark.parametrize("damaged", [False, True])
def test_what_was_asked_in_the_verification_stays_here(project: Path, damaged: bool) -> None:
    row = {"prompt": QUESTION, "reference": ANSWER, "before": None, "after": f"{ANSWER}!"}
    check = {"name": "answers", "status": "ok", "message": "It answers 1 of 1 sample prompts."}
    text = json.dumps({"ok": True, "checks": [check], "samples": [row], "seconds": 1.5}, indent=2)
    (project / "runs/apples/verify.json").write_text(text[: len(text) // 2 if damaged else None] + " " * 10)
    (project / "logs/apples/verify.log").write_text(
        f"$ verify.py\nverify: asked: {QUESTION!r}\nverify: before: None\nverify: after: {ANSWER!r}\n"
        "verify: answers: ok: It answers 1 of 1 sample prompts.\n"
    )
    read = contents(write_report(project, "apples", None))
    assert "Meier" not in "\n".join(read.values())
    assert "verify: answers: ok: It answers 1 of 1" in read["logs/apples/verify.log"]
    if not damaged:
        found = json.loads(read["runs/apples/verify.json"])
        assert found["checks"] == [check] and found["seconds"] == 1.5
        assert found["samples"][0]["before"] is None and "sample stood here" in found["samples"][0]["prompt"]


def test_the_environment_gives_nothing_away(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", HF)
    monkeypatch.setenv("USE_SECRET_TOKEN", "correct-horse-battery")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    text = contents(write_report(project, "apples", None))["versions.txt"]
    assert HF not in text
    assert "correct-horse-battery" not in text
    assert '"CUDA_VISIBLE_DEVICES": "0"' in text


def test_nothing_is_overwritten(project: Path) -> None:
    out = project / "out.tar.gz"
    out.write_text("mine")
    with pytest.raises(Refusal, match="exists already"):
        write_report(project, "apples", out)
    assert out.read_text() == "mine"


def test_no_such_run(project: Path) -> None:
    with pytest.raises(Refusal, match="There is no run pears"):
        write_report(project, "pears", None)


def test_a_place_that_cannot_be_written(project: Path) -> None:
    with pytest.raises(Refusal, match="cannot be written"):
        write_report(project, "apples", project / "gone" / "out.tar.gz")


def test_links_out_of_the_project_are_not_followed(project: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.log").write_text("elsewhere\n")
    (project / "logs/apples/export.log").symlink_to(tmp_path / "elsewhere.log")
    assert "logs/apples/export.log" not in contents(write_report(project, "apples", None))


NAMES = Names(home="/home/lisi", project="/home/lisi/apples", user="lisi", hosts=("gpu-7.lab", "gpu-7"))


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("/home/lisi/apples/saves/a", "<project>/saves/a"),
        ("/home/lisi/.cache and /home/wangwu/x", "<home>/.cache and /home/<user>/x"),
        ("lisi@gpu-7:~$ ", "<user>@<host>:~$ "),
        ("listing lisian gpu-77", "listing lisian gpu-77"),
        ("hf_hub_token: abc123def456", "hf_hub_token: <removed>"),
        ("--hub_token abc123def456", "--hub_token <removed>"),
        ('"swanlab_api_key": "abc"', '"swanlab_api_key": "<removed>"'),
        ("hub_token: null", "hub_token: null"),
        (
            "max_new_tokens: 512 num_tokens=9 total_tokens: 100000000",
            "max_new_tokens: 512 num_tokens=9 total_tokens: 100000000",
        ),
        ("eos_token: </s>  image_token: <image>", "eos_token: </s>  image_token: <image>"),
        ("KeyError: 'instruction'", "KeyError: 'instruction'"),
        ("additional_target: embed_tokens,lm_head", "additional_target: embed_tokens,lm_head"),
        ("key: value, keys: 3", "key: value, keys: 3"),
    ],
)
def test_scrubbing(text: str, clean: str) -> None:
    assert scrub(text, NAMES) == clean


def test_scrubbing_leaves_real_logs_readable() -> None:
    corpus = Path(__file__).parents[2] / "corpora" / "logs"
    for path in corpus.glob("*.log"):
        text = path.read_text(encoding="utf-8")
        assert scrub(text, Names("", "", "", ())).count("<removed>") == 0, path.name


def test_names_of_this_machine() -> None:
    names = Names.here(Path.cwd())
    assert names.home == str(Path.home())
    assert socket.gethostname() in names.hosts or not socket.gethostname()
    assert names.project == os.path.realpath(Path.cwd())


def test_the_command_that_is_told_stays_here() -> None:
    """In an answers file, in a plan, and in an answers file that stands in a plan."""
    command = ["curl", "https://chat.example.org/T0/B0/XyZ", "-d", "[done], [ok]"]
    answers = dump_answers(
        Answers.model_validate({"run": {"notify": command}, "model": {"path": "m"}, "data": {"source": "s"}})
    )
    plan = json.dumps({"files": [{"content": answers}], "notify": command, "wait": False})
    for text in (answers, plan, json.dumps(json.loads(plan), indent=2)):
        clean = scrub(text, NAMES)
        assert "XyZ" not in clean and "chat.example" not in clean and "done" not in clean
        assert "<removed>" in clean and ("source: s" in clean or '"wait": false' in clean)
