/* A sound of the page: its file, and its samples at their own rate. */

import { EngineError } from "./engine.js";
import { readWav } from "./wav.js";

export const LONGEST_BYTES = 100e6;
/** A larger file is answered and played, but not decoded here: an hour of two channels takes 1.3 GB as floats. */

const OTHER_RATE_HZ = 48000;
/** For formats whose header is not read here (m4a, WebM); WebM's Opus has this rate. */

const MPEG_RATES = { 3: [44100, 48000, 32000], 2: [22050, 24000, 16000], 0: [11025, 12000, 8000] };

export class Sound {
  /** `file` is a Blob, `name` what the page shows. */
  constructor(name, file) {
    this.name = name;
    this.file = file;
  }

  /** The samples, decoded once: {channels: Float32Array[], rateHz}. Rejects with EngineError. */
  decoded() {
    this.samples ??= decode(this.file);
    return this.samples;
  }
}

async function decode(file) {
  if (file.size > LONGEST_BYTES) throw new EngineError("the file is too large to be decoded here", { key: "too_large" });
  const buffer = await file.arrayBuffer();
  return readWav(buffer) ?? (await decodeByBrowser(buffer));
}

/** A context at the rate of the file resamples nothing. */
async function decodeByBrowser(buffer) {
  const context = new OfflineAudioContext(1, 1, rateOf(new Uint8Array(buffer)) ?? OTHER_RATE_HZ);
  let audio;
  try {
    audio = await context.decodeAudioData(buffer);
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
    throw new EngineError("this browser cannot decode the file", { key: "not_decoded" });
  }
  const channels = Array.from({ length: audio.numberOfChannels }, (_, place) => audio.getChannelData(place));
  return { channels, rateHz: audio.sampleRate };
}

/** The sample rate in the header of Ogg Vorbis, Opus, FLAC and MPEG audio; null for anything else. */
export function rateOf(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const has = (word, at) => bytes.length > at + word.length && [...word].every((c, i) => bytes[at + i] === c.charCodeAt(0));
  if (has("OggS", 0) && bytes.length > 48) {
    const packet = 27 + bytes[26];
    if (has("\x01vorbis", packet) && bytes.length > packet + 16) return view.getUint32(packet + 12, true);
    return has("OpusHead", packet) ? 48000 : null;
  }
  if (has("fLaC", 0) && bytes.length > 22) return (view.getUint32(18) >>> 12) || null;
  return rateOfMpeg(bytes, has("ID3", 0) ? 10 + sizeOfTag(bytes) : 0);
}

/** The size of an ID3v2 tag: four bytes of seven bits. */
function sizeOfTag(bytes) {
  return [6, 7, 8, 9].reduce((size, at) => size * 128 + (bytes[at] & 127), 0);
}

/** That of the first frame of an MP3, which stands at `at`. */
function rateOfMpeg(bytes, at) {
  if (at + 4 > bytes.length || bytes[at] !== 0xff || (bytes[at + 1] & 0xe0) !== 0xe0) return null;
  return MPEG_RATES[(bytes[at + 1] >> 3) & 3]?.[(bytes[at + 2] >> 2) & 3] ?? null;
}

/** The mean of the channels: {channels, rateHz} -> (S,). */
export function mono({ channels }) {
  if (channels.length === 1) return channels[0];
  return channels[0].map((_, place) => channels.reduce((sum, channel) => sum + channel[place], 0) / channels.length);
}
