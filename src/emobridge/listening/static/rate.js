// The page of one recording: it is played, the part that carries the emotion is marked, and what is still to do is said.
// Without this script the page has the browser's own player and two fields for the ends of the part, in seconds.
// vendor/ holds wavesurfer.js 8.0.1 and its regions plugin as they are in its npm package (dist/wavesurfer.esm.js,
// dist/plugins/regions.js).

import WaveSurfer from "./vendor/wavesurfer.esm.js";
import Regions from "./vendor/regions.js";

const HEIGHT = 96; // px of the waveform: the content security policy has the hash of the style that it comes to
const SHORTEST = 0.1; // s of a marked part
const STEP = 0.1; // s that an arrow key moves an end
const LARGE_STEP = 1; // s, with Shift or by Page Up and Page Down
const HEARD = 0.9; // share of a recording that must have been played, in whatever pieces

const byId = (id) => document.getElementById(id);
const form = byId("rate");
const texts = form.dataset;
const audio = byId("audio");
const wantsSegment = Boolean(texts.segment);
const wantsConfidence = Boolean(form.elements.confidence);
const state = { isHeard: false, isBroken: false, plays: 0, region: null, duration: Number(texts.seconds) };

const chosen = (name) => new FormData(form).get(name) || "";
const shown = (seconds) => seconds.toLocaleString(document.documentElement.lang, { maximumFractionDigits: 1 });
const filled = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
const clamped = (value, least, most) => Math.min(Math.max(value, least), most);

// What is to do

function todo() {
  const open = [];
  const needsSegment = wantsSegment && chosen("emotion") !== "neutral";
  if (!state.isHeard) open.push(texts.todoPlay);
  if (!chosen("emotion")) open.push(texts.todoEmotion);
  if (needsSegment && !(chosen("start") && chosen("end"))) open.push(texts.todoSegment);
  if (wantsConfidence && !chosen("confidence")) open.push(texts.todoConfidence);
  return open;
}

function update() {
  const open = todo();
  const text = state.isBroken ? texts.failed : open.length ? `${texts.todo} ${open.join(", ")}` : texts.ready;
  if (byId("todo").textContent !== text) byId("todo").textContent = text; // a change is read out
  byId("send").disabled = open.length > 0;
}

// The marked part

function mark(region) {
  state.region = region;
  form.elements.start.value = region.start.toFixed(3);
  form.elements.end.value = region.end.toFixed(3);
  const values = { start: shown(region.start), end: shown(region.end) };
  byId("marked").textContent = filled(texts.marked, values);
  byId("play-part").disabled = false;
  for (const [side, value, least, most] of [
    ["left", region.start, 0, region.end - shortest()],
    ["right", region.end, region.start + shortest(), state.duration],
  ]) {
    const handle = handleOf(region, side);
    handle.setAttribute("aria-valuemin", least.toFixed(2));
    handle.setAttribute("aria-valuemax", most.toFixed(2));
    handle.setAttribute("aria-valuenow", value.toFixed(2));
    handle.setAttribute("aria-valuetext", filled(texts.inSeconds, { seconds: shown(value) }));
  }
  update();
}

const shortest = () => Math.min(SHORTEST, state.duration);
const handleOf = (region, side) => region.element.querySelector(`[part~="region-handle-${side}"]`);

// The ends of a part are sliders for keyboards and screen readers.
function equip(region) {
  for (const [side, label] of [["left", texts.start], ["right", texts.end]]) {
    const handle = handleOf(region, side);
    handle.tabIndex = 0;
    handle.setAttribute("role", "slider");
    handle.setAttribute("aria-orientation", "horizontal");
    handle.setAttribute("aria-label", label);
    handle.addEventListener("keydown", (event) => move(event, region, side));
  }
}

