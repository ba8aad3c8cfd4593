"""Ready-made traits over the wire: there without a definition, once anything asks for them."""

from typing import Any

from service.core.instants import DAY, format_instant
from tests.api.tracking import make, taken
from tests.running import NOW
from tests.serving import Service


def event(name: str, number: int, at: int = NOW, **properties: Any) -> dict[str, Any]:
    return {
        "event": name,
        "message_id": f"{name}-{number}",
        "timestamp": format_instant(at),
        "properties": properties,
    }


def order(number: int, total: float, at: int = NOW, **more: Any) -> dict[str, Any]:
    return event("Order Completed", number, at, order_id=f"o-{number}", total=total, **more)


def keys(answer: Any) -> list[str]:
    return [segment["key"] for segment in answer["segments"]]


def test_a_condition_reads_what_nobody_defined(fresh: Service) -> None:
    fresh.assign("c-1", events=[order(1, 40), order(2, 70)])
    fresh.save("generous", ("average_order_value", ">=", 50))
    fresh.settle()
    assert [each["customer_id"] for each in fresh.get("/segments/generous/members")["items"]] == [
        "c-1"
    ]
    answer = fresh.assign("c-2", events=[order(3, 60)], include=["traits"])
    assert keys(answer) == ["generous"]
    # What the condition reads is computed, and what that reads, and nothing else.
    assert answer["traits"] == {"orders": 1, "revenue": 60, "average_order_value": 60}
    assert fresh.process.live.served.derivations.fields == {
        "orders",
        "revenue",
        "average_order_value",
    }


def test_nothing_is_derived_where_nothing_asks(fresh: Service) -> None:
    fresh.save("adults", ("age", ">=", 18))
    assert not fresh.process.live.served.derivations.any
    answer = fresh.assign("c-1", traits={"age": 31}, events=[order(1, 40)], include=["traits"])
    assert answer["traits"] == {"age": 31}


def test_a_profile_shows_them_all(fresh: Service) -> None:
    lines = [{"category": "shoes", "price": 10, "quantity": 2}, {"category": "hats", "price": 5}]
    fresh.assign(
        "c-1",
        events=[
            order(1, 30, NOW - 10 * DAY, revenue=25, discount=5, products=lines),
            order(2, 60, NOW - 4 * DAY, revenue=50, products=lines[:1]),
            event("Order Refunded", 1, order_id="o-2", total=20),
            event("Email Opened", 1),
            event("Email Opened", 2, sg_machine_open=True),
            event("Email Opened", 3, sg_machine_open=False),
            event("Email Link Clicked", 1),
        ],
    )
    told = fresh.get("/customers/c-1")
    assert told["traits"] == {
        "orders": 2,
        "revenue": 55,
        "gross_revenue": 90,
        "average_order_value": 27.5,
        "first_order_at": format_instant(NOW - 10 * DAY),
        "last_order_at": format_instant(NOW - 4 * DAY),
        "median_gap_days": 6,
        "favourite_category": "shoes",
        "discount_amount": 5,
        "discount_amount_share": 5 / 60,
        "discounted_orders": 1,
        "discount_share": 0.5,
        "refunds": 20,
        "refund_share": 20 / 90,
        "email_opens": 2,
        "email_clicks": 1,
    }
    assert {each["source"] for each in told["sources"].values()} == {"derived"}
    assert fresh.get("/customers/c-1/export")["profile"]["traits"] == told["traits"]


def test_a_profile_tells_nothing_of_what_never_happened(fresh: Service) -> None:
    fresh.assign("c-1", traits={"age": 31}, events=[event("Email Link Clicked", 1)])
    assert fresh.get("/customers/c-1")["traits"] == {"age": 31, "email_clicks": 1}
    # But what a condition reads is told as it reads it.
    fresh.save("prospects", ("orders", "=", 0))
    assert fresh.get("/customers/c-1")["traits"] == {"age": 31, "email_clicks": 1, "orders": 0}


