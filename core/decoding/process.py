"""A process of its own that decodes images which may be dangerous: with limits on time and memory, and ended when it breaks them."""

from __future__ import annotations

import atexit
import contextlib
import os
import subprocess
import sys
import threading

import numpy as np

from core.decoding import pillow
from core.decoding.pillow import ANSWER, DECODED, REFUSED, REQUEST, Pixels
from core.inputs import InvalidInput

MOST = 2  # processes at a time
WALL_SECONDS = 30.0  # for one image; the limit on CPU time comes first, where the system knows one


class _Process:
    """One process; it waits for images until its standard input is closed."""

    def __init__(self) -> None:
        self.running = subprocess.Popen(
            [sys.executable, "-P", pillow.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            start_new_session=True,  # Ctrl+C is for the server
        )

    def close(self) -> None:
        self.running.kill()
        self.running.wait()
        for pipe in (self.running.stdin, self.running.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # what was still to be written
                    pipe.close()

    def decode(self, data: bytes, kind: str, claimed: int) -> Pixels | None:
        """The image; None where the process ended over it.

        Raises:
            InvalidInput: the process refuses it.
        """
        requests, answers = self.running.stdin, self.running.stdout
        assert requests is not None and answers is not None
        timer = threading.Timer(WALL_SECONDS, self.running.kill)
        timer.daemon = True
        timer.start()
        try:
            requests.write(REQUEST.pack(kind.encode(), len(data), claimed) + data)
            requests.flush()
            head = answers.read(ANSWER.size)
            if len(head) < ANSWER.size:
                return None
            status, height, width = ANSWER.unpack(head)
            if status == REFUSED:
                raise InvalidInput(answers.read(min(height, 1000)).decode())
            if status != DECODED:
                raise MemoryError
            if height * width > pillow.MAX_PIXELS:
                return None
            pixels = np.empty((height, width, 3), np.uint8)
            return pixels if answers.readinto(pixels.data) == pixels.size else None  # type: ignore[attr-defined]
        except OSError:  # it ended before it had read all
            return None
        finally:
            timer.cancel()


class _Pool:
    """At most `MOST` processes; those that wait are used again."""

    def __init__(self) -> None:
        self.waiting: list[_Process] = []
        self.places = threading.BoundedSemaphore(MOST)

    def decode(self, data: bytes, kind: str, claimed: int) -> Pixels:
        with self.places:
            process = self._take()
            whole = False
            try:
                pixels = process.decode(data, kind, claimed)
                whole = pixels is not None
            except InvalidInput:
                whole = True
                raise
            except MemoryError:
                raise InvalidInput(pillow.too_costly(kind, "memory")) from None
            finally:
                if whole:
                    self.waiting.append(process)
                else:
                    process.close()
            if pixels is None:
                slow = process.running.returncode in (-24, -9)  # SIGXCPU, SIGKILL: a limit on time
                raise InvalidInput(pillow.too_costly(kind, "time") if slow else pillow.damaged(kind))
            return pixels

    def _take(self) -> _Process:
        while True:
            try:
                process = self.waiting.pop()
            except IndexError:
                break
            if process.running.poll() is None:
                return process
            process.close()  # something else ended it
        try:
            return _Process()
        except OSError as error:
            raise InvalidInput(
                "The process that decodes such images cannot be started; try again, or save it as PNG."
            ) from error

    def close(self) -> None:
        while self.waiting:
            self.waiting.pop().close()


_pool = _Pool()


def _begin_again() -> None:
    """A forked child must not talk to its parent's processes."""
    global _pool
    _pool = _Pool()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_again)
atexit.register(lambda: _pool.close())


def decode(data: bytes, kind: str, claimed: int) -> Pixels:
    """Decode a file in a process with limits on time and memory.

    Args:
        data: the whole file.
        kind: Pillow's name of its format.
        claimed: how many pixels its header claims; the limit on memory grows with them.

    Returns:
        uint8 H×W×3.

    Raises:
        InvalidInput: damaged, too large, or over a limit.
    """
    return _pool.decode(data, kind, claimed)
