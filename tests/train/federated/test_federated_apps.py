"""The apps of a bundle, run here on a grid that numbers its nodes by chance: the same model as in one process."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rai.card import Card, Column, Files, Network
from rai.errors import InputError
from rai.train.federated import deployment
from rai.train.federated.bundle import Bundle, read_start, stage
from rai.train.federated.deployment import Submitted, follow, nodes_of, order_of, submit
from rai.train.federated.facts import read_facts
from rai.train.federated.flower import quiet, switched_off
from rai.train.federated.job import Job
from rai.train.federated.local import run_local
from rai.train.federated.round_files import PROBLEM
from rai.train.federated.site import arrays_of
from rai.train.federated.sites import sites_of
from rai.train.federated.strategies import arguments_of
from rai.train.federated.superlink import Link
from rai.train.on_disk import fresh
from rai.train.settings import Federated, Fit, Private

NETWORK = Network("mlp", {"inputs": 2, "hidden": (4,), "outputs": 1})
FIT = Fit(seed=3, batch_size=16)
PRIVATE = Private(sample_rate=0.2, steps=2, delta=1e-3, expected_batch=8, noise_multiplier=1.0)


def job_of(federated: Federated, private: Private | None = None) -> Job:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(150, 2)).astype(np.float32)
    module, y = fresh(NETWORK, 3), (X[:, 0] > 0).astype(np.int64)
    sites = sites_of((X, y), module, None, federated, FIT)
    arguments = arguments_of(federated, FIT, federated.clients)
    return Job(module, sites, federated, FIT, private, arguments, arrays_of(module))


@dataclass
class Scattered:
    """A grid as Flower's, with nodes of any number, whose replies come in any order."""

    app: Callable[[Any, Any], Any]
    contexts: dict[int, Any]
    replies: dict[str, Any] = field(default_factory=dict)

    def get_node_ids(self) -> list[int]:
        return list(self.contexts)

    def push_messages(self, messages: Iterable[Any]) -> list[str]:
        given = list(messages)
        numbers = [f"m{len(self.replies) + at}" for at in range(len(given))]
        for number, message in zip(numbers, given, strict=True):
            message.metadata.__dict__["_message_id"] = number
            self.replies[number] = self.app(message, self.contexts[message.metadata.dst_node_id])
        return numbers

    def pull_messages(self, numbers: Iterable[str]) -> list[Any]:
        return [self.replies[number] for number in sorted(numbers, reverse=True)]


@dataclass(frozen=True)
class Stage:
    """A bundle that is unpacked, and a grid of its sites."""

    bundle: Bundle
    grid: Scattered
    context: Any


@pytest.fixture
def staged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Stage]:
    switched_off()
    from flwr.app import Context, RecordDict

    from rai.train.federated.apps import client

    def made(job: Job, nodes: list[dict[str, Any]] | None = None, card: Card | None = None) -> Stage:
        bundle = stage(tmp_path / "bundle", order_of(job, NETWORK, card), job.start)
        monkeypatch.syspath_prepend(str(bundle.folder))
        said = {"job": bundle.manifest["job.json"], "result": str(tmp_path / "result")}
        found = nodes or [dict(each.config) for each in nodes_of(job.sites, tmp_path, tmp_path / "accounts")]
        numbers = [10**18 - 7 * at for at in range(len(found))]  # the last site has the smallest number
        contexts = {
            number: Context(run_id=1, node_id=number, node_config=each, state=RecordDict(), run_config=dict(said))
            for number, each in zip(numbers, found, strict=True)
        }
        server = Context(run_id=1, node_id=0, node_config={}, state=RecordDict(), run_config=dict(said))
        return Stage(bundle, Scattered(client, contexts), server)

    return made


def run(staged: Stage) -> None:
    from rai.train.federated.apps import main
    from rai.train.federated.grid import identified

    with identified(), quiet():
        main(staged.grid, staged.context)  # type: ignore[arg-type]


def ended(monkeypatch: pytest.MonkeyPatch, folder: Path, status: str = "finished:completed") -> Submitted:
    """A run of which the SuperLink says this."""
    monkeypatch.setattr(deployment, "_asked", lambda *_: {"runs": [{"status": status}]})
    return Submitted(Link("127.0.0.1:1"), "7", folder, folder / "result")


