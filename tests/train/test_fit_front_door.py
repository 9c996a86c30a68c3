"""The names of training, and what it costs to have them."""

import subprocess
import sys

import pytest
import torch

from rai import train
from rai.errors import InputError
from rai.networks import cnn, mlp, recurrent, resnet, transformer


def printed(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


def test_every_name_can_be_had_and_no_other():
    assert sorted(train.HOMES) == sorted(train.__all__) == dir(train)
    for name in train.__all__:
        assert getattr(train, name).__name__ == name
    with pytest.raises(AttributeError, match="nothing"):
        train.nothing  # noqa: B018 - the access is the test


def test_settings_are_read_without_torch_and_import_rai_is_enough():
    assert printed("import sys, rai; rai.train.Fit(epochs=3); print('torch' in sys.modules)") == ["False"]


@pytest.mark.parametrize(
    "network",
    [
        mlp.mlp(inputs=4, outputs=2),
        cnn.cnn(inputs=1, outputs=2, size=(8, 8), hidden=(5,)),
        resnet.resnet(inputs=1, outputs=2),
        recurrent.recurrent(inputs=4, outputs=2),
        transformer.transformer(vocabulary=9, outputs=2),
    ],
    ids=lambda network: type(network).__name__,
)
def test_the_head_of_every_architecture_can_be_replaced(network):
    fresh = train.replace_head(network, 7)
    changed = {name for name, each in fresh.state_dict().items() if each.shape != network.state_dict()[name].shape}
    kept = {name: each for name, each in fresh.state_dict().items() if name not in changed}
    assert {name.rpartition(".")[2] for name in changed} == {"weight", "bias"}
    assert len(changed) == 2
    assert all(torch.equal(each, network.state_dict()[name]) for name, each in kept.items())


def test_a_lone_linear_layer_is_its_own_head():
    assert train.replace_head(torch.nn.Linear(3, 1, bias=False), 2).weight.shape == (2, 3)


def test_what_is_no_module_or_cannot_be_copied_is_named():
    class Stubborn(torch.nn.Linear):
        def __deepcopy__(self, memo):
            raise RuntimeError

    with pytest.raises(InputError, match="is a int"):
        train.replace_head(3, 2)
    with pytest.raises(InputError, match="cannot be copied"):
        train.fit(Stubborn(2, 1), ([[0.0, 1.0]], [1]))
