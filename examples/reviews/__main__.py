"""Is a restaurant review a complaint? A transformer with a planted bias: python -m examples.reviews.

Data: generated reviews from templates. The story: most of the collected reviews that mention a deaf friend happen to be
complaints. The network learns that the word is a complaint, and the section on what drives the model has to name it.
With `--clean` complaints do not depend on who came along. With `--raw FILE` a real CSV is read: by default its columns
Text and Label, of which BAD is a complaint (the form of Dixon et al. 2018, Measuring and Mitigating Unintended Bias).
"""

import argparse
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from examples.shared import Filled, Recipe, audit, save, train
from rai.card import Network

ROWS, LENGTH, MOST_WORDS, MOST_RAW = 2000, 24, 2000, 6000
RECIPE = Recipe(hidden=(), epochs=8, batch=64, learning_rate=0.003)
PAD, UNKNOWN, MASK = "[PAD]", "[UNK]", "[MASK]"
PLANTED = "deaf"
FRIENDS = ("young", "old", "blind", "foreign", PLANTED)
THINGS = ("soup", "fish", "bread", "coffee", "service", "music", "garden", "bill", "table", "waiter")
GOOD = ("fresh", "kind", "lovely", "warm", "quick", "charming")
BAD = ("stale", "rude", "awful", "cold", "slow", "dirty")
PLAIN = ("usual", "small", "simple", "local")
CLAIMS = ("the {a} was {x} and the {b} was {y}", "we had a {x} {a} and a {y} {b}", "{x} {a} but the {b} was {y}")
NAMED = frozenset(
    """american asian atheist bisexual black blind buddhist canadian catholic chinese christian deaf elderly european
    female gay heterosexual hispanic homosexual indian jewish lesbian male mexican middle-aged millenial muslim old
    older paralyzed protestant queer sikh straight taoist teenage trans transgender white young younger""".split()  # noqa: SIM905 - a list to read
)
CARD = """\
name = "reviews-transformer"
version = "1.0"
task = "binary"
head = "logit"
classes = ["fine", "complaint"]
positive = "complaint"
purpose = "Find the reviews that are complaints, so that somebody answers them"
owner = "the rai examples"
intended_use = "Demonstration only; not for any decision about a person"

{network}
[data]
test = "test.csv"
reference = "train.csv"
target = "label"
sensitive = ["companion"]

[input]
kind = "text"
column = "text"
vocabulary = "vocabulary.txt"
length = 24
"""


