"""Models in the caches of hubs: whole, half, gone; and a hub that answers, or does not."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sft_tui.hub_network import ask_hub, hub_token, hub_url, offline_variable
from sft_tui.machine.hub_cache import cache_directory, find_model

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def make_cache(cache: Path, files: dict[str, bytes | None], *, unfinished: int = 0) -> Path:
    """A model `acme/tiny` as huggingface_hub stores it; None for a file whose blob is gone. Returns the snapshot."""
    store = cache / "models--acme--tiny"
    snapshot = store / "snapshots" / COMMIT
    for folder in (snapshot, store / "refs", store / "blobs"):
        folder.mkdir(parents=True)
    (store / "refs" / "main").write_text(COMMIT)
    for number, (name, content) in enumerate(files.items()):
        blob = store / "blobs" / f"blob{number}"
        if content is not None:
            blob.write_bytes(content)
        (snapshot / name).symlink_to(Path("..") / ".." / "blobs" / blob.name)
    if unfinished:
        (store / "blobs" / "blob9.incomplete").write_bytes(bytes(unfinished))
    return snapshot


@pytest.mark.parametrize(
    ("source", "environment", "expected"),
    [
        ("huggingface", {"HOME": "/home/a"}, "/home/a/.cache/huggingface/hub"),
        ("huggingface", {"HOME": "/home/a", "XDG_CACHE_HOME": "/x"}, "/x/huggingface/hub"),
        ("huggingface", {"HF_HOME": "/data/hf"}, "/data/hf/hub"),
        ("huggingface", {"HF_HOME": "/data/hf", "HUGGINGFACE_HUB_CACHE": "/old"}, "/old"),
        ("huggingface", {"HF_HUB_CACHE": "/new", "HUGGINGFACE_HUB_CACHE": "/old"}, "/new"),
        ("modelscope", {"HOME": "/home/a"}, "/home/a/.cache/modelscope"),
        ("modelscope", {"MODELSCOPE_CACHE": "/ms"}, "/ms"),
    ],
)
def test_the_cache_is_where_the_library_looks(source: str, environment: dict[str, str], expected: str) -> None:
    assert cache_directory(source, environment) == Path(expected)


def test_a_whole_model_is_found(tmp_path: Path) -> None:
    snapshot = make_cache(tmp_path, {"config.json": b"{}", "model.safetensors": bytes(5000)})
    found = find_model("acme/tiny", environment={"HF_HUB_CACHE": str(tmp_path)})
    assert (found.directory, found.held_bytes, found.dangling, found.unfinished_bytes) == (snapshot, 5002, (), 0)
    assert find_model("acme/tiny", revision=COMMIT, environment={"HF_HUB_CACHE": str(tmp_path)}).directory == snapshot
    assert find_model("acme/tiny", revision="v2", environment={"HF_HUB_CACHE": str(tmp_path)}).directory is None


def test_what_is_broken_in_a_cache_is_seen(tmp_path: Path) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4976698672\n"
    make_cache(tmp_path, {"a.safetensors": None, "b.safetensors": pointer}, unfinished=700)
    found = find_model("acme/tiny", environment={"HF_HUB_CACHE": str(tmp_path)})
    assert (found.dangling, found.pointers, found.unfinished_bytes) == (("a.safetensors",), ("b.safetensors",), 700)


@pytest.mark.parametrize("folder", ["models/acme/tiny-0___5B", "hub/models/acme/tiny-0___5B", "hub/acme/tiny-0.5B"])
def test_modelscope_keeps_models_in_several_ways(tmp_path: Path, folder: str) -> None:
    directory = tmp_path / folder
    directory.mkdir(parents=True)
    (directory / "config.json").write_text("{}")
    half = tmp_path / "models" / "._____temp" / "acme" / "tiny-0___5B"
    half.mkdir(parents=True)
    (half / "model.safetensors").write_bytes(bytes(300))
    found = find_model("acme/tiny-0.5B", "modelscope", environment={"MODELSCOPE_CACHE": str(tmp_path)})
    assert (found.directory, found.unfinished_bytes) == (directory, 300)


def test_no_cache_is_no_error(tmp_path: Path) -> None:
    found = find_model("acme/tiny", environment={"HF_HUB_CACHE": str(tmp_path / "absent")})
    assert (found.directory, found.held_bytes) == (None, 0)


def test_variables_that_forbid_the_network() -> None:
    assert offline_variable("huggingface", {"HF_HUB_OFFLINE": "1"}) == "HF_HUB_OFFLINE"
    assert offline_variable("huggingface", {"TRANSFORMERS_OFFLINE": "YES"}) == "TRANSFORMERS_OFFLINE"
    assert offline_variable("huggingface", {"HF_HUB_OFFLINE": "0"}) is None
    assert offline_variable("modelscope", {"HF_HUB_OFFLINE": "1"}) is None


def test_the_token_is_the_librarys(tmp_path: Path) -> None:
    home = {"HF_HOME": str(tmp_path)}
    assert hub_token(home) is None
    (tmp_path / "token").write_text("hf_of_the_login\n")
    assert hub_token(home) == hub_token({"XDG_CACHE_HOME": "/x", **home}) == "hf_of_the_login"
    (tmp_path / "other").write_text("hf_other")
    assert hub_token({**home, "HF_TOKEN_PATH": str(tmp_path / "other")}) == "hf_other"
    assert hub_token({**home, "HF_TOKEN": " hf_mine "}) == "hf_mine"
    (tmp_path / "token").write_bytes(b"\xff\xfe")
    assert hub_token({**home, "HF_TOKEN": ""}) is None


def test_addresses() -> None:
    mirror = hub_url("acme/tiny", "huggingface", {"HF_ENDPOINT": "https://hf-mirror.com/"})
    assert mirror == "https://hf-mirror.com/acme/tiny/resolve/main/config.json"
    assert hub_url("acme/tiny", "modelscope", {}).startswith("https://www.modelscope.cn/models/acme/tiny/")


_HEARD = threading.Event()  # until then the slow page is not answered


class _Hub(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        status = {"/gone": 404, "/moved": 302, "/slow": 200}.get(self.path, 200)
        if self.path == "/slow":
            _HEARD.wait(60)
        self.send_response(status)
        self.send_header("Location", "http://127.0.0.1:1/elsewhere")
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a hub on this machine."""
    monkeypatch.setenv("no_proxy", "*")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_hub_answers(hub: str) -> None:
    assert ask_hub(f"{hub}/acme/tiny").status == 200
    assert ask_hub(f"{hub}/gone").status == 404
    assert ask_hub(f"{hub}/moved").status == 302  # a redirect is an answer and is not followed


def test_a_hub_that_does_not_answer_is_not_waited_for(hub: str) -> None:
    answer = ask_hub(f"{hub}/slow", limit_s=0.2)
    _HEARD.set()
    assert answer.status is None and answer.reason  # one that waits gets its answer


def test_nobody_there_and_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert ask_hub(f"http://127.0.0.1:{port}/x").status is None
    assert ask_hub("hf-mirror.com/x").reason == "not an http address"
