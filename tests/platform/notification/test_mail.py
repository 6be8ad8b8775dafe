"""Signing up by mail, and mails that go out once, later, or never."""

from __future__ import annotations

import asyncio
import datetime as dt
import email
import re
import ssl
import stat
from collections.abc import Sequence
from datetime import timedelta
from email import policy
from email.message import Message as Mail
from ipaddress import ip_address
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ironworks.platform import iam, notification, tenancy
from ironworks.platform.iam import signup
from ironworks.platform.iam.authentication import log_in
from ironworks.platform.iam.signup import sign_up, verify_signup
from ironworks.platform.notification.model import LAST_ATTEMPT, MailRefused, Message, one_line, pause_after
from ironworks.platform.registry import UnknownEntry
from ironworks.shared.errors import Conflict, Forbidden, Invalid
from tests.platform.notification.smtp_server import LOGIN, SmtpServer
from tests.support.world import World

SENDER = "Ironworks <no-reply@iron.example>"
SETTINGS = notification.MailSettings("https://iron.example")
PASSWORD = "correct horse battery"


def letters(folder: Path) -> list[Mail]:
    files = sorted(folder.glob("*.eml"), key=lambda f: f.stat().st_mtime_ns)
    return [email.message_from_bytes(f.read_bytes(), policy=policy.default) for f in files]


async def deliver(world: World, mailer: notification.Mailer) -> int:
    """Everything that would happen by itself: consumers first, then the sender."""
    await world.consume()
    return await notification.send_due_mails(await world.database("worker"), mailer, SETTINGS)


async def join(world: World, address: str, account: str, password: str = PASSWORD) -> None:
    await sign_up(await world.call(), world.identity, address, password, account, "Boss")


def token_in(mail: Mail) -> str:
    found = re.search(r"iws_[0-9A-Za-z]{43}", str(mail.get_payload(decode=True), "utf-8"))  # type: ignore[arg-type]
    assert found
    return found[0]


async def verify(world: World, token: str) -> signup.Verified:
    async with world.system("api") as ctx:
        return await verify_signup(ctx, token)


# --- signing up --------------------------------------------------------------------------------------------------


async def test_a_customer_signs_up_by_mail_and_runs_his_account(world: World, tmp_path: Path) -> None:
    mailer = notification.FileMailer(tmp_path / "mail", SENDER)
    await join(world, "Boss@newco.example", "newco")
    with pytest.raises(iam.WrongCredentials):
        await log_in(await world.call(), world.identity, "boss@newco.example", PASSWORD)
    assert await deliver(world, mailer) == 1
    [mail] = letters(tmp_path / "mail")
    assert (mail["To"], mail["From"]) == ("boss@newco.example", SENDER)
    assert "newco" in mail["Subject"]
    token = token_in(mail)
    assert await verify(world, token) == signup.Verified("newco", "boss@newco.example")
    with pytest.raises(Invalid, match="unknown, used or expired"):
        await verify(world, token)
    session = await log_in(await world.call(), world.identity, "boss@newco.example", PASSWORD)
    boss = await iam.BearerAuthenticator(world.identity)(await world.database(), f"Bearer {session.access_token}", "")
    assert await world.granted(boss, "platform:create") == ["newco"]
    await world.make(tenancy.PLATFORM, "newco", "shop", actor=boss)
    await world.settle()
    assert (await world.get(tenancy.ACCOUNT, "", "newco", boss)).status.phase == "active"


async def test_the_token_is_in_no_event_and_no_audit_record_and_forgotten_once_sent(
    world: World, tmp_path: Path
) -> None:
    async with SmtpServer() as server:
        await join(world, "boss@newco.example", "newco")
        mailer = notification.SmtpMailer("127.0.0.1", server.port, SENDER, "none")
        assert await deliver(world, mailer) == 1
        found = re.search(r"iws_[0-9A-Za-z]{43}", server.mails[0].text.replace("=\r\n", ""))
        assert found
    kept = ("shared.change_log", "platform_audit.pending", "platform_notification.mail", "platform_iam.signup")
    for table in (*kept, "platform_iam.link"):
        rows = await world.admin.fetch(f"select t::text as row from {table} t")
        assert not any(found[0] in row["row"] or PASSWORD in row["row"] for row in rows), table


