// The page: a recording is chosen, decoded and answered part by part.
import { answer, cut, decode, load } from "./main.js";

const [input, status, answers] = ["recording", "status", "answers"].map((id) => document.getElementById(id));
const model = await load("model/").catch((error) => {
  status.textContent = `The recogniser cannot be loaded: ${error.message}`;
  throw error;
});
const { labels, attributes, attribute_scale: scale, sample_rate: rate, synthetic } = model.facts;
input.disabled = false;
status.textContent = `Ready.${synthetic ? " SYNTHETIC: trained on synthetic speech." : ""}`;
input.addEventListener("change", show);

async function show() {
  answers.replaceChildren();
  status.textContent = "Listening ...";
  try {
    const samples = await decode(await input.files[0].arrayBuffer(), rate);
    let start = 0;
    for (const part of cut(samples, model.facts)) {
      const end = start + part.length / rate;
      answers.append(table(await answer(model, part), `${start.toFixed(1)} to ${end.toFixed(1)} s`));
      start = end;
    }
    status.textContent = "Done.";
  } catch (error) {
    status.textContent = `The recording cannot be answered: ${error.message}`;
  }
}

function table(values, caption) {
  const element = document.createElement("table");
  element.createCaption().textContent = caption;
  (values.probabilities ?? []).forEach((value, index) => row(element, labels[index], value, 0, 1));
  (values.attributes ?? []).forEach((value, index) => row(element, attributes[index], value, ...scale));
  return element;
}

function row(element, name, value, low, high) {
  const line = element.insertRow();
  const head = document.createElement("th");
  const meter = document.createElement("meter");
  Object.assign(meter, { min: low, max: high, value, ariaLabel: name });
  head.scope = "row";
  head.textContent = name;
  line.append(head);
  line.insertCell().append(meter);
  const number = line.insertCell();
  number.className = "number";
  number.textContent = value.toFixed(3);
}
