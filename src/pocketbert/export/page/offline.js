// Keep the files of this folder, so that the page opens without a network. VERSION and FILES stand above, written at export.

const CACHE = `pocketbert ${registration.scope} ${VERSION}`;
const url = (path) => new URL(path, registration.scope).href;
const KEPT = new Map([...FILES, ""].map((path) => [url(path), url(path || "index.html")]));

self.addEventListener("install", (event) => {
  // What was fetched before this worker came: small files. The large ones come through it, and are kept as they come.
  const small = SMALL.map((path) => new Request(url(path), { cache: "no-cache" }));
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(small)).then(() => skipWaiting()));
});

self.addEventListener("activate", (event) => {
  const old = (name) => name.startsWith(`pocketbert ${registration.scope} `) && name !== CACHE;
  event.waitUntil(
    caches.keys().then((names) => Promise.all(names.filter(old).map((name) => caches.delete(name)))).then(() => clients.claim()),
  );
});

self.addEventListener("fetch", (event) => {
  const asked = new URL(event.request.url);
  const key = KEPT.get(asked.origin + asked.pathname);
  if (event.request.method === "GET" && key) event.respondWith(keep(key));
});

async function keep(key) {
  const cache = await caches.open(CACHE);
  const kept = await cache.match(key);
  if (kept) return kept;
  const fresh = await fetch(key, { cache: "no-cache" });
  // Where the browser has no room for it, it is fetched anew each time.
  if (fresh.ok) await cache.put(key, fresh.clone()).catch((error) => console.warn(`not kept: ${key}`, error));
  return fresh;
}
