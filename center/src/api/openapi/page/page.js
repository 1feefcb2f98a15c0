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
  const either = schema.anyOf ?? schema.oneOf;
  if (either) return either.map(inWords).filter(Boolean).join(", or ");
  const kinds = [schema.type ?? ""].flat().filter((kind) => kind !== "null");
  if (kinds.includes("array")) return `list of: ${inWords(schema.items)}`;
  const words = [kinds.join(" or ")];
  if (schema.enum) words.push("one of: " + schema.enum.filter((value) => value !== null).join(", "));
  if (schema.minimum !== undefined && schema.maximum !== undefined) words.push(`${schema.minimum} to ${schema.maximum}`);
  else if (schema.minimum !== undefined) words.push(`${schema.minimum} or more`);
  else if (schema.maximum !== undefined) words.push(`${schema.maximum} or less`);
  if (schema.pattern) words.push(schema.description ?? `as ${schema.pattern}`);
  if (schema.default !== undefined && schema.default !== null) words.push(`default ${JSON.stringify(schema.default)}`);
  return words.filter(Boolean).join("; ");
};

/** A sentence in which `words` are names. */
const prose = (name, text) =>
  make(name, "", (text ?? "").split("`").map((part, number) => (number % 2 ? make("code", part) : part)));

const EMPTY = { array: [], object: {}, boolean: false, integer: 0, number: 0 };

/** A first body to change: the fields that must be there. */
const example = (schema) => {
  const fields = Object.entries(schema?.properties ?? {}).filter(([name]) => schema.required?.includes(name));
  return JSON.stringify(Object.fromEntries(fields.map(([name, field]) => [name, field.default ?? field.enum?.[0] ?? EMPTY[[field.type].flat()[0]] ?? ""])), null, 2);
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
  if (query.size > 0) address += `?${query}`;
  const sent = body?.();
  // Of a form the browser names the type, with the boundary of its parts.
  if (typeof sent === "string") headers["Content-Type"] = Object.keys(operation.requestBody.content)[0];
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

/** A table whose columns have names. */
const table = (names, rows) =>
  make("table", "", [make("thead", "", [make("tr", "", names.map((name) => make("th", name)))]), make("tbody", "", rows)]);

const nameCell = (name, isRequired) => {
  const cell = make("td", name + (isRequired ? " *" : ""));
  cell.className = "name";
  return cell;
};

/** What is sent as the body, and how it is entered: a text, or the fields of a form. */
const bodyView = (media, schema) => {
  const fields = Object.entries(schema?.properties ?? {});
  const required = (name) => schema.required?.includes(name) ?? false;
  if (media === "multipart/form-data") {
    const inputs = fields.map(([name, field]) => {
      const input = make("input");
      input.setAttribute("aria-label", name);
      if (field.type === "array") {
        input.type = "file";
        input.multiple = true;
      }
      return [name, field, input];
    });
    const rows = inputs.map(([name, field, input]) =>
      make("tr", "", [nameCell(name, required(name)), make("td", "", [input]), make("td", field.description ?? inWords(field))]));
    const form = () => {
      const data = new FormData();
      for (const [name, , input] of inputs) {
        if (input.type === "file") for (const file of input.files) data.append(name, file);
        else if (input.value !== "") data.append(name, input.value);
      }
      return data;
    };
    return [form, [table(["field", "value", "is"], rows)]];
  }
  const text = make("textarea", media === "application/json" ? example(schema) : "");
  text.setAttribute("aria-label", `body, ${media}`);
  const rows = fields.map(([name, field]) =>
    make("tr", "", [nameCell(name, required(name)), make("td", inWords({ ...field, description: undefined })), prose("td", field.description)]));
  const description = fields.length > 0 ? table(["field", "is", "meaning"], rows) : make("p", schema?.description);
  return [() => (text.value === "" ? undefined : text.value), [text, description]];
};

const operationView = (method, path, operation) => {
  const inputs = [];
  const content = [prose("p", operation.description)];
  if (operation.parameters.length > 0) {
    const rows = operation.parameters.map((parameter) => {
      const input = make("input");
      input.setAttribute("aria-label", parameter.name);
      inputs.push([parameter, input]);
      return make("tr", "", [nameCell(parameter.name, parameter.required), make("td", "", [input]), make("td", inWords(parameter.schema)), prose("td", parameter.description)]);
    });
    content.push(table(["parameter", "value", "is", "meaning"], rows));
  }
  const media = Object.keys(operation.requestBody?.content ?? {})[0];
  let body = null;
  if (media) {
    const [value, parts] = bodyView(media, operation.requestBody.content[media].schema);
    body = value;
    content.push(make("p", `Body, ${media}`), ...parts);
  }
  const answers = Object.entries(operation.responses).map(([status, answer]) => {
    const kinds = Object.entries(answer.content ?? {}).map(([kind, { schema }]) => `${kind} ${inWords(schema)}`);
    return make("tr", "", [make("td", status), make("td", answer.description), make("td", kinds.join(", "))]);
  });
  const button = make("button", "Send");
  const shown = make("pre");
  shown.setAttribute("aria-live", "polite");
  // It scrolls, so whoever has no mouse must get to it.
  shown.tabIndex = 0;
  shown.hidden = true;
  button.type = "button";
  button.addEventListener("click", () => {
    shown.hidden = false;
    shown.textContent = "...";
    send(method.toUpperCase(), path, operation, inputs, body, shown);
  });
  content.push(button, shown, table(["status", "answer", "content"], answers));
  const name = make("span", method.toUpperCase());
  name.className = "method";
  const view = make("details", "", [make("summary", "", [name, make("code", path), operation.summary])]);
  view.dataset.words = `${method} ${path} ${operation.summary}`.toLowerCase();
  // Built when it is opened: most are not.
  view.addEventListener("toggle", () => view.append(...content), { once: true });
  return view;
};

const show = async () => {
  const answer = await fetch("/api/v1/openapi.json");
  if (!answer.ok) throw new Error(`/api/v1/openapi.json: ${answer.status} ${answer.statusText}`);
  const description = await answer.json();
  document.getElementById("about").replaceChildren(...prose("p", description.info.description).childNodes);
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
    for (const group of groups.values()) group.hidden = !group.querySelector("details:not([hidden])");
  });
};

show().catch((error) => {
  const about = document.getElementById("about");
  about.textContent = `The description cannot be read: ${error.message}`;
  about.className = "wrong";
});
