// The form of an upgrade plan: what it would do stands beside it, lists come from files, and the day is drawn.

const form = document.querySelector("[data-plan]");
if (form) {
  const panel = document.getElementById("preview");
  const frame = panel.closest(".preview");
  let timer;
  let asked = 0;

  const isChosen = () => [...form.querySelectorAll("select[name^='package.']")].some((choice) => choice.value);

  async function look() {
    const number = ++asked;
    const entries = [...new FormData(form)].filter(([, value]) => typeof value === "string");
    const answer = await fetch(form.dataset.preview, { method: "POST", body: new URLSearchParams(entries) })
      .catch(() => null);
    // A later question has overtaken this one.
    if (number !== asked) return;
    frame.classList.remove("is-old");
    if (answer?.ok && !answer.redirected) panel.innerHTML = await answer.text();
  }

  function later() {
    if (!isChosen()) return;
    frame.classList.add("is-old");
    clearTimeout(timer);
    timer = setTimeout(look, 500);
  }

  form.addEventListener("input", later);
  later();

  // Files are put into the text above them, where they can be seen and changed.
  for (const pick of form.querySelectorAll("[data-list-file]")) {
    const text = document.getElementById(pick.dataset.listFile);
    const take = async (file) => {
      if (!file) return;
      text.value = await file.text();
      later();
    };
    pick.addEventListener("change", async () => {
      await take(pick.files[0]);
      // It stands in the text now, and must not be sent a second time.
      pick.value = "";
    });
    text.addEventListener("dragover", (event) => event.preventDefault());
    text.addEventListener("drop", (event) => {
      if (!event.dataTransfer.files.length) return;
      event.preventDefault();
      take(event.dataTransfer.files[0]);
    });
  }

  const day = form.querySelector("[data-day]");
  const [from, until] = [form.elements.period_from, form.elements.period_until];
  const minutes = (text) => {
    const [hour, minute] = text.split(":").map(Number);
    return hour * 60 + minute;
  };
  function draw() {
    if (!from.value !== !until.value) return;
    const [start, end] = from.value ? [minutes(from.value), minutes(until.value)] : [0, 1440];
    const parts = start <= end ? [[start, end]] : [[0, end], [start, 1440]];
    day.querySelectorAll(".open").forEach((part) => part.remove());
    const after = day.querySelector("text");
    for (const [begin, close] of parts) {
      const part = document.createElementNS("http://www.w3.org/2000/svg", "rect");
      part.setAttribute("class", "fill-accent open");
      for (const [name, value] of Object.entries({ x: begin, y: 0, width: close - begin, height: 34 })) {
        part.setAttribute(name, value);
      }
      day.insertBefore(part, after);
    }
  }
  from.addEventListener("input", draw);
  until.addEventListener("input", draw);
}
