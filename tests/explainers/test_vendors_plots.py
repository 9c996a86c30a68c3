"""Attributions as pictures: what the bars show, and that shap's own plots take what we hand them."""

import matplotlib as mpl
import numpy as np
import pytest

from rai.errors import InputError
from rai.explainers import Attribution

mpl.use("Agg")


@pytest.fixture
def found():
    values = np.array([[3.0, -1.0, 0.5], [-1.0, -3.0, 0.5]])
    error = np.array([[0.3, 0.0, 0.0], [0.4, 0.0, 0.0]])
    base = np.zeros(2)
    return Attribution(values, base, values.sum(axis=1), error, ("a", "b", "c"), "any", 9, scale="log-odds")


def bars(figure):
    axes = figure.axes[0]
    names = [each.get_text() for each in axes.get_yticklabels()]
    return dict(zip(names, [float(each.get_width()) for each in axes.patches], strict=True))


def test_many_rows_show_mean_sizes_strongest_on_top(found):
    figure = found.plot()
    assert bars(figure) == {"c": 0.5, "a": 2.0, "b": 2.0}
    assert figure.axes[0].get_xlabel() == "mean |value|, log-odds"
    lines = figure.axes[0].collections[0].get_segments()
    widths = {round(float(each[1, 0] - each[0, 0]), 6) for each in lines}
    assert widths == {0.0, round(2 * 1.96 * 0.25, 6)}


def test_one_row_shows_signed_values(found):
    assert bars(found.plot(row=1)) == {"c": 0.5, "a": -1.0, "b": -3.0}
    assert bars(found.plot(row=1, most=1)) == {"b": -3.0}


def test_one_of_several_outputs_is_picked():
    values = np.stack([np.zeros((1, 2)), np.array([[1.0, 2.0]])], axis=2)
    none = np.full((1, 2, 2), np.nan)
    found = Attribution(values, np.zeros((1, 2)), np.zeros((1, 2)), none, ("a", "b"), "any", 1)
    assert bars(found.plot(output=1)) == {"a": 1.0, "b": 2.0}
    with pytest.raises(InputError, match="output: is 2; expected 0 to 1"):
        found.plot(output=2)
    with pytest.raises(InputError, match="row: is 1; expected 0 to 0"):
        found.plot(row=1)


@pytest.mark.filterwarnings("ignore")
def test_the_plots_of_shap_take_it(found):
    import shap
    from matplotlib import pyplot as plt

    handed = found.to_shap(data=np.ones((2, 3)))
    assert isinstance(handed, shap.Explanation)
    axes = shap.plots.bar(handed, show=False)
    assert sorted(float(each.get_width()) for each in axes.patches[:3]) == [0.5, 2.0, 2.0]
    plt.close("all")
    drawn = shap.plots.waterfall(handed[1], show=False)
    assert any("b" in each.get_text() for each in drawn.get_yticklabels())
    plt.close("all")