function move(event, region, side) {
  const isLeft = side === "left";
  const least = isLeft ? 0 : region.start + shortest();
  const most = isLeft ? region.end - shortest() : state.duration;
  const step = event.shiftKey ? LARGE_STEP : STEP;
  const value = isLeft ? region.start : region.end;
  const target = {
    ArrowLeft: value - step,
    ArrowDown: value - step,
    ArrowRight: value + step,
    ArrowUp: value + step,
    PageDown: value - LARGE_STEP,
    PageUp: value + LARGE_STEP,
    Home: least,
    End: most,
  }[event.key];
  if (target === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  const moved = clamped(target, least, most);
  region.setOptions(isLeft ? { start: moved, end: region.end } : { start: region.start, end: moved });
  mark(region);
}

function prepareRegions(wave, regions) {
  const look = { color: "rgba(20, 90, 160, 0.25)", minLength: shortest() };
  regions.enableDragSelection(look);
  regions.on("region-initialized", (region) => {
    for (const other of regions.getRegions()) if (other !== region) other.remove();
  });
  regions.on("region-created", (region) => {
    for (const other of regions.getRegions()) if (other !== region) other.remove();
    equip(region);
    mark(region);
  });
  regions.on("region-update", (region) => region === state.region && mark(region));
  regions.on("region-updated", (region) => mark(region));
  byId("mark").disabled = false;
  const add = (start, end) => regions.addRegion({ ...look, start, end });
  byId("mark").addEventListener("click", () => {
    const region = regions.getRegions()[0] || add(0, state.duration);
    setTimeout(() => handleOf(region, "left").focus()); // wavesurfer.js shows it after this
  });
  byId("play-part").addEventListener("click", () => wave.play(state.region.start, state.region.end));
  const [start, end] = [Number(chosen("start")), Number(chosen("end"))]; // after a mistake, or of a page loaded anew
  if (chosen("end") && 0 <= start && start < end && end <= state.duration) add(start, end);
}

// The player

function prepareWave() {
  const regions = wantsSegment ? Regions.create() : null;
  const wave = WaveSurfer.create({
    container: "#waveform",
    media: audio,
    height: HEIGHT,
    barWidth: 2,
    barGap: 1,
    cursorWidth: 2,
    cursorColor: "#8a1c1c",
    waveColor: "#6b7785",
    progressColor: "#145aa0",
    normalize: true,
    plugins: regions ? [regions] : [],
  });
  wave.on("ready", (duration) => {
    state.duration = duration;
    if (regions) prepareRegions(wave, regions);
    form.dataset.prepared = "yes";
  });
  wave.on("error", showFields); // it may still be played, and the ends of a part be typed
}

function preparePlayer() {
  form.elements.plays.value = "0";
  audio.controls = false;
  document.querySelector(".player").hidden = false;
  byId("play").addEventListener("click", () => (audio.paused ? audio.play().catch(() => {}) : audio.pause()));
  audio.addEventListener("play", () => {
    byId("play").textContent = texts.pause;
    state.plays += 1;
    form.elements.plays.value = String(state.plays);
  });
  audio.addEventListener("pause", () => (byId("play").textContent = texts.play));
  for (const event of ["pause", "ended"]) audio.addEventListener(event, listen);
  audio.addEventListener("error", () => {
    state.isBroken = true;
    update();
  });
  state.isBroken = Boolean(audio.error); // before this script
}

function listen() {
  const pieces = [...Array(audio.played.length).keys()];
  const seconds = pieces.reduce((sum, piece) => sum + audio.played.end(piece) - audio.played.start(piece), 0);
  state.isHeard ||= seconds >= HEARD * audio.duration;
  update();
}

function showFields() {
  const segment = byId("segment");
  if (segment) {
    segment.querySelector(".scripted").hidden = true;
    segment.querySelector(".seconds").hidden = false;
  }
}

function prepareKeys() {
  const choices = [...form.querySelectorAll("input[name=emotion]")];
  form.querySelector(".keys").hidden = false;
  form.addEventListener("keydown", (event) => {
    const choice = /^[1-9]$/.test(event.key) ? choices[Number(event.key) - 1] : null;
    if (!choice || event.ctrlKey || event.altKey || event.metaKey || event.target.type === "number") return;
    choice.click();
    choice.focus();
  });
}

preparePlayer();
prepareKeys();
if (wantsSegment) {
  form.querySelector(".scripted").hidden = false;
  form.querySelector(".seconds").hidden = true;
}
prepareWave();
form.addEventListener("input", update);
window.addEventListener("pageshow", update);
update();
if (!document.querySelector(".mistake")) byId("play").focus();
