"""Consents: what is told of them comes to the same in any order, and only what may changes them."""

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.core import consent
from service.core.consent import CHANNELS, Told, fill, fitting, reachable, told
from service.core.deciding import decide
from service.core.decisions import Input, Patch, State
from service.core.events import Event
from service.core.merging import Written
from tests.core.test_deciding import catalog, segment
from tests.running import NOW

PLAIN = catalog(segment("adult", ("age", ">=", 18)))


def event(name: str, at: int = NOW, message_id: str = "m-1", **properties: Any) -> Event:
    return Event(name, at, properties, message_id, "mailer")


def after(*inputs: Input) -> State:
    """A newcomer who was given these, one by one."""
    state = State("c-1", NOW, NOW)
    for given_ in inputs:
        state = decide(PLAIN, state, NOW, given_).state
    return state


def heard(*events: Event) -> State:
    return after(Input({}, NOW, events=events))


def traits(patch: dict[str, Any], at: int, message_id: str = "t-1") -> Input:
    return Input({}, NOW, patches=[Patch(patch, Written(at, message_id, "shop"))])


@pytest.mark.parametrize(
    ("name", "properties", "patch"),
    [
        ("Unsubscribed", {}, {"consent": {"email": "unsubscribed"}}),
        ("Unsubscribed", {"channel": "sms"}, {"consent": {"sms": "unsubscribed"}}),
        ("Email Marked as Spam", {}, {"suppressed": {"email": "complaint"}}),
        ("Email Bounced", {"bounce_type": "hard"}, {"suppressed": {"email": "bounce"}}),
        ("Email Bounced", {"type": "HardBounce"}, {"suppressed": {"email": "bounce"}}),
        ("Email Bounced", {"bounceType": "Permanent"}, {"suppressed": {"email": "bounce"}}),
        ("Email Bounced", {"severity": "permanent"}, {"suppressed": {"email": "bounce"}}),
        ("Email Bounced", {"bounce_type": "soft"}, None),
        ("Email Bounced", {"type": "Transient"}, None),
        ("Email Bounced", {"type": 1}, None),
        ("Email Bounced", {}, None),
        ("Email Delivered", {}, None),
        ("Email Opened", {"bounce_type": "hard"}, None),
        ("Email Link Clicked", {}, None),
        ("Consent Changed", {"channel": "ads", "status": "Subscribed"},
         {"consent": {"ads": "subscribed"}}),
        ("Consent Changed", {"channel": "email", "suppressed": None},
         {"suppressed": {"email": None}}),
        ("Consent Changed", {"channel": "email", "status": "subscribed", "suppressed": "bounce"},
         {"consent": {"email": "subscribed"}, "suppressed": {"email": "bounce"}}),
    ],
)  # fmt: skip
def test_what_events_tell(
    name: str, properties: dict[str, Any], patch: dict[str, Any] | None
) -> None:
    said = told(event(name, **properties))
    assert said == (None if patch is None else Told(patch))


@pytest.mark.parametrize(
    ("name", "properties", "pointers"),
    [
        ("Unsubscribed", {"channel": "fax"}, ["/properties/channel"]),
        ("Consent Changed", {"status": "subscribed"}, ["/properties/channel"]),
        ("Consent Changed", {"channel": ["email"]}, ["/properties/channel"]),
        ("Consent Changed", {"channel": "email"}, ["/properties/status"]),
        ("Consent Changed", {"channel": "email", "status": None}, ["/properties/status"]),
        ("Consent Changed", {"channel": "email", "status": True}, ["/properties/status"]),
        ("Consent Changed", {"channel": "email", "status": "yes", "suppressed": "no"},
         ["/properties/status", "/properties/suppressed"]),
        ("Consent Changed", {"channel": "email", "status": "never", "source": 1},
         ["/properties/source"]),
    ],
)  # fmt: skip
def test_events_that_nobody_can_read(
    name: str, properties: dict[str, Any], pointers: list[str]
) -> None:
    said = told(event(name, **properties))
    assert isinstance(said, list)
    assert [problem.pointer for problem in said] == pointers
    state = heard(event(name, **properties))
    assert state.traits == {}


