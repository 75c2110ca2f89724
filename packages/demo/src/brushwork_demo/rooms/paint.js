// The Paint room in the browser. A picture is its recipe: painter, seed, truncation, stage, label.
// Gradio passes: element, trigger, props, server.

const $ = (selector) => element.querySelector(selector);
const painters = {__proto__: null, ...Object.fromEntries(props.painters.map((one) => [one.name, one]))};
const FIELDS = ["painter", "seed", "truncation", "stage", "label"];
const MOST_IN_STRIP = 60;
const PLACE = /@(-?\d(?:\.\d+)?),(-?\d(?:\.\d+)?)$/; // of the pad, at the end of a latent
const still = matchMedia("(prefers-reduced-motion: reduce)").matches;

const opening = (name) =>
  ({painter: name, seed: painters[name].seed, truncation: props.truncation});
const query = (recipe) =>
  new URLSearchParams(FIELDS.filter((f) => recipe[f]).map((f) => [f, recipe[f]])).toString();
const recipeOf = (text) => {
  const given = Object.fromEntries(new URLSearchParams(text));
  return Object.fromEntries(FIELDS.filter((f) => given[f]).map((f) => [f, given[f]]));
};
const randomSeed = () => String(Math.floor(Math.random() * 1e6));

const seen = new Map(); // query -> {src, alt, which}, or the promise of it
for (const name in painters) seen.set(query(opening(name)), props.covers[name]);
let current = opening(props.painters[0].name);
let shown = current; // the recipe of the large picture
let mixing = null;
const used = new Map(); // variations already shown of each picture
window.brushworkKept ||= [];

// Asking the server.

function say(text) {
  $("#message").textContent = text;
}

async function call(name, value) {
  const answer = await server[name](value).catch(() => {});
  if (answer) return answer; // Gradio returns nothing if it cannot reach the server
  throw new Error("The server does not answer or is busy. Try again in a moment.");
}

async function load(recipes, before) {
  await before?.catch(() => {});
  const answer = await call("show", recipes);
  if (!answer.error) return answer;
  if (recipes.length == 1) throw new Error(answer.error);
  // One wrong recipe must not take the others with it.
  return recipes.map(async (recipe) => (await load([recipe]))[0]);
}

// The promises of the pictures; 16 at a time are painted.
function ask(recipes) {
  const missing = recipes.filter((one) => !seen.has(query(one)));
  for (let i = 0, loading; i < missing.length; i += 16) {
    const part = missing.slice(i, i + 16);
    loading = load(part, loading);
    part.map(query).forEach((text, n) => {
      const picture = loading.then((answer) => answer[n]);
      picture.catch(() => seen.delete(text));
      seen.set(text, picture);
    });
  }
  const pictures = recipes.map((recipe) => seen.get(query(recipe)));
  while (seen.size > 400) seen.delete(seen.keys().next().value);
  return pictures;
}

async function working(task) {
  const figure = $(".picture");
  figure.setAttribute("aria-busy", "true");
  try {
    return await task();
  } catch (error) {
    say(error.message);
  } finally {
    figure.removeAttribute("aria-busy");
  }
}

// The large picture. While one is painted, only the latest of the later ones is remembered.

let next = null;
let painting = null; // a promise until no picture is wanted any more

function draw(recipe) {
  if (query(recipe) != query(current)) trigger("moved");
  current = next = recipe;
  describe();
  painting ||= paintNext();
}

async function paintNext() {
  while (next) {
    const wanted = next;
    next = null;
    await working(async () => {
      const picture = await ask([wanted])[0];
      shown = wanted;
      $("#picture").src = picture.src;
      $("#picture").alt = picture.alt;
      $("#which").textContent = picture.which;
      entitle();
    });
  }
  painting = null;
  if (query(shown) != query(current)) { // an error: the picture stays, and so does its recipe
    const failed = location.search == "?" + query(current);
    current = shown;
    if (failed) history.replaceState(history.state, "", "?" + query(current));
    describe();
  }
}

