"use strict";

const get = (id) => document.getElementById(id);
const form = get("customer");
const percent = (p) => `${(100 * p).toFixed(1)}%`;
const money = (amount) => `${amount < 0 ? "−" : ""}$${Math.abs(amount).toFixed(2)}`;
let before = null; // the same customer in the batch before, if looked up
let asked = 0;
let timer = 0;

function values() {
  const found = {};
  for (const field of form.querySelectorAll(".field")) {
    const text = field.querySelector("[name]").value.trim();
    found[field.dataset.name] = text === "" ? null : text;
  }
  return found;
}

// A number as the field's column writes it in files, and back: 1.234,5 or 12,5 %.
function toText(field, number) {
  const { decimal, scale, mark } = field.dataset;
  return String(Number((number * scale).toPrecision(6))).replace(".", decimal) + mark;
}

function toNumber(field, text) {
  const { thousands, decimal, scale, mark } = field.dataset;
  const plain = text.replace(mark.trim(), "").replaceAll(thousands, "").replace(decimal, ".");
  return plain.trim() === "" ? NaN : Number(plain) / scale;
}

function fill(customer) {
  for (const field of form.querySelectorAll(".field")) {
    const input = field.querySelector("[name]");
    const value = customer[field.dataset.name] ?? "";
    if (input.tagName === "SELECT" && ![...input.options].some((option) => option.value === value)) {
      input.add(new Option(value, value));
    }
    input.value = value;
    const slider = field.querySelector(".slider");
    if (slider && value !== "") slider.value = toNumber(field, value);
  }
  ask();
}

function markOutside() {
  for (const field of form.querySelectorAll(".field[data-low]")) {
    const text = field.querySelector("[name]").value.trim();
    const number = toNumber(field, text);
    const outside = text !== "" && (number < Number(field.dataset.low) || number > Number(field.dataset.high));
    field.classList.toggle("outside", outside);
    const note = field.querySelector(".note");
    note.dataset.usual ??= note.textContent;
    note.textContent = outside ? `outside of what nine of ten had; ${note.dataset.usual}` : note.dataset.usual;
  }
}

async function explain(customer) {
  const response = await fetch("/page-data/explain", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(customer),
  });
  return { ok: response.ok, body: await response.json() };
}

async function ask() {
  markOutside();
  const mine = ++asked;
  document.querySelector(".verdict").classList.add("wait");
  let found;
  try {
    found = await explain(values());
    if (found.ok && before) found.before = await explain(before);
  } catch {
    found = { ok: false, body: { error: "The server does not answer.", errors: [] } };
  }
  if (mine !== asked) return; // a later question was asked meanwhile
  document.querySelector(".verdict").classList.remove("wait");
  get("answer").hidden = !found.ok;
  get("problems").hidden = found.ok;
  if (found.ok) show(found.body, found.before); else refuse(found.body);
}

function refuse(body) {
  const lines = body.errors.map((each) => `${each.field ? `${each.field}: ` : ""}expected ${each.expected}, found ${each.found}.`);
  get("problems").replaceChildren(...[body.error, ...lines].map((text) => line("p", text)));
  get("reasons").replaceChildren();
  get("parts").replaceChildren();
  get("changes").hidden = true;
}

function line(tag, text) {
  const element = document.createElement(tag);
  element.textContent = text;
  return element;
}

function show(answer, earlier) {
  get("probability").textContent = percent(answer.churn_probability);
  get("decision").textContent = answer.will_churn ? "contact" : "do not contact";
  get("fill").style.width = percent(answer.churn_probability);
  get("fill").classList.toggle("contact", answer.will_churn);
  get("mark").hidden = answer.cutoff === null;
  if (answer.cutoff !== null) get("mark").style.left = percent(Math.min(answer.cutoff, 0.995));
  const cutoff = answer.cutoff === null ? "A contact never pays for this customer." : `A contact pays from ${percent(answer.cutoff)} on: the line.`;
  get("cutoff").textContent = cutoff;
  get("gauge").setAttribute("aria-label", `${percent(answer.churn_probability)}. ${cutoff}`);
  get("saving").textContent = `A contact is expected to save ${money(answer.expected_saving)}.`;
  get("unknown").hidden = !answer.unknown.length;
  get("unknown").textContent = `Training did not know the value of ${answer.unknown.join(", ")}; the model takes it for missing.`;
  get("reasons").replaceChildren(...answer.reasons.map((each) => line("li", each.text)));
  if (!answer.reasons.length) get("reasons").append(line("li", "Nothing raises the risk by much."));
  draw(get("parts"), [...answer.parts.slice(0, 12), rest(answer.parts.slice(12)), { name: "base", contribution: answer.base }]);
  compare(answer, earlier);
}

