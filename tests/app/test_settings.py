"""What the environment may say of the console and of an OpenID provider, and what is told when it is wrong."""

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
