"""What the routes of members and lists take and give."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field

from service.api.schemas import Page, Strict, Text


class Member(BaseModel):
    """A customer in a segment."""

    customer_id: str
    since: datetime
    version: int = Field(description="The definition's version that let them in.")


class Members(Page):
    """A page of members."""

    items: list[Member]


class ListChange(Strict):
    """Ids to add to and to remove from a list."""

    add: Annotated[list[Annotated[Text, Field(min_length=1, max_length=256)]],
                   Field(max_length=10_000)] = Field([])  # fmt: skip
    remove: Annotated[list[Annotated[Text, Field(min_length=1, max_length=256)]],
                      Field(max_length=10_000)] = Field([])  # fmt: skip


class ListChanged(BaseModel):
    """How many entries of the list changed."""

    changed: int


class UploadedList(BaseModel):
    """What an upload came to."""

    job: int = Field(description="The job that decides the customers who came or went.")
    size: int = Field(description="Ids that are on the list now.")
    added: int
    removed: int
    ignored: list[str] = Field(description="Columns or members that were ignored: the first 20.")
