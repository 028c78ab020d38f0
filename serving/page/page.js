// The page of serve.py --web: a chat with a tuned run, a continuation with a base run.

// Name, label, lowest value, highest and step; the context ends the last but one.
const SLIDERS = [
  ["temperature", "Temperature 温度", 0, 2, 0.05],
  ["top_k", "Top-k", 0, 200, 1],
  ["top_p", "Top-p", 0.05, 1, 0.01],
  ["min_p", "Min-p", 0, 1, 0.01],
  ["repetition_penalty", "Repetition penalty 重复惩罚", 1, 2, 0.05],
  ["max_tokens", "Max new tokens 最多生成词元数", 1, null, 1],
  ["seed", "Seed 随机种子", 0, 9999, 1],
];
// From likely to surprising: the probabilities from which a class of page.css holds.
const SHADES = [[0.5, "p4"], [0.2, "p3"], [0.05, "p2"], [0.01, "p1"], [0, "p0"]];
const N_LIKELY = 5;

const $ = (id) => document.getElementById(id);
let models = [];
let messages = [];
let running = null;

function element(name, className, text = "") {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}

function add(className, text, parent = $("talk")) {
  const made = element("div", className, text);
  parent.append(made);
  made.scrollIntoView({ block: "end" });
  return made;
}

async function request(path, body, signal) {
  const headers = { "content-type": "application/json" };
  const key = $("key").value;
  if (key) headers.authorization = `Bearer ${key}`;
  const init = body ? { method: "POST", body: JSON.stringify(body), headers, signal } : { headers };
  const answer = await fetch(path, init);
  if (answer.ok) return answer;
  if (answer.status === 401) $("key").hidden = false;
  const found = await answer.json().catch(() => null);
  throw new Error(found?.error?.message ?? `status ${answer.status}`);
}

// The objects of a stream of server-sent events.
async function* events(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (text + value).split("\n\n");
    text = lines.pop();
    for (const line of lines) {
      const data = line.replace(/^data: /, "");
      if (data === "[DONE]") return;
      const found = JSON.parse(data);
      if (found.error) throw new Error(found.error.message);
      yield found;
    }
  }
}

function chosen() {
  return models.find((model) => model.id === $("model").value);
}

function settings() {
  const inputs = [...$("settings").querySelectorAll("input")];
  return Object.fromEntries(inputs.map((input) => [input.name, Number(input.value)]));
}

function showSettings(model) {
  $("settings").replaceChildren(...SLIDERS.map(([name, label, low, high, step]) => {
    const value = model.settings[name];
    const box = element("label", "", label);
    const input = document.createElement("input");
    const shown = element("output", "", value);
    Object.assign(input, { type: "range", name, step });
    input.min = Math.min(low, value);
    input.max = Math.max(high ?? model.max_model_len - 2, value);
    input.value = value;
    input.addEventListener("input", () => { shown.textContent = input.value; });
    box.append(shown, input);
    return box;
  }));
}

function clear() {
  running?.abort();
  messages = [];
  $("talk").replaceChildren();
  $("status").textContent = "";
}

function showModel() {
  clear();
  const model = chosen();
  showSettings(model);
  $("go").textContent = model.chat ? "Send 发送" : "Continue 续写";
  $("prompt").value = model.chat ? "" : model.prompt;
}

const percent = (logProb) => `${(100 * Math.exp(logProb)).toFixed(1)}%`;

// The new text of a piece, coloured by its least likely token; pointing at it shows more.
function tokenSpan(text, logProbs) {
  const least = Math.exp(Math.min(0, ...logProbs.token_logprobs));
  const shade = SHADES.find(([limit]) => least >= limit)[1];
  const span = element("span", `token ${shade}`, text);
  span.title = logProbs.tokens.map((token, i) => {
    const likely = Object.entries(logProbs.top_logprobs[i]);
    const others = likely.map(([name, value]) => `    ${JSON.stringify(name)}  ${percent(value)}`);
    return [`${JSON.stringify(token)}  ${percent(logProbs.token_logprobs[i])}`, ...others].join("\n");
  }).join("\n\n");
  return span;
}

async function chat(model, text, signal) {
  messages.push({ role: "user", content: text });
  add("turn user", text);
  const shown = add("turn assistant", "");
  let usage = null;
  try {
    const body = { model: model.id, messages, stream: true, stream_options: { include_usage: true } };
    const answer = await request("v1/chat/completions", { ...body, ...settings() }, signal);
    for await (const piece of events(answer)) {
      if (piece.sources) addSources(piece.sources);
      usage = piece.usage ?? usage;
      shown.textContent += piece.choices[0]?.delta.content ?? "";
      shown.scrollIntoView({ block: "nearest" });
    }
  } finally {
    // What was stopped is said all the same; without an answer the question is taken back.
    if (shown.textContent) messages.push({ role: "assistant", content: shown.textContent });
    else messages.pop();
  }
  return usage;
}

function addSources(sources) {
  const names = sources.map((source, i) => `[${i + 1}] ${source.document} §${source.number}`);
  const shown = add("sources", `Sources 来源：${names.join("  ")}`);
  shown.title = sources.map((source) => source.text).join("\n\n");
}

async function continueText(model, text, signal) {
  $("talk").replaceChildren();
  const shown = add("text", "");
  shown.append(element("span", "prompt", text));
  const body = { model: model.id, prompt: text, stream: true, logprobs: N_LIKELY };
  body.stream_options = { include_usage: true };
  const answer = await request("v1/completions", { ...body, ...settings() }, signal);
  let usage = null;
  for await (const piece of events(answer)) {
    usage = piece.usage ?? usage;
    const choice = piece.choices[0];
    if (choice?.text) shown.append(tokenSpan(choice.text, choice.logprobs));
  }
  return usage;
}

async function go() {
  const model = chosen();
  const text = $("prompt").value;
  if (running || (model.chat && !text.trim())) return;
  running = new AbortController();
  const mine = running;
  $("go").disabled = true;
  $("stop").disabled = false;
  $("status").textContent = "…";
  if (model.chat) $("prompt").value = "";
  const begin = performance.now();
  try {
    const usage = await (model.chat ? chat : continueText)(model, text, mine.signal);
    const speed = usage.completion_tokens / ((performance.now() - begin) / 1000);
    $("status").textContent = `${usage.completion_tokens} tokens, ${speed.toFixed(0)} tokens/s`;
  } catch (error) {
    if (error.name === "AbortError") $("status").textContent = "stopped 已停止";
    else add("error", error.message);
  } finally {
    running = null;
    $("go").disabled = false;
    $("stop").disabled = true;
  }
}

async function listModels() {
  const answer = await request("v1/models");
  models = (await answer.json()).data;
  $("model").replaceChildren(...models.map((model) => new Option(model.id, model.id)));
  showModel();
}

const showError = (error) => { $("status").textContent = error.message; };
$("form").addEventListener("submit", (event) => { event.preventDefault(); go(); });
$("prompt").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing && chosen()?.chat) {
    event.preventDefault();
    go();
  }
});
$("stop").addEventListener("click", () => running?.abort());
$("clear").addEventListener("click", clear);
$("model").addEventListener("change", showModel);
$("key").addEventListener("change", () => listModels().catch(showError));
listModels().catch(showError);
