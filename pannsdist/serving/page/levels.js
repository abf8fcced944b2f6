/* What is unusual about the levels of a sound: the limits and the words of pannsdist/audio/loudness.py. */

const FULL_SCALE_LIMIT = 16;
const OVER = 2;
const SILENT_PEAK = 1e-4;
const QUIET_PEAK = 1e-3;
const CANCELLED_POWER = 0.01;
const OFFSET = 0.25;
const CLIPPED_LEVEL = 0.999;
const CLIPPED_FRACTION = 0.01;

/** Why no network may get these channels: no samples, not finite, or not on the scale of 1. Empty if it may. */
export function refusal(channels) {
  if (!channels.length || !channels[0].length) return "it has no samples";
  const peak = Math.max(...channels.map(peakOf));
  if (peak <= FULL_SCALE_LIMIT) return "";
  if (!Number.isFinite(peak)) return "it contains NaN or infinite samples";
  return `its samples reach ${precise(peak, 6)}, and full scale is 1: they look like integers stored as floats`;
}

/** Sentences about a sound, most important first: its channels, their mean, and what the network gets. */
export function remarks(channels, mono, output) {
  const levels = channels.map(measured);
  const power = levels.reduce((sum, level) => sum + level.power, 0) / levels.length;
  const peak = Math.max(...levels.map((level) => level.peak));
  const outputPeak = peakOf(output);
  const silent = levels.flatMap((level, place) => (level.peak < SILENT_PEAK ? [place + 1] : []));
  const offset = Math.max(...levels.map((level) => Math.abs(level.sum))) / mono.length;
  const clipped = Math.max(...levels.map((level) => level.clipped)) / mono.length;
  const isHeard = peak >= SILENT_PEAK;
  const isCancelled = isHeard && measured(mono).power < CANCELLED_POWER * power;
  const found = [
    [isCancelled, "its channels cancel each other: one may be inverted; the network gets their mean"],
    [silent.length && silent.length < levels.length, `channel ${silent.join(", ")} of ${levels.length} is silent`],
    [outputPeak < SILENT_PEAK && !isHeard, "it is silent"],
    [
      outputPeak < SILENT_PEAK && isHeard && !isCancelled,
      "its sound is above half of the network's sample rate, which gets silence",
    ],
    [
      SILENT_PEAK <= outputPeak && outputPeak < QUIET_PEAK,
      `it is very quiet: its peak is ${Math.round(20 * Math.log10(outputPeak))} dB of full scale`,
    ],
    [peak > OVER, `its peak is ${precise(peak, 3)}, and full scale is 1`],
    [offset >= OFFSET, `it has an offset of ${precise(offset, 2)} of full scale`],
    [clipped > CLIPPED_FRACTION && peak <= OVER, `${Math.round(100 * clipped)}% of its samples are clipped`],
  ];
  return found.filter(([holds]) => holds).map(([, remark]) => remark);
}

/** The largest absolute value; NaN if any is. */
function peakOf(samples) {
  let peak = 0;
  for (const sample of samples) if (!(Math.abs(sample) <= peak)) peak = Math.abs(sample);
  return peak;
}

function measured(samples) {
  let [power, sum, clipped] = [0, 0, 0];
  for (const sample of samples) {
    power += sample * sample;
    sum += sample;
    clipped += Math.abs(sample) >= CLIPPED_LEVEL;
  }
  return { peak: peakOf(samples), power, sum, clipped };
}

/** As Python's `:.Ng` of what is neither tiny nor huge. */
function precise(value, digits) {
  return String(Number(value.toPrecision(digits)));
}
