"""Requests that have to be refused: bodies, conditions, documents and addresses, as data."""

import itertools
import json
from collections.abc import Iterator
from typing import Any

from service.api.tracking import PATHS as TRACKING

RULE = {"field": "age", "operator": ">=", "value": 18}


def group(*rules: Any, **more: Any) -> dict[str, Any]:
    return {"combinator": "and", "rules": list(rules), **more}


def nested(depth: int) -> Any:
    tree: Any = group(RULE)
    for _ in range(depth):
        tree = group(tree)
    return tree


# Bodies that no JSON route accepts, with the statuses they may get.
NOT_BODIES: list[bytes] = [
    b"",
    b"{",
    b"nonsense",
    b"[1, 2",
    b'{"a": NaN}',
    b'{"a": Infinity}',
    b'{"a": "\\ud800"}',
    b"\xff\xfe",
    b"null",
    b"42",
    b'"text"',
    b"[]",
    b"[" * 5_000 + b"]" * 5_000,
    b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    b'{"traits": {"a": "\\u0000"}}',
    b'{"unknown": 1}',
]

RULES: list[Any] = [
    None,
    42,
    "age >= 18",
    [],
    {},
    {"field": "age"},
    {"field": 7, "operator": "="},
    {"field": "age", "operator": "equals", "value": 1},
    {"field": "age", "operator": "IN", "value": [1]},
    {**RULE, "value": None},
    {**RULE, "value": True},
    {**RULE, "value": "18"},
    {**RULE, "value": [18]},
    {**RULE, "value": {"a": 1}},
    {**RULE, "disabled": True},
    {**RULE, "match": {"mode": "all"}},
    {**RULE, "missing": "yes"},
    {**RULE, "caseSensitive": 1},
    {**RULE, "valueSource": "magic"},
    {**RULE, "valueSource": "field", "value": "segment:vip"},
    {**RULE, "valueSource": "field", "value": 18},
    {"field": "born", "operator": "<", "value": "2026-11-20"},
    {"field": "", "operator": "=", "value": 1},
    {"field": "a..b", "operator": "=", "value": 1},
    {"field": "x" * 600, "operator": "=", "value": 1},
    {"field": "segment:NO", "operator": "=", "value": True},
    {"field": "segment:nobody", "operator": "=", "value": True},
    {"field": "segment:nobody", "operator": "in", "value": [True]},
    {"field": "segment:nobody", "operator": "=", "value": "yes"},
    {"field": "model:tiers", "operator": "=", "value": "a"},
    {"field": "model:tiers.mood", "operator": "=", "value": "a"},
    {"field": "customer.shoe_size", "operator": "=", "value": 1},
    {"field": "event:Order Completed", "operator": ">=", "value": 1},
    {"field": "weather:today", "operator": "=", "value": 1},
    {"field": "age", "operator": "in", "value": []},
    {"field": "age", "operator": "in", "value": 1},
    {"field": "age", "operator": "in", "value": [None]},
    {"field": "age", "operator": "in", "value": [*range(10_001)]},
    {"field": "age", "operator": "between", "value": [5]},
    {"field": "age", "operator": "between", "value": [9, 5]},
    {"field": "age", "operator": "between", "value": [1, "2026-11-20T00:00:00Z"]},
    {"field": "name", "operator": "contains", "value": ""},
    {"field": "name", "operator": "contains", "value": 5},
    {"field": "name", "operator": "matches", "value": "("},
    {"field": "name", "operator": "matches", "value": "(?=x)"},
    {"field": "name", "operator": "matches", "value": "a" * 1_001},
    {"field": "name", "operator": "matches", "value": "(((a{100}){100}){100})"},
    {"field": "tags", "operator": "containsAny", "value": [True]},
    {"field": "at", "operator": "withinLast", "value": "30m"},
    {"field": "at", "operator": "withinLast", "value": "0d"},
    {"field": "at", "operator": "withinLast", "value": 30},
    {"field": "at", "operator": "withinLast", "value": "9" * 30 + "d"},
    {"field": "app", "operator": "versionAtLeast", "value": "two"},
    {"field": "home", "operator": "withinDistance", "value": {"lat": 91, "lon": 0, "km": 1}},
    {"field": "home", "operator": "withinDistance", "value": {"lat": 1, "lon": 0, "km": 0}},
    {"field": "home", "operator": "withinDistance", "value": {"lat": 1, "lon": 0, "mi": 1}},
    {"field": "age", "operator": "sample", "value": {"percent": 10}},
    {"field": "customer_id", "operator": "sample", "value": {"percent": 0}},
    {"field": "customer_id", "operator": "sample", "value": {"percent": 10, "salt": 5}},
    {"field": "customer_id", "operator": "sample", "value": 10},
]

