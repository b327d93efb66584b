"""A real sshd on a free port of loopback, with keys of its own, whose connections a test can cut."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil

SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
_PRIVILEGES = Path("/run/sshd")  # an sshd of root's wants it; without an init system nobody made it


def _is_client(process: psutil.Process, key: str) -> bool:
    return process.info["name"] == "ssh" and key in (process.info["cmdline"] or ())


class SshServer:
    """sshd for the present user alone; `environment` and `directory` are what its sessions start with."""

    def __init__(self, folder: Path, directory: Path, environment: Mapping[str, str]) -> None:
        assert SSHD is not None
        self._folder = folder
        self._key = folder / "user_key"
        folder.mkdir(mode=0o700)
        for name in ("host_key", "user_key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
        shutil.copyfile(folder / "user_key.pub", folder / "authorized_keys")
        exports = [f"export {name}={shlex.quote(value)}\n" for name, value in environment.items()]
        lines = [*exports, f"cd {shlex.quote(str(directory))}\n", 'exec "$@"\n']
        (folder / "session.sh").write_text("".join(lines), encoding="utf-8")
        self._port = self._start()
        public = (folder / "host_key.pub").read_text(encoding="ascii")
        (folder / "known_hosts").write_text(f"[127.0.0.1]:{self._port} {public}", encoding="ascii")

    def _start(self) -> int:
        """Start it on a port that was free a moment ago, or on another one where somebody was faster; the port."""
        for _attempt in range(5):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port: int = probe.getsockname()[1]
            settings = {
                "Port": port, "ListenAddress": "127.0.0.1", "HostKey": self._folder / "host_key",
                "AuthorizedKeysFile": self._folder / "authorized_keys", "PidFile": "none", "StrictModes": "no",
                "UsePAM": "no", "PasswordAuthentication": "no", "KbdInteractiveAuthentication": "no",
                "PermitRootLogin": "prohibit-password", "PermitUserRC": "no", "PrintMotd": "no", "PrintLastLog": "no",
            }  # fmt: skip
            text = "".join(f"{name} {value}\n" for name, value in settings.items())
            (self._folder / "sshd_config").write_text(text, encoding="utf-8")
            command = [str(SSHD), "-D", "-e", "-f", str(self._folder / "sshd_config")]
            with (self._folder / "sshd.log").open("ab") as log:
                self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            while self._process.poll() is None:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    return port
                time.sleep(0.05)
        raise AssertionError((self._folder / "sshd.log").read_text(encoding="utf-8", errors="replace"))

    def command(self, *words: str, terminal: bool = True) -> list[str]:
        """The ssh command that runs `words` in a session, with a terminal of its own or with pipes."""
        options = {
            "IdentityFile": self._key, "IdentitiesOnly": "yes", "BatchMode": "yes", "LogLevel": "ERROR",
            "UserKnownHostsFile": self._folder / "known_hosts", "StrictHostKeyChecking": "yes",
        }  # fmt: skip
        flags = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        remote = shlex.join(["sh", str(self._folder / "session.sh"), *words])
        return ["ssh", "-F", "none", *flags, "-p", str(self._port), "-tt" if terminal else "-T", "127.0.0.1", remote]

    def cut(self) -> None:
        """Kill every connection's client and session, without a farewell; returns when what hung on them has ended."""
        family = psutil.Process(self._process.pid).children(recursive=True)
        sessions = [p for p in family if p.name().startswith("sshd")]
        on_terminals = [p for p in family if p.terminal() is not None]
        key = f"IdentityFile={self._key}"
        clients = [p for p in psutil.process_iter(["name", "cmdline"]) if _is_client(p, key)]
        for process in (*clients, *sessions):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        _gone, alive = psutil.wait_procs([*sessions, *on_terminals], timeout=30)
        assert not alive, alive

    def stop(self) -> None:
        """End it and its connections."""
        self.cut()
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(30)


@contextlib.contextmanager
def ssh_server(folder: Path, directory: Path, environment: Mapping[str, str]) -> Iterator[SshServer]:
    """An `SshServer` that is gone afterwards, and leaves nothing outside `folder`."""
    made = os.geteuid() == 0 and not _PRIVILEGES.exists()
    if made:
        _PRIVILEGES.mkdir(mode=0o755, exist_ok=True)
    server = None
    try:
        server = SshServer(folder, directory, environment)
        yield server
    finally:
        if server is not None:
            server.stop()
        if made:
            with contextlib.suppress(OSError):
                _PRIVILEGES.rmdir()
