"""A recipe with sites: dealt out, trained in rounds, private where asked, written down, and ready for an audit."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner

from rai.card import Network, read_card
from rai.cli import main
from rai.data import load
from rai.errors import InputError
from rai.intake import Choices
from rai.ledger import Federation, read_ledger
from rai.policy import read_policy
from rai.run import Plan, audit_files
from rai.train.federated import fit_federated
from rai.train.federated.deployment import Deployed, Heard, Places
from rai.train.federated.job import Job
from rai.train.federated.local import run_local
from rai.train.federated.promises import site_promises
from rai.train.loop import Moment
from rai.train.on_disk import fresh
from rai.training import Made, read_recipe, train
from rai.training.workshop import workshop

Write = Callable[..., Path]
HOSPITALS = ("Ash", "Birch", "Elm")
SITES = "[federated]\nclients = 3\nrounds = 3\n"
COLUMN = '[federated]\npartition = "column"\ncolumn = "hospital"\nrounds = 3\n'
ALONE = "alone = false\ncontributions = false\n"
PUBLIC = {"[network]": "public_columns = true\n[network]"}
WHOLE = "[federated.client_privacy]\nnoise_multiplier = 1.0\nmax_grad_norm = 1.0\n"
PROMISE = """\
[private]
noise_multiplier = 1.0
delta = 1e-3
sample_rate = 0.25
steps = 12
expected_batch = 25
"""
PRIVATE = {**PUBLIC, "epochs = 12\nbatch_size = 32\nlearning_rate = 0.02\n": 'optimizer = "sgd"\nlearning_rate = 1.0\n'}


@pytest.fixture(autouse=True)
def hospitals(folder: Path) -> pd.DataFrame:
    """The rows of the table, each with the hospital it was gathered at."""
    frame = pd.read_csv(folder / "rows.csv")
    frame["hospital"] = np.random.default_rng(1).choice(HOSPITALS, len(frame), p=[0.5, 0.3, 0.2])
    frame.to_csv(folder / "rows.csv", index=False)
    return frame


def federation_of(made: Made) -> Federation:
    found = read_ledger(made.ledger).federation
    assert found is not None
    return found


DEALT = {
    "iid": ("", "iid"),
    "dirichlet": ("alpha = 0.3\n", "dirichlet, alpha 0.3"),
    "pathological": ("classes = 1\n", "pathological, 1 classes a site"),
    "quantity": ("alpha = 1.0\n", "quantity, alpha 1"),
}


@pytest.mark.parametrize("kind", DEALT)
def test_training_rows_are_dealt_out_as_the_recipe_says(recipe_with: Write, kind: str) -> None:
    more, words = DEALT[kind]
    made = train(recipe_with(more=f'{SITES}partition = "{kind}"\n{more}{ALONE}'))
    found = federation_of(made)
    assert (found.partition, found.runtime, len(found.rounds)) == (words, "local", 3)
    assert sum(site.rows for site in found.sites) == len(pd.read_csv(made.model.with_name("rows_train.csv"))) == 320
    sizes, labels = [site.rows for site in found.sites], [len(site.classes) for site in found.sites]
    assert {
        "iid": sizes == [107, 107, 106],
        "dirichlet": max(sizes) > 107,
        "pathological": labels == [1, 1, 1],
        "quantity": sizes == [175, 87, 58],
    }[kind]
    assert any(each.startswith(f"sites: 3 ({words}), ") for each in made.summary)


def test_a_column_names_sites_and_is_neither_input_nor_compared(recipe_with: Write) -> None:
    """It names who holds a row, which says nothing about rows of others."""
    made = train(recipe_with(more=COLUMN + ALONE))
    found, rows = federation_of(made), pd.read_csv(made.model.with_name("rows_train.csv"))
    counted = rows["hospital"].value_counts()
    assert {site.name: site.rows for site in found.sites} == counted.to_dict()
    assert tuple(site.name for site in found.sites) == HOSPITALS
    assert found.partition == "column hospital"
    assert all(set(reply.counts) == {"sex"} for each in found.rounds for reply in each.replies.values())
    card = made.card.read_text()
    assert "hospital" not in card
    assert 'name = "job"' in card


def test_a_column_that_is_listed_is_an_input(recipe_with: Write) -> None:
    listed = '[[columns]]\nname = "hospital"\nkind = "category"\ncategories = ["Ash", "Birch", "Elm"]\n'
    made = train(recipe_with(more=listed + COLUMN + ALONE))
    assert 'name = "hospital"' in made.card.read_text()


def test_the_model_on_disk_is_the_one_in_memory_and_the_same_each_time(recipe_with: Write, tmp_path: Path) -> None:
    path = recipe_with(more=f'{SITES}partition = "dirichlet"\nstrategy = "fedadam"\n')
    one, other, another = (train(path, out=tmp_path / name, seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2)))
    assert one.model.read_bytes() == other.model.read_bytes() != another.model.read_bytes()
    recipe = read_recipe(path).seeded(1)
    with workshop(recipe, path, tmp_path / "d") as ready:
        assert ready.card.network is not None
        network = fresh(ready.card.network, 1)
        rows = load(ready.staging / "rows_train.csv", ready.card)
        trained = fit_federated(network, rows, federated=recipe.federated, settings=recipe.fit, task="binary")
    saved = torch.load(one.model, weights_only=True)
    for name, tensor in trained.model.state_dict().items():
        torch.testing.assert_close(saved[name], tensor, rtol=0, atol=0)


def test_what_sites_spent_stays_beside_the_model_and_the_next_training_goes_on_from_it(private_sites: Path) -> None:
    """Twelve steps, then twelve more: the second ledger promises what both cost together."""
    first, second = (read_ledger(train(private_sites).ledger) for _ in range(2))
    assert first.privacy is not None
    assert second.privacy is not None
    assert (first.privacy.steps, second.privacy.steps) == (12, 24)
    assert first.privacy.epsilon < second.privacy.epsilon < 2 * first.privacy.epsilon
    assert second.federation is not None
    assert [site.epsilon for site in second.federation.sites] == [second.privacy.epsilon] * 3
    assert not any("earlier run" in each for each in second.privacy.waived)
    assert len(second.runs) == 1
    assert len(list((private_sites.parent / "accounts").glob("*.json"))) == 3


def test_a_training_that_epsilon_does_not_count_is_a_hole_of_the_promise(private_sites: Path) -> None:
    """With another seed other rows are at each site, and their accounts begin anew."""
    train(private_sites)
    found = read_ledger(train(private_sites, seed=5).ledger).privacy
    assert found is not None
    assert found.steps == 12
    assert "1 earlier run on the same rows, which epsilon does not count" in found.waived


def test_rows_whose_budget_is_spent_are_not_learned_from_again(private_sites: Path) -> None:
    private_sites.write_text(private_sites.read_text().replace("noise_multiplier = 1.0", "epsilon = 4.0"))
    made = train(private_sites)
    before, promised = made.model.read_bytes(), read_ledger(made.ledger).privacy
    assert promised is not None
    assert 3.9 < promised.epsilon <= 4.0
    with pytest.raises(InputError, match="no reply could be joined in any round; Ash in round 1: its budget is spent"):
        train(private_sites)
    assert made.model.read_bytes() == before


@pytest.fixture
def private_sites(recipe_with: Write) -> Path:
    """A recipe by which each hospital keeps a promise to its rows."""
    return recipe_with(more=PROMISE + COLUMN + ALONE, **PRIVATE)


def test_both_promises_are_told_apart_and_what_they_leave_out_is_named(recipe_with: Write) -> None:
    sites = "[federated]\nclients = 10\nshare = 0.5\nrounds = 3\n"
    made = train(recipe_with(more=PROMISE + sites + WHOLE, **PRIVATE))
    ledger, found = read_ledger(made.ledger), federation_of(made)
    assert ledger.privacy is not None
    assert found.client_privacy is not None
    assert (ledger.privacy.unit, found.client_privacy.unit) == ("record", "site")
    assert found.client_privacy.sample_rate == 0.5
    for promise in (ledger.privacy, found.client_privacy):
        assert any(each.startswith("column means, scales") for each in promise.waived)
    told = "\n".join(made.summary)
    rows, whole = ledger.privacy.epsilon, found.client_privacy.epsilon
    assert f"promised: ε {rows:.3g} at δ 0.001 for each record, the largest over sites" in told
    assert f"promised: ε {whole:.3g} at δ 1e-05 for each site as a whole; {found.assumption}" in told
    assert all(f"left the sites without noise: {each}" in told for each in found.unnoised)


@pytest.mark.parametrize("promise", [PROMISE + COLUMN, SITES + WHOLE])
def test_a_promise_needs_an_answer_for_what_is_read_without_noise(recipe_with: Write, promise: str) -> None:
    quiet = {key: text for key, text in PRIVATE.items() if key not in PUBLIC}
    with pytest.raises(InputError, match=r"data\.public_columns is not set"):
        train(recipe_with(more=promise, **quiet))


@pytest.mark.parametrize("promise", [COLUMN, PROMISE + COLUMN])
def test_an_audit_reads_the_federation_at_once(recipe_with: Write, promise: str) -> None:
    made = train(recipe_with(more=promise, **(PRIVATE if promise != COLUMN else {})))
    plan = Plan(read_policy("default"), ("federation",), command="rai audit", date="2026-01-01")
    (section,) = audit_files(made.model, Choices(), plan).record.sections
    assert section.evidence is not None
    found = {each.name: each.value for each in section.evidence.measurements}
    assert found["federation_sites"] == 3
    assert found["worst_site_accuracy"] is not None
    assert found["global_demographic_parity_difference"] is not None
    assert (found["sample_level_epsilon"] is None) == (promise == COLUMN)


WRONG = {
    "beside fair": (f"[fair]\n{SITES}", "key fair is given beside [federated]; expected one of the two"),
    "beside a search": (f'[search]\nspace = {{ "fit.seed" = [1] }}\n{SITES}', "key search is given beside [federated]"),
    "beside curves": (f'[monitor]\ntensorboard = "runs"\n{SITES}', "key monitor is given beside [federated]"),
    "an unknown key": (f"{SITES}clents = 3\n", "key federated.clents is not a key rai knows"),
    "an unknown strategy": (f'{SITES}strategy = "fedsum"\n', "key federated.strategy"),
    "no sites": ("[federated]\nclients = 0\n", "federated.clients: is 0; expected"),
    "no column": ('[federated]\npartition = "column"\n', "key federated.column is missing"),
    "a column for nothing": (
        '[federated]\ncolumn = "hospital"\n',
        "key federated.partition is 'iid' beside federated.col",
    ),
    "the target": (COLUMN.replace("hospital", "repaid"), "key federated.column is 'repaid', which is also the target"),
    "no such column": (COLUMN.replace("hospital", "ward"), "no column 'ward', named by federated.column in the recipe"),
    "an argument": (f"{SITES}arguments = {{ q = 1.0 }}\n", "federated.arguments.q: is no argument of fedavg"),
    "many sites": ("[federated]\nclients = 300\n", "federated.smallest: 320 rows do not give 300 sites 10 rows each"),
    "groups": (f'{PROMISE}unit = "group:sex"\n{SITES}', "rows of one group may lie at several sites"),
    "a comparison": (
        f"{PROMISE}compare = true\n{SITES}",
        "key private.compare is on; expected false beside [federated]",
    ),
    "a SuperLink on Ray": (
        f'{SITES}runtime = "ray"\nsuperlink = "127.0.0.1:1"\n',
        "federated.superlink: is given, and the runtime is 'ray'; choose runtime 'deployment'",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_sites_cannot_do_is_refused_in_one_line(recipe_with: Write, name: str) -> None:
    more, words = WRONG[name]
    private = PRIVATE if PROMISE in more else {}
    path = recipe_with(more=more, **private)
    with pytest.raises(InputError) as caught:
        train(path)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert {each.name for each in path.parent.iterdir()} == {"rows.csv", "recipe.toml"}


@pytest.mark.parametrize(
    ("spoilt", "words"), [("Ash", "holds one site only; expected at least two sites"), ("", "is empty in")]
)
def test_rows_that_name_no_sites_are_refused(
    hospitals: pd.DataFrame, recipe_with: Write, spoilt: str, words: str
) -> None:
    path = recipe_with(more=COLUMN)
    hospitals["hospital"] = [spoilt if spoilt or each == "Elm" else each for each in hospitals["hospital"]]
    hospitals.to_csv(path.with_name("rows.csv"), index=False)
    with pytest.raises(InputError, match=words):
        train(path)


def test_there_is_nothing_to_resume(recipe_with: Write) -> None:
    with pytest.raises(InputError, match="a federated training leaves no checkpoint; leave --resume out"):
        train(recipe_with(more=SITES), resume=True)


def test_torchrun_is_refused(recipe_with: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=r"federated: is not shared among processes; start it without torchrun"):
        train(recipe_with(more=SITES))


class Listener(list[tuple[str, int, int]]):
    def step(self, moment: Moment) -> None:
        self.append((moment.part, moment.epoch, moment.epochs))


def test_who_watches_hears_of_each_round(recipe_with: Write) -> None:
    heard = Listener()
    train(recipe_with(more=SITES + ALONE), watch=heard)
    assert heard == [("round", number, 3) for number in (1, 2, 3)]


def test_a_deployment_is_told_the_cards_network_and_where_accounts_are(
    private_sites: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Servers are left out of it: what they would be told is run in this process."""
    told: list[tuple[Network, Path | None]] = []

    def deployed(job: Job, heard: Heard, network: Network, *, places: Places) -> Deployed:
        told.append((network, places.accounts))
        promises = site_promises(job, places.accounts)
        assert promises is not None
        return Deployed(run_local(job, heard, promises.learners()), {"app.py": "0" * 64}, ())

    monkeypatch.setattr("rai.train.federated.fitting.run_deployed", deployed)
    made = train(private_sites, runtime="deployment")
    found = federation_of(made)
    assert told == [(read_card(made.card).network, private_sites.parent / "accounts")]
    assert (found.runtime, dict(found.bundle)) == ("deployment", {"app.py": "0" * 64})


def test_without_ray_its_runtime_is_refused_in_one_line(recipe_with: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rai.train.federated.simulation.find_spec", lambda _: None)
    path = recipe_with(more=SITES)
    refused = CliRunner().invoke(main, ["train", str(path), "--runtime", "ray"])
    assert isinstance(refused.exception, InputError)
    assert "federated.runtime: Ray is not installed; pip install 'rai[ray]'" in str(refused.exception)
    assert {each.name for each in path.parent.iterdir()} == {"rows.csv", "recipe.toml"}


def test_the_command_chooses_the_runtime(recipe_with: Write) -> None:
    path = str(recipe_with(more=f'{SITES}{ALONE}runtime = "deployment"\n'))
    done = CliRunner().invoke(main, ["train", path, "--runtime", "local"])
    assert done.exit_code == 0
    assert next(iter(done.stderr.splitlines())).startswith("rai: [1/3] round 1/3 · loss")
    assert "sites: 3 (iid)" in done.stdout
    plain = CliRunner().invoke(main, ["train", str(recipe_with()), "--runtime", "local"])
    assert "names no sites" in str(plain.exception)
