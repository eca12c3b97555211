// Waveform and spectrogram of a recording that the browser has, as the pages of `diarize` show them (diarization/pictures.py).
const RATE = 16000; // Hz
const COLUMN_RATE = 20, MOST_COLUMNS = 6000; // columns a second, and of a picture
const SIZE = 1024, WINDOW = 800; // samples of a transform, and of the sound in it
const BANDS = 48; // of equal width in mel, from 0 to 8 kHz
const RANGE = 60; // dB below the loudest band that are shown
const FRAMES = 2; // a column
const LONGEST = 1800; // s: a browser decodes all of a recording at once
const AT_ONCE = 100; // columns between two pauses, in which the page reacts
const MAGMA = [
  [0, 0, 4], [29, 17, 71], [81, 18, 124], [131, 38, 129], [183, 55, 121], [231, 82, 99], [252, 137, 97], [254, 196, 136], [252, 253, 191],
];

// Draws all canvases of a timeline; where it cannot, a line says why.
export async function drawPictures(section, file, seconds) {
  const canvases = [...section.querySelectorAll("canvas")];
  if (!canvases.length) return;
  try {
    if (seconds > LONGEST) throw new RangeError(`recordings over ${LONGEST / 60} minutes are not drawn`);
    const sound = await new OfflineAudioContext(1, 1, RATE).decodeAudioData(await file.arrayBuffer());
    for (const canvas of canvases) {
      const samples = samplesOf(sound, canvas.dataset.channel), paint = canvas.className === "wave" ? wave : spectrogram;
      await paint(canvas, samples, Math.max(1, Math.min(MOST_COLUMNS, Math.ceil(seconds * COLUMN_RATE))));
    }
  } catch (error) {
    const line = error instanceof RangeError ? error.message : "this browser cannot read the recording, so it is not drawn";
    for (const canvas of canvases) canvas.remove();
    const note = document.createElement("p");
    note.className = "canvas-note";
    note.textContent = `No waveform and spectrogram: ${line}.`;
    section.querySelector(".view").before(note);
  }
}

// Of a channel by its number; "" is the mean of all.
function samplesOf(sound, channel) {
  if (channel !== "" && Number(channel) < sound.numberOfChannels) return sound.getChannelData(Number(channel));
  if (sound.numberOfChannels === 1) return sound.getChannelData(0);
  const mean = new Float32Array(sound.length);
  for (let c = 0; c < sound.numberOfChannels; c++) {
    const part = sound.getChannelData(c);
    for (let k = 0; k < mean.length; k++) mean[k] += part[k] / sound.numberOfChannels;
  }
  return mean;
}

async function wave(canvas, samples, columns) {
  const height = 64, low = new Float32Array(columns), high = new Float32Array(columns);
  for (let k = 0; k < samples.length; k++) {
    const column = Math.min(columns - 1, Math.floor(k * columns / samples.length));
    low[column] = Math.min(low[column], samples[k]);
    high[column] = Math.max(high[column], samples[k]);
  }
  const largest = Math.max(1e-4, high.reduce((a, b) => Math.max(a, b)), -low.reduce((a, b) => Math.min(a, b)));
  Object.assign(canvas, { width: columns, height });
  const context = canvas.getContext("2d");
  context.fillStyle = "#3b8edb"; // it reads on light and dark pages
  for (let column = 0; column < columns; column++) {
    const top = (1 - high[column] / largest) / 2 * height, bottom = (1 - low[column] / largest) / 2 * height;
    context.fillRect(column, top, 1, Math.max(1, bottom - top));
  }
}

async function spectrogram(canvas, samples, columns) {
  const levels = new Float32Array(columns * BANDS), step = samples.length / columns;
  for (let column = 0; column < columns; column++) {
    for (let frame = 0; frame < FRAMES; frame++) {
      addPowers(samples, Math.round((column + (frame + 0.5) / FRAMES) * step), levels.subarray(column * BANDS, (column + 1) * BANDS));
    }
    if (column % AT_ONCE === 0) await new Promise(resolve => setTimeout(resolve));
  }
  let top = -60;
  for (let k = 0; k < levels.length; k++) {
    levels[k] = 10 * Math.log10(levels[k] / FRAMES + 1e-12);
    top = Math.max(top, levels[k]);
  }
  Object.assign(canvas, { width: columns, height: BANDS });
  const context = canvas.getContext("2d"), image = context.createImageData(columns, BANDS);
  for (let column = 0; column < columns; column++) {
    for (let band = 0; band < BANDS; band++) {
      const colour = colourOf((levels[column * BANDS + band] - top) / RANGE + 1);
      image.data.set([...colour, 255], 4 * ((BANDS - 1 - band) * columns + column));
    }
  }
  context.putImageData(image, 0, 0);
}

// share: 0 is dark, 1 is bright.
function colourOf(share) {
  const position = Math.max(0, Math.min(1, share)) * (MAGMA.length - 1), k = Math.min(MAGMA.length - 2, Math.floor(position));
  return MAGMA[k].map((value, c) => value + (position - k) * (MAGMA[k + 1][c] - value));
}

const taper = Float32Array.from({ length: WINDOW }, (_, k) => 0.5 - 0.5 * Math.cos(2 * Math.PI * k / (WINDOW - 1)));
const scale = 4 / taper.reduce((a, b) => a + b) ** 2; // a sine of full scale is about 0 dB in its band
const cosines = Float64Array.from({ length: SIZE / 2 }, (_, k) => Math.cos(2 * Math.PI * k / SIZE));
const sines = Float64Array.from({ length: SIZE / 2 }, (_, k) => -Math.sin(2 * Math.PI * k / SIZE));
const reversed = Uint16Array.from({ length: SIZE }, (_, k) => {
  let bits = 0;
  for (let bit = 1; bit < SIZE; bit *= 2) bits = bits * 2 + (k & bit ? 1 : 0);
  return bits;
});
// The first bin of each band, and the end of the last; each band has a bin of its own.
const bins = Array.from({ length: BANDS + 1 }, (_, band) => {
  const highest = 2595 * Math.log10(1 + RATE / 2 / 700);
  const edge = 700 * (10 ** (band * highest / BANDS / 2595) - 1);
  return Math.max(band, Math.round(edge / RATE * SIZE));
});
const real = new Float64Array(SIZE), imaginary = new Float64Array(SIZE);

// Adds the mean power of each band in the sound around a sample.
function addPowers(samples, middle, powers) {
  real.fill(0);
  imaginary.fill(0);
  for (let k = 0; k < WINDOW; k++) real[reversed[k]] = (samples[middle - WINDOW / 2 + k] || 0) * taper[k];
  transform();
  for (let band = 0; band < BANDS; band++) {
    let power = 0;
    for (let k = bins[band]; k < bins[band + 1]; k++) power += real[k] ** 2 + imaginary[k] ** 2;
    powers[band] += power / (bins[band + 1] - bins[band]) * scale;
  }
}

// The fast Fourier transform (Cooley and Tukey 1965) of what stands in bit-reversed order, in place.
function transform() {
  for (let half = 1; half < SIZE; half *= 2) {
    const stride = SIZE / 2 / half;
    for (let start = 0; start < SIZE; start += 2 * half) {
      for (let k = 0; k < half; k++) {
        const a = start + k, b = a + half, cosine = cosines[k * stride], sine = sines[k * stride];
        const re = real[b] * cosine - imaginary[b] * sine, im = real[b] * sine + imaginary[b] * cosine;
        real[b] = real[a] - re;
        imaginary[b] = imaginary[a] - im;
        real[a] += re;
        imaginary[a] += im;
      }
    }
  }
}
