"""Sources that are addresses: fetched where the answers ask for it, and told with size and checksum."""

from __future__ import annotations

import hashlib
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from tests.headless import Project, make_project

ROWS = "question,answer\n" + "".join(f"q{n},a{n}\n" for n in range(40))
pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to make a certificate with")


class Files(BaseHTTPRequestHandler):
    """One good file, one that breaks off, one that claims to be huge, one that leads away from TLS."""

    asked: list[str]

    def do_GET(self) -> None:
        """Answer as the path says."""
        self.asked.append(self.path)
        if self.path.startswith("/away"):
            self.send_response(302)
            self.send_header("Location", "http://127.0.0.1:9/rows.csv")
            self.end_headers()
            return
        if not self.path.startswith(("/rows", "/cut", "/huge")):
            self.send_error(404)
            return
        self.send_response(200)
        size = len(ROWS) + (100 if self.path.startswith("/cut") else 0)
        self.send_header("Content-Length", str(1 << 50 if self.path.startswith("/huge") else size))
        self.end_headers()
        self.wfile.write(ROWS.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of a server, and the certificate to trust."""
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-keyout", key, "-out", certificate, "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    Files.asked = []
    listening = ThreadingHTTPServer(("127.0.0.1", 0), Files)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    listening.socket = context.wrap_socket(listening.socket, server_side=True)
    thread = threading.Thread(target=listening.serve_forever)
    thread.start()
    yield f"https://127.0.0.1:{listening.server_port}", certificate
    listening.shutdown()
    thread.join()
    listening.server_close()


@pytest.fixture
def project(tmp_path: Path, server: tuple[str, Path]) -> Project:
    made = make_project(tmp_path)
    made.env = {"SSL_CERT_FILE": str(server[1]), "no_proxy": "*"}
    return made


def test_an_address_is_fetched_once_and_only_where_it_is_asked_for(project: Project, server: tuple[str, Path]) -> None:
    url = f"{server[0]}/rows.csv?x=1"
    project.answer(data={"source": url})
    told = project.run()
    assert told.code == 2 and "download: true" in told.err and not Files.asked
    project.answer(data={"source": url, "download": True})
    told = project.run("--dry-run")
    assert told.code == 2 and "has not been fetched yet" in told.err and not Files.asked
    told = project.run()
    assert told.code == 0, told.err
    assert hashlib.sha256(ROWS.encode()).hexdigest() in told.err
    assert "nothing to do" in project.run().err
    assert len(Files.asked) == 1
    kept = yaml.safe_load((project.path / "runs/apples/answers.yaml").read_text())["data"]["source"]
    assert (project.path / kept).name == "rows.csv"
    assert (project.path / "data/rows_train.jsonl").read_text().count("\n") == 36


@pytest.mark.parametrize(
    ("name", "words"),
    [("cut", "broke off"), ("huge", "larger than"), ("away", "not encrypted"), ("gone", "Not Found")],
)
def test_what_cannot_be_fetched_whole_leaves_nothing(
    project: Project, server: tuple[str, Path], name: str, words: str
) -> None:
    project.answer(data={"source": f"{server[0]}/{name}.csv", "download": True})
    told = project.run()
    assert told.code == 3 and words in told.err, told.err
    assert not list(project.path.rglob("data/downloads/*"))


def test_a_server_that_nobody_vouches_for_is_not_believed(project: Project, server: tuple[str, Path]) -> None:
    project.env = {"no_proxy": "*"}
    project.answer(data={"source": f"{server[0]}/rows.csv", "download": True})
    told = project.run()
    assert told.code == 3 and "certificate" in told.err.lower()
