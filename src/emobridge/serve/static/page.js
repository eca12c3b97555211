// The page of the service: a recording or a microphone in, a timeline out.
import { record } from "./microphone.js";
import { drawPictures } from "./pictures.js";
import { convert, diarize, getModels } from "./requests.js";
import { connectTimeline } from "./timeline.js";

const SHOWN_ANSWERS = 8; // while somebody speaks
const SHOWN_DECIBELS = 60; // below full scale
const ENDINGS = { textgrid: "TextGrid" }; // of files, where it is not the name of the format
const at = id => document.getElementById(id);
const limits = { bytes: Number(document.body.dataset.largest), seconds: Number(document.body.dataset.longest) };
const languageNames = new Intl.DisplayNames("en", { type: "language" });
let models = [];
let token = sessionStorage.getItem("token") || "";
let shown = null; // {answer, file, address}: the rows, the sound, and where a player finds it
let cancelling = null; // an AbortController, while an answer is waited for
let recording = null; // while the microphone is on
let spoken = null; // the last file of the microphone

// What happens, in one line. is_error: whether it went wrong.
function say(line, isError = false) {
  at("status").className = isError ? "alarm" : "";
  at("status").textContent = line;
}
// what: what did not come about.
function sayError(what, error) {
  if (error.status === 401) {
    at("token-form").hidden = false;
    at("token").focus();
  }
  say(`${what}: ${error.message}`, true);
}

async function begin() {
  try {
    models = await getModels(token);
  } catch (error) {
    sayError("No model yet", error);
    return;
  }
  at("token-form").hidden = true;
  at("model").replaceChildren(...models.map(model => new Option(model.name)));
  showModel();
  enable();
  say("");
}
const chosen = () => models[at("model").selectedIndex];

function showModel() {
  const model = chosen();
  const choices = model.languages.map(code => new Option(nameOf(code), code));
  at("language").replaceChildren(new Option("not known", ""), ...choices);
  at("about-model").textContent = [
    model.synthetic ? "SYNTHETIC: synthetic speech went into this model." : "",
    `It tells ${[...model.labels, ...model.attributes].join(", ")}.`,
    model.languages.length ? `It learnt from speech in ${model.languages.map(nameOf).join(", ")}.` : "",
    `Encoder: ${model.encoder}.`,
  ].filter(Boolean).join(" ");
}
function nameOf(code) {
  try {
    return languageNames.of(code);
  } catch { // a code that is none of BCP 47
    return code;
  }
}

// What may be pressed now.
function enable() {
  const isBusy = Boolean(cancelling || recording);
  for (const id of ["file", "speak", "whole"]) at(id).disabled = isBusy || !models.length;
  for (const id of ["model", "language", "channels"]) at(id).disabled = isBusy;
  at("stop").hidden = !recording?.stop;
  at("cancel").hidden = !cancelling;
  if (!cancelling) at("progress").hidden = true;
}

function showProgress(share, pause) {
  const bar = at("progress");
  bar.hidden = false;
  if (share === null || share === 1) bar.removeAttribute("value");
  else bar.value = share;
  if (share === null) say(`The service is busy: next try in ${pause} s`);
  else if (share === 1) say("Sent. Waiting for the answer");
  else if (share === 0) say("Sending the recording");
}

async function answerFile(file, name) {
  if (cancelling || recording || !models.length) return;
  if (file.size > limits.bytes) {
    say(`${name} has ${(file.size / 1e6).toFixed(1)} MB; expected at most ${limits.bytes / 1e6}`, true);
    return;
  }
  cancelling = new AbortController();
  enable();
  try {
    const fields = { model: chosen().name, language: at("language").value, channels: at("channels").value };
    const options = { token, progress: showProgress, signal: cancelling.signal };
    const { rows, seconds, notes } = await diarize(file, name, fields, options);
    await show({ name, seconds, rows }, file, { notes });
  } catch (error) {
    if (error.name === "AbortError") say("Cancelled");
    else sayError("Not answered", error);
  } finally {
    const hadFocus = document.activeElement === at("cancel");
    cancelling = null;
    enable();
    if (hadFocus) at("file").focus();
  }
}

// The timeline of an answer to a file. live: whether the rows are live answers.
async function show(answer, file, { notes = [], live = false }) {
  const html = await (await convert(answer, "html", token)).text();
  if (shown) URL.revokeObjectURL(shown.address);
  shown = { answer, file, address: URL.createObjectURL(file) };
  const template = document.createElement("template");
  template.innerHTML = html;
  at("timeline").replaceChildren(template.content);
  const section = at("timeline").querySelector("section.call");
  at("result").hidden = false;
  section.querySelector("audio").src = shown.address;
  connectTimeline(section);
  at("save-sound").hidden = file !== spoken;
  at("again").hidden = !live;
  at("notes").replaceChildren(...notes.map(note => Object.assign(document.createElement("li"), { textContent: note })));
  say(live ? "Stopped. The timeline of the live answers is below" : "Answered. The timeline is below");
  at("of-result").focus();
  drawPictures(section, file, answer.seconds);
}

