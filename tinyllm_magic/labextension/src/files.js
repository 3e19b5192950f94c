/** Names of template files, after `-t` and in `{% include %}` and its kin: shown as links that Ctrl or Cmd and a click open. */
import { syntaxTree } from '@codemirror/language';
import { Decoration, EditorView, hoverTooltip } from '@codemirror/view';
import { decorate } from './decorations.js';
import { textOf } from './language.js';
import { findMagicLine, splitWords } from './magic_line.js';

const LINK = Decoration.mark({ class: 'tlm-file' });
const NAMES_FILE = ['include', 'import', 'from'];

/** The file names of a prompt as `{from, to, name}`. */
function findFileNames(state) {
  return [...namesOnMagicLine(state), ...namesInTags(state)];
}

function namesOnMagicLine(state) {
  const line = findMagicLine(state.doc);
  const words = line ? splitWords(line) : [];
  return words.flatMap((word, place) => {
    const attached = /^(-t|--template)=(.+)$/.exec(word.text);
    const value = attached ? { ...word, from: word.to - attached[2].length, text: attached[2] } : word;
    const isFile = attached || ['-t', '--template'].includes(words[place - 1]?.text);
    return isFile && !value.text.includes('{{') ? [{ from: value.from, to: value.to, name: unquote(value.text) }] : [];
  });
}

function namesInTags(state) {
  const found = [];
  syntaxTree(state).iterate({
    enter({ name, node }) {
      if (name !== 'Tag') {
        return;
      }
      const word = node.getChild('TagName');
      const keyword = word ? textOf(state, word) : NAMES_FILE.find(known => node.getChild(known));
      const string = node.getChild('StringLiteral');
      if (string && (keyword === 'extends' || NAMES_FILE.includes(keyword))) {
        found.push({ from: string.from + 1, to: string.to - 1, name: unquote(textOf(state, string)) });
      }
    }
  });
  return found.filter(({ from, to }) => from < to);
}

const unquote = text => text.replace(/^(["'])(.*)\1$/, '$2');

const links = decorate(state => findFileNames(state).map(({ from, to }) => LINK.range(from, to)));

/** The file name at a position, undefined where there is none. */
export const fileAt = (state, pos) => findFileNames(state).find(({ from, to }) => from <= pos && pos <= to);

/** The links of a prompt; `open(name)` opens a file. */
export function fileLinks(open) {
  const click = EditorView.domEventHandlers({
    mousedown(event, view) {
      const pos = event.ctrlKey || event.metaKey ? view.posAtCoords({ x: event.clientX, y: event.clientY }) : null;
      const file = pos === null ? undefined : fileAt(view.state, pos);
      if (file) {
        event.preventDefault();
        open(file.name);
      }
      return file !== undefined;
    }
  });
  const tip = hoverTooltip((view, pos) => {
    const file = fileAt(view.state, pos);
    return file ? { pos: file.from, end: file.to, above: true, create: () => ({ dom: makeLink(file.name, open) }) } : null;
  });
  return [links, click, tip];
}

function makeLink(name, open) {
  const button = document.createElement('button');
  button.type = 'button';
  button.textContent = `Open ${name}`;
  button.addEventListener('click', () => open(name));
  const tip = document.createElement('div');
  tip.className = 'tlm-tip';
  tip.append(button);
  return tip;
}
