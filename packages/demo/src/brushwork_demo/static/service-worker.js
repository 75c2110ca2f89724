// Keeps the page's files, so that it works without a network after it was loaded once.
//
// It also adds the two headers without which browsers allow no threads. So a page that was loaded
// before is faster, also where the server cannot send these headers.

const CACHE = "brushwork-VERSION";  // the export replaces VERSION by a digest of all files

self.addEventListener("install", () => self.skipWaiting());

self.addEventListener("activate", (event) => {
  event.waitUntil((async () => {
    for (const name of await caches.keys())
      if (name.startsWith("brushwork-") && name !== CACHE) await caches.delete(name);
    await self.clients.claim();
  })());
});

// The page sends the files that it uses, once it has painted.
self.addEventListener("message", (event) => {
  event.waitUntil((async () => {
    const cache = await caches.open(CACHE);
    for (const file of event.data.keep) {
      const url = new URL(file, self.registration.scope).href;
      if (!(await cache.match(url))) await cache.add(url);
    }
    event.source.postMessage({ kept: event.data.keep.length });
  })());
});

self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (event.request.method !== "GET" || !url.href.startsWith(self.registration.scope)) return;
  event.respondWith((async () => {
    const cache = await caches.open(CACHE);
    const plain = url.origin + url.pathname;
    let response = await cache.match(plain);
    if (!response) {
      response = await fetch(event.request);
      if (response.status === 200) await cache.put(plain, response.clone());
    }
    if (response.status !== 200) return response;
    const headers = new Headers(response.headers);
    headers.set("Cross-Origin-Opener-Policy", "same-origin");
    headers.set("Cross-Origin-Embedder-Policy", "require-corp");
    return new Response(response.body, { status: 200, headers });
  })());
});
