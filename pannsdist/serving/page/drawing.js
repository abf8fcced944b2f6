/* Canvases: the waveform in the colour of its style, and the log-mel spectrum. */

import { logMel, MEL_BANDS } from "./spectrum.js";

const COLUMNS = 1000;
const WAVE_HEIGHT = 140;
const COLOURS = [
  [0, 0, 4],
  [59, 15, 112],
  [140, 41, 129],
  [222, 73, 104],
  [254, 159, 109],
  [252, 253, 191],
];
/** Dark to light in even steps of lightness, so that loudness is seen without seeing colours. */

/** Minimum and maximum of each column of samples (S,): two arrays (columns,). */
export function outline(samples, columns = COLUMNS) {
  const [lows, highs] = [new Float32Array(columns), new Float32Array(columns)];
  for (let column = 0; column < columns; column += 1) {
    const from = Math.floor((column * samples.length) / columns);
    const to = Math.max(from + 1, Math.floor(((column + 1) * samples.length) / columns));
    let [low, high] = [Infinity, -Infinity];
    for (let place = from; place < Math.min(to, samples.length); place += 1) {
      low = Math.min(low, samples[place]);
      high = Math.max(high, samples[place]);
    }
    [lows[column], highs[column]] = low <= high ? [low, high] : [0, 0];
  }
  return [lows, highs];
}

/** The waveform on a canvas; quiet sounds are magnified to the height, and the label of the canvas says the peak. */
export function drawWaveform(canvas, [lows, highs]) {
  [canvas.width, canvas.height] = [lows.length, WAVE_HEIGHT];
  const context = canvas.getContext("2d");
  context.fillStyle = getComputedStyle(canvas).color;
  const peak = lows.reduce((most, low, column) => Math.max(most, -low, highs[column]), 1e-9);
  const half = WAVE_HEIGHT / 2;
  lows.forEach((low, column) => {
    const [top, bottom] = [half - (highs[column] / peak) * half, half - (low / peak) * half];
    context.fillRect(column, top, 1, Math.max(1, bottom - top));
  });
}

/** The log-mel spectrum of samples (S,) on a canvas, high frequencies above. */
export function drawSpectrum(canvas, samples, rateHz) {
  const { values, columns } = logMel(samples, rateHz, COLUMNS);
  [canvas.width, canvas.height] = [columns, MEL_BANDS];
  const context = canvas.getContext("2d");
  const image = context.createImageData(columns, MEL_BANDS);
  for (let column = 0; column < columns; column += 1) {
    for (let band = 0; band < MEL_BANDS; band += 1) {
      const at = 4 * ((MEL_BANDS - 1 - band) * columns + column);
      image.data.set(colour(values[column * MEL_BANDS + band]), at);
    }
  }
  context.putImageData(image, 0, 0);
}

function colour(value) {
  const place = Math.min(COLOURS.length - 1.001, Math.max(0, value) * (COLOURS.length - 1));
  const [low, part] = [Math.floor(place), place % 1];
  return [...COLOURS[low].map((one, rgb) => one + part * (COLOURS[low + 1][rgb] - one)), 255];
}
