"""Definitions in files: YAML, and JSON as a part of it, read so that every fault has its place.

What YAML readers understand differently is refused rather than guessed: `no` is false to one and a
text to another, `010` is 8 or 10. There are no tags and no merge keys; a date is a text.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from service.core.parsing import Problem, escape

VERSION = 1
# Values of one file, aliases followed: a few lines of aliases of aliases could fill the memory.
VALUES_LIMIT = 1_000_000
DEPTH_LIMIT = 100
# Python reads none longer, and neither does the API: it is told as too large.
DIGITS_LIMIT = 4_300

_NULL = re.compile(r"(?:~|null|Null|NULL|)\Z")
_TRUE = re.compile(r"(?:true|True|TRUE)\Z")
_FALSE = re.compile(r"(?:false|False|FALSE)\Z")
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)\Z")
_FLOAT = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?\Z")
_TWO_WAYS = re.compile(
    r"""(?ix)(?: yes | no | on | off
    | [-+]?0[0-9_]+ | [-+]?0[box][0-9a-f_]+ | [-+]?[0-9][0-9_]*_[0-9_]*(?:\.[0-9_]*)?
    | [-+]?\.inf | \.nan )\Z"""
)
_TEXT_TAG = "tag:yaml.org,2002:str"
_TAGS = frozenset({_TEXT_TAG, "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"})
# A character beyond the first 65,536 as JSON escapes it, which YAML does not understand.
_PAIR = re.compile(
    r"(?P<before>(?<!\\)(?:\\\\)*)(?P<pair>\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
)
# Characters that JSON takes as they are, and YAML for the end of a line or for none of its own.
_ODD = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands: a file, its line and column, counted from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class LocatedFault:
    """A fault with its place, where it has one; the pointer leads into the file's document."""

    place: Place | None
    problem: Problem


class Faulty(ValueError):
    """What can't be accepted, and all that is wrong with it."""

    def __init__(self, faults: Sequence[LocatedFault]) -> None:
        super().__init__(f"{len(faults)} faults")
        self.faults = list(faults)


@dataclass(frozen=True, slots=True)
class Written:
    """A segment as it stands in a file: its document, where that is in the file's own, and the
    places of its parts by their pointer into the file's document."""

    document: Any
    pointer: str
    places: "Places"

    def located(self, problem: Problem) -> LocatedFault:
        """A fault of this segment's document with its place."""
        pointer = self.pointer + problem.pointer
        of_name = problem.code == "unknown_property"
        fault = Problem(pointer, problem.code, problem.detail)
        return LocatedFault(self.places.of(pointer, of_name=of_name), fault)


