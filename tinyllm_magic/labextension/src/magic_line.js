/** The line `%%llm [options]` that makes a cell a prompt, and its words. */
import { Text } from '@codemirror/state';

const MAGIC = /^\s*%%llm(?!\S)/;
const WORD = /"(?:\\.|[^"\\])*"|'[^']*'|\{\{.*?\}\}|[^\s"']|["']/g;

/** The line with the magic: the first that is not blank; null where that is another. */
export function findMagicLine(doc) {
  for (let number = 1; number <= doc.lines; number++) {
    const line = doc.line(number);
    if (line.text.trim()) {
      return MAGIC.test(line.text) ? line : null;
    }
  }
  return null;
}

/** Whether a cell is a prompt. */
export function isPromptCell(cell) {
  return cell?.model?.type === 'code' && findMagicLine(Text.of(cell.model.sharedModel.getSource().split('\n'))) !== null;
}

/** The words of a line as `{from, to, text}`; quotes and `{{ }}` hold a word together. */
export function splitWords({ from, text }) {
  const words = [];
  let word = null;
  for (const { 0: piece, index } of text.matchAll(WORD)) {
    if (word && word.to === from + index) {
      word.text += piece;
      word.to += piece.length;
    } else {
      word = { from: from + index, to: from + index + piece.length, text: piece };
      words.push(word);
    }
  }
  return words;
}
