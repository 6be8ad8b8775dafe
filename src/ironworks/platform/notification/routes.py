"""The operator's look at the mails."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from ironworks.platform.notification import service
from ironworks.platform.notification.model import MailRecord
from ironworks.shared.context import Context
from ironworks.shared.http import Router
from ironworks.shared.shapes import Shape

router = Router("platform.notification")


class MailQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")
    recipient: str | None = Field(None, max_length=254)
    limit: int = Field(50, ge=1, le=500)


class MailView(Shape):
    """`body` is there only where mails are files of this machine."""

    uid: str
    template: str
    recipient: str
    created_at: datetime
    sent_at: datetime | None
    given_up_at: datetime | None
    attempts: int
    error: str | None
    subject: str | None
    body: str | None

    @classmethod
    def of(cls, mail: MailRecord) -> MailView:
        return cls.show(mail, uid=str(mail.uid))


class MailsView(BaseModel):
    items: list[MailView]


@router.get("/api/v1/mails", permission="mail:read")
async def list_mails(ctx: Context, query: MailQuery) -> MailsView:
    """The newest mails, sent and waiting."""
    mails = await service.list_mails(ctx, query.recipient, query.limit)
    return MailsView(items=[MailView.of(mail) for mail in mails])
