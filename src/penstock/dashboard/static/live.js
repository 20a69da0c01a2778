// Pages that follow what happens. Without this script everything works but does not move by itself.
//
// The server says "changed" at most once a second, however much happens. The page then asks for itself again and takes
// over those parts (data-live) that are different. It never asks more often than once a second, nor for more than a
// tenth of the time, nor while it is not seen; and it leaves alone a part in which somebody is typing or deciding.
"use strict";
(() => {
  const parts = () => [...document.querySelectorAll("[data-live]")];
  const source = document.body.dataset.source;
  if (!source || !parts().length || !window.EventSource) return;

  const EVERY = 10000; // ms after which ages are brought up to date even if nothing happened
  const switcher = document.createElement("button");
  switcher.type = "button";
  switcher.className = "small";
  document.querySelector(".side").prepend(switcher);

  let on = true, due = false, asking = false, after = 0, timer = 0, events = null, beat = 0;

  const busy = (part) =>
    part.querySelector("details.confirm[open]") ||
    (part.contains(document.activeElement) && /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName)) ||
    (!getSelection().isCollapsed && part.contains(getSelection().anchorNode));

  const replace = (part, fresh) => {
    const open = new Set([...part.querySelectorAll("details[open][id]")].map((each) => each.id));
    for (const each of fresh.querySelectorAll("details[id]")) each.open = open.has(each.id) || each.open;
    if (part.innerHTML === fresh.innerHTML) return;
    const active = part.contains(document.activeElement) ? document.activeElement : null;
    const all = (root) => [...root.querySelectorAll("a[href], button, summary")];
    const mark = (each) => each.getAttribute("href") || (each.form && each.form.action) || each.textContent;
    const wanted = active && mark(active);
    part.replaceChildren(...fresh.childNodes);
    if (active) (all(part).find((each) => mark(each) === wanted) || document.getElementById("main")).focus({ preventScroll: true });
  };

  const refresh = async () => {
    if (!on || asking || document.hidden) return;
    due = false;
    asking = true;
    const began = performance.now();
    try {
      const answer = await fetch(location.href, { credentials: "same-origin", headers: { accept: "text/html" } });
      if (answer.redirected || answer.status === 401) { location.reload(); return; }
      if (answer.ok || answer.status === 404) {
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        for (const part of parts()) {
          const fresh = page.getElementById(part.id);
          if (fresh && !busy(part)) replace(part, fresh);
        }
      }
    } catch { /* the server is away: the next event or beat tries again */ }
    asking = false;
    after = performance.now() + Math.max(1000, 9 * (performance.now() - began));
    if (due) soon();
  };

  const soon = () => {
    due = true;
    clearTimeout(timer);
    timer = setTimeout(refresh, Math.max(0, after - performance.now()));
  };

  const show = (word) => {
    switcher.textContent = on ? word : "Paused";
    switcher.setAttribute("aria-pressed", String(on));
    switcher.setAttribute("aria-label", on ? `Live updates: ${word}` : "Live updates: paused");
  };

  const listen = () => {
    if (events) events.close();
    events = new EventSource(source);
    events.addEventListener("changed", (event) => { show("Live"); if (JSON.parse(event.data).changes) soon(); });
    events.onopen = () => { show("Live"); soon(); };
    events.onerror = () => {
      show("Connecting…");
      if (events.readyState === EventSource.CLOSED) setTimeout(() => { if (on) listen(); }, 5000);
    };
  };

  const start = () => { listen(); beat = setInterval(soon, EVERY); show("Connecting…"); };
  const stop = () => { if (events) events.close(); events = null; clearInterval(beat); clearTimeout(timer); show(""); };
  switcher.addEventListener("click", () => { on = !on; if (on) start(); else stop(); });
  // a page that nobody sees holds no connection: browsers have six a host, for all their tabs
  document.addEventListener("visibilitychange", () => {
    if (!on) return;
    if (document.hidden) { if (events) events.close(); } else listen();
  });
  window.addEventListener("pagehide", () => events && events.close());
  window.addEventListener("pageshow", (event) => { if (event.persisted && on) listen(); });
  start();
})();
