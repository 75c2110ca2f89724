// The page: paints with a generator, and identifies the artist of a picture.

import { startEngine } from "./engine.js";
import { drawLabels, drawLatents, slerp } from "./random.js";

const $ = (id) => document.getElementById(id);
const STRIP = 8;
const PAD_REACH = 1.5;
const FRAMES_BETWEEN = 24;
const MAX_SEED = 2 ** 32 - 1;
const HIGHEST_CANDIDATES = 5;

const models = await (await fetch("models.json")).json();
const engine = startEngine(models, (text) => { $("status").textContent = text; });

// What is on the easel; all of it is in the address.
const shown = { model: "", seed: 0, picture: 0, truncation: 1, label: "", x: 0, y: 0 };
let latestJob = 0, inStrip = "", walking = false, kept = false;

const generator = () => models.generators.find((one) => one.name === shown.model);

// The address.

function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  const number = (name, low, high, otherwise) => {
    const value = Number(given.get(name) ?? otherwise);
    return value >= low && value <= high ? value : otherwise;
  };
  const name = given.get("painter");
  shown.model = (models.generators.find((one) => one.name === name) ?? models.generators[0])?.name;
  shown.seed = Math.trunc(number("seed", 0, MAX_SEED, 0));
  shown.picture = Math.trunc(number("picture", 0, STRIP - 1, 0));
  shown.truncation = number("variety", 0.01, 1, 1);
  const label = given.get("class") ?? "";
  shown.label = generator()?.classes.includes(label) ? label : "";
  shown.x = number("x", -1, 1, 0);
  shown.y = number("y", -1, 1, 0);
  return given.has("identify");
}

function writeAddress() {
  const fields = { painter: shown.model, seed: shown.seed };
  if (shown.picture) fields.picture = shown.picture;
  if (shown.truncation !== 1) fields.variety = shown.truncation;
  if (shown.label) fields.class = shown.label;
  if (shown.x || shown.y) Object.assign(fields, { x: shown.x.toFixed(2), y: shown.y.toFixed(2) });
  history.replaceState(null, "", `#${new URLSearchParams(fields)}`);
}

// Painting.

