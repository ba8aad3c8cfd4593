"""`POST /assign`: time in the answer, and limits that depend on what came before."""

import json
from typing import Any

import pytest

from service.core.instants import DAY, format_instant
from tests.running import NOW, Clock
from tests.serving import JSON, Service


@pytest.fixture
def clock(fresh: Service) -> Clock:
    """The time that the service goes by."""
    told = fresh.process.services.clock
    assert isinstance(told, Clock)
    return told


def refused(service: Service, body: bytes | dict[str, Any]) -> list[tuple[str, str]]:
    """Where and why /assign refuses a body, which has to be a 422."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = service.ask("post", "/assign", content=content, headers=JSON)
    assert answer.status_code == 422, answer.text
    return [(fault["pointer"], fault["code"]) for fault in answer.json()["errors"]]


def keys(answer: Any) -> list[str]:
    return [segment["key"] for segment in answer["segments"]]


def ends(answer: Any) -> dict[str, str | None]:
    return {segment["key"]: segment["valid_until"] for segment in answer["segments"]}


def test_members_come_in_the_documented_order(fresh: Service) -> None:
    fresh.save("adult", ("age", ">=", 18), treatment={"tone": "warm"})
    answer = fresh.assign("c-1", traits={"age": 20}, include=["treatment", "traits"])
    assert list(answer) == [
        "customer_id", "segments", "schemes", "entered", "exited", "models", "variants",
        "valid_until", "recorded", "sequence", "catalog_revision", "evaluated_at", "traits",
    ]  # fmt: skip
    [segment] = answer["segments"]
    assert list(segment) == ["key", "name", "scheme", "since", "valid_until", "treatment"]


def test_valid_until_is_the_first_change_and_each_segments_own_end(
    fresh: Service, clock: Clock
) -> None:
    fresh.save("week", ("ordered", "withinLast", "7d"))
    fresh.save("month", ("ordered", "withinLast", "30d"))
    fresh.save("quiet", ("ordered", "notWithinLast", "10d"))
    fresh.save("known", ("ordered", "notNull", None))
    traits = {"ordered": format_instant(NOW - DAY)}
    holds = {"week": NOW + 6 * DAY, "month": NOW + 29 * DAY}
    expected = {"known": None, **{key: format_instant(end) for key, end in holds.items()}}
    unnamed = fresh.assign(traits=traits)
    what_if = fresh.assign("c-1", traits=traits, record=False)
    recorded = fresh.assign("c-1", traits=traits)
    for answer in (unnamed, what_if, recorded):
        assert ends(answer) == expected
        assert answer["valid_until"] == format_instant(NOW + 6 * DAY)

    clock.now = NOW + 6 * DAY - 1
    assert keys(fresh.assign("c-1")) == ["known", "month", "week"]
    clock.now = NOW + 6 * DAY
    answer = fresh.assign("c-1")
    assert keys(answer) == ["known", "month"]
    assert answer["exited"] == [{"key": "week", "reason": {"kind": "time"}}]
    # Who is not in yet is a change to come as well.
    assert answer["valid_until"] == format_instant(NOW + 9 * DAY)


def test_since_is_when_it_came_true_not_when_it_was_noticed(fresh: Service, clock: Clock) -> None:
    fresh.save("quiet", ("ordered", "notWithinLast", "10d"))
    fresh.assign("c-1", traits={"ordered": format_instant(NOW)})
    clock.now = NOW + 40 * DAY
    answer = fresh.assign("c-1", traits={"city": "Brno"})
    assert answer["entered"] == ["quiet"]
    assert [segment["since"] for segment in answer["segments"]] == [format_instant(NOW + 10 * DAY)]
    assert answer["evaluated_at"] == format_instant(NOW + 40 * DAY)
    assert answer["valid_until"] is None


def test_a_move_there_and_back_is_no_move_of_the_answer(fresh: Service, clock: Clock) -> None:
    """Overdue instants are settled first: who left by time and is back has entered."""
    fresh.save("recent", ("ordered", "withinLast", "7d"))
    fresh.assign("c-1", traits={"ordered": format_instant(NOW)})
    clock.now = NOW + 30 * DAY
    answer = fresh.assign("c-1", traits={"ordered": format_instant(NOW + 30 * DAY)})
    assert (answer["entered"], answer["exited"], answer["sequence"]) == (["recent"], [], 3)


def test_narrowing_narrows_exits_too(fresh: Service) -> None:
    fresh.save("adult", ("age", ">=", 18))
    fresh.save("senior", ("age", ">=", 65))
    fresh.assign("c-1", traits={"age": 70})
    answer = fresh.assign("c-1", traits={"age": 10}, segments=["senior"])
    assert [exited["key"] for exited in answer["exited"]] == ["senior"]
    # All of them are stored, whatever was asked about.
    assert fresh.get("/customers/c-1")["segments"] == []


def test_a_retry_repeats_the_sequence_and_writes_nothing(fresh: Service) -> None:
    fresh.save("adult", ("age", ">=", 18))
    body: dict[str, Any] = {"traits": {"age": 20, "tags": ["vip"], "home": {"lat": 1, "lon": 2}}}
    first = fresh.assign("c-1", **body)
    tables = "select xmin::text from customers union all select xmin::text from transitions"
    before = fresh.rows(tables)
    again = fresh.assign("c-1", **body)
    assert again == {**first, "entered": []}
    assert fresh.rows(tables) == before
    assert fresh.rows("select count(*) from trait_history") == [(3,)]


def test_not_recorded_stores_nothing_anywhere(fresh: Service) -> None:
    fresh.save("adult", ("age", ">=", 18))
    fresh.settle()
    for customer_id in ("c-1", None):
        fresh.assign(customer_id, traits={"age": 20}, record=False)
    for table in ("customers", "memberships", "transitions", "trait_history"):
        assert fresh.rows(f"select * from {table}") == []


def test_traits_merge_over_the_stored_ones(fresh: Service) -> None:
    first = {"age": 31, "address": {"city": "Brno", "zip": "60200"}, "tags": ["a", "b"], "old": 1}
    fresh.assign("c-1", traits=first)
    patch = {"address": {"zip": None, "street": "Hlinky"}, "tags": ["c"], "old": None}
    merged = {"age": 31, "address": {"city": "Brno", "street": "Hlinky"}, "tags": ["c"]}
    what_if = fresh.assign("c-1", traits=patch, record=False, include=["traits"])
    assert what_if["traits"] == merged
    assert fresh.get("/customers/c-1")["traits"] == first
    recorded = fresh.assign("c-1", traits=patch, include=["traits"])
    assert recorded["traits"] == merged
    assert fresh.get("/customers/c-1")["traits"] == merged


def test_removals_of_someone_unnamed_leave_nothing(fresh: Service) -> None:
    fresh.save("without-city", ("city", "null", None))
    answer = fresh.assign(traits={"city": None, "age": 3})
    assert keys(answer) == ["without-city"]


@pytest.mark.parametrize("huge", [2**53, 2**63, 2**64, 10**30])
def test_huge_integers_are_exact_in_conditions(fresh: Service, huge: int) -> None:
    """As a float, one more would be the same."""
    fresh.save("same", ("points", "=", huge + 1))
    fresh.save("more", ("points", ">", huge))
    fresh.save("listed", ("points", "in", [huge + 1, 5]))
    assert keys(fresh.assign(traits={"points": huge})) == []
    assert keys(fresh.assign("c-1", traits={"points": huge})) == []
    for answer in (
        fresh.assign(traits={"points": huge + 1}),
        fresh.assign("c-1", traits={"points": huge + 1}),
    ):
        assert keys(answer) == ["listed", "more", "same"]
    stored = fresh.ask("get", "/segments/same").json()["condition"]["rules"][0]["value"]
    assert stored == huge + 1
    assert fresh.get("/customers/c-1")["traits"] == {"points": huge + 1}


@pytest.mark.parametrize(
    ("traits", "pointer", "code"),
    [
        (b'{"age": "\\u0000"}', "/traits/age", "bad_value"),
        (b'{"tags": ["a", "\\u0000"]}', "/traits/tags/1", "bad_value"),
        (b'{"tags": [["\\u0000"]]}', "/traits/tags/0/0", "bad_value"),
        (b'{"tags": [{"\\u0000": 1}]}', "/traits/tags/0", "bad_value"),
        (b'{"home": {"city": "\\u0000"}}', "/traits/home/city", "bad_value"),
        (b'{"home": {"c.d": 1}}', "/traits/home/c.d", "bad_name"),
        (b'{"home": {"city": {"c:d": 1}}}', "/traits/home/city/c:d", "bad_name"),
        (b'{"age": {"": 1}}', "/traits/age/", "bad_name"),
        (b'{"age": 1, "customer": 1}', "/traits/customer", "bad_name"),
        (b'{"a/b~": {"c.d": 1}}', "/traits/a~1b~0/c.d", "bad_name"),
        (b'{"' + b"x" * 129 + b'": 1}', "/traits/" + "x" * 129, "bad_name"),
    ],
)
def test_names_that_passed_once_do_not_cover_what_comes_under_them(
    service: Service, traits: bytes, pointer: str, code: str
) -> None:
    passed = {"age": 1, "tags": ["a"], "home": {"city": "Brno", "customer": 1}, "a/b~": 1}
    service.assign(traits=passed)
    service.assign(traits=passed)
    assert refused(service, b'{"traits": ' + traits + b"}") == [(pointer, code)]


def test_every_bad_name_is_told(service: Service) -> None:
    body = {"traits": {"a.b": 1, "fine": 2, "c:d": 3}}
    assert refused(service, body) == [("/traits/a.b", "bad_name"), ("/traits/c:d", "bad_name")]


def test_the_number_of_traits_is_counted_over_what_is_stored(fresh: Service) -> None:
    fresh.assign("c-1", traits={f"t{n}": n for n in range(500)})
    one_more = {"customer_id": "c-1", "traits": {"one-more": 1}}
    assert refused(fresh, one_more) == [("/traits", "too_many")]
    nested = {"customer_id": "c-1", "traits": {"address": {"city": "Brno"}}}
    assert refused(fresh, nested) == [("/traits", "too_many")]
    assert len(fresh.get("/customers/c-1")["traits"]) == 500
    fresh.assign("c-1", traits={"t0": None, "one-more": 1})
    assert fresh.get("/customers/c-1")["traits"].keys() == {
        "one-more", *(f"t{n}" for n in range(1, 500)),
    }  # fmt: skip


def test_the_size_of_traits_is_measured_over_what_is_stored(fresh: Service) -> None:
    fresh.assign("c-1", traits={"first": "x" * 40_000})
    second = {"customer_id": "c-1", "traits": {"second": "y" * 30_000}}
    assert refused(fresh, second) == [("/traits", "too_large")]
    assert list(fresh.get("/customers/c-1")["traits"]) == ["first"]
    # In bytes, not in characters.
    wide = {"customer_id": "c-2", "traits": {"wide": "ž" * 40_000}}
    assert refused(fresh, wide) == [("/traits", "too_large")]
    fresh.assign("c-1", traits={"first": None, "second": "y" * 60_000})
    assert list(fresh.get("/customers/c-1")["traits"]) == ["second"]


@pytest.mark.parametrize("customer_id", ["c" * 256, "🐈" * 256, " ", "~", "e\u0301"])
def test_ids_of_256_characters(fresh: Service, customer_id: str) -> None:
    fresh.save("adult", ("age", ">=", 18))
    assert fresh.assign(customer_id, traits={"age": 20})["customer_id"] == customer_id
    members = fresh.get("/segments/adult/members")["items"]
    assert [member["customer_id"] for member in members] == [customer_id]


@pytest.mark.parametrize("customer_id", ["c" * 257, "🐈" * 257, ""])
def test_ids_that_are_too_long_or_empty(service: Service, customer_id: str) -> None:
    [(pointer, _)] = refused(service, {"customer_id": customer_id})
    assert pointer == "/customer_id"


def test_ids_compare_bytewise(fresh: Service) -> None:
    alike = ["e\u0301", "\u00e9", "E\u0301", "c-1", "C-1", "c-1 "]
    for age, customer_id in enumerate(alike):
        fresh.assign(customer_id, traits={"age": age})
    rows = fresh.rows("select customer_id, traits -> 'age' from customers order by 2")
    assert rows == list(zip(alike, range(len(alike)), strict=True))


def test_a_scheme_has_one_winner_and_tells_who(fresh: Service) -> None:
    fresh.save("gold", ("spent", ">", 100), scheme="tier", priority=1)
    fresh.save("silver", ("spent", ">", 10), scheme="tier", priority=2)
    fresh.save("lead", ("segment:gold", "=", False), scheme="stage", priority=1)
    rich = fresh.assign("c-1", traits={"spent": 500})
    assert (keys(rich), rich["schemes"]) == (["gold"], {"stage": None, "tier": "gold"})
    poorer = fresh.assign("c-1", traits={"spent": 50})
    assert (keys(poorer), poorer["schemes"]) == (["lead", "silver"], {"stage": "lead", "tier": "silver"})  # fmt: skip  # noqa: E501
    assert poorer["entered"] == ["lead", "silver"]
    assert poorer["exited"] == [{"key": "gold", "reason": {"kind": "trait", "traits": ["spent"]}}]


def test_the_next_answer_is_of_the_new_definition(fresh: Service) -> None:
    before = fresh.assign("c-1", traits={"age": 20})
    fresh.save("adult", ("age", ">=", 18))
    fresh.save("draft", ("age", ">=", 18), status="draft")
    fresh.settle()
    after = fresh.assign("c-1")
    assert keys(after) == ["adult"]
    assert after["catalog_revision"] == before["catalog_revision"] + 1
    # The job has entered the customer already, so this call has not.
    assert (after["entered"], after["sequence"]) == ([], 1)
