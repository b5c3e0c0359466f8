// The page: sends a photograph, and draws the answer over it. Nothing is kept: neither
// here, when the page is closed, nor by the server.

import { SAVED, SCREEN, bytes, colorize, compose, draw, inflate } from "./drawing.js";

const THREE_SIZES = "0.75,1,1.25";

const byId = (id) => document.getElementById(id);
const canvas = byId("canvas");
const boxes = { crf: byId("crf"), scales: byId("scales"), flip: byId("flip") };
let model = null;
let shown = null; // { file, answer, ids, photograph } of what is on the page.
let layer = null; // Colors of the classes, as large as the canvas.
let alone = null; // Id of the class that is shown alone.
let request = null; // AbortController of the one that is on its way.

class Problem extends Error {
  constructor(line, again = false) {
    super(line);
    this.again = again;
  }
}

// Asking

async function start() {
  for (const id of ["choose", "another"]) byId(id).onclick = () => byId("file").click();
  byId("take").onclick = () => byId("camera").click();
  for (const id of ["file", "camera"]) {
    byId(id).onchange = (event) => {
      const [file] = event.target.files;
      event.target.value = ""; // So that the same file can be chosen again.
      if (file) look(file);
    };
  }
  for (const box of Object.values(boxes)) box.onchange = () => shown && look(shown.file);
  byId("cancel").onclick = cancel;
  byId("opacity").oninput = paint;
  byId("all").onclick = () => showAlone(null);
  byId("save-mask").onclick = () => save("_mask.png", bytes(shown.answer.mask), "image/png");
  byId("save-overlay").onclick = saveOverlay;
  byId("save-json").onclick = saveJson;
  canvas.onpointermove = point;
  canvas.onpointerleave = () => (byId("pointed").hidden = true);
  canvas.onclick = (event) => shown && showAlone(idAt(event));
  byId("legend").onkeydown = walk;
  document.onkeydown = (event) => {
    if (event.key === "Escape" && !byId("busy").hidden) cancel();
    else if (event.key === "Escape") showAlone(null);
  };
  listenToDrops();
  if (!("DecompressionStream" in window)) {
    tell(new Problem("This browser is too old for the page. Take one of 2023 or later."));
    return;
  }
  try {
    const response = await fetch("model");
    if (!response.ok) throw new Error();
    model = await response.json();
  } catch {
    tell(new Problem("The server does not answer. Is it running?"));
    return;
  }
  byId("model").textContent = `${model.classes.length} classes of ${model.dataset}`;
  byId("looks").hidden = model.looks.length === 0;
  for (const label of document.querySelectorAll("[data-look]")) {
    label.hidden = !model.looks.includes(label.dataset.look);
  }
}

function listenToDrops() {
  let depth = 0; // Of elements that the pointer is within.
  const drag = (change) => (event) => {
    event.preventDefault();
    depth = Math.max(0, depth + change);
    document.body.classList.toggle("dragging", depth > 0);
  };
  addEventListener("dragenter", drag(1));
  addEventListener("dragleave", drag(-1));
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    depth = 0;
    document.body.classList.remove("dragging");
    const [file] = event.dataTransfer.files;
    if (file) look(file);
    else tell(new Problem("That was no file. Save the photograph first, then drop it."));
  });
  addEventListener("paste", (event) => {
    const [file] = event.clipboardData.files;
    if (file) look(file);
  });
}

async function look(file) {
  if (!model) return;
  request?.abort();
  const mine = (request = new AbortController());
  const isAgain = shown?.file === file;
  if (!isAgain) clear();
  const stop = showBusy(file.name);
  try {
    if (file.size > model.max_bytes) {
      const most = Math.round(model.max_bytes / 1e6);
      throw new Problem(`${file.name}: a file of more than ${most} MB; save it smaller`);
    }
    const asked = ask(file, mine.signal);
    if (!isAgain) showPreview(file, asked, mine.signal);
    const answer = await asked;
    const [ids, photograph] = await Promise.all([
      inflate(bytes(answer.ids)),
      draw(file, answer, SCREEN),
    ]);
    if (mine.signal.aborted) return;
    showAnswer({ file, answer, ids, photograph }, isAgain);
  } catch (error) {
    if (mine.signal.aborted) return;
    fail(error, file, isAgain);
  } finally {
    stop(request === mine);
  }
}

