"""Whose runs are whose: on a server that others can reach, each browser manages the evaluations that it began."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING

import streamlit as st

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "mirage_browser"
SETTING = "MIRAGE_RUNS"  # all: everybody manages all runs; own: everybody manages their own
_LOCAL = ("localhost", "127.0.0.1", "::1")
_TOKEN = re.compile(r"[0-9a-f]{32}")
_YEAR = 365 * 24 * 3600


class BrowserCookie:
    """ASGI middleware: a browser gets a random word with the page, by which it is known again after a reload.

    No script on the page can read it, and no other browser is told it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope.get("headers", ()))
        if scope["type"] != "http" or _known(headers.get(b"cookie", b"").decode("latin-1")):
            await self.app(scope, receive, send)
            return

        async def with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                sent = dict(message.get("headers", ()))
                if sent.get(b"content-type", b"").startswith(b"text/html"):
                    secure = "; Secure" if scope.get("scheme") == "https" else ""
                    cookie = (
                        f"{COOKIE}={secrets.token_hex(16)}; Path=/; Max-Age={_YEAR}; HttpOnly; SameSite=Lax{secure}"
                    )
                    message = {**message, "headers": [*message["headers"], (b"set-cookie", cookie.encode())]}
            await send(message)

        await self.app(scope, receive, with_cookie)


def _known(header: str) -> bool:
    try:
        morsel = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return False
    return morsel is not None and bool(_TOKEN.fullmatch(morsel.value))


def me() -> str:
    """The mark under which this browser's runs are kept: a digest, from which its cookie cannot be found.

    A browser that keeps no cookies is known until its page is reloaded.
    """
    word = st.context.cookies.get(COOKIE)
    if not (isinstance(word, str) and _TOKEN.fullmatch(word)):
        word = st.session_state.setdefault("browser", secrets.token_hex(16))
    return hashlib.sha256(word.encode()).hexdigest()[:32]


def shared() -> bool:
    """Whether runs belong to the browsers that began them.

    A server that listens on this computer alone has one user, who manages everything; MIRAGE_RUNS says otherwise.
    """
    setting = os.environ.get(SETTING, "").strip().lower()
    if setting in ("all", "own"):
        return setting == "own"
    return st.get_option("server.address") not in _LOCAL


def may_manage(owner: str) -> bool:
    """Whether this browser may stop, go on with and delete a run of that owner; '' is the command line."""
    return not shared() or owner == me()