function describe() {
  const painter = painters[current.painter];
  const title = current.label && painter.classes.includes(current.label)
    ? "In the manner of " + current.label : painter.title;
  $("#what").textContent = title;
  $("#seed").value = current.seed;
  $("#variety").value = current.truncation || 1;
  $("#class-row").hidden = !painter.classes.length;
  if ($("#class").dataset.painter != painter.name) {
    $("#class").dataset.painter = painter.name;
    $("#class").replaceChildren(
      ...[["", "everything"], ...painter.classes.map((c) => [c, c])].map(([v, t]) => new Option(t, v)));
  }
  $("#class").value = current.label || "";
  const stages = painter.epochs.length;
  $("#stage-row").hidden = stages < 2;
  $("#stage").max = stages;
  $("#stage").value = current.stage || stages;
  $("#stage-text").textContent =
    `Training, after ${painter.epochs[(current.stage || stages) - 1]} of ${painter.epochs.at(-1)} epochs`;
  for (const card of element.querySelectorAll("[data-painter][role=radio]")) {
    const chosen = card.dataset.painter == current.painter;
    card.setAttribute("aria-checked", chosen);
    card.tabIndex = chosen ? 0 : -1;
  }
  const [, x, y] = current.seed.match(PLACE) || [0, 0, 0];
  $("#pad i").style.transform = `translate(${50 * x}cqw, ${-50 * y}cqh)`;
  $("#pad").setAttribute("aria-valuenow", x);
  $("#pad").setAttribute("aria-valuetext",
    x || y ? `${Math.round(100 * x)} % across, ${Math.round(100 * y)} % up` : "in the middle");
  props.value = query(current);
  mark();
}

function entitle() {
  const tab = document.querySelector(`#tabs [role=tab][data-tab-id="${room()}"]`);
  document.title = (room() == "paint"
    ? `${$("#what").textContent}, ${$("#which").textContent}` : tab?.textContent.trim()) + " · brushwork";
}

// The address and the browser's history.

const room = () => new URLSearchParams(location.search).get("room") || "paint";

async function remember() {
  const address = "?" + query(current);
  await painting; // a picture that is refused has no place in the history
  if (address != "?" + query(current) || room() != "paint" || location.search == address) return;
  history.pushState({depth: depth() + 1}, "", address);
  $("#back").disabled = !depth();
}

const depth = () => history.state?.depth || 0;

function open(recipe) {
  setMixing(null);
  draw(recipe); // from now on it is the current one
  remember();
  add([recipe]);
}

function chooseTab(name) {
  const tab = document.querySelector(`#tabs [role=tab][data-tab-id="${name}"]`);
  if (tab && tab.getAttribute("aria-selected") != "true") tab.click();
}

function readAddress() {
  const given = recipeOf(location.search);
  if (room() == "paint" && (given.seed || given.painter)) {
    given.painter ||= props.painters[0].name;
    if (!painters[given.painter]) {
      say("This link names a painter that this page does not have.");
    } else {
      if (!given.seed) Object.assign(given, {...opening(given.painter), ...given});
      draw(given);
      add([given]);
    }
  }
  $("#back").disabled = !depth();
  chooseTab(room());
  entitle();
}

addEventListener("popstate", readAddress);
addEventListener("brushwork:room", (event) => {
  if (event.detail == room()) return;
  const address = event.detail == "paint" ? query(current) : "room=" + event.detail;
  history.pushState({depth: depth() + 1}, "", "?" + address);
  entitle();
});

// The strips: one stop for the keyboard each, arrow keys inside.

async function add(recipes) {
  const strip = $("#strip");
  const isNew = (recipe) => ![...strip.children].some((one) => one.dataset.recipe == query(recipe));
  const fresh = recipes.filter(isNew);
  if (!fresh.length) return mark();
  await working(async () => {
    const pictures = await Promise.all(ask(fresh));
    fresh.forEach((recipe, n) => { // another call may have added it meanwhile
      if (isNew(recipe)) strip.append(thumbnail(query(recipe), pictures[n]));
    });
    while (strip.children.length > MOST_IN_STRIP) strip.firstChild.remove();
    mark();
  });
}

