"""Five hospitals learn one model and keep their patients: python -m examples.hospitals.

Data: 442 patients of Efron, Hastie, Johnstone and Tibshirani 2004 ("Least angle regression"), from scikit-learn, dealt
out to five hospitals that differ in size and in how many of their patients get worse fast. The label is progression
above the median after one year. Sex and age are kept from the model and declared as sensitive. Each hospital trains
with noise (ε at most 8, δ 1e-3), so that no single patient shows in the weights it sends. `--without-privacy` leaves
the noise out, and shows what it costs.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

import rai
from examples.diabetes.__main__ import patients
from rai.card import Network
from rai.ledger import Federation
from rai.networks import build
from rai.subject import Data, Groups, Ints, Player
from rai.train import Fit, Private, Trained
from rai.train.federated import fit_federated
from rai.train.federated.partition import holdings, partition
from rai.train.settings import Federated

HOSPITALS = ("Ashdown", "Birchwood", "Carrick", "Dunmore", "Elmfield")
CLASSES = ("slow", "fast")
SENSITIVE = ["sex", "age"]
BANDS = (40, 55)
TRAINED_ON = 331
USUAL = {
    "bmi": (26.0, 4.5),
    "bp": (95.0, 14.0),
    "s1": (190.0, 35.0),
    "s2": (115.0, 30.0),
    "s3": (50.0, 13.0),
    "s4": (4.0, 1.3),
    "s5": (4.6, 0.5),
    "s6": (91.0, 11.0),
}
"""Usual value and spread of each measurement, known beforehand: no hospital tells its own."""
FIT = Fit(optimizer="sgd", learning_rate=0.3, momentum=0.5, batch_size=16, validation=0.2, seed=0)
FEDERATED = Federated(clients=len(HOSPITALS), rounds=15, local_epochs=1)
PROMISE = Private(epsilon=8, delta=1e-3, sample_rate=0.2, steps=60, expected_batch=10, max_grad_norm=1.0)


def numbers(frame: pd.DataFrame) -> pd.DataFrame:
    """What the model sees: measurements on the scale of what is usual."""
    return pd.DataFrame({name: (frame[name] - usual) / spread for name, (usual, spread) in USUAL.items()})


def groups(frame: pd.DataFrame) -> dict[str, Groups]:
    """Sex and band of age, with every level declared: a hospital may lack one."""
    bands = np.digitize(frame["age"], BANDS)
    return {
        "sex": Groups("sex", ("sex 1", "sex 2"), np.asarray(frame["sex"] == "sex 2", dtype=np.int64)),
        "age": Groups("age", ("under 40", "40 to 54", "55 and over"), bands.astype(np.int64)),
    }


def labels(frame: pd.DataFrame) -> Ints:
    """1 for patients who get worse fast."""
    return np.asarray(frame["progression"] == "fast", dtype=np.int64)


def data(frame: pd.DataFrame) -> Data:
    """The rows of one hospital, ready to be learned from."""
    table = numbers(frame)
    players = tuple(Player(str(name), (place,)) for place, name in enumerate(table))
    inputs = table.to_numpy(dtype=np.float32)
    return Data("table", inputs, inputs, labels(frame), groups(frame), players)


def hospitals(training: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The patients of each hospital; prints who holds what."""
    parts = partition("dirichlet", labels(training), clients=len(HOSPITALS), seed=2, alpha=1.5, smallest=25)
    for held in holdings(parts, labels(training), CLASSES, sites=HOSPITALS):
        print(f"{held.site:<10} {held.rows:>4} patients, {held.classes['fast']:>4} of them fast")
    return {name: training.iloc[part] for name, part in zip(HOSPITALS, parts, strict=True)}


def learned(sites: Mapping[str, pd.DataFrame], private: Private | None) -> Trained:
    """Let the hospitals learn together."""
    rows = {name: data(frame) for name, frame in sites.items()}
    inputs = next(iter(rows.values())).features.shape[1]
    network = build(Network("mlp", {"inputs": inputs, "outputs": 1, "hidden": (8,)}))
    return fit_federated(network, rows, federated=FEDERATED, settings=FIT, private=private, task="binary")


def told(federation: Federation) -> str:
    """One line a hospital: what the common model is worth there, and what one that learned there alone would be."""
    lines = [
        f"{site.name:<10} together {_number(site.together)}  alone {_number(site.alone)}  ε {_number(site.epsilon)}"
        for site in federation.sites
    ]
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "   –" if value is None else f"{value:.2f}"


def main() -> None:
    """Deal the patients out, let the hospitals learn, audit, and say where the report is."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--without-privacy", action="store_true", help="leave the noise out")
    parser.add_argument("--out", type=Path, default=Path("reports/hospitals"), help="where the report is written")
    chosen = parser.parse_args()
    shuffled = patients().sample(frac=1.0, random_state=0)
    training, test = shuffled[:TRAINED_ON], shuffled[TRAINED_ON:]
    trained = learned(hospitals(training), None if chosen.without_privacy else PROMISE)
    if trained.ledger.federation is not None:
        print(told(trained.ledger.federation))
    report = rai.audit(
        trained.model,
        numbers(test),
        test["progression"],
        sensitive_features=test[SENSITIVE],
        reference=(numbers(training), training["progression"]),
        name="hospitals",
        classes=list(CLASSES),
        positive="fast",
        bands={"age": list(BANDS)},
        ledger=trained.ledger,
    )
    report.write(chosen.out, ("html", "json", "md"))
    print(f"\nThe report: {(chosen.out / 'report.html').resolve()}  ({report.verdict})")


if __name__ == "__main__":
    main()
