"""Publishing: what segments may stand together, and where it is told that they may not."""

import pytest

from service.api.services import Services
from service.core.parsing import Invalid
from service.flows.publishing import Conflict
from tests.flows.publishing import ADULT, faults
from tests.running import segment

pytestmark = pytest.mark.anyio


def users(conflict: Conflict) -> list[str]:
    assert {(problem.pointer, problem.code) for problem in conflict.problems} == {("", "used_by")}
    return [problem.detail for problem in conflict.problems]


async def test_what_others_use_stays(services: Services) -> None:
    await services.publisher.save(
        [
            segment("adult", ADULT),
            segment("vip", ("segment:adult", "=", True)),
            segment("also", ("segment:adult", "!=", True)),
        ]
    )
    with pytest.raises(Conflict) as archived:
        await services.publisher.archive("adult")
    assert archived.value.code == "in_use"
    assert users(archived.value) == ["also", "vip"]
    with pytest.raises(Conflict) as drafted:
        await services.publisher.save([segment("adult", ADULT, status="draft")])
    assert users(drafted.value) == ["also", "vip"]
    for key in ("vip", "also", "adult"):
        await services.publisher.archive(key)
    assert services.live.served.catalog.segments == {}


async def test_circles_are_refused_with_their_path(services: Services) -> None:
    await services.publisher.save(
        [segment("a", ADULT), segment("b", ("segment:a", "=", True))],
    )
    await services.publisher.save([segment("c", ("segment:b", "=", True))])
    with pytest.raises(Invalid) as refused:
        await services.publisher.save([segment("a", ("segment:c", "=", True))])
    assert faults(refused.value) == [("/condition/rules/0/field", "cycle")]
    assert "a -> c -> b -> a" in str(refused.value)
    with pytest.raises(Invalid) as itself:
        await services.publisher.save([segment("d", ("segment:d", "=", True))])
    assert faults(itself.value) == [("/condition/rules/0/field", "cycle")]
    assert "d -> d" in str(itself.value)


async def test_every_rule_that_closes_a_circle_is_told_with_its_path(services: Services) -> None:
    await services.publisher.save(
        [
            segment("vip", ADULT),
            segment("loyal", ("segment:vip", "=", True)),
            segment("apart", ADULT),
            segment("beta", ("segment:vip", "=", False)),
            segment("gamma", ("segment:beta", "=", True)),
        ]
    )
    with pytest.raises(Invalid) as refused:
        await services.publisher.save(
            [
                segment(
                    "vip",
                    ADULT,
                    ("segment:loyal", "=", True),
                    ("segment:apart", "=", True),
                    ("segment:gamma", "=", True),
                )
            ]
        )
    assert [(p.pointer, p.code, p.detail) for p in refused.value.problems] == [
        (
            f"/condition/rules/{place}/field",
            "cycle",
            f"segments refer to each other in a circle: {path}",
        )
        for place, path in ((1, "vip -> loyal -> vip"), (3, "vip -> gamma -> beta -> vip"))
    ]


async def test_who_joins_a_scheme_that_closes_a_circle_is_told_so(services: Services) -> None:
    """The new place is at fault, not a rule: whoever asks for `first` now asks for `asking` too."""
    await services.publisher.save(
        [
            segment("first", ADULT),
            segment("outside", ("segment:first", "=", True)),
            segment("asking", ("segment:outside", "=", True), scheme="s", priority=2),
        ]
    )
    with pytest.raises(Invalid) as refused:
        await services.publisher.save([segment("first", ADULT, scheme="s", priority=1)])
    assert faults(refused.value) == [("/scheme", "cycle")]
    assert "asking -> outside -> first -> asking" in str(refused.value)


async def test_a_chain_grown_too_long_is_told_at_the_rule_that_lengthens_it(
    services: Services,
) -> None:
    chain = [segment("s00", ADULT)]
    chain += [segment(f"s{n:02}", (f"segment:s{n - 1:02}", "=", True)) for n in range(1, 64)]
    await services.publisher.save([*chain, segment("base", ADULT)])
    with pytest.raises(Invalid) as refused:
        await services.publisher.save([segment("s00", ADULT, ("segment:base", "=", True))])
    assert faults(refused.value) == [("/condition/rules/1/field", "cycle")]
    assert "in a chain of more than 64: s63 -> s62 -> " in str(refused.value)


async def test_a_reference_to_nobody_is_refused(services: Services) -> None:
    with pytest.raises(Invalid) as refused:
        await services.publisher.save([segment("vip", ("segment:nowhere", "=", True))])
    assert faults(refused.value) == [("/condition/rules/0/field", "unknown_segment")]
    with pytest.raises(Invalid) as several:
        await services.publisher.save(
            [segment("vip", ADULT, ("segment:no", "=", True), ("segment:nor", "=", True))]
        )
    assert faults(several.value) == [
        ("/condition/rules/1/field", "unknown_segment"),
        ("/condition/rules/2/field", "unknown_segment"),
    ]


async def test_a_place_in_a_scheme_is_taken_once(services: Services) -> None:
    await services.publisher.save([segment("gold", ADULT, scheme="tier", priority=1)])
    with pytest.raises(Invalid) as shared:
        await services.publisher.save([segment("silver", ADULT, scheme="tier", priority=1)])
    assert faults(shared.value) == [("/priority", "conflict")]
    assert "gold" in str(shared.value)
    with pytest.raises(Invalid) as missing:
        await services.publisher.save([segment("silver", ADULT, scheme="tier")])
    assert faults(missing.value) == [("/priority", "conflict")]
    # Two may change places in one go.
    await services.publisher.save([segment("silver", ADULT, scheme="tier", priority=2)])
    await services.publisher.save(
        [
            segment("gold", ADULT, scheme="tier", priority=2),
            segment("silver", ADULT, scheme="tier", priority=1),
        ]
    )
    assert services.live.served.catalog.schemes == {"tier": ("silver", "gold")}


async def test_a_reference_within_a_scheme_is_refused(services: Services) -> None:
    await services.publisher.save([segment("gold", ADULT, scheme="tier", priority=1)])
    with pytest.raises(Invalid) as refused:
        await services.publisher.save(
            [segment("silver", ADULT, ("segment:gold", "=", False), scheme="tier", priority=2)]
        )
    assert faults(refused.value) == [("/condition/rules/1/field", "cycle")]
    assert "silver -> gold, both of tier" in str(refused.value)