function thumbnail(text, {src, alt}) {
  const button = document.createElement("button");
  const image = new Image(96, 96);
  Object.assign(image, {src, alt});
  Object.assign(button, {type: "button", tabIndex: -1});
  button.setAttribute("role", "option");
  button.dataset.recipe = text;
  button.append(image);
  return button;
}

function mark() {
  const text = query(current);
  for (const strip of element.querySelectorAll(".strip")) {
    let stop = null;
    for (const one of strip.children) {
      const chosen = one.dataset.recipe == text;
      one.setAttribute("aria-selected", chosen);
      one.tabIndex = -1;
      if (chosen) stop = one;
    }
    if (stop) strip.scrollTo({left: stop.offsetLeft - strip.clientWidth / 2 + 48});
    if (strip.children.length) (stop || strip.firstChild).tabIndex = 0;
  }
  const kept = window.brushworkKept.includes(text);
  $("#keep").setAttribute("aria-pressed", kept);
  $("#keep").textContent = kept ? "♥ Kept" : "♡ Keep";
}

function arrows(strip, choose) {
  strip.addEventListener("keydown", (event) => {
    const step = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
    const all = [...strip.querySelectorAll("button")];
    let at = all.indexOf(document.activeElement);
    if (event.key == "Home") at = 0;
    else if (event.key == "End") at = all.length - 1;
    else if (step) at = (at + step + all.length) % all.length;
    else return;
    event.preventDefault();
    all[at].focus();
    if (!mixing) choose(all[at]);
  });
  strip.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) choose(button);
  });
}

for (const strip of [$("#strip"), $("#kept")]) {
  arrows(strip, (button) => {
    const recipe = recipeOf(button.dataset.recipe);
    if (mixing) mix(recipe);
    else open(recipe);
  });
}
arrows($(".cards"), (card) => {
  if (card.dataset.painter == current.painter) return;
  open(opening(card.dataset.painter));
});

async function fillShelf() {
  const kept = window.brushworkKept;
  const known = kept.filter((text) => painters[recipeOf(text).painter]);
  const answers = await Promise.allSettled(ask(known.map(recipeOf)));
  if (kept != window.brushworkKept) return; // a later call fills it
  const thumbnails = known.flatMap((text, n) =>
    answers[n].value ? [thumbnail(text, answers[n].value)] : []);
  $("#kept").replaceChildren(...thumbnails);
  $("#shelf").hidden = !thumbnails.length;
  mark();
  if (thumbnails.length == kept.length || $("#message").textContent) return;
  const refused = answers.find((one) => one.reason);
  say("Some kept pictures are left out: "
    + (refused ? refused.reason.message : "this page does not have their painter."));
}
addEventListener("brushwork:kept", fillShelf);

// What can be done with a picture.

const click = (id, action) => $(id).addEventListener("click", action);

click("#another", () => open({...current, seed: randomSeed()}));
click("#back", () => history.back());
click("#keep", () => trigger("keep"));
click("#like", async () => {
  const first = used.get(query(current)) || 0;
  used.set(query(current), first + 6);
  setMixing(null);
  say("Six variations are in the strip.");
  const base = current;
  const stem = base.seed.replace(/(@[^,]*,-?\d)$/, "$1.0"); // or the variation would be read as a fraction
  await add([base, ...Array.from({length: 6}, (_, n) => ({...base, seed: `${stem}.${first + n + 1}`}))]);
  lastAdded(6);
});
function setMixing(recipe) {
  mixing = recipe;
  $("#mix").setAttribute("aria-pressed", !!mixing);
  say(mixing ? "Choose a second picture in the strip." : "");
}
click("#mix", () => setMixing(mixing ? null : current));
element.addEventListener("keydown", (event) => {
  if (event.key == "Escape" && mixing) setMixing(null);
});

