"""A first start that is killed leaves credentials that the next one makes good."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import asyncpg
import pytest

from ironworks.app import bootstrap
from ironworks.platform import iam
from tests.support.api import settings_of
from tests.support.postgres import TestDatabase


class Killed(BaseException):
    """As if the process had ended here."""


async def operator_password_fits(database: TestDatabase, text: str) -> bool:
    connection = await asyncpg.connect(database.admin)
    try:
        return await iam.PasswordHashing().verify(
            await connection.fetchval("select hash from platform_iam.password"), text
        )
    finally:
        await connection.close()


async def test_the_password_in_the_file_works_though_the_first_start_was_killed(
    database: TestDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(database, tmp_path)

    async def killed(*_: Any, **__: Any) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(iam, "ensure_operator", killed)
        with pytest.raises(Killed):
            await bootstrap.bootstrap(settings)
    await bootstrap.bootstrap(settings)
    first = settings.secret(bootstrap.OPERATOR_PASSWORD)
    assert await operator_password_fits(database, first)
    await bootstrap.bootstrap(settings)
    assert settings.secret(bootstrap.OPERATOR_PASSWORD) == first


async def test_credentials_whose_files_were_lost_are_replaced(database: TestDatabase, tmp_path: Path) -> None:
    settings = settings_of(database, tmp_path)
    await bootstrap.bootstrap(settings)
    before = {name: settings.secret(name) for name in (bootstrap.OPERATOR_PASSWORD, bootstrap.OPERATOR_TOKEN)}
    for name in before:
        (settings.credentials / name).unlink()
    await bootstrap.bootstrap(settings)
    assert all(settings.secret(name) != value for name, value in before.items())
    assert await operator_password_fits(database, settings.secret(bootstrap.OPERATOR_PASSWORD))