def test_who_says_so_is_told_by_the_event_or_is_its_source() -> None:
    by_form = event("Consent Changed", channel="sms", status="subscribed", source="checkout form")
    state = heard(by_form, event("Unsubscribed", NOW - 1, "m-2"))
    assert state.times["consent.sms"] == Written(NOW, "m-1", "checkout form")
    assert state.times["consent.email"] == Written(NOW - 1, "m-2", "mailer")


def test_reachable_are_those_who_subscribed_and_are_not_suppressed() -> None:
    one = {"consent": {"email": "subscribed", "sms": "unsubscribed", "push": "never"}}
    assert reachable(one) == {**dict.fromkeys(CHANNELS, False), "email": True}
    assert not any(reachable({**one, "suppressed": {"email": "bounce"}}).values())
    assert reachable({**one, "suppressed": {"sms": "complaint"}})["email"]
    assert not any(reachable({}).values())


def test_of_who_never_said_anything_conditions_read_never_and_not_reachable() -> None:
    profile: dict[str, Any] = {}
    fill(profile)
    assert profile["consent"] == dict.fromkeys(CHANNELS, "never")
    assert profile["reachable"] == dict.fromkeys(CHANNELS, False)
    profile = {"consent": {"sms": "subscribed"}}
    fill(profile)
    assert profile["consent"] == {**dict.fromkeys(CHANNELS, "never"), "sms": "subscribed"}
    assert profile["reachable"]["sms"] is True
    # Within a call that stores nothing a caller may say where somebody can be reached.
    profile = {"reachable": {"email": True}}
    fill(profile)
    assert profile["reachable"] == {"email": True}


@pytest.mark.parametrize(
    ("patch", "kept", "pointers"),
    [
        ({"consent": {"email": "SUBSCRIBED"}}, {"consent": {"email": "subscribed"}}, []),
        ({"consent": {"email": None}}, {"consent": {"email": None}}, []),
        ({"consent": None}, {"consent": None}, []),
        ({"consent": {}}, {"consent": {}}, []),
        ({"consent": {"fax": "subscribed"}, "a": 1}, {"a": 1}, ["/traits/consent/fax"]),
        ({"consent": {"sms": True, "email": "never"}}, {"consent": {"email": "never"}},
         ["/traits/consent/sms"]),
        ({"consent": {"lat": 1, "lon": 2}}, {}, ["/traits/consent/lat", "/traits/consent/lon"]),
        ({"consent": "subscribed"}, {}, ["/traits/consent"]),
        ({"consent": [["email"]]}, {}, ["/traits/consent"]),
        ({"suppressed": {"email": "spam"}}, {}, ["/traits/suppressed/email"]),
    ],
)  # fmt: skip
def test_consents_have_one_shape(
    patch: dict[str, Any], kept: dict[str, Any], pointers: list[str]
) -> None:
    found, problems = fitting(patch)
    assert found == kept
    assert [problem.pointer for problem in problems] == pointers
    state = after(traits(patch, NOW))
    assert state.traits.get("consent") == ({} if patch == {"consent": {}} else _there(kept))


def _there(kept: dict[str, Any]) -> dict[str, Any] | None:
    told_ = kept.get("consent")
    return None if told_ is None else {name: value for name, value in told_.items() if value}


def test_no_trait_of_a_caller_sets_what_follows_from_others() -> None:
    patch = {"suppressed": {"email": "bounce"}, "reachable": {"email": True}, "age": 20}
    decision = decide(PLAIN, State("c-1", NOW, NOW), NOW, traits(patch, NOW))
    assert decision.state.traits == {"age": 20}
    assert [(each.pointer, each.code) for each in decision.problems] == [
        ("/traits/reachable", "derived"),
        ("/traits/suppressed", "derived"),
    ]
    suppressed = after(
        Input({}, NOW, events=[event("Email Marked as Spam")]),
        traits({"suppressed": None}, NOW),
        traits({"suppressed": {"email": None}, "consent": {"email": "subscribed"}}, NOW),
    )
    assert suppressed.traits["suppressed"] == {"email": "complaint"}
    assert not reachable(suppressed.traits)["email"]