async def test_signing_up_with_a_known_address_answers_alike_and_gives_the_user_a_second_account(
    world: World, tmp_path: Path
) -> None:
    mailer = notification.FileMailer(tmp_path, SENDER)
    await join(world, "boss@newco.example", "newco")
    await deliver(world, mailer)
    await verify(world, token_in(letters(tmp_path)[0]))
    await join(world, "boss@newco.example", "second", "an attacker's password")
    await deliver(world, mailer)
    mail = letters(tmp_path)[1]
    assert "has a user here already" in str(mail.get_payload())
    await verify(world, token_in(mail))
    await log_in(await world.call(), world.identity, "boss@newco.example", PASSWORD)
    with pytest.raises(iam.WrongCredentials):
        await log_in(await world.call(), world.identity, "boss@newco.example", "an attacker's password")


async def test_nobody_can_plant_a_password_for_anothers_address(world: World, tmp_path: Path) -> None:
    """Both sign up before anybody verifies: the password is that of the sign-up whose token is used."""
    mailer = notification.FileMailer(tmp_path, SENDER)
    await join(world, "victim@example.com", "trap", "the attacker's password")
    await join(world, "victim@example.com", "mine", PASSWORD)
    await deliver(world, mailer)
    own = next(m for m in letters(tmp_path) if "mine" in m["Subject"])
    await verify(world, token_in(own))
    await log_in(await world.call(), world.identity, "victim@example.com", PASSWORD)
    with pytest.raises(iam.WrongCredentials):
        await log_in(await world.call(), world.identity, "victim@example.com", "the attacker's password")


async def test_a_mail_sent_again_ends_the_token_before(world: World, tmp_path: Path) -> None:
    mailer = notification.FileMailer(tmp_path, SENDER)
    await join(world, "boss@newco.example", "newco")
    await deliver(world, mailer)
    for address in ("boss@newco.example", "nobody@example.com"):
        async with world.system("api") as ctx:
            await signup.resend_verification(ctx, address)
    assert await deliver(world, mailer) == 0, "not twice within a minute"
    world.ahead = timedelta(minutes=2)
    async with world.system("api") as ctx:
        await signup.resend_verification(ctx, "BOSS@newco.example")
    assert await deliver(world, mailer) == 1
    first, second = (token_in(mail) for mail in letters(tmp_path))
    with pytest.raises(Invalid):
        await verify(world, first)
    await verify(world, second)


async def test_a_token_expires_after_a_day(world: World, tmp_path: Path) -> None:
    await join(world, "boss@newco.example", "newco")
    await deliver(world, notification.FileMailer(tmp_path, SENDER))
    world.ahead = timedelta(hours=25)
    with pytest.raises(Invalid):
        await verify(world, token_in(letters(tmp_path)[0]))


async def test_a_taken_or_bad_account_name_is_refused_at_once(world: World) -> None:
    await world.scope("acme")
    with pytest.raises(Conflict):
        await join(world, "boss@newco.example", "acme")
    with pytest.raises(Invalid):
        await join(world, "boss@newco.example", "New Co")
    assert await world.admin.fetchval("select count(*) from platform_iam.signup") == 0


async def test_signing_up_again_and_again_is_slowed_down(world: World) -> None:
    for n in range(20):
        await join(world, f"u{n}@example.com", f"co{n}")
    with pytest.raises(iam.TooManyAttempts):
        await join(world, "u20@example.com", "co20")


# --- delivering --------------------------------------------------------------------------------------------------


