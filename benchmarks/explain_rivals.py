"""The rivals of the Shapley engine, asked for as many evaluations: shap, captum and, where installed, shapiq."""

import contextlib
import importlib
import importlib.util
import io
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import shap  # type: ignore[import-untyped]
import torch
from captum.attr import KernelShap, ShapleyValueSampling  # type: ignore[import-untyped]

from benchmarks.explain_nets import Case, Explainer
from rai.subject import Floats

SHAPIQ = importlib.util.find_spec("shapiq") is not None


def kernel(case: Case, rows: Floats, evaluations: int, **words: Any) -> Floats:
    """shap.KernelExplainer."""
    np.random.seed(0)  # noqa: NPY002 - shap draws from numpy's global stream
    explainer = shap.KernelExplainer(case.score, case.background)
    return np.asarray(explainer.shap_values(rows, nsamples=evaluations, silent=True, **words))


def permutation(case: Case, rows: Floats, evaluations: int) -> Floats:
    """shap.PermutationExplainer."""
    masker = shap.maskers.Independent(case.background, max_samples=1)
    explainer = shap.PermutationExplainer(case.score, masker, seed=0)
    least = 2 * rows.shape[1] + 1
    with contextlib.redirect_stderr(io.StringIO()):  # its progress bar
        return np.asarray(explainer(rows, max_evals=max(evaluations, least)).values)


def shap_exact(case: Case, rows: Floats) -> Floats:
    """shap.ExactExplainer."""
    masker = shap.maskers.Independent(case.background, max_samples=1)
    with contextlib.redirect_stderr(io.StringIO()):
        return np.asarray(shap.ExactExplainer(case.score, masker)(rows).values)


def captum_kernel(case: Case, rows: Floats, evaluations: int, at_once: int = 1) -> Floats:
    """captum.KernelShap, row by row as its documentation says."""
    torch.manual_seed(0)
    explainer, base = KernelShap(case.forward), torch.from_numpy(case.background)
    words = {"n_samples": evaluations, "perturbations_per_eval": at_once}
    with torch.inference_mode():
        each = [explainer.attribute(torch.from_numpy(row[None]), baselines=base, **words).numpy() for row in rows]
    return np.concatenate(each)


def captum_sampling(case: Case, rows: Floats, evaluations: int) -> Floats:
    """captum.ShapleyValueSampling, all rows at once and as many permutations as the evaluations allow."""
    torch.manual_seed(0)
    explainer, inputs = ShapleyValueSampling(case.forward), torch.from_numpy(rows)
    samples = max(1, evaluations // rows.shape[1])
    with torch.inference_mode():
        found = explainer.attribute(inputs, baselines=torch.from_numpy(case.background), n_samples=samples)
    return np.asarray(found.numpy())


def shapiq_kernel(case: Case, rows: Floats, evaluations: int, *, paired: bool) -> Floats:
    """shapiq.KernelSHAP, row by row, of the game in which left-out inputs are those of the background row."""
    approximator = importlib.import_module("shapiq.approximator")
    found = []
    for row in rows:

        def game(known: Any, row: Floats = row) -> Floats:
            return case.score(np.where(known, row, case.background[0]))

        asked = approximator.KernelSHAP(n=len(row), pairing_trick=paired, random_state=0)
        found.append(asked.approximate(evaluations, game).get_n_order_values(1))
    return np.array(found)


def of_many_inputs(evaluations: int, rows: int) -> Mapping[str, tuple[Explainer, int]]:
    """Those that are asked about 48 inputs and more, and how many rows each is given."""
    asked: dict[str, Explainer] = {
        "shap.Kernel(l1_reg=0)": partial(kernel, evaluations=evaluations, l1_reg=0),
        "shap.Permutation": partial(permutation, evaluations=evaluations),
    }
    if SHAPIQ:
        asked["shapiq.KernelSHAP, paired"] = partial(shapiq_kernel, evaluations=evaluations, paired=True)
    return {name: (explain, rows) for name, explain in asked.items()}


def rivals(evaluations: int, *, quick: bool) -> Mapping[str, tuple[Explainer, int]]:
    """Each rival's name, how to ask it, and how many rows it is given."""
    many, few = (10, 2) if quick else (100, 8)
    theirs: dict[str, tuple[Explainer, int]] = {
        "shap.Kernel(l1_reg=0)": (partial(kernel, evaluations=evaluations, l1_reg=0), many),
        "shap.Kernel, default": (partial(kernel, evaluations=evaluations), many),
        "shap.Permutation": (partial(permutation, evaluations=evaluations), many),
        "captum.KernelShap": (partial(captum_kernel, evaluations=evaluations, at_once=evaluations), few),
        "captum.KernelShap, default": (partial(captum_kernel, evaluations=evaluations), few),
        "captum.ShapleyValueSampling": (partial(captum_sampling, evaluations=evaluations), many),
    }
    if SHAPIQ:
        theirs["shapiq.KernelSHAP, paired"] = (partial(shapiq_kernel, evaluations=evaluations, paired=True), many)
        theirs["shapiq.KernelSHAP, default"] = (partial(shapiq_kernel, evaluations=evaluations, paired=False), many)
    return theirs
