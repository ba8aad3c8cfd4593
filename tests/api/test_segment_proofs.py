"""What is proved of a definition when it is saved: refused, or warned of."""

from typing import Any

import pytest
from sqlalchemy import text

from tests.api.asking import refused
from tests.contracts.test_errors import shaped
from tests.running import group
from tests.serving import Service

NEVER = group(("age", ">", 20), ("age", "<", 10))


def told(segment: Any) -> list[tuple[str, str]]:
    return [(each["pointer"], each["code"]) for each in segment["warnings"]]


def put(service: Service, key: str, condition: Any, **more: Any) -> Any:
    answer = service.ask("put", f"/segments/{key}", json={"condition": condition, **more})
    assert answer.is_success, answer.text
    return answer.json()


def test_what_nobody_can_meet_is_refused_with_a_sentence(fresh: Service) -> None:
    answer = fresh.ask("put", "/segments/never", json={"condition": NEVER})
    problem = shaped(answer)
    assert answer.status_code == 422
    [fault] = problem["errors"]
    assert (fault["pointer"], fault["code"]) == ("/condition/rules/1", "contradictory")
    assert fault["detail"].startswith("No customer can match: age is less than 10 here, and")
    assert fresh.ask("get", "/segments/never").status_code == 404


def test_a_draft_is_warned_of_what_it_could_not_be_active_with(fresh: Service) -> None:
    draft = put(fresh, "never", NEVER, status="draft")
    assert told(draft) == [("/condition/rules/1", "contradictory")]
    patch = refused(fresh, "patch", "/segments/never", {"status": "active"})
    assert patch == ("invalid", [("/condition/rules/1", "contradictory")])
    path = "/segments/never/activate"
    assert refused(fresh, "post", path, {}) == (
        "invalid", [("/condition/rules/1", "contradictory")],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (
            group(("age", "null", None), ("age", "notNull", None), combinator="or"),
            ("/condition", "always_true"),
        ),
        (
            {"combinator": "or", "rules": [
                {"field": "vip", "operator": "=", "value": True}, NEVER]},
            ("/condition/rules/1/rules/1", "unreachable_rule"),
        ),
        (group(("age", ">", 20), ("age", ">", 10)), ("/condition/rules/1", "redundant_rule")),
    ],
)  # fmt: skip
def test_what_is_in_vain_is_warned_of(
    fresh: Service, condition: Any, expected: tuple[str, str]
) -> None:
    saved = put(fresh, "some", condition)
    assert (told(saved), saved["status"]) == ([expected], "active")
    # It was told: reading the segment does not tell it again.
    assert fresh.get("/segments/some")["warnings"] == []


def test_references_are_followed(fresh: Service) -> None:
    fresh.save("adult", ("age", ">=", 18))
    condition = group(("segment:adult", "=", True), ("age", "<", 10))
    faults = refused(fresh, "put", "/segments/never", {"condition": condition})
    assert faults[1] == [("/condition/rules/1", "contradictory")]


def test_who_never_wins_in_a_scheme_is_warned_of(fresh: Service) -> None:
    fresh.save("big", ("spent", ">", 100), scheme="tier", priority=1)
    saved = put(fresh, "huge", group(("spent", ">", 1_000)), scheme="tier", priority=2)
    assert told(saved) == [("/condition", "shadowed_in_scheme")]
    assert saved["warnings"][0]["detail"].startswith("huge never has a member")


def test_who_shuts_another_out_is_told(fresh: Service) -> None:
    fresh.save("huge", ("spent", ">", 1_000), scheme="tier", priority=2)
    saved = put(fresh, "big", group(("spent", ">", 100)), scheme="tier", priority=1)
    assert told(saved) == [("/priority", "shadowed_in_scheme")]
    assert "huge never has a member" in saved["warnings"][0]["detail"]
    # Once it is so, another save of another segment does not tell it again.
    first = put(fresh, "first", group(("spent", "<", 0)), scheme="tier", priority=0)
    assert told(first) == []


def test_overlapping_priorities_are_told(fresh: Service) -> None:
    fresh.save("a", ("spent", "<", 100), scheme="tier", priority=1)
    saved = put(fresh, "b", group(("spent", ">", 50)), scheme="tier", priority=2)
    assert told(saved) == [("/priority", "priority_overlap")]
    assert "a takes them" in saved["warnings"][0]["detail"]


def test_one_priority_for_two_is_a_conflict_by_one_name(fresh: Service) -> None:
    fresh.save("a", ("spent", "<", 100), scheme="tier", priority=1)
    body = {"condition": group(("age", ">", 1)), "scheme": "tier", "priority": 1}
    assert refused(fresh, "put", "/segments/b", body) == ("invalid", [("/priority", "conflict")])
    draft = put(fresh, "b", body["condition"], scheme="tier", priority=1, status="draft")
    assert told(draft) == [("/priority", "conflict")]


def test_what_stood_before_goes_on_standing(fresh: Service) -> None:
    fresh.save("never", ("age", ">", 20))
    fresh.runner.run(_stored_before(fresh, "never"))
    renamed = fresh.ask("patch", "/segments/never", json={"name": "Never"})
    assert renamed.status_code == 200, renamed.text
    assert told(renamed.json()) == [("/condition/rules/1", "contradictory")]
    assert fresh.get("/catalog")["refused"] == []
    other = group(("age", ">", 30), ("age", "<", 10))
    faults = refused(fresh, "patch", "/segments/never", {"condition": other})
    assert faults[1] == [("/condition/rules/1", "contradictory")]


async def _stored_before(service: Service, key: str) -> None:
    """As an earlier version, which proved nothing, would have stored it."""
    rule = {"field": "age", "operator": "<", "value": 10}
    statement = text(
        "update segments set definition = jsonb_insert("
        "definition, '{condition,rules,1}', cast(:rule as jsonb)) where key = :key"
    )
    async with service.process.database.engine.begin() as connection:
        json = '{"field": "%(field)s", "operator": "%(operator)s", "value": %(value)d}' % rule  # noqa: UP031 - braces
        await connection.execute(statement, {"rule": json, "key": key})


def test_an_answer_tells_twenty_findings_at_most(fresh: Service) -> None:
    rules = [rule for n in range(30) for rule in ((f"t{n}", ">", 2), (f"t{n}", ">", 1))]
    assert len(put(fresh, "vain", group(*rules))["warnings"]) == 20
