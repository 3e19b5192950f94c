// Starts the kernel's worker as soon as the page opens, beside the application, which takes over that worker where it would start one.
// The worker asks the page's service worker for files, so that one is registered first, as the application does it afterwards.
(() => {
  const container = navigator.serviceWorker;
  if (!container || crossOriginIsolated) return;
  const run = new URL("./", document.currentScript.src);
  const asked = new URL("WORKER", run).href;
  const Started = window.Worker;
  let waiting = null;
  let late = false;
  window.Worker = new Proxy(Started, {
    construct(target, [url, ...rest]) {
      if (new URL(url, location.href).href !== asked) return new target(url, ...rest);
      const ahead = waiting ?? new target(url, ...rest);
      waiting = null;
      late = true;
      return ahead;
    },
  });
  const start = () => {
    if (late) return;
    waiting = new Started(new URL("static/pyodide/kernel_worker.mjs?VERSION", run), { type: "module" });
  };
  if (container.controller) {
    start();
    return;
  }
  container.addEventListener("controllerchange", start, { once: true });
  container.register(new URL("service-worker.js?enableCache=false", run)).catch(() => {});
})();
