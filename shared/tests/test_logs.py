"""What a log line says, and what is taken out of it before it is written."""

import io
import json
import logging
from collections.abc import Iterator

import jwt
import pytest
import structlog

from shared.telemetry import set_up_logs
from shared.testing.logs import plain_logs

TOKEN = jwt.encode({"sub": "anna"}, "a key that is long enough for the tests", algorithm="HS256")


@pytest.fixture
def said() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    set_up_logs("INFO", stream)
    yield stream
    logging.basicConfig(force=True)
    plain_logs()


@pytest.mark.parametrize("name", ["refresh_token", "client_secret", "code", "Authorization", "upload_url"])
def test_a_field_that_is_named_like_a_secret_is_not_written(said: io.StringIO, name: str) -> None:
    structlog.get_logger("planted").info("Microsoft answered", **{name: "planted", "status": 200})
    line = json.loads(said.getvalue())
    assert (line[name], line["status"], line["event"]) == ("[redacted]", 200, "Microsoft answered")


def test_a_secret_within_a_field_is_redacted_and_its_text_stays(said: io.StringIO) -> None:
    tried = [{"client_secret": "planted", "status": 200}, (f"Bearer {TOKEN}", 3), {"token": {"value": "planted"}}]
    structlog.get_logger("planted").info("asked", answers={"all": tried})
    beside = [{"client_secret": "[redacted]", "status": 200}, ["Bearer [redacted]", 3], {"token": "[redacted]"}]
    assert json.loads(said.getvalue())["answers"] == {"all": beside}


def test_a_field_that_nests_without_end_is_cut(said: io.StringIO) -> None:
    endless: dict[str, object] = {"status": 200}
    endless["again"] = endless
    structlog.get_logger("planted").info("asked", answer=endless)
    assert "[redacted]" in said.getvalue()


def test_what_looks_like_a_token_is_not_written_whoever_logs_it(said: io.StringIO) -> None:
    structlog.get_logger("planted").info("asked", headers=f"Bearer {TOKEN}")
    logging.getLogger("library").warning("Microsoft said %s.", TOKEN)
    structlog.get_logger("planted").error("failed", exc_info=ValueError(TOKEN))
    lines = said.getvalue().splitlines()
    assert len(lines) == 3
    assert all("[redacted]" in line for line in lines)
    assert TOKEN.rpartition(".")[2] not in said.getvalue()
