/*
 * The log-mel spectrum that is drawn. It shows a person what is in a sound, and does not depend on the model, whose own
 * features may have another rate and other bands.
 */

export const MEL_BANDS = 96;
export const RANGE_DB = 80;
const WINDOW_S = 0.04;
const FRAMES_A_COLUMN = 4;
/** At most; in a long sound a column stands for more time than its windows cover. */

/** In place: real and imaginary parts of a power of two of samples become their discrete Fourier transform. */
export function fft(real, imaginary) {
  const size = real.length;
  for (let place = 1, mirrored = 0; place < size; place += 1) {
    let bit = size >> 1;
    for (; mirrored & bit; bit >>= 1) mirrored ^= bit;
    mirrored ^= bit;
    if (place < mirrored) {
      [real[place], real[mirrored]] = [real[mirrored], real[place]];
      [imaginary[place], imaginary[mirrored]] = [imaginary[mirrored], imaginary[place]];
    }
  }
  for (let width = 2; width <= size; width *= 2) butterflies(real, imaginary, width);
}

function butterflies(real, imaginary, width) {
  const half = width / 2;
  for (let step = 0; step < half; step += 1) {
    const [c, s] = [Math.cos((2 * Math.PI * step) / width), -Math.sin((2 * Math.PI * step) / width)];
    for (let low = step; low < real.length; low += width) {
      const high = low + half;
      const [x, y] = [c * real[high] - s * imaginary[high], s * real[high] + c * imaginary[high]];
      real[high] = real[low] - x;
      imaginary[high] = imaginary[low] - y;
      real[low] += x;
      imaginary[low] += y;
    }
  }
}

const melOf = (hz) => 2595 * Math.log10(1 + hz / 700);
const hzOf = (mel) => 700 * (10 ** (mel / 2595) - 1);

/** The bins [from, to) of each mel band; a band that is narrower than a bin has the one at its middle. */
function bands(rateHz, size) {
  const step = melOf(rateHz / 2) / MEL_BANDS;
  return Array.from({ length: MEL_BANDS }, (_, band) => {
    const [from, to] = [band, band + 1].map((edge) => Math.round((hzOf(edge * step) * size) / rateHz));
    const middle = Math.min(size / 2, Math.round((hzOf((band + 0.5) * step) * size) / rateHz));
    return to > from ? [from, to] : [middle, middle + 1];
  });
}

/** The log-mel spectrum of samples (S,): {values, columns}, values (columns * MEL_BANDS) in [0, 1], 1 the loudest. */
export function logMel(samples, rateHz, mostColumns) {
  const size = 2 ** Math.max(7, Math.ceil(Math.log2(WINDOW_S * rateHz)));
  const columns = Math.max(1, Math.min(mostColumns, Math.ceil((4 * samples.length) / size)));
  const ranges = bands(rateHz, size);
  const powers = new Float64Array(columns * MEL_BANDS);
  const [real, imaginary] = [new Float64Array(size), new Float64Array(size)];
  const width = samples.length / columns;
  const frames = Math.max(1, Math.min(FRAMES_A_COLUMN, Math.floor((2 * width) / size)));
  for (let column = 0; column < columns; column += 1) {
    for (let frame = 0; frame < frames; frame += 1) {
      const middle = Math.round((column + (frame + 0.5) / frames) * width);
      window(samples, middle - size / 2, real, imaginary);
      fft(real, imaginary);
      ranges.forEach(([from, to], band) => {
        let power = 0;
        for (let bin = from; bin < to; bin += 1) power += real[bin] ** 2 + imaginary[bin] ** 2;
        powers[column * MEL_BANDS + band] += power / (to - from);
      });
    }
  }
  return { values: scaled(powers), columns };
}

/** Hann-windowed samples from `start` on, silence beyond the ends of the sound. */
function window(samples, start, real, imaginary) {
  const size = real.length;
  for (let place = 0; place < size; place += 1) {
    real[place] = (samples[start + place] ?? 0) * (0.5 - 0.5 * Math.cos((2 * Math.PI * place) / size));
    imaginary[place] = 0;
  }
}

function scaled(powers) {
  const top = 10 * Math.log10(Math.max(1e-10, powers.reduce((most, power) => Math.max(most, power), 0)));
  return Float32Array.from(powers, (power) => Math.max(0, 1 + (10 * Math.log10(power + 1e-20) - top) / RANGE_DB));
}
