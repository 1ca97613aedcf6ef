"use strict";
// Keeps an open page up to date. Everything works without it; it decides nothing and sends nothing but "what is new?".
(() => {
  const byId = (id) => document.getElementById(id);
  const live = () => byId("live");
  const SLOW = 15000; // milliseconds between two questions where there is no stream of events
  const CALM = 1000; // at least so long between two looks, however often something changes
  const RETRY = 5000; // until the next look where one failed
  const HOLD = 1200; // the buttons rest so long after what is read was exchanged: no click meets another text

  // ---- time left: the server's clock counts, only the time since the page was made is measured here
  let origin = live() ? Number(live().dataset.now) : 0;
  let begun = performance.now();
  const two = (large, unit, small, smallUnit) => `${large} ${unit}` + (small ? ` ${small} ${smallUnit}` : "");
  function duration(seconds) {
    const s = Math.max(0, Math.floor(seconds));
    if (s < 60) return `${s} s`;
    if (s < 3600) return two(Math.floor(s / 60), "min", s % 60, "s");
    if (s < 86400) return two(Math.floor(s / 3600), "h", Math.floor((s % 3600) / 60), "min");
    return two(Math.floor(s / 86400), "d", Math.floor((s % 86400) / 3600), "h");
  }
  function tick() {
    const now = origin + (performance.now() - begun) / 1000;
    for (const time of document.querySelectorAll("time.left")) {
      const left = Number(time.dataset.until) - now;
      const text = left > 0 ? duration(left) : "over";
      if (time.textContent !== text) time.textContent = text;
      time.classList.toggle("soon", left < 60);
    }
  }

  // ---- what is new
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
  const say = (text) => { if (byId("say")) byId("say").textContent = text; };
  function count(waiting, more) {
    const badge = byId("badge");
    const text = more ? `${waiting}+` : String(waiting);
    badge.hidden = !waiting;
    if (badge.textContent !== text && waiting) say(`${text} need you`);
    badge.textContent = text;
    const title = document.title.replace(/^\(\d+\+?\) /, "");
    document.title = waiting ? `(${text}) ${title}` : title;
  }
  const typed = () => [...document.querySelectorAll("main textarea, main input:not([type=hidden])")]
    .some((field) => field.value !== field.defaultValue);
  const busy = () => {
    const at = document.activeElement;
    return typed() || Boolean(at && at.closest("main form"));
  };

  function over() {
    if (!typed()) {
      location.reload(); // leads to the login
      return;
    }
    stop();
    tell("Your session is over. Copy what you wrote before you log in again.", () => location.reload());
  }
  function tell(text, act) {
    const box = byId("changed");
    if (!box) return;
    box.querySelector("span").textContent = text;
    box.querySelector("button").onclick = act;
    box.hidden = false;
  }
  function rest(milliseconds) {
    const buttons = [...document.querySelectorAll("#decide .buttons button")];
    for (const button of buttons) button.disabled = true;
    if (milliseconds) setTimeout(() => { for (const button of buttons) button.disabled = false; }, milliseconds);
  }
  function exchange(old, fresh) {
    const focused = document.activeElement && old.contains(document.activeElement) ? document.activeElement : null;
    const shut = new Set([...old.querySelectorAll("details")].map((d, i) => (d.open ? i : -1)));
    old.replaceWith(document.adoptNode(fresh));
    [...fresh.querySelectorAll("details")].forEach((d, i) => { if (shut.has(i)) d.open = true; });
    if (focused && focused.href) {
      for (const link of fresh.querySelectorAll("a")) if (link.href === focused.href) link.focus();
    }
  }
  function clock(fresh) {
    origin = Number(fresh.dataset.now);
    begun = performance.now();
    tick();
  }
  function swapAll(page) {
    // What is read and the form that decides on it are exchanged together, what was typed stays.
    const kept = new Map([...document.querySelectorAll("main textarea")].map((field) => [field.id, field.value]));
    const main = page.getElementById("main");
    exchange(byId("main"), main);
    for (const [id, value] of kept) if (byId(id) && value) byId(id).value = value;
    document.title = page.title;
    rest(HOLD);
    clock(live());
  }

  async function refresh() {
    const old = live();
    if (!old || old.dataset.page === "calm") {
      if (old) tell("Something changed since you opened this page.", () => location.reload());
      const answer = await get("/badge", "json");
      count(answer.response.waiting, answer.response.more);
      return;
    }
    const page = (await get(old.dataset.address, "document")).responseXML;
    const fresh = page && page.getElementById("live");
    if (!fresh || fresh.dataset.page !== old.dataset.page) {
      over();
      return;
    }
    if (old.dataset.page === "list") {
      const waiting = Number(fresh.dataset.waiting);
      exchange(old, fresh);
      clock(fresh);
      count(waiting, false);
      return;
    }
    const other = ["state", "read", "tried"].some((name) => old.dataset[name] !== fresh.dataset[name]);
    if (!other) {
      exchange(old, fresh);
      clock(fresh);
    } else if (!busy()) {
      swapAll(page);
      say(fresh.dataset.state === "pending" ? "What you read changed" : `This request is ${fresh.dataset.state}`);
    } else {
      rest(0); // what is on the screen is not what waits any more: it cannot be decided from here
      const text = fresh.dataset.state !== old.dataset.state
        ? `This request is ${fresh.dataset.state} now.`
        : "What is asked, or what it would change, is not what you opened.";
      tell(text, () => swapAll(page));
      old.dataset.version = fresh.dataset.version;
    }
    const answer = await get("/badge", "json");
    count(answer.response.waiting, answer.response.more);
  }

  // ---- when to look: a stream of events, or a question now and then
  let source = null;
  let timer = 0;
  let shown = live() ? live().dataset.version : "";
  let looking = false;
  let next = ""; // what changed while a look was under way
  async function look(version) {
    if (version === shown) return;
    if (looking) {
      next = version;
      return;
    }
    looking = true;
    try {
      await refresh();
      shown = version;
    } catch (status) {
      if (status === 401) over();
      else if (!next) setTimeout(look, RETRY, version);
    }
    setTimeout(() => {
      looking = false;
      const version = next;
      next = "";
      if (version) look(version);
    }, CALM);
  }
  async function ask() {
    try {
      await look((await get("/changes", "json")).response.version);
    } catch (status) {
      if (status === 401) over();
    }
  }
  function slowly() {
    if (source) source.close();
    source = null;
    if (!timer) timer = setInterval(ask, SLOW);
  }
  function stop() {
    if (source) source.close();
    clearInterval(timer);
    source = null;
    timer = -1;
  }
  function follow() {
    if (!window.EventSource) {
      slowly();
      return;
    }
    clearInterval(timer);
    timer = 0;
    source = new EventSource(`/events?since=${encodeURIComponent(shown)}`);
    source.addEventListener("change", (event) => look(event.data));
    source.addEventListener("bye", (event) => {
      slowly(); // too many pages of one login are open, or the login is over
      if (event.data === "login") over();
    });
    source.onerror = () => {
      if (source && source.readyState === 2) {
        slowly();
        ask();
      }
    };
  }
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible" && !source && timer >= 0) follow();
  });
  window.addEventListener("pagehide", () => { if (source) source.close(); source = null; });
  window.addEventListener("pageshow", (event) => { if (event.persisted) follow(); });

  if (live() === null || live().dataset.page !== "list") {
    get("/badge", "json").then((answer) => count(answer.response.waiting, answer.response.more), () => {});
  }
  tick();
  setInterval(tick, 1000);
  follow();
})();
