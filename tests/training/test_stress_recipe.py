"""A recipe or a flag that asks for a stress test: tried, metered, written down, and refused where it cannot be."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from rai.card import Network
from rai.cli import main
from rai.errors import InputError
from rai.ledger import Ledger, read_ledger
from rai.train.federated.deployment import Deployed, Heard, Places
from rai.train.federated.job import Job
from rai.train.federated.local import run_local
from rai.training import Made, train

Write = Callable[..., Path]
SITES = "[federated]\nclients = 4\nrounds = 2\nalone = false\ncontributions = false\n"
TABLE = """\
[federated.stress]
attacks = ['nan', 'both']
strategies = ['fedmedian']
share = 0.5
scale = 3
rounds = 1
"""
PROMISE = "[private]\nnoise_multiplier = 1.0\ndelta = 1e-3\nsample_rate = 0.25\nsteps = 4\nexpected_batch = 25\n"
WHOLE = "[federated.client_privacy]\nnoise_multiplier = 1.0\nmax_grad_norm = 1.0\n"


def ledger_of(made: Made) -> Ledger:
    return read_ledger(made.ledger)


def test_the_table_says_what_is_tried_and_the_model_stays_the_same(recipe_with: Write, tmp_path: Path) -> None:
    bare = train(recipe_with(more=SITES), out=tmp_path / "bare")
    made = train(recipe_with(more=SITES + TABLE), out=tmp_path / "tried")
    assert bare.model.read_bytes() == made.model.read_bytes()
    found = ledger_of(made).federation
    assert found is not None
    assert found.stress_test is not None
    assert {each: set(worths) for each, worths in found.stress.items()} == {"fedmedian": {"none", "nan", "both"}}
    test = found.stress_test
    assert (len(test.attackers), test.share, test.scale, test.rounds) == (2, 0.5, 3.0, 1)
    assert [dict(each.excluded) for each in test.runs] == [{}, *2 * [dict.fromkeys(test.attackers, 1)]]
    assert ledger_of(made).recipe["federated"]["stress"]["strategies"] == ["fedmedian"]


def test_the_flag_asks_for_the_usual_test_and_leaves_the_recipes_own_alone(recipe_with: Write, tmp_path: Path) -> None:
    found = ledger_of(train(recipe_with(more=SITES), out=tmp_path / "a", stress=True)).federation
    assert found is not None
    assert {each: set(worths) for each, worths in found.stress.items()} == {
        "fedavg": {"none", "sign_flip", "nan", "inflated"}
    }
    own = ledger_of(train(recipe_with(more=SITES + TABLE), out=tmp_path / "b", stress=True)).federation
    assert own is not None
    assert set(own.stress) == {"fedmedian"}


def test_what_the_trainings_of_the_test_used_is_within_what_was_metered(recipe_with: Write) -> None:
    """The ledger's own seconds are those of the training that made the model."""
    found = ledger_of(train(recipe_with(more=SITES), stress=True))
    assert found.energy is not None
    assert found.federation is not None
    assert found.federation.stress_test is not None
    assert found.energy.seconds >= found.seconds + found.federation.stress_test.seconds


def test_on_flowers_servers_the_model_learns_there_and_the_attacks_are_tried_here(
    recipe_with: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[Job] = []

    def deployed(job: Job, heard: Heard, _network: Network, *, places: Places) -> Deployed:
        assert places.folder is None
        sent.append(job)
        return Deployed(run_local(job, heard), {"app.py": "0" * 64}, ())

    here = ledger_of(train(recipe_with(more=SITES), out=tmp_path / "here", stress=True)).federation
    monkeypatch.setattr("rai.train.federated.fitting.run_deployed", deployed)
    made = train(recipe_with(more=SITES), out=tmp_path / "there", stress=True, runtime="deployment")
    there = ledger_of(made).federation
    assert here is not None
    assert there is not None
    assert len(sent) == 1
    assert (there.runtime, dict(there.bundle)) == ("deployment", {"app.py": "0" * 64})
    assert there.stress == here.stress


def test_on_the_command_line_a_flag_asks_for_it_and_progress_counts_its_trainings(recipe_with: Write) -> None:
    path = recipe_with(more=SITES)
    done = CliRunner().invoke(main, ["train", str(path), "--stress"])
    assert done.exit_code == 0, done.output
    assert "rai: [8/8] stress run 4/4\n" in done.stderr
    found = read_ledger(path.with_name("ledger.json")).federation
    assert found is not None
    assert set(found.stress["fedavg"]) == {"none", "sign_flip", "nan", "inflated"}


@pytest.mark.parametrize(
    ("more", "given", "words"),
    [
        ("", {}, "federated: names no sites that could attack; leave --stress out"),
        (SITES + PROMISE, {}, "given beside [private], whose budget each of its trainings would spend"),
        (SITES + WHOLE, {}, "given beside [federated.client_privacy], whose budget each of its trainings would spend"),
        (SITES, {"runtime": "deployment", "superlink": "127.0.0.1:9093"}, "the rows of real sites are not at hand"),
    ],
)
def test_where_it_cannot_be_tried_one_line_says_so_before_anything_is_read(
    recipe_with: Write, more: str, given: dict[str, str], words: str
) -> None:
    path = recipe_with(more=more)
    path.with_name("rows.csv").unlink()
    with pytest.raises(InputError) as refused:
        train(path, stress=True, **given)
    assert words in str(refused.value)
    assert str(refused.value).startswith(f"{path}: ")


def test_keys_that_nobody_knows_are_refused(recipe_with: Write) -> None:
    with pytest.raises(InputError, match=r"federated\.stress\.attack"):
        train(recipe_with(more=f"{SITES}[federated.stress]\nattack = ['nan']\n"))
