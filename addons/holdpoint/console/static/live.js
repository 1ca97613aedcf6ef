"use strict";
// Keeps an open page up to date. Everything works without it; it decides nothing and sends nothing but "what is new?".
(() => {
  const live = () => document.getElementById("live");
  const started = performance.now();
  let origin = Number(live().dataset.now);
  let begun = started;

  const two = (large, unit, small, smallUnit) => `${large} ${unit}` + (small ? ` ${small} ${smallUnit}` : "");
  function duration(seconds) {
    const s = Math.max(0, Math.floor(seconds));
    if (s < 60) return `${s} s`;
    if (s < 3600) return two(Math.floor(s / 60), "min", s % 60, "s");
    if (s < 86400) return two(Math.floor(s / 3600), "h", Math.floor((s % 3600) / 60), "min");
    return two(Math.floor(s / 86400), "d", Math.floor((s % 86400) / 3600), "h");
  }
  // The server's clock counts, not the reviewer's: only the time since the page was made is measured here.
  function tick() {
    const now = origin + (performance.now() - begun) / 1000;
    for (const time of document.querySelectorAll("time.left")) {
      const left = Number(time.dataset.until) - now;
      time.textContent = left > 0 ? duration(left) : "over";
      time.classList.toggle("soon", left < 60);
    }
  }

  function get(address, type) {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.open("GET", address);
      request.responseType = type;
      request.timeout = 60000;
      request.onload = () => (request.status === 200 ? resolve(request) : reject(request.status));
      request.onerror = request.ontimeout = () => reject(0);
      request.send();
    });
  }

  async function refresh() {
    const answer = await get(live().dataset.address, "document");
    const page = answer.responseXML;
    const fresh = page && page.getElementById("live");
    if (!fresh) {
      location.reload(); // a login page: the session is over
      return;
    }
    const old = live();
    const changed = old.dataset.state !== fresh.dataset.state || old.dataset.intent !== fresh.dataset.intent;
    if (changed) {
      location.reload(); // what is read is not what waits any more
      return;
    }
    const focused = document.activeElement && old.contains(document.activeElement) && document.activeElement.href;
    old.replaceWith(document.adoptNode(fresh));
    document.title = page.title;
    origin = Number(fresh.dataset.now);
    begun = performance.now();
    if (focused) {
      for (const link of fresh.querySelectorAll("a")) if (link.href === focused) link.focus();
    }
    tick();
  }

  const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
  async function follow() {
    for (;;) {
      try {
        const seen = live().dataset.version;
        const answer = await get(`/changes?since=${encodeURIComponent(seen)}`, "json");
        if (answer.response.version !== seen) await refresh();
      } catch (status) {
        if (status === 401) {
          location.reload();
          return;
        }
        await pause(5000);
      }
    }
  }

  tick();
  setInterval(tick, 1000);
  follow();
})();
