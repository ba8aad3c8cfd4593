"""What tests of publishing ask again and again."""

from service.core.parsing import Invalid

ADULT = ("age", ">=", 18)


def faults(error: Invalid) -> list[tuple[str, str]]:
    return [(problem.pointer, problem.code) for problem in error.problems]
