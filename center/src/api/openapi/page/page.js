"use strict";

// Shows openapi.json and sends requests as it describes them. Everything is text: nothing of it is read as HTML.

const make = (name, text, children = []) => {
  const element = document.createElement(name);
  if (text) element.textContent = text;
  element.append(...children);
  return element;
};

/** What a schema allows, in a few words. */
const inWords = (schema) => {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  const words = [[schema.type ?? ""].flat().filter((kind) => kind !== "null").join(" or ")];
  if (schema.enum) words.push("one of: " + schema.enum.filter((value) => value !== null).join(", "));
  if (schema.minimum !== undefined || schema.maximum !== undefined) words.push(`${schema.minimum ?? ""} to ${schema.maximum ?? ""}`);
  if (schema.pattern) words.push(`as ${schema.pattern}`);
  if (schema.default !== undefined && schema.default !== null) words.push(`default ${JSON.stringify(schema.default)}`);
  return words.filter(Boolean).join("; ");
};

/** A first body to change: the fields that must be there. */
const example = (schema) => {
  const fields = Object.entries(schema?.properties ?? {}).filter(([name]) => schema.required?.includes(name));
  return JSON.stringify(Object.fromEntries(fields.map(([name, field]) => [name, field.default ?? field.enum?.[0] ?? ""])), null, 2);
};

const send = async (method, path, operation, inputs, body, shown) => {
  let address = path;
  const query = new URLSearchParams();
  const headers = {};
  for (const [parameter, input] of inputs) {
    if (parameter.in === "path") address = address.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
    else if (input.value === "") continue;
    else if (parameter.in === "query") query.set(parameter.name, input.value);
    else headers[parameter.name] = input.value;
  }
  const token = document.getElementById("token").value;
  if (token) headers.Authorization = `Bearer ${token}`;
  const media = Object.keys(operation.requestBody?.content ?? {})[0];
  if (body && body.value !== "") headers["Content-Type"] = media;
  if (query.size > 0) address += `?${query}`;
  const sent = body && body.value !== "" ? body.value : undefined;
  try {
    const answer = await fetch(address, { method, headers, body: sent, credentials: token ? "omit" : "same-origin" });
    const kind = answer.headers.get("content-type") ?? "";
    let text = `${answer.status} ${answer.statusText}\n`;
    for (const name of ["content-type", "etag", "location"]) {
      if (answer.headers.has(name)) text += `${name}: ${answer.headers.get(name)}\n`;
    }
    if (kind.includes("event-stream")) {
      shown.textContent = `${text}\n(a stream of events: follow it by curl -N)`;
      await answer.body?.cancel();
    } else {
      const content = await answer.text();
      shown.textContent = `${text}\n${kind.includes("json") ? JSON.stringify(JSON.parse(content), null, 2) : content.slice(0, 100000)}`;
    }
  } catch (error) {
    shown.textContent = `no answer: ${error.message}`;
  }
};

const operationView = (method, path, operation) => {
  const inputs = [];
  const content = [make("p", operation.description)];
  if (operation.parameters.length > 0) {
    const rows = operation.parameters.map((parameter) => {
      const input = make("input");
      input.setAttribute("aria-label", parameter.name);
      inputs.push([parameter, input]);
      const name = make("td", parameter.name + (parameter.required ? " *" : ""));
      return make("tr", "", [name, make("td", "", [input]), make("td", inWords(parameter.schema)), make("td", parameter.description)]);
    });
    content.push(make("table", "", [make("tbody", "", rows)]));
  }
  const media = Object.keys(operation.requestBody?.content ?? {})[0];
  let body = null;
  if (media && media !== "multipart/form-data") {
    const schema = operation.requestBody.content[media].schema;
    body = make("textarea", media === "application/json" ? example(schema) : "");
    body.setAttribute("aria-label", `body, ${media}`);
    const fields = Object.entries(schema?.properties ?? {}).map(([name, field]) =>
      make("tr", "", [make("td", name + (schema.required?.includes(name) ? " *" : "")), make("td", inWords(field)), make("td", field.description)]));
    content.push(make("p", `Body, ${media}`), body, make("table", "", fields));
  }
  const answers = Object.entries(operation.responses).map(([status, answer]) => {
    const kinds = Object.entries(answer.content ?? {}).map(([kind, { schema }]) => `${kind} ${inWords(schema)}`);
    return make("tr", "", [make("td", status), make("td", answer.description), make("td", kinds.join(", "))]);
  });
  const button = make("button", "Send");
  const shown = make("pre");
  shown.setAttribute("aria-live", "polite");
  shown.hidden = true;
  button.type = "button";
  button.addEventListener("click", () => {
    shown.hidden = false;
    shown.textContent = "...";
    send(method.toUpperCase(), path, operation, inputs, body, shown);
  });
  content.push(button, shown, make("table", "", answers));
  const name = make("span", method.toUpperCase());
  name.className = "method";
  const view = make("details", "", [make("summary", "", [name, make("code", path), operation.summary])]);
  view.dataset.words = `${method} ${path} ${operation.summary}`.toLowerCase();
  // Built when it is opened: most are not.
  view.addEventListener("toggle", () => view.append(...content), { once: true });
  return view;
};

const show = async () => {
  const description = await (await fetch("/api/v1/openapi.json")).json();
  document.getElementById("about").textContent = description.info.description;
  const groups = new Map();
  for (const [path, methods] of Object.entries(description.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const tag = operation.tags[0];
      if (!groups.has(tag)) groups.set(tag, make("section", "", [make("h2", tag)]));
      groups.get(tag).append(operationView(method, path, operation));
    }
  }
  document.getElementById("operations").append(...groups.values());
  document.getElementById("find").addEventListener("input", (event) => {
    const words = event.target.value.toLowerCase();
    for (const view of document.querySelectorAll("details")) view.hidden = !view.dataset.words.includes(words);
  });
};

show();
