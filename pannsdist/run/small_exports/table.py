"""A smaller export beside the exact one, as text."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from pannsdist.run.series.scores import table
from pannsdist.run.small_exports.exporting import SmallExport
from pannsdist.runtime.figures import score


def lines(found: SmallExport) -> Iterator[str]:
    """Sizes and scores of both, then how far they agree, and the speed."""
    exact, small, judged = found.exact, found.small, found.judgement
    rows = [("", "fp32", found.precision, "")]
    sizes = (("bytes of the network", "network"), ("bytes around it, float32", "around"), ("bytes of the file", "file"))
    for name, key in sizes:
        before, after = getattr(exact, key), getattr(small, key)
        rows.append((name, f"{before:,}", f"{after:,}", f"{after / before:.1%}" if before else ""))
    rows.append((judged.name, score(judged.exact), score(judged.small), f"{judged.small - judged.exact:+.4f}"))
    rows.append(("speed", "1", f"{median(found.speed):.2f}", f"{min(found.speed):.2f}-{max(found.speed):.2f}"))
    yield table(rows)
    how = f"the same decision for {judged.same:.2%} of {judged.clips} clips"
    yield f"{how}; probabilities differ by up to {judged.difference:.2g}"
    if found.calibrated_on:
        yield f"ranges of activations from {found.calibrated_on} clips"
