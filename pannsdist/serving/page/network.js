/* The exported graphs in onnxruntime-web, and what `predict` and `detect` make of them. (B, S) waveforms, C classes. */

import { Resampler } from "./resampling.js";
import { eventsOf, frameWindows, joinedFrames, slidingWindows, smoothed } from "./timeline.js";

const BATCH_WINDOWS = 8;
const BATCH_S = 10;
/** So many windows, and so many seconds, are computed together. */

export class Network {
  constructor(settings, record, base) {
    Object.assign(this, { settings, record, base, sessions: new Map() });
    this.rateHz = record.input.rate_hz;
    this.resampler = new Resampler(this.rateHz, settings.resampling, async (file) => new Float32Array(await this.bytes(file)));
  }

  /** What browser.js asks; `isCancelled` is looked at between batches. */
  answer({ task, waveform, rateHz, threshold }, isCancelled) {
    if (task === "resample") return this.resampler.resampled(waveform, rateHz);
    if (task === "predict") return this.predict(waveform, isCancelled);
    return this.detect(waveform, threshold, isCancelled);
  }

  async predict(waveform, isCancelled) {
    const { window_samples: window, hop_samples: hop } = this.record.windows;
    const windows = slidingWindows(waveform.length, window, hop);
    const outputs = await this.windowOutputs(waveform, windows, this.settings.pad_to_samples, isCancelled);
    const mean = (values) => Math.fround(values.reduce((sum, value) => sum + value, 0) / values.length);
    const scores = this.record.labels.map((_, column) => mean(outputs.map((one) => one.scores[column])));
    const order = [...scores.keys()].sort((a, b) => scores[b] - scores[a]);
    return {
      scores: order.map((column) => [this.record.labels[column], scores[column]]),
      decision: this.decision(scores, mean(outputs.map((one) => one.energy)), order),
    };
  }

  /** The labels that a calibrated model decides for; null of another one. */
  decision(scores, energy, order) {
    const { decisions, multi_label: isMulti, labels } = this.record;
    if (!decisions) return null;
    const isChosen = (column) => scores[column] >= Math.fround(decisions.thresholds[column]);
    if (isMulti) return order.filter(isChosen).map((column) => labels[column]);
    return this.isUnknown(energy) ? [] : [labels[order[0]]];
  }

  /** Whether a single-label model takes a sound for one of no class. */
  isUnknown(energy) {
    const least = this.record.decisions?.min_energy ?? null;
    return !this.record.multi_label && least !== null && Math.fround(energy) < Math.fround(least);
  }

  async detect(waveform, threshold, isCancelled) {
    const { thresholds, median_frames: medians, remark } = this.settings.detection;
    const timeline = this.settings.frames
      ? smoothed(await this.frames(waveform, isCancelled), medians)
      : await this.windowTimeline(waveform, isCancelled);
    const least = threshold === null ? thresholds : thresholds.map(() => threshold);
    return { events: eventsOf(timeline, this.record.labels, least), remarks: remark ? [remark] : [] };
  }

  async windowTimeline(waveform, isCancelled) {
    const window = this.settings.detection.window_samples;
    const windows = slidingWindows(waveform.length, window, window);
    const padTo = Math.min(window, this.settings.pad_to_samples);
    const outputs = await this.windowOutputs(waveform, windows, padTo, isCancelled);
    return windows.map(({ first, end }, place) => ({
      onsetS: first / this.rateHz,
      offsetS: end / this.rateHz,
      scores: outputs[place].scores,
      isUnknown: this.isUnknown(outputs[place].energy),
    }));
  }

  async frames(waveform, isCancelled) {
    const plan = { ...this.record.frames, ...this.settings.frames };
    const windows = frameWindows(waveform.length, plan);
    const padTo = Math.min(this.settings.pad_to_samples, plan.window_frames * plan.frame_samples);
    const inputs = windows.map(({ first, end }) => {
      const least = Math.max(plan.minimum_samples, first ? 0 : padTo);
      return padded(waveform.subarray(first, end), least);
    });
    const outputs = await this.outputs(plan.files[0], inputs, isCancelled);
    return joinedFrames(windows, outputs.map(([frames]) => rows(frames, this.record.labels.length)), plan, this.rateHz);
  }

  /** {scores, energy} of each window. */
  async windowOutputs(waveform, windows, padTo, isCancelled) {
    const inputs = windows.map(({ first, end }) => padded(waveform.subarray(first, end), padTo));
    const outputs = await this.outputs(this.record.files[0], inputs, isCancelled);
    return outputs.map(([scores, , energy]) => ({ scores, energy: energy ? energy[0] : NaN }));
  }

  /** The outputs of a graph for each waveform; those of equal length that follow each other are one batch. */
  async outputs(file, waveforms, isCancelled) {
    const { ort, session } = await this.session(file);
    const found = [];
    while (found.length < waveforms.length) {
      if (await isCancelled()) return found;
      const samples = waveforms[found.length].length;
      const most = Math.max(1, Math.min(BATCH_WINDOWS, Math.floor((BATCH_S * this.rateHz) / samples)));
      const next = waveforms.slice(found.length, found.length + most);
      const other = next.findIndex((waveform) => waveform.length !== samples);
      found.push(...(await run(ort, session, other < 0 ? next : next.slice(0, other))));
    }
    return found;
  }

  /** The session of a graph, beside export.json; made when it is first asked for. */
  session(file) {
    if (!this.sessions.has(file)) this.sessions.set(file, this.opened(file));
    return this.sessions.get(file);
  }

  async opened(file) {
    this.runtime ??= this.started();
    const path = new URL(file, new URL(this.settings.model, this.base));
    const [ort, graph] = await Promise.all([this.runtime, this.bytes(path)]);
    return { ort, session: await ort.InferenceSession.create(graph, { executionProviders: ["wasm"] }) };
  }

  async started() {
    const { script, binary } = this.settings.runtime;
    const [ort, wasm] = await Promise.all([import(new URL(script, this.base)), this.bytes(binary)]);
    ort.env.wasm.wasmBinary = wasm;
    ort.env.wasm.numThreads = 1; // more need a shared memory, and with it headers that not every host can send
    return ort;
  }

  async bytes(path) {
    const response = await fetch(new URL(path, this.base));
    if (!response.ok) throw new Error(`${path}: ${response.status}`);
    return response.arrayBuffer();
  }
}

/** Waveforms of one length -> for each the values of every output. */
async function run(ort, session, waveforms) {
  const samples = waveforms[0].length;
  const batch = new Float32Array(waveforms.length * samples);
  waveforms.forEach((waveform, place) => batch.set(waveform, place * samples));
  const input = new ort.Tensor("float32", batch, [waveforms.length, samples]);
  const found = await session.run({ [session.inputNames[0]]: input });
  const outputs = session.outputNames.map((name) => rows(found[name].data, found[name].data.length / waveforms.length));
  return waveforms.map((_, place) => outputs.map((output) => output[place]));
}

/** Values one row after the other -> arrays of `width`. */
function rows(values, width) {
  return Array.from({ length: values.length / width }, (_, row) => values.slice(row * width, (row + 1) * width));
}

function padded(waveform, samples) {
  if (waveform.length >= samples) return waveform;
  const longer = new Float32Array(samples);
  longer.set(waveform);
  return longer;
}
