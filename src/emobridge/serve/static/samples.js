// Runs where sound is: the mean of a microphone's channels as blocks of 16-bit samples, and the peak of each.
const BLOCK = 2048; // samples

class Samples extends AudioWorkletProcessor {
  block = new Int16Array(BLOCK);
  count = 0;
  peak = 0;

  process([channels]) {
    if (!channels.length) return true;
    for (let k = 0; k < channels[0].length; k++) {
      const sample = Math.max(-1, Math.min(1, channels.reduce((sum, channel) => sum + channel[k], 0) / channels.length));
      this.peak = Math.max(this.peak, Math.abs(sample));
      this.block[this.count++] = Math.round(sample * 32767);
      if (this.count === BLOCK) this.send();
    }
    return true;
  }

  send() {
    this.port.postMessage({ samples: this.block, peak: this.peak }, [this.block.buffer]);
    this.block = new Int16Array(BLOCK);
    this.count = this.peak = 0;
  }
}

registerProcessor("samples", Samples);
