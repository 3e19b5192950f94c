// One ES module without imports. Everything that comes from the kernel is set as text, never as markup.
function make(tag, props = {}, ...children) {
  const element = Object.assign(document.createElement(tag), props);
  element.append(...children);
  return element;
}

function render({ model, el }) {
  let asked = 0;
  const ask = (what) => {
    model.set("wanted", { ...what, asked: ++asked + Math.random() });
    model.save_changes();
  };
  const choose = (choice) => ask({ do: "choose", choice });
  const go = (step) => ask({ do: "go", to: model.get("number") + step });

  const title = make("p", { className: "tlm-title" });
  const facts = make("dl");
  const answers = make("div", { className: "tlm-rating-answers" });
  const none = make("button", { type: "button", textContent: "0 · none is better", onclick: () => choose(-1) });
  const back = make("button", { type: "button", textContent: "← back", onclick: () => go(-1) });
  const next = make("button", { type: "button", textContent: "next →", onclick: () => go(1) });
  const status = make("p", { className: "tlm-note" });
  status.setAttribute("role", "status");
  const keys = make("p", {
    className: "tlm-note",
    textContent: "Keys: 1, 2 … choose an answer, 0 none is better, Backspace takes it back, ← and → move.",
  });
  const root = make("section", { className: "tlm tlm-rating", tabIndex: 0 }, title, facts, answers, make("p", {}, back, none, next), status, keys);
  root.setAttribute("aria-label", "Blind rating");
  root.dataset.lmSuppressShortcuts = "true"; // the notebook takes bare keys from a focused element unless it says no
  for (const button of [none, back, next]) button.dataset.lmSuppressShortcuts = "true";

  root.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const count = model.get("answers").length;
    const digit = /^[0-9]$/.test(event.key) ? Number(event.key) : NaN;
    if (digit <= count) choose(digit - 1);
    else if (event.key === "Backspace") ask({ do: "withdraw" });
    else if (event.key === "ArrowLeft") go(-1);
    else if (event.key === "ArrowRight") go(1);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });

  const paint = () => {
    const [number, count, choice] = [model.get("number"), model.get("count"), model.get("choice")];
    title.textContent = count ? `Row ${number + 1} of ${count}: which answer is better?` : "There is nothing to rate.";
    facts.replaceChildren(
      ...model.get("row").flatMap(([name, value]) => [make("dt", { textContent: name }), make("dd", { textContent: value })]),
    );
    answers.replaceChildren(
      ...model.get("answers").map((text, place) => {
        const chosen = choice === place;
        const button = make("button", { type: "button", textContent: chosen ? `${place + 1} · ✓ chosen` : `${place + 1} · choose` });
        button.onclick = () => { choose(place); root.focus(); };
        button.setAttribute("aria-label", `answer ${place + 1}`);
        button.setAttribute("aria-pressed", String(chosen));
        button.dataset.lmSuppressShortcuts = "true";
        const article = make("article", { className: chosen ? "tlm-chosen" : "" }, button, make("div", { className: "tlm-text", textContent: text }));
        article.setAttribute("aria-label", `Answer ${place + 1}`);
        return article;
      }),
    );
    none.setAttribute("aria-pressed", String(choice === -1));
    none.textContent = choice === -1 ? "0 · ✓ none is better" : "0 · none is better";
    back.disabled = number === 0;
    next.disabled = number >= count - 1;
    status.textContent = model.get("status");
  };
  const watched = ["number", "count", "row", "answers", "choice", "status"];
  for (const name of watched) model.on(`change:${name}`, paint);
  paint();
  el.append(root);
  return () => {
    for (const name of watched) model.off(`change:${name}`, paint);
  };
}

export default { render };
