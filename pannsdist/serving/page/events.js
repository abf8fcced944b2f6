/* Detected events: bars on lanes that are aligned with the waveform, and a table with the same events. */

import { button, make } from "./dom.js";
import { describe, say } from "./wording.js";

const MOST = 200;
/** Events that are shown; a recording of hours can have thousands. */

const share = (seconds, durationS) => `${(100 * Math.min(1, seconds / durationS)).toFixed(3)}%`;
const short = (seconds) => seconds.toFixed(2);

/** One lane for each label, in the order of their first events. A mouse's way to an event: the table has buttons. */
export function lanes(events, durationS, onPlay) {
  const found = new Map();
  events.slice(0, MOST).forEach((event, place) => {
    if (!found.has(event.label)) found.set(event.label, make("div", { className: "bars" }));
    const bar = make("div", { className: "bar", title: `${event.label} ${event.score.toFixed(2)}` });
    bar.style.left = share(event.onsetS, durationS);
    bar.style.width = share(event.offsetS - event.onsetS, durationS);
    bar.dataset.place = place;
    bar.addEventListener("click", () => onPlay(event));
    found.get(event.label).append(bar);
  });
  const rows = [...found].map(([label, bars]) =>
    make("div", { className: "lane" }, make("div", { className: "lane-label", textContent: label, dir: "auto" }), bars),
  );
  const element = make("div", { className: "lanes" }, ...rows);
  element.setAttribute("aria-hidden", "true");
  return element;
}

/** Seconds under the pictures, at five places. */
export function axis(durationS) {
  const digits = durationS < 10 ? 2 : durationS < 100 ? 1 : 0;
  const marks = [0, 1, 2, 3, 4].map((part) => {
    const mark = make("span", { textContent: ((durationS * part) / 4).toFixed(digits) });
    mark.style.left = `${25 * part}%`;
    return mark;
  });
  const element = make("div", { className: "axis" }, ...marks);
  element.setAttribute("aria-hidden", "true");
  return element;
}

/** The table of the events; its buttons play them. `onFocus(place or null)` shows which bar a button belongs to. */
export function table(events, onPlay, onFocus) {
  const heads = ["event", "from", "to", "score"].map((key) => say(make("th", { scope: "col" }), key));
  const head = make("thead", {}, make("tr", {}, ...heads, describe(make("td"), "label", "play")));
  const rows = events.slice(0, MOST).map((event, place) => row(event, onPlay, (is) => onFocus(is ? place : null)));
  const caption = say(make("caption"), "events");
  const element = make("table", { className: "events" }, caption, head, make("tbody", {}, ...rows));
  if (events.length <= MOST) return element;
  return make("div", {}, element, say(make("p"), "events_more", { shown: MOST, all: events.length }));
}

function row(event, onPlay, onFocus) {
  const values = { label: event.label, from: short(event.onsetS), to: short(event.offsetS) };
  const play = describe(button(() => onPlay(event), { className: "small" }), "label", "play_event", values);
  play.append("▶");
  play.addEventListener("focus", () => onFocus(true));
  play.addEventListener("blur", () => onFocus(false));
  const name = make("th", { scope: "row", textContent: event.label, dir: "auto" });
  const times = [event.onsetS, event.offsetS].map((time) => say(make("td"), "seconds", { value: short(time) }));
  const score = make("td", {}, make("data", { value: event.score, textContent: event.score.toFixed(2) }));
  return make("tr", {}, name, ...times, score, make("td", {}, play));
}