async def queue(world: World, key: str = "k", to: str = "a@example.com", **variables: str) -> bool:
    given = {"name": "A", "account": "acme", "token": "t", "life": "24 hours", **variables}
    async with world.system() as ctx:
        return await notification.queue_mail(ctx, key, "iam.verify_address", to, given)


async def test_one_key_makes_one_mail_and_an_unknown_template_none(world: World) -> None:
    assert await queue(world)
    assert not await queue(world)
    with pytest.raises(UnknownEntry):
        async with world.system() as ctx:
            await notification.queue_mail(ctx, "other", "no.such_template", "a@example.com", {})


async def test_a_mail_of_a_transaction_that_fails_is_not_sent(world: World, tmp_path: Path) -> None:
    async def fail() -> None:
        async with world.system() as ctx:
            await notification.queue_mail(ctx, "k", "iam.verify_address", "a@example.com", {})
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    assert await deliver(world, notification.FileMailer(tmp_path, SENDER)) == 0


class Moody:
    """Refuses until told otherwise."""

    keeps = False

    def __init__(self, willing: bool = False) -> None:
        self.willing = willing
        self.sent: list[UUID] = []

    async def send(self, message: Message) -> None:
        if not self.willing:
            raise MailRefused("not now")
        await asyncio.sleep(0.01)
        self.sent.append(message.uid)


async def test_a_refused_mail_is_tried_again_later_and_given_up_in_the_end(world: World) -> None:
    await queue(world)
    mailer = Moody()
    assert await deliver(world, mailer) == 0
    async with world.acting(world.operator) as ctx:
        [mail] = await notification.list_mails(ctx)
    assert (mail.attempts, mail.error, mail.sent_at) == (1, "not now", None)
    mailer.willing = True
    assert await deliver(world, mailer) == 0, "not before its time"
    world.ahead += pause_after(1)
    assert await deliver(world, mailer) == 1
    await queue(world, "another")
    mailer.willing = False
    for attempt in range(1, LAST_ATTEMPT + 1):
        assert await deliver(world, mailer) == 0
        world.ahead += pause_after(attempt)
    async with world.acting(world.operator) as ctx:
        mails = await notification.list_mails(ctx)
    assert [m.given_up_at is None for m in sorted(mails, key=lambda m: m.created_at)] == [True, False]


async def test_two_senders_send_each_mail_once(world: World) -> None:
    for n in range(10):
        await queue(world, f"k{n}")
    mailer = Moody(willing=True)
    db = await world.database("worker")
    await asyncio.gather(*(notification.send_due_mails(db, mailer, SETTINGS) for _ in range(2)))
    assert len(mailer.sent) == len(set(mailer.sent)) == 10


async def test_a_sender_that_dies_leaves_its_mail_to_the_next(world: World) -> None:
    class Dies(Moody):
        async def send(self, message: Message) -> None:
            raise asyncio.CancelledError

    await queue(world)
    with pytest.raises(asyncio.CancelledError):
        await deliver(world, Dies())
    mailer = Moody(willing=True)
    assert await deliver(world, mailer) == 0
    world.ahead = timedelta(minutes=3)
    assert await deliver(world, mailer) == 1


async def test_only_the_operator_reads_mails(world: World, tmp_path: Path) -> None:
    await world.scope("acme")
    admin = await world.user("admin@acme.example")
    await world.grant("user:admin@acme.example", "-/platform-admin", "acme")
    await queue(world)
    with pytest.raises(Forbidden):
        async with world.acting(admin) as ctx:
            await notification.list_mails(ctx)
    async with world.acting(admin) as ctx:
        assert await ctx.db.fetch("select * from platform_notification.mail") == []
    await deliver(world, notification.FileMailer(tmp_path, SENDER))
    async with world.acting(world.operator) as ctx:
        [mail] = await notification.list_mails(ctx, "a@example.com")
    assert mail.body
    assert "acme" in mail.body