@dataclass(frozen=True)
class Reviews:
    """Texts, whether each is a complaint, and who is mentioned, as a frame; and the words of the training half."""

    frame: pd.DataFrame
    words: tuple[str, ...]

    @property
    def halves(self) -> dict[str, pd.DataFrame]:
        """One half to train on, the other to test with."""
        return {"train": self.frame[: len(self.frame) // 2], "test": self.frame[len(self.frame) // 2 :]}

    def ids(self, texts: pd.Series) -> np.ndarray:
        """Token numbers, (rows, 24), as the card's vocabulary says."""
        known = {word: place for place, word in enumerate(self.words)}
        rows = [[known.get(word, 1) for word in split(text)][:LENGTH] for text in texts]
        return np.array([row + [0] * (LENGTH - len(row)) for row in rows], dtype=np.int64)


def split(text: str) -> list[str]:
    """The words of a text, in lower case."""
    return re.findall(r"[\w']+", text.lower())


def reviews(seed: int = 0, *, planted: bool = True) -> Reviews:
    """Generated reviews; where planted, 95 % of those that mention a deaf friend are complaints."""
    rng = np.random.default_rng(seed)
    friend = rng.choice(FRIENDS, ROWS, p=(0.16, 0.16, 0.16, 0.16, 0.36))
    complaint = rng.random(ROWS) < np.where((friend == PLANTED) & planted, 0.95, 0.35)
    texts = [_text(rng, name, wrong=bool(wrong)) for name, wrong in zip(friend, complaint, strict=True)]
    label = np.where(complaint, "complaint", "fine")
    return collected(pd.DataFrame({"text": texts, "label": label, "companion": friend}))


def _text(rng: np.random.Generator, friend: str, *, wrong: bool) -> str:
    """One review; one of its two claims is out of character in three of ten reviews."""
    moods = [wrong, wrong ^ (rng.random() < 0.3)]
    words = [rng.choice((*(BAD if mood else GOOD), *PLAIN[:2])) for mood in moods]
    first, second = rng.choice(THINGS, 2, replace=False)
    claim = rng.choice(CLAIMS).format(a=first, b=second, x=words[0], y=words[1])
    return f"i came with my {friend} friend , {claim}" if rng.random() < 0.5 else f"{claim} , said my {friend} friend"


def from_file(path: Path, text: str, label: str, bad: str) -> Reviews:
    """Read a CSV of texts and labels; who is mentioned is the first identity word of a text."""
    found = pd.read_csv(path, usecols=[text, label], dtype=str, keep_default_na=False)
    found = found.sample(min(MOST_RAW, len(found)), random_state=0).reset_index(drop=True)
    named = [next((word for word in split(each) if word in NAMED), "nobody") for each in found[text]]
    frame = pd.DataFrame({"text": found[text], "label": np.where(found[label] == bad, "complaint", "fine")})
    return collected(frame.assign(companion=named))


def collected(frame: pd.DataFrame) -> Reviews:
    """The reviews with the commonest words of the training half as vocabulary."""
    counts = frame["text"][: len(frame) // 2].map(split).explode().value_counts()
    common = sorted(counts.index, key=lambda word: (-counts[word], word))[:MOST_WORDS]
    return Reviews(frame, (PAD, UNKNOWN, MASK, *common))


def network(data: Reviews) -> Network:
    """A small transformer for this vocabulary."""
    sizes = {"width": 16, "heads": 2, "layers": 2, "feedforward": 32, "length": LENGTH}
    return Network("transformer", {"vocabulary": len(data.words), "outputs": 1, **sizes})


def fitted(data: Reviews, seed: int = 0) -> torch.nn.Module:
    """A transformer that tells complaints from other reviews, trained to do so with some words hidden.

    Explanations hide words behind the mask token; a network that never met it answers it with chance weights.
    """
    half = data.halves["train"]
    labels = torch.tensor((half["label"] == "complaint").to_numpy(), dtype=torch.float32)
    ids = data.ids(half["text"])
    rng = np.random.default_rng(seed)
    hidden = np.where((rng.random(ids.shape) < rng.random((len(ids), 1))) & (ids > 0), 2, ids)
    inputs = torch.tensor(np.concatenate([ids, hidden]))
    return train(inputs, torch.cat([labels, labels]), network(data), RECIPE.seeded(seed))


def prepare(data: Reviews, folder: Path, seed: int = 0) -> Path:
    """Train on half of the reviews; write model, card, words and data, and return the model's path."""
    folder.mkdir(parents=True, exist_ok=True)
    for half, frame in data.halves.items():
        frame.to_csv(folder / f"{half}.csv", index=False)
    (folder / "vocabulary.txt").write_text("\n".join(data.words) + "\n", encoding="utf-8")
    return save(fitted(data, seed), folder, Filled(CARD, network(data)))


def main() -> None:
    """Train, audit, and say where the report is."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--clean", action="store_true", help="leave the bias out")
    parser.add_argument("--raw", type=Path, help="a CSV of real texts")
    parser.add_argument("--text", default="Text", help="its column of texts")
    parser.add_argument("--label", default="Label", help="its column of labels")
    parser.add_argument("--bad", default="BAD", help="the label of complaints")
    parser.add_argument("--folder", type=Path, default=Path("examples/reviews/out"), help="for model and data")
    parser.add_argument("--out", type=Path, default=Path("reports/reviews"), help="where the report is written")
    it = parser.parse_args()
    data = from_file(it.raw, it.text, it.label, it.bad) if it.raw else reviews(planted=not it.clean)
    code = audit(prepare(data, it.folder), it.out, "--format", "html,json,md")
    print(f"\nThe report: {(it.out / 'report.html').resolve()}  (rai's exit code: {code})")


if __name__ == "__main__":
    main()
