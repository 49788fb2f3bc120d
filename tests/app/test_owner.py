"""Whose runs are whose on a server that others can reach."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import streamlit as st

from app.runtime import evaluation_jobs
from app.state import owner
from core.evaluate import Plan, RunStore, run_index
from core.inputs import InvalidInput
from core.recipe import Method
from tests.core.evaluate.filled import fill

PLAN = Plan(domain="mnist", n_images=4, batch=2, attacks=(Method(name="fgsm"),), defenses=())


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("MIRAGE_DATA", str(tmp_path))
    monkeypatch.delenv("MIRAGE_RUNS", raising=False)
    evaluation_jobs._evaluations().clear()
    yield
    for at in evaluation_jobs._evaluations().values():
        at.cancel.set()
        at.finished.wait(30)
    evaluation_jobs._evaluations().clear()


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Become the user with that cookie."""

    def become(letter: str) -> None:
        monkeypatch.setattr(st.context.__class__, "cookies", {owner.COOKIE: letter * 32})

    return become


@pytest.mark.parametrize(
    ("address", "setting", "shared"),
    [
        ("localhost", "", False),
        ("127.0.0.1", "", False),
        ("::1", "", False),
        ("0.0.0.0", "", True),
        ("192.168.1.7", "", True),
        (None, "", True),  # Streamlit's own default: every interface
        ("unix:///run/mirage.sock", "", True),
        ("0.0.0.0", "all", False),
        ("localhost", "own", True),  # behind a proxy
        ("localhost", "nonsense", False),
    ],
)
def test_who_listens_on_this_computer_alone_has_one_user(
    address: str | None, setting: str, shared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIRAGE_RUNS", setting)
    monkeypatch.setattr(st, "get_option", lambda name: address)
    assert owner.shared() is shared


def test_the_project_listens_on_this_computer_alone() -> None:
    assert st.get_option("server.address") == "localhost" and not owner.shared()


def test_a_browser_is_known_by_its_cookie(browser: Any) -> None:
    browser("a")
    first = owner.me()
    browser("b")
    assert owner.me() != first and len(first) == 32 and "a" * 32 not in first
    browser("a")
    assert owner.me() == first


def test_what_a_stranger_may_not_do(browser: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIRAGE_RUNS", "own")
    browser("a")
    at = evaluation_jobs.RunningEvaluation(PLAN.name, owner.me())
    evaluation_jobs._evaluations()[PLAN.name] = at
    with RunStore.create(PLAN, "cpu", owner=owner.me()) as run:
        assert run.owner == owner.me()
    fill(PLAN, most=1)
    browser("b")
    with pytest.raises(InvalidInput, match="begun in another browser"):
        evaluation_jobs.stop(at)
    assert not at.cancel.is_set()
    at.finished.set()
    with pytest.raises(InvalidInput, match="begun in another browser"):
        evaluation_jobs.delete(PLAN.name)
    with pytest.raises(InvalidInput, match="Choose another seed"):
        evaluation_jobs.start(PLAN, "cpu")
    monkeypatch.setenv("MIRAGE_RUNS", "all")
    evaluation_jobs.stop(at)
    monkeypatch.setenv("MIRAGE_RUNS", "own")
    browser("a")
    evaluation_jobs.delete(PLAN.name)
    assert run_index.list_runs() == []


def test_runs_of_the_command_line_are_the_operators(browser: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIRAGE_RUNS", "own")
    browser("a")
    fill(PLAN)
    assert run_index.list_runs()[0].owner == ""
    with pytest.raises(InvalidInput, match="begun in another browser"):
        evaluation_jobs.delete(PLAN.name)
    monkeypatch.delenv("MIRAGE_RUNS")
    evaluation_jobs.delete(PLAN.name)


def test_what_is_at_work_is_not_deleted() -> None:
    fill(PLAN, most=1)
    evaluation_jobs._evaluations()[PLAN.name] = at = evaluation_jobs.RunningEvaluation(PLAN.name)
    with pytest.raises(InvalidInput, match="at work; stop it"):
        evaluation_jobs.delete(PLAN.name)
    at.finished.set()
    evaluation_jobs.delete(PLAN.name)
    assert run_index.list_runs() == []


def test_one_user_does_not_fill_the_queue(browser: Any) -> None:
    browser("a")
    for number in range(evaluation_jobs.MAX_PER_USER):
        evaluation_jobs._evaluations()[str(number)] = evaluation_jobs.RunningEvaluation(str(number), owner.me())
    with pytest.raises(InvalidInput, match="5 evaluations of yours run or wait already"):
        evaluation_jobs.start(PLAN, "cpu")
    browser("b")
    evaluation_jobs._evaluations()["0"].finished.set()
    made = evaluation_jobs.start(PLAN, "cpu")
    assert [other.name for other in evaluation_jobs.queued_before(made)] == ["1", "2", "3", "4"]
    evaluation_jobs.stop(made)
    made.finished.wait(30)
    for at in evaluation_jobs._evaluations().values():
        at.finished.set()


# The cookie


async def answered(cookie: str, kind: str, scheme: str = "http") -> list[str]:
    """The cookies that come with an answer of that kind."""
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind.encode())]})
        await send({"type": "http.response.body", "body": b""})

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {}

    scope = {"type": "http", "scheme": scheme, "headers": [(b"cookie", cookie.encode())]}
    await owner.BrowserCookie(app)(scope, receive, send)
    return [value.decode() for name, value in sent[0]["headers"] if name == b"set-cookie"]


def test_a_new_browser_gets_a_cookie_of_its_own_that_no_script_reads() -> None:
    first, second = (asyncio.run(answered("", "text/html; charset=utf-8")) for _ in range(2))
    assert len(first) == 1 and first != second
    word = first[0].split(";")[0]
    assert len(word.split("=")[1]) == 32
    assert "HttpOnly" in first[0] and "SameSite=Lax" in first[0] and "Secure" not in first[0]
    assert "; Secure" in asyncio.run(answered("", "text/html", "https"))[0]
    assert asyncio.run(answered(f"other=1; {word}", "text/html")) == []
    assert asyncio.run(answered("", "text/css")) == []
    assert len(asyncio.run(answered(f"{owner.COOKIE}=forged", "text/html"))) == 1
