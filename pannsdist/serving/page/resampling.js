/* From the rate of a file to that of the network, as soxr does it: see web_resampling.py, which measured the filters. */

import { EngineError } from "./engine.js";

export class Resampler {
  /** `records` are those of page.json, by rate; `load` fetches the floats of a file. */
  constructor(rateHz, records, load) {
    Object.assign(this, { rateHz, records, load, filters: new Map() });
  }

  /** (frames,) at `ownHz` -> (S,). Rejects with EngineError for a rate without filters. */
  async resampled(frames, ownHz) {
    if (ownHz === this.rateHz) return frames;
    const record = this.records[ownHz];
    if (!record) {
      const rates = [...new Set([...Object.keys(this.records).map(Number), this.rateHz])].sort((a, b) => a - b);
      throw new EngineError(`its sample rate is ${ownHz} Hz, which this page cannot resample`, {
        hint: `convert it to one of ${rates.join(", ")} Hz`,
      });
    }
    if (!this.filters.has(ownHz)) this.filters.set(ownHz, await this.load(record.file));
    return resample(frames, record, this.filters.get(ownHz), Math.floor((frames.length * this.rateHz) / ownHz + 0.5));
  }
}

/** The first `count` samples of the result; `floats` holds the taps of all phases, then the start. */
export function resample(frames, { phases, step, reach, start }, floats, count) {
  const width = 2 * reach;
  const [rows, columns] = start;
  const result = new Float32Array(count);
  for (let place = 0; place < count; place += 1) {
    const phase = place % phases;
    const first = Math.floor(place / phases) * step + Math.floor((phase * step) / phases) - reach + 1;
    const from = place < rows ? 0 : first;
    const length = place < rows ? columns : width;
    const taps = (place < rows ? phases * width + place * columns : phase * width) - from;
    const end = Math.min(frames.length, from + length);
    let sum = 0;
    for (let frame = Math.max(0, from); frame < end; frame += 1) sum += floats[taps + frame] * frames[frame];
    result[place] = sum;
  }
  return result;
}
