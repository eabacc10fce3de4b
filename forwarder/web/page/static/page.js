// Times in the reader's zone, with UTC in the title; ages that go on; a drawer that closes. Nothing here is needed.
"use strict";
(() => {
  const written = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
  const units = [[86400, "d"], [3600, "h"], [60, "m"], [1, "s"]];

  const age = (seconds) => {
    const [length, unit] = units.find(([size]) => seconds >= size) ?? [1, "s"];
    return `${Math.max(0, Math.floor(seconds / length))}${unit} ago`;
  };

  const tell = (time) => {
    const at = Date.parse(time.dateTime);
    if (Number.isNaN(at)) return;
    const text = "ago" in time.dataset ? age((Date.now() - at) / 1000) : written.format(at);
    if (time.textContent !== text) time.textContent = text;
  };

  const tellAll = (root) => root.querySelectorAll("time").forEach(tell);

  const nameZone = (root) => root.querySelectorAll("input[name=zone]").forEach((field) => {
    field.value = Intl.DateTimeFormat().resolvedOptions().timeZone;
    document.querySelectorAll("[data-zone]").forEach((part) => { part.textContent = field.value; });
  });

  // What somebody is using stays as it is: an opened part, a field with the cursor in it.
  const isInUse = (part) => part.querySelector("details[open]") !== null ||
    (part.contains(document.activeElement) && document.activeElement.matches("input, textarea, select"));

  const drawer = () => document.getElementById("drawer");
  let cameFrom = null;

  const closeDrawer = () => {
    drawer().replaceChildren();
    document.getElementById(cameFrom)?.focus({ preventScroll: true });
  };

  document.addEventListener("htmx:beforeRequest", (event) => {
    if (event.detail.target?.id === "drawer") cameFrom = event.detail.elt.id;
    else if (event.detail.requestConfig.triggeringEvent?.type.startsWith("sse:") && isInUse(event.detail.elt)) event.preventDefault();
  });
  document.addEventListener("htmx:afterSwap", () => {
    tellAll(document);
    nameZone(document);
  });
  document.addEventListener("htmx:afterSettle", (event) => {
    if (event.detail.target?.id === "drawer") drawer().querySelector("h2")?.focus({ preventScroll: true });
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && drawer()?.hasChildNodes()) closeDrawer();
    if (event.key === "/" && !event.target.matches("input, textarea, select")) {
      const box = document.querySelector("input[type=search]");
      if (box) { event.preventDefault(); box.focus(); }
    }
  });
  document.addEventListener("click", (event) => {
    const close = event.target.closest("[data-closes]");
    if (close && drawer()?.contains(close)) { event.preventDefault(); closeDrawer(); }
    const copy = event.target.closest("[data-copies]");
    if (copy) {
      navigator.clipboard?.writeText(document.getElementById(copy.dataset.copies).textContent)
        .then(() => { copy.textContent = "Copied"; }, () => {});
    }
  });

  tellAll(document);
  nameZone(document);
  setInterval(() => document.querySelectorAll("time[data-ago]").forEach(tell), 1000);
})();