CONDITIONS: list[Any] = [
    42,
    "age >= 18",
    [],
    {},
    {"combinator": "xor", "rules": [RULE]},
    {"combinator": "and", "rules": []},
    {"combinator": "and", "rules": {}},
    {"combinator": "and", "rules": [RULE], "not": "yes"},
    {"combinator": "and", "rules": [RULE], "muted": True},
    nested(40),
    group(*[RULE] * 1_001),
    *(group(rule) for rule in RULES),
]

DOCUMENTS: list[Any] = [
    {"name": ""},
    {"name": 7},
    {"name": "n" * 300},
    {"name": "nul \0"},
    {"status": "sleeping"},
    {"dimensions": ["astrologic"]},
    {"scheme": "Not A Key"},
    {"scheme": "lifecycle"},
    {"priority": 1},
    {"scheme": "lifecycle", "priority": -1},
    {"scheme": "lifecycle", "priority": 1.5},
    {"expires_at": "2027-01-01T00:00:00Z"},
    {"min_dwell": "7d"},
    {"review_by": "soon"},
    {"tags": ["t"] * 51},
    {"goals": {"conversion_rate": "high"}},
    {"treatment": []},
    {"treatment": {"message": "nul \0"}},
    {"persona": {"mood": "good"}},
    {"surprise": True},
    {"condition": group(RULE), "kind": "rule"},
]

# Bodies that an active segment of one version refuses; the first would do for another.
SEGMENT_ACTIONS: dict[str, list[Any]] = {
    "/segments/{key}/rollback": [{"version": 9}, {"version": 0}, {"version": "1"}, {"to": 1}],
    "/segments/{key}/activate": [{"notify": "all"}, {"notify": "some"}, {"notify": 1}, {"at": 1}],
    "/segments/{key}/snapshot": [
        {"key": "guests"}, {"key": "Bad"}, {"key": "import"}, {"key": "new", "name": ""},
        {"key": "new", "name": "nul \0"},
    ],
}  # fmt: skip

IMPORTS: list[Any] = [
    {"format": "sql", "query": "select"},
    {"format": "jsonlogic"},
    {"format": "jsonlogic", "query": {}},
    {"format": "jsonlogic", "logic": True},
    {"format": "jsonlogic", "logic": {"%": [7, 2]}},
    {"format": "jsonlogic", "logic": nested(40)},
    {"format": "querybuilder", "query": {"combinator": "and", "rules": []}},
    {"format": "querybuilder", "query": group({**RULE, "disabled": True})},
    {"format": "querybuilder", "query": 7},
    {"format": "querybuilder", "query": group(RULE), "logic": 1},
]

ASSIGNS: list[Any] = [
    {"customer_id": ""},
    {"customer_id": "c" * 257},
    {"customer_id": 42},
    {"customer_id": "c\0"},
    {"traits": []},
    {"traits": {"a.b": 1}},
    {"traits": {"a:b": 1}},
    {"traits": {"": 1}},
    {"traits": {"customer": 1}},
    {"traits": {"x": {"a.b": 1}}},
    {"traits": {"x" * 129: 1}},
    {"traits": {"a": "nul \0"}},
    {"traits": {"a": ["nul \0"]}},
    {"traits": {"a\0": 1}},
    {"traits": {"a": float("nan")}},
    {"record": "yes"},
    {"include": ["everything"]},
    {"include": "traits"},
    {"segments": "vip"},
    {"events": [{"event": "Order Refunded"}]},
    {"identities": {"email": "nobody"}},
    {"at": "2026-11-20T00:00:00Z"},
    {"surprise": True},
    {"customer_id": "c-1", "traits": {f"t{i}": i for i in range(501)}},
    {"customer_id": "c-1", "traits": {"long": "x" * 70_000}},
]

# (method, documented path, url, body or None)
Exchange = tuple[str, str, str, bytes | None]

BODY_ROUTES: list[tuple[str, str, str]] = [
    ("post", "/assign", "/assign"),
    ("post", "/assign/batch", "/assign/batch"),
    ("post", "/segments", "/segments"),
    ("put", "/segments/{key}", "/segments/new"),
    ("patch", "/segments/{key}", "/segments/adults"),
    ("post", "/segments/{key}/members", "/segments/guests/members"),
    ("post", "/segments/{key}/rollback", "/segments/adults/rollback"),
    ("post", "/segments/{key}/snapshot", "/segments/adults/snapshot"),
    ("post", "/conditions/import", "/conditions/import"),
    ("put", "/traits/{name}", "/traits/age"),
    ("put", "/rates", "/rates"),
    ("post", "/keys", "/keys"),
    ("post", "/sources", "/sources"),
    ("put", "/sources/{source_id}", "/sources/web"),
    ("post", "/erasures", "/erasures"),
    ("post", "/erasures/verify", "/erasures/verify"),
]


