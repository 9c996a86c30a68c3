"""The same federation on Flower's servers: a bundle is submitted to a SuperLink, and its sites do the work.

What a run came to is asked of the SuperLink; the exit code of `flwr run` is 0 for a run that failed, too.
"""

import json
import shutil
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from rai.card import Card, Network
from rai.errors import InputError
from rai.files import write_atomic
from rai.ledger import Ledger
from rai.networks import build
from rai.train.federated.book import Sheet
from rai.train.federated.bundle import Bundle, Order, require_clean, stage
from rai.train.federated.facts import Facts, read_facts
from rai.train.federated.job import Job
from rai.train.federated.local import Run, server_of
from rai.train.federated.own_rows import save_parts
from rai.train.federated.round_files import PROBLEM, read_round
from rai.train.federated.site import load
from rai.train.federated.site_private import with_noise
from rai.train.federated.sites import Sites
from rai.train.federated.superlink import HOME, Link, Node, Ready, Tls, environment, rehearsal

POLL = 0.3
ASK_EVERY = 20.0
"""Seconds between questions to the SuperLink while rounds go on; each starts a process."""
CONNECTION = "rai"
ACCOUNTS = "accounts"
COMPLETED, FAILED = "finished:completed", "finished:failed"
SEPARATE = "sites learned one by one: each on its own"
COMMAND_DEADLINE = 180.0
Heard = Callable[[Sheet], None]
Servers = Callable[[Path, Sequence[Node]], AbstractContextManager[Ready]]
"""Keeps servers running in a folder for sites that are told these values."""


@dataclass(frozen=True)
class Places:
    """Where a deployment on this machine keeps its files, and its sites their accounts of privacy.

    Without a `folder` that is a temporary one, of which nothing stays but the logs of a run that failed; without
    `accounts` they are in the folder.
    """

    folder: Path | None = None
    accounts: Path | None = None


ANYWHERE = Places()


@dataclass(frozen=True)
class Deployed:
    """What came of a deployment, what was sent to sites (the SHA-256 of each file by its name), and who they are."""

    run: Run
    bundle: Mapping[str, str]
    sites: tuple[Facts, ...]


@dataclass(frozen=True)
class Submitted:
    """A run that a SuperLink has taken: its number there, and the folder to which its rounds are written."""

    link: Link
    number: str
    folder: Path
    result: Path


def run_deployed(
    job: Job,
    heard: Heard,
    network: Network,
    *,
    places: Places = ANYWHERE,
    warm: bool = True,
    tls: Tls | None = None,
) -> Deployed:
    """Let all sites of the job learn together as a deployment on this machine, each in processes of its own.

    A SuperLink and a SuperNode for each site are started and stopped again; each site's rows lie in a file of its own.
    `network` says what `job.module` is, for sites are sent no code. `warm` chooses the executor that keeps torch
    loaded. Raises `InputError` for a network that is another, and where the run fails.
    """
    return run_on_servers(job, heard, network, places=places, servers=partial(rehearsal, tls=tls, warm=warm))


def run_on_servers(job: Job, heard: Heard, network: Network, *, places: Places, servers: Servers) -> Deployed:
    """Let all sites of the job learn together on servers that are started here; raises as `run_deployed` does."""
    load(build(network), job.start)
    with _folder(places.folder) as place:
        bundle = stage(place / "bundle", order_of(job, network), job.start)
        nodes = nodes_of(job.sites, place, places.accounts or place / ACCOUNTS)
        with servers(place, nodes) as ready:
            submitted = submit(ready.link, bundle, place, result=place / "result", options=ready.options)
            run = follow(submitted, job, heard, ready.require_running)
            facts = read_facts(submitted.result)
    return Deployed(run, bundle.manifest, facts)


