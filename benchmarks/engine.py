"""Part "engine": one profile, and a block of profiles, against many segments; one core each."""

import os
import sys
from collections.abc import Callable
from typing import Any

from benchmarks import ours
from benchmarks.measuring import SERVER_CORE, Timing, pinned, race, sized
from benchmarks.peers import cel_rust, closures, flagsmith, zen_rust
from benchmarks.report import Report
from benchmarks.workload import NOW_US, make_conditions, make_profiles
from service.core.bits import positions_of
from service.core.blocks import match_block

PART = "engine"
WANTED = {1_000: 20.0, 10_000: 50.0}  # segments: times the closures
# Many short rounds: on a shared machine slow moments last longer than these.
ROUNDS = 15
SECONDS_EACH = 0.15
BLOCK = 65_536
BLOCK_ROUNDS = 5

Match = Callable[[dict[str, Any]], list[int]]
Prepare = Callable[[list[dict[str, Any]], int], Match]

OURS, CLOSURES = "segserve", "compiled closures"
DECODED = "segserve, decoded to a list"
SINGLE: dict[str, Prepare] = {DECODED: ours.prepare, CLOSURES: closures.prepare}
PEERS: dict[str, Prepare] = {
    **SINGLE,
    "zen-engine": zen_rust.prepare,
    "common-expression-language": cel_rust.prepare,
    "flagsmith-flag-engine": flagsmith.prepare,
}
WORKLOADS: tuple[tuple[str, dict[str, bool], dict[str, Prepare]], ...] = (
    ("every operator", {}, SINGLE),
    ("every operator, a third of the predicates time windows", {"third_time": True}, SINGLE),
    ("what every peer can express: numbers, strings, booleans", {"peers": True}, PEERS),
)


def run(report: Report) -> None:
    with pinned(SERVER_CORE):
        profiles = make_profiles(1_000)
        for title, options, contenders in WORKLOADS:
            for size, wanted in WANTED.items():
                conditions = make_conditions(size, **options)
                timing = _single(f"{title}, {size:,}", contenders, conditions, profiles, report)
                _show_single(f"{size:,} segments, {title}", timing, report)
                name = f"one profile, {size:,} segments, {title}: speed to {CLOSURES}"
                report.at_least(name, timing.ratio(CLOSURES, OURS), wanted)
        _block(report)


def _single(
    doing: str,
    contenders: dict[str, Prepare],
    conditions: list[dict[str, Any]],
    profiles: list[dict[str, Any]],
    report: Report,
) -> Timing:
    steps = len(contenders) * (ROUNDS + 1) + ROUNDS
    with report.progress(doing, steps) as step:
        bitset = ours.bitset(conditions, NOW_US)
        works = {OURS: sized(bitset, profiles, SECONDS_EACH)}
        sample = profiles[:20]
        expected: list[list[int]] | None = None
        for name, prepare in contenders.items():
            match = prepare(conditions, NOW_US)
            found = [sorted(match(profile)) for profile in sample]
            expected = expected or found
            if found != expected:
                raise AssertionError(f"{name} disagrees with {next(iter(contenders))}")
            works[name] = sized(match, profiles, SECONDS_EACH)
            step()
        return race(works, ROUNDS, step)


def _show_single(title: str, timing: Timing, report: Report) -> None:
    rows = []
    for name in timing.rounds:
        micros = timing.best(name) * 1e6
        report.figure(PART, f"{title}: {name}: us_per_profile", micros)
        rows.append([name, f"{micros:,.1f}", f"{timing.ratio(name, OURS):.2f} ×"])
    note = f"one core; least of {ROUNDS} interleaved rounds; ratio: median of the rounds' own"
    report.table(title, ["", "µs a profile", f"time to {OURS}"], rows, note)


def _block(report: Report) -> None:
    # Polars reads this when it is first imported.
    os.environ["POLARS_MAX_THREADS"] = "1"
    assert "polars" not in sys.modules, "polars was imported before its threads were bounded"
    from benchmarks.peers import polars_block

    conditions = make_conditions(1_000)
    profiles = make_profiles(BLOCK)
    block = polars_block.load(profiles)
    expressions = polars_block.prepare(conditions, NOW_US)
    truths = polars_block.match(block[:200], expressions).rows()
    expected = closures.prepare(conditions, NOW_US)
    for profile, row in zip(profiles, truths, strict=False):
        if [index for index, truth in enumerate(row) if truth] != expected(profile):
            raise AssertionError("Polars disagrees with the compiled closures")

    def polars() -> int:
        polars_block.match(block, expressions)
        return len(profiles)

    plan, typed = ours.block(profiles, conditions)
    found = match_block(plan, typed, NOW_US)
    index_of = [int(key) for key in found.keys]
    for number, profile in enumerate(profiles[:200]):
        if sorted(index_of[bit] for bit in positions_of(found.row(number))) != expected(profile):
            raise AssertionError("the block form disagrees with the compiled closures")

    def packed() -> int:
        match_block(plan, typed, NOW_US)
        return len(profiles)

    with report.progress("block form", 2 * BLOCK_ROUNDS) as step:
        timing = race({OURS: packed, "Polars": polars}, BLOCK_ROUNDS, step)
    report.at_least(
        "block form, 1,000 segments: speed to Polars", timing.ratio("Polars", OURS), 8.0
    )
    rows = []
    for name in timing.rounds:
        rate = 1 / timing.best(name)
        report.figure(PART, f"block: {name}: profiles_per_s", rate)
        rows.append([name, f"{rate:,.0f}"])
    note = f"typed columns loaded beforehand, blocks of {BLOCK:,}; best of {BLOCK_ROUNDS}; one core"
    report.table("Block form, 1,000 segments, every operator", ["", "profiles/s"], rows, note)
