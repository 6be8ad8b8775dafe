"""The command line as people and scripts use it: a process of its own, against a whole installation."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from ironworks.cli.main import main
from tests.e2e.site import CHAT, EMBED, TENANT, Site, eventually
from tests.support.postgres import free_port

COMMAND = [sys.executable, "-m", "ironworks.cli"]
CLI = "cli.shop"
Run = Callable[..., subprocess.CompletedProcess[str]]

MANIFEST = f"""
api_version: v1
kind: Tenant
metadata: {{name: eu, scope: {CLI}, labels: {{stage: test}}}}
spec: {{}}
---
# what it lives in is said later, and applied first
kind: Account
metadata: {{name: cli, scope: "-"}}
spec: {{}}
---
kind: Platform
metadata: {{name: shop, scope: cli}}
spec: {{}}
"""


def _environment(site: Site, tmp_path: Path, **more: str) -> dict[str, str]:
    """A shell after `eval "$(ironworks env)"`, of a person without a stored login."""
    ours = {"PYTHONPATH": os.pathsep.join(sys.path), "XDG_CONFIG_HOME": str(tmp_path), "COLUMNS": "100"}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("IRONWORKS_", "OPENAI_"))}
    return {**inherited, **ours, **site.env, **more}


@pytest.fixture
def run(site: Site, tmp_path: Path) -> Run:
    """`ironworks WORDS`: `code` is the exit code that it must end with, `given` its standard input."""

    def run(
        *words: str, code: int = 0, given: str = "", without: tuple[str, ...] = (), **environment: str
    ) -> subprocess.CompletedProcess[str]:
        env = _environment(site, tmp_path, **environment)
        for name in without:
            env.pop(name)
        ended = subprocess.run([*COMMAND, *words], env=env, input=given, capture_output=True, text=True, timeout=120)
        assert ended.returncode == code, f"{words}: {ended.returncode}\n{ended.stdout}\n{ended.stderr}"
        assert "Traceback" not in ended.stderr
        return ended

    return run


@pytest.fixture(scope="module")
def shop(site: Site, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The tenant `cli.shop.eu`, made by one file."""
    folder = tmp_path_factory.mktemp("shop")
    file = folder / "shop.yaml"
    file.write_text(MANIFEST)
    applied = subprocess.run(
        [*COMMAND, "apply", "-f", str(file)], env=_environment(site, folder), capture_output=True, text=True
    )
    assert applied.returncode == 0, applied.stderr
    assert [line.split()[0] for line in applied.stdout.splitlines()] == [
        "account/-/cli", "platform/cli/shop", f"tenant/{CLI}/eu"
    ]  # fmt: skip
    return f"{CLI}.eu"


def test_several_documents_in_one_file(run: Run, shop: str) -> None:
    again = run("apply", "-f", "-", given=MANIFEST)
    assert [line.split()[1] for line in again.stdout.splitlines()] == ["unchanged"] * 3
    assert run("wait", "platform", "cli/shop", "--for", "phase=active").stdout == "platform/cli/shop phase=active\n"
    names = run("get", "tenants", "-s", CLI, "-o", "name").stdout
    assert names == f"tenant/{shop.rpartition('.')[0]}/eu\n"


def test_apply_diff_and_delete(run: Run, shop: str, tmp_path: Path) -> None:
    file = tmp_path / "folder" / "accounts.json"
    file.parent.mkdir()
    resource: dict[str, Any] = {"kind": "ServiceAccount", "metadata": {"scope": shop, "name": "robot"}, "spec": {}}
    file.write_text(json.dumps({"items": [resource]}))
    there = ("-f", str(file.parent))

    assert "would be created" in run("diff", *there, code=1).stdout
    assert run("apply", *there, "--dry-run").stdout == f"serviceaccount/{shop}/robot created (dry run)\n"
    run("get", "sa", f"{shop}/robot", code=3)
    assert run("apply", *there).stdout == f"serviceaccount/{shop}/robot created\n"
    assert run("diff", *there).stdout == ""
    resource["metadata"]["display_name"] = "Robbie"
    file.write_text(json.dumps(resource))
    assert "Robbie" in run("diff", *there, code=1).stdout
    [answer] = json.loads(run("apply", *there, "-o", "json").stdout)
    assert (answer["action"], answer["resource"]["metadata"]["display_name"]) == ("updated", "Robbie")
    assert run("delete", *there).stdout == f"serviceaccount/{shop}/robot deleted\n"
    run("delete", *there, code=3)
    run("delete", *there, "--ignore-not-found")
    assert run("wait", f"sa/{shop}/robot", "--for", "delete").returncode == 0


