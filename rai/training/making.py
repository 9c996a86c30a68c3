"""From a recipe to a model that can be audited: prepare, train, meter, and write model, card and ledger together."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rai.card import read_card
from rai.energy import Meter, Reading, account, grid_intensity
from rai.errors import InputError
from rai.files import ENDED, sha256
from rai.ledger import Energy, Ledger, Privacy, read_ledger, write_ledger
from rai.train.settings import Runtime
from rai.training.comparing import entered, keep_baseline, recard, require_comparable
from rai.training.earlier import counted, ledger_before
from rai.training.federating import run_on
from rai.training.fitting import Job, fitted
from rai.training.recipe import Recipe, naming, read_recipe
from rai.training.strengths import strengths_tried
from rai.training.telling import told
from rai.training.together import Place, Spent, placed, pooled
from rai.training.transferring import hole
from rai.training.trying import Tried, tried
from rai.training.workshop import CARD, CHECKPOINT, LEDGER, MODEL, commit, settle, workshop

if TYPE_CHECKING:
    from rai.train.loop import Watch
    from rai.train.trained import Trained

GO_ON = "go on with --resume, or delete it to train anew"
HAD_ENDED = "the training had ended before; what was left of its files is in place now"


@dataclass(frozen=True)
class Made:
    """The files that were written, and in a few lines what the ledger says.

    `tested` says whether the card names rows to test on, which it does not where sites alone have rows.
    """

    model: Path
    card: Path
    ledger: Path
    summary: tuple[str, ...]
    tested: bool = True


def train(  # noqa: PLR0913 - the front door: each is a thing that some caller wants to say
    recipe: Path,
    *,
    out: Path | None = None,
    seed: int | None = None,
    runtime: Runtime | None = None,
    superlink: str | None = None,
    stress: bool = False,
    resume: bool = False,
    watch: "Watch | None" = None,
) -> Made:
    """Train as a recipe says; write `model.pt` (weights only), `model.toml` and `ledger.json` into its folder or `out`.

    `seed`, `runtime` and `superlink` go before the recipe's, and `stress` asks for the usual stress test of a
    federation where the recipe asks for none. With `resume` an interrupted training goes on from its
    checkpoint. The files appear together when all is done; before that, and on any failure, nothing there changes but
    the checkpoint and, of a private federation, the sites' accounts; killed while they are put there, `resume` puts
    the rest there and trains no more. Raises `InputError` for what is wrong, before the first step where it can be
    known by then.

    Of several processes that `torchrun` started, the first writes the files, and the others return no summary.
    """
    path = Path(recipe)
    chosen = read_recipe(path).seeded(seed)
    with naming(path):
        chosen = run_on(chosen, runtime, superlink, stress=stress)
    folder = Path(out) if out is not None else path.parent
    if (folder / ENDED).exists():
        return _settled(chosen, folder, resume=resume)
    _require_fresh(folder, chosen, resume=resume)
    before = ledger_before(folder)
    with naming(path):
        grid_intensity(chosen.energy.country, chosen.energy.intensity)
    with placed(chosen, folder) as place, workshop(place.recipe, path, place.out) as ready:
        with naming(path), _metered(chosen, place) as meter:
            require_comparable(ready)
            found = tried(ready, path) if ready.recipe.search is not None else strengths_tried(ready)
            shown = watch if place.first else None
            trained = fitted(Job(found.ready, folder / CHECKPOINT, resume=resume, watch=shown))
            keep_baseline(Job(found.ready, watch=shown))
        spent = pooled(Spent(meter.read(), trained.ledger))
        summary = _handed_over(found, trained, spent, before) if place.first else ()
    return _made(folder, summary)


def checkpoint_of(recipe: Path, out: Path | None = None) -> Path:
    """Where an interrupted training of this recipe leaves its checkpoint."""
    return (Path(out) if out is not None else Path(recipe).parent) / CHECKPOINT


def _settled(recipe: Recipe, folder: Path, *, resume: bool) -> Made:
    """Put in place what is left of a training that had ended, and train no more: its rows were spent on once."""
    if not resume:
        what = "a training ended, and was cut off while its files were put in place"
        raise InputError(what, where=folder, do="put the rest in place with --resume")
    with placed(recipe, folder) as place:  # of several processes, each has seen by now what there is to do
        if not place.first:
            return _made(folder, ())
        settle(folder)
    return _made(folder, (HAD_ENDED, *told(read_ledger(folder / LEDGER))))


def _made(folder: Path, summary: tuple[str, ...]) -> Made:
    tested = not summary or read_card(folder / CARD).data.test is not None
    return Made(folder / MODEL, folder / CARD, folder / LEDGER, summary, tested)


def _require_fresh(folder: Path, recipe: Recipe, *, resume: bool) -> None:
    """A training that stopped half way is not silently begun anew: the data was looked at, and a budget spent."""
    if resume and recipe.federated is not None:
        do = "leave --resume out; what sites spent of their rows' privacy stays in their accounts"
        raise InputError("a federated training leaves no checkpoint", where=folder, do=do)
    path = folder / CHECKPOINT
    if path.exists() and not resume:
        raise InputError("an interrupted training left this checkpoint", where=path, do=GO_ON)
    if resume and not path.exists():
        raise InputError("there is no checkpoint to go on from", where=path, do="leave --resume out")
    if resume and recipe.tries:
        what = "a search" if recipe.search is not None else "a recipe with fair.strengths or fair.seeds"
        raise InputError(f"{what} cannot go on from a checkpoint", where=path, do="delete it and train anew")


@contextmanager
def _metered(recipe: Recipe, place: Place) -> Iterator[Meter]:
    """A meter of this process; what the whole machine has one of is metered by the first process alone."""
    energy = recipe.energy
    gpus, also = (recipe.fit.device != "cpu", energy.also) if place.first else (False, None)
    with Meter(watts=energy.watts, gpus=gpus, also=also, country=energy.country) as meter:
        yield meter


def _handed_over(found: Tried, trained: "Trained", spent: Spent, before: Ledger | None) -> tuple[str, ...]:
    """Put all files into their places, and return what the ledger says in a few lines."""
    ledger = _written(found, trained, spent, before)
    commit(found.ready)
    return told(ledger)


def _written(found: Tried, trained: "Trained", spent: Spent, before: Ledger | None) -> Ledger:
    """Write weights and ledger to where they wait, and return the ledger."""
    from rai.train.on_disk import save

    ready, bare = found.ready, spent.ledger
    save(trained.model, ready.staging / MODEL)
    recard(ready, trained)
    ledger = replace(
        bare,
        model=sha256(ready.staging / MODEL),
        data=replace(bare.data, file="" if _elsewhere(ready.recipe) else ready.data.source.sha256),
        recipe={key: value for key, value in asdict(ready.recipe).items() if value not in (None, "", (), {})},
        runs=(*bare.runs, *found.runs),
        warnings=(*ready.left_out, *bare.warnings, *found.warnings),
        privacy=_holes(bare.privacy, (*ready.read, *hole(ready.recipe)), found),
        mitigation=entered(bare.mitigation, found),
        energy=_energy(ready.recipe, bare, spent.reading),
    )
    whole = counted(ledger, before)
    write_ledger(whole, ready.staging / LEDGER)
    return whole


def _elsewhere(recipe: Recipe) -> bool:
    """Whether the rows that were learned from are at sites, and no file of this side's own is that of them."""
    return recipe.federated is not None and bool(recipe.federated.superlink)


