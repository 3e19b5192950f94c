/** Names in `{{ }}` and `{% %}` that neither the notebook nor the template defines: underlined, with what is similar in a tip. */
import { syntaxTree } from '@codemirror/language';
import { Decoration, hoverTooltip } from '@codemirror/view';
import { decorate } from './decorations.js';
import { textOf } from './language.js';
import { hasNewReading, reading } from './reading.js';

const UNKNOWN = Decoration.mark({ class: 'tlm-unknown' });

/** The unknown names of a prompt as `{from, to, name, similar}`, but for one that is just being typed. */
function findUnknownNames(state) {
  const unknown = state.field(reading)?.unknown ?? {};
  const { head } = state.selection.main;
  const found = [];
  if (Object.keys(unknown).length) {
    syntaxTree(state).iterate({
      enter(node) {
        const name = node.name === 'VariableName' ? textOf(state, node) : '';
        if (Object.hasOwn(unknown, name) && node.to !== head) {
          found.push({ from: node.from, to: node.to, name, similar: unknown[name] });
        }
      }
    });
  }
  return found;
}

const underlines = decorate(
  state => findUnknownNames(state).map(({ from, to }) => UNKNOWN.range(from, to)),
  update => update.selectionSet || hasNewReading(update)
);

const tip = hoverTooltip((view, pos) => {
  const name = findUnknownNames(view.state).find(({ from, to }) => from <= pos && pos <= to);
  return name ? { pos: name.from, end: name.to, above: true, create: () => ({ dom: describe(name) }) } : null;
});

function describe({ name, similar }) {
  const dom = document.createElement('div');
  dom.className = 'tlm-tip';
  dom.textContent = `${name} is not defined.${similar.length ? ` Did you mean ${similar.join(' or ')}?` : ''}`;
  return dom;
}

export const unknownNames = [underlines, tip];