@pytest.mark.parametrize("word", ["Endpoint", "endpoint", "endpoints", "ep"])
def test_every_name_of_a_kind(run: Run, word: str) -> None:
    assert run("get", word, "-s", TENANT, "-o", "name").stdout.split() == [
        f"endpoint/{TENANT}/{EMBED}",
        f"endpoint/{TENANT}/{CHAT}",
    ]


def test_every_output(run: Run) -> None:
    table = run("get", "endpoints", "-s", TENANT).stdout.splitlines()
    assert table[0].split()[:2] == ["SCOPE", "NAME"]
    assert [line.split()[1] for line in table[1:]] == [EMBED, CHAT]
    assert all("Running" in line for line in table[1:])
    wide = run("get", "endpoints", "-s", TENANT, "-o", "wide").stdout.splitlines()
    assert wide[0].startswith(table[0].split()[0])
    assert "UID" in wide[0]
    listed = json.loads(run("get", "endpoints", "-s", TENANT, "-o", "json").stdout)
    assert [item["metadata"]["name"] for item in listed["items"]] == [EMBED, CHAT]
    one = yaml.safe_load(run("get", f"endpoint/{TENANT}/{CHAT}", "-o", "yaml").stdout)
    assert (one["kind"], one["status"]["phase"]) == ("Endpoint", "Running")
    assert run("get", "ep", "-s", TENANT, "--phase", "Failed").stdout == ""
    assert run("get", "tenants", "-l", "stage=nowhere").stdout == ""
    above = run("get", "engines", "-s", TENANT, "--inherited", "-o", "name").stdout
    assert above == "engine/-/llama-cpp\n"


def test_what_was_printed_can_be_applied(run: Run) -> None:
    printed = run("get", "endpoints", "-s", TENANT, "-o", "yaml").stdout
    assert run("diff", "-f", "-", given=printed).stdout == ""


def test_describe(run: Run) -> None:
    text = run("describe", "endpoint", CHAT, "-s", TENANT).stdout
    assert text.startswith(f"Endpoint {TENANT}/{CHAT}  Running")
    assert re.search(r"TYPE +STATUS +REASON", text)
    assert re.search(r"Ready +True", text)


def test_watch_shows_changes_as_they_come(run: Run, site: Site, shop: str, tmp_path: Path) -> None:
    words = [*COMMAND, "watch", "service-accounts", "-s", shop, "-o", "json"]
    process = subprocess.Popen(words, env=_environment(site, tmp_path), stdout=subprocess.PIPE, text=True)
    lines: Queue[str] = Queue()
    assert process.stdout is not None
    threading.Thread(target=lambda out: [lines.put(line) for line in out], args=[process.stdout], daemon=True).start()
    try:
        number = 0
        while lines.empty():  # it watches from when it is connected
            site.apply("ServiceAccount", shop, f"seen-{(number := number + 1)}")
            time.sleep(0.2)
        change, name = _seen(lines.get())
        assert change == "added"
        site.delete("ServiceAccount", shop, name)
        while _seen(lines.get(timeout=60)) != ("deleted", name):
            pass
    finally:
        process.terminate()  # SIGINT is ignored by whatever a shell began in the background
        process.wait(10)


def _seen(line: str) -> tuple[str, str]:
    event = json.loads(line)
    return event["type"], event["object"]["metadata"]["name"]


def test_wait(run: Run) -> None:
    place = f"endpoint/{TENANT}/{CHAT}"
    run("wait", place, "--for", "condition=Ready", "--timeout", "60s")
    run("wait", place, "--for", "jsonpath=.status.ready_replicas=1")
    assert "timed out" in run("wait", place, "--for", "phase=Failed", "--timeout", "300ms", code=6).stderr
    run("wait", place, "--for", "something", code=2)
    run("wait", f"endpoint/{TENANT}/nothing", "--for", "phase=Running", code=3)


def test_logs(run: Run) -> None:
    lines = run("logs", f"endpoint/{TENANT}/{EMBED}", "--tail", "5").stdout.splitlines()
    assert 0 < len(lines) <= 5
    run("logs", f"endpoint/{TENANT}/{EMBED}", "--replica", "nothing", code=3)