class Places:
    """Where the values of one file stand, by pointer, and their names."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.values: dict[str, Any] = {}
        self.names: dict[str, Any] = {}

    def of(self, pointer: str, *, of_name: bool = False) -> Place:
        """The place of a value or of what holds it, where it is missing."""
        if of_name and pointer in self.names:
            return self.at(self.names[pointer])
        while pointer not in self.values and pointer:
            pointer = pointer.rpartition("/")[0]
        return self.at(self.values[pointer]) if pointer in self.values else self.start()

    def at(self, mark: Any) -> Place:
        """The place of a mark."""
        return Place(self.file, mark.line + 1, mark.column + 1)

    def start(self) -> Place:
        """The begin of the file."""
        return Place(self.file, 1, 1)


def read(file: str, content: bytes) -> list[Written]:
    """The segments of a file, in its order. Raises Faulty."""
    reader = _Reader(file)
    documents = list(reader.documents(content))
    found: list[Written] = []
    for number, (places, document) in enumerate(documents):
        prefix = f"/{number}" if len(documents) > 1 else ""
        reader.places = places
        found += reader.segments(document, prefix)
    if reader.faults:
        raise Faulty(reader.faults)
    return found


class _Reader:
    def __init__(self, file: str) -> None:
        self.faults: list[LocatedFault] = []
        self.places = Places(file)
        self._values = 0

    def fault(self, mark: Any, pointer: str, code: str, detail: str) -> None:
        place = self.places.start() if mark is None else self.places.at(mark)
        self.faults.append(LocatedFault(place, Problem(pointer, code, detail)))

    def documents(self, content: bytes) -> Iterator[tuple[Places, Any]]:
        """The documents of a file, each with the places of what it holds."""
        try:
            text = content.decode("utf-8-sig")
            text = _as_yaml(text)
            if not self._fits(text):
                return
            nodes = list(yaml.compose_all(text, Loader=_LOADER))
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start)
            self.fault(yaml.Mark("", 0, line, 0, None, 0), "", "bad_value", "this is not UTF-8")
            return
        except yaml.MarkedYAMLError as error:
            detail = ", ".join(part for part in (error.problem, error.context) if part)
            self.fault(error.problem_mark or error.context_mark, "", "not_yaml", detail)
            return
        except yaml.YAMLError as error:
            self.fault(None, "", "not_yaml", str(error).splitlines()[0])
            return
        several = len(nodes) > 1
        for number, node in enumerate(nodes):
            self.places = Places(self.places.file)
            value = self._value(node, f"/{number}" if several else "", ())
            yield self.places, value

    def _fits(self, text: str) -> bool:
        """Whether nothing is nested so deep that composing, which calls itself, would crash."""
        depth = 0
        for event in yaml.parse(text, Loader=_LOADER):
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                if depth > DEPTH_LIMIT:
                    self.fault(event.start_mark, "", "too_deep", "this is nested too deep")
                    return False
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
        return True

    def _value(self, node: Any, pointer: str, within: tuple[int, ...]) -> Any:
        self._values += 1
        self.places.values.setdefault(pointer, node.start_mark)
        if len(within) > DEPTH_LIMIT:  # by aliases of aliases
            self.fault(node.start_mark, pointer, "too_deep", "this is nested too deep")
            return None
        if self._values > VALUES_LIMIT:
            if self._values == VALUES_LIMIT + 1:
                detail = f"a file holds {VALUES_LIMIT:,} values at most, aliases followed"
                self.fault(node.start_mark, pointer, "too_many", detail)
            return None
        if id(node) in within:
            mark = self.places.names.get(pointer, node.start_mark)
            self.fault(mark, pointer, "cycle", "this alias leads back to itself")
            return None
        if node.tag not in _TAGS:
            detail = f"{node.tag} is a tag of YAML: they are not understood here"
            self.fault(node.start_mark, pointer, "bad_value", detail)
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, pointer, (*within, id(node)))
        if isinstance(node, yaml.SequenceNode):
            below = (*within, id(node))
            return [
                self._value(item, f"{pointer}/{place}", below)
                for place, item in enumerate(node.value)
            ]
        return self._scalar(node, pointer)

    def _mapping(self, node: Any, pointer: str, within: tuple[int, ...]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        marks: dict[str, Any] = {}
        for name_node, value_node in node.value:
            mark = name_node.start_mark
            if not isinstance(name_node, yaml.ScalarNode):
                self.fault(mark, pointer, "type", "a name has to be a text")
                continue
            name: str = name_node.value
            below = f"{pointer}/{escape(name)}"
            if name == "<<" and not name_node.style:
                detail = "merge keys are not understood here: repeat what is shared, or alias it"
                self.fault(mark, below, "bad_value", detail)
                continue
            if name in marks:
                detail = f"{name} stands here twice: in line {marks[name].line + 1} too"
                self.fault(mark, below, "duplicate", detail)
                continue
            marks[name] = mark
            self.places.names[below] = mark
            if not isinstance(value_node, yaml.ScalarNode):
                self.places.values.setdefault(below, mark)
            result[name] = self._value(value_node, below, within)
        return result

    def _scalar(self, node: Any, pointer: str) -> Any:
        text: str = node.value
        if node.style:
            return text
        if _NULL.match(text):
            return None
        if _TRUE.match(text) or _FALSE.match(text):
            return text[0] in "tT"
        if _TWO_WAYS.match(text):
            detail = (
                f'YAML readers take {text} for different things: write "{text}" in quotes for '
                "the text, else true, false or a plain number"
            )
            self.fault(node.start_mark, pointer, "bad_value", detail)
            return None
        if _INTEGER.match(text):
            return int(text) if len(text) <= DIGITS_LIMIT else math.inf
        if _FLOAT.match(text):
            return float(text)
        return text

    def segments(self, document: Any, pointer: str) -> list[Written]:
        """The segments of a document: `{version: 1, segments: [...]}`, a list, or one alone."""
        if document is None:
            return []
        if isinstance(document, dict) and "segments" in document:
            self._check_version(document, pointer)
            pointer += "/segments"
            document = document["segments"]
            if document is None:
                return []
            if not isinstance(document, list):
                place = self.places.of(pointer)
                fault = Problem(pointer, "type", "segments has to be a list")
                self.faults.append(LocatedFault(place, fault))
                return []
        if isinstance(document, list):
            return [
                Written(item, f"{pointer}/{place}", self.places)
                for place, item in enumerate(document)
            ]
        if isinstance(document, dict) and "key" in document:
            return [Written(document, pointer, self.places)]
        detail = "there are no segments here: {version: 1, segments: [...]}, a list, or one segment"
        self.faults.append(LocatedFault(self.places.of(pointer), Problem(pointer, "type", detail)))
        return []

    def _check_version(self, document: Mapping[str, Any], pointer: str) -> None:
        version = document.get("version", VERSION)
        if type(version) is not int or version != VERSION:
            place = self.places.of(f"{pointer}/version")
            fault = Problem(f"{pointer}/version", "bad_value", f"the version known is {VERSION}")
            self.faults.append(LocatedFault(place, fault))
        for name in document.keys() - {"version", "segments"}:
            below = f"{pointer}/{escape(name)}"
            place = self.places.of(below, of_name=True)
            fault = Problem(below, "unknown_property", "beside segments there is version only")
            self.faults.append(LocatedFault(place, fault))


def _as_yaml(text: str) -> str:
    """A file whose JSON, if that is what it is, YAML understands too."""
    if text.lstrip()[:1] not in ("{", "["):
        return text
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return text
    # A tab of JSON stands between values: within a text it is escaped.
    text = _ODD.sub(lambda odd: f"\\u{ord(odd[0]):04x}", text.replace("\t", " "))
    return _PAIR.sub(lambda found: found["before"] + json.loads(f'"{found["pair"]}"'), text)


# Whichever is there: the one in C is ten times as fast. Neither makes anything but plain nodes.
_LOADER: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


class _Dumper(yaml.SafeDumper):
    """Writes what `read` reads as the same, and other readers of YAML too; a rule on one line."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> Any:
        return super().increase_indent(flow, False)

    def represent_mapping(self, tag: str, mapping: Any, flow_style: bool | None = None) -> Any:
        node = super().represent_mapping(tag, mapping, flow_style)
        length = _length_on_one_line(node)
        node.flow_style = length is not None and length < LINE
        return node


