// RTVI's wire: protobuf frames by hand, `audio` (field 2) and `message` (field 4) of Pipecat's Frame.

const LABEL = "rtvi-ai";
const encoder = new TextEncoder();
const decoder = new TextDecoder();

function varint(value) {
  const bytes = [];
  for (; value > 0x7f; value >>>= 7) bytes.push((value & 0x7f) | 0x80);
  return [...bytes, value];
}

function joined(...parts) {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function field(number, bytes) {
  return joined([(number << 3) | 2], varint(bytes.length), bytes);
}

/** A frame of mono PCM: an ArrayBuffer of 16-bit samples. */
export function audioFrame(pcm, rate) {
  return field(2, joined(field(3, new Uint8Array(pcm)), [0x20], varint(rate), [0x28, 1]));
}

/** A frame with one RTVI message. */
export function messageFrame(type, data = {}) {
  const message = { label: LABEL, type, id: crypto.randomUUID(), data };
  return field(4, field(1, encoder.encode(JSON.stringify(message))));
}

/** What the server sent: `{pcm: Int16Array, rate}`, `{message: {type, id, data}}`, or null for what is not ours. */
export function decode(buffer) {
  const frame = fields(new Uint8Array(buffer));
  if (frame.has(2)) {
    const audio = fields(frame.get(2));
    const bytes = audio.get(3) ?? new Uint8Array();
    return { pcm: new Int16Array(bytes.slice().buffer, 0, bytes.length >> 1), rate: audio.get(4) };
  }
  if (!frame.has(4)) return null;
  const message = JSON.parse(decoder.decode(fields(frame.get(4)).get(1)));
  return message.label === LABEL ? { message } : null;
}

function fields(bytes) {
  const found = new Map();
  let at = 0;
  const number = () => {
    let value = 0;
    for (let shift = 1; ; shift *= 128) {
      if (at >= bytes.length) throw new Error("a frame ends too early");
      const byte = bytes[at++];
      value += (byte & 0x7f) * shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const tag = number();
    if ((tag & 7) === 0) {
      found.set(tag >> 3, number());
    } else if ((tag & 7) === 2) {
      const length = number();
      found.set(tag >> 3, bytes.subarray(at, (at += length)));
    } else {
      throw new Error("a frame holds a field of an unknown kind");
    }
  }
  return found;
}
