"""Folders that transformers saved: read as data, answered as transformers answers, refused where code could run."""

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from rai.card import Card, Head, ImageInput, TextInput
from rai.errors import InputError
from rai.files import sha256
from rai.models import hugging_face, load, tensor_shapes

transformers = pytest.importorskip("transformers")

CLASSES = ("low", "middle", "high")
TEXT = Card("multiclass", classes=CLASSES, input=TextInput("text", "words.txt"))
IMAGE = Card("multiclass", classes=CLASSES, input=ImageInput("image", (8, 8), 3))
SMALL = {"vocab_size": 30, "num_labels": 3, "pad_token_id": 2}


def bert(**words) -> nn.Module:
    config = transformers.BertConfig(
        **{**SMALL, **words},
        hidden_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=12,
        max_position_embeddings=10,
    )
    return transformers.BertForSequenceClassification(config)


def distilbert() -> nn.Module:
    config = transformers.DistilBertConfig(
        **SMALL, dim=8, n_layers=1, n_heads=2, hidden_dim=12, max_position_embeddings=10
    )
    return transformers.DistilBertForSequenceClassification(config)


def gpt() -> nn.Module:
    return transformers.GPT2ForSequenceClassification(
        transformers.GPT2Config(**SMALL, n_embd=8, n_layer=1, n_head=2, n_positions=10)
    )


def vit() -> nn.Module:
    config = transformers.ViTConfig(
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=12,
        image_size=8,
        patch_size=4,
        num_labels=3,
    )
    return transformers.ViTForImageClassification(config)


def saved(make, folder: Path, seed: int = 0) -> tuple[nn.Module, Path]:
    with torch.random.fork_rng(devices=[]), hugging_face.quiet():
        torch.manual_seed(seed)
        model = make().eval()
        for each in model.parameters():
            nn.init.normal_(each, std=0.3)
        model.save_pretrained(folder)
    return model, folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return saved(bert, tmp_path / "bert")[1]


def resettled(folder: Path, **changed) -> Path:
    place = folder / "config.json"
    place.write_text(json.dumps({**json.loads(place.read_text()), **changed}))
    return folder


def texts(rows: int = 12) -> np.ndarray:
    stream = np.random.default_rng(0)
    lengths = stream.integers(1, 8, rows)
    return np.where(np.arange(7) < lengths[:, None], stream.integers(3, 30, (rows, 7)), 2)


@pytest.mark.parametrize("make", [bert, distilbert, gpt])
def test_a_text_classifier_answers_each_text_as_if_it_had_no_padding(make, tmp_path: Path) -> None:
    model, path = saved(make, tmp_path / "m")
    rows = texts()
    loaded = load(path, TEXT, rows)
    with torch.no_grad():
        alone = [model(input_ids=torch.from_numpy(row[row != 2])[None]).logits[0].numpy() for row in rows]
    assert np.allclose(loaded.model.scores(rows), np.stack(alone), atol=1e-5)
    assert (loaded.model.head, loaded.model.trust) == (Head.LOGITS, "data only")
    assert loaded.format == "Hugging Face folder (safetensors)"
    assert loaded.sha256 == sha256(path / "model.safetensors")
    longer = np.concatenate([rows, np.full((len(rows), 2), 2)], axis=1)
    assert np.allclose(loaded.model.scores(longer), np.stack(alone), atol=1e-5)


def test_attention_maps_are_those_of_transformers_and_skip_padding(folder: Path) -> None:
    rows = texts()
    wrapper = load(folder, TEXT, rows).model.module
    found = wrapper.maps(torch.from_numpy(rows))
    assert [tuple(each.shape) for each in found] == [(12, 2, 7, 7)] * 2
    for layer in found:
        assert torch.allclose(layer.sum(dim=3), torch.ones(12, 2, 7), atol=1e-5)
        assert (layer.permute(0, 3, 1, 2)[torch.from_numpy(rows) == 2] == 0).all()
    first = torch.from_numpy(rows[:1][rows[:1] != 2])[None]
    alone = wrapper.model(input_ids=first, output_attentions=True).attentions
    width = first.shape[1]
    assert torch.allclose(found[0][:1, :, :width, :width], alone[0], atol=1e-5)
    assert wrapper.embedding.num_embeddings == 30


def test_a_model_without_a_padding_token_reads_0_as_padding(tmp_path: Path) -> None:
    model, path = saved(lambda: bert(pad_token_id=None), tmp_path / "m")
    rows = np.array([[4, 5, 0, 0], [6, 7, 8, 9]])
    with torch.no_grad():
        alone = model(input_ids=torch.tensor([[4, 5]])).logits.numpy()
    assert np.allclose(load(path, TEXT, rows).model.scores(rows)[:1], alone, atol=1e-5)


