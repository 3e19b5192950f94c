/** Lines in scripts that are written from right to left have their own direction; all others stay as they are. */
import { Decoration, EditorView } from '@codemirror/view';
import { decorate } from './decorations.js';
import { findMagicLine } from './magic_line.js';

const RIGHT_TO_LEFT = /[\u0590-\u08FF\uFB1D-\uFDFF\uFE70-\uFEFC]/;
const AUTO = Decoration.line({ attributes: { dir: 'auto' } });

const directions = decorate(({ doc }) => {
  const magic = findMagicLine(doc);
  const found = [];
  for (let number = magic ? magic.number + 1 : 1; number <= doc.lines; number++) {
    const line = doc.line(number);
    if (RIGHT_TO_LEFT.test(line.text)) {
      found.push(AUTO.range(line.from));
    }
  }
  return found;
});

export const direction = [directions, EditorView.perLineTextDirection.of(true)];
