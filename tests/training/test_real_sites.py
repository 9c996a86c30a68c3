"""`rai train` at sites that read texts of their own: no row on this side, the words and the first weights are sent."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from rai.card import TextInput, read_card
from rai.data import load
from rai.errors import InputError
from rai.ledger import read_ledger
from rai.train.federated import fit_federated
from rai.train.federated.superlink import Link, Node, crew, start_executors, start_superlink, start_supernodes
from rai.train.on_disk import fresh
from rai.train.settings import Federated, Fit
from rai.train.transfer import begin_with
from rai.training import train

RECIPE = """\
[data]
card = "pilot/model.toml"
[network]
weights = "pilot/model.pt"
[fit]
batch_size = 16
learning_rate = 0.02
[federated]
clients = 2
rounds = 1
alone = false
contributions = false
runtime = "deployment"
"""


@pytest.mark.servers
def test_sites_read_texts_and_go_on_from_the_weights_of_a_pilot(every_kind: dict[str, Path], tmp_path: Path) -> None:
    whole, place = pd.read_csv(every_kind["text"].with_name("rows.csv")), tmp_path / "sites"
    place.mkdir()
    files = [place / "north.csv", place / "south.csv"]
    for at, file in enumerate(files):
        whole.iloc[at::2].to_csv(file, index=False)
    pilot = train(every_kind["text"], out=tmp_path / "pilot")
    expected = near(pilot.model, files)
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(RECIPE)
    with crew(tmp_path / "servers") as ours:
        link = start_superlink(ours)
        addresses = start_supernodes(
            ours, link, [Node({"partition-id": at, "data": str(each)}) for at, each in enumerate(files)]
        )
        start_executors(ours, [link, *map(Link, addresses)])
        made = train(recipe, out=tmp_path / "out", superlink=link.address)
        (place / "south.csv").write_text("text,site\nlovely Zebedee,A\n")
        with pytest.raises(InputError, match="site 2: no column 'label', named by data.target in the card") as caught:
            train(recipe, out=tmp_path / "out", superlink=link.address)
    assert "Zebedee" not in str(caught.value)
    logs = [each for each in (tmp_path / "servers").glob("*.log") if each.stem != "executor"]
    assert not any("Zebedee" in each.read_text() for each in logs)
    for name, tensor in torch.load(made.model, weights_only=True).items():
        torch.testing.assert_close(tensor, expected[name], atol=1e-6, rtol=0)
    found = read_ledger(made.ledger).federation
    assert found is not None
    assert set(found.bundle) == {"pyproject.toml", "job.json", "start.json", "vocabulary.md"}
    assert not (tmp_path / "out" / ".federation" / "result" / "round-00001.npz").exists()


def near(pilot: Path, files: list[Path]) -> dict[str, torch.Tensor]:
    """What the same sites learn in one process."""
    card = read_card(pilot.with_suffix(".toml"))
    assert card.network is not None
    assert isinstance(card.input, TextInput)
    here = replace(card, input=replace(card.input, vocabulary=str(pilot.with_name(card.input.vocabulary))))
    module = fresh(card.network, 0)
    begin_with(pilot, module)
    settings = Fit(batch_size=16, learning_rate=0.02)
    federated = Federated(rounds=1, alone=False, contributions=False)
    sites = [load(each, replace(here, data=replace(card.data, reference=str(each)))) for each in files]
    return dict(fit_federated(module, sites, federated=federated, settings=settings).model.state_dict())
