"""The replica program with the real engine and a real model."""

from __future__ import annotations

import itertools
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import xllamacpp

from ironworks.products.inference import engines
from ironworks.products.inference.engines import llamacpp
from tests.products.inference.serving import KEY, Replica, events, fetched, run_program, served
from tests.support.postgres import free_port, run_apart


@pytest.fixture(scope="module")
def smollm(models_folder: Path) -> Path:
    return run_apart(lambda: fetched(models_folder, "smollm2"))


@pytest.fixture(scope="module")
def minilm(models_folder: Path) -> Path:
    return run_apart(lambda: fetched(models_folder, "all-minilm-l6-v2"))


@pytest.fixture(scope="module")
def chat(smollm: Path) -> Iterator[Replica]:
    with served(smollm, "--identity", "replica-1", "--args", '{"ctx_size": 1024}') as replica:
        yield replica


def _ask(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": text}], **more}


def test_it_answers_a_chat_and_counts_its_tokens(chat: Replica) -> None:
    answer = chat.post("/v1/chat/completions", _ask("Say hello.", max_tokens=5)).json()
    assert answer["choices"][0]["message"]["content"]
    usage = answer["usage"]
    assert usage["completion_tokens"] <= 5
    assert usage["prompt_tokens"] > 5
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert "cached_tokens" in usage["prompt_tokens_details"]


def test_it_streams_and_ends_with_the_usage(chat: Replica) -> None:
    body = _ask("Count to three.", max_tokens=8, stream=True, stream_options={"include_usage": True})
    chunks = events(chat.post("/v1/chat/completions", body).text)
    assert chunks[-1]["usage"]["completion_tokens"] <= 8
    assert chunks[-1]["choices"] == []
    assert "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks[:-1])


def test_plain_completions_work_too(chat: Replica) -> None:
    answer = chat.post("/v1/completions", {"model": "m", "prompt": "Once upon a time", "max_tokens": 4}).json()
    assert answer["choices"][0]["text"]


def test_health_is_open_and_everything_else_wants_the_key(chat: Replica) -> None:
    assert httpx.get(f"{chat.url}/health").status_code == 200
    assert chat.post("/v1/chat/completions", _ask("hi"), key="wrong").status_code == 401
    assert httpx.get(f"{chat.url}/metrics").status_code == 401
    assert httpx.get(f"{chat.url}/slots", headers={"Authorization": f"Bearer {KEY}"}).status_code >= 400


def test_it_gives_no_other_site_a_browsers_credentials(chat: Replica) -> None:
    answer = httpx.get(f"{chat.url}/health", headers={"Origin": "http://evil.example"})
    assert answer.headers.get("access-control-allow-origin", "") == ""
    assert "access-control-allow-credentials" not in answer.headers


def test_it_listens_on_the_loopback_address_only(chat: Replica) -> None:
    listening = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    mine = [each[1] for each in listening if each[3] == "0A" and each[1].endswith(f":{chat.port:04X}")]
    assert mine == [f"0100007F:{chat.port:04X}"]


def test_a_prober_can_tell_this_very_process(chat: Replica) -> None:
    listed = httpx.get(f"{chat.url}/v1/models", headers={"Authorization": f"Bearer {KEY}"}).json()
    assert "replica-1" in [listed["data"][0]["id"], *listed["data"][0]["aliases"]]


def test_the_key_is_not_on_the_command_line(chat: Replica) -> None:
    assert KEY not in Path(f"/proc/{chat.process.pid}/cmdline").read_text()


def test_a_prompt_that_does_not_fit_is_refused_in_words(chat: Replica) -> None:
    answer = chat.post("/v1/chat/completions", _ask("word " * 3000, max_tokens=1))
    assert answer.status_code == 400
    assert "context" in answer.json()["error"]["message"]


def test_idle_clients_do_not_keep_the_health_check_waiting(chat: Replica) -> None:
    idle = [socket.create_connection(("127.0.0.1", chat.port)) for _ in range(24)]
    try:
        for each in idle:
            each.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        began = time.monotonic()
        assert httpx.get(f"{chat.url}/health", timeout=10).status_code == 200
        assert time.monotonic() - began < 3
    finally:
        for each in idle:
            each.close()


def test_when_told_to_end_it_finishes_what_it_began(smollm: Path) -> None:
    with served(smollm, "--grace", "30") as replica:
        body = _ask("Tell me a long story.", max_tokens=60, stream=True, ignore_eos=True)
        answers: list[str] = []
        began = threading.Event()

        def listen() -> None:
            headers = {"Authorization": f"Bearer {KEY}"}
            with httpx.stream("POST", f"{replica.url}/v1/chat/completions", json=body, headers=headers) as answer:
                for line in answer.iter_lines():
                    answers.append(line)
                    began.set()

        listener = threading.Thread(target=listen)
        listener.start()
        assert began.wait(30)
        replica.process.send_signal(signal.SIGTERM)
        listener.join(60)
        assert replica.process.wait(10) == 0
        assert answers[-2:] == ["data: [DONE]", ""] or "data: [DONE]" in answers


def test_an_idle_one_ends_at_once(smollm: Path) -> None:
    with served(smollm, "--grace", "30") as replica:
        began = time.monotonic()
        replica.process.send_signal(signal.SIGTERM)
        assert replica.process.wait(10) == 0
        assert time.monotonic() - began < 3


def test_a_model_that_is_none_ends_it_with_its_own_code(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + b"\0" * 100)
    ended = run_program(broken, free_port())
    assert ended.returncode == llamacpp.EXIT_MODEL
    assert "cannot serve broken.gguf" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_taken_port_ends_it_with_its_own_code(smollm: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        assert run_program(smollm, other.getsockname()[1]).returncode == llamacpp.EXIT_PORT


def test_it_does_not_serve_without_a_key(smollm: Path) -> None:
    ended = run_program(smollm, free_port(), key=None)
    assert ended.returncode == llamacpp.EXIT_USAGE
    assert "IRONWORKS_ENGINE_KEY" in ended.stderr


def test_it_imports_nothing_that_it_does_not_need() -> None:
    code = "import sys; import ironworks.products.inference.engines.llamacpp; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"pydantic", "asyncpg", "starlette", "xllamacpp", "asyncio"} & set(loaded)


def _values(argument: Any) -> list[Any]:
    if argument.enum:
        return list(argument.enum)
    if argument.type == "boolean":
        return [True, False]
    if argument.type == "string":
        return ["chatml"]
    cast = int if argument.type == "integer" else float
    return [cast(v) for v in (argument.minimum, argument.maximum, argument.default) if v is not None]


def test_every_declared_argument_can_be_set() -> None:
    [manifest] = engines.builtins()
    spec = engines.ENGINE.spec.model_validate(manifest["spec"])
    properties = spec.versions[0].values_schema.properties  # type: ignore[attr-defined]
    tried = 0
    for name, argument in properties.items():
        for value in _values(argument):
            assert argument.problem(value) == ""
            llamacpp.apply_args(xllamacpp, xllamacpp.CommonParams(), {name: value})
            tried += 1
    assert tried > 50
    with pytest.raises(ValueError, match="unknown engine argument"):
        llamacpp.apply_args(xllamacpp, xllamacpp.CommonParams(), {"model": "/etc/passwd"})


def test_embeddings_put_what_means_the_same_close_together(minilm: Path) -> None:
    texts = [
        "A man is eating food.",
        "A man is eating a piece of bread.",
        "How do I reset my password?",
        "I forgot my login credentials.",
        "The girl is carrying a baby.",
    ]
    with served(minilm, "--task", "text-embedding") as replica:
        answer = replica.post("/v1/embeddings", {"model": "m", "input": texts}).json()
        long = replica.post("/v1/embeddings", {"model": "m", "input": "word " * 500})
        too_long = replica.post("/v1/embeddings", {"model": "m", "input": "word " * 600})
    assert answer["usage"]["prompt_tokens"] > 20
    vectors = np.array([each["embedding"] for each in answer["data"]])
    assert vectors.shape == (5, 384)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
    closeness = vectors @ vectors.T
    pairs = {(0, 1), (2, 3)}
    alike = [closeness[pair] for pair in pairs]
    unlike = [closeness[pair] for pair in itertools.combinations(range(5), 2) if pair not in pairs]
    assert min(alike) > 0.6
    assert max(unlike) < 0.3
    # sentence-transformers gives 0.755 for the first pair in full precision
    assert closeness[0, 1] == pytest.approx(0.755, abs=0.02)
    assert long.status_code == 200
    assert too_long.status_code == 400


def test_it_puts_documents_in_order_and_counts_their_tokens(minilm: Path) -> None:
    """The model is no reranker: its scores mean nothing, and are scores all the same."""
    with served(minilm, "--task", "text-rerank") as replica:
        answer = replica.post("/v1/rerank", {"model": "m", "query": "cat", "documents": ["a cat", "engine oil"]}).json()
    assert sorted(result["index"] for result in answer["results"]) == [0, 1]
    assert all(isinstance(result["relevance_score"], float) for result in answer["results"])
    assert answer["usage"]["prompt_tokens"] > 6