def test_chat_usage_and_bill(run: Run, site: Site) -> None:
    def talk() -> tuple[str, ...]:
        said = run("chat", "Say hello.", "--max-tokens", "6")
        assert said.stdout.strip()
        facts = re.search(r"\[(\d+) tokens in, (\d+) out.* ([\d.]+) USD; (req_\w+)\]", said.stdout + said.stderr)
        assert facts is not None, said
        return facts.groups()

    _, out, cost, request = eventually(talk)  # the command waits five seconds for the cost
    piped = run("chat", "--max-tokens", "2", given="Say hello.\n")
    assert "2 out" in piped.stderr, piped  # two tokens may both be white space

    chain = json.loads(run("billing", "explain", request, "-o", "json").stdout)
    assert chain["usage"]["quantities"]["output_tokens"] == int(out)
    text = run("billing", "explain", request).stdout
    assert f"cost      {cost} USD" in text
    assert chain["transfers"][0]["id"] in text
    run("billing", "explain", "req_unknown", code=3)

    rows = run("usage", "-s", TENANT, "--by", "model").stdout.splitlines()
    assert rows[0].split()[:2] == ["MODEL", "REQUESTS"]
    assert CHAT in [row.split()[0] for row in rows[1:]]
    assert run("top", "-s", TENANT, "--once", "--minutes", "180").stdout.startswith(f"{TENANT}  ")
    [owed] = json.loads(run("billing", "balance", "-s", TENANT, "-o", "json").stdout)["owed"]
    assert owed["nano"] > 0
    assert "output_tokens" in run("billing", "prices").stdout


def test_the_tenants_own_key_sees_its_own(run: Run, site: Site) -> None:
    tenant = {"IRONWORKS_TOKEN": site.env["OPENAI_API_KEY"]}
    assert run("whoami", **tenant).stdout.startswith(f"api_key {TENANT}/demo at ")
    assert run("get", "endpoints", "-o", "name", **tenant).stdout.count("\n") == 2
    assert run("get", "accounts", "-o", "name", **tenant).stdout == ""
    run("get", "tenant", "cli.shop/eu", code=3, **tenant)
    run("audit", "verify", code=4, **tenant)
    refused = run("apply", "-f", "-", code=4, given="{kind: Tenant, metadata: {name: x, scope: demo.app}}", **tenant)
    assert "tenant:create" in refused.stderr


def test_login_and_logout(run: Run, site: Site) -> None:
    url, secret = site.env["IRONWORKS_URL"], site.installation.settings.secret("operator-password")
    words = ("--url", url, "login", "--email", "operator@localhost", "--password-stdin")
    nobody = ("IRONWORKS_URL", "IRONWORKS_TOKEN")
    assert "log in with" in run("--url", url, "get", "accounts", code=4, without=nobody).stderr
    assert run(*words, code=4, given="wrong\n", without=nobody).stdout == ""
    assert url in run(*words, given=f"{secret}\n", without=nobody).stdout
    me = json.loads(run("whoami", "-o", "json", without=nobody).stdout)
    assert (me["kind"], me["name"]) == ("user", "operator@localhost")
    assert run("get", "accounts", "-o", "name", without=nobody).stdout
    assert run("logout", without=nobody).stdout == "logged out\n"
    assert run("logout", without=nobody).stdout == "there was no session\n"


def test_a_key_is_rotated(run: Run, shop: str) -> None:
    spec = f"{{kind: ServiceAccount, metadata: {{name: bot, scope: {shop}}}}}\n---\n"
    spec += f"{{kind: ApiKey, metadata: {{name: bot, scope: {shop}}}, spec: {{owner: 'service-account:{shop}/bot'}}}}"
    run("apply", "-f", "-", given=spec)
    first = run("rotate-key", f"{shop}/bot").stdout.strip()
    assert first.startswith("iwk_")
    run("whoami", IRONWORKS_TOKEN=first)
    second = run("rotate-key", "bot", "-s", shop).stdout.strip()
    assert second != first
    run("whoami", IRONWORKS_TOKEN=second)
    assert "log in with" in run("whoami", IRONWORKS_TOKEN=first, code=4).stderr


def test_suspend_and_resume(run: Run, shop: str) -> None:
    assert run("suspend", "cli/shop", "--reason", "unpaid").stdout == "platform/cli/shop suspended\n"
    run("suspend", "cli/nothing", code=3)
    assert run("resume", "platform/cli/shop").stdout == "platform/cli/shop active\n"
    run("resume", "cli/shop", code=5)


def test_audit(run: Run, shop: str) -> None:
    rows = run("audit", "list", "-s", "cli", "--limit", "500").stdout
    assert "tenant.create" in rows
    [*heads], *chains = (line.split() for line in run("audit", "verify").stdout.splitlines())
    assert heads[:2] == ["CHAIN", "STATE"]
    assert {row[1] for row in chains} == {"whole"}


