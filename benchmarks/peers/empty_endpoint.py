"""The empty peer of `/assign`: FastAPI with Pydantic in and out, and nothing between."""

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()


class Question(BaseModel):
    customer_id: str | None = None
    traits: dict[str, Any] = {}
    record: bool = True


class Answer(BaseModel):
    customer_id: str | None
    segments: list[str]
    recorded: bool


@app.post("/assign")
async def assign(question: Question) -> Answer:
    return Answer(customer_id=question.customer_id, segments=[], recorded=question.record)


@app.get("/readyz")
async def ready() -> dict[str, str]:
    return {"status": "ready"}
