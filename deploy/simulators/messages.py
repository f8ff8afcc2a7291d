"""The gateway for SMS and e-mail. Nothing leaves it: whoever drives the world reads the inboxes."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import FastAPI
from pydantic import BaseModel, Field

from deploy.simulators import common
from libs.events.clock import Clock

TABLES = """
CREATE TABLE IF NOT EXISTS message (
    cursor INTEGER PRIMARY KEY AUTOINCREMENT, reference TEXT NOT NULL UNIQUE, recipient TEXT NOT NULL,
    channel TEXT NOT NULL, text TEXT NOT NULL, at TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS message_by_recipient ON message (recipient, cursor);
"""

# One reference is one message, whatever a repeat of it says.
KEEP = """
INSERT INTO message (reference, recipient, channel, text, at)
SELECT value ->> 'reference', value ->> 'to', value ->> 'channel', value ->> 'text', ?
  FROM json_each(?) WHERE true ORDER BY key ON CONFLICT (reference) DO NOTHING
"""


INBOX = "SELECT reference, channel, text, at FROM message WHERE recipient = ? ORDER BY cursor DESC LIMIT ?"

PAGE = """
SELECT cursor, recipient AS "to", channel, text, at FROM message WHERE cursor > ? ORDER BY cursor LIMIT ?
"""


class Message(BaseModel):
    reference: common.Reference
    channel: Literal["sms", "e-mail"]
    to: common.Text
    text: common.Text


class Accepted(BaseModel):
    accepted: int


class Received(BaseModel):
    reference: str
    channel: str
    text: str
    at: datetime


class Delivered(BaseModel):
    cursor: int
    to: str
    channel: str
    text: str
    at: datetime


class Page(BaseModel):
    messages: list[Delivered]
    cursor: int


def create(settings: common.Settings, clock: Clock) -> FastAPI:
    book = common.open_book(settings.book, TABLES)
    app = common.create_app("Messages (simulator)", book)

    @app.post("/v1/messages", status_code=202)
    async def accept(messages: Annotated[list[Message], Field(max_length=10_000)]) -> Accepted:
        with book:
            book.execute(KEEP, (common.stamp(clock.now()), common.as_json(messages)))
        return Accepted(accepted=len(messages))

    @app.get("/v1/inbox")
    async def inbox(to: str, limit: Annotated[int, Field(ge=1, le=1000)] = 20) -> list[Received]:
        return [Received(**row) for row in book.execute(INBOX, (to, limit))]

    @app.get("/v1/inboxes")
    async def inboxes(after: int = 0, limit: Annotated[int, Field(ge=1, le=10_000)] = 10_000) -> Page:
        page = [Delivered(**row) for row in book.execute(PAGE, (after, limit))]
        return Page(messages=page, cursor=page[-1].cursor if page else after)

    return app


if __name__ == "__main__":
    common.serve(common.Settings, create)
