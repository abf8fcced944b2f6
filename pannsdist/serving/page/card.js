/* One sound of the list: its pictures, its player, and what the model answered. */

import { button, make } from "./dom.js";
import { drawSpectrum, drawWaveform, outline } from "./drawing.js";
import { EngineError } from "./engine.js";
import { axis, lanes, table } from "./events.js";
import { Player } from "./player.js";
import { mono } from "./sound.js";
import { RANGE_DB } from "./spectrum.js";
import { describe, say } from "./wording.js";

const TOP = 5;
let count = 0;

export class Card {
  /** `onRemove(card)` and `onAgain(card)` are the buttons' work. */
  constructor(sound, { onRemove, onAgain }) {
    this.sound = sound;
    this.signal = null;
    this.durationS = 0;
    this.detection = null;
    this.onAgain = onAgain;
    this.player = new Player(sound.file, {
      onTime: (seconds) => this.moveCursor(seconds),
      onState: (isPlaying) => this.showPlaying(isPlaying),
      onFailure: () => this.cannotPlay(),
    });
    this.player.audio.addEventListener("loadedmetadata", () => this.setDuration(this.player.durationS));
    this.build(onRemove);
  }

  build(onRemove) {
    count += 1;
    const { name } = this.sound;
    this.heading = make("h3", { id: `sound-${count}`, textContent: name, dir: "auto", tabIndex: -1 });
    this.facts = make("p", { className: "facts" });
    this.playButton = button(() => this.player.toggle(), { className: "play" });
    const remove = describe(button(() => onRemove(this)), "label", "remove_of", { name });
    remove.append(say(make("span"), "remove"));
    this.slider = make("input", { type: "range", min: 0, max: 0, step: 0.01, value: 0, disabled: true });
    describe(this.slider, "label", "position", { name });
    this.slider.addEventListener("input", () => this.player.seek(Number(this.slider.value)));
    this.cursor = make("div", { className: "cursor", hidden: true });
    this.pictures = make("div", { className: "pictures" });
    this.lanes = make("div");
    this.axis = make("div");
    this.tracks = make("div", { className: "tracks" }, this.pictures, this.lanes, this.axis, this.cursor);
    this.result = make("div", { className: "result" });
    const head = make("div", { className: "card-head" }, this.heading, remove);
    const controls = make("div", { className: "controls" }, this.playButton, this.slider);
    this.element = make("article", { className: "card" }, head, this.facts, this.tracks, controls, this.result);
    this.element.setAttribute("aria-labelledby", this.heading.id);
    this.showPlaying(false);
    this.wait("waiting");
  }

