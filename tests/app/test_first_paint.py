"""The room of the sidebar is in the page from the start."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from app.runtime.first_paint import STYLE, FirstPaint, Message, Receive, Send

PAGE = b"<html><head><title>M</title></head><body></body></html>"


async def _server(scope: Message, receive: Receive, send: Send) -> None:
    headers = [(b"content-type", b"text/html"), (b"content-length", str(len(PAGE)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": PAGE[:20], "more_body": True})
    await send({"type": "http.response.body", "body": PAGE[20:]})


@pytest.mark.parametrize(("accept", "changed"), [(b"text/html,*/*", True), (b"image/png", False)])
def test_only_html_gets_the_style_and_its_length_is_right(accept: bytes, changed: bool) -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError

    scope: Message = {"type": "http", "method": "GET", "headers": [(b"accept", accept), (b"accept-encoding", b"gzip")]}
    asyncio.run(FirstPaint(_server)(scope, receive, send))
    body = b"".join(message.get("body", b"") for message in sent)
    assert (STYLE + b"</body>" in body) == changed and body.replace(STYLE, b"") == PAGE
    assert dict(sent[0]["headers"])[b"content-length"] == str(len(body)).encode()
