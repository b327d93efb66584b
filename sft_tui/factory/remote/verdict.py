"""LLaMA-Factory's own judgement of a config, without loading a model: runs its parser and reports what it says.

Stand-alone: runs with the training environment's Python in the training's working directory.
Usage: `python verdict.py train|merge CONFIG.yaml OUT.json [distributed]`; OUT gets `{"ok", "kind", "message", ...}`.
With `distributed` it poses as the only process of a torchrun, because some rules depend on the launcher.
"""

import contextlib
import io
import json
import logging
import os
import socket
import sys
import warnings
from pathlib import Path


class Collector(logging.Handler):
    """Keeps the warnings that LLaMA-Factory and transformers log."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.texts = []

    def emit(self, record):
        """Keep the record's text, once."""
        text = record.getMessage()
        if text not in self.texts:
            self.texts.append(text)


def judge(mode, config):
    """Parse the config as `llamafactory-cli train` or `export` would; what it says."""
    collector = Collector()
    for name in ("llamafactory", "transformers"):
        logging.getLogger(name).addHandler(collector)
    warnings.simplefilter("ignore")
    sys.argv = ["llamafactory-cli", config]
    try:
        from llamafactory.hparams import get_infer_args, get_train_args
    except Exception as error:
        return {"ok": False, "kind": "import", "message": f"{type(error).__name__}: {error}", "warnings": []}
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            (get_infer_args if mode == "merge" else get_train_args)()
    except SystemExit as error:
        return {"ok": False, "kind": "SystemExit", "message": str(error), "warnings": collector.texts}
    except Exception as error:
        return {"ok": False, "kind": type(error).__name__, "message": str(error), "warnings": collector.texts}
    return {"ok": True, "kind": "", "message": "", "warnings": collector.texts}


def pose_as_torchrun():
    """Set the variables that torchrun sets for the first of one processes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    os.environ.update(
        LOCAL_RANK="0", RANK="0", WORLD_SIZE="1", LOCAL_WORLD_SIZE="1", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port)
    )


def main():
    """Judge the config named in the arguments and write the verdict."""
    mode, config, out = sys.argv[1:4]
    if "distributed" in sys.argv[4:]:
        pose_as_torchrun()
    verdict = judge(mode, config)
    with Path(out).open("w", encoding="utf-8") as file:
        json.dump(verdict, file, ensure_ascii=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
