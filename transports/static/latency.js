// A bar for each turn: where the time went between the caller's voice and the answer's first sound.

const STAGES = [
  ["end_of_turn", "end of turn"],
  ["llm_first_clause", "thinking"],
  ["tts_first_audio", "voice"],
];
const SCALE_MS = 1000; // of a full bar, unless a turn takes longer

export class Latency {
  constructor(list) {
    this.list = list;
    this.clear();
  }

  clear() {
    this.turns = new Map();
    this.list.replaceChildren();
  }

  /** One `metrics` message: figures in seconds, of one turn. */
  add({ turn, ttfb = [], processing = [] }) {
    if (!this.turns.has(turn)) this.turns.set(turn, {});
    for (const { processor, value } of [...ttfb, ...processing]) this.turns.get(turn)[processor] = value * 1000;
    this.draw();
  }

  draw() {
    const answered = [...this.turns].filter(([, figures]) => "turn_latency" in figures);
    const scale = Math.max(SCALE_MS, ...answered.map(([, figures]) => figures.turn_latency));
    this.list.replaceChildren(...answered.map(([turn, figures]) => row(turn, figures, scale)));
  }
}

function row(turn, figures, scale) {
  const line = document.createElement("li");
  const [label, bar, total] = ["span", "div", "span"].map((tag) => document.createElement(tag));
  label.textContent = `Turn ${turn}`;
  bar.className = "bar";
  bar.role = "img";
  bar.ariaLabel = STAGES.map(([name, stage]) => `${stage} ${Math.round(figures[name] ?? 0)} ms`).join(", ");
  bar.append(...STAGES.map(([name]) => part(name, (figures[name] ?? 0) / scale)));
  total.className = "total";
  total.textContent = `${Math.round(figures.turn_latency)} ms`;
  line.append(label, bar, total);
  return line;
}

function part(name, share) {
  const made = document.createElement("span");
  made.className = name;
  made.style.width = `${100 * share}%`;
  return made;
}
