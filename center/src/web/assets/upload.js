// Adding a version package: files may be dropped, limits are checked before they are sent, and the page shows how far it is.

const form = document.querySelector("[data-upload]");
if (form) {
  const input = form.querySelector("input[type=file]");
  const drop = form.querySelector("[data-drop]");
  const fault = document.getElementById("file-fault");
  const progress = form.querySelector(".progress");
  const button = form.querySelector("button.main");
  const told = (name, value) => form.dataset[name].replace("{0}", value);

  function check() {
    const files = [...input.files];
    const formats = form.dataset.formats.split(" ");
    const wrong = files.flatMap((file) => {
      if (file.size > Number(form.dataset.sizeMax)) return [told("tooLarge", file.name)];
      if (file.size === 0) return [told("empty", file.name)];
      if (!formats.some((end) => file.name.toLowerCase().endsWith(end))) return [told("format", file.name)];
      return [];
    });
    if (files.length > Number(form.dataset.filesMax)) wrong.push(told("tooMany"));
    fault.textContent = wrong.join(" ");
    drop.classList.toggle("is-wrong", wrong.length > 0);
    return wrong.length === 0;
  }

  input.addEventListener("change", check);
  for (const kind of ["dragenter", "dragover"]) {
    drop.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("is-over"); });
  }
  for (const kind of ["dragleave", "drop"]) {
    drop.addEventListener(kind, () => drop.classList.remove("is-over"));
  }
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    input.files = event.dataTransfer.files;
    check();
  });

  // Whether the session goes on; who has signed in again beside this page goes on with it.
  async function isSignedIn() {
    const answer = await fetch(location.href);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const token = page.querySelector("[data-upload] [name=csrf]");
    if (token) form.querySelector("[name=csrf]").value = token.value;
    return token !== null;
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (!check()) { input.focus(); return; }
    if (!(await isSignedIn().catch(() => true))) {
      fault.textContent = form.dataset.signedOut;
      const link = Object.assign(document.createElement("a"), { href: "/sign-in", target: "_blank", textContent: form.dataset.signIn });
      fault.append(" ", link);
      return;
    }
    for (const old of form.querySelectorAll(".fault:not(#file-fault)")) old.remove();
    const [bar, words] = [progress.querySelector("progress"), progress.querySelector("span")];
    const request = new XMLHttpRequest();
    request.open("POST", form.action);
    request.responseType = "document";
    request.upload.addEventListener("progress", ({ loaded, total }) => {
      const percent = Math.floor((loaded / total) * 100);
      bar.value = percent;
      words.textContent = percent < 100 ? told("sending", percent) : form.dataset.storing;
    });
    request.addEventListener("error", () => end(form.dataset.broken));
    request.addEventListener("load", () => {
      if (request.status < 300 && !new URL(request.responseURL).pathname.startsWith("/packages/new")) {
        location.assign(request.responseURL);
        return;
      }
      const said = request.response?.querySelectorAll("main .fault:not(:empty), main .wrong") ?? [];
      end([...said].map((node) => node.textContent.trim()).join(" ") || form.dataset.broken);
    });
    progress.hidden = false;
    button.disabled = true;
    request.send(new FormData(form));

    function end(text) {
      progress.hidden = true;
      button.disabled = false;
      fault.textContent = text;
      fault.scrollIntoView({ block: "nearest" });
    }
  });
}
