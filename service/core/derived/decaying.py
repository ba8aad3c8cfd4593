"""Points that decay: a sum that halves with every half-life, v(t) = Σ pᵢ · 2^(−(t − tᵢ)/h).

Between two events the sum only shrinks towards zero, and so does the double that stands for it: a
power of two is exact, 2^(−r/h) is good to an ulp, and half-lives of ten years at most change it by
more than that within a microsecond. Where rounding makes it stand still it never turns back. So
whether it has passed a threshold is asked of the value itself, and is found by bisection.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import exp2, inf, ldexp, log2

from service.core.instants import LAST

# After so many halvings nothing is left of a double.
_ALL_HALVINGS = 1_200


@dataclass(frozen=True, slots=True)
class DecayingSum:
    """A sum of points as of the instant `at`, in microseconds as `half_life` is."""

    half_life: int
    value: float = 0.0
    at: int = 0

    def value_at(self, instant: int) -> float:
        """What is left of the sum at an instant that is not before its own."""
        halvings, rest = divmod(instant - self.at, self.half_life)
        return ldexp(self.value * exp2(-rest / self.half_life), -halvings)

    def fold(self, at: int, points: float) -> "DecayingSum":
        """The sum with one more event, which must not be older than the sum."""
        before = self.value_at(at) if self.value else 0.0
        return DecayingSum(self.half_life, before + points, at)

    @classmethod
    def of(cls, earned: Iterable[tuple[int, float]], half_life: int) -> "DecayingSum":
        """The sum of (instant, points) in any order. It is folded in order of time, and of points
        within one instant, so it does not depend on which came first to the last bit."""
        value, at = 0.0, 0
        for instant, points in sorted(earned):
            if value:
                halvings, rest = divmod(instant - at, half_life)
                value = ldexp(value * exp2(-rest / half_life), -halvings)
            value, at = value + points, instant
        return cls(half_life, value, at)


def first_passing(
    test: Callable[[int], bool], decaying: DecayingSum, now: int, expected: float
) -> int | None:
    """The first instant after `now` at which a test holds that does not hold now, and that time
    turns once at most; None where it never will. `expected`: the sum at which it should turn."""
    last = min(LAST, decaying.at + _ALL_HALVINGS * decaying.half_life)
    if last <= now or not test(last):
        return None
    # Somewhere in (low, high] it turns; the guess is mostly right to the microsecond.
    low, high = now, last
    guess = _guess(decaying, expected)
    if low < guess < high:
        low, high = _bracket(test, low, int(guess), high)
    while high - low > 1:
        middle = (low + high) // 2
        if test(middle):
            high = middle
        else:
            low = middle
    return high


def _guess(decaying: DecayingSum, expected: float) -> float:
    left = expected / decaying.value
    return decaying.at - decaying.half_life * log2(left) if 0 < left < inf else inf


def _bracket(test: Callable[[int], bool], low: int, guess: int, high: int) -> tuple[int, int]:
    """Instants around a guess between which a test turns, looked for in growing steps."""
    step = 1
    if test(guess):
        high = guess
        while high - step > low:
            if not test(high - step):
                return high - step, high
            high -= step
            step *= 2
        return low, high
    low = guess
    while low + step < high:
        if test(low + step):
            return low, low + step
        low += step
        step *= 2
    return low, high
