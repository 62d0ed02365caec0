"""The state of an evaluation in a file, so that one that was stopped goes on where it was.

The file is JSON, replaced in one step, and belongs to one evaluation: same data, loss and metrics.
"""

import json
import os
import time
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from actloss_rs.evaluation.sources import DataError

FORMAT = "actloss.checkpoint/2"

SECONDS = 5.0
"""Between two savings, unless asked otherwise."""


class Checkpoint:
    """A checkpoint file for the evaluation of this identity."""

    def __init__(
        self, path: str | os.PathLike[str], identity: Mapping[str, Any], seconds: float = SECONDS
    ) -> None:
        self._path, self._seconds = Path(path), seconds
        self._identity = json.loads(json.dumps(identity))
        self._saved = time.monotonic()

    def load(self) -> Any:
        """The saved state; None when there is no file yet."""
        try:
            content = json.loads(self._path.read_bytes())
            identity, state = content["identity"], content["state"]
            sound = content["format"] == FORMAT and content["checksum"] == checksum([identity, state])
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            sound = False
        if not sound:
            raise DataError(f"{self._path}: not a checkpoint, or a damaged one")
        differing = [name for name, mine in self._identity.items() if identity.get(name) != mine]
        if differing:
            others = ", ".join(differing)
            raise DataError(f"{self._path}: the checkpoint of an evaluation with another {others}")
        return state

    def save(self, state: Any) -> None:
        """Replace the file; whoever reads it finds the old state or the new one, whole."""
        content = {"format": FORMAT, "identity": self._identity, "state": state}
        content["checksum"] = checksum([self._identity, state])
        partial = self._path.with_name(f"{self._path.name}.{os.getpid()}.partial")
        try:
            with partial.open("w") as file:
                json.dump(content, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, self._path)
        finally:
            partial.unlink(missing_ok=True)
        self._saved = time.monotonic()

    def save_now_and_then(self, state: Callable[[], Any]) -> None:
        """Save if the last time is long enough ago."""
        if time.monotonic() - self._saved >= self._seconds:
            self.save(state())


def checksum(content: Any) -> int:
    """Of the content's text."""
    return zlib.crc32(json.dumps(content, sort_keys=True).encode())
