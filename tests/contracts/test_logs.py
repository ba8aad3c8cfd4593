"""Logs tell where something failed, and nothing about anybody."""

import json
import logging
from pathlib import Path

import pytest
import structlog

from service import logs
from service.store import segments
from tests.contracts.test_errors import shaped
from tests.serving import Service

SECRET = "ann@example.com"


@pytest.mark.parametrize("form", ["json", "console"])
def test_an_unexpected_error_is_told_without_data(
    service: Service,
    form: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    async def broken(*arguments: object, **more: object) -> None:
        secret = SECRET
        try:
            raise KeyError(secret)
        except KeyError as error:
            raise RuntimeError(f"about {secret}") from error

    monkeypatch.setattr(segments, "get", broken)
    monkeypatch.setattr("service.api.app.log", structlog.get_logger())
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    logs.configure("info", form)
    try:
        answer = service.ask("get", f"/segments/{SECRET}")
    finally:
        structlog.reset_defaults()
    assert (answer.status_code, shaped(answer)["code"]) == (500, "internal")
    told = capfd.readouterr().err
    assert "request_failed" in told
    assert "/segments/{key}" in told
    assert "builtins.RuntimeError" in told
    assert "builtins.KeyError" in told
    assert f"{Path(__file__).name}" in told
    assert SECRET not in told
    if form == "json":
        assert json.loads(told)["level"] == "error"
    page = service.ask("get", "/metrics").text
    assert 'route="/segments/{key}",status="500"' in page
