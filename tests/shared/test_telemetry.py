"""Logs are one JSON object a line and hold no credential; metrics stay bounded."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironworks.shared import telemetry

KEY = "iwk_0123456789abcdefABCDEF_abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"


class Lines:
    def __init__(self, stream: io.StringIO) -> None:
        self.stream = stream

    def read(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lines]:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    telemetry.configure("debug", "test")
    yield Lines(stream)
    root.handlers[:] = before
    root.setLevel(level)


def test_a_record_is_one_json_line_with_its_fields(lines: Lines) -> None:
    telemetry.logger("ironworks.a").bind(request_id="req_1").info("replica\nstarted", port=7100, tags=["a", "b"])
    [line] = lines.read()
    assert line["message"] == "replica\nstarted"
    assert (line["level"], line["logger"], line["process"]) == ("info", "ironworks.a", "test")
    assert (line["request_id"], line["port"], line["tags"]) == ("req_1", 7100, ["a", "b"])
    assert line["time"].endswith("+00:00")


def test_standard_loggers_with_extra_are_told_in_the_same_shape(lines: Lines) -> None:
    logging.getLogger("library").warning("slow %s", "query", extra={"took": 3})
    [line] = lines.read()
    assert (line["message"], line["took"]) == ("slow query", 3)


def test_a_field_cannot_replace_what_the_line_is_about(lines: Lines) -> None:
    telemetry.logger("x").info("kept", level="boo", time="never")
    [line] = lines.read()
    assert line["level"] == "info"
    assert line["time"] != "never"


def test_an_exception_is_told_with_its_stack_and_without_its_secrets(lines: Lines) -> None:
    try:
        raise ValueError(f"refused key {KEY}")
    except ValueError:
        telemetry.logger("x").exception("call failed")
    [line] = lines.read()
    assert line["error"] == "ValueError"
    assert "test_telemetry" in line["stack"]
    assert KEY not in json.dumps(line)


@pytest.mark.parametrize(
    "text",
    [
        "refreshed by " + KEY.replace("iwk_", "iwr_"),
        *("a link by " + KEY.replace("iwk_", prefix) for prefix in ("iws_", "iwi_", "iwp_")),
        f"sent {KEY} away",
        "Authorization: Bearer hunter2hunter2",
        "postgresql://api:hunter2hunter2@127.0.0.1/db",
        '{"password": "hunter2hunter2"}',
        "token=hunter2hunter2&x=1",
        "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJodW50ZXIyIn0.hunter2hunter2",
    ],
)
def test_texts_lose_their_credentials(text: str) -> None:
    shown = telemetry.redact_text(text)
    assert "hunter2" not in shown
    assert KEY.removeprefix("iwk_") not in shown


@pytest.mark.parametrize("field", ["password", "api_key", "Authorization", "refresh_token", "db.password", "X-COOKIE"])
def test_fields_with_a_secrets_name_are_masked(field: str) -> None:
    assert telemetry.redact({"outer": [{field: "x"}]}) == {"outer": [{field: "***"}]}


def test_counts_of_tokens_are_not_secrets() -> None:
    assert telemetry.redact({"input_tokens": 7, "max_tokens": 9}) == {"input_tokens": 7, "max_tokens": 9}


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text() | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=30,
    )
)
def test_anything_can_be_logged(value: Any) -> None:
    record = logging.makeLogRecord({"msg": "m", "fields": {"value": value}})
    assert "\n" not in telemetry.JsonFormatter("p").format(record)


def test_label_sets_are_bounded() -> None:
    hits = telemetry.counter("ironworks_test_hits_total", "Hits.", ("path",), limit=3)
    for n in range(10):
        hits.labels(f"/{n}").inc()
    shown = telemetry.render().decode()
    assert 'ironworks_test_hits_total{path="/2"} 1.0' in shown
    assert 'ironworks_test_hits_total{path="other"} 7.0' in shown
    assert "/3" not in shown


def test_a_metric_without_labels_is_its_own_child() -> None:
    telemetry.gauge("ironworks_test_depth", "Depth.").labels().set(4)
    assert b"ironworks_test_depth 4.0" in telemetry.render()