async function startMicrophone() {
  if (recording || cancelling) return;
  const model = chosen(), rows = [];
  let silent = ""; // why there are no live answers
  at("live").replaceChildren();
  recording = {}; // so that nothing else begins
  enable();
  say("Asking for the microphone");
  try {
    recording = await record({ model: model.name, language: at("language").value, token }, {
      sound(seconds, peak) {
        at("level").value = Math.max(0, 1 + 20 * Math.log10(peak) / SHOWN_DECIBELS);
        at("time").textContent = `${Math.floor(seconds)} s`;
        if (seconds >= limits.seconds) stopMicrophone();
      },
      answer(row) {
        rows.push(row);
        showLive(row);
      },
      ended: stopMicrophone,
      failed(line) {
        silent = line;
        say(`No live answers: ${line}. The recording goes on, and can be answered when you stop`, true);
      },
    });
  } catch (error) {
    recording = null;
    enable();
    say(microphoneLine(error), true);
    return;
  }
  recording.rows = rows;
  for (const id of ["now", "live"]) at(id).hidden = false;
  enable();
  if (!silent) say("Recording");
  at("stop").focus();
}

function microphoneLine(error) {
  if (error.name === "NotAllowedError") return "The microphone is not allowed: allow it in the settings of the browser";
  if (error.name === "NotFoundError") return "There is no microphone";
  if (error.name === "SecurityError") return "A microphone needs https, or a service on this machine";
  return `The microphone cannot be used: ${error.message}`;
}

function showLive(row) {
  const what = row.label ? `${row.label} ${row.confidence.toFixed(2)}` : row.reason || "no answer";
  at("now").textContent = what;
  const item = document.createElement("li");
  item.textContent = `${row.start.toFixed(1)} to ${row.end.toFixed(1)} s: ${what}`;
  at("live").prepend(item);
  while (at("live").childElementCount > SHOWN_ANSWERS) at("live").lastElementChild.remove();
}

async function stopMicrophone() {
  const { stop, rows } = recording || {};
  if (!stop) return;
  recording.stop = null; // a second press does nothing
  say("Waiting for the last answers");
  at("stop").disabled = true;
  const { file, seconds } = await stop();
  spoken = file;
  recording = null;
  at("stop").disabled = false;
  at("level").value = 0;
  at("now").hidden = true;
  enable();
  at("speak").focus();
  const name = "microphone.wav";
  try {
    if (rows.length) await show({ name, seconds, rows }, file, { live: true });
    else await answerFile(file, name);
  } catch (error) {
    sayError("No timeline", error);
  }
}

function save(file, name) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(file), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
async function download(format) {
  try {
    const file = await convert(shown.answer, format, token);
    save(file, `${shown.answer.name.replace(/\.[^.]*$/, "") || "recording"}.${ENDINGS[format] || format}`);
    say(`Downloaded as ${ENDINGS[format] || format.toUpperCase()}`);
  } catch (error) {
    sayError("Not downloaded", error);
  }
}

at("token-form").addEventListener("submit", event => {
  event.preventDefault();
  token = at("token").value.trim();
  sessionStorage.setItem("token", token);
  at("token").value = "";
  begin();
});
at("model").addEventListener("change", showModel);
at("file").addEventListener("change", event => {
  const [file] = event.target.files;
  if (file) answerFile(file, file.name);
  event.target.value = ""; // so that the same file can be chosen again
});
for (const kind of ["dragover", "drop", "dragleave"]) {
  document.addEventListener(kind, event => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault(); // or the browser would leave the page
    at("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop" && event.dataTransfer.files.length) {
      const [file, ...more] = event.dataTransfer.files;
      if (more.length) say("Drop one recording at a time", true);
      else answerFile(file, file.name);
    }
  });
}
at("speak").addEventListener("click", startMicrophone);
at("stop").addEventListener("click", stopMicrophone);
at("cancel").addEventListener("click", () => cancelling?.abort());
at("whole").addEventListener("click", () => answerFile(shown.file, shown.answer.name));
at("save-sound").addEventListener("click", () => save(shown.file, "microphone.wav"));
for (const button of document.querySelectorAll("[data-format]")) {
  button.addEventListener("click", () => download(button.dataset.format));
}
begin();
