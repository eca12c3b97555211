// Plays recordings from any point of their timelines; without it the page still shows them. It loads nothing.

// section: a `section.call` of timeline_calls.html. Other recordings of the page stop when this one plays.
export function connectTimeline(section) {
  for (const box of section.parentElement.querySelectorAll("[data-style]")) box.style.cssText = box.dataset.style;
  document.querySelector(".keys").hidden = false;
  const data = JSON.parse(section.querySelector("script").textContent);
  const find = name => section.querySelector(name);
  const sound = find("audio"), view = find(".view"), time = find(".time"), head = find(".playhead");
  const axis = find(".axis"), now = find(".now"), span = find("select.span");
  const stretches = [...section.querySelectorAll(".stretch")].map(box => [box, box.textContent]);
  const starts = [...new Set(data.channels.flatMap(channel => channel.rows.map(row => row[0])))].sort((a, b) => a - b);
  let position = 0, until = Infinity, pressed = null;

  function clock(seconds) {
    const tenths = Math.round(seconds * 10), two = value => String(value).padStart(2, "0");
    const hours = Math.floor(tenths / 36000), minutes = Math.floor(tenths / 600) % 60;
    return (hours ? hours + ":" + two(minutes) : minutes) + ":" + two(Math.floor(tenths / 10) % 60) + "." + tenths % 10;
  }
  function words() {
    return data.channels.map(channel => {
      const row = channel.rows.find(([start, end]) => start <= position && position < end);
      if (!row) return channel.name + ": none";
      const best = Math.max(...row[3]);
      return channel.name + ": " + data.labels[row[3].indexOf(best)] + (row[2] ? "?" : "") + " " + (best / 100).toFixed(2);
    }).join("; ");
  }
  function show(follow) {
    const place = Math.min(1, position / data.seconds), text = clock(position) + ", " + words();
    head.style.left = 100 * place + "%";
    head.setAttribute("aria-valuenow", position.toFixed(1));
    head.setAttribute("aria-valuetext", text);
    now.textContent = text;
    const x = place * time.clientWidth;
    if (follow && (x < view.scrollLeft || x > view.scrollLeft + view.clientWidth)) view.scrollLeft = x - view.clientWidth / 10;
  }
  function release() {
    if (pressed) pressed.setAttribute("aria-pressed", "false");
    pressed = null;
    until = Infinity;
  }
  function stopOthers() {
    for (const other of document.querySelectorAll("section.call audio")) if (other !== sound) other.pause();
  }
  function go(seconds) {
    position = Math.max(0, Math.min(data.seconds, seconds));
    if (sound) sound.currentTime = position;
    show(true);
  }
  function play(start, end, button) {
    release();
    go(start);
    until = end;
    if (!sound) return;
    stopOthers();
    pressed = button;
    if (button) button.setAttribute("aria-pressed", "true");
    sound.play().catch(error => {
      if (error.name === "AbortError") return;  // it was stopped before it began
      now.textContent = "the sound cannot be played";
      release();
    });
  }
  function frame() {
    if (sound.paused) return;
    follow();
    requestAnimationFrame(frame);
  }
  function follow() {
    position = sound.currentTime;
    if (position >= until + 1) release();  // somebody moved on by the controls of the sound
    if (position >= until) {
      sound.pause();
      position = until;
    }
    show(true);
  }
  function draw() {
    const shown = Number(span.value) || data.seconds, middle = position / data.seconds;
    time.style.width = 100 * Math.max(1, data.seconds / shown) + "%";
    view.scrollLeft = middle * time.clientWidth - view.clientWidth / 2;
    const pixels = time.clientWidth / data.seconds;  // a second
    const steps = [0.1, 0.5, 1, 5, 10, 30, 60, 300, 600, 1800, 3600, 14400, 86400];
    const step = steps.find(step => step * pixels >= 64) || 86400;
    axis.replaceChildren();
    for (let k = 0; k * step < data.seconds && k < 20000; k++) {
      const tick = axis.appendChild(document.createElement("span"));
      tick.textContent = step < 1 ? clock(k * step) : clock(k * step).slice(0, -2);
      tick.style.left = 100 * k * step / data.seconds + "%";
    }
    const width = time.clientWidth;  // read once: a box that changes makes the browser lay out all of them again
    for (const [box, name] of stretches) {
      const room = (parseFloat(box.style.width) / 100 * width - 4) / 7;  // letters
      const short = name.slice(0, 3) + (name.endsWith("?") ? "?" : "");
      box.textContent = name.length <= room ? name : short.length <= room ? short : "";
    }
    show(false);
  }
  function lanes() {
    section.querySelectorAll(".lanes").forEach((box, k) => {
      box.hidden = !find(".shares").checked;
      if (box.hidden || box.firstChild) return;
      data.labels.forEach((label, index) => {
        const lane = box.appendChild(document.createElement("div"));
        lane.className = "lane";
        lane.style.setProperty("--colour", data.colours[index]);
        lane.appendChild(document.createElement("span")).appendChild(document.createElement("b")).textContent = label;
        const svg = lane.appendChild(document.createElementNS("http://www.w3.org/2000/svg", "svg"));
        svg.setAttribute("viewBox", "0 0 " + data.seconds + " 100");
        svg.setAttribute("preserveAspectRatio", "none");
        svg.setAttribute("role", "img");
        svg.setAttribute("aria-label", "Probability of " + label + " over time, " + data.channels[k].name);
        svg.appendChild(document.createElementNS(svg.namespaceURI, "path")).setAttribute("d", data.channels[k].rows.map(
          ([start, end, , shares]) => "M" + start + " 100V" + (100 - shares[index]) + "H" + end + "V100Z").join(""));
      });
    });
  }

  time.addEventListener("click", event => {
    play((event.clientX - time.getBoundingClientRect().left) / time.clientWidth * data.seconds, Infinity, null);
    head.focus({ preventScroll: true });
  });
  head.addEventListener("keydown", event => {
    const next = starts.find(start => start > position + 0.05);
    const previous = starts.findLast(start => start < position - 0.5);
    const places = {
      ArrowLeft: position - 1, ArrowDown: position - 1, ArrowRight: position + 1, ArrowUp: position + 1,
      PageDown: position - 10, PageUp: position + 10, Home: 0, End: data.seconds,
      n: next ?? position, N: next ?? position, p: previous ?? 0, P: previous ?? 0,
    };
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key in places) {
      release();
      go(places[event.key]);
    } else if ((event.key === " " || event.key === "Enter") && sound) {
      if (sound.paused) play(position >= data.seconds - 0.05 ? 0 : position, Infinity, null);
      else sound.pause();
    } else return;
    event.preventDefault();
  });
  for (const button of section.querySelectorAll("button.play")) {
    if (sound) button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => {
      if (button === pressed) sound.pause();
      else play(Number(button.dataset.start), Number(button.dataset.end), button);
    });
  }
  if (sound) {
    sound.addEventListener("play", () => {
      stopOthers();
      requestAnimationFrame(frame);
    });
    sound.addEventListener("pause", release);
    sound.addEventListener("timeupdate", () => { if (!sound.paused) follow(); });  // in a hidden tab too
    sound.addEventListener("seeked", () => { position = sound.currentTime; show(true); });
    sound.addEventListener("error", () => { now.textContent = "the sound cannot be played"; });
  }
  span.addEventListener("change", draw);
  find(".shares").addEventListener("change", lanes);
  new ResizeObserver(draw).observe(view);
  find(".tools").hidden = false;
}