def nodes_of(sites: Sites, folder: Path, accounts: Path) -> list[Node]:
    """Write each site's rows into a file of its own in a folder, and return how its SuperNode is told of it."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for number, parts in enumerate(sites.parts):
        path = folder / f"site-{number + 1}.npz"
        save_parts(path, parts)
        files = {"data": str(path.resolve()), ACCOUNTS: str(accounts.resolve())}
        found.append(Node({"partition-id": number, **files}))
    return found


def order_of(job: Job, network: Network, card: Card | None = None) -> Order:
    """Return what the sites and the server of a deployment are told."""
    return Order(
        network,
        job.fit,
        job.federated,
        job.sites.task,
        job.sites.names,
        dict(job.arguments),
        {name: tuple(levels) for name, levels in job.sites.attributes.items()},
        card,
        None if job.private is None else with_noise(job.private),
    )


def submit(link: Link, bundle: Bundle, folder: Path, *, result: Path, options: Sequence[str] = ()) -> Submitted:
    """Hand a bundle to a SuperLink; `result` is the folder on the SuperLink's machine to which rounds are written.

    `folder` holds what Flower's commands write, and `options` are more words for `flwr run`. Raises `InputError` where
    the bundle is not as it was written, or the SuperLink does not take it.
    """
    require_clean(bundle)
    write_atomic(folder / HOME / "config.toml", _connection(link))
    said = f"result='{result.resolve()}'"
    answer = _asked(folder, "run", str(bundle.folder.resolve()), CONNECTION, "--run-config", said, *options)
    number = answer.get("run-id")
    if not number:
        raise InputError("did not take the run", where=link.address, do="see that it runs, and its log")
    return Submitted(link, str(number), folder, result)


def status_of(submitted: Submitted) -> str:
    """Return what the SuperLink says of the run: "running", "finished:completed", "finished:failed" and the like."""
    answer = _asked(submitted.folder, "list", CONNECTION, "--run-id", submitted.number)
    runs = answer.get("runs")
    found = runs[0].get("status") if isinstance(runs, list) and runs else None
    if not isinstance(found, str):
        raise InputError("does not know the run", where=submitted.link.address, do="see its log")
    return found


def follow(submitted: Submitted, job: Job, heard: Heard, look: Callable[[], None] = lambda: None) -> Run:
    """Read rounds as they are written until the run has ended, and return what came of it.

    `look` may raise where something that is needed has stopped. A run that does not end well raises `InputError`.
    """
    book: list[Sheet] = []
    state, asked, keep = job.start, time.monotonic(), server_of(job, heard).keep
    while True:
        sheet = read_round(submitted.result, len(book) + 1, state)
        if sheet is not None:
            book.append(sheet)
            heard(sheet)
            state = sheet.end
            if not keep:
                sheet.updates, sheet.start, sheet.end = {}, {}, {}
            continue
        if (submitted.result / PROBLEM).exists():
            _require_completed(FAILED, len(book), submitted, job)
        look()
        if len(book) == job.federated.rounds or time.monotonic() - asked > ASK_EVERY:
            status, asked = status_of(submitted), time.monotonic()
            if status.startswith("finished") and read_round(submitted.result, len(book) + 1, state) is None:
                _require_completed(status, len(book), submitted, job)
                return Run(state, tuple(book), (SEPARATE,) if job.federated.vmap else ())
        time.sleep(POLL)


def stop(submitted: Submitted) -> None:
    """Ask the SuperLink to end a run that goes on."""
    _asked(submitted.folder, "stop", submitted.number, CONNECTION)


def _require_completed(status: str, rounds: int, submitted: Submitted, job: Job) -> None:
    if status == COMPLETED and rounds == job.federated.rounds:
        return
    where = submitted.link.address
    if status == COMPLETED:
        what = f"the run is done, and {rounds} of its {job.federated.rounds} rounds lie in {submitted.result} here"
        raise InputError(what, where=where, do="submit it on the SuperLink's machine, or to a folder that both share")
    what = f"the run ended as {status!r} after {rounds} of {job.federated.rounds} rounds"
    raise InputError(what, where=where, do=_why(submitted))


def _why(submitted: Submitted) -> str:
    """What the server's app wrote down of why the run failed, else where the logs are."""
    problem = submitted.result / PROBLEM
    if problem.exists():
        return problem.read_text(encoding="utf-8")
    here = (submitted.folder / "superlink.log").exists()
    return f"see the logs in {submitted.folder}" if here else "see the logs of the SuperLink"


def with_bundle(ledger: Ledger, manifest: Mapping[str, str]) -> Ledger:
    """Return the ledger with the hashes of what was sent to sites."""
    if ledger.federation is None:
        return ledger
    return replace(ledger, federation=replace(ledger.federation, bundle=dict(manifest)))


@contextmanager
def _folder(folder: Path | None) -> Iterator[Path]:
    """The folder that was named, or one that goes at the end; of a run that failed its logs stay."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
        return
    found = Path(tempfile.mkdtemp(prefix="rai-federation-"))
    try:
        yield found
    except InputError:
        _keep_logs(found)
        raise
    except BaseException:
        shutil.rmtree(found, ignore_errors=True)
        raise
    shutil.rmtree(found, ignore_errors=True)


def _keep_logs(folder: Path) -> None:
    for each in folder.iterdir():
        if each.is_dir():
            shutil.rmtree(each, ignore_errors=True)
        elif each.suffix != ".log":
            each.unlink()


def _connection(link: Link) -> str:
    """Flower's own description of how the SuperLink is reached."""
    how = "insecure = true" if link.authority is None else f"root-certificates = '{link.authority.resolve()}'"
    return f"[superlink]\ndefault = '{CONNECTION}'\n\n[superlink.{CONNECTION}]\naddress = '{link.address}'\n{how}\n"


def _asked(folder: Path, *words: str) -> dict[str, Any]:
    """Run Flower's command and return the JSON that it prints, {} where it prints none; its exit code says nothing."""
    command = [str(Path(sysconfig.get_path("scripts")) / "flwr"), *words, "--format", "json"]
    try:
        done = subprocess.run(  # noqa: S603 - the words are written in this file
            command,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=COMMAND_DEADLINE,
            env=environment(folder),
            cwd=folder,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {}
    with (folder / "flwr.log").open("ab") as log:
        log.write(done.stdout + done.stderr)
    text = done.stdout.decode(errors="replace")
    try:
        found = json.loads(text[text.index("{") : text.rindex("}") + 1])
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
