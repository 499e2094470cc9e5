"""The licences of a dataset's rows: which identifiers the card may name, and what users must be told."""

from collections import Counter
from dataclasses import dataclass

from rdpt_ray.publish.release_tables import OTHER

UNKNOWN = "unknown"

HUB_LICENSES = frozenset(
    """
    apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0
    bigcode-openrail-m afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear c-uda cc
    cc0-1.0 cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0
    cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0
    cdla-sharing-1.0 cdla-permissive-1.0 cdla-permissive-2.0 wtfpl ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1
    eupl-1.2 agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0 lgpl lgpl-2.1 lgpl-3.0 isc h-research intel-research lppl-1.3c
    ms-pl apple-ascl mpl-2.0 odc-by odbl openmdw-1.0 openrail++ osl-3.0 postgresql ofl-1.1 ncsa unlicense zlib
    pddl lgpl-lr deepfloyd-if-license fair-noncommercial-research-license llama2 llama3 llama3.1 llama3.2
    llama3.3 llama4 gemma unknown other
    """.split()
)
"""What the Hub takes for `license`."""

_LIMITS = {
    "noncommercial": "no commercial use",
    "non-commercial": "no commercial use",
    "-nc": "no commercial use",
    "research": "research only",
    "-nd": "nothing derived may be passed on",
}


@dataclass(frozen=True, slots=True)
class LicenseRows:
    """One licence as rows name it.

    Attributes:
        name: None: the rows name none.
        remark: What has to be known of it; empty if nothing.
    """

    name: str | None
    rows: int
    remark: str


def license_rows(counts: Counter[str | None]) -> list[LicenseRows]:
    """The licences, the most frequent first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0] or ""))
    return [LicenseRows(name, rows, _remark(name)) for name, rows in ordered]


def license_ids(counts: Counter[str | None]) -> list[str]:
    """What a card says of them all: identifiers that the Hub knows, each once, sorted."""
    return sorted({_identifier(name) for name in counts})


def _identifier(name: str | None) -> str:
    if name is None:
        return UNKNOWN
    known = name.strip().lower().replace(" ", "-")
    return known if known in HUB_LICENSES else "other"


def _remark(name: str | None) -> str:
    if name is None:
        return "no licence is known: ask whoever made them"
    if name == OTHER:
        return "more licences than are listed"
    told = [words for mark, words in _LIMITS.items() if mark in name.lower()]
    if told:
        return "; ".join(dict.fromkeys(told))
    return "" if _identifier(name) not in ("other", UNKNOWN) else "not a licence that the Hub knows"


def license_warnings(counts: Counter[str | None]) -> list[str]:
    """A sentence for every licence that is missing, unknown or limits what may be done."""
    return [
        f"{each.rows:,} rows have {'no licence' if each.name is None else f'the licence {each.name}'}:"
        f" {each.remark}"
        for each in license_rows(counts)
        if each.remark
    ]