def _length_on_one_line(node: Any) -> int | None:
    """How long a node of plain values, or lists and rules of such, is; None for others."""
    if isinstance(node, yaml.ScalarNode):
        return len(node.value) + 2
    parts = node.value
    if isinstance(node, yaml.MappingNode):
        parts = [part for pair in parts for part in pair]
    lengths = [
        _length_on_one_line(part)
        for part in parts
        if isinstance(part, yaml.ScalarNode) or part.flow_style
    ]
    known = [length for length in lengths if length is not None]
    return sum(known) + 2 if len(known) == len(parts) else None


def _text_node(dumper: yaml.SafeDumper, text: str) -> Any:
    style = None
    if _ODD.search(text):
        style = '"'
    elif _FLOAT.match(text) or _TWO_WAYS.match(text) or text in ("=", "<<", "y", "n"):
        style = "'"
    return dumper.represent_scalar(_TEXT_TAG, text, style=style)


_Dumper.add_representer(str, _text_node)

LINE = 90
# The order in which people write the members of a definition; the database keeps none.
ORDER = (
    "key", "name", "description", "dimensions", "condition", "scheme", "priority", "status",
    "min_dwell", "owner", "review_by", "expires_at", "tags", "persona", "treatment", "limits",
    "summary", "needs", "channels", "tone", "message", "offer", "goals",
    "combinator", "not", "field", "aggregate", "operator", "valueSource", "value", "missing",
    "caseSensitive", "rules",
)  # fmt: skip
_PLACES = {name: place for place, name in enumerate(ORDER)}

HEADER = "# Segments, as `segserve export` writes them and `segserve apply` takes them.\n"


def write(documents: Sequence[Mapping[str, Any]]) -> str:
    """Segments as a file."""
    body = yaml.dump(
        {"version": VERSION, "segments": [_ordered(each) for each in documents]},
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=None,
        width=100,
    )
    return HEADER + str(body)


def _ordered(value: Any) -> Any:
    if isinstance(value, Mapping):
        names = sorted(value, key=lambda name: (_PLACES.get(name, len(ORDER)), name))
        return {name: _ordered(value[name]) for name in names}
    return [_ordered(item) for item in value] if isinstance(value, list) else value


def read_files(paths: Sequence[str], stdin: Any) -> list[Written]:
    """The segments of files in their order; `-` is `stdin`. Raises Faulty."""
    found: list[Written] = []
    faults: list[LocatedFault] = []
    for path in paths:
        try:
            content = stdin.read() if path == "-" else Path(path).read_bytes()
            found += read(path, content)
        except OSError as error:
            detail = error.strerror or type(error).__name__
            faults.append(LocatedFault(Place(path, 1, 1), Problem("", "not_found", detail)))
        except Faulty as error:
            faults += error.faults
    if faults:
        raise Faulty(faults)
    return found
