// One ES module without imports. What is dragged or typed is painted at once and sent once, on `change`.
// Everything that comes from the kernel is set as text, never as markup.
const PARAMETERS = ["temperature", "top_p", "max_tokens", "frequency_penalty", "presence_penalty", "seed"];
const MODES = ["auto", "replay", "refresh", "off"];
const FIRST = ["temperature", "max_tokens"];  // the others are folded while they are not set
const SHORT = { characters: 600, lines: 12 };
let views = 0;

function make(tag, props = {}, ...children) {
  const element = Object.assign(document.createElement(tag), props);
  element.append(...children);
  return element;
}

// The notebook takes bare keys from a focused control unless the control itself says no.
function control(tag, props, name) {
  const element = make(tag, props);
  element.dataset.lmSuppressShortcuts = "true";
  if (name) element.setAttribute("aria-label", name);
  return element;
}

function bounded(value, low, high) {
  const least = low === null || low === undefined ? -Infinity : low;
  const most = high === null || high === undefined ? Infinity : high;
  return Math.min(most, Math.max(least, value));
}

function plain(value) {
  return String(Number(Number(value).toFixed(6)));
}

function render({ model, el }) {
  const prefix = `tlm-panel-${++views}-${Math.random().toString(36).slice(2)}`;
  const offs = [];
  const on = (names, paint) => {
    for (const name of names) {
      model.on(`change:${name}`, paint);
      offs.push(() => model.off(`change:${name}`, paint));
    }
    paint();
  };
  const commit = (changes) => {
    for (const [name, value] of Object.entries(changes)) model.set(name, value);
    model.save_changes();
  };
  const origin = (name) => model.get("origins")[name] || "";
  const root = make("fieldset", { className: "tlm tlm-panel" }, make("legend", { textContent: "Model parameters" }));
  let place = root;  // where the next row stands

  function choice(name, options, extra, { label = name, along = () => ({}) } = {}) {
    const id = `${prefix}-${name}`;
    const select = control("select", { id });
    const note = make("span", { className: "tlm-origin", id: `${id}-note` });
    select.setAttribute("aria-describedby", note.id);
    const row = make("div", { className: "tlm-row" }, make("label", { htmlFor: id, textContent: label }), select, note);
    place.append(row);
    on([name, "origins", ...extra], () => {
      row.hidden = !options().length;
      const wanted = options().map(([value, label]) => `${value}\n${label}`).join("\r");
      if (select.dataset.options !== wanted) {
        select.replaceChildren(...options().map(([value, label]) => new Option(label, value)));
        select.dataset.options = wanted;
      }
      select.value = model.get(name);
      select.disabled = origin(name).startsWith("fixed");
      note.textContent = origin(name);
    });
    select.addEventListener("change", () => commit({ ...along(select.value), [name]: select.value }));
  }

  function parameter(name) {
    const id = `${prefix}-${name}`;
    const number = control("input", { type: "number" }, `${name} value`);
    const unset = control("button", { type: "button", textContent: "unset" }, `unset ${name}`);
    const note = make("span", { className: "tlm-origin", id: `${id}-note` });
    const spec = () => model.get("specs")[name] || {};
    const slides = spec().to !== undefined && spec().to !== null;
    const range = slides ? control("input", { type: "range", id }) : null;
    const marks = make("datalist", { id: `${id}-marks` });
    const ticks = () => model.get("recorded").ticks?.[name] || [];
    const first = range || number;
    if (!range) {
      number.id = id;
      number.removeAttribute("aria-label");
    }
    for (const one of [range, number]) one?.setAttribute("aria-describedby", note.id);
    const row = make("div", { className: "tlm-row" }, make("label", { htmlFor: id, textContent: name }));
    row.append(...[range, number, unset, note].filter(Boolean));
    if (range) {
      row.append(marks);
      range.setAttribute("list", marks.id);
      on(["recorded"], () => {
        if ([...marks.children].map((m) => m.value).join() === ticks().join()) return;
        marks.replaceChildren(...ticks().map((value) => new Option("", value)));
      });
    }
    place.append(row);
    let typing = false;

    const paint = () => {
      const { low, high, from, to, step, stride, rest, refused, unset: without } = spec();
      const value = model.get(name);
      const sent = value !== null && value !== undefined;
      row.classList.toggle("tlm-unset", !sent);
      Object.assign(number, { min: low ?? "", max: high ?? "", step: step ?? 1 });
      if (!typing) number.value = sent ? plain(value) : "";
      if (range) {
        Object.assign(range, { min: from, max: to, step: stride });
        range.value = sent ? value : rest ?? from;
        range.setAttribute("aria-valuetext", sent ? plain(value) : without || "not sent");
      }
      for (const one of [range, number, unset]) if (one) one.disabled = Boolean(refused);
      unset.setAttribute("aria-disabled", String(!sent));
      note.textContent = refused || (sent ? origin(name) : without);
      note.hidden = !note.textContent;
    };
    on([name, "specs", "origins"], paint);

    const take = (text) => {
      typing = false;
      const { low, high, step } = spec();
      const value = Number(text);
      const empty = String(text).trim() === "";
      if (!empty && !Number.isFinite(value)) return paint();
      const kept = empty ? null : bounded(step === 1 ? Math.round(value) : value, low, high);
      if (kept === model.get(name)) return paint();
      commit({ [name]: kept });
      paint();
    };
    // A slider that stops within half a step of a recorded value means that value.
    const pointed = () => {
      const value = Number(range.value);
      return ticks().find((tick) => Math.abs(tick - value) <= spec().stride / 2) ?? value;
    };
    range?.addEventListener("input", () => {
      number.value = plain(bounded(pointed(), spec().low, spec().high));
      range.setAttribute("aria-valuetext", number.value);
      row.classList.remove("tlm-unset");
    });
    range?.addEventListener("change", () => take(pointed()));
    number.addEventListener("input", () => { typing = true; });
    number.addEventListener("change", () => take(number.validity.badInput ? NaN : number.value));
    number.addEventListener("blur", () => { if (typing) { typing = false; paint(); } });
    unset.addEventListener("click", () => {
      if (model.get(name) === null) return;
      commit({ [name]: null });
      first.focus();
    });
  }

  choice("model", () => model.get("models").map((m) => [m.name, m.label]), ["models"]);
  FIRST.forEach(parameter);
  const rest = PARAMETERS.filter((name) => !FIRST.includes(name));
  const more = make("details", { className: "tlm-more" }, control("summary", { textContent: "more: sampling, seed, recording mode" }));
  root.append(make("p", { className: "tlm-empty", textContent: "A field left empty is not sent: the model's own value holds." }), more);
  place = more;
  rest.forEach(parameter);
  choice("mode", () => [["", "default"], ...MODES.map((m) => [m, m])], []);
  place = root;
  on([...rest, "mode"], () => {  // what is set is seen
    if (model.get("mode") || rest.some((name) => (model.get(name) ?? null) !== null)) more.open = true;
  });

  // The meter: one segment for each message, in the order of the words below it.
  const bar = make("div", { className: "tlm-bar" });
  bar.setAttribute("role", "img");
  const words = make("p", { className: "tlm-meter-text" });
  const parts = make("p", { className: "tlm-meter-parts" });
  root.append(make("div", { className: "tlm-meter" }, bar, words, parts));
  on(["meter"], () => {
    const meter = model.get("meter");
    const shown = meter.parts || [];
    const used = shown.reduce((sum, part) => sum + part.tokens, 0);
    const segments = shown.map((part, i) => {
      const segment = make("span", { className: `tlm-part${i % 2 ? " tlm-part-odd" : ""}`, title: part.label });
      segment.style.flexGrow = String(part.tokens);
      return segment;
    });
    const room = make("span", { className: "tlm-part-room" });
    room.style.flexGrow = String(Math.max(0, (meter.window || 0) - used));
    bar.replaceChildren(...segments, room);
    bar.hidden = !meter.window;
    bar.setAttribute("aria-label", meter.text || "");
    words.textContent = [meter.text, meter.cost].filter(Boolean).join(" · ");
    words.className = `tlm-meter-text${meter.level ? ` tlm-alert tlm-alert-${meter.level}` : ""}`;
    parts.textContent = shown.map((part) => part.label).join(" · ");
    parts.hidden = !shown.length;
  });

  // The recorded answer to the last question with these values: no live region, for texts may be long.
  choice("picked", () => {
    const choices = model.get("recorded").choices || [];
    return choices.length ? [["", "choose a combination"], ...choices.map((c) => [c.name, c.name])] : [];
  }, ["recorded"], {
    label: "recorded",
    along: (picked) => model.get("recorded").choices.find((c) => c.name === picked)?.values,
  });
  const title = make("p", { className: "tlm-recorded-title" });
  const line = make("p", { className: "tlm-recorded-line" });
  const short = make("p", { className: "tlm-recorded-text", dir: "auto" });
  const summary = control("summary");
  const long = make("p", { className: "tlm-recorded-text", dir: "auto" });
  const fold = make("details", {}, summary, long);
  const region = make("section", { className: "tlm-recorded" }, title, line, short, fold);
  region.setAttribute("aria-label", "Recorded answer");
  root.append(region);
  on(["recorded"], () => {
    const { title: asked = "", line: said = "", text = "" } = model.get("recorded");
    const folded = text.length > SHORT.characters || text.split("\n").length > SHORT.lines;
    title.textContent = asked;
    line.textContent = said;
    short.textContent = folded ? "" : text;
    long.textContent = folded ? text : "";
    summary.textContent = folded ? `${text.slice(0, 60).trim()} … (${text.length} characters)` : "";
    short.hidden = folded || !text;
    fold.hidden = !folded;
    region.hidden = !asked;
  });

  const flags = control("textarea", { readOnly: true, id: `${prefix}-flags`, spellcheck: false, rows: 1 });
  const copy = control("button", { type: "button", textContent: "copy" }, "copy the options");
  const status = make("p", { className: "tlm-status" });
  status.setAttribute("role", "status");
  const caption = make("label", { htmlFor: flags.id, textContent: "in a cell" });
  root.append(make("div", { className: "tlm-row" }, caption, flags, copy));
  // As high as its text: the options stand there whole.
  const fit = () => {
    flags.style.height = "auto";
    flags.style.height = `${flags.scrollHeight + flags.offsetHeight - flags.clientHeight}px`;
  };
  const sizes = new ResizeObserver(fit);
  sizes.observe(root);
  on(["flags"], () => { flags.value = model.get("flags"); fit(); });
  flags.addEventListener("focus", () => flags.select());
  copy.addEventListener("click", async () => {
    flags.focus();
    flags.select();
    try {
      await navigator.clipboard.writeText(flags.value);
      status.textContent = "copied";
    } catch {
      status.textContent = document.execCommand("copy") ? "copied" : "selected: copy it with the keyboard";
    }
    copy.focus();
  });

  const reset = control("button", { type: "button", textContent: "reset" }, "reset: forget what was chosen here");
  reset.addEventListener("click", () => {
    // Choices made after a reset that is still under way must win over it.
    const base = Object.fromEntries(PARAMETERS.map((name) => [name, model.get("specs")[name]?.base ?? null]));
    commit({ ...base, model: "", mode: "", resets: model.get("resets") + 1 });
  });
  root.append(make("div", { className: "tlm-row tlm-last" }, reset, status));
  on(["status"], () => { if (status.textContent !== model.get("status")) status.textContent = model.get("status"); });

  el.append(root);
  return () => { offs.forEach((off) => off()); sizes.disconnect(); root.remove(); };
}

export default { render };
