// The page: who is called, what is said, how long it took.

import { Call } from "./call.js";
import { Latency } from "./latency.js";
import { ask, Refused } from "./server.js";
import { Transcript } from "./transcript.js";

const element = (id) => document.getElementById(id);
const [keyForm, assistant, talk, demo, status, say, text] = ["key-form", "assistant", "talk", "demo", "status", "say", "text"].map(element);
const levels = [element("you-level"), element("assistant-level")];
const transcript = new Transcript(element("transcript"), element("empty"));
const latency = new Latency(element("latency"));

// Why a call ended, where it is not the server that says so in its own words.
const ENDINGS = {
  you_hung_up: ["You hung up."],
  agent_hung_up: ["The assistant hung up."],
  shutdown: ["The server is stopping.", "bad"],
  connection_lost: ["The connection was lost. Is the server still running?", "bad"],
  connection_refused: ["The server did not take the call.", "bad"],
  microphone_lost: ["The microphone is gone.", "bad"],
};
const ORDINARY = ["assistant_hung_up", "idle", "max_duration"];
const DOINGS = {
  "user-started-speaking": "You are speaking.",
  "user-stopped-speaking": "Thinking ...",
  "bot-started-speaking": "The assistant is speaking.",
  "bot-stopped-speaking": "Listening. It is your turn.",
};

let call = null;
let key = takeKey();

/** The API key: from the address (#key=... or ?key=..., where it does not stay), else of this tab. */
function takeKey() {
  const address = new URL(location.href);
  const given = new URLSearchParams(address.hash.slice(1)).get("key") ?? address.searchParams.get("key");
  if (given) {
    sessionStorage.setItem("key", given);
    address.searchParams.delete("key");
    address.hash = "";
    history.replaceState(null, "", address);
  }
  return sessionStorage.getItem("key");
}

function show(message, kind = "") {
  status.textContent = message;
  status.className = kind;
}

function enter(state) {
  document.body.dataset.state = state; // loading, idle, connecting, talking
  const busy = state === "connecting" || state === "talking";
  talk.textContent = busy ? "Hang up" : "Talk";
  talk.disabled = state === "loading";
  demo.disabled = assistant.disabled = state !== "idle";
  text.disabled = say.querySelector("button").disabled = state !== "talking";
}

// --- who can be called ---------------------------------------------------------------------------------------------

async function load() {
  enter("loading");
  try {
    const { assistants } = await (await ask("/v1/assistants", key)).json();
    keyForm.hidden = true;
    if (!assistants.length) return show("There is no assistant yet: callboard assistant apply FILE makes one.", "bad");
    assistant.replaceChildren(...assistants.map(({ name }) => new Option(name, name)));
    const wanted = new URLSearchParams(location.search).get("assistant");
    if (assistants.some(({ name }) => name === wanted)) assistant.value = wanted;
    enter("idle");
    show("Ready.");
  } catch (error) {
    if (error.code === "invalid_key") askForKey();
    else show(error.message, "bad");
  }
}

function askForKey() {
  const wrong = Boolean(key);
  sessionStorage.removeItem("key");
  keyForm.hidden = false;
  element("key").focus();
  show(wrong ? "The server does not know this key." : "Waiting for a key.", wrong ? "bad" : "");
}

keyForm.addEventListener("submit", (event) => {
  event.preventDefault();
  key = element("key").value.trim();
  sessionStorage.setItem("key", key);
  load();
});

window.addEventListener("hashchange", () => {
  key = takeKey();
  if (!call) load();
});

// --- calls ---------------------------------------------------------------------------------------------------------

async function start(recorded) {
  const caller = recorded ? "Caller" : "You";
  transcript.clear(caller);
  latency.clear();
  enter("connecting");
  show(recorded ? "The recorded caller is dialling ..." : "Waiting for the microphone ...");
  element("you-label").textContent = caller;
  const placed = (call = new Call({ assistant: assistant.value, key, recorded }));
  call.addEventListener("ready", () => (enter("talking"), show("Connected.")));
  call.addEventListener("message", ({ detail }) => onMessage(detail));
  call.addEventListener("ended", ({ detail }) => ended(placed, ...ending(detail)));
  try {
    await call.start();
    requestAnimationFrame(draw);
  } catch (error) {
    ended(placed, error instanceof Refused ? error.message : `Something failed: ${error.message}`, "bad");
  }
}

function ending({ reason, told }) {
  if (reason === "you_hung_up" || !told) return ENDINGS[reason] ?? [`The call ended: ${reason}.`, "bad"];
  const stop = /[.!?]$/.test(told.text) ? "" : ".";
  return [`${told.text[0].toUpperCase()}${told.text.slice(1)}${stop}`, ORDINARY.includes(told.reason) ? "" : "bad"];
}

function ended(placed, message, kind) {
  if (placed !== call) return;
  call = null;
  levels.forEach((bar) => (bar.style.transform = ""));
  transcript.settle();
  enter("idle");
  show(message, kind);
}

function onMessage({ type, data }) {
  if (DOINGS[type]) show(DOINGS[type]);
  if (type === "user-transcription") transcript.heard(data.text, data.final);
  else if (type === "bot-tts-text") transcript.saying(data.text);
  else if (type === "bot-transcription") transcript.said(data.text, data.interrupted);
  else if (type === "server-message" && data?.type === "interrupted") transcript.interrupted();
  else if (type === "metrics") latency.add(data);
  else if (type === "error-response" || (type === "error" && !data.fatal)) show(data.error, "bad");
}

function draw() {
  if (!call) return;
  call.levels.forEach((level, side) => (levels[side].style.transform = `scaleX(${level})`));
  requestAnimationFrame(draw);
}

talk.addEventListener("click", () => (call ? call.hangUp() : start(false)));
demo.addEventListener("click", () => start(true));
document.addEventListener("keydown", (event) => event.key === "Escape" && call?.hangUp());
window.addEventListener("pagehide", () => call?.hangUp());
say.addEventListener("submit", (event) => {
  event.preventDefault();
  const words = text.value.trim();
  if (!words || !call) return;
  call.say(words);
  transcript.heard(words, true);
  text.value = "";
});

load();