def exchanges() -> Iterator[Exchange]:
    """Some hundred requests, each of which has to be refused."""
    for (method, path, url), body in itertools.product(BODY_ROUTES, NOT_BODIES):
        yield method, path, url, body
    for condition in CONDITIONS:
        document = {"condition": condition}
        yield "put", "/segments/{key}", "/segments/bad", _json(document)
        if condition != {}:  # which merges as no change
            yield "patch", "/segments/{key}", "/segments/adults", _json(document)
    for document in DOCUMENTS:
        yield "post", "/segments", "/segments", _json({"key": "bad", **document})
        yield "put", "/segments/{key}", "/segments/bad", _json(document)
    for key in ("Bad", "bad key", "preview", "overlap", "import", "-bad", "é", "k" * 65):
        yield "post", "/segments", "/segments", _json({"key": key})
        yield "put", "/segments/{key}", f"/segments/{key}", _json({})
    yield "post", "/segments", "/segments", _json({"key": "adults"})
    yield "put", "/segments/{key}", "/segments/new", _json({"key": "other"})
    yield "put", "/segments/{key}", "/segments/guests", _json({"condition": group(RULE)})
    yield "put", "/segments/{key}", "/segments/adults", _json({"name": "A list now"})
    yield "patch", "/segments/{key}", "/segments/adults", _json({"status": "draft"})
    yield "patch", "/segments/{key}", "/segments/gone", _json({"name": "x"})
    yield "patch", "/segments/{key}", "/segments/nobody", _json({"name": "x"})
    yield "delete", "/segments/{key}", "/segments/adults", None
    for body in ASSIGNS:
        yield "post", "/assign", "/assign", _json(body)
    yield "post", "/assign/batch", "/assign/batch", _json({"customers": [{}] * 1_001})
    yield "post", "/assign/batch", "/assign/batch", _json({"customers": {}})
    yield "post", "/assign/batch", "/assign/batch", _json({"customers": [], "record": 1})
    for path in ("/segments/{key}", "/segments/{key}/metrics", "/segments/{key}/members"):
        for key in ("nobody", "a%00b", "k" * 65, "%F0%9F%90%88"):
            yield "get", path, path.replace("{key}", key), None
    yield "delete", "/segments/{key}", "/segments/nobody", None
    for change in ({"add": "c-1"}, {"add": [""]}, {"add": [1]}, {"remove": ["c" * 257]},
                   {"add": ["nul \0"]}, {"add": ["c"] * 10_001}, {"plus": []}):  # fmt: skip
        yield ("post", "/segments/{key}/members", "/segments/guests/members", _json(change))
    for key in ("adults", "nobody"):
        path = "/segments/{key}/members"
        yield "post", path, f"/segments/{key}/members", _json({"add": ["c-1"]})
        yield "post", path, "/segments/archived-list/members", _json({"add": ["c-1"]})
    for path, bodies in SEGMENT_ACTIONS.items():
        for body in bodies:
            yield "post", path, path.replace("{key}", "adults"), _json(body)
        for key in ("nobody", "gone"):
            yield "post", path, path.replace("{key}", key), _json(bodies[0])
    for path in ("/segments/{key}/versions", "/segments/{key}/uses"):
        for key in ("nobody", "a%00b", "k" * 65):
            yield "get", path, path.replace("{key}", key), None
        yield "get", path, f"{path.replace('{key}', 'adults')}?limit=0", None
    for source in IMPORTS:
        yield "post", "/conditions/import", "/conditions/import", _json(source)
    yield "get", "/customers", "/customers?identity=email:nobody", None
    yield "get", "/customers", "/customers", None
    for path in (
        "/customers/{customer_id}",
        "/customers/{customer_id}/segments",
        "/customers/{customer_id}/transitions",
        "/customers/{customer_id}/export",
    ):
        for customer in ("nobody", "a%00b", "c" * 257, "%FF%FE"):
            yield "get", path, path.replace("{customer_id}", customer), None
    for fingerprint in ("0" * 64, "0" * 63, "G" * 64):
        yield "get", "/erasures/{fingerprint}", f"/erasures/{fingerprint}", None
    for person in ({}, {"customer_id": ""}, {"customer_id": "c" * 257}, {"customer_id": "c\0"},
                   {"customer_id": 1}, {"customer_id": "c-1", "why": "asked"}):  # fmt: skip
        yield "post", "/erasures", "/erasures", _json(person)
        yield "post", "/erasures/verify", "/erasures/verify", _json(person)
    for customer in ("nobody", "a%00b", "c" * 257):
        path = "/customers/{customer_id}"
        yield "delete", path, path.replace("{customer_id}", customer), None
    for name in ("a:b", "a..b", "customer", "customer.x", "a%00b", "t" * 257):
        yield "get", "/traits/{name}", f"/traits/{name}", None
        yield "put", "/traits/{name}", f"/traits/{name}", _json({"type": "number"})
        yield "delete", "/traits/{name}", f"/traits/{name}", None
    for declaration in ({"type": "rune"}, {"dimension": "astrologic"}, {"type": 1}, {"unit": "m"}):
        yield "put", "/traits/{name}", "/traits/age", _json(declaration)
    # The segment `adults` asks whether it is at least 18.
    yield "put", "/traits/{name}", "/traits/age", _json({"type": "list"})
    yield "get", "/traits/{name}", "/traits/nobody", None
    yield "delete", "/traits/{name}", "/traits/nobody", None
    for job in ("0", "-1", "999999", "9" * 30, "9" * 5_000, "first", "1.5"):
        yield "get", "/jobs/{job_id}", f"/jobs/{job}", None
    yield "delete", "/keys/{key_id}", "/keys/k_0", None
    for source in ({"id": "Bad"}, {"id": "web", "name": "Web"}, {"id": "web", "type": "browser"},
                   {"id": "web", "name": "Web", "type": "spy"}):  # fmt: skip
        yield "post", "/sources", "/sources", _json(source)
    web = _json({"name": "Web", "type": "browser"})
    for key in ("nobody", "a%00b", "s" * 65):
        for method, wanted in (("get", None), ("put", web), ("delete", None)):
            yield method, "/sources/{source_id}", f"/sources/{key}", wanted
        path = "/sources/{source_id}/rotate-key"
        yield "post", path, f"/sources/{key}/rotate-key", None
        yield "get", "/sources/{source_id}/rejects", f"/sources/{key}/rejects", None
    for path in sorted(TRACKING):
        for raw in (b"{}", b"{", b'{"writeKey": "none"}', b'{"batch": [], "writeKey": "none"}'):
            yield "post", path, path, raw
    for query in ("since=soon", "until=2027-01-01T00:00:00", "subject=%00", "cursor=YQ=="):
        yield "get", "/audit", f"/audit?{query}", None
    for query in ("currency=euro", "from=yesterday", "to=%00", "cursor=YQ=="):
        yield "get", "/rates", f"/rates?{query}", None
    for path in ("/segments", "/traits", "/jobs", "/keys", "/audit", "/sources", "/rates"):
        for query in ("limit=0", "limit=1001", "limit=x", "cursor=%25", "cursor=%00",
                      "cursor=%F0%9F%90%88", "cursor=/w=="):  # fmt: skip
            yield "get", path, f"{path}?{query}", None
    for query in ("status=sleeping", "kind=magic", "dimension=astrologic", "q=%00", "owner=%00",
                  "tag=%00", "scheme=%00", f"q={'x' * 201}"):  # fmt: skip
        yield "get", "/segments", f"/segments?{query}", None
    for query in ("dimension=astrologic", "q=%00", f"q={'x' * 201}"):
        yield "get", "/traits", f"/traits?{query}", None
    path = "/customers/{customer_id}/consent"
    for channel, change in (
        ("fax", {"status": "never"}), ("email", {}), ("email", {"status": 1}),
        ("sms", {"suppressed": None}), ("ads", {"status": "never", "at": "x"}),
    ):  # fmt: skip
        yield "put", f"{path}/{{channel}}", f"/customers/c-1/consent/{channel}", _json(change)
    yield "put", f"{path}/{{channel}}", "/customers/a%00b/consent/sms", _json({"status": "never"})
    for query in ("limit=0", "cursor=%25", "cursor=YQ==", "cursor=WyJhIiwgImIiXQ=="):
        yield "get", path, f"/customers/c-1/consent?{query}", None
    yield "get", path, "/customers/nobody/consent", None
    yield "get", "/segments/{key}/members", "/segments/adults/members?channel=fax", None
    for cursor in ("YQ==", "LTE=", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5"):
        yield "get", "/jobs", f"/jobs?cursor={cursor}", None
        path = "/customers/{customer_id}/transitions"
        yield "get", path, f"/customers/c-1/transitions?cursor={cursor}", None


def _json(body: Any) -> bytes:
    return json.dumps(body).encode()