async def test_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "mail"
    message = Message(uuid4(), "a@example.com", "Hi", "Text")
    for _ in range(2):
        await notification.FileMailer(folder, SENDER).send(message)
    [file] = folder.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (tmp_path / "blocked").write_text("a file where a folder should be")
    with pytest.raises(MailRefused):
        await notification.FileMailer(tmp_path / "blocked", SENDER).send(message)


# --- SMTP --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of its own making for 127.0.0.1, and its key."""
    folder = tmp_path_factory.mktemp("certificates")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test mail server")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(True, None), True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(secret)
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(pem))
    return folder


async def test_mail_goes_out_encrypted_with_a_login(certificates: Path) -> None:
    offered = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    offered.load_cert_chain(certificates / "certificate.pem", certificates / "key.pem")
    trust = ssl.create_default_context(cafile=certificates / "certificate.pem")
    async with SmtpServer(tls=offered, demand_login=True) as server:
        mailer = notification.SmtpMailer("127.0.0.1", server.port, SENDER, "starttls", *LOGIN, trust=trust)
        message = Message(uuid4(), "a@example.com", "Grüße", "Über alles")
        await mailer.send(message)
        [mail] = server.mails
        assert mail.encrypted
        assert mail.recipients == ["<a@example.com>"]
        read = email.message_from_string(mail.text, policy=policy.default)
        assert (read["Subject"], read["Message-ID"]) == ("Grüße", f"<{message.uid}@iron.example>")
        for wrong in (
            notification.SmtpMailer("127.0.0.1", server.port, SENDER, "starttls", "mailer", "wrong", trust=trust),
            notification.SmtpMailer("127.0.0.1", server.port, SENDER, "starttls", *LOGIN),
            notification.SmtpMailer("127.0.0.1", 1, SENDER, "none", timeout=2),
        ):
            with pytest.raises(MailRefused):
                await wrong.send(message)
    assert "wrong" not in repr(wrong)


async def test_a_server_that_offers_no_encryption_gets_no_mail() -> None:
    async with SmtpServer() as server:
        with pytest.raises(MailRefused):
            await notification.SmtpMailer("127.0.0.1", server.port, SENDER).send(
                Message(uuid4(), "a@b.example", "x", "y")
            )
        assert server.mails == []


async def test_a_refused_recipient_is_told() -> None:
    async with SmtpServer(refuse="550 no such user") as server:
        mailer = notification.SmtpMailer("127.0.0.1", server.port, SENDER, "none")
        with pytest.raises(MailRefused, match="no such user"):
            await mailer.send(Message(uuid4(), "a@b.example", "x", "y"))


HEADERS: Sequence[str] = (
    "Hi\r\nBcc: evil@example.com",
    "Hi\nBcc: evil@example.com",
    "Hi\x0bBcc: evil",
    "x" * 500,
    "\x00",
)


@pytest.mark.parametrize("text", HEADERS)
async def test_no_header_can_be_smuggled_in(text: str) -> None:
    async with SmtpServer() as server:
        mailer = notification.SmtpMailer("127.0.0.1", server.port, SENDER, "none")
        await mailer.send(Message(uuid4(), "a@b.example", one_line(text), text))
        read = email.message_from_string(server.mails[0].text, policy=policy.default)
        assert read["Bcc"] is None
        assert server.mails[0].recipients == ["<a@b.example>"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://u%40x:p%2Fw@mail.example", ("mail.example", 587, "starttls", "u@x", "p/w")),
        ("smtps://mail.example", ("mail.example", 465, "tls", "", "")),
        ("smtp://127.0.0.1:2525?security=none", ("127.0.0.1", 2525, "none", "", "")),
    ],
)
def test_a_server_is_named_by_a_url(url: str, expected: tuple[str, int, str, str, str]) -> None:
    mailer = notification.SmtpMailer.at(url, SENDER)
    assert (mailer.host, mailer.port, mailer.security, mailer.username, mailer.password) == expected
    with pytest.raises(ValueError, match="a mail server is"):
        notification.SmtpMailer.at("http://mail.example", SENDER)
