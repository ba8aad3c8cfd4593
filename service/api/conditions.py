"""`/conditions`: conditions that come from elsewhere."""

import asyncio
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from service.api.bodies import BodyRoute
from service.api.decoding import check_tree
from service.api.problems import HttpProblem, invalid
from service.api.schemas import Fault, Strict
from service.api.services import WithServices
from service.core.english import summarise
from service.core.importing.draft import Imported
from service.core.importing.jsonlogic import from_jsonlogic
from service.core.importing.querybuilder import from_querybuilder
from service.core.parsing import Invalid, Problem, Schema

router = APIRouter(prefix="/conditions", tags=["conditions"], route_class=BodyRoute)


class ConditionSource(Strict):
    """A condition as another program writes it."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "format": "jsonlogic",
                    "logic": {
                        "and": [
                            {">=": [{"var": "orders"}, 3]},
                            {"in": [{"var": "country"}, ["CZ", "SK"]]},
                        ]
                    },
                }
            ]
        },
    )

    format: Literal["jsonlogic", "querybuilder"]
    logic: Any = Field(default=None, description="A rule of JSONLogic, where that is the format.")
    query: Any = Field(
        default=None, description="A query of react-querybuilder, where that is the format."
    )

    def read(self, schema: Schema) -> Imported:
        """The condition as one of ours. Raises Invalid, with pointers into this body."""
        wanted, other = ("logic", "query") if self.format == "jsonlogic" else ("query", "logic")
        problems = []
        if wanted not in self.model_fields_set:
            problems.append(Problem(f"/{wanted}", "required", f"{self.format} comes as {wanted}"))
        if other in self.model_fields_set:
            detail = f"{self.format} comes as {wanted}, not as {other}"
            problems.append(Problem(f"/{other}", "unknown_property", detail))
        if problems:
            raise Invalid(problems)
        if self.format == "jsonlogic":
            return from_jsonlogic(self.logic, schema, "/logic")
        return from_querybuilder(self.query, schema, "/query")


class ImportedCondition(BaseModel):
    """The same as a condition of ours."""

    condition: dict[str, Any] = Field(description="Ready for `condition` of a segment.")
    summary: str = Field(description="The condition in plain English.")
    warnings: list[Fault] = Field(
        description="Where its truth can differ, with pointers into the request."
    )


@router.post("/import")
async def import_condition(services: WithServices, body: ConditionSource) -> ImportedCondition:
    """Read a condition of JSONLogic, or of react-querybuilder's editor, as one of ours that is true
    of the same customers. Where truth can differ, a warning says so; nothing is dropped, and
    nothing is stored."""
    schema = services.live.served.catalog.schema
    # Beside the event loop: a large one takes a while.
    imported = await asyncio.to_thread(body.read, schema)
    try:
        # As it would come to `/segments`.
        check_tree(imported.condition, "", 2, services.settings.json_depth)
    except HttpProblem as fault:
        detail = "this becomes a condition that is nested deeper than a body may be"
        place = "/logic" if body.format == "jsonlogic" else "/query"
        raise invalid([Problem(place, "too_deep", detail)]) from fault
    return ImportedCondition(
        condition=imported.condition,
        summary=summarise(imported.parsed),
        warnings=[
            Fault(pointer=each.pointer, code=each.code, detail=each.detail)
            for each in imported.warnings
        ],
    )