/** Draw floats (3, height, width) in [-1, 1] on a canvas, rounded as in Python. */
function show(canvas, image, { width, height }) {
  const pixels = new ImageData(width, height), size = width * height;
  for (let i = 0; i < size; i++) {
    for (let c = 0; c < 3; c++)
      pixels.data[4 * i + c] = Math.fround(Math.fround(image[c * size + i] + 1) * 127.5);
    pixels.data[4 * i + 3] = 255;
  }
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

const row = (latents, i, size) => latents.slice(i * size, (i + 1) * size);

/** The latents and labels of the strip; Python's `latents` and `labels` of the same seed. */
function stripOf() {
  const { latent_dim: size, classes } = generator();
  const latents = drawLatents(STRIP, size, shown.seed);
  const label = shown.label ? classes.indexOf(shown.label) : null;
  const labels = drawLabels(STRIP, classes.length, label, shown.seed);
  return Array.from({ length: STRIP }, (_, i) => ({
    latent: row(latents, i, size), label: Number(labels[i]) }));
}

/** Move a latent on the pad: towards two other latents of the strip, at the same length. */
function moved(strip) {
  const { latent } = strip[shown.picture];
  if (!shown.x && !shown.y) return latent;
  const across = strip[(shown.picture + 1) % STRIP].latent;
  const down = strip[(shown.picture + 2) % STRIP].latent;
  const [a, b] = [shown.x * PAD_REACH, shown.y * PAD_REACH];
  return latent.map((value, i) => (value + a * across[i] + b * down[i]) / Math.hypot(1, a, b));
}

/** What decides the thumbnails; `inStrip` has it when all of them are painted. */
const wantedStrip = () =>
  JSON.stringify([shown.model, shown.seed, shown.label, shown.truncation]);

async function paint(withStrip = true) {
  const job = ++latestJob, shape = generator(), { name } = shape, strip = stripOf();
  const labels = strip[shown.picture].label;
  writeControls();
  try {
    const image = await engine.paint(name, moved(strip), labels, shown.truncation);
    if (job !== latestJob) return;
    show($("picture"), image, shape);
    $("picture").dataset.done = `${name} ${shown.seed} ${shown.picture}`;
    keepOffline();
    // A job that came between may have left the strip unfinished.
    const wanted = wantedStrip();
    if (!withStrip || wanted === inStrip) return;
    inStrip = "";
    for (let i = 0; i < STRIP; i++) {
      const thumbnail = await engine.paint(name, strip[i].latent, strip[i].label, shown.truncation);
      if (job !== latestJob) return;
      show($("strip").children[i].firstChild, thumbnail, shape);
    }
    inStrip = wanted;
  } catch (error) {
    $("status").textContent = `The picture could not be painted: ${error.message}`;
  }
}

/** Walk through the pictures of the seed and back to the first, as Python's `walk`. */
async function walk() {
  walking = !walking;
  $("walk").setAttribute("aria-pressed", walking);
  if (!walking) return paint();
  const job = ++latestJob, shape = generator(), { name } = shape, strip = stripOf();
  for (let frame = shown.picture * FRAMES_BETWEEN; walking && job === latestJob; frame++) {
    const from = Math.floor(frame / FRAMES_BETWEEN) % STRIP;
    const latent = slerp(strip[from].latent, strip[(from + 1) % STRIP].latent,
      (frame % FRAMES_BETWEEN) / FRAMES_BETWEEN);
    const image = await engine.paint(name, latent, strip[from].label, shown.truncation);
    if (walking && job === latestJob) show($("picture"), image, shape);
    $("picture").dataset.frame = frame;
  }
}

function stopWalking() {
  walking = false;
  $("walk").setAttribute("aria-pressed", "false");
}

function change(fields, withStrip = true) {
  stopWalking();
  Object.assign(shown, fields);
  writeAddress();
  return paint(withStrip);
}

function writeControls() {
  const { classes } = generator();
  $("model").value = shown.model;
  $("class-label").hidden = !classes.length;
  if ($("class").dataset.of !== shown.model) {
    $("class").replaceChildren(new Option("any", ""), ...classes.map((one) => new Option(one)));
    $("class").dataset.of = shown.model;
  }
  $("class").value = shown.label;
  $("seed").value = shown.seed;
  $("truncation").value = shown.truncation;
  $("truncation-value").value = `${Math.round(shown.truncation * 100)} %`;
  $("pad").firstElementChild.style.left = `${50 + 50 * shown.x}%`;
  $("pad").firstElementChild.style.top = `${50 + 50 * shown.y}%`;
  [...$("strip").children].forEach((button, i) =>
    button.setAttribute("aria-pressed", i === shown.picture));
}

function setUpPainting() {
  $("model").replaceChildren(...models.generators.map((one) =>
    new Option(one.title, one.name)));
  $("model-label").hidden = models.generators.length < 2;
  $("strip").replaceChildren(...Array.from({ length: STRIP }, (_, i) => {
    const button = document.createElement("button");
    button.append(document.createElement("canvas"));
    button.setAttribute("aria-label", `Picture ${i + 1} of this seed`);
    button.onclick = () => change({ picture: i, x: 0, y: 0 });
    return button;
  }));
  const random = () => crypto.getRandomValues(new Uint32Array(1))[0];
  $("another").onclick = () => change({ seed: random(), picture: 0, x: 0, y: 0 });
  $("walk").onclick = walk;
  $("save").onclick = () => $("picture").toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${shown.model}-seed-${shown.seed}-${shown.picture}.png`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  });
  $("who").hidden = !models.classifier;
  $("who").onclick = () => $("picture").toBlob((blob) => {
    openTab("identify");
    identify(blob);
  });
  $("model").onchange = () => change({ model: $("model").value, label: "", x: 0, y: 0 });
  $("class").onchange = () => change({ label: $("class").value });
  $("seed").onchange = () => {
    const seed = Math.trunc(Number($("seed").value));
    change({ seed: Math.min(MAX_SEED, Math.max(0, seed || 0)), picture: 0, x: 0, y: 0 });
  };
  $("truncation").onchange = () => change({ truncation: Number($("truncation").value) });
  setUpPad();
}

function setUpPad() {
  let busy = false, next = null;
  const clamp = (value) => Math.min(1, Math.max(-1, value));
  // While one picture is painted, only the last position of the pointer is kept.
  const move = async (x, y) => {
    next = { x: clamp(x), y: clamp(y) };
    if (busy) return;
    busy = true;
    for (; next; ) {
      const fields = next;
      next = null;
      await change(fields, false);
    }
    busy = false;
    if (inStrip !== wantedStrip()) paint(); // a move may have left the strip unfinished
  };
  const follow = (event) => {
    const box = $("pad").getBoundingClientRect();
    move((event.clientX - box.left) / box.width * 2 - 1, (event.clientY - box.top) / box.height * 2 - 1);
  };
  $("pad").onpointerdown = (event) => {
    $("pad").setPointerCapture(event.pointerId);
    follow(event);
  };
  $("pad").onpointermove = (event) => {
    if (event.buttons) follow(event);
  };
  $("pad").onkeydown = (event) => {
    const step = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, -0.1],
      ArrowDown: [0, 0.1] }[event.key];
    if (!step) return;
    event.preventDefault();
    move(shown.x + step[0], shown.y + step[1]);
  };
}

// Identifying.

let heat = null, latestPicture = 0;

async function identify(blob) {
  if (!blob) return;
  const number = ++latestPicture;
  stopCamera();
  $("answer").replaceChildren();
  $("heat").hidden = true;
  delete $("answer").dataset.done;
  URL.revokeObjectURL($("given").src);
  $("given").src = URL.createObjectURL(blob);
  $("given").hidden = false;
  $("drop").querySelector("p").hidden = true;
  let found;
  try {
    found = await engine.identify(blob);
  } catch (error) {
    if (number !== latestPicture) return;
    $("given").hidden = true;
    $("drop").querySelector("p").hidden = false;
    $("answer").replaceChildren(element("p", error.message));
    return;
  }
  if (number !== latestPicture) return;
  heat = found.heat;
  showAnswer(found);
  keepOffline();
}

function element(tag, text = "", name = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  if (name) made.className = name;
  return made;
}

/** Format a probability; never as 100%, which would be a certainty. */
const rounded = (share) => share >= 0.995 ? "over 99%" : `${Math.round(100 * share)}%`;

// The words of the answer are those of the page of Python, in rooms/identify.py.

function showAnswer({ probabilities: givenKnown, knownScore, traits }) {
  const { artists, threshold, about } = models.classifier;
  const none = models.classifier.none ? 1 - knownScore : 0;
  const probabilities = givenKnown.map((value) => value * (1 - none));
  const order = [...artists.keys()].sort((a, b) => probabilities[b] - probabilities[a]);
  const best = order[0];
  const known = models.classifier.none ? probabilities[best] >= none : knownScore >= threshold;
  const percent = (value) => `${(100 * value).toFixed(1)}%`;
  const list = element("ol");
  for (const i of order.slice(0, HIGHEST_CANDIDATES)) {
    const item = element("li"), bar = element("span", "", "bar");
    const button = element("button", artists[i]);
    button.title = "Show the evidence for this artist";
    item.onclick = () => showHeat(i);
    item.dataset.artist = i;
    bar.append(element("i"));
    bar.firstChild.style.width = percent(probabilities[i]);
    item.append(button, element("span", percent(probabilities[i]), "share"), bar,
      element("span", about[artists[i]] ?? "", "line"));
    list.append(item);
  }
  if (models.classifier.none) {
    const item = element("li"), bar = element("span", "", "bar");
    bar.append(element("i"));
    bar.firstChild.style.width = percent(none);
    item.append(element("span", "None of these", "none"), element("span", percent(none), "share"), bar,
      element("span", "An artist that the classifier does not know, or no painting", "line"));
    list.append(item);
  }
  const detail = known
    ? `with a probability of ${rounded(probabilities[best])}`
    : `If it is one of them, most likely ${artists[best]}.` +
      (models.classifier.none ? "" : " The bars share out 100% among the known artists.");
  $("answer").replaceChildren(element("h2", known ? artists[best] : "None of the known artists"),
    element("p", detail), list, traitList(traits));
  $("answer").dataset.done = "yes";
  showHeat(best);
}

/** List the likeliest style, genre and decade, as far as the classifier knows them. */
function traitList(traits) {
  const list = element("dl");
  for (const [name, shares] of Object.entries(traits)) {
    const best = shares.indexOf(Math.max(...shares));
    const value = models.classifier.traits[name][best];
    const pair = element("div");
    pair.append(element("dt", name[0].toUpperCase() + name.slice(1)),
      element("dd", `${value}, ${rounded(shares[best])}`));
    list.append(pair);
  }
  return list;
}

/** Show the evidence for an artist: the picture stays bright where the evidence is strong. */
function showHeat(artist) {
  for (const item of $("answer").querySelectorAll("li"))
    item.setAttribute("aria-current", Number(item.dataset.artist) === artist);
  $("heat").hidden = !heat || !$("show-heat").checked;
  if (!heat) return;
  const { width, height } = heat, size = width * height;
  const values = heat.data.subarray(artist * size, (artist + 1) * size);
  const most = Math.max(...values);
  const pixels = new ImageData(width, height);
  // Without any evidence, nothing is bright.
  values.forEach((value, i) => { pixels.data[4 * i + 3] = 200 * (1 - (most ? value / most : 0)); });
  $("heat").width = width;
  $("heat").height = height;
  $("heat").getContext("2d").putImageData(pixels, 0, 0);
}

function placeHeat() {
  const { clientWidth: width, clientHeight: height } = $("given");
  const short = Math.min(width, height), crop = models.classifier?.fit === "crop";
  $("heat").style.width = `${crop ? short : width}px`;
  $("heat").style.height = `${crop ? short : height}px`;
}

let camera = null;

async function startCamera() {
  try {
    camera = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch {
    $("answer").replaceChildren(element("p", "There is no camera that this page may use."));
    return;
  }
  $("video").srcObject = camera;
  $("video").hidden = $("take").hidden = false;
  $("given").hidden = $("heat").hidden = $("drop").querySelector("p").hidden = true;
  await $("video").play();
}

function stopCamera() {
  camera?.getTracks().forEach((track) => track.stop());
  camera = null;
  $("video").hidden = $("take").hidden = true;
}

async function takePicture() {
  const { videoWidth: width, videoHeight: height } = $("video");
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("2d").drawImage($("video"), 0, 0);
  identify(await canvas.convertToBlob({ type: "image/png" }));
}

function setUpIdentifying() {
  if (!models.classifier) {
    $("tab-identify").hidden = true;
    return;
  }
  const drop = $("drop");
  drop.onclick = () => { if (!camera) $("file").click(); };
  drop.onkeydown = (event) => { if (["Enter", " "].includes(event.key)) $("file").click(); };
  $("file").onchange = () => {
    identify($("file").files[0]);
    $("file").value = ""; // or the same file, chosen again, would be no change
  };
  drop.ondragover = (event) => { event.preventDefault(); drop.classList.add("over"); };
  drop.ondragleave = () => drop.classList.remove("over");
  drop.ondrop = (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    identify(event.dataTransfer.files[0]);
  };
  document.onpaste = (event) => {
    const picture = [...event.clipboardData.files].find((file) => file.type.startsWith("image/"));
    if (!picture) return;
    openTab("identify");
    identify(picture);
  };
  $("camera").hidden = !navigator.mediaDevices?.getUserMedia;
  $("camera").onclick = startCamera;
  $("take").onclick = takePicture;
  $("show-heat").onchange = () => { $("heat").hidden = !heat || !$("show-heat").checked; };
  $("show-heat").parentElement.hidden = !models.classifier.heat;
  new ResizeObserver(placeHeat).observe($("given"));
}

// The page.

function openTab(name) {
  for (const tab of ["paint", "identify"]) {
    $(tab).hidden = tab !== name;
    $(`tab-${tab}`).setAttribute("aria-selected", tab === name);
  }
  if (name !== "identify") stopCamera();
}

function writeAbout() {
  $("about").replaceChildren(
    element("p", "Trained on: " + models.generators.map((one) => `${one.title}: ${one.about}`)
      .join("; ") + ". The networks are small and make mistakes; do not use them to attribute " +
      "paintings. Their model cards are in the folder models/ of this page."));
}

/** After the first picture, keep all files in the browser, so that the page works offline. */
async function keepOffline() {
  if (kept || !navigator.serviceWorker) return;
  kept = true;
  try {
    await navigator.serviceWorker.register("service-worker.js");
    const { active } = await navigator.serviceWorker.ready;
    navigator.serviceWorker.onmessage = ({ data }) => { document.body.dataset.offline = data.kept; };
    const { files } = await engine.describe();
    const page = ["./", "index.html", "style.css", "page.js", "engine.js", "worker.js", "random.js",
      "pictures.js", "models.json"];
    const classifier = models.classifier ? [`${models.classifier.folder}/classifier.onnx`] : [];
    active.postMessage({ keep: [...new Set([...page, ...files, ...classifier])] });
  } catch { /* without a service worker the page works, but needs its server */ }
}

$("tab-paint").onclick = () => openTab("paint");
$("tab-identify").onclick = () => openTab("identify");
window.onhashchange = () => { readAddress(); stopWalking(); paint(); };
setUpIdentifying();
writeAbout();
const wantsToIdentify = readAddress();
if (models.generators.length) {
  setUpPainting();
  paint();
} else $("tab-paint").hidden = true;
if (wantsToIdentify || !models.generators.length) openTab("identify");
