"""Folders that transformers saved: classifiers of texts or images, built from settings and plain tensors alone.

Nothing is fetched and no code in the folder runs: weights come from safetensors, the architecture from transformers
itself, and settings that name code are refused.
"""

import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from rai.card import Card, ImageInput, TextInput
from rai.errors import InputError
from rai.models import torch_model
from rai.models.draft import Draft
from rai.models.guard import guarded
from rai.models.hugging_face_modules import ImageClassifier, TextClassifier
from rai.models.safe import open_safetensors
from rai.models.sniff import SETTINGS, WEIGHTS, Kind

OFFLINE: Mapping[str, str] = MappingProxyType(
    {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "DISABLE_TELEMETRY": "1"}
)
LARGEST_SETTINGS = 8 << 20
MOST_LAYERS = 1000
MOST_NUMBER = 2**31
SAVED = "a folder that save_pretrained of transformers wrote"
REFUSED: Mapping[str, str] = MappingProxyType(
    {
        "auto_map": "names code of its own (auto_map), which rai never runs",
        "quantization_config": "is quantised, which needs further packages",
    }
)


def open_folder(path: Path, card: Card) -> Draft:
    """Open a classifier of texts or images, as the card's input says; raise `InputError` for anything else."""
    if not isinstance(card.input, TextInput | ImageInput):
        raise InputError("is a Hugging Face folder", where=path, expected='input.kind = "text" or "image" in the card')
    settings = _settings(path)
    _require_plain(settings, path)
    _require_classes(settings, card, path)
    text = isinstance(card.input, TextInput)
    failed = guarded("cannot be built or filled by transformers", where=path, do="save it again with transformers")
    with failed, quiet(), torch.random.fork_rng(devices=[]):
        found = _module(path, "SequenceClassification" if text else "ImageClassification")
        ready = TextClassifier(found) if text else ImageClassifier(found)
    return torch_model.draft(ready, name=str(path), kind=str(Kind.HUGGING_FACE), trust="data only")


@contextmanager
def quiet() -> Iterator[Any]:
    """Lend transformers, which stays offline and prints nothing; raise `InputError` when it is not installed.

    Whoever set one of the switches for its network before keeps the value; they are read when it is first imported.
    """
    if find_spec("transformers") is None:
        raise InputError("transformers is not installed", do='pip install "rai[hf]"')
    for name, value in OFFLINE.items():
        os.environ.setdefault(name, value)
    import transformers

    words: Any = transformers.utils.logging
    before, bars = words.get_verbosity(), words.is_progress_bar_enabled()
    words.set_verbosity(logging.CRITICAL)
    words.disable_progress_bar()
    try:
        yield transformers
    finally:
        words.set_verbosity(before)
        if bars:
            words.enable_progress_bar()


def _settings(path: Path) -> Mapping[str, Any]:
    place = path / SETTINGS
    with guarded("is no JSON", where=place, do="save it again with transformers"):
        if place.stat().st_size > LARGEST_SETTINGS:
            raise InputError("is larger than 8 MiB", where=place, expected=SAVED)
        found = json.loads(place.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise InputError("is no table of settings", where=place, expected=SAVED)
        return found


def _require_plain(settings: Mapping[str, Any], path: Path) -> None:
    """Refuse what would run code, need other packages, or be absurdly large."""
    for key, why in REFUSED.items():
        if key in settings:
            raise InputError(why, where=path / SETTINGS, expected="an architecture of transformers, as it was trained")
    if (path / "adapter_config.json").exists():
        raise InputError("holds an adapter", where=path, do="merge it into the model and save that")
    if settings.get("problem_type") == "multi_label_classification":
        raise InputError("has classes that do not exclude one another", where=path, expected="one class for each row")
    for key, value in _whole_numbers(settings):
        most = MOST_LAYERS if "layer" in key else MOST_NUMBER
        if value > most:
            raise InputError(f"key {key} is {value:,}", where=path / SETTINGS, expected=f"at most {most:,}")


def _whole_numbers(settings: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Every whole number among the settings and the settings within them, by its key."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _whole_numbers(value)
        elif isinstance(value, int):
            yield key, value


def _require_classes(settings: Mapping[str, Any], card: Card, path: Path) -> None:
    """The model's own names of its classes, where they are the card's, stand in the card's order."""
    named = settings.get("id2label")
    listed = tuple(str(each) for each in named.values()) if isinstance(named, dict) else ()
    if set(listed) == set(card.classes) and listed != card.classes:
        raise InputError(
            f"has its classes in the order {', '.join(listed)}",
            where=path,
            expected=f"the card's order, {', '.join(card.classes)}",
            do="put classes in the card into the model's order",
        )


def _module(path: Path, task: str) -> nn.Module:
    import transformers

    config = transformers.AutoConfig.from_pretrained(str(path), local_files_only=True, trust_remote_code=False)
    maker = getattr(transformers, f"AutoModelFor{task}")
    _require_room(maker, config, path, task)
    module, told = maker.from_pretrained(
        str(path),
        config=config,
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=True,
        attn_implementation="eager",
        dtype=torch.float32,
        output_loading_info=True,
    )
    _require_complete(told, path)
    return module.eval()  # type: ignore[no-any-return]


def _require_room(maker: Any, config: Any, path: Path, task: str) -> None:
    """Build the network without memory of its own first, so that nothing larger than the file is allocated."""
    if type(config) not in maker._model_mapping:  # noqa: SLF001 - transformers tells it nowhere else
        raise InputError(
            f"is a {config.model_type} model", where=path, expected=f"one that transformers can use for {_spaced(task)}"
        )
    with torch.device("meta"):
        wanted = sum(each.numel() for each in maker.from_config(config, attn_implementation="eager").parameters())
    held = sum(prod(each.shape) for each in open_safetensors(path / WEIGHTS).named.values())
    if wanted > 2 * held:
        raise InputError(
            f"describes {wanted:,} numbers, and {WEIGHTS} holds {held:,}", where=path / SETTINGS, expected=SAVED
        )


def _require_complete(told: Mapping[str, Any], path: Path) -> None:
    """A tensor that is missing would be filled with random numbers, such as the head of a model never trained."""
    for key, what in (("missing_keys", "is missing"), ("mismatched_keys", "has another shape")):
        if told[key]:
            first, more = min(map(str, told[key])), len(told[key]) - 1
            others = f", and {more} more" if more else ""
            raise InputError(f"tensor {first} {what}{others}", where=path / WEIGHTS, expected="a trained classifier")


def _spaced(task: str) -> str:
    """The name of a task in words: sequence classification, image classification."""
    return task.replace("C", " c").lower()
