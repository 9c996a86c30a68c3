"""What a card says of images, sequences and texts is checked before any file is opened."""

from pathlib import Path

import pytest

from rai.card import ImageInput, read_card
from rai.errors import InputError

HEAD = 'task = "binary"\nclasses = ["no", "yes"]\n'
IMAGE = '[input]\nkind = "image"\nsize = [8, 9]\n'
SEQUENCE = '[input]\nkind = "sequence"\nfeatures = ["load", "heat"]\nsteps = 6\n'
TEXT = '[input]\nkind = "text"\nvocabulary = "words.txt"\n'


def write(folder: Path, text: str) -> Path:
    path = folder / "model.toml"
    path.write_text(HEAD + text)
    return path


def test_a_good_input_is_read(tmp_path: Path) -> None:
    card = read_card(write(tmp_path, IMAGE + "channels = 3\nmean = [0.1, 0.2, 0.3]\npatches = 8\n"))
    assert card.input == ImageInput("image", (8, 9), 3, (0.1, 0.2, 0.3), (), 8)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (IMAGE + "mean = [0.5, 0.5]", "key input.mean has 2 numbers for 1 channels; give one for each, or none"),
        (IMAGE + "scale = [0.0]", "key input.scale holds 0; values are divided by it"),
        (IMAGE + "patches = 9", "key input.patches is 9; it is a whole number from 1 to 8"),
        (IMAGE + "patches = 0", "key input.patches is 0"),
        (IMAGE.replace("9]", "0]"), "key input.size is 0; it is a whole number from 1 to 1,024"),
        (IMAGE.replace("9]", "90000]"), "key input.size is 90,000"),
        (IMAGE + "channels = 4", "key input.channels is 4; expected 1 or 3"),
        (SEQUENCE + "scale = [1.0]", "key input.scale has 1 numbers for 2 features"),
        (SEQUENCE + "segments = 7", "key input.segments is 7; it is a whole number from 1 to 6"),
        (SEQUENCE.replace("heat", "load"), "key input.features is empty or names a feature twice"),
        (SEQUENCE.replace('"load", "heat"', ""), "key input.features is empty"),
        (SEQUENCE.replace("6", "1000000"), "key input.steps is 1,000,000; it is a whole number from 1 to 100,000"),
        (TEXT + "length = 0", "key input.length is 0"),
        (TEXT.replace("words.txt", ""), "key input.vocabulary is empty"),
        (TEXT + '[[columns]]\nname = "a"\nkind = "number"', "key columns is given beside input.*each row is a text"),
        ('[input]\nkind = "sound"\n', "key input.kind is missing or unknown; expected one of image, sequence, text"),
        (TEXT + "size = 3", "key input.size is not a key rai knows"),
        (SEQUENCE.replace("steps = 6", ""), "key input.steps is missing"),
    ],
)
def test_an_input_that_can_mean_nothing_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError, match=f"model.toml: {said}"):
        read_card(write(tmp_path, text))