def test_files_may_tell_what_closes_a_channel() -> None:
    patch = {"suppressed": {"email": "bounce", "sms": "else"}, "reachable": {"email": True}}
    told_ = [Patch(patch, Written(NOW - 5, "f-1:2", "import"))]
    decision = decide(
        PLAIN, State("c-1", NOW, NOW), NOW, Input({}, NOW, patches=told_, cause="import")
    )
    assert decision.state.traits == {"suppressed": {"email": "bounce"}}
    assert [each.pointer for each in decision.problems] == [
        "/traits/reachable",
        "/traits/suppressed/sms",
    ]


def test_a_subscription_after_a_bounce_opens_nothing_until_somebody_lifts_it() -> None:
    bounced = event("Email Bounced", NOW - 9, "m-1", bounce_type="hard")
    again = event("Consent Changed", NOW - 5, "m-2", channel="email", status="subscribed")
    lifted = event("Consent Changed", NOW - 3, "m-3", channel="email", suppressed=None)
    assert not reachable(heard(bounced, again).traits)["email"]
    assert reachable(heard(bounced, again, lifted).traits)["email"]
    later = event("Email Bounced", NOW - 1, "m-4", bounce_type="hard")
    assert not reachable(heard(bounced, again, lifted, later).traits)["email"]


WORD = st.sampled_from(list(consent.Status))
CHANNEL = st.sampled_from(CHANNELS[:2])
SAYS = st.one_of(
    st.tuples(st.just("Unsubscribed"), st.fixed_dictionaries({}, optional={"channel": CHANNEL})),
    st.tuples(st.just("Email Marked as Spam"), st.just({})),
    st.tuples(
        st.just("Email Bounced"),
        st.fixed_dictionaries({"type": st.sampled_from(["hard", "soft"])}),
    ),
    st.tuples(
        st.just("Consent Changed"),
        st.fixed_dictionaries(
            {"channel": CHANNEL},
            optional={
                "status": WORD,
                "suppressed": st.sampled_from([None, "bounce", "complaint"]),
            },
        ),
    ),
    st.tuples(st.just("identify"), st.dictionaries(CHANNEL, st.one_of(WORD, st.none()))),
)


def said(number: int, says: tuple[str, dict[str, Any]], at: int) -> Input:
    name, properties = says
    if name == "identify":
        return traits({"consent": properties}, at, f"m-{number}")
    return Input({}, NOW, events=[event(name, at, f"m-{number}", **properties)])


def plainly(inputs: list[tuple[int, int, tuple[str, dict[str, Any]]]]) -> dict[str, Any]:
    """What they come to, told one after the other by time and id: the specification."""
    state: dict[str, dict[str, Any]] = {"consent": {}, "suppressed": {}}
    for _, number, (name, properties) in sorted(inputs, key=lambda one: (one[0], f"m-{one[1]}")):
        if name == "identify":
            state["consent"] |= properties
            continue
        patch = told(event(name, **properties))
        for trait, members in patch.patch.items() if isinstance(patch, Told) else ():
            state[trait] |= members
        assert number >= 0
    return {
        trait: {channel: word for channel, word in members.items() if word is not None}
        for trait, members in state.items()
    }


@settings(max_examples=150)
@given(st.lists(st.tuples(st.integers(NOW - 3, NOW), SAYS), max_size=6), st.randoms())
def test_any_order_of_arrival_comes_to_the_same(
    messages: list[tuple[int, tuple[str, dict[str, Any]]]], random: Any
) -> None:
    numbered = [(at, number, says) for number, (at, says) in enumerate(messages)]
    expected = plainly(numbered)
    arriving = list(numbered)
    random.shuffle(arriving)
    state = after(*(said(number, says, at) for at, number, says in arriving))
    assert {name: state.traits.get(name) or {} for name in expected} == expected
    # Told together, and told twice, as networks do.
    both = [said(number, says, at) for at, number, says in [*arriving, *numbered]]
    together = after(
        Input(
            {},
            NOW,
            patches=list(itertools.chain(*(one.patches for one in both))),
            events=list(itertools.chain(*(one.events for one in both))),
        )
    )
    assert {name: together.traits.get(name) or {} for name in expected} == expected
