/** Colours of the magic's line: its name, its options, their values. */
import { Decoration } from '@codemirror/view';
import { decorate } from './decorations.js';
import { findMagicLine, splitWords } from './magic_line.js';

const mark = name => Decoration.mark({ class: `tlm-${name}` });
const MAGIC = mark('magic');
const OPTION = mark('option');
const VALUE = mark('value');

export const optionColours = decorate(state => {
  const line = findMagicLine(state.doc);
  const [magic, ...words] = line ? splitWords(line) : [];
  return magic ? [MAGIC.range(magic.from, magic.to), ...words.flatMap(colourWord)] : [];
});

function colourWord({ from, to, text }) {
  const flag = /^--?[A-Za-z][\w-]*/.exec(text);
  const end = flag ? from + flag[0].length : from;
  return [...(flag ? [OPTION.range(from, end)] : []), ...(end < to ? [VALUE.range(end, to)] : [])];
}
