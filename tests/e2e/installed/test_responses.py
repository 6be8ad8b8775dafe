"""Responses that are stored on the real database, and the snapshot that a gateway leaves for its next start."""

from __future__ import annotations

import openai
import pytest

from tests.e2e.site import CHAT, Site, eventually


def test_a_conversation_that_the_gateway_remembers(site: Site) -> None:
    with openai.OpenAI(base_url=site.env["OPENAI_BASE_URL"], api_key=site.env["OPENAI_API_KEY"], timeout=60) as client:
        first = client.responses.create(model=CHAT, input="My name is Ada.", max_output_tokens=8, store=True)
        second = client.responses.create(
            model=CHAT, input="What is my name?", max_output_tokens=8, store=True, previous_response_id=first.id
        )
        assert second.usage is not None
        assert first.usage is not None
        assert second.usage.input_tokens > first.usage.input_tokens + first.usage.output_tokens
        assert client.responses.retrieve(second.id).output_text == second.output_text
        roles = [getattr(item, "role", "") for item in client.responses.input_items.list(second.id, order="asc")]
        assert roles == ["user", "assistant", "user"]
        with client.responses.with_streaming_response.create(
            model=CHAT, input="Say hello.", max_output_tokens=8, stream=True, store=True
        ) as streamed:
            text = streamed.read().decode()
        assert '"store":true' in text
        client.responses.delete(first.id)
        for broken in (first.id, second.id):
            with pytest.raises(openai.NotFoundError):
                client.responses.create(model=CHAT, input="And now?", previous_response_id=broken)


def test_a_snapshot_lies_sealed_beside_the_spool(site: Site) -> None:
    kept = site.installation.home / "spool" / "snapshot"
    eventually(kept.exists)
    assert kept.stat().st_mode & 0o077 == 0
    with site.gateway() as http:
        health = http.get(site.env["OPENAI_BASE_URL"].removesuffix("/v1") + "/health").json()
    assert "disk" not in str(health.get("problems", ""))