def test_mails(run: Run, site: Site) -> None:
    body = {"email": "ann@example.org", "password": "a long enough secret", "account": "ann-at-the-cli"}
    site.operator.request("POST", "/api/v1/signup", body=body)
    listed = eventually(lambda: [m for m in _mails(run) if m["recipient"] == "ann@example.org" and m["sent_at"]])
    assert "ann@example.org" in run("mails").stdout
    number = next(n for n, mail in enumerate(_mails(run), 1) if mail["recipient"] == "ann@example.org")
    assert listed[0]["body"].strip() == run("mails", "--show", str(number)).stdout.strip()
    run("mails", "--show", "10000", code=2)


def _mails(run: Run) -> list[dict[str, Any]]:
    return list(json.loads(run("mails", "-o", "json").stdout)["items"])


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("get", "spoons"), 2, "there is no kind 'spoons'"),
        (("get", "endpoint", "x"), 2, "say where 'x' is"),
        (("get", "endpoint", f"{TENANT}/nothing"), 3, "error: "),
        (("frobnicate",), 2, "No such command"),
        (("apply",), 2, "give -f FILE"),
        (("delete", "account", "-/demo", "--no-wait"), 5, "1 Platform"),
        (("--token", "iwk_wrong", "whoami"), 4, "log in with"),
    ],
)
def test_exit_codes(run: Run, words: tuple[str, ...], code: int, says: str) -> None:
    assert says in run(*words, code=code).stderr


def test_nobody_answers(run: Run) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    assert "does not answer" in run("whoami", IRONWORKS_URL=nowhere, code=7).stderr
    assert "does not answer" in run("chat", "hello", OPENAI_BASE_URL=f"{nowhere}/v1", code=7).stderr


def test_all_problems_of_a_document_at_once(run: Run) -> None:
    document = f"""
        kind: Endpoint
        metadata: {{name: Bad_Name, scope: {TENANT}}}
        spec: {{model: {{name: 7}}, replicas: {{num: -1}}, colour: red}}
    """
    said = run("apply", "-f", "-", code=2, given=document).stderr
    for field in ("metadata.name", "spec.model.name", "spec.replicas.num", "spec.colour"):
        assert field in said
    flat = document.replace("{name: 7}", "smollm2").replace("{num: -1}", "3")
    said = run("apply", "-f", "-", code=2, given=flat).stderr
    for field in ("spec.model", "spec.replicas"):
        assert f"{field}: is no object (give its fields by their names)" in said


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("kind: Account\nmetadata: {name: x\nspec: {}\n", "line 3"),
        ("kind: Account\n\tmetadata: {}\n", "line 2"),
        ("kind: Account\n---\n- a list\n", "document 1: metadata.name"),
        ("kind: Account\nmetadata: {name: 12}\n", "quote it if it looks like a number"),
        ("just text", "not a resource"),
        ("", "there is no resource"),
    ],
)
def test_bad_yaml_names_the_place(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    said = _asked_nobody("apply", "-f", str(file), code=2).stderr
    assert says in said
    assert "bad.yaml" in said or not text


def test_no_such_file() -> None:
    assert "No such file" in _asked_nobody("apply", "-f", "nowhere.yaml", code=2).stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str) -> None:
    script = _asked_nobody("completion", shell).stdout
    assert "_IRONWORKS_COMPLETE" in script
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def _asked_nobody(*words: str, code: int = 0) -> Result:
    """A command that asks no server, in this process."""
    ended = CliRunner().invoke(main, words)
    assert ended.exit_code == code, ended.output
    return ended


def test_the_kinds_are_listed(run: Run) -> None:
    lines = run("kinds").stdout.splitlines()
    assert lines[0].split() == ["KIND", "SHORT", "LIVES", "AT", "WHAT", "IT", "IS"]
    assert [line.split()[:3] for line in lines if line.startswith("endpoints")] == [["endpoints", "ep", "tenant"]]


def test_who_finds_nothing_is_told_of_what_is_inherited(run: Run) -> None:
    assert "--inherited" in run("get", "engines", "-s", TENANT).stderr
    assert run("get", "engines", "-s", TENANT, "--inherited").stdout.startswith("SCOPE")


def test_completion_of_a_command(run: Run) -> None:
    words = {"_IRONWORKS_COMPLETE": "bash_complete", "COMP_WORDS": "ironworks des", "COMP_CWORD": "1"}
    assert "describe" in run(**words).stdout


def test_help_tells_the_exit_codes(run: Run) -> None:
    said = run("--help").stdout
    assert "Exit codes:" in said
    for command in ("get", "apply", "chat", "billing", "audit", "up", "down"):
        assert command in said
