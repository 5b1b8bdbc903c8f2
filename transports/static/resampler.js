// Any sample rate to any other: a windowed sinc, read from a table. Used in audio worklets.

const ZEROS = 12; // crossings of the sinc on each side
const PHASES = 256; // table entries for each input sample

/** One stream of mono samples from one rate to another; it remembers what the next block needs. */
export class Resampler {
  constructor(from, to) {
    this.step = from / to;
    const cutoff = 0.46 * Math.min(1, to / from); // cycles for each input sample
    this.half = Math.ceil(ZEROS / (2 * cutoff));
    this.table = kernel(this.half, cutoff);
    this.input = new Float32Array(2 * this.half);
    this.at = this.half; // of the next output in `input`
  }

  process(block) {
    const input = new Float32Array(this.input.length + block.length);
    input.set(this.input);
    input.set(block, this.input.length);
    const count = Math.max(0, Math.floor((input.length - 1 - this.half - this.at) / this.step) + 1);
    const output = new Float32Array(count);
    for (let index = 0; index < count; index++) output[index] = this.sample(input, this.at + index * this.step);
    const next = this.at + count * this.step;
    const used = Math.max(0, Math.floor(next) - this.half);
    this.input = input.slice(used);
    this.at = next - used;
    return output;
  }

  sample(input, position) {
    let sum = 0;
    const last = Math.floor(position + this.half);
    for (let n = Math.ceil(position - this.half); n <= last; n++) {
      const distance = Math.abs(position - n) * PHASES;
      const entry = Math.floor(distance);
      const weight = this.table[entry];
      sum += input[n] * (weight + (distance - entry) * (this.table[entry + 1] - weight));
    }
    return sum;
  }
}

function kernel(half, cutoff) {
  const table = new Float32Array(half * PHASES + 2);
  for (let entry = 0; entry <= half * PHASES; entry++) {
    const x = entry / PHASES;
    const sinc = entry ? Math.sin(2 * Math.PI * cutoff * x) / (Math.PI * x) : 2 * cutoff;
    const window = 0.42 + 0.5 * Math.cos((Math.PI * x) / half) + 0.08 * Math.cos((2 * Math.PI * x) / half);
    table[entry] = sinc * window;
  }
  return table;
}
