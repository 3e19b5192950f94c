/** Blocks of `{% system %}…{% endsystem %}` and their kin, told apart by a coloured bar and a tint. */
import { syntaxTree } from '@codemirror/language';
import { Decoration } from '@codemirror/view';
import { decorate } from './decorations.js';
import { textOf } from './language.js';
import { findMagicLine } from './magic_line.js';

const ROLES = ['system', 'user', 'assistant', 'developer'];
const ROLE_ATTRIBUTE = /^\{%[-+]?\s*(?:chat|message)\s+role\s*=\s*["'](\w+)["']/;

const LINES = Object.fromEntries(ROLES.map(role => [role, Decoration.line({ class: `tlm-role tlm-role-${role}` })]));
const PARTS = Object.fromEntries(ROLES.map(role => [role, Decoration.mark({ class: `tlm-role-part tlm-role-${role}` })]));

export const roleBlocks = decorate(state => {
  const blocks = findRoleBlocks(state);
  return blocks.length ? colourLines(state, blocks) : [];
});

/** The role blocks of a prompt as `{role, from, to}`; one that is not closed reaches to the next, or to the end. */
export function findRoleBlocks(state) {
  const blocks = [];
  let open = null;
  const close = at => {
    if (open) {
      blocks.push({ ...open, to: at });
      open = null;
    }
  };
  syntaxTree(state).iterate({
    enter(node) {
      if (node.name !== 'Tag') {
        return;
      }
      const name = node.node.getChild('TagName');
      const tag = name ? textOf(state, name) : '';
      const role = ROLES.includes(tag) ? tag : roleAttribute(state, node);
      if (ROLES.includes(role)) {
        close(node.from);
        open = { role, from: node.from };
      } else if (open && /^end(?:system|user|assistant|developer|chat|message)$/.test(tag)) {
        close(node.to);
      }
    }
  });
  close(state.doc.length);
  return blocks;
}

const roleAttribute = (state, node) => ROLE_ATTRIBUTE.exec(state.sliceDoc(node.from, node.from + 80))?.[1];

/** Whole lines get their role's bar, parts of lines its tint; text outside of all blocks is the user's. */
function colourLines(state, blocks) {
  const ranges = [];
  const magic = findMagicLine(state.doc);
  for (let number = (magic?.number ?? 0) + 1; number <= state.doc.lines; number++) {
    const line = state.doc.line(number);
    const inside = blocks.filter(block => block.from <= line.to && block.to >= line.from);
    const first = line.from + line.text.search(/\S|$/);
    const owner = inside.find(block => block.from <= first && block.to > first) ?? inside.find(block => block.from <= first && block.to > line.to);
    if (owner || line.text.trim()) {
      ranges.push(LINES[owner?.role ?? 'user'].range(line.from));
    }
    for (const block of inside) {
      const from = Math.max(block.from, line.from);
      const to = Math.min(block.to, line.to);
      if (block !== owner && from < to) {
        ranges.push(PARTS[block.role].range(from, to));
      }
    }
    if (owner && owner.to < line.to && state.sliceDoc(owner.to, line.to).trim()) {
      ranges.push(PARTS.user.range(owner.to, line.to));
    }
  }
  return ranges;
}
