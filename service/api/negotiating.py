"""Which of several media types an answer has (RFC 9110, section 12.5.1)."""

from collections.abc import Sequence

from service.api.problems import HttpProblem


def chosen(accept: str | None, offered: Sequence[str]) -> str:
    """The offered media type that the Accept header prefers, the first of equals. Raises
    HttpProblem 406 where it takes none."""
    if accept is None or not accept.strip():
        return offered[0]
    ranges = [_range(each) for each in accept.split(",") if each.strip()]
    qualities = {each: _quality(each, ranges) for each in offered}
    best = max(offered, key=qualities.__getitem__)
    if qualities[best] <= 0:
        detail = f"this can be answered as {', '.join(offered)}, and Accept takes none of them"
        raise HttpProblem(406, "not_acceptable", detail)
    return best


def _range(text: str) -> tuple[str, float]:
    media_range, *parameters = (part.strip().lower() for part in text.split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return media_range, min(max(float(value), 0.0), 1.0)
            except ValueError:
                return media_range, 0.0
    return media_range, 1.0


def _quality(media_type: str, ranges: Sequence[tuple[str, float]]) -> float:
    """What the most specific range that covers the type says of it; 0 where none does."""
    covering = {media_type: 2, f"{media_type.partition('/')[0]}/*": 1, "*/*": 0}
    found = [(covering[name], quality) for name, quality in ranges if name in covering]
    return max(found)[1] if found else 0.0
