// The models of the page, which compute in a worker, so that the page never freezes.

/** Start the worker. `progress(text)` is called with what it loads, and with "" when it is done. */
export function startEngine(models, progress = () => {}) {
  const worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  const waiting = new Map();
  let number = 0;
  worker.onmessage = ({ data }) => {
    if (data.progress !== undefined) return progress(data.progress);
    const { resolve, reject } = waiting.get(data.number);
    waiting.delete(data.number);
    if (data.error !== undefined) reject(new Error(data.error));
    else resolve(data.result);
  };
  worker.onerror = (event) => {
    for (const { reject } of waiting.values()) reject(new Error(event.message || "worker failed"));
    waiting.clear();
  };
  const call = (operation, ...args) =>
    new Promise((resolve, reject) => {
      waiting.set(++number, { resolve, reject });
      worker.postMessage({ number, operation, args });
    });
  call("start", models).catch((error) => progress(String(error.message)));
  return {
    /** Paint one picture: floats (3, height, width) in [-1, 1] of a latent and a class number. */
    paint: (name, latent, label, truncation) => call("paint", name, latent, label, truncation),
    /** Identify a picture's artist: { probabilities, knownScore, traits: {style: ...}, heat:
     * {data, height, width} }. */
    identify: (blob) => call("identify", blob),
    /** What computes: { provider: "webgpu" or "wasm", threads, files }. */
    describe: () => call("describe"),
  };
}
