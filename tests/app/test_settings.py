"""What the environment may say of the console, of pages that call models and of an OpenID provider."""

from __future__ import annotations

from pathlib import Path

import pytest

from ironworks.app.adapters import adapters_of
from ironworks.app.settings import CONSOLE, SettingsProblem, load_settings
from ironworks.platform import iam, secrets
from tests.support.api import MASTER_KEY

PROVIDER = {"IRONWORKS_OIDC_ISSUER": "https://idp.example/realms/main", "IRONWORKS_OIDC_CLIENT_ID": "ironworks"}


def test_the_console_is_in_the_checkout_unless_another_folder_is_named(tmp_path: Path) -> None:
    assert load_settings({}).console == CONSOLE == Path(__file__).parents[2] / "web" / "dist"
    assert load_settings({"IRONWORKS_CONSOLE": str(tmp_path)}).console == tmp_path


async def test_a_provider_is_named_by_its_issuer_and_our_name_there(tmp_path: Path) -> None:
    assert load_settings({}).oidc is None
    secret = tmp_path / "secret"
    secret.write_text("very secret\n")
    settings = load_settings({**PROVIDER, "IRONWORKS_OIDC_CLIENT_SECRET_FILE": str(secret)})
    assert settings.oidc == ("https://idp.example/realms/main", "ironworks")
    assert "very secret" not in repr(settings)
    keyring = await secrets.load_keyring(secrets.TextMasterKeys(MASTER_KEY))
    single = adapters_of(settings, keyring)[iam.SingleSignOn]
    assert isinstance(single, iam.SingleSignOn)
    assert single.provider is not None
    assert (single.provider.issuer, single.label) == ("https://idp.example/realms/main", "idp.example")
    assert "very secret" not in repr(single)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"IRONWORKS_OIDC_ISSUER": "https://idp.example"}, "set both or none"),
        ({"IRONWORKS_OIDC_CLIENT_ID": "ironworks"}, "set both or none"),
        ({**PROVIDER, "IRONWORKS_OIDC_ISSUER": "http://idp.example"}, "must begin with https://"),
        ({**PROVIDER, "IRONWORKS_OIDC_CLIENT_SECRET_FILE": "/nowhere/at/all"}, "there is no such file"),
    ],
)
def test_a_provider_that_cannot_be_is_told(said: dict[str, str], told: str) -> None:
    with pytest.raises(SettingsProblem, match=told):
        load_settings(said)


def test_the_consoles_pages_may_call_the_gateway_and_those_that_are_named(tmp_path: Path) -> None:
    home = {"IRONWORKS_HOME": str(tmp_path)}
    name = "IRONWORKS_GATEWAY_CORS_ORIGINS"
    own = {"http://127.0.0.1:7070", "http://localhost:7070"}
    assert load_settings(home).gateway_origins == own
    assert load_settings({**home, "IRONWORKS_API_URL": "https://Factory.example:443/"}).gateway_origins == {
        "https://factory.example"
    }
    more = load_settings({**home, name: "https://App.example, http://127.0.0.1:5173/"})
    assert more.gateway_origins == own | {"https://app.example", "http://127.0.0.1:5173"}
    assert load_settings({**home, name: "*"}).gateway_origins == own | {"*"}
    assert load_settings({**home, name: "off"}).gateway_origins == frozenset()


@pytest.mark.parametrize("said", ["app.example", "https://app.example/path", "null", "ftp://a", "https://a:x", "off,*"])
def test_an_origin_that_is_none_is_told(said: str) -> None:
    with pytest.raises(SettingsProblem, match=r"IRONWORKS_GATEWAY_CORS_ORIGINS.* is no origin"):
        load_settings({"IRONWORKS_GATEWAY_CORS_ORIGINS": said})
