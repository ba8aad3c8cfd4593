"""What changed between two conditions, rule by rule, for people to read."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Literal

Node = Any


@dataclass(frozen=True, slots=True)
class Change:
    """One rule or group that is not what it was. `pointer`: where it stands in the condition it
    belongs to, the new one unless it was removed; a side that is missing is None.

    Of a group that was changed only what is its own is told, without its rules.
    """

    pointer: str
    kind: Literal["added", "removed", "changed"]
    before: Node
    after: Node


def changes(before: Node, after: Node, pointer: str = "/condition") -> list[Change]:
    """What changed from one condition in wire format to another, from top to bottom."""
    return list(_compared(before, after, pointer, pointer))


def _compared(before: Node, after: Node, was_at: str, now_at: str) -> Iterator[Change]:
    if not (_is_group(before) and _is_group(after)):
        if _text(before) != _text(after):
            yield Change(now_at, "changed", before, after)
        return
    if _own(before) != _own(after):
        yield Change(now_at, "changed", _own(before), _own(after))
    old, new = before["rules"], after["rules"]
    matcher = SequenceMatcher(None, list(map(_text, old)), list(map(_text, new)), autojunk=False)
    for tag, old_start, old_end, new_start, new_end in matcher.get_opcodes():
        if tag != "equal":
            removed = [(f"{was_at}/rules/{i}", old[i]) for i in range(old_start, old_end)]
            added = [(f"{now_at}/rules/{i}", new[i]) for i in range(new_start, new_end)]
            yield from _replaced(removed, added)


Placed = tuple[str, Node]


def _replaced(removed: Sequence[Placed], added: Sequence[Placed]) -> Iterator[Change]:
    """Of rules in the place of others: those about the same field are the same rule, changed."""
    waiting = list(removed)
    for now_at, new in added:
        same = next((place for place in waiting if _about(place[1]) == _about(new)), None)
        if same is None:
            yield Change(now_at, "added", None, new)
        else:
            waiting.remove(same)
            yield from _compared(same[1], new, same[0], now_at)
    for was_at, old in waiting:
        yield Change(was_at, "removed", old, None)


def _about(node: Node) -> Any:
    """What makes two rules the same one to people: its field; any group is like another."""
    return None if _is_group(node) else node.get("field") if isinstance(node, dict) else node


def _is_group(node: Node) -> bool:
    return isinstance(node, dict) and isinstance(node.get("rules"), list)


def _own(group: Node) -> Node:
    return {"combinator": group.get("combinator"), "not": bool(group.get("not", False))}


def _text(node: Node) -> str:
    return json.dumps(node, sort_keys=True)