def test_an_image_classifier_answers_as_transformers_does(tmp_path: Path) -> None:
    model, path = saved(vit, tmp_path / "m")
    rows = np.random.default_rng(0).normal(size=(5, 3, 8, 8)).astype(np.float32)
    loaded = load(path, IMAGE, rows)
    with torch.no_grad():
        assert np.allclose(loaded.model.scores(rows), model(torch.from_numpy(rows)).logits.numpy(), atol=1e-5)
    assert loaded.model.module.maps(torch.from_numpy(rows))[0].shape == (5, 2, 5, 5)
    with pytest.raises(InputError, match="is a vit model; expected one that transformers can use for sequence class"):
        load(path, TEXT, texts())


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"auto_map": {"AutoModel": "evil.Model"}}, "names code of its own"),
        ({"quantization_config": {"load_in_4bit": True}}, "is quantised"),
        ({"problem_type": "multi_label_classification"}, "do not exclude one another"),
        ({"num_hidden_layers": 10**9}, "key num_hidden_layers is 1,000,000,000; expected at most 1,000"),
        ({"vocab_size": 2**40}, "key vocab_size is"),
        ({"text_config": {"n_layer": 10**9}}, "key n_layer is 1,000,000,000; expected at most 1,000"),
        ({"intermediate_size": 2**30}, "describes .* numbers, and model.safetensors holds"),
        ({"hidden_size": 9}, "cannot be built"),
        ({"num_hidden_layers": 3}, "is missing, and 15 more"),
        ({"vocab_size": 31}, "embeddings.weight has another shape|cannot be built"),
        ({"model_type": "unheard"}, "cannot be built"),
        ({"model_type": "t5gemma_unheard"}, "cannot be built"),
        ({"id2label": {"0": "high", "1": "low", "2": "middle"}}, "classes in the order high, low, middle"),
    ],
)
def test_settings_that_mislead_are_refused_in_one_line(changed, said, folder: Path, one_line) -> None:
    with pytest.raises(InputError, match=said) as caught:
        load(resettled(folder, **changed), TEXT, texts())
    one_line(str(caught.value))


def test_labels_in_the_order_of_the_card_are_welcome(folder: Path) -> None:
    named = {str(place): name for place, name in enumerate(CLASSES)}
    assert load(resettled(folder, id2label=named), TEXT, texts()).model.head is Head.LOGITS


def test_a_head_that_was_never_trained_is_not_filled_with_random_numbers(folder: Path, one_line) -> None:
    tensors = load_file(folder / "model.safetensors")
    save_file({name: each for name, each in tensors.items() if "classifier" not in name}, folder / "model.safetensors")
    with pytest.raises(InputError, match=r"tensor classifier.bias is missing, and 1 more") as caught:
        load(folder, TEXT, texts())
    one_line(str(caught.value))


def test_pickled_weights_are_refused_even_when_transformers_would_take_them(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match="its weights are pickled, and loading a pickle runs code"):
        load(folder, TEXT, texts(), allow_code=True)


def test_code_beside_the_weights_is_never_run(folder: Path) -> None:
    marker = folder / "ran"
    for name in ("modeling_bert.py", "configuration_bert.py", "__init__.py", "sitecustomize.py"):
        (folder / name).write_text(f"open({str(marker)!r}, 'w')")
    load(folder, TEXT, texts(), allow_code=True)
    assert not marker.exists()


def test_other_folders_and_damage_are_one_line(folder: Path, tmp_path: Path, one_line) -> None:
    (folder / "adapter_config.json").write_text("{}")
    cases = [(folder, TEXT, "holds an adapter"), (tmp_path, TEXT, "is a folder without config.json")]
    cases.append((folder, Card("multiclass", classes=CLASSES), "is a Hugging Face folder; expected input.kind"))
    for name, spoilt in (("a", b"no json"), ("b", b"[1]"), ("c", b"\xff\xfe")):
        shutil.copytree(folder, tmp_path / name)
        (tmp_path / name / "config.json").write_bytes(spoilt)
        cases.append((tmp_path / name, TEXT, "is no JSON|no table of settings"))
    shutil.copytree(folder, tmp_path / "d")
    (tmp_path / "d" / "model.safetensors").write_bytes(b"short")
    cases.append((tmp_path / "d", TEXT, "is no safetensors file"))
    for path, card, said in cases:
        with pytest.raises(InputError, match=said) as caught:
            load(path, card, texts())
        one_line(str(caught.value))
    with pytest.raises(InputError, match="is no file of bare tensors"):
        tensor_shapes(folder)


def test_texts_longer_than_the_model_reads_are_refused_in_words(folder: Path) -> None:
    with pytest.raises(InputError, match="reads at most 10 tokens, and the rows have 11"):
        load(folder, TEXT, np.full((2, 11), 5))
    with pytest.raises(InputError, match="knows 30 tokens, and the data holds token number 77"):
        load(folder, TEXT, np.full((2, 5), 77))


def test_without_transformers_the_extra_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hugging_face, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r'pip install "rai\[hf\]"'):
        load(folder, TEXT, texts())


def test_transformers_stays_silent_and_gets_its_voice_back(folder: Path, capfd) -> None:
    words = transformers.utils.logging
    words.set_verbosity(logging.INFO)
    try:
        load(folder, TEXT, texts())
        assert words.get_verbosity() == logging.INFO
        assert words.is_progress_bar_enabled()
    finally:
        words.set_verbosity_warning()
    assert capfd.readouterr() == ("", "")


def test_loading_leaves_the_global_random_stream_alone(folder: Path) -> None:
    before = torch.get_rng_state()
    load(folder, TEXT, texts())
    assert torch.equal(before, torch.get_rng_state())
