"""Images that users bring: kept while somebody holds them, with a total for each session and for the process."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import streamlit as st

from core import images
from core.inputs import InvalidInput

Pixels = npt.NDArray[np.uint8]

SESSION_IMAGES, SESSION_BYTES = 8, 250_000_000  # decoded; a session's oldest images go first
PROCESS_BYTES = 750_000_000
GRACE = 120.0  # seconds that an image stays when nobody holds it any more: a reload is a new session


@dataclass
class _Upload:
    pixels: Pixels
    holders: set[int] = field(default_factory=set)
    left: float = 0.0  # when the last holder went


class Uploads(Mapping[str, Pixels]):
    """Decoded images by the SHA-256 of their files; a session that adds or opens one holds it."""

    def __init__(
        self,
        session_images: int = SESSION_IMAGES,
        session_bytes: int = SESSION_BYTES,
        process_bytes: int = PROCESS_BYTES,
        grace: float = GRACE,
    ) -> None:
        self.session_images, self.session_bytes, self.process_bytes = session_images, session_bytes, process_bytes
        self.grace = grace
        self._kept: OrderedDict[str, _Upload] = OrderedDict()
        self._lock = threading.RLock()

    def add(self, data: bytes, session: int = 0) -> str:
        """Decode a file and keep its image for that session; its digest.

        Raises:
            InvalidInput: it is no image that Mirage takes, or the server holds too many images.
        """
        pixels = images.decode(data)
        digest = hashlib.sha256(data).hexdigest()
        with self._lock:
            self.drop_left()
            if digest not in self._kept:
                for other in [d for d, upload in self._kept.items() if not upload.holders]:
                    if self._bytes() + pixels.nbytes > self.process_bytes:
                        del self._kept[other]
                mine = self._bytes(session)
                if self._bytes() - mine + pixels.nbytes > self.process_bytes:
                    raise InvalidInput("This server holds as many images of its users as it can; try again later.")
                self._kept[digest] = _Upload(pixels)
            self._hold(digest, session)
        return digest

    def hold(self, digest: str, session: int) -> None:
        """Keep that image for that session, too, if it is here."""
        with self._lock:
            self.drop_left()
            if digest in self._kept:
                self._hold(digest, session)

    def release(self, session: int) -> None:
        """That session has ended: what nobody else holds goes after a while."""
        with self._lock:
            for digest in list(self._kept):
                self._let_go(digest, session)
            timer = threading.Timer(self.grace + 1, self.drop_left)
        timer.daemon = True
        timer.start()

    def drop_left(self) -> None:
        """Forget what nobody has held for a while."""
        with self._lock:
            now = time.monotonic()
            for digest, upload in list(self._kept.items()):
                if not upload.holders and now - upload.left >= self.grace:
                    del self._kept[digest]

    def __getitem__(self, digest: str) -> Pixels:
        with self._lock:
            return self._kept[digest].pixels

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._kept))

    def __len__(self) -> int:
        return len(self._kept)

    def _hold(self, digest: str, session: int) -> None:
        self._kept[digest].holders.add(session)
        self._kept.move_to_end(digest)
        digests = [other for other, upload in self._kept.items() if session in upload.holders]
        while len(digests) > 1 and (len(digests) > self.session_images or self._bytes(session) > self.session_bytes):
            self._let_go(digests.pop(0), session)

    def _let_go(self, digest: str, session: int) -> None:
        upload = self._kept[digest]
        if session in upload.holders:
            upload.holders.remove(session)
            upload.left = time.monotonic()
            if not upload.holders and self.grace <= 0:
                del self._kept[digest]

    def _bytes(self, session: int | None = None) -> int:
        uploads = self._kept.values()
        return sum(upload.pixels.nbytes for upload in uploads if session is None or session in upload.holders)


@st.cache_resource(show_spinner=False)
def uploads() -> Uploads:
    return Uploads()


@dataclass(eq=False)
class _Holder:
    """A session, as the holder of its images."""


def _release(holder: _Holder) -> None:
    uploads().release(id(holder))


@st.cache_resource(scope="session", show_spinner=False, on_release=_release)
def _me() -> _Holder:
    return _Holder()


def add(data: bytes) -> str:
    """Keep the image of a file for this session; its digest. See `Uploads.add`."""
    return uploads().add(data, id(_me()))


def hold(digest: str) -> None:
    """Keep an image that a link names for this session, too."""
    if digest:
        uploads().hold(digest, id(_me()))
