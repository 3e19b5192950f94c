/** Where in a prompt a position is: on the magic's line, inside of `{{ }}` or `{% %}`, or in prose. */
import { syntaxTree } from '@codemirror/language';
import { findMagicLine } from './magic_line.js';

const FAR = 4000; // characters before the position that are looked at

/** The `{{` or `{%` that is open at a position; null in prose, in comments and in raw blocks. */
export function openMark(state, pos) {
  if (/^(RawText|Comment)$/.test(syntaxTree(state).resolveInner(pos, -1).name)) {
    return null;
  }
  const before = state.sliceDoc(Math.max(0, pos - FAR), pos);
  const start = Math.max(before.lastIndexOf('{{'), before.lastIndexOf('{%'));
  return start >= 0 && !/[}%]\}/.test(before.slice(start + 2)) ? before.slice(start, start + 2) : null;
}

export function isOnMagicLine(state, pos) {
  const line = findMagicLine(state.doc);
  return line !== null && pos <= line.to;
}

export const isInProse = (state, pos) => !isOnMagicLine(state, pos) && openMark(state, pos) === null;
