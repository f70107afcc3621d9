"""Both corpora together, the checker called on a case, and what is counted over many of them."""

from dataclasses import dataclass, field

import numpy as np

from gradcheck import Report, check_function, check_layer, check_loss
from tests.gradcheck import corpus, second_corpus
from tests.gradcheck.corpus import Case


def every_case() -> list[Case]:
    """The cases of both corpora."""
    return corpus.cases() + second_corpus.cases()


def checked(case: Case, seed: int, where_it_shows: bool = False) -> Report:
    """The checker's report on a case at one of its points."""
    inputs = case.shown_at if where_it_shows and case.shown_at else case.inputs
    xs = inputs(np.random.default_rng(seed))
    if case.kind == "function":
        return check_function(*case.make(), *xs, seed=seed)
    return (check_loss if case.kind == "loss" else check_layer)(case.make, *xs, seed=seed)


@dataclass
class Score:
    """How well wrong cases are diagnosed: by the first cause named, and the first three."""

    n: int = 0
    first: int = 0
    first_three: int = 0
    confidently_wrong: int = 0
    missed: list[str] = field(default_factory=list)

    def add(self, case: Case, report: Report) -> None:
        """Count one wrong case."""
        named = {case.slug, *case.also}
        causes = report.findings[0].causes if report.findings else []
        self.n += 1
        self.first += causes[:1] != [] and causes[0] in named
        self.first_three += bool(named & set(causes[:3]))
        told = causes[:1] not in ([], ["unexplained"])
        self.confidently_wrong += told and causes[0] not in named
        if report.verdict != "wrong":
            self.missed.append(case.name)
