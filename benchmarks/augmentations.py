"""How many clips a core augments in a second, for each augmentation and its kinds.

    python benchmarks/augmentations.py [--rounds N] [--seconds S]

Clips of 5 s at 32 kHz, noise in memory. Seconds are those of the processor, which other work on the machine disturbs
less. The first row is `gain`, which only multiplies.
"""

from __future__ import annotations

import time

import numpy as np
from measuring import Table, interleave, parser, present

from pannsdist.builtin.augmentations.band_limit import BandLimit, BandLimitParams
from pannsdist.builtin.augmentations.codec import KINDS, Codec, CodecParams
from pannsdist.builtin.augmentations.equaliser import EqualiserParams, RandomEqualiser
from pannsdist.builtin.augmentations.gain import Gain, GainParams
from pannsdist.builtin.augmentations.noise import Noise, NoiseParams
from pannsdist.builtin.augmentations.reverb import Reverb, ReverbParams
from pannsdist.builtin.augmentations.speed import Speed, SpeedParams
from pannsdist.builtin.augmentations.time_roll import TimeRoll, TimeRollParams

RATE_HZ, CLIP_S = 32000, 5
PLUGINS = {
    "gain": Gain(GainParams()),
    "time_roll": TimeRoll(TimeRollParams()),
    "noise, white": Noise(NoiseParams()),
    "noise, pink": Noise(NoiseParams("pink")),
    "speed": Speed(SpeedParams()),
    "random_equaliser": RandomEqualiser(EqualiserParams()),
    "reverb, simulated": Reverb(ReverbParams()),
    **{f"band_limit, {kind}": BandLimit(BandLimitParams(kind)) for kind in ("telephone", "low_pass", "high_pass")},
    **{f"codec, {kind}": Codec(CodecParams(kind)) for kind in KINDS},
}


def main() -> None:
    """Print the table."""
    made = parser("Clips that a core augments in a second.")
    made.add_argument("--seconds", type=float, default=1.0, metavar="S", help="of the processor for each measurement")
    chosen = made.parse_args()
    rounds, seconds = (1, 0.0) if chosen.quick else (chosen.rounds, chosen.seconds)
    clip = (0.1 * np.random.default_rng(0).standard_normal(RATE_HZ * CLIP_S)).astype(np.float32)

    def measure(name: str) -> float:
        plugin, count = PLUGINS[name], 0
        plugin(clip, RATE_HZ, np.random.default_rng(0))  # imports
        started_s = time.process_time()
        while not count or time.process_time() - started_s < seconds:
            plugin(clip, RATE_HZ, np.random.default_rng(count))
            count += 1
        return count / (time.process_time() - started_s)

    rows = interleave(PLUGINS, rounds, "clips/s", measure)
    present([Table(f"clips of {CLIP_S} s at {RATE_HZ} Hz, one core", "clips/s", rows)], chosen.json)


if __name__ == "__main__":
    main()
