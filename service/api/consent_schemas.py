"""What the routes of consents take and give."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from service.api.customer_schemas import ChannelConsent
from service.api.moments import Moment
from service.api.schemas import Page, Strict, Text


class ConsentChange(Strict):
    """What is said of a channel: whether the customer wants it, or what closes it, or both."""

    status: Literal["subscribed", "unsubscribed", "never"] | None = Field(
        default=None, description="What the customer wants; left out, it stays as it is."
    )
    suppressed: Literal["bounce", "complaint"] | None = Field(
        default=None,
        description="Closes the channel for good: messages bounce, or were complained of. `null` "
        "opens it again, which needs a `reason`; left out, it stays as it is.",
    )
    at: Moment | None = Field(
        default=None,
        description="When the customer said so; now, if left out. What is later counts, whatever "
        "is told first. With it a change counts once, however often it is sent.",
    )
    source: Annotated[Text, Field(min_length=1, max_length=200)] | None = Field(
        default=None, description="Where they said so: `checkout form`, `call of 12 May`."
    )
    reason: Annotated[Text, Field(max_length=2_000)] | None = Field(
        default=None, description="Why, or what proves it. It is kept with the change."
    )


class Consents(BaseModel):
    """A customer's consents."""

    customer_id: str
    channels: dict[str, ChannelConsent] | None = Field(
        description="By channel; null for callers who may not read it, as it is personal."
    )


class ConsentSaid(BaseModel):
    """Something that was said of a channel."""

    channel: str | None = Field(description="null: of all channels, whose consents were removed.")
    status: Literal["subscribed", "unsubscribed", "never"] | None = Field(
        default=None, description="null where nothing was said of it, or it was removed."
    )
    suppressed: Literal["bounce", "complaint"] | None = Field(
        default=None, description="What closes the channel, if that was said."
    )
    lifted: bool = Field(default=False, description="What closed the channel was lifted.")
    at: datetime
    source: str = Field(description="Who said so.")
    event: str | None = Field(description="The event that told of it; null: a trait did.")
    reason: str | None = None
    by: str | None = Field(default=None, description="Whose key it was changed with, by the API.")
    message_id: str | None = None


class ConsentHistory(Page, Consents):
    """A customer's consents, and a page of all that was said of them, the newest first."""

    items: list[ConsentSaid]
