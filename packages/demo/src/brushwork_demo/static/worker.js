// Runs the networks with onnxruntime-web: WebGPU where there is one, WebAssembly elsewhere.

import { decode, toSquare } from "./pictures.js";

let models, ort, provider;
const sessions = new Map();
const files = new Set();

async function useWasm() {
  ort = await import("./ort/ort.wasm.min.mjs");
  provider = "wasm";
  configure("ort.wasm.min.mjs", "ort-wasm-simd-threaded");
}

async function useWebGpu() {
  ort = await import("./ort/ort.webgpu.min.mjs");
  provider = "webgpu";
  configure("ort.webgpu.min.mjs", "ort-wasm-simd-threaded.asyncify");
}

function configure(module, binary) {
  const place = new URL("ort/", import.meta.url).href;
  ort.env.wasm.wasmPaths = place;
  // Threads share memory, which browsers allow only to pages with certain headers.
  ort.env.wasm.numThreads = self.crossOriginIsolated
    ? Math.min(navigator.hardwareConcurrency || 1, 8) : 1;
  ort.env.logLevel = "error";
  for (const name of [module, `${binary}.mjs`, `${binary}.wasm`]) files.add(`ort/${name}`);
}

async function start(given) {
  models = given;
  let adapter = null;
  try {
    adapter = await navigator.gpu?.requestAdapter();
  } catch { /* no WebGPU */ }
  // A fallback adapter computes on the CPU, slower than WebAssembly.
  if (adapter && !(adapter.info?.isFallbackAdapter ?? adapter.isFallbackAdapter)) await useWebGpu();
  else await useWasm();
}

/** Read a file of the page, and tell the page how much is there. */
async function read(path) {
  const response = await fetch(new URL(path, import.meta.url));
  if (!response.ok) throw new Error(`cannot load ${path} (${response.status})`);
  const total = Number(response.headers.get("content-length")), parts = [];
  let loaded = 0;
  for (const reader = response.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    loaded += value.length;
    const share = total ? ` ${Math.min(100, Math.round((100 * loaded) / total))} %` : "";
    postMessage({ progress: `Loading ${path.split("/").at(-2)}${share}` });
  }
  files.add(path);
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

function open(path, executionProvider) {
  const key = `${executionProvider} ${path}`;
  if (!sessions.has(key)) {
    const opening = read(path).then((model) => {
      postMessage({ progress: `Starting ${path.split("/").at(-2)}` });
      return ort.InferenceSession.create(model, { executionProviders: [executionProvider] });
    });
    opening.catch(() => sessions.delete(key));
    sessions.set(key, opening);
  }
  return sessions.get(key);
}

/** Run a network; if WebGPU fails, continue with WebAssembly. */
async function run(path, makeInputs, onGpu = true) {
  try {
    const session = await open(path, onGpu ? provider : "wasm");
    return await session.run(makeInputs());
  } catch (error) {
    if (provider !== "webgpu") throw error;
    sessions.clear();
    await useWasm();
    return run(path, makeInputs);
  } finally {
    postMessage({ progress: "" });
  }
}

async function paint(name, latent, label, truncation) {
  const generator = models.generators.find((one) => one.name === name);
  const size = generator.latent_dim;
  let inputs = () => ({
    inputs: new ort.Tensor("float32", latent.map((value) => value * truncation), [1, size]),
  });
  if (generator.num_levels) {
    const found = await run(`${generator.folder}/styles.onnx`, () => ({
      z: new ort.Tensor("float32", latent, [1, size]),
      y: new ort.Tensor("int64", BigInt64Array.of(BigInt(label)), [1]),
      truncation: new ort.Tensor("float32", Float32Array.of(truncation), []),
    }), false);
    const styles = found.styles.data.slice();
    inputs = () => ({
      inputs: new ort.Tensor("float32", styles, [1, generator.num_levels, size]),
    });
  }
  const { images } = await run(`${generator.folder}/generator.onnx`, inputs);
  return images.data.slice();
}

async function identify(blob) {
  const { folder, side, fit, traits } = models.classifier;
  const square = toSquare(await decode(blob), side, fit);
  const found = await run(`${folder}/classifier.onnx`, () => ({
    squares: new ort.Tensor("uint8", new Uint8Array(square.buffer), [1, side, side, 3]),
  }));
  const [, , height, width] = found.heat?.dims ?? [];
  return {
    probabilities: found.probabilities.data.slice(),
    knownScore: found.known_score.data[0],
    // Graphs that were exported by earlier versions have no style, genre and decade.
    traits: Object.fromEntries(Object.keys(traits).filter((name) => found[name])
      .map((name) => [name, found[name].data.slice()])),
    heat: found.heat ? { data: found.heat.data.slice(), height, width } : null,
  };
}

const describe = () => ({ provider, threads: ort.env.wasm.numThreads, files: [...files] });

// One request after the other: onnxruntime's sessions run one at a time.
let last = Promise.resolve();
onmessage = ({ data: { number, operation, args } }) => {
  last = last.then(async () => {
    try {
      postMessage({ number, result: await { start, paint, identify, describe }[operation](...args) });
    } catch (error) {
      postMessage({ number, error: error?.message ?? String(error) });
    }
  });
};
