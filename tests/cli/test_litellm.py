"""LiteLLM's config.yaml as resources: what is taken over, what is refused, and that no credential is ever shown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from ironworks.cli.litellm import Config, convert, read_config
from ironworks.cli.litellm.lines import NotAConfig
from ironworks.cli.main import main
from ironworks.sdk import Client
from ironworks.sdk.config import Profile
from tests.support.api import ServedApi, bootstrapped_database, served_api
from tests.support.postgres import Server

FILES = Path(__file__).parent / "litellm"
SCOPE = "acme.shop"


def invoke(*words: str, environ: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(main, ["import", "litellm", *words], env=environ)


def printed(name: str, *words: str) -> list[dict[str, Any]]:
    result = invoke(str(FILES / name), "-s", SCOPE, *words)
    assert result.exit_code == 0, result.output
    return list(yaml.safe_load_all(result.stdout))


def by_name(documents: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """`Kind/name` → spec."""
    assert all(document["metadata"]["scope"] == SCOPE for document in documents)
    return {f"{document['kind']}/{document['metadata']['name']}": document["spec"] for document in documents}


def converted(*entries: dict[str, Any], **sections: Any) -> tuple[dict[str, dict[str, Any]], Config]:
    """(documents, config) of these deployments and sections."""
    config = read_config(yaml.safe_dump({"model_list": list(entries), **sections}), {})
    return by_name(convert(config, SCOPE).documents), config


def deployment(model: str, group: str = "m", **params: Any) -> dict[str, Any]:
    return {"model_name": group, "litellm_params": {"model": model, "api_key": "os.environ/KEY", **params}}


# --- what is taken over -----------------------------------------------------------------------------------------------


def test_a_small_file_becomes_externals_and_routes() -> None:
    found = by_name(printed("small.yaml"))
    assert list(found) == [
        "ExternalEndpoint/openai", "ExternalEndpoint/anthropic", "Route/gpt-4o", "Route/claude", "Route/embeddings",
    ]  # fmt: skip
    [openai] = found["ExternalEndpoint/openai"]["upstreams"]
    assert openai["url"] == "https://api.openai.com/v1"
    assert openai["auth"] == {"type": "bearer", "credential": "***"}
    assert set(openai["model_mapping"]) == {"gpt-4o", "text-embedding-3-small"}, "one address and key, one resource"
    [anthropic] = found["ExternalEndpoint/anthropic"]["upstreams"]
    assert (anthropic["dialect"], anthropic["auth"]["type"]) == ("anthropic", "api_key")
    assert found["Route/claude"]["targets"] == [{"external": "anthropic", "model": "claude-sonnet-4-5"}]


def test_a_balanced_file_keeps_weights_fallbacks_limits_and_budget() -> None:
    found = by_name(printed("balanced.yaml", "-q"))
    route = found["Route/gpt-4o"]
    assert (route["strategy"], route["tries"], route["cache"]) == ("weighted", 4, {"ttl_seconds": 600.0})
    assert [(t["external"], t.get("weight", 1), t["timeout_seconds"]) for t in route["targets"]] == [
        ("azure-eu", 600, 30.0), ("azure-us", 300, 30.0), ("openai", 0, 60.0), ("hosted-vllm-vllm", 0, 60.0),
    ]  # fmt: skip
    assert found["ExternalEndpoint/azure-eu"]["upstreams"][0]["url"] == "https://eu.openai.azure.com/openai/v1"
    assert "credential" not in found["ExternalEndpoint/hosted-vllm-vllm"]["upstreams"][0]["auth"]
    assert found["Route/gpt-4o-mini"]["strategy"] == "ordered_fallback"
    assert found["Route/gpt-4o-mini"]["targets"][0]["max_concurrency"] == 8
    assert found["Route/gpt-4"]["targets"] == route["targets"]
    assert found["Limit/gpt-4o"] == {"route": "gpt-4o", "requests_per_minute": 900, "tokens_per_minute": 200_000}
    assert found["Limit/all"] == {"concurrency": 50}
    assert found["Budget/all"] == {"amount": "100", "period": "month"}


def test_notes_tell_what_differs_and_where() -> None:
    result = invoke(str(FILES / "balanced.yaml"), "-s", SCOPE)
    assert "note: line 33: router_settings.timeout: counts until the first byte" in result.stderr
    assert "note: line 27: model_list[3].litellm_params.api_base: is not public" in result.stderr
    assert invoke(str(FILES / "balanced.yaml"), "-s", SCOPE, "-q").stderr == ""


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("simple-shuffle", "weighted"), ("least-busy", "least_loaded"), ("latency-based-routing", "lowest_latency"),
     ("cost-based-routing", "lowest_cost"), ("usage-based-routing-v2", "least_loaded")],
)  # fmt: skip
def test_strategies_have_their_counterparts(theirs: str, ours: str) -> None:
    entries = deployment("openai/a"), deployment("groq/b")
    found, config = converted(*entries, router_settings={"routing_strategy": theirs})
    assert found["Route/m"]["strategy"] == ours
    assert not config.problems


def test_order_is_kept() -> None:
    found, _ = converted(deployment("openai/a", order=2), deployment("groq/b", order=1))
    assert found["Route/m"]["strategy"] == "ordered_fallback"
    assert [target["model"] for target in found["Route/m"]["targets"]] == ["b", "a"]


def test_several_fallbacks_of_a_single_deployment_keep_their_order() -> None:
    entries = deployment("openai/a", "a"), deployment("openai/b", "b"), deployment("openai/c", "c")
    found, _ = converted(*entries, litellm_settings={"fallbacks": [{"a": ["c", "b"]}], "default_fallbacks": ["b"]})
    assert [target["model"] for target in found["Route/a"]["targets"]] == ["a", "c", "b"]
    assert [target["model"] for target in found["Route/c"]["targets"]] == ["c", "b"]
    assert [target["model"] for target in found["Route/b"]["targets"]] == ["b"]
    assert found["Route/a"]["tries"] == 3


def test_large_rates_become_weights_that_fit() -> None:
    found, _ = converted(deployment("openai/a", tpm=3_000_000), deployment("groq/b", tpm=1_000))
    assert [target.get("weight", 1) for target in found["Route/m"]["targets"]] == [1000, 1]
    assert found["Limit/m"] == {"route": "m", "tokens_per_minute": 3_001_000}


def test_a_rate_on_some_deployments_only_is_no_limit_and_said_so() -> None:
    found, config = converted(deployment("openai/a", rpm=60), deployment("groq/b"))
    assert "Limit/m" not in found
    assert any("some deployments only" in note.message for note in config.notes)


def test_other_keys_and_addresses_are_other_externals() -> None:
    found, _ = converted(
        deployment("openai/a"),
        deployment("openai/b", api_key="os.environ/OTHER"),
        deployment("openai/c", api_base="https://llm.example.com/v1"),
        deployment("ollama/llama3", api_base="http://localhost:11434", api_key=None),
    )
    externals = {name: spec["upstreams"][0]["url"] for name, spec in found.items() if name.startswith("Ext")}
    assert externals == {
        "ExternalEndpoint/openai": "https://api.openai.com/v1",
        "ExternalEndpoint/openai-2": "https://api.openai.com/v1",
        "ExternalEndpoint/openai-llm": "https://llm.example.com/v1",
        "ExternalEndpoint/ollama-localhost": "http://localhost:11434/v1",
    }


def test_addresses_come_from_the_environment_and_the_files_own() -> None:
    text = yaml.safe_dump(
        {
            "model_list": [deployment("openai/a", api_base="os.environ/ONE"), deployment("openai/b", "b",
                           api_base="os.environ/TWO"), deployment("openai/c", "c", api_base="os.environ/NONE")],
            "environment_variables": {"TWO": "https://two.example.com/v1"},
        }
    )  # fmt: skip
    config = read_config(text, {"ONE": "https://one.example.com/v1"})
    found = by_name(convert(config, SCOPE).documents)
    urls = [spec["upstreams"][0]["url"] for name, spec in found.items() if name.startswith("External")]
    assert urls == ["https://one.example.com/v1", "https://two.example.com/v1"]
    assert ["set NONE in the environment" in str(problem) for problem in config.problems] == [True]


def test_a_model_may_come_from_the_environment_too() -> None:
    config = read_config(yaml.safe_dump({"model_list": [deployment("os.environ/MODEL")]}), {"MODEL": "groq/llama"})
    found = by_name(convert(config, SCOPE).documents)
    assert found["Route/m"]["targets"] == [{"external": "groq", "model": "llama"}]
    _, without = converted(deployment("os.environ/MODEL"))
    assert "set MODEL in the environment" in str(without.problems[0])


def test_a_nested_name_belongs_to_the_provider_before_it() -> None:
    base = "https://openrouter.ai/api/v1"
    found, _ = converted(deployment("openai/anthropic/claude", api_base=base), deployment("openrouter/openai/gpt:free"))
    assert [target["model"] for target in found["Route/m"]["targets"]] == ["anthropic/claude", "openai/gpt:free"]


# --- what is refused --------------------------------------------------------------------------------------------------


REASONS = {
    6: "temperature", 7: "headers are not passed on", 8: "a route has one name", 10: "a route has one name",
    14: "AWS signs each request", 15: "aws_region_name", 18: "provider 'frobnicate' is not known",
    24: "price book", 31: "'custom-strategy' has no counterpart", 32: "there is no model 'titan'",
    33: "for long prompts only", 36: "callbacks have no counterpart", 37: "callbacks have no counterpart",
    39: "a cache by meaning", 41: "'45d' is no day, week or month", 44: "custom code is not run",
    45: "not passed through", 47: "guardrails",
}  # fmt: skip


def test_everything_without_a_counterpart_is_refused_with_its_line() -> None:
    result = invoke(str(FILES / "refused.yaml"), "-s", SCOPE)
    assert (result.exit_code, result.stdout) == (1, "")
    told = {int(line.split()[2].rstrip(":")): line for line in result.stderr.splitlines() if line.startswith("error")}
    assert {line: said for line, said in told.items() if REASONS.get(line, "?") not in said} == {}
    assert set(told) == set(REASONS)


def test_with_skip_the_rest_is_taken_over() -> None:
    result = invoke(str(FILES / "refused.yaml"), "-s", SCOPE, "--skip")
    assert result.exit_code == 0
    found = by_name(list(yaml.safe_load_all(result.stdout)))
    assert {name for name in found if name.startswith("Route/")} == {"Route/gpt-4o", "Route/priced", "Route/good"}
    assert result.stderr.count("warning: ") == len(REASONS)


def test_no_credential_is_shown() -> None:
    for words in ((), ("--skip",), ("--skip", "-o", "json")):
        result = invoke(str(FILES / "refused.yaml"), "-s", SCOPE, *words, environ={"OPENAI_API_KEY": "sk-also-secret"})
        assert "secret" not in result.stdout.replace("Put the credential", "")
        assert "very-secret" not in result.output
        assert "also-secret" not in result.output


@pytest.mark.parametrize(
    ("text", "says"),
    [("", "no model_list"), ("[]", "no model_list"), ("kind: Route", "no model_list"), ("a: [", "line 1"),
     ("model_list: {}", "is not a list"), ("model_list: [7]", "needs model_name"),
     ("model_list: [{model_name: a, litellm_params: {model: 7}}]", "names no model"),
     ("model_list: [{model_name: a, litellm_params: {model: openai/a, rpm: many}}]", "whole number"),
     ("model_list: [{model_name: a, litellm_params: {model: openai/a, api_base: 'ftp://x'}}]", "http or https"),
     ("model_list: [{model_name: a, litellm_params: {model: openai/a}, model_info: {mode: video}}]", "not offered"),
     ("model_list: []\nrouter_settings: 7", "is not a mapping"), ("model_list: []\nstrange: 1", "is not known")],
)  # fmt: skip
def test_what_is_no_config_is_told(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    result = invoke(str(file), "-s", SCOPE)
    assert result.exit_code in (1, 2)
    assert says in result.output


def test_a_file_that_loops_is_refused() -> None:
    with pytest.raises(NotAConfig):
        read_config("model_list: &a [*a]", {})


# --- applied ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def api(postgres: Server, run_folder: Path) -> Iterator[ServedApi]:
    place = bootstrapped_database(postgres, run_folder)
    with served_api(place) as served:
        with Client(Profile(served.url, place.operator_token)) as client:
            client.apply({"kind": "Account", "metadata": {"name": "acme", "scope": "-"}})
            client.apply({"kind": "Platform", "metadata": {"name": "shop", "scope": "acme"}})
        yield served
    postgres.drop_database(place)


def applied(api: ServedApi, name: str, *words: str, **environ: str) -> Result:
    command = ["--url", api.url, "--token", api.place.operator_token, "import", "litellm", str(FILES / name)]
    return CliRunner().invoke(main, [*command, "-s", SCOPE, "--apply", "-q", *words], env=environ)


def test_what_is_applied_is_there_with_its_credentials(api: ServedApi) -> None:
    keys = {"AZURE_EU_KEY": "key-eu", "AZURE_US_KEY": "key-us"}
    missing = applied(api, "balanced.yaml", **keys)
    assert missing.exit_code == 1
    assert "set OPENAI_API_KEY in the environment" in missing.stderr
    with Client(Profile(api.url, api.place.operator_token)) as client:
        assert list(client.list(client.kinds.find("Route"), SCOPE)) == []  # type: ignore[arg-type]
        done = applied(api, "balanced.yaml", **keys, OPENAI_API_KEY="key-openai")
        assert done.exit_code == 0, done.output
        assert f"route/{SCOPE}/gpt-4o created" in done.stdout
        assert "key-" not in done.output
        kind = client.kinds.find("ExternalEndpoint")
        assert kind is not None
        stored = client.get(kind, SCOPE, "openai")["spec"]["upstreams"][0]
        assert stored["auth"]["credential"] == "***", "a stored secret reads back so"
        again = applied(api, "balanced.yaml", "-o", "json", **keys, OPENAI_API_KEY="key-openai")
        routes = [each for each in json.loads(again.stdout) if each["resource"]["kind"] == "Route"]
        assert {each["action"] for each in routes} == {"unchanged"}


def test_documents_without_their_credentials_are_refused(api: ServedApi) -> None:
    document = printed("small.yaml")[1]
    assert document["metadata"]["name"] == "anthropic"
    command = ["--url", api.url, "--token", api.place.operator_token, "apply", "-f", "-"]
    result = CliRunner().invoke(main, command, input=yaml.safe_dump(document))
    assert result.exit_code == 2
    assert "credential" in result.output


def test_with_skip_what_lacks_its_credential_is_left_out(api: ServedApi) -> None:
    done = applied(api, "small.yaml", "--skip", ANTHROPIC_API_KEY="key-a")
    assert done.exit_code == 0, done.output
    assert f"route/{SCOPE}/claude created" in done.stdout
    assert "embeddings" not in done.stdout