function rest(parts) {
  return { name: `${parts.length} others`, contribution: parts.reduce((sum, each) => sum + each.contribution, 0), empty: !parts.length };
}

function compare(answer, earlier) {
  get("changes").hidden = !(earlier && earlier.ok);
  if (get("changes").hidden) return;
  const old = new Map(earlier.body.parts.map((each) => [each.name, each.contribution]));
  const changes = answer.parts.map((each) => ({ name: each.name, contribution: each.contribution - old.get(each.name) }));
  const moved = changes.filter((each) => Math.abs(each.contribution) >= 0.005).sort((a, b) => Math.abs(b.contribution) - Math.abs(a.contribution));
  const total = changes.reduce((sum, each) => sum + each.contribution, 0);
  get("change-sum").textContent =
    `${percent(earlier.body.churn_probability)} then, ${percent(answer.churn_probability)} now, by this model. ` +
    `The differences sum to ${total.toFixed(2)} log odds.`;
  draw(get("change-parts"), moved.length ? moved : [{ name: "nothing that the model looks at", contribution: 0 }]);
}

function draw(place, parts) {
  const shown = parts.filter((each) => !each.empty);
  const most = Math.max(0.1, ...shown.map((each) => Math.abs(each.contribution)));
  place.replaceChildren(...shown.map((each) => bar(each, most)));
}

function bar(part, most) {
  const row = document.createElement("div");
  row.className = "bar";
  const space = "http://www.w3.org/2000/svg";
  const picture = document.createElementNS(space, "svg");
  picture.setAttribute("viewBox", "-100 0 200 16");
  picture.setAttribute("preserveAspectRatio", "none");
  picture.setAttribute("aria-hidden", "true");
  const width = (100 * Math.abs(part.contribution)) / most;
  const box = document.createElementNS(space, "rect");
  const up = part.contribution > 0;
  const shape = { x: up ? 0 : -width, y: 2, width, height: 12, class: up ? "up" : "down" };
  const axis = document.createElementNS(space, "line");
  for (const [name, value] of Object.entries(shape)) box.setAttribute(name, value);
  for (const [name, value] of Object.entries({ x1: 0, x2: 0, y1: 0, y2: 16 })) axis.setAttribute(name, value);
  picture.append(box, axis);
  const digits = Math.abs(part.contribution).toFixed(2);
  const sign = digits === "0.00" ? "" : up ? "+" : "−";
  const size = line("span", sign + digits);
  size.className = "size";
  row.append(line("span", part.name), picture, size);
  return row;
}

function askSoon() {
  clearTimeout(timer);
  timer = setTimeout(ask, 120);
}

form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("input", (event) => {
  const field = event.target.closest(".field");
  const input = field.querySelector("[name]");
  const slider = field.querySelector(".slider");
  if (event.target === slider) input.value = toText(field, Number(slider.value));
  else if (slider && input.value !== "") slider.value = toNumber(field, input.value);
  askSoon();
});

get("example").addEventListener("click", async () => {
  before = null;
  fill(await (await fetch("/page-data/example")).json());
});

get("lookup")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const query = new URLSearchParams(new FormData(event.target));
  const response = await fetch(`/page-data/customer?${query}`);
  const found = await response.json();
  if (!response.ok) {
    get("answer").hidden = true;
    get("problems").hidden = false;
    refuse(found);
    return;
  }
  before = found.before;
  get("earlier").textContent = found.earlier_batch ?? "";
  fill(found.customer);
});

get("upload").addEventListener("change", async (event) => {
  const file = event.target.files[0];
  if (!file) return;
  const result = get("upload-result");
  result.textContent = "Asking …";
  const response = await fetch("/invocations", { method: "POST", headers: { "Content-Type": "text/csv; header=present" }, body: file });
  if (!response.ok) {
    const body = await response.json();
    result.textContent = body.error;
    return;
  }
  const link = line("a", "the answers, a line for each of its lines; what is wrong with a line is in its column error");
  link.href = URL.createObjectURL(await response.blob());
  link.download = "answers.csv";
  result.replaceChildren("Save ", link);
});

ask();
