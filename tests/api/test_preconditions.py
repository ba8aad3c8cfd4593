"""ETags of definitions, If-Match and If-None-Match."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.contracts.test_errors import shaped
from tests.running import group
from tests.serving import Service

ADULT = group(("age", ">=", 18))
OLDER = group(("age", ">=", 21))


def tag(service: Service, key: str) -> str:
    return str(service.ask("get", f"/segments/{key}").headers["etag"])


def stale(answer: httpx.Response) -> bool:
    return answer.status_code == 412 and shaped(answer)["code"] == "stale"


@pytest.fixture
def adult(fresh: Service) -> Service:
    fresh.save("adult", ("age", ">=", 18))
    fresh.settle()
    return fresh


def test_the_etag_is_of_version_and_status_not_of_metrics(adult: Service) -> None:
    first = tag(adult, "adult")
    assert first.startswith('"')
    adult.assign("c-1", traits={"age": 20})
    adult.measure()
    assert adult.get("/segments/adult")["metrics"]["size"] == 1
    assert tag(adult, "adult") == first
    answers = [
        adult.ask("patch", "/segments/adult", json={"name": "Adults"}),
        adult.ask("patch", "/segments/adult", json={"status": "draft"}),
        adult.ask("put", "/segments/adult", json={"condition": ADULT}),
        adult.ask("post", "/segments/adult/rollback", json={"version": 2}),
        adult.ask("put", "/segments/other", json={"condition": ADULT}),
        adult.ask("post", "/segments", json={"key": "third", "condition": ADULT}),
    ]
    assert all(answer.is_success for answer in answers)
    tags = [first, *(answer.headers["etag"] for answer in answers)]
    assert len(set(tags)) == len(tags)
    assert tag(adult, "third") == tags[-1]
    adult.ask("delete", "/segments/third")
    assert tag(adult, "third") != tags[-1]


WRITES: list[tuple[str, str, Any]] = [
    ("put", "/segments/adult", {"condition": OLDER}),
    ("patch", "/segments/adult", {"name": "Adults"}),
    ("post", "/segments/adult/rollback", {"version": 1}),
    ("post", "/segments/adult/activate", {}),
    ("delete", "/segments/adult", None),
]


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
def test_a_change_of_what_is_no_longer_so_is_refused(
    adult: Service, method: str, path: str, body: Any
) -> None:
    old = tag(adult, "adult")
    adult.ask("patch", "/segments/adult", json={"tags": ["x"]})
    now = tag(adult, "adult")
    for wrong in (old, f"W/{now}", '"adult"', f'{old}, "z"', ""):
        answer = adult.ask(method, path, json=body, headers={"if-match": wrong})
        assert stale(answer), (wrong, answer.text)
    assert tag(adult, "adult") == now
    right = adult.ask(method, path, json=body, headers={"if-match": f'"a,b", W/"c" ,{now}'})
    assert right.is_success, right.text


def test_a_star_matches_what_there_is(adult: Service) -> None:
    star = {"if-match": "*"}
    assert adult.ask("put", "/segments/adult", json={}, headers=star).status_code == 409
    answer = adult.ask("put", "/segments/adult", json={"condition": OLDER}, headers=star)
    assert answer.status_code == 200
    assert stale(adult.ask("put", "/segments/nobody", json={}, headers=star))
    assert adult.ask("patch", "/segments/nobody", json={}, headers=star).status_code == 404
    assert adult.ask("delete", "/segments/nobody", headers=star).status_code == 404


def test_if_none_match_creates_only(adult: Service) -> None:
    only = {"if-none-match": "*"}
    assert stale(adult.ask("put", "/segments/adult", json={"condition": OLDER}, headers=only))
    created = adult.ask("put", "/segments/new", json={"condition": ADULT}, headers=only)
    assert created.status_code == 201
    # An archived one is still there to be read.
    adult.ask("delete", "/segments/new")
    assert stale(adult.ask("put", "/segments/new", json={"condition": ADULT}, headers=only))
    same = {"if-none-match": tag(adult, "adult")}
    assert stale(adult.ask("put", "/segments/adult", json={"condition": OLDER}, headers=same))


def test_what_is_known_is_not_sent_again(adult: Service) -> None:
    known = tag(adult, "adult")
    for header in (known, f"W/{known}", f'"x", {known}', "*"):
        answer = adult.ask("get", "/segments/adult", headers={"if-none-match": header})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", known)
    answer = adult.ask("get", "/segments/adult", headers={"if-none-match": '"x"'})
    assert (answer.status_code, answer.json()["key"]) == (200, "adult")


def test_headers_of_several_lines_are_one_list(adult: Service) -> None:
    for way in ("{}|'x'", "'x'|{}", "'x', 'y'|'z', {}"):
        known = tag(adult, "adult")
        lines = way.replace("'", '"').format(known).split("|")
        several = [("if-none-match", line) for line in lines]
        assert adult.ask("get", "/segments/adult", headers=several).status_code == 304
        refusal = adult.ask("put", "/segments/adult", json={"condition": OLDER}, headers=several)
        assert stale(refusal)
        several = [("if-match", line) for line in lines]
        for method, path, body in WRITES[1:4]:
            answer = adult.ask(method, path, json=body, headers=several)
            assert answer.is_success, answer.text
            known = tag(adult, "adult")
            several = [("if-match", '"x"'), ("if-match", known)]
    two = [("if-match", '"x"'), ("if-match", "adult.1")]
    assert adult.ask("delete", "/segments/adult", headers=two).status_code == 422
    assert stale(adult.ask("delete", "/segments/adult", headers=[("if-match", '"x"')] * 2))


@pytest.mark.parametrize("header", ["adult.1.active", '"a" "b"', '"a', "'a'", "*, *"])
def test_what_is_no_etag_is_told(adult: Service, header: str) -> None:
    answer = adult.ask("delete", "/segments/adult", headers={"if-match": header})
    faults = [(fault["pointer"], fault["code"]) for fault in shaped(answer)["errors"]]
    assert (answer.status_code, faults) == (422, [("/header/If-Match", "bad_value")])


@pytest.mark.anyio
async def test_of_changes_at_once_from_one_state_one_is_made(client: httpx.AsyncClient) -> None:
    created = await client.put("/segments/s", json={"condition": ADULT})
    condition = {"if-match": created.headers["etag"]}
    answers = await asyncio.gather(
        *(
            client.patch("/segments/s", json={"name": f"n{number}"}, headers=condition)
            for number in range(6)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200, *[412] * 5]
    answers = await asyncio.gather(
        *(client.put("/segments/new", json={}, headers={"if-none-match": "*"}) for _ in range(6))
    )
    assert sorted(answer.status_code for answer in answers) == [201, *[412] * 5]
