"""The style sheet in the page itself, so that nothing is drawn without it and moved by it.

What a script writes with `st.html` reaches the browser seconds later, after much of the page is drawn.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

_STYLES = Path(__file__).resolve().parents[2] / "assets" / "styles" / "mirage.css"

# Streamlit draws the main part over the whole width first, and the sidebar then pushes it aside by its usual 300 pixels.
_SIDEBAR = """@media (min-width: 768px) {
  [data-testid="stAppViewContainer"]:not(:has([data-testid="stSidebar"])) { padding-left: 300px; box-sizing: border-box; }
}"""

STYLE = f"<style>{_STYLES.read_text(encoding='utf-8')}{_SIDEBAR}</style>".encode()

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]


_CONDITIONS = (b"accept-encoding", b"if-none-match", b"if-modified-since")


class FirstPaint:
    """ASGI middleware that puts `STYLE` at the end of every HTML page, where it wins over Streamlit's own styles."""

    def __init__(self, app: Application) -> None:
        self.app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _asks_for_html(scope):
            await self.app(scope, receive, send)
            return
        # Uncompressed, so that the page can be read, and whole: what a browser keeps of it would be the style of another version.
        headers = [(name, value) for name, value in scope["headers"] if name.lower() not in _CONDITIONS]
        start: Message = {}
        body = b""

        async def changed(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start":
                start = message
                return
            if message["type"] != "http.response.body":
                await send(message)
                return
            body += message.get("body", b"")
            if message.get("more_body"):
                return
            if body:
                body = body.replace(b"</body>", STYLE + b"</body>", 1)
                start["headers"] = [
                    (name, str(len(body)).encode() if name.lower() == b"content-length" else value)
                    for name, value in start["headers"]
                    if name.lower() not in (b"etag", b"last-modified")
                ]
            await send(start)
            await send({"type": "http.response.body", "body": body})

        await self.app({**scope, "headers": headers}, receive, changed)


def _asks_for_html(scope: Message) -> bool:
    """Whether a browser asks for a page: no file, no stream, no range."""
    accepted = b",".join(value for name, value in scope["headers"] if name.lower() == b"accept")
    return scope["method"] == "GET" and b"text/html" in accepted
