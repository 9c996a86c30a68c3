"""A file on disk, or an object in memory, becomes a Model. What a file is, its bytes tell, before any loader runs."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from rai.card import Card, Head, TextInput
from rai.errors import InputError
from rai.files import sha256
from rai.models import archive, heads, preflight, sniff
from rai.models.draft import Draft, Loaded
from rai.models.shapes import plain_mlp
from rai.models.sniff import Kind, Sniffed
from rai.models.stored import StoredScores
from rai.models.weights import unprefixed
from rai.subject import Model

__all__ = ["Loaded", "bare", "from_object", "from_scores", "load", "plain_mlp", "tensor_shapes"]

TRUST_IT = "pass --allow-code-in-model if you trust its author"
WHY: Mapping[Kind, str] = MappingProxyType(
    {
        Kind.TORCHSCRIPT: "is TorchScript: a program with weights, which runs when it is loaded",
        Kind.EXPORTED: "is a torch.export archive: loading it can run code from the file",
        Kind.PICKLED: "is a pickled PyTorch object: loading it runs code that the file names",
        Kind.BARE_PICKLE: "is a pickled Python object: loading it runs code that the file names",
    }
)


def load(path: Path, card: Card, probe: Any, *, allow_code: bool = False) -> Loaded:
    """Open a model file, try it on a few rows of the test data, and decide how its outputs are to be read.

    `path` is a file, or a folder that transformers saved. `probe` holds at most 256 rows as the model takes them:
    (rows, features), images (rows, channels, height, width), sequences (rows, steps, features), or where the card's
    input is text, token numbers (rows, tokens). A file that carries code, or a card with a factory, is refused unless
    `allow_code`. Raises `InputError`, one line, for everything that is wrong.
    """
    sniffed = sniff.identify(path)
    if sniffed.kind in sniff.CARRIES_CODE and not allow_code:
        raise _carries_code(sniffed, path)
    draft = _draft(sniffed, path, card, allow_code=allow_code)
    ready = replace(draft, candidate=draft.candidate.reading(tokens=isinstance(card.input, TextInput)))
    return _examined(ready, card, probe, path, sha256(sniff.weights_of(path)))


def from_object(thing: Any, card: Card, probe: Any, *, tokens: bool = False) -> Loaded:
    """Take a torch module, an estimator or a function from memory; the object itself stays as it is.

    `probe` is an array or a data frame, whatever the model takes. With `tokens` a row is a text, and a torch module is
    handed its token numbers as whole numbers.
    """
    from rai.models.estimator import open_object

    draft = open_object(thing, card)
    return _examined(replace(draft, candidate=draft.candidate.reading(tokens=tokens)), card, probe, "model", "")


def bare(thing: Any, probe: Any, *, tokens: bool = False) -> Model:
    """Take a model from memory as it is, nothing decided about how its outputs are to be read.

    `probe` holds a row or a few, `tokens` says whether they are texts. An estimator answers with probabilities where
    it gives any.
    """
    from rai.models.estimator import open_object

    card = Card("multiclass" if hasattr(thing, "predict_proba") else "regression")
    found = open_object(thing, card).candidate.reading(tokens=tokens).headed(Head.VALUE)
    found.scores(probe)
    return found


def from_scores(scores: Any, card: Card) -> Loaded:
    """Take predictions without a model: scores of shape (rows, outputs), or (rows,), for the test rows in order."""
    kept = np.asarray(scores, dtype=np.float64)
    if kept.size == 0 or kept.ndim not in {1, 2}:
        shape = " × ".join(map(str, kept.shape))
        raise InputError(f"have shape {shape or 'of one number'}", where="scores", expected="rows, or rows × outputs")
    kept = kept.reshape(len(kept), -1)
    bad = np.flatnonzero(~np.isfinite(kept).all(axis=1))
    if len(bad):
        raise InputError(
            f"row {bad[0] + 1} (the first is 1) is NaN or infinite", where="scores", expected="a number for each row"
        )
    choice = heads.choose(kept, card, None, "scores")
    return Loaded(StoredScores(kept, choice.head), "predictions only", choice.reason, (), "")


def tensor_shapes(path: Path) -> Mapping[str, tuple[int, ...]]:
    """Name and shape of every tensor in a state dict or safetensors file, read without running anything."""
    tensors = _tensors(sniff.identify(path), path)
    if tensors is None:
        raise InputError("is no file of bare tensors", where=path, expected="a PyTorch state dict or safetensors file")
    return {name: each.shape for name, each in unprefixed(tensors).named.items()}


def _tensors(sniffed: Sniffed, path: Path) -> archive.Tensors | None:
    if sniffed.kind is Kind.SAFETENSORS:
        from rai.models.safe import open_safetensors

        return open_safetensors(path)
    if sniffed.kind is Kind.LEGACY_STATE_DICT:
        return archive.open_legacy(path)
    return archive.open_zip(path) if sniffed.kind is Kind.STATE_DICT else None


def _draft(sniffed: Sniffed, path: Path, card: Card, *, allow_code: bool) -> Draft:
    if sniffed.kind is Kind.ONNX:
        from rai.models.onnx_file import open_onnx

        return open_onnx(path, card)
    if sniffed.kind is Kind.HUGGING_FACE:
        from rai.models.hugging_face import open_folder

        return open_folder(path, card)
    _require_leave(card, allow_code=allow_code)
    tensors = _tensors(sniffed, path)
    from rai.models import scripted, state_dict, torch_model

    torch_model.require_torch()
    if tensors is None:
        return scripted.open_code(sniffed, path, card)
    return state_dict.assemble(tensors, card, path, str(sniffed.kind))


def _require_leave(card: Card, *, allow_code: bool) -> None:
    """A factory is code, and of factory and network a card may name one."""
    if card.factory is not None and card.network is not None:
        raise InputError("the card names a factory and a network", where="key factory", do="leave one of them out")
    if card.factory is not None and not allow_code:
        raise InputError(f"the card names a factory, {card.factory}: code that runs", where="key factory", do=TRUST_IT)


def _carries_code(sniffed: Sniffed, path: Path) -> InputError:
    named = f" ({', '.join(name[:80] for name in sniffed.names[:2])})" if sniffed.names else ""
    return InputError(
        f"{WHY[sniffed.kind]}{named}", where=path, expected=sniff.EXPECTED, do=f"save the weights alone, or {TRUST_IT}"
    )


def _examined(draft: Draft, card: Card, probe: Any, where: object, digest: str) -> Loaded:
    flight = preflight.fly(draft.candidate, probe, card, where)
    choice = heads.choose(flight.outputs, card, draft.candidate.ending(probe), where)
    notes = (*draft.notes, *flight.notes)
    return Loaded(draft.candidate.headed(choice.head), draft.format, choice.reason, notes, digest)
