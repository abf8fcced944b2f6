"""How many bytes each process sends per step for a network, and how long a ring all-reduce of them takes by its model.

    python benchmarks/message_sizes.py [--models NAME ...] [--processes N ...] [--gbit-per-s G ...] [--latency-us L]

The sizes are those of the real networks with 50 classes, built with random weights: gradients are float32, so 4 bytes
for each trainable parameter. The times are a model (docs/en/scaling.md), nothing is measured.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping

from measuring import Table, plain_parser, write_json

MODELS = ("panns_cnn6", "panns_cnn10", "panns_cnn14", "efficientat_mn04", "efficientat_mn10", "ast_tiny", "ast_base")
QUICK = ("panns_cnn6", "efficientat_mn04")
CLASSES, BYTES = 50, 4


def all_reduce_s(size: int, processes: int, bytes_per_s: float, latency_s: float) -> float:
    """Seconds of a ring all-reduce of `size` bytes: 2 (N - 1) messages of size / N one after another.

    Source: Patarasuk and Yuan, Bandwidth optimal all-reduce algorithms for clusters of workstations, 2009.
    """
    return 2 * (processes - 1) * (latency_s + size / processes / bytes_per_s)


def trainable_parameters(name: str) -> int:
    """Number of trainable parameters of a model plugin with 50 classes; features have none."""
    from pannsdist.registry import Catalog

    plugin = Catalog.installed().models.find(name).load()
    layer = plugin(plugin.Params()).build([str(number) for number in range(CLASSES)], plugin.front_end)
    return sum(int(one.size) for one in layer.parameters() if not one.stop_gradient)


def rows(counts: Mapping[str, int], chosen: argparse.Namespace) -> Iterator[str]:
    """The table, in Markdown."""
    columns = [(speed, count) for speed in chosen.gbit_per_s for count in chosen.processes]
    heads = [f"{count} at {speed:g} Gbit/s" for speed, count in columns]
    yield f"| network | parameters | MB | {' | '.join(heads)} |"
    yield "|---" * (3 + len(columns)) + "|"
    for name, count in counts.items():
        size = BYTES * count
        times = [
            1e3 * all_reduce_s(size, processes, speed * 1e9 / 8, chosen.latency_us * 1e-6)
            for speed, processes in columns
        ]
        yield f"| `{name}` | {count:,} | {size / 1e6:.1f} | {' | '.join(f'{ms:.1f}' for ms in times)} |"


def main() -> None:
    """Print the table."""
    parser = plain_parser("Bytes per step of networks, and the time of their all-reduce by a model.")
    parser.add_argument("--models", nargs="+", default=MODELS, metavar="NAME")
    parser.add_argument("--processes", nargs="+", type=int, default=[2, 8], metavar="N")
    parser.add_argument("--gbit-per-s", nargs="+", type=float, default=[1, 10, 100], metavar="G")
    parser.add_argument("--latency-us", type=float, default=50.0, metavar="L")
    chosen = parser.parse_args()
    counts = {name: trainable_parameters(name) for name in (QUICK if chosen.quick else chosen.models)}
    print("\n".join(rows(counts, chosen)))
    sizes = {name: [BYTES * count / 1e6] for name, count in counts.items()}
    write_json([Table("gradients per process and step", "MB", sizes, better="", ratios=False)], chosen.json)


if __name__ == "__main__":
    main()
