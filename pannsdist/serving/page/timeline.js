/* Windows of a sound, and events from the probabilities over time: as pannsdist/inference does it. S samples, C classes. */

const TOUCHING_S = 1e-6;

/** [{first, end}]: a window every `hop` samples; the last one ends where the sound ends. A shorter sound is one window. */
export function slidingWindows(samples, window, hop) {
  if (samples < window) return [{ first: 0, end: samples }];
  const found = [];
  for (let first = 0; first + window <= samples; first += hop) found.push({ first, end: first + window });
  if (found.at(-1).end < samples) found.push({ first: samples - window, end: samples });
  return found;
}

/** The windows of a network that answers by frame; `plan` is the part `frames` of export.json with `is_whole`. */
export function frameWindows(samples, plan) {
  const length = plan.window_frames * plan.frame_samples;
  const step = plan.hop_frames * plan.frame_samples;
  const found = [];
  let first = 0;
  for (; samples - first > length; first += step) found.push({ first, end: first + length });
  if (plan.is_whole && first) {
    const missing = length - Math.ceil((samples - first) / plan.frame_samples) * plan.frame_samples;
    if (missing > 0 && missing <= step) first -= missing;
  }
  return [...found, { first, end: samples }];
}

/** The frames of a sound from those of its windows, (T, C) each: [{onsetS, offsetS, scores}]. */
export function joinedFrames(windows, outputs, plan, rateHz) {
  const found = [];
  windows.forEach((window, place) => {
    const next = windows[place + 1];
    const seam = next ? (next.first + Math.min(window.end, next.end)) / 2 : window.end;
    const behind = next ? Math.floor(seam / plan.frame_samples) : Math.ceil(seam / plan.frame_samples);
    while (found.length < behind) {
      const onset = found.length * plan.frame_samples;
      const scores = outputs[place][found.length - Math.floor(window.first / plan.frame_samples)];
      const offset = Math.min(onset + plan.frame_samples, window.end);
      found.push({ onsetS: onset / rateHz, offsetS: offset / rateHz, scores });
    }
  });
  return found;
}

/** The timeline after a running median of so many frames for each class, with both ends mirrored. */
export function smoothed(timeline, lengths) {
  if (!lengths.some((length) => length > 1)) return timeline;
  const mirrored = (place) => {
    const inPeriod = ((place % (2 * timeline.length)) + 2 * timeline.length) % (2 * timeline.length);
    return Math.min(inPeriod, 2 * timeline.length - 1 - inPeriod);
  };
  const median = (place, column, reach) => {
    const around = new Float32Array(2 * reach + 1);
    for (let i = -reach; i <= reach; i += 1) around[i + reach] = timeline[mirrored(place + i)].scores[column];
    return around.sort()[reach];
  };
  return timeline.map((frame, place) => ({
    ...frame,
    scores: frame.scores.map((_, column) => median(place, column, (lengths[column] - 1) / 2)),
  }));
}

/** Events from a timeline [{onsetS, offsetS, scores, isUnknown}], sorted by onset, then by label; thresholds (C,). */
export function eventsOf(timeline, labels, thresholds) {
  const found = [];
  const active = new Map();
  for (const { onsetS, offsetS, scores, isUnknown } of timeline) {
    labels.forEach((label, column) => {
      if (isUnknown || !(Math.fround(scores[column]) >= Math.fround(thresholds[column]))) return;
      const before = active.get(column);
      if (before && onsetS <= before.offsetS + TOUCHING_S) {
        before.offsetS = offsetS;
        before.score = Math.max(before.score, scores[column]);
        return;
      }
      const event = { onsetS, offsetS, label, score: scores[column] };
      active.set(column, event);
      found.push(event);
    });
  }
  return found.sort((a, b) => a.onsetS - b.onsetS || (a.label < b.label ? -1 : Number(a.label > b.label)));
}
