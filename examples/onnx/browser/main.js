// A graph that `emobridge to-onnx` wrote, run by onnxruntime-web: what a page of your own needs.
import * as ort from "./node_modules/onnxruntime-web/dist/ort.wasm.min.mjs";

ort.env.wasm.wasmPaths = new URL("./node_modules/onnxruntime-web/dist/", import.meta.url).href;
ort.env.wasm.numThreads = 1; // several threads need a page that is isolated from other origins

// folder: the address of model.onnx and labels.json, with a slash at its end.
export async function load(folder) {
  const facts = await (await fetch(`${folder}labels.json`)).json();
  const session = await ort.InferenceSession.create(`${folder}model.onnx`, { executionProviders: ["wasm"] });
  return { facts, session };
}

// samples: Float32Array at facts.sample_rate, at most facts.longest_seconds. Gives the numbers of each output by its name.
export async function answer({ session }, samples) {
  const outputs = await session.run({ waveform: new ort.Tensor("float32", samples, [1, samples.length]) });
  return Object.fromEntries(session.outputNames.map((name) => [name, Array.from(outputs[name].data)]));
}

// The bytes of a WAV, MP3 ... file as samples of one channel at a rate in Hz.
export async function decode(bytes, rate) {
  const sound = await new OfflineAudioContext(1, 1, rate).decodeAudioData(bytes);
  const samples = new Float32Array(sound.length);
  for (let channel = 0; channel < sound.numberOfChannels; channel++) {
    sound.getChannelData(channel).forEach((value, index) => { samples[index] += value / sound.numberOfChannels; });
  }
  return samples;
}

// Samples in equal parts that a graph takes at once.
export function cut(samples, { longest_seconds, sample_rate }) {
  const count = Math.max(1, Math.ceil(samples.length / Math.round(longest_seconds * sample_rate)));
  const edge = (index) => Math.floor((index * samples.length) / count);
  return Array.from({ length: count }, (_, index) => samples.subarray(edge(index), edge(index + 1)));
}
