"""What the ordinary routes take and give."""

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
)

KEY_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,63}$"
RESERVED_KEYS = frozenset({"preview", "overlap", "import"})
Status = Literal["draft", "active", "archived"]
Kind = Literal["rule", "model", "list"]


def _not_reserved(key: str) -> str:
    if key in RESERVED_KEYS:
        raise ValueError(f"{key} is reserved")
    return key


def storable(text: str) -> str:
    """A text that PostgreSQL can keep: no U+0000."""
    if "\0" in text:
        raise ValueError("U+0000 can't be stored in a text")
    return text


Text = Annotated[str, AfterValidator(storable)]
Key = Annotated[str, Field(pattern=KEY_PATTERN), AfterValidator(_not_reserved)]


class Strict(BaseModel):
    """A body whose unknown members are refused."""

    model_config = ConfigDict(extra="forbid")


class Fault(BaseModel):
    """One thing that is wrong, and where."""

    pointer: str = Field(
        description="RFC 6901: into the body; below `/query`, `/path` or `/header` elsewhere; "
        "`line 12` of an uploaded list."
    )
    code: str = Field(description="For programs; docs/errors.md lists them.")
    detail: str = Field(description="For people.")


class Page(BaseModel):
    """A page of a list; `next_cursor` leads to the next, null on the last."""

    next_cursor: str | None = None


_PROBLEM: dict[str, Any] = {
    "type": "urn:segserve:problem:invalid",
    "title": "Unprocessable Entity",
    "status": 422,
    "detail": '"=>" is no operator',
    "instance": "/segments/adults",
    "code": "invalid",
    "message": '"=>" is no operator',
    "errors": [
        {
            "pointer": "/condition/rules/0/operator",
            "code": "unknown_operator",
            "detail": '"=>" is no operator',
        }
    ],
}


class ProblemDocument(BaseModel):
    """RFC 9457: what is wrong, and where."""

    model_config = ConfigDict(json_schema_extra={"examples": [_PROBLEM]})

    type: str = Field(description="A URN that ends in the code.")
    title: str = Field(description="The status in words.")
    status: int
    detail: str = Field(description="What is wrong, for people.")
    instance: str = Field(description="The path that was asked.")
    code: str = Field(description="For programs; docs/errors.md lists them.")
    message: str = Field(description="The same as detail, for tracking SDKs.")
    errors: list[Fault] = Field(default=[], description="Each fault with its place; or absent.")
