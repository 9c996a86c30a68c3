"""What a promise of privacy rests on, what other accountants say of it, and what it cost."""

from rai.audits._exhibits import number
from rai.audits.training.promise import phases_in_words
from rai.evidence import Evidence, Table
from rai.ledger import Ledger, Privacy

TWIN = " of the twin"


def evidence(ledger: Ledger) -> Evidence:
    """Tables of a promise's terms, accountants and price; nothing where nothing is promised."""
    privacy = ledger.privacy
    if privacy is None:
        return Evidence(())
    others = (_accountants(privacy),) if privacy.alternatives else ()
    price = (_price(privacy),) if privacy.compared else ()
    return Evidence((), (*price, *others, _terms(privacy)))


def _terms(privacy: Privacy) -> Table:
    facts = (
        ("unit of privacy", privacy.unit),
        ("neighbouring sets of rows", privacy.relation),
        ("epsilon (ε)", number(privacy.epsilon)),
        ("delta (δ)", number(privacy.delta)),
        ("noise multiplier (σ)", number(privacy.noise_multiplier)),
        ("largest gradient norm (C)", number(privacy.max_grad_norm)),
        ("sample rate (q)", number(privacy.sample_rate)),
        ("steps", f"{privacy.steps:,}"),
        *([("phases", phases_in_words(privacy))] if privacy.phases else []),
        ("expected batch", number(privacy.expected_batch)),
        ("sampler", privacy.sampler),
        ("accountant", privacy.accountant),
        ("clipped gradients by", privacy.gradients),
        ("random numbers", privacy.randomness),
        ("modules replaced", ", ".join(privacy.replaced) or "none"),
        ("holes named", "; ".join(privacy.waived) or "none"),
    )
    alt = "All that whoever calculates epsilon again needs to know, as the ledger states it."
    return Table("What the promise rests on", alt, ("term", "value"), facts)


def _accountants(privacy: Privacy) -> Table:
    found = ((privacy.accountant, privacy.epsilon), *sorted(privacy.alternatives.items()))
    told = ", ".join(f"{name} {number(value)}" for name, value in found)
    alt = "Each bounds the same training from above; the lowest is the tightest."
    return Table(f"Epsilon by accountant, the claimed one first: {told}", alt, ("accountant", "epsilon"), found)


def _price(privacy: Privacy) -> Table:
    """The private model's figures less those of a twin, overall and by group, and the twin's own."""
    found = tuple((_spelled(name), value) for name, value in sorted(privacy.compared.items()))
    overall = [f"{name} {value:+.3g}" for name, value in found if "," not in name and TWIN not in name]
    twin = [f"{name} {number(value)}" for name, value in found if TWIN in name]
    title = f"The price of privacy: {', '.join(overall) or 'figures'} against a twin trained without it"
    alt = f"The private model's figure less the twin's. {'; '.join(twin) or 'The figures of the twin are not stated'}."
    return Table(title, alt, ("measured", "difference"), tuple(each for each in found if TWIN not in each[0]))


def _spelled(name: str) -> str:
    """A figure and its group in words: "accuracy/sex=Female" becomes "accuracy, sex: Female"."""
    return name.replace("/", ", ", 1).replace("=", ": ", 1)
