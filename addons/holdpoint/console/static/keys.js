"use strict";
// Single keys, off until somebody turns them on (WCAG 2.1.4). None of them decides: they move the focus, Enter presses.
(() => {
  const NAME = "holdpoint-keys";
  const help = document.getElementById("keys");
  const open = document.getElementById("keys-open");
  const toggle = document.getElementById("keys-on");
  const stored = () => { try { return localStorage.getItem(NAME) === "on"; } catch { return false; } };
  let on = stored();

  open.hidden = false;
  toggle.checked = on;
  open.addEventListener("click", () => help.showModal());
  toggle.addEventListener("change", () => {
    on = toggle.checked;
    try { localStorage.setItem(NAME, on ? "on" : "off"); } catch { /* until the page is left */ }
  });

  const typing = (at) => Boolean(at && at.closest("input:not([type=checkbox]), textarea, select, [contenteditable]"));
  const focus = (id) => {
    const found = document.getElementById(id);
    if (found) found.focus();
    return Boolean(found);
  };
  function step(by) {
    const found = [...document.querySelectorAll("main a.item, main tbody td a")];
    if (!found.length) return false;
    const at = found.indexOf(document.activeElement);
    found[Math.min(found.length - 1, Math.max(0, at < 0 ? (by > 0 ? 0 : found.length - 1) : at + by))].focus();
    return true;
  }
  const KEYS = {
    j: () => step(1),
    k: () => step(-1),
    c: () => focus("comment"),
    a: () => focus("approve"),
    x: () => focus("deny"),
    u: () => { location.assign("/"); return true; },
    "?": () => { help.showModal(); return true; },
  };
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && event.target.id === "comment") event.target.blur();
    if (!on || event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.repeat) return;
    if (help.open || typing(event.target)) return;
    const act = Object.hasOwn(KEYS, event.key) ? KEYS[event.key] : null;
    if (act && act()) event.preventDefault();
  });
})();
