"""Does the section on what drives a model name a planted shortcut first, and leave clean twins alone?

The three examples (a mark in the corner of images, a leaking hour of a day, a word about a person) are made again from
many seeds, each with and without its flaw; a network is trained on one half and the audit `attribution` run on the
other. Named: the flaw's feature has the largest mean |Shapley value|. False alarm: so it has in the clean twin.
"""

from benchmarks.common import Bound, fix_threads, main

fix_threads()

import contextlib  # noqa: E402 - after the threads are fixed
import os  # noqa: E402
import tempfile  # noqa: E402
from collections.abc import Callable, Mapping  # noqa: E402
from concurrent.futures import ProcessPoolExecutor  # noqa: E402
from dataclasses import dataclass  # noqa: E402
from pathlib import Path  # noqa: E402

from examples.demand import __main__ as demand  # noqa: E402
from examples.digits import __main__ as digits  # noqa: E402
from examples.reviews import __main__ as reviews  # noqa: E402
from rai.audits import find  # noqa: E402
from rai.intake import Choices, from_files  # noqa: E402

RUNS, FEW = 100, 2


@dataclass(frozen=True)
class Flaw:
    """How an example is made, and how the section names its shortcut."""

    prepare: Callable[[Path, bool, int], Path]
    named: Callable[[str], bool]


FLAWS: Mapping[str, Flaw] = {
    "images, a corner mark": Flaw(
        lambda folder, planted, seed: digits.prepare(folder, "cnn", marked=planted, seed=seed),
        lambda name: name == "row 1, column 1",
    ),
    "sequences, a leaking hour": Flaw(
        lambda folder, planted, seed: demand.prepare(folder, leaking=planted, seed=seed),
        lambda name: name == "settlement, steps 21 to 24",
    ),
    "texts, an identity word": Flaw(
        lambda folder, planted, seed: reviews.prepare(reviews.reviews(seed, planted=planted), folder, seed),
        lambda name: name == reviews.PLANTED,
    ),
}
BOUNDS = tuple(
    bound
    for name in FLAWS
    for bound in (
        Bound(f"{name}: named first, share of models", at_least=0.95),
        Bound(f"{name}: named first in clean twins", at_most=0.05),
    )
)


def first(example: str, planted: bool, seed: int) -> str:  # noqa: FBT001 - one job of the pool
    """The feature that the audit names first about a model trained from this seed."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(None):
        model = FLAWS[example].prepare(Path(folder), planted, seed)
        evidence = find(("attribution",))[0].measure(from_files(model, Choices(seed=seed)).subject)
    return next(each.facet["feature"] for each in evidence.measurements if each.name == "dominant_share")


def measure(quick: bool) -> dict[str, float]:  # noqa: FBT001 - the harness's signature
    """Shares of models whose shortcut is named first, planted and clean."""
    runs = FEW if quick else RUNS
    jobs = [(name, planted, seed) for name in FLAWS for planted in (True, False) for seed in range(runs)]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        names = list(pool.map(first, *zip(*jobs, strict=True)))
    hits: dict[tuple[str, bool], int] = {}
    for (example, planted, _), name in zip(jobs, names, strict=True):
        hits[example, planted] = hits.get((example, planted), 0) + FLAWS[example].named(name)
    words = {True: "named first, share of models", False: "named first in clean twins"}
    return {f"{name}: {words[planted]}": count / runs for (name, planted), count in hits.items()} | {"runs": runs}


if __name__ == "__main__":
    main("explain_shortcuts", measure, BOUNDS)
