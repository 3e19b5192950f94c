/** The cards in a notebook's outputs, as they appear: each with its cell and with what its output's metadata says of the answer. */
const OURS = 'article.tlm, .tlm-panel';

/** Calls `onCard(article, cell, facts, isAlone)` for each settled card and `onPanel(element)` for each panel. */
export function watchOutputs(notebook, { onCard, onPanel }) {
  const visit = element => {
    if (element.matches('.tlm-panel')) {
      onPanel(element);
    } else if (!element.querySelector('article.tlm')) {
      visitCard(notebook, element, onCard);
    }
  };
  const observer = new MutationObserver(records => {
    for (const { target, addedNodes } of records) {
      if (!target.closest?.('.cm-editor')) {
        addedNodes.forEach(node => findOurs(node).forEach(visit));
      }
    }
  });
  observer.observe(notebook.node, { childList: true, subtree: true });
  notebook.disposed.connect(() => observer.disconnect());
  findOurs(notebook.node).forEach(visit);
}

const findOurs = node => (node.nodeType === Node.ELEMENT_NODE ? [...(node.matches(OURS) ? [node] : []), ...node.querySelectorAll(OURS)] : []);

function visitCard(notebook, article, onCard) {
  const cell = notebook.widgets.find(({ model, node }) => model.type === 'code' && node.contains(article));
  const index = cell ? cell.outputArea.widgets.findIndex(({ node }) => node.contains(article)) : -1;
  const facts = index < 0 ? null : cell.outputArea.model.get(index)?.metadata?.tinyllm_magic;
  if (article.ariaBusy === 'true' || !facts || facts.about) {
    return;
  }
  const all = facts.answers ?? [facts];
  const cards = [...cell.outputArea.widgets[index].node.querySelectorAll('article.tlm')].filter(one => !one.querySelector('article.tlm'));
  const own = cards.length === all.length ? all[cards.indexOf(article)] : null;
  if (own && (own.answer || own.key)) {
    onCard(article, cell, own, !facts.answers);
  }
}
