"""What drives the decisions about images, sequences and texts: what was planted is named, and nobody is shown."""

import numpy as np
import pytest

from rai.audits import attribution
from rai.subject import Data, Groups, Player, Vocabulary


def images(rows: int = 120, side: int = 8) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    labels = np.tile([0, 1], rows // 2)
    pictures = rng.normal(size=(rows, 1, side, side)).astype(np.float32)
    pictures[labels == 1, 0, :4, 4:] += 3.0
    return pictures, labels


def grid(side: int, parts: int, channels: int = 1) -> tuple[Player, ...]:
    wide = side // parts
    cells = np.arange(channels * side * side).reshape(channels, side, side)
    return tuple(
        Player(
            f"row {r + 1}, column {c + 1}",
            tuple(cells[:, r * wide : (r + 1) * wide, c * wide : (c + 1) * wide].ravel().tolist()),
        )
        for r in range(parts)
        for c in range(parts)
    )


def test_a_planted_corner_of_an_image_is_named_and_shown(one, subject) -> None:
    pictures, labels = images()
    data = Data("image", pictures, pictures.reshape(len(pictures), -1), labels, {}, grid(8, 2))
    found = attribution.measure(subject(lambda x: 4 * x[:, 0, :4, 4:].mean(axis=(1, 2)) - 6, data))
    assert one(found, "dominant_share", feature="row 1, column 2").value == pytest.approx(1.0)
    shown = [each for each in found.exhibits if each.kind == "overlay"]
    assert [each.title.split(" (")[0] for each in shown] == ["Images taken for no", "Images taken for yes"]
    for each, sign in zip(shown, (-1, 1), strict=True):
        values, picture = np.array(each.values), np.array(each.picture)
        assert values.shape == (2, 2)
        assert np.sign(values[0, 1]) == sign
        assert np.abs(values[[0, 1, 1], [0, 0, 1]]) == pytest.approx(0.0, abs=1e-6)
        assert picture.shape == (8, 8)
        assert (picture.min(), picture.max()) == (0, 255)


def test_no_picture_is_made_of_fewer_than_five_images(subject) -> None:
    pictures, labels = images(60)
    labels[:3] = 1 - labels[:3]
    data = Data("image", pictures, pictures.reshape(len(pictures), -1), labels, {}, grid(8, 2))
    found = attribution.measure(subject(lambda x: 4 * x[:, 0, :4, 4:].mean(axis=(1, 2)) - 6, data))
    assert not any("Wrong decisions" in each.title for each in found.exhibits)


def test_a_leaking_time_step_is_named(one, subject, shares) -> None:
    rng = np.random.default_rng(6)
    values = rng.normal(size=(200, 12, 2)).astype(np.float32)
    players = tuple(
        Player(f"{name}, steps {3 * part + 1} to {3 * part + 3}", tuple((3 * part + k) * 2 + place for k in range(3)))
        for place, name in enumerate(("load", "heart, rate"))
        for part in range(4)
    )
    data = Data("sequence", values, values.reshape(200, -1), None, {}, players)

    def answer(x: np.ndarray) -> np.ndarray:
        return np.asarray(3 * x[:, 10, 1] + 0.2 * x[:, 2, 0])

    found = attribution.measure(subject(answer, data))
    assert one(found, "dominant_share", feature="heart, rate, steps 10 to 12").value > 0.8
    assert next(iter(shares(found, "series"))) == "heart, rate"
    by_time = shares(found, "time")
    assert max(by_time, key=by_time.__getitem__) == "steps 10 to 12"
    assert sum(by_time.values()) == pytest.approx(1.0)
    heat = next(each for each in found.exhibits if each.title.startswith("Where in time"))
    assert heat.row_labels == ("load", "heart, rate")
    assert heat.values[1][3] == max(cell for row in heat.values for cell in row)


def test_a_sensitive_series_is_found_by_its_name(one, subject, normal) -> None:
    values = normal(120, 8).reshape(120, 4, 2)
    players = tuple(
        Player(f"{name}, steps {s + 1} to {s + 1}", (s * 2 + i,))
        for i, name in enumerate(("sex", "load"))
        for s in range(4)
    )
    codes = np.tile([0, 1], 60)
    groups = {"sex": Groups("sex", ("F", "M"), codes)}
    data = Data("sequence", values, values.reshape(120, -1), None, groups, players)
    found = attribution.measure(subject(lambda x: x[:, :, 0].sum(axis=1) + x[:, :, 1].sum(axis=1), data))
    told = one(found, "sensitive_reliance", attribute="sex")
    assert told.value == pytest.approx(0.5, abs=0.06)
    assert one(found, "proxy_reliance", attribute="sex").value is None


def texts() -> tuple[Data, Vocabulary]:
    names = ("[PAD]", "[MASK]", "[CLS]", "the", "film", "good", "bad", "she", "rare")
    words = Vocabulary(names, pad=0, mask=1, special=(2,))
    rng = np.random.default_rng(9)
    tokens = rng.integers(3, 8, size=(150, 6))
    tokens[:, 0] = 2
    tokens[:3, 1] = 8
    tokens[::3, 4:] = 0
    players = tuple(Player(f"token {place + 1}", (place,)) for place in range(6))
    return Data("text", tokens, tokens.astype(np.float32), None, {}, players, vocabulary=words), words


def test_a_planted_word_is_named_and_rare_ones_never(one, subject) -> None:
    data, words = texts()
    worth = np.zeros(len(words.names))
    worth[[5, 6, 7]] = [0.5, -0.5, -3.0]
    found = attribution.measure(subject(lambda x: worth[x.astype(int)].sum(axis=1), data))
    told = one(found, "importance", feature="she")
    assert told.value == pytest.approx(3.0)
    assert told.rows == int((data.inputs == 7).any(axis=1).sum())
    assert one(found, "dominant_share", feature="she").value > 0.5
    assert "rare" not in str(found.exhibits)
    assert "[CLS]" not in str(found.measurements)
    strip = next(each for each in found.exhibits if each.kind == "tokens")
    signed = dict(zip(strip.tokens, strip.values, strict=True))
    assert signed == pytest.approx({"the": 0.0, "film": 0.0, "good": 0.5, "bad": -0.5, "she": -3.0}, abs=1e-9)
