// Who said what. Lines that may still change are pale; a screen reader is told of those that will not.

export class Transcript {
  constructor(list, empty) {
    Object.assign(this, { list, empty });
    this.clear("You");
  }

  /** A new call; `caller` is what its caller is called. */
  clear(caller) {
    this.caller = caller;
    this.list.replaceChildren();
    this.empty.hidden = false;
    this.you = this.assistant = null; // pale lines
    this.cut = null; // the assistant's, interrupted
    this.turn = null; // the caller's line, as long as nobody has answered
  }

  /** The caller's words: an interim is replaced by what follows. */
  heard(words, final) {
    this.you ??= this.line("you");
    write(this.you, words);
    if (!final) return;
    if (this.turn?.isConnected && this.turn === this.you.previousElementSibling) {
      write(this.turn, `${read(this.turn)} ${words}`);
      this.you.remove();
    } else {
      this.turn = this.you;
      settle(this.turn);
    }
    this.you = null;
  }

  /** The next clause that the assistant is about to speak. */
  saying(words) {
    this.forget();
    this.assistant ??= this.line("assistant");
    write(this.assistant, `${read(this.assistant)} ${words}`.trim());
  }

  /** What was heard of it in the end. */
  said(words, interrupted) {
    const line = (interrupted && this.cut) || this.assistant || this.line("assistant");
    if (line === this.assistant) this.assistant = null;
    else this.cut = null;
    write(line, words);
    line.classList.toggle("interrupted", interrupted);
    settle(line);
    this.turn = null;
  }

  /** Nobody will hear the rest; what was heard of it follows, if anything was. */
  interrupted() {
    this.forget();
    this.cut = this.assistant;
    this.assistant = null;
  }

  /** Nothing was heard of what was cut off. */
  forget() {
    this.cut?.remove();
    this.cut = null;
  }

  /** The call is over: what is pale stays as it is. */
  settle() {
    this.forget();
    for (const line of [this.you, this.assistant]) if (line) settle(line);
    this.you = this.assistant = this.turn = null;
  }

  line(who) {
    const line = document.createElement("li");
    line.className = `${who} pending`;
    line.ariaBusy = "true";
    line.append(span("who", who === "you" ? this.caller : "Assistant"), span("text", ""));
    this.list.append(line);
    this.empty.hidden = true;
    this.scroll();
    return line;
  }

  scroll() {
    this.list.scrollTop = this.list.scrollHeight;
  }
}

function span(name, words) {
  const made = document.createElement("span");
  made.className = name;
  made.textContent = words;
  return made;
}

const read = (line) => line.querySelector(".text").textContent;

function write(line, words) {
  line.querySelector(".text").textContent = words;
  line.parentElement.scrollTop = line.parentElement.scrollHeight;
}

function settle(line) {
  line.classList.remove("pending");
  line.ariaBusy = "false";
}
