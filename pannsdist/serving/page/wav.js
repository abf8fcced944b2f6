/* WAV files: read to the samples that are in them, and written as 32-bit floats. */

const PCM = 1;
const FLOAT = 3;
const EXTENSIBLE = 0xfffe;

const READERS = {
  "1/8": (view, at) => (view.getUint8(at) - 128) / 128,
  "1/16": (view, at) => view.getInt16(at, true) / 32768,
  "1/24": (view, at) => (view.getUint8(at) | (view.getInt16(at + 1, true) << 8)) / 8388608,
  "1/32": (view, at) => view.getInt32(at, true) / 2147483648,
  "3/32": (view, at) => view.getFloat32(at, true),
  "3/64": (view, at) => view.getFloat64(at, true),
};

function text(view, at) {
  return String.fromCharCode(...[0, 1, 2, 3].map((place) => view.getUint8(at + place)));
}

/** {fmt, data}: each {start, size} of a RIFF file's chunks; the last one may be cut. */
function chunks(view) {
  const found = {};
  let at = 12;
  while (at + 8 <= view.byteLength) {
    const size = Math.min(view.getUint32(at + 4, true), view.byteLength - at - 8);
    found[text(view, at).trim()] ??= { start: at + 8, size };
    at += 8 + size + (size % 2);
  }
  return found;
}

/** The samples of a WAV file as Decoded ({channels, rateHz}), or null: not a WAV file, or a codec in one. */
export function readWav(buffer) {
  const view = new DataView(buffer);
  if (view.byteLength < 12 || text(view, 0) !== "RIFF" || text(view, 8) !== "WAVE") return null;
  const { fmt, data } = chunks(view);
  if (!fmt || !data || fmt.size < 16) return null;
  const [tag, count, bits] = [0, 2, 14].map((offset) => view.getUint16(fmt.start + offset, true));
  const rateHz = view.getUint32(fmt.start + 4, true);
  const kind = tag === EXTENSIBLE && fmt.size >= 26 ? view.getUint16(fmt.start + 24, true) : tag;
  const read = READERS[`${kind}/${bits}`];
  if (!read || !count || !rateHz || ![PCM, FLOAT].includes(kind)) return null;
  const step = bits / 8;
  const length = Math.floor(data.size / (step * count));
  const channels = Array.from({ length: count }, () => new Float32Array(length));
  for (let place = 0, at = data.start; place < length; place += 1) {
    for (let channel = 0; channel < count; channel += 1, at += step) channels[channel][place] = read(view, at);
  }
  return { channels, rateHz };
}

/** A mono WAV file of 32-bit floats, in which no sample is rounded: (S,) -> Blob. */
export function writeWav(samples, rateHz) {
  const header = new DataView(new ArrayBuffer(58));
  const put = (at, word) => [...word].forEach((letter, place) => header.setUint8(at + place, letter.charCodeAt(0)));
  const long = (at, value) => header.setUint32(at, value, true);
  const short = (at, value) => header.setUint16(at, value, true);
  const size = samples.length * 4;
  put(0, "RIFF"), long(4, 50 + size), put(8, "WAVE");
  put(12, "fmt "), long(16, 18), short(20, FLOAT), short(22, 1), long(24, rateHz), long(28, rateHz * 4);
  short(32, 4), short(34, 32), short(36, 0);
  put(38, "fact"), long(42, 4), long(46, samples.length);
  put(50, "data"), long(54, size);
  return new Blob([header, samples], { type: "audio/wav" });
}