def _holes(privacy: Privacy | None, read: tuple[str, ...], found: Tried) -> Privacy | None:
    """The promise with its holes named: what was read without noise or in an earlier training, and uncounted runs."""
    if privacy is None:
        return None
    return replace(privacy, waived=(*privacy.waived, *read, *found.holes))


def _energy(recipe: Recipe, ledger: Ledger, reading: Reading) -> Energy:
    whole = _whole(reading, ledger)
    given, alone = recipe.energy, recipe.trains_once
    return account(
        whole,
        country=given.country,
        intensity=given.intensity,
        embodied_kg=given.embodied_kg,
        lifespan_years=given.lifespan_years,
        flops=ledger.flops if alone else None,
    )


def _whole(reading: Reading, ledger: Ledger) -> Reading:
    """What all parts of an interrupted training used, reckoned from this part by CPU seconds."""
    before = ledger.cpu_seconds - reading.cpu_seconds
    if before <= 0 or reading.cpu_seconds <= 0:
        return reading
    times = ledger.cpu_seconds / reading.cpu_seconds
    return replace(
        reading,
        joules=reading.joules * times,
        low=reading.low * times,
        high=reading.high * times,
        seconds=max(reading.seconds, ledger.seconds),
        cpu_seconds=ledger.cpu_seconds,
        inputs={**reading.inputs, "CPU seconds before an interruption, reckoned": before},
    )
