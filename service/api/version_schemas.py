"""What the routes about a segment's versions, users and publication take and give."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.api.schemas import Key, Page, Status, Strict, Text
from service.flows.publications import Notify


class RuleChange(BaseModel):
    """A rule or group of the condition that is not what it was."""

    pointer: str = Field(
        description="Where it stands: in this version, or in the one before if it was removed."
    )
    change: Literal["added", "removed", "changed"]
    before: Any = None
    after: Any = None


class Sides(BaseModel):
    """A member before and after; where a side is left out, there was no such member."""

    before: Any = None
    after: Any = None
    rules: list[RuleChange] | None = Field(
        default=None,
        description="Of `condition`, whose sides are its summaries: what changed, the first 100.",
    )


class Version(BaseModel):
    """A version of a segment, and what it changed."""

    version: int
    status: Status
    created_at: datetime
    author: str | None = Field(description="The name of the key; null where nobody asked for one.")
    reason: str | None = Field(description="The `X-Change-Reason` that the author gave.")
    summary: str = Field(description="The condition in plain English.")
    definition: dict[str, Any]
    masked: list[str] = Field(
        description="JSON pointers into `definition`, and `/summary`: what is masked, because it "
        "is personal."
    )
    difference: dict[str, Sides] | None = Field(
        description="Each member that differs from the version before; null of the first version."
    )


class Versions(Page):
    """A page of versions, the newest first."""

    items: list[Version]


class RollBack(Strict):
    """The version to go back to."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"version": 2}]})

    version: Annotated[int, Field(strict=True, ge=1, le=2_147_483_647)]


class Activation(Strict):
    """Whom to tell of the activation itself; of what happens afterwards everyone is told."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"notify": "new"}]})

    notify: Notify = Field(
        default=Notify.NONE,
        description="Messages about those whom it lets in or out: `none`; `new`, those who were "
        "not in before; `all` who are in.",
    )


class SnapshotWanted(Strict):
    """The list to make."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"key": "vip-nov", "name": "VIP in November"}]},
    )

    key: Key
    name: Annotated[Text, Field(min_length=1, max_length=200)] | None = None


class User(BaseModel):
    """A segment that refers to another."""

    key: str
    name: str
    status: Literal["draft", "active"]
    rules: list[str] = Field(description="JSON pointers of the rules that do.")


class Place(BaseModel):
    """A segment's place among those of its scheme."""

    key: str
    priority: int | None
    status: Literal["draft", "active"]


class UsedScheme(BaseModel):
    """The scheme that a segment belongs to: whoever comes first takes the customer."""

    key: str
    segments: list[Place]


class Uses(Page):
    """A page of the segments that refer to one, and its scheme."""

    items: list[User]
    scheme: UsedScheme | None