async function ask(file, signal) {
  const form = new FormData();
  form.append("photograph", file, file.name || "photograph");
  form.append("crf", boxes.crf.checked);
  form.append("flip", boxes.flip.checked);
  form.append("scales", boxes.scales.checked ? THREE_SIZES : "1");
  let response;
  try {
    response = await fetch("segment", { method: "POST", body: form, signal });
  } catch (error) {
    if (signal.aborted) throw error;
    throw new Problem("The server does not answer. Is it running?", true);
  }
  const answer = await response.json().catch(() => null);
  if (response.ok && answer) return answer;
  if (response.status === 401) {
    throw new Problem("The server was started anew. Open the address that it printed.");
  }
  const line = answer?.error ?? `The server answers ${response.status}.`;
  throw new Problem(line, response.status === 503 || response.status === 408 || response.status >= 500);
}

function cancel() {
  request?.abort();
  hideBusy();
  if (shown) setBoxes(shown.answer);
  else clear();
  byId(shown ? "heading" : "choose").focus();
}

// Drawing

const opacity = () => byId("opacity").value / 100;

function paint() {
  byId("percent").textContent = `${byId("opacity").value} %`;
  if (shown) compose(canvas, shown.photograph, layer, opacity());
}

function showAlone(id) {
  if (!shown) return;
  alone = id === alone ? null : id;
  layer = colorize(canvas, shown, model.classes, alone);
  paint();
  byId("all").hidden = alone === null;
  byId("legend").classList.toggle("one", alone !== null);
  for (const button of byId("legend").querySelectorAll("button")) {
    button.setAttribute("aria-pressed", Number(button.value) === alone);
  }
  say(alone === null ? "All classes are shown" : `${model.classes[alone].name} is shown alone`);
}

function idAt(event) {
  const { answer, ids } = shown;
  const box = canvas.getBoundingClientRect();
  const x = Math.floor(((event.clientX - box.left) / box.width) * answer.width);
  const y = Math.floor(((event.clientY - box.top) / box.height) * answer.height);
  return ids[Math.min(answer.height - 1, Math.max(0, y)) * answer.width + Math.min(answer.width - 1, Math.max(0, x))];
}

function point(event) {
  if (!shown || event.pointerType === "touch") return;
  const { name, shown: color } = model.classes[idAt(event)];
  const [swatch, text] = byId("pointed").children;
  paintSwatch(swatch, color);
  text.textContent = name;
  byId("pointed").hidden = false;
}

// Showing

function showBusy(name) {
  const started = performance.now();
  const write = () => {
    const seconds = Math.floor((performance.now() - started) / 1000);
    byId("doing").textContent = seconds < 1 ? "Looking" : `Looking: ${seconds} s`;
  };
  write();
  const clock = setInterval(write, 500);
  byId("busy").hidden = false;
  byId("stage").classList.add("busy");
  byId("stage").setAttribute("aria-busy", "true");
  say(`Looking at ${name || "the photograph"}`);
  return (isLast) => {
    clearInterval(clock);
    if (isLast) hideBusy();
  };
}

function hideBusy() {
  byId("busy").hidden = true;
  byId("stage").classList.remove("busy");
  byId("stage").removeAttribute("aria-busy");
}

// The photograph while the server looks; not at once, since what the server refuses
// within a moment, as 20,000 x 20,000 pixels, no browser should decode.
async function showPreview(file, asked, signal) {
  let isOver = false;
  const end = () => (isOver = true);
  asked.then(end, end);
  await new Promise((resolve) => setTimeout(resolve, 300));
  if (isOver || signal.aborted) return;
  const drawn = await draw(file, null, SCREEN).catch(() => null);
  if (!drawn || isOver || signal.aborted) return;
  setShape(drawn);
  compose(canvas, drawn, null, 0);
  byId("empty").hidden = true;
  byId("picture").hidden = false;
}

// So that the photograph fills the room there is.
function setShape({ width, height }) {
  canvas.style.setProperty("--shape", width / height);
}

function showAnswer(next, isAgain) {
  shown = next;
  alone = isAgain && next.answer.classes[alone]?.pixels ? alone : null;
  layer = colorize(shown.photograph, shown, model.classes, alone);
  byId("stage").classList.add("answered");
  setShape(shown.photograph);
  paint();
  for (const id of ["picture", "panel", "another"]) byId(id).hidden = false;
  for (const id of ["empty", "problem-again"]) byId(id).hidden = true;
  setBoxes(shown.answer);
  fillLegend();
  fillFacts();
  if (!isAgain) byId("heading").focus({ preventScroll: true });
  const seen = present().slice(0, 5).map((each) => `${each.name} ${percent(each.share)}`);
  canvas.setAttribute("aria-label", `The photograph, its classes laid over: ${seen.join(", ")}`);
  say(`Done: ${seen.join(", ")}`);
}

