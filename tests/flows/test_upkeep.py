"""Segments that expire are archived by the service, seconds later, and by nobody else's hand."""

from typing import Any

import pytest

from tests.api.asking import members, refused
from tests.running import NOW, Clock, eventually
from tests.serving import Service

DAY = 86_400_000_000
EXPIRES = {"expires_at": "2027-01-16T08:00:00Z"}  # a day after NOW


@pytest.fixture
def clock(fresh: Service) -> Clock:
    found = fresh.process.services.clock
    assert isinstance(found, Clock)
    return found


def status(service: Service, key: str) -> str:
    return str(service.get(f"/segments/{key}")["status"])


def codes(segment: Any) -> list[str]:
    return [each["code"] for each in segment["warnings"]]


def look(service: Service) -> None:
    service.runner.run(service.process.upkeep.look())
    service.settle()


def test_an_expired_segment_is_archived_and_its_members_leave(fresh: Service, clock: Clock) -> None:
    saved = fresh.save("spring", ("age", ">=", 18), **EXPIRES)
    assert codes(saved) == ["expires_soon"]
    fresh.assign("c-1", traits={"age": 20})
    clock.now = NOW + DAY - 1
    look(fresh)
    assert status(fresh, "spring") == "active"
    clock.now = NOW + DAY
    look(fresh)
    assert status(fresh, "spring") == "archived"
    assert members(fresh, "spring") == []
    [left, _] = fresh.get("/customers/c-1/transitions")["items"]
    assert (left["type"], left["reason"]) == ("exited", {"kind": "definition"})
    [last] = fresh.rows("select author, action, reason from audit order by id desc limit 1")
    assert last == ("segserve", "segment.archived", "its expires_at has passed")
    look(fresh)
    assert fresh.get("/segments/spring")["version"] == 2


def test_it_happens_by_itself(fresh: Service, clock: Clock) -> None:
    fresh.save("spring", ("age", ">=", 18), **EXPIRES)
    clock.now = NOW + DAY

    async def archived() -> bool:
        return "spring" not in fresh.process.live.served.catalog.segments

    fresh.runner.run(eventually(archived))
    assert status(fresh, "spring") == "archived"


def test_a_draft_expires_too_and_put_revives(fresh: Service, clock: Clock) -> None:
    fresh.save("sketch", ("age", ">=", 18), status="draft", **EXPIRES)
    clock.now = NOW + DAY
    look(fresh)
    assert status(fresh, "sketch") == "archived"
    faults = refused(fresh, "put", "/segments/sketch", EXPIRES | {"status": "draft"}, 422)
    assert faults == ("invalid", [("/expires_at", "in_the_past")])
    revived = fresh.save("sketch", ("age", ">=", 18), expires_at="2027-06-01T00:00:00Z")
    assert (revived["status"], revived["expires_at"]) == ("active", "2027-06-01T00:00:00Z")


def test_what_others_use_stays_and_warns(fresh: Service, clock: Clock) -> None:
    fresh.save("base", ("age", ">=", 18), **EXPIRES)
    fresh.save("user", ("segment:base", "=", True))
    clock.now = NOW + DAY
    look(fresh)
    stayed = fresh.get("/segments/base")
    assert (stayed["status"], codes(stayed)) == ("active", ["expired"])
    assert "because user uses it" in stayed["warnings"][0]["detail"]
    # It may still be described; only another date in the past is refused.
    assert fresh.ask("patch", "/segments/base", json={"name": "Base"}).status_code == 200
    past = {"expires_at": "2027-01-01T00:00:00Z"}
    assert refused(fresh, "patch", "/segments/base", past)[1] == [("/expires_at", "in_the_past")]
    fresh.ask("delete", "/segments/user")
    look(fresh)
    assert status(fresh, "base") == "archived"


def test_segments_that_use_each_other_expire_one_after_the_other(
    fresh: Service, clock: Clock
) -> None:
    fresh.save("a", ("age", ">=", 18), **EXPIRES)
    fresh.save("b", ("segment:a", "=", True), **EXPIRES)
    clock.now = NOW + DAY
    look(fresh)
    look(fresh)
    assert (status(fresh, "a"), status(fresh, "b")) == ("archived", "archived")


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("2027-03-01T00:00:00Z", "2027-03-01T00:00:00Z"),
        ("2027-03-01T01:00:00+01:00", "2027-03-01T00:00:00Z"),
        ("2027-03-01T00:00:00.250Z", "2027-03-01T00:00:00.250000Z"),
    ],
)
def test_expiry_is_an_instant(fresh: Service, sent: str, kept: str) -> None:
    assert fresh.save("s", ("age", ">=", 18), expires_at=sent)["expires_at"] == kept
    [(stored,)] = fresh.rows("select definition ->> 'expires_at' from segments")
    assert stored == kept


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ("2027-01-15T08:00:00Z", "in_the_past"),
        ("1999-01-01T00:00:00Z", "in_the_past"),
        ("2027-03-01", "bad_value"),
        ("soon", "bad_value"),
        ("2027-13-01T00:00:00Z", "bad_value"),
        (1_900_000_000, "type"),
    ],
)
def test_what_is_no_expiry(fresh: Service, sent: Any, code: str) -> None:
    for status_ in ("active", "draft"):
        body = {"expires_at": sent, "status": status_}
        assert refused(fresh, "put", "/segments/s", body)[1] == [("/expires_at", code)]


def test_review_and_size_are_warned_of_when_read(fresh: Service, clock: Clock) -> None:
    limits = {"min_size": 2, "min_share": 0.9}
    fresh.save("few", ("age", ">=", 18), review_by="2027-01-15", limits=limits)
    fresh.assign("c-1", traits={"age": 20})
    fresh.assign("c-2", traits={"age": 2})
    fresh.measure()
    clock.now = NOW + DAY
    few = fresh.get("/segments/few")
    assert codes(few) == ["review_due", "too_small", "too_small"]
    assert fresh.get("/segments")["items"][0]["warnings"] == few["warnings"]
    details = [each["detail"] for each in few["warnings"][1:]]
    assert details == [
        "it has 1 members, and should have 2 at least",
        "50% of all customers are in it, and 90% should be",
    ]
    fresh.ask("patch", "/segments/few", json={"status": "draft"})
    assert codes(fresh.get("/segments/few")) == ["review_due"]


@pytest.mark.parametrize("limits", [{"min_size": -1}, {"min_share": 1.5}, {"min_share": -0.1}])
def test_limits_that_nothing_can_be_below(fresh: Service, limits: Any) -> None:
    assert refused(fresh, "put", "/segments/s", {"limits": limits})[1] == [("/limits", "bad_value")]
