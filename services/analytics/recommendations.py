"""What the figures call for, in plain sentences. Each rule is a line or two; the thresholds stand beside them."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

Figures = Mapping[str, Any]

SLOW_SECONDS = 300
STANDS_STILL_SECONDS = 3_600
LOW_HIT_RATE = 0.5
LEAST_READS = 1_000
LEAST_CHUNKS = 20
LEAST_MADE = 20
FALL = 0.5


def recommend(figures: Figures, before: Figures | None) -> list[str]:
    """Give what to look at; nothing where all is well. `before` are the figures of the analysis before."""
    return [sentence for rule in _RULES for sentence in rule(figures, before)]


def hit_rate(sections: Mapping[str, int] | None) -> float | None:
    """Give the share of reads that the section store's cache answered; None before its first read."""
    counts = sections or {}
    reads = _reads(counts)
    return counts.get("hits", 0) / reads if reads else None


def _left_out(figures: Figures, _: Figures | None) -> Iterator[str]:
    missing = [name for name, figure in figures.items() if figure is None]
    if missing:
        yield f"{', '.join(missing)}: took too long to count; run ANALYZE, or look at a quieter hour."


def _quarantine(figures: Figures, before: Figures | None) -> Iterator[str]:
    held = (figures.get("quarantine") or {}).get("open", 0)
    was = ((before or {}).get("quarantine") or {}).get("open", 0)
    if held:
        grown = f", {held - was} more than before" if held > was > 0 else ""
        yield f"{held} in quarantine{grown}: `afterturn quarantine list` says why, `afterturn redrive` tries again."


def _digest(figures: Figures, _: Figures | None) -> Iterator[str]:
    digest = figures.get("digest") or {}
    oldest, slow = digest.get("oldest_waiting_seconds") or 0, digest.get("p95_seconds") or 0
    if oldest > STANDS_STILL_SECONDS:
        yield (
            f"{digest['waiting_chunks']} chunks wait to be digested, one of them for {_hours(oldest)}: see whether the "
            "model answers (`afterturn doctor`), or add workers of the `llm` queue."
        )
    elif slow > SLOW_SECONDS:
        yield (
            f"a turn in twenty was digested only after {slow:.0f} seconds: a faster model, or more workers of the "
            "`llm` queue, would help."
        )


def _extraction(figures: Figures, _: Figures | None) -> Iterator[str]:
    made = figures.get("extraction") or {}
    learned = made.get("memories_by_model", 0) + made.get("memories_verbatim", 0)
    if made.get("chunks", 0) >= LEAST_CHUNKS and not learned:
        yield f"{made['chunks']} chunks taught nothing: see whether Mem0 is configured and the model can extract."
    elif learned >= LEAST_MADE and made["memories_by_model"] < FALL * learned:
        yield (
            f"{made['memories_verbatim']} of {learned} memories are the users' own sentences, for the model's were not "
            "borne out: a larger model would word more of them."
        )
    summaries = made.get("summaries_by_model", 0) + made.get("summaries_extractive", 0)
    if summaries >= LEAST_MADE and made["summaries_by_model"] < FALL * summaries:
        yield (
            f"{made['summaries_extractive']} of {summaries} summaries were made extractively, for the model's were not "
            "borne out: a larger model would summarise better."
        )


def _sections(figures: Figures, _: Figures | None) -> Iterator[str]:
    counts = figures.get("sections") or {}
    rate = hit_rate(counts)
    if rate is not None and rate < LOW_HIT_RATE and _reads(counts) >= LEAST_READS:
        yield f"the section store's cache answers {rate:.0%} of the reads only: give Redis more memory, or prefetch."


def _mem0(figures: Figures, _: Figures | None) -> Iterator[str]:
    standing = (figures.get("mem0") or {}).get("standing_intents", 0)
    if standing:
        yield f"{standing} writes to Mem0 stand for more than an hour: see whether Mem0 answers and ReconcileMem0 runs."


def _merges(figures: Figures, _: Figures | None) -> Iterator[str]:
    merges = figures.get("merges") or {}
    if merges.get("undone", 0):
        yield f"{merges['undone']} merges were undone: `afterturn maintenance merges` shows which statements are alike."


def _postgres(figures: Figures, _: Figures | None) -> Iterator[str]:
    for unused in figures.get("indexes") or []:
        yield f"no query reads the index {unused['index']} ({unused['bytes'] // 2**20} MiB) since statistics began."
    for table, dead in (figures.get("dead_rows") or {}).items():
        yield f"{table} has {dead} dead rows: let autovacuum run more often on it."


def _reads(counts: Mapping[str, int]) -> int:
    return sum(counts.get(name, 0) for name in ("hits", "misses", "bypassed"))


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.1f} hours"


_RULES: tuple[Callable[[Figures, Figures | None], Iterator[str]], ...] = (
    _left_out, _quarantine, _digest, _extraction, _sections, _mem0, _merges, _postgres,
)  # fmt: skip
