/** Keys of a prompt: Tab and Shift Tab are white space in prose, where they would complete and explain Python; one opens a file. */
import { indentUnit } from '@codemirror/language';
import { EditorView } from '@codemirror/view';
import { fileAt } from './files.js';
import { isInProse } from './place.js';

/** Marks an editor for the key bindings: a prompt, and whether its cursor stands in prose. */
export const marks = EditorView.editorAttributes.compute(['doc', 'selection'], state => ({
  class: isInProse(state, state.selection.main.head) ? 'tlm-prompt tlm-prose' : 'tlm-prompt'
}));

function indent(view) {
  view.dispatch(view.state.replaceSelection(view.state.facet(indentUnit)), { scrollIntoView: true, userEvent: 'input' });
}

function dedent(view) {
  const { state } = view;
  const line = state.doc.lineAt(state.selection.main.head);
  const width = Math.min(/^ */.exec(line.text)[0].length, state.facet(indentUnit).length);
  view.dispatch({ changes: { from: line.from, to: line.from + width }, userEvent: 'delete.dedent' });
}

/** Adds the commands and their keys; `activeView()` is the editor somebody types in, `openFile(name)` opens a template file. */
export function addKeys(commands, activeView, openFile) {
  const add = (name, label, keys, selector, run) => {
    const id = `tinyllm-magic:${name}`;
    commands.addCommand(id, { label, execute: () => run(activeView()) });
    commands.addKeyBinding({ command: id, keys: [keys], selector });
  };
  add('indent', 'Indent in a Prompt', 'Tab', '.tlm-prose .cm-content', indent);
  add('dedent', 'Dedent in a Prompt', 'Shift Tab', '.tlm-prose .cm-content', dedent);
  add('open-template', 'Open the Template File at the Cursor', 'Accel Alt O', '.tlm-prompt .cm-content', ({ state }) => {
    const file = fileAt(state, state.selection.main.head);
    return file ? openFile(file.name) : undefined;
  });
}