const present = () =>
  shown.answer.classes.filter((each) => each.pixels).sort((a, b) => b.pixels - a.pixels);

function fillLegend() {
  byId("legend").replaceChildren(...present().map(legendRow));
  byId("legend").classList.toggle("one", alone !== null);
  byId("all").hidden = alone === null;
  const absent = shown.answer.classes.filter((each) => !each.pixels);
  byId("absent").hidden = absent.length === 0;
  const [summary, names] = byId("absent").children;
  summary.textContent = absent.length === 1 ? "1 class is not in it" : `${absent.length} classes are not in it`;
  names.textContent = absent.map((each) => each.name).join(", ");
}

function legendRow({ id, name, share }) {
  const make = (tag, kind, text = "") =>
    Object.assign(document.createElement(tag), { className: kind, textContent: text });
  const button = Object.assign(make("button", ""), { type: "button", value: id });
  const swatch = make("span", "swatch"), bar = make("span", "share"), part = document.createElement("i");
  paintSwatch(swatch, model.classes[id].shown);
  part.style.transform = `scaleX(${share})`;
  bar.append(part);
  button.append(swatch, make("span", "name", name), make("span", "number", percent(share)), bar);
  button.setAttribute("aria-pressed", id === alone);
  button.onclick = () => showAlone(id);
  const row = document.createElement("li");
  row.append(button);
  return row;
}

function paintSwatch(swatch, color) {
  const isBare = color === "#000000"; // Its pixels are left as they are.
  swatch.className = isBare ? "swatch bare" : "swatch";
  swatch.style.backgroundColor = isBare ? "" : color;
}

function percent(share) {
  const value = 100 * share;
  if (value < 0.1) return "< 0.1 %";
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} %`;
}

function fillFacts() {
  const { width, height, seen_width, seen_height, seconds, remarks } = shown.answer;
  const sizes = [`${width} × ${height} pixels`];
  if (seen_width !== width) sizes.push(`seen at ${seen_width} × ${seen_height}`);
  sizes.push(`${seconds.toFixed(seconds < 10 ? 1 : 0)} s`);
  byId("facts").textContent = [sizes.join(", "), ...remarks].join("; ");
}

// Arrows in the legend lead from class to class.
function walk(event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const buttons = [...byId("legend").querySelectorAll("button")];
  const next = buttons[buttons.indexOf(document.activeElement) + step];
  if (!step || !next) return;
  event.preventDefault();
  next.focus();
}

function setBoxes(answer) {
  boxes.crf.checked = answer.crf !== null;
  boxes.scales.checked = answer.scales.length > 1;
  boxes.flip.checked = answer.flip;
}

// Back to the empty page.
function clear() {
  shown = layer = alone = null;
  byId("stage").classList.remove("answered");
  for (const id of ["picture", "panel", "another", "problem", "problem-again", "pointed"]) byId(id).hidden = true;
  byId("empty").hidden = false;
}

function fail(error, file, isAgain) {
  const problem = error instanceof Problem ? error : new Problem("This browser cannot show the photograph. Save it as JPEG.");
  if (!isAgain) clear();
  else if (!problem.again) setBoxes(shown.answer);
  tell(problem, file, isAgain);
}

function tell(problem, file = null, isAgain = false) {
  const place = byId(isAgain ? "problem-again" : "problem");
  const [line, button] = place.children;
  line.textContent = problem.message;
  button.hidden = !(problem.again && file);
  button.onclick = () => {
    place.hidden = true;
    look(file);
  };
  place.hidden = false;
}

function say(text) {
  byId("said").textContent = text;
}

// Saving

function save(ending, content, type) {
  const stem = (shown.file.name || "photograph").replace(/\.[^.]*$/, "");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type }));
  link.download = stem + ending;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

// As it is shown, at the photograph's size where a canvas can be as large.
async function saveOverlay() {
  const { file, answer } = shown;
  const photograph = await draw(file, answer, SAVED);
  const target = document.createElement("canvas");
  compose(target, photograph, colorize(photograph, shown, model.classes, alone), opacity());
  target.toBlob((blob) => save("_overlay.png", blob, "image/png"), "image/png");
}

function saveJson() {
  const { mask, ids, photograph, ...facts } = shown.answer;
  const text = JSON.stringify({ file: shown.file.name, ...facts }, null, 1);
  save(".json", `${text}\n`, "application/json");
}

start();
