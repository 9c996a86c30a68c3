"""A card with tables within tables beyond all reason is one clear line."""

from pathlib import Path

import pytest

from rai.card import read_card
from rai.errors import InputError


@pytest.mark.parametrize("depth", [50, 900])
def test_parts_nested_too_deep_are_one_line(tmp_path: Path, depth: int) -> None:
    card = tmp_path / "model.toml"
    parts = "\n".join(f"[network{'.parts.base' * each}]\nkind = 'mlp'" for each in range(1, depth))
    card.write_text(f"task = 'binary'\nclasses = ['no', 'yes']\n[network]\nkind = 'adjusted'\n{parts}\nwrong = 1\n")
    with pytest.raises(InputError) as caught:
        read_card(card)
    assert "\n" not in str(caught.value)
