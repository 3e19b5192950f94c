/** Typing in a prompt: prose is left as it is typed, Jinja's brackets are closed, lines begin where the one before began. */
import { indentService } from '@codemirror/language';
import { EditorSelection, EditorState, Prec } from '@codemirror/state';
import { EditorView, keymap } from '@codemirror/view';
import { isInProse, isOnMagicLine, openMark } from './place.js';

const CLOSINGS = { '{{': '}}', '{%': '%}' };
const QUIET = [{ closeBrackets: { brackets: [] } }];

/** A new line is indented as the one before it; other lines stay where they are. */
const indentation = indentService.of((context, pos) => {
  if (context.simulatedBreak === null || context.simulatedBreak === undefined) {
    return null;
  }
  const line = context.state.doc.lineAt(pos);
  return isOnMagicLine(context.state, line.from) ? 0 : /^\s*/.exec(line.text)[0].length;
});

/** Where somebody has turned on that brackets close themselves, they do so in Jinja alone. */
const closedByOthers = EditorState.languageData.of((state, pos) => (isInProse(state, pos) || isOnMagicLine(state, pos) ? QUIET : []));

/** `{{` and `{%` get their other half; typing that half steps over it. */
const closing = EditorView.inputHandler.of((view, from, to, text) => {
  if (from !== to || view.state.selection.ranges.length > 1) {
    return false;
  }
  const { state } = view;
  const before = state.sliceDoc(from - 1, from);
  const after = state.sliceDoc(from, from + 2);
  const close = CLOSINGS[before + text];
  if (close && !openMark(state, from)) {
    const missing = after === close ? '' : after[0] === '}' ? close[0] : close;
    return insert(view, from, text + missing, text.length);
  }
  return stepsOver(state, from, text, before, after) && step(view, from);
});

/** Whether what is typed is the next character of a `}}` or `%}` that closes what is open. */
function stepsOver(state, from, text, before, after) {
  const close = CLOSINGS[openMark(state, from)] ?? '';
  return close !== '' && ((text === close[0] && after === close) || (before + text === close && after[0] === text));
}

function insert(view, from, text, length) {
  view.dispatch({
    changes: { from, insert: text },
    selection: EditorSelection.cursor(from + length),
    scrollIntoView: true,
    userEvent: 'input.type'
  });
  return true;
}

function step(view, from) {
  view.dispatch({ selection: EditorSelection.cursor(from + 1), scrollIntoView: true, userEvent: 'input.type' });
  return true;
}

/** Backspace between the two halves of an empty pair takes both. */
const deletion = Prec.highest(
  keymap.of([
    {
      key: 'Backspace',
      run(view) {
        const { head, empty } = view.state.selection.main;
        const around = view.state.sliceDoc(head - 2, head + 2);
        if (!empty || !Object.entries(CLOSINGS).some(([open, close]) => around === open + close)) {
          return false;
        }
        view.dispatch({ changes: { from: head - 1, to: head + 2 }, userEvent: 'delete.backward' });
        return true;
      }
    }
  ])
);

export const typing = [indentation, closedByOthers, closing, deletion];
