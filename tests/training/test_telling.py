"""What is said at the end of a training by several sites names what the model is worth at each of them."""

from dataclasses import replace

import pytest

from rai.ledger import Federation, Fingerprint, Ledger, Reply, Round, Site
from rai.training.telling import told

LEDGER = Ledger(
    rai="1.0",
    made="2026-01-02 03:04 UTC",
    model="5e" * 32,
    data=Fingerprint(100, "ab" * 32, "train.csv"),
    recipe={},
    seed=0,
    epochs=(),
    seconds=1.0,
    cpu_seconds=1.0,
    versions={},
)


def summary(worths: list[float | None], **more: float) -> list[str]:
    """The lines about sites that are worth so much, each with ten more rows than the one before."""
    classes = {"0": 5, "1": 5}
    sites = tuple(Site(f"site {place}", 20 + 10 * place, classes, **more) for place in range(len(worths)))
    replies = {each.name: Reply(each.rows - 5, accuracy=worths[place], held_out=5) for place, each in enumerate(sites)}
    rounds = (Round(1, {sites[0].name: Reply(1, accuracy=0.123, held_out=5)}), Round(2, replies))
    federation = Federation("local", "fedavg", {}, "iid", sites, rounds)
    return [
        each for each in told(replace(LEDGER, federation=federation)) if "held back" in each or "worth least" in each
    ]


def test_each_of_few_sites_is_told_by_its_last_round() -> None:
    assert summary([0.75, None, 1.0], alone=0.5, epsilon=1.25) == [
        "site 0: learned from 15 rows; accuracy 0.75 on 5 rows held back; 0.5 when trained alone; ε 1.25",
        "site 2: learned from 35 rows; accuracy 1 on 5 rows held back; 0.5 when trained alone; ε 1.25",
    ]


def test_of_many_sites_the_worst_are_told() -> None:
    worths: list[float | None] = [0.5 + place / 100 for place in range(13)]
    worths[7], worths[2], worths[9] = 0.0, 0.25, 0.3
    found = summary(worths)
    assert found[0] == "the 3 sites of 13 where the model is worth least:"
    assert [each.partition(":")[0] for each in found[1:]] == ["site 7", "site 2", "site 9"]


@pytest.mark.parametrize("sites", [1, 12])
def test_no_more_than_twelve_are_told_one_by_one(sites: int) -> None:
    assert len(summary([0.5] * sites)) == sites


def test_what_is_secret_or_measured_on_few_rows_is_not_told() -> None:
    sites = (Site("Ash", 20, {"0": 20}), Site("Elm", 9, {"0": 9}))
    replies = {"Ash": Reply(0, accuracy=0.5, held_out=6), "Elm": Reply(5, accuracy=0.25, held_out=4)}
    federation = Federation("local", "fedavg", {}, "iid", sites, (Round(1, replies),))
    found = [each for each in told(replace(LEDGER, federation=federation)) if "held back" in each]
    assert found == ["Ash: accuracy 0.5 on 6 rows held back"]