@pytest.mark.parametrize(
    "federated",
    [
        Federated(clients=3, rounds=2, share=0.67),
        Federated(clients=3, rounds=2, strategy="fedadam", contributions=False),
        Federated(clients=3, rounds=1, strategy="fairfed"),
    ],
    ids=lambda each: each.strategy,
)
def test_the_model_is_that_of_the_run_in_one_process_bit_for_bit(
    tmp_path: Path, staged: Callable[..., Stage], federated: Federated, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(federated)
    with quiet():
        near = run_local(job, lambda _: None)
    run(staged(job))
    heard: list[int] = []
    far = follow(ended(monkeypatch, tmp_path), job, lambda sheet: heard.append(sheet.number))
    assert heard == list(range(1, federated.rounds + 1))
    assert {name: each.tobytes() for name, each in far.state.items()} == {
        name: each.tobytes() for name, each in near.state.items()
    }
    for mine, other in zip(near.book, far.book, strict=True):
        names = ("asked", "examples", "losses", "norms", "excluded", "weights", "evaluations", "bytes_up", "bytes_down")
        assert [getattr(other, name) for name in names] == [getattr(mine, name) for name in names]
        assert other.updates.keys() == mine.updates.keys()


def test_sites_keep_their_accounts_and_tell_what_they_promised(tmp_path: Path, staged: Callable[..., Stage]) -> None:
    run(staged(job_of(Federated(clients=2, rounds=2), PRIVATE)))
    promises = [each.promise for each in read_facts(tmp_path / "result")]
    assert [each.steps for each in promises if each is not None] == [2, 2]
    assert len(list((tmp_path / "accounts").glob("*.json"))) == 2


def csv(path: Path, text: str) -> dict[str, Any]:
    path.write_text(text)
    return {"data": str(path)}


def test_the_text_of_an_error_never_leaves_a_site(
    tmp_path: Path, staged: Callable[..., Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    from rai.train.federated import apps

    def broken(*_: Any) -> None:
        raise RuntimeError("row 7 of Ms Example")

    job = job_of(Federated(clients=2, rounds=1))
    ready = staged(job)
    monkeypatch.setattr(apps, "home_of", broken)
    run(ready)
    replies = [each for each in ready.grid.replies.values() if each.has_error()]
    assert {each.error.reason for each in replies} == {"it stopped with a RuntimeError"}
    far = follow(ended(monkeypatch, tmp_path), job, lambda _: None)
    assert far.book[0].excluded == dict.fromkeys(range(2), "it stopped with a RuntimeError")


CARD = Card(
    "binary",
    classes=("0", "1"),
    positive="1",
    network=NETWORK,
    data=Files(target="ok"),
    columns=(Column("age", "number"), Column("pay", "number")),
)
ROWS = "age,pay,ok\n" + "\n".join(f"{at},{at % 3},1" for at in range(20))


@pytest.mark.parametrize(
    ("numbers", "match"),
    [((0, 0), r"are \[0, 0\]; expected each of 0 to 1 once"), ((1, 2), "expected each of 0 to 1 once")],
)
def test_sites_with_wrong_numbers_are_told_so(
    tmp_path: Path, staged: Callable[..., Stage], numbers: tuple[int, int], match: str
) -> None:
    nodes = [{**csv(tmp_path / f"{at}.csv", ROWS), "partition-id": number} for at, number in enumerate(numbers)]
    ready = staged(job_of(Federated(clients=2, rounds=1)), nodes, CARD)
    with pytest.raises(InputError, match=match):
        run(ready)
    assert "partition-id" in (tmp_path / "result" / PROBLEM).read_text()


def test_two_sites_of_one_name_are_told_so(tmp_path: Path, staged: Callable[..., Stage]) -> None:
    nodes = [{**csv(tmp_path / f"{at}.csv", ROWS), "partition-id": at, "name": "clinic"} for at in range(2)]
    with pytest.raises(InputError, match="2 sites have 1 names between them; give each site a name of its own"):
        run(staged(job_of(Federated(clients=2, rounds=1)), nodes, CARD))


@pytest.mark.parametrize(
    ("node", "match"),
    [
        ({"partition-id": 0}, "names no data"),
        ({"data": "x.csv"}, "names no partition-id"),
        ({"data": "/nowhere/x.csv", "partition-id": 0}, "no such file"),
    ],
)
def test_a_site_that_is_not_told_enough_says_what_is_missing(
    staged: Callable[..., Stage], node: dict[str, Any], match: str
) -> None:
    with pytest.raises(InputError, match=match):
        run(staged(job_of(Federated(clients=1, rounds=1)), [node], CARD))


def test_a_site_of_one_class_reads_its_own_file(tmp_path: Path, staged: Callable[..., Stage]) -> None:
    node = {**csv(tmp_path / "own.csv", ROWS), "partition-id": 0, "name": "north"}
    run(staged(job_of(Federated(clients=1, rounds=1)), [node], CARD))
    (found,) = read_facts(tmp_path / "result")
    assert (found.name, found.train + found.held, found.classes) == ("north", 20, {"1": 20})


def test_a_run_that_failed_is_told_by_its_status_and_the_servers_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "result").mkdir()
    (tmp_path / "result" / PROBLEM).write_text("0 of 2 sites came")
    monkeypatch.setattr(deployment, "ASK_EVERY", 0.0)
    with pytest.raises(InputError, match=r"ended as 'finished:failed' after 0 of 1 rounds; 0 of 2 sites came"):
        follow(ended(monkeypatch, tmp_path, "finished:failed"), job_of(Federated(clients=2, rounds=1)), lambda _: None)


def test_why_the_server_gave_up_is_told_before_the_superlink_has_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "result").mkdir()
    (tmp_path / "result" / PROBLEM).write_text("a site cannot take part")
    submitted = ended(monkeypatch, tmp_path, "running")
    with pytest.raises(InputError, match="after 0 of 1 rounds; a site cannot take part"):
        follow(submitted, job_of(Federated(clients=2, rounds=1)), lambda _: None)


def test_a_run_whose_rounds_lie_elsewhere_is_no_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deployment, "ASK_EVERY", 0.0)
    with pytest.raises(InputError, match="0 of its 1 rounds lie in"):
        follow(ended(monkeypatch, tmp_path), job_of(Federated(clients=2, rounds=1)), lambda _: None)


