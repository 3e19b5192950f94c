/**
 * The text of a prompt as CodeMirror's Jinja parser shall see it: the magic's line is blank, a brace that opens no comment
 * (LaTeX's `{#1}`) is text, and the signs of `{{-`, `-}}`, `{%-`, `-%}` are white space. Every character keeps its place.
 */
import { Text } from '@codemirror/state';
import { findMagicLine } from './magic_line.js';

const TEXT = '\uFDD0';
const EDGES = /^[\s-]$/;

export function maskPrompt(source) {
  const line = findMagicLine(Text.of(source.split('\n')));
  const end = line ? line.to : 0;
  const body = maskBraces(source.slice(end));
  return source.slice(0, end).replace(/[^\n]/g, ' ') + body.replace(/\{\{[-+]|[-+]\}\}/g, mark => mark.replace(/[-+]/, ' '));
}

/** The source with another character for the `#` of each `{#` that opens no comment. */
function maskBraces(source) {
  let masked = '';
  let done = 0;
  let after = 0;
  for (const { index } of source.matchAll(/\{#/g)) {
    if (index < after) {
      continue;
    }
    const closing = source.indexOf('#}', index + 2);
    if (isComment(source, index + 2, closing)) {
      after = closing < 0 ? source.length : closing + 2;
    } else {
      masked += `${source.slice(done, index)}{${TEXT}`;
      done = index + 2;
    }
  }
  return masked + source.slice(done);
}

/** A comment has white space or `-` at both inner ends, or a space at one of them. */
function isComment(source, start, end) {
  const first = source[start] ?? '';
  if (end < 0) {
    return first === ' ';
  }
  const last = end > start ? source[end - 1] : '';
  if (first === ' ' || (EDGES.test(first) && EDGES.test(last))) {
    return true;
  }
  return last === ' ' && !/[{}\n]/.test(source.slice(start, end));
}