  /** Decodes the sound and draws it; what cannot be decoded here is said, and may still be answered. */
  async draw() {
    let decoded;
    try {
      decoded = await this.sound.decoded();
    } catch (error) {
      if (!(error instanceof EngineError)) throw error;
      const reason = error.key ? { key: error.key } : error.message;
      this.pictures.replaceChildren(say(make("p", { className: "note" }), "not_drawn", { reason }));
      return;
    }
    const samples = mono(decoded);
    this.setDuration(samples.length / decoded.rateHz);
    this.outline = outline(samples);
    const peak = samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 1e-5);
    const facts = { name: this.sound.name, length: this.durationS.toFixed(2), top: (decoded.rateHz / 2000).toFixed(1) };
    this.waveform = this.canvas("waveform", { ...facts, peak: (20 * Math.log10(peak)).toFixed(1) });
    const spectrum = this.canvas("spectrum", { ...facts, range: RANGE_DB });
    this.pictures.replaceChildren(this.waveform, spectrum);
    say(this.facts, "facts", { length: facts.length, rate: decoded.rateHz, channels: decoded.channels.length });
    drawSpectrum(spectrum, samples, decoded.rateHz);
    this.repaint();
  }

  canvas(kind, values) {
    const element = describe(make("canvas", { className: kind }), "label", kind, values);
    element.setAttribute("role", "img");
    element.addEventListener("click", (event) => {
      this.player.seek((event.offsetX / element.clientWidth) * this.durationS);
    });
    return element;
  }

  /** In the colours of the theme. */
  repaint() {
    if (this.outline) drawWaveform(this.waveform, this.outline);
  }

  setDuration(seconds) {
    if (this.durationS || !seconds) return;
    this.durationS = seconds;
    Object.assign(this.slider, { max: seconds, disabled: false });
    this.moveCursor(0);
    this.axis.replaceChildren(axis(seconds));
    if (this.detection) this.showLanes();
  }

  moveCursor(seconds) {
    this.slider.value = seconds;
    const values = { at: seconds.toFixed(1), length: this.durationS.toFixed(1) };
    describe(this.slider, "valuetext", "position_at", values);
    this.cursor.hidden = !this.durationS;
    this.cursor.style.left = `${this.durationS ? Math.min(100, (100 * seconds) / this.durationS) : 0}%`;
  }

  showPlaying(isPlaying) {
    const { name } = this.sound;
    say(this.playButton, isPlaying ? "pause" : "play");
    describe(this.playButton, "label", isPlaying ? "pause_of" : "play_of", { name });
  }

  cannotPlay() {
    Object.assign(this.playButton, { disabled: true });
    this.slider.disabled = true;
    this.playButton.after(say(make("p", { className: "note" }), "not_played"));
  }

  /** Says `waiting` or `asking` in place of an answer. */
  wait(key) {
    this.detection = null;
    this.lanes.replaceChildren();
    this.result.replaceChildren(say(make("p", { className: "note" }), key));
  }

  /** Shows what the model answered. */
  answer({ scores, decision, remarks }, detection) {
    this.detection = detection;
    const parts = [];
    if (decision) parts.push(decisionLine(decision));
    parts.push(say(make("h4"), "classes"), make("ol", { className: "classes" }, ...scores.slice(0, TOP).map(classRow)));
    const notes = [...new Set([...remarks, ...detection.remarks])];
    parts.push(...notes.map((note) => make("p", { className: "note", lang: "en", textContent: note })));
    if (!detection.events.length) parts.push(say(make("p", { className: "note" }), "no_events"));
    else parts.push(table(detection.events, (event) => this.playEvent(event), (place) => this.mark(place)));
    this.result.replaceChildren(...parts);
    this.showLanes();
  }

  showLanes() {
    if (!this.durationS || !this.detection.events.length) return;
    this.lanes.replaceChildren(lanes(this.detection.events, this.durationS, (event) => this.playEvent(event)));
  }

  playEvent({ onsetS, offsetS }) {
    this.player.play(onsetS, offsetS);
  }

  mark(place) {
    for (const bar of this.lanes.querySelectorAll(".bar")) {
      bar.classList.toggle("marked", bar.dataset.place === String(place));
    }
  }

  /** Shows why there is no answer, in the words of the engine. */
  fail(error) {
    const box = make("div", { className: "failure" }, say(make("h4"), "failed"), ...wordsOf(error));
    const again = say(button(() => this.onAgain(this)), "again");
    this.result.replaceChildren(box, again);
  }

  close() {
    this.signal?.abort();
    this.player.close();
    this.element.remove();
  }
}

/** The sentences of an error as paragraphs; the server's are English. */
export function wordsOf(error) {
  if (!(error instanceof EngineError)) return [say(make("p"), "bug", { reason: String(error) })];
  if (error.key) return [say(make("p"), error.key)];
  return [error.message, error.hint].filter(Boolean).map((one) => make("p", { lang: "en", textContent: one }));
}

function decisionLine(decision) {
  const value = make("strong", { dir: "auto" });
  if (decision.length) value.textContent = decision.join(", ");
  else say(value, "none_of_these");
  return make("p", { className: "decision" }, say(make("span"), "decision"), " ", value);
}

function classRow([label, probability]) {
  const fill = make("div", { className: "fill" });
  fill.style.width = `${(100 * probability).toFixed(2)}%`;
  const value = make("data", { value: probability, textContent: probability.toFixed(4) });
  const name = make("span", { className: "class-label", textContent: label, dir: "auto" });
  const bar = make("div", { className: "gauge" }, fill);
  bar.setAttribute("aria-hidden", "true");
  return make("li", {}, name, value, bar);
}
