"""Two promises of privacy, kept apart: that of each site to its rows, and that of the server to each site."""

from collections.abc import Iterator

from rai.audits._exhibits import number
from rai.audits._lift import undefined
from rai.audits.federation.gaussian import gaussian_epsilon
from rai.audits.federation.replies import LARGEST, MOST_LISTED, Seen, is_secret, listed
from rai.audits.training.accounting import renyi_epsilon
from rai.audits.training.promise import RECALCULATED, phases_of, unit_of
from rai.audits.training.rows import stated, unstated
from rai.evidence import Evidence, Exhibit, Measurement, Table, Text
from rai.ledger import Ledger, Privacy

ROWS, SITE, CLIENT, AGAIN = (
    "sample_level_epsilon",
    "site_epsilon",
    "client_level_epsilon",
    "client_level_epsilon_recalculated",
)
NO_ROWS = "the ledger promises the rows of the sites no differential privacy"
NO_CLIENTS = "the ledger promises whole sites no differential privacy"
OTHER = "calculated again only for Poisson sampling, or where every site counts in every round"
TOLERANCE = 1e-6
APART = (
    "The two are not added up and neither stands for the other: one hides a single row from whoever sees the site's "
    "updates, the other hides a whole site from whoever sees the common model."
)


def evidence(ledger: Ledger, seen: Seen) -> Evidence:
    """Both epsilons, each site's own, and what left the sites without noise."""
    sites = {each.name: float(min(each.epsilon, LARGEST)) for each in seen.told.sites if each.epsilon is not None}
    found = (_sample_level(ledger, sites), *_per_site(ledger, sites), *_client_level(ledger, seen))
    secret = () if seen.told.client_privacy is None else _told_of(seen.told.client_privacy, tells=seen.tells)
    promised = found[0].value is not None or seen.told.client_privacy is not None
    shapes: tuple[Exhibit, ...] = (
        _statement(ledger, found[0], sites, seen),
        *_table(sites),
        _unnoised(seen, promised=promised),
    )
    return Evidence(found, shapes, caveats=(*_caveats(ledger, sites, len(seen.told.sites)), *secret))


def _sample_level(ledger: Ledger, sites: dict[str, float]) -> Measurement:
    claimed = [] if ledger.privacy is None else [float(min(ledger.privacy.epsilon, LARGEST))]
    every = [*claimed, *sites.values()]
    if not every:
        return unstated(ROWS, NO_ROWS, ledger)
    method = "the largest over sites, as claimed: neither the mean nor the sum"
    return stated(ROWS, max(every), ledger, method=method)


def _per_site(ledger: Ledger, sites: dict[str, float]) -> Iterator[Measurement]:
    for name, value in _largest_first(sites):
        method = "claimed by the site's accountant: an upper bound"
        found = stated(SITE, value, ledger, method=method)
        yield Measurement(
            SITE, found.value, found.low, found.high, found.rows, {"site": name}, "", method, found.reason
        )


def _largest_first(sites: dict[str, float]) -> list[tuple[str, float]]:
    return sorted(sites.items(), key=lambda pair: -pair[1])[:MOST_LISTED]


def _client_level(ledger: Ledger, seen: Seen) -> Iterator[Measurement]:
    privacy = seen.told.client_privacy
    if privacy is None:
        yield from (undefined(name, NO_CLIENTS) for name in (CLIENT, AGAIN))
        return
    method = f"claimed by the accountant {privacy.accountant}: an upper bound"
    yield stated(CLIENT, min(privacy.epsilon, LARGEST), ledger, method=method)
    found = _again(privacy)
    if isinstance(found, str):
        yield unstated(AGAIN, found, ledger)
    else:
        yield stated(AGAIN, min(found, LARGEST), ledger, method=RECALCULATED)


def _told_of(privacy: Privacy, *, tells: bool) -> Iterator[str]:
    """What the promise is for whoever knows who took part: each site counted in every round."""
    if is_secret(privacy):
        who = (
            "the ledger tells that. For whoever reads the ledger"
            if tells
            else ("the ledger does not tell it. For whoever knows it from elsewhere")
        )
        bound = gaussian_epsilon(phases_of(privacy), privacy.delta)
        least = "nothing bounds epsilon" if bound is None else f"epsilon is {number(min(bound, LARGEST))} instead"
        yield (
            "The promise to whole sites counts on its being secret which sites took part in which round, and "
            f"{who} {least}, every site counted in every round."
        )