def test_what_is_given_wins(fresh: Service) -> None:
    fresh.save("buyers", ("orders", ">=", 5))
    fresh.save("generous", ("average_order_value", ">", 20))
    answer = fresh.assign("c-1", traits={"orders": 7}, events=[order(1, 70)])
    assert keys(answer) == ["buyers"]
    told = fresh.get("/customers/c-1")
    assert told["traits"]["orders"] == 7
    assert told["traits"]["average_order_value"] == 10
    assert told["sources"]["orders"]["source"] == "assign"
    assert told["sources"]["revenue"]["source"] == "derived"
    # Taken back, it is what the orders say.
    assert keys(fresh.assign("c-1", traits={"orders": None})) == ["generous"]
    assert keys(fresh.assign("c-1", traits={"orders": 9}, record=False)) == ["buyers"]
    assert keys(fresh.assign(traits={"orders": 9})) == ["buyers"]


def test_a_declared_type_says_that_a_trait_is_given(fresh: Service) -> None:
    fresh.save("prospects", ("orders", "<", 1))
    assert keys(fresh.assign("c-1")) == ["prospects"]
    assert fresh.ask("put", "/traits/orders", json={"type": "number"}).is_success
    assert keys(fresh.assign("c-1", events=[order(1, 40)])) == []
    assert "orders" not in fresh.get("/customers/c-1")["traits"]
    # A dimension says nothing of where it comes from.
    assert fresh.ask("put", "/traits/orders", json={"dimension": "value"}).is_success
    assert fresh.get("/customers/c-1")["traits"]["orders"] == 1


def test_a_definition_of_that_name_replaces_it(fresh: Service) -> None:
    fresh.save("buyers", ("orders", ">=", 1))
    large = {"combinator": "and", "rules": [
        {"field": "properties.net", "operator": ">=", "value": 50}]}  # fmt: skip
    aggregate = {"event": "Order Completed", "function": "count", "where": large}
    assert fresh.ask("put", "/traits/orders", json={"aggregate": aggregate}).is_success
    fresh.settle()
    assert keys(fresh.assign("c-1", events=[order(1, 40)])) == []
    told = fresh.ask("post", "/assign", json={"customer_id": "c-1", "traits": {"orders": 3}})
    assert told.status_code == 422
    # Without it there is still one to read.
    assert fresh.ask("delete", "/traits/orders").status_code == 204
    fresh.settle()
    assert keys(fresh.assign("c-1")) == ["buyers"]


def test_a_type_that_the_others_can_not_be_made_of(fresh: Service) -> None:
    fresh.save("generous", ("average_order_value", ">", 20))
    answer = fresh.ask("put", "/traits/revenue", json={"type": "string"})
    assert (answer.status_code, answer.json()["code"]) == (409, "in_use")
    assert "average_order_value" in answer.text
    fresh.ask("delete", "/segments/generous")
    assert fresh.ask("put", "/traits/revenue", json={"type": "string"}).is_success
    # What nothing reads is no fault.
    assert not fresh.process.live.served.catalog.refused_traits


def test_they_have_types(fresh: Service) -> None:
    answer = fresh.ask("post", "/segments", json={
        "key": "recent", "name": "Recent", "status": "active", "condition": {
            "combinator": "and", "rules": [
                {"field": "last_order_at", "operator": "=", "value": "2027-01-15"}]}})  # fmt: skip
    assert answer.status_code == 201, answer.text
    # NOW is an instant of that day.
    assert keys(fresh.assign("c-1", events=[order(1, 40)])) == ["recent"]
    # Whatever callers give under these names is kept as it is.
    fresh.assign("c-2", traits={"orders": ["o-1", "o-2"], "refunds": "none"})
    assert fresh.get("/customers/c-2")["traits"] == {"orders": ["o-1", "o-2"], "refunds": "none"}


def test_places_are_looked_up(fresh: Service) -> None:
    brno = {"address": {"city": "BRNO", "country": "Czech Republic"}}
    fresh.assign("c-1", traits=brno)
    told = fresh.get("/customers/c-1")
    assert told["traits"]["location"] == {"lat": 49.19522, "lon": 16.60796}
    assert told["traits"]["city_population"] > 300_000
    assert told["sources"]["location"]["source"] == "derived"
    near = {"lat": 49.2, "lon": 16.6, "km": 25}
    fresh.save("near-store", ("location", "withinDistance", near))
    fresh.save("big-city", ("city_population", ">=", 1_000_000))
    assert keys(fresh.assign("c-1")) == ["near-store"]
    # Whoever moves is somewhere else at once.
    assert keys(fresh.assign("c-1", traits={"address": {"city": "Praha"}})) == ["big-city"]
    # A phone knows better where it is.
    assert keys(fresh.assign("c-1", traits={"location": {"lat": 49.2, "lon": 16.6}})) == [
        "big-city",
        "near-store",
    ]
    assert keys(fresh.assign("c-2", traits={"address": {"city": "Nowhere", "country": "CZ"}})) == []