async function mix(other) {
  const one = mixing;
  if (query(other) == query(one)) return say("Choose a different picture.");
  if (query({...other, seed: one.seed}) != query(one))
    return say("Choose a picture by the same painter, with the same variety, artist and training.");
  setMixing(null);
  const between = [0.2, 0.35, 0.5, 0.65, 0.8].map(
    (share) => ({...one, seed: `(${one.seed}~${other.seed}*${share})`}));
  await add(between);
  open(between[2]);
  say("From the first picture to the second.");
}

click("#stroll", async () => {
  const end = randomSeed();
  const steps = Array.from({length: 8}, (_, n) =>
    n == 7 ? {...current, seed: end} : {...current, seed: `(${current.seed}~${end}*${(n + 1) / 8})`});
  setMixing(null);
  say("A walk to another picture.");
  await add(steps);
  if (!still) {
    for (const step of steps) {
      draw(step);
      await new Promise((done) => setTimeout(done, 160));
      if (current != step) return; // somebody chose another picture, which stays
    }
  }
  open(steps[7]);
});

function lastAdded(num) {
  const strip = $("#strip");
  strip.children[strip.children.length - num]?.focus({preventScroll: true});
  strip.scrollTo({left: strip.scrollWidth});
}

click("#share", async () => {
  const url = location.origin + location.pathname + "?" + query(current);
  try {
    if (navigator.share && matchMedia("(pointer: coarse)").matches) await navigator.share({url});
    else await navigator.clipboard.writeText(url).then(() => say("The link is copied."));
  } catch {
    say(url);
  }
});

function download(answer, name) {
  if (answer.error) return say(answer.error);
  const link = document.createElement("a");
  Object.assign(link, {href: answer.src, download: name});
  link.click();
}
click("#save", () => working(async () => download(await call("save", current), "brushwork.png")));
click("#sheet", () => working(async () => {
  const recipes = [...$("#kept").children].map((one) => recipeOf(one.dataset.recipe));
  download(await call("sheet", recipes), "brushwork-sheet.jpeg");
}));

// The pad and the sliders: the picture follows; the address changes when the hand stops.

const pad = $("#pad");
let origin = "";

function move(x, y) {
  const clamp = (value) => Math.max(-1, Math.min(1, value)).toFixed(2);
  [x, y] = [clamp(x), clamp(y)];
  const seed = +x || +y ? `${origin}@${+x},${+y}` : origin;
  draw({...current, seed});
}
const hold = () => (origin = current.seed.replace(PLACE, ""));
const settle = () => {
  remember();
  add([current]);
};
function follow(event) {
  const box = pad.getBoundingClientRect();
  move(2 * (event.clientX - box.left) / box.width - 1, 1 - 2 * (event.clientY - box.top) / box.height);
}
pad.addEventListener("pointerdown", (event) => {
  pad.setPointerCapture(event.pointerId);
  hold();
  follow(event);
});
pad.addEventListener("pointermove", (event) => {
  if (pad.hasPointerCapture(event.pointerId)) follow(event);
});
pad.addEventListener("pointerup", settle);
pad.addEventListener("keydown", (event) => {
  const step = {ArrowRight: [0.1, 0], ArrowLeft: [-0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1]}[event.key];
  if (!step) return;
  event.preventDefault();
  hold();
  const [, x, y] = current.seed.match(PLACE) || [0, 0, 0];
  move(+x + step[0], +y + step[1]);
});
pad.addEventListener("keyup", settle);

for (const [id, field] of [["#variety", "truncation"], ["#stage", "stage"]]) {
  $(id).addEventListener("input", (event) => {
    const last = field == "stage" && event.target.value == event.target.max;
    draw({...current, [field]: last ? "" : event.target.value});
  });
  $(id).addEventListener("change", settle);
}
$("#class").addEventListener("change", (event) => open({...current, label: event.target.value}));
$("#seed").addEventListener("change", (event) => open({...current, seed: event.target.value.trim() || "0"}));

describe();
add([current]);
fillShelf();
readAddress();
// Gradio ignores a value that is set while this script runs for the first time.
setTimeout(() => (props.value = query(current)), 0);