def _again(privacy: Privacy) -> float | str:
    """A second upper bound of epsilon from the parameters alone, or why there is none."""
    phases = phases_of(privacy)
    drawn = privacy.sampler.lower().startswith("poisson") or all(each.sample_rate == 1 for each in phases)
    if not drawn or not privacy.relation.lower().startswith("add or remove"):
        return OTHER
    sampled = any(each.sample_rate < 1 for each in phases)
    bound = (renyi_epsilon if sampled else gaussian_epsilon)(phases, privacy.delta)
    return "the ledger's noise, sample rate, steps or delta bound nothing" if bound is None else bound


def _statement(ledger: Ledger, rows: Measurement, sites: dict[str, float], seen: Seen) -> Text:
    privacy = seen.told.client_privacy
    values = [None if rows.value is None else number(rows.value), None if privacy is None else number(privacy.epsilon)]
    title = "; ".join(
        f"{whom}: ε {value}" if value else f"{whom}: nothing"
        for whom, value in zip(("Promised to each row", "to each whole site"), values, strict=True)
    )
    text = f"{_to_rows(ledger.privacy, values[0], sites)} {_to_sites(seen)}"
    return Text(title, f"{text} {APART}" if all(values) else text)


def _to_rows(privacy: Privacy | None, value: str | None, sites: dict[str, float]) -> str:
    if value is None:
        return "Nothing bounds what a site's updates tell about single rows of it."
    over = f", the largest of {len(sites)} sites that state one" if sites else ""
    whom = "each row of a site" if privacy is None or privacy.unit == "record" else f"{unit_of(privacy)} at a site"
    delta = "a delta that the ledger does not name" if privacy is None else f"delta {number(privacy.delta)}"
    holes = "" if privacy is None else _holes(privacy)
    return f"To {whom} epsilon {value} with {delta} is promised (sample level){over}.{holes}"


def _holes(privacy: Privacy) -> str:
    """What the ledger itself says that the promise leaves out."""
    return f" Not covered, says the ledger: {'; '.join(privacy.waived)}." if privacy.waived else ""


def _to_sites(seen: Seen) -> str:
    privacy = seen.told.client_privacy
    if privacy is None:
        return "Nothing bounds what the common model tells about a site as a whole."
    rests = (
        f" It rests on this: {seen.told.assumption.rstrip('.')}."
        if seen.told.assumption
        else " The ledger names no assumption."
    )
    others = "; ".join(f"{name}: {number(value)}" for name, value in sorted(privacy.alternatives.items()))
    more = f" Other accounts of the same rounds: {others}." if others else ""
    return (
        f"To {unit_of(privacy)} as a whole epsilon {number(privacy.epsilon)} is promised with delta "
        f"{number(privacy.delta)} (client level; sampling: {privacy.sampler}).{rests}{_holes(privacy)}{more}"
    )


def _table(sites: dict[str, float]) -> tuple[Table, ...]:
    if not sites:
        return ()
    rows = tuple(_largest_first(sites))
    more = f", of which {MOST_LISTED} are listed" if len(sites) > MOST_LISTED else ""
    alike = len(set(sites.values())) == 1
    most = f"{number(rows[0][1])} at each" if alike else f"at most {number(rows[0][1])} ({rows[0][0]})"
    title = f"Epsilon spent by site, {len(sites)} sites{more}: {most}"
    alt = "What each site spent of its own rows' privacy; the largest is the one that counts."
    return (Table(title, alt, ("Site", "Epsilon"), rows),)


def _unnoised(seen: Seen, *, promised: bool) -> Text:
    if not promised:
        text = (
            "No noise was promised to rows or sites: updates, losses, accuracies and counts (of rows, of classes, of "
            "right and wrong answers by group) left as they were."
        )
        return Text("What left the sites without noise: all that they sent", text)
    if not seen.told.unnoised:
        return Text(
            "What left the sites without noise: the ledger names nothing", "What it does not name may have left."
        )
    words = "; ".join(seen.told.unnoised)
    return Text(
        f"What left the sites without noise: {len(seen.told.unnoised)} kinds of number",
        f"No promise of privacy covers these: {words}.",
    )


def _caveats(ledger: Ledger, sites: dict[str, float], count: int) -> Iterator[str]:
    largest = max(sites.values(), default=None)
    claimed = None if ledger.privacy is None else ledger.privacy.epsilon
    if largest is not None and claimed is not None and abs(largest - claimed) > TOLERANCE * max(1.0, claimed):
        yield (
            f"The ledger promises rows an epsilon of {number(claimed)}, and the largest that a site states is "
            f"{number(largest)}; the larger one is told."
        )
    if largest is not None and claimed is None:
        yield "Sites state an epsilon, but the ledger promises none for the training as a whole."
    if sites and len(sites) < count:
        yield f"{count - len(sites)} of {count} sites state no epsilon; those that do: {listed(sites)}."