def test_where_a_city_is_is_as_personal_as_the_address(fresh: Service) -> None:
    fresh.ask("put", "/traits/address", json={"personal": True})
    paths = fresh.process.live.served.personal.paths
    assert {"location", "city_population"} <= paths
    assert "orders" not in paths


def test_anybody_may_look_cities_up(fresh: Service) -> None:
    store = {"fact": "population", "name": "store.city", "country": "store.country"}
    assert fresh.ask("put", "/traits/store_size", json={"city": store}).is_success
    fresh.save("large", ("store_size", ">", 1_000_000))
    assert keys(fresh.assign("c-1", traits={"store": {"city": "wien", "country": "at"}})) == [
        "large"
    ]


def test_visits_are_counted(fresh: Service) -> None:
    minute = 60_000_000
    views = [
        ("Page Viewed", 0, "phone"),
        ("Screen Viewed", 29, "phone"),
        ("Page Viewed", 60, "desktop"),
        ("Page Viewed", 61, None),
    ]
    fresh.assign(
        "c-1",
        events=[
            event(
                name,
                number,
                NOW - DAY + after * minute,
                **({"context": {"device": {"form": form}}} if form else {}),
            )
            for number, (name, after, form) in enumerate(views)
        ],
    )
    assert fresh.get("/customers/c-1")["traits"] == {
        "last_visit_at": format_instant(NOW - DAY + 61 * minute),
        "sessions": 2,
        "device_views": 3,
        "phone_views": 2,
        "phone_share": 2 / 3,
    }
    fresh.save("quiet", ("last_visit_at", "notWithinLast", "30d"))
    answer = fresh.assign("c-1")
    assert keys(answer) == []
    assert answer["valid_until"] == format_instant(NOW + 29 * DAY + 61 * minute)


def test_a_browser_tells_what_it_is(fresh: Service) -> None:
    phone = (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 "
        "(KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1"
    )
    desktop = {"platform": "macOS", "mobile": False, "brands": [
        {"brand": "Microsoft Edge", "version": "126"}]}  # fmt: skip

    def view(number: int, **context: Any) -> dict[str, Any]:
        return {
            "type": "page",
            "userId": "c-1",
            "messageId": f"m-{number}",
            "timestamp": format_instant(NOW - number * 60_000_000),
            "context": {"locale": "cs-CZ", **context},
        }

    key = make(fresh, type="browser")
    fresh.save("on-phones", ("phone_share", ">=", 0.5))
    # The second is older, whenever it comes.
    taken(fresh, key, view(1, userAgent=phone))
    taken(fresh, key, view(2, userAgentData=desktop))
    told = fresh.get("/customers/c-1")
    assert told["traits"]["browser"] == {"name": "Safari", "version": "17.5"}
    assert told["traits"]["os"] == {"name": "iOS", "version": "17.5"}
    assert told["traits"]["device"] == {"form": "phone", "language": "cs", "country": "CZ"}
    assert (told["traits"]["phone_share"], told["traits"]["sessions"]) == (0.5, 1)
    assert [each["key"] for each in told["segments"]] == ["on-phones"]
    changes = "select count(*) from trait_history"
    [before] = fresh.rows(changes)
    # Told again, nothing is new.
    taken(fresh, key, view(0, userAgent=phone))
    assert fresh.rows(changes) == [before]


def test_an_order_may_be_imagined(fresh: Service) -> None:
    fresh.save("spenders", ("revenue", ">=", 100))
    dear = order(1, 120, shipping=20)
    assert keys(fresh.assign(events=[dear])) == ["spenders"]
    assert keys(fresh.assign(events=[order(1, 119, shipping=20)])) == []
    fresh.assign("c-1", events=[order(2, 60)])
    assert keys(fresh.assign("c-1", events=[order(3, 50)], record=False)) == ["spenders"]
    # One that is stored already counts once.
    assert keys(fresh.assign("c-1", events=[order(2, 50)], record=False)) == []
    assert keys(fresh.assign("c-1", events=[order(2, 110)], record=False)) == ["spenders"]
    assert keys(fresh.assign("c-1")) == []
    assert fresh.rows("select count(*) from orders") == [(1,)]