def test_rounds_that_are_written_while_the_status_is_asked_are_not_lost(
    tmp_path: Path, staged: Callable[..., Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(Federated(clients=2, rounds=2))
    ready = staged(job)

    def ran_meanwhile(*_: Any) -> dict[str, Any]:
        if not (tmp_path / "result").exists():
            run(ready)
        return {"runs": [{"status": "finished:completed"}]}

    submitted = ended(monkeypatch, tmp_path)
    monkeypatch.setattr(deployment, "ASK_EVERY", 0.0)
    monkeypatch.setattr(deployment, "_asked", ran_meanwhile)
    assert [each.number for each in follow(submitted, job, lambda _: None).book] == [1, 2]


def test_a_server_that_stopped_ends_the_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def look() -> None:
        raise InputError("stopped while it was needed", where="superlink")

    with pytest.raises(InputError, match="superlink: stopped"):
        follow(ended(monkeypatch, tmp_path, "running"), job_of(Federated(rounds=1)), lambda _: None, look)


def test_nothing_is_submitted_but_what_was_written(
    tmp_path: Path, staged: Callable[..., Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = staged(job_of(Federated(clients=2, rounds=1)))
    (ready.bundle.folder / "rows.jsonl").write_text("{}")
    monkeypatch.setattr(deployment, "_asked", lambda *_: pytest.fail("it was submitted"))
    with pytest.raises(InputError, match="rows.jsonl is not as it was written"):
        submit(Link("127.0.0.1:1"), ready.bundle, tmp_path, result=tmp_path / "result")


def test_a_superlink_that_takes_no_run_is_named(
    tmp_path: Path, staged: Callable[..., Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = staged(job_of(Federated(clients=2, rounds=1)))
    monkeypatch.setattr(deployment, "_asked", lambda *_: {"success": False})
    with pytest.raises(InputError, match="127.0.0.1:1: did not take the run"):
        submit(Link("127.0.0.1:1"), ready.bundle, tmp_path, result=tmp_path / "result")


def test_no_row_is_in_a_bundle(staged: Callable[..., Stage]) -> None:
    job = job_of(Federated(clients=2, rounds=1))
    folder = staged(job).bundle.folder
    text = "".join(path.read_text() for path in folder.iterdir())
    values = job.sites.parts[0].train.inputs.flatten().tolist()
    assert not [each for each in values if str(each) in text or str(round(each, 4)) in text]
    weights = sum(each.size for each in read_start(folder).values())
    assert weights == sum(each.numel() for each in job.module.state_dict().values())


@pytest.mark.parametrize(("error", "left"), [(None, None), (KeyboardInterrupt, None), (InputError, ["servers.log"])])
def test_a_folder_of_nobodys_goes_at_the_end_but_for_the_logs_of_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException] | None, left: list[str] | None
) -> None:
    monkeypatch.setattr(deployment.tempfile, "mkdtemp", lambda prefix: str(tmp_path / "own"))
    (tmp_path / "own" / "bundle").mkdir(parents=True)

    def work() -> None:
        with deployment._folder(None) as folder:
            for name in ("servers.log", "site-1.npz"):
                (folder / name).write_text("")
            if error is not None:
                raise error("no")

    if error is None:
        work()
    else:
        with pytest.raises(error):
            work()
    own = tmp_path / "own"
    assert (sorted(each.name for each in own.iterdir()) if own.exists() else None) == left
