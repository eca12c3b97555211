// A microphone: its sound goes to the service while somebody speaks, and stays here as a WAV file.
const RATE = 16000; // Hz, what models take; where a browser cannot, the microphone's own
const WAITING = 8_000_000; // bytes that may wait to be sent; a service that is further behind is given up
const LAST_ANSWERS = 20_000; // ms to wait for them

// Starts to record. events: sound(seconds, peak), answer(row), ended() where the microphone went away,
// failed(line) where there are no live answers (any more). Errors: DOMException, of getUserMedia.
// Returns {stop}, which resolves to {file, seconds}: a WAV file.
export async function record({ model, language, token }, events) {
  if (!navigator.mediaDevices) throw new DOMException("needs https", "SecurityError");
  const wanted = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  const stream = await navigator.mediaDevices.getUserMedia({ audio: wanted });
  const end = () => stream.getTracks().forEach(track => track.stop());
  const [context, source] = await contextOf(stream).catch(error => {
    end();
    throw error;
  });
  stream.getTracks()[0].addEventListener("ended", events.ended);
  const rate = context.sampleRate, blocks = [];
  const socket = liveAnswers({ token, model, language, rate, channels: 1, encoding: "s16le" }, events);
  const samples = new AudioWorkletNode(context, "samples", { numberOfOutputs: 0 });
  let count = 0;
  samples.port.onmessage = ({ data }) => {
    blocks.push(data.samples);
    count += data.samples.length;
    socket.send(data.samples);
    events.sound(count / rate, data.peak);
  };
  source.connect(samples);
  return {
    async stop() {
      end();
      source.disconnect();
      await context.close();
      await socket.end();
      return { file: new Blob([waveHeader(count, rate), ...blocks], { type: "audio/wav" }), seconds: count / rate };
    },
  };
}

async function contextOf(stream) {
  let context = new AudioContext({ sampleRate: RATE }), source;
  try {
    source = context.createMediaStreamSource(stream);
  } catch { // a browser that does not resample
    await context.close();
    context = new AudioContext();
    source = context.createMediaStreamSource(stream);
  }
  await context.audioWorklet.addModule("static/samples.js");
  await context.resume();
  return [context, source];
}

// The socket of a stream: {send(samples), end()}. The samples before the service is ready wait.
function liveAnswers(first, { answer, failed }) {
  const address = new URL("stream", document.baseURI);
  address.protocol = address.protocol.replace("http", "ws");
  const socket = new WebSocket(address), early = [];
  let ready = false, over = false, done;
  const closed = new Promise(resolve => { done = resolve; });

  function fail(line) {
    if (over) return;
    over = true;
    failed(line);
    socket.close();
    done();
  }
  socket.binaryType = "arraybuffer";
  socket.onopen = () => socket.send(JSON.stringify(Object.fromEntries(Object.entries(first).filter(([, value]) => value))));
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    if (message.error) fail(message.error);
    else if (message.ready) {
      ready = true;
      early.splice(0).forEach(samples => socket.send(samples));
    } else if (message.ended) over = true;
    else if ("start" in message) answer(message);
  };
  socket.onclose = () => {
    fail("the service ended the connection");
    done();
  };
  return {
    send(samples) {
      if (over) return;
      if (socket.bufferedAmount + early.length * samples.byteLength > WAITING) fail("the service is too far behind");
      else if (ready) socket.send(samples);
      else early.push(samples);
    },
    async end() {
      if (ready && !over) {
        socket.send(JSON.stringify({ end: true }));
        await Promise.race([closed, new Promise(resolve => setTimeout(resolve, LAST_ANSWERS))]);
      }
      over = true;
      socket.close();
    },
  };
}

// The 44 bytes before 16-bit samples of one channel.
function waveHeader(count, rate) {
  const header = new DataView(new ArrayBuffer(44)), size = 2 * count;
  const text = (at, word) => [...word].forEach((letter, k) => header.setUint8(at + k, letter.charCodeAt(0)));
  text(0, "RIFF");
  header.setUint32(4, 36 + size, true);
  text(8, "WAVEfmt ");
  header.setUint32(16, 16, true);
  header.setUint16(20, 1, true); // PCM
  header.setUint16(22, 1, true); // channels
  header.setUint32(24, rate, true);
  header.setUint32(28, 2 * rate, true);
  header.setUint16(32, 2, true);
  header.setUint16(34, 16, true); // bits
  text(36, "data");
  header.setUint32(40, size, true);
  return header;
}
