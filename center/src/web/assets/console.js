// What every page has: the viewer's time zone, choices that load the page anew, and parts that stay up to date.

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zone && !document.cookie.includes(`quecota_zone=${zone}`)) {
  document.cookie = `quecota_zone=${zone}; path=/; max-age=31536000; samesite=lax`;
}

for (const choice of document.querySelectorAll("[data-submit]")) {
  choice.addEventListener("change", () => choice.form.requestSubmit());
}

// On a narrow screen the navigation scrolls.
document.querySelector(".places [aria-current]")?.scrollIntoView({ inline: "center", block: "nearest" });

const main = document.querySelector("main");
if (main?.dataset.live) {
  follow(main.dataset.live);
}

function follow(address) {
  const off = document.querySelector(".off");
  const waiting = new Map();
  let stream;

  function open() {
    if (stream) return;
    stream = new EventSource(address);
    stream.onopen = () => { off.hidden = true; };
    stream.onerror = () => { off.hidden = false; };
    stream.addEventListener("part", (event) => {
      const { id, html } = JSON.parse(event.data);
      waiting.set(id, html);
      flush();
    });
  }

  function close() {
    stream?.close();
    stream = undefined;
  }

  function flush() {
    for (const [id, html] of waiting) {
      const part = document.getElementById(id);
      if (part && isInUse(part)) continue;
      waiting.delete(id);
      if (part) put(part, html);
    }
  }

  open();
  document.addEventListener("focusout", () => setTimeout(flush));
  // A browser has six connections to a host: pages that nobody sees must not hold them.
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  // A page that is left must not look as if its stream had broken.
  addEventListener("pagehide", close);
  addEventListener("pageshow", (event) => { if (event.persisted) open(); });
}

// Nothing is taken away from under somebody's hands.
function isInUse(part) {
  const active = document.activeElement;
  return part.contains(active) && active.matches("input, select, textarea, button, summary, a")
    || part.querySelector("input:checked[data-keep]") !== null;
}

function put(part, html) {
  if (part.innerHTML === html) return;
  const open = [...part.querySelectorAll("details")].map((details) => details.open);
  const scrolled = [...part.querySelectorAll(".logged, .table")].map((box) => [box.scrollTop, box.scrollLeft]);
  part.innerHTML = html;
  part.querySelectorAll("details").forEach((details, index) => { details.open = open[index] ?? details.open; });
  part.querySelectorAll(".logged, .table").forEach((box, index) => {
    [box.scrollTop, box.scrollLeft] = scrolled[index] ?? [0, 0];
  });
}
