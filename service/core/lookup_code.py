"""The look-up of many fields written out as one function.

A loop over fields pays a call and a tuple for each, more than most look-ups themselves. The
source is put together from the lines below and the fields' numbers. What users word, names and
values, never gets into it: the lines read that from variables.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence, Set
from typing import Any

from service.core.field_index import Clock, FieldIndex, Form
from service.core.instants import parse_instant
from service.core.traits import Profile, point

# Of a profile and the lists it is on: what it rules out whatever the time, and what of it moves
# with time.
LookUp = Callable[[Profile, Set[str] | None], tuple[int, list[Clock]]]

# What becomes of `value`, the field's, by its form; # stands for the field's number. A value that
# a field is not mostly made for goes to `any#`, which takes every one.
_LINES = {
    Form.PRESENCE: """
    out |= absent# if value is None else present#""",
    Form.NUMBERS: """
    kind = type(value)
    if kind is int:
        out |= table#[bisect(whole#, value)]
    elif kind is float and value == value:
        out |= table#[bisect(bounds#, value)]
    else:
        out |= absent# if value is None else any#(value)""",
    Form.TEXTS: """
    try:
        out |= memo#[value]
    except (KeyError, TypeError):
        out |= absent# if value is None else any#(value)""",
    Form.BOOLEANS: """
    if value is True:
        out |= true#
    elif value is False:
        out |= false#
    else:
        out |= absent# if value is None else any#(value)""",
    Form.LISTS: """
    if type(value) is list:
        out |= beside# | items#(value)
    else:
        out |= absent# if value is None else any#(value)""",
    Form.PLACES: """
    if type(value) is dict and (place := point(value)) is not None:
        out |= beside# | places#(place)
    else:
        out |= absent# if value is None else any#(value)""",
    Form.INSTANTS: """
    if type(value) is str and (instant := parse(value, zone#)) is not None:
        out |= table#[bisect(whole#, instant)]
    else:
        out |= absent# if value is None else any#(value)""",
    Form.CLOCKS: """
    if type(value) is str and (instant := parse(value, zone#)) is not None:
        out |= table#[bisect(whole#, instant)]
        clocks.append((index#, value, instant))
    elif value is None:
        out |= absent#
    else:
        bits, clock = clock#(value)
        out |= bits
        clocks.append(clock)""",
    Form.ANY: """
    out |= absent# if value is None else any#(value)""",
    Form.ANY_CLOCK: """
    if value is None:
        out |= absent#
    else:
        bits, clock = clock#(value)
        out |= bits
        clocks.append(clock)""",
}
_READ = """
    value = get(name#)"""
_READ_INSIDE = """
    value = value.get(name#_@) if isinstance(value, dict) else None"""


_BEGIN = """def look_up(profile, lists):
    get = profile.get
    clocks = []
    out = unread if lists is None else 0"""
_PAIRS = """
    out |= pairs(profile)"""
_END = """
    return out, clocks
"""


def write(
    fields: Sequence[FieldIndex], unread: int, pairs: Callable[[Profile], int] | None
) -> LookUp:
    """The function that looks these fields up. `unread`: what is out where lists can't be read;
    `pairs`: what comparisons of two fields rule out."""
    source = [_BEGIN]
    names: dict[str, Any] = {
        "bisect": bisect_right,
        "parse": parse_instant,
        "point": point,
        "unread": unread,
        "pairs": pairs,
    }
    for number, index in enumerate(fields):
        first, *inside = index.field.path
        values = {"name": first, "index": index, **index.parts()}
        names |= {f"{name}{number}": value for name, value in values.items()}
        names |= {f"name{number}_{depth}": step for depth, step in enumerate(inside)}
        steps = "".join(_READ_INSIDE.replace("@", str(depth)) for depth in range(len(inside)))
        source.append((_READ + steps + _LINES[index.form]).replace("#", str(number)))
    if pairs is not None:
        source.append(_PAIRS)
    source.append(_END)
    exec("".join(source), names)  # noqa: S102 - of our own words and numbers, as said above
    look_up: LookUp = names["look_up"]
    return look_up
