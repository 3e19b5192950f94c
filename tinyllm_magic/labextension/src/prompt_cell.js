/** An editor is a prompt's while its cell is code that begins with `%%llm`; all that a prompt has comes and goes with that line. */
import { Compartment, EditorState, Prec, Text } from '@codemirror/state';
import { EditorView } from '@codemirror/view';
import { completeWhileTyping } from './completer.js';
import { direction } from './direction.js';
import { fileLinks } from './files.js';
import { marks } from './keys.js';
import { prompt } from './language.js';
import { findMagicLine } from './magic_line.js';
import { meter } from './meter.js';
import { optionColours } from './options.js';
import { reading } from './reading.js';
import { roleBlocks } from './roles.js';
import { theme } from './theme.js';
import { typing } from './typing.js';
import { unknownNames } from './unknown_names.js';

/** What every prompt has; `openFile(name)` opens a template file, `complete()` shows completions. */
function makeFeatures({ openFile, complete }) {
  const reads = [prompt, optionColours, roleBlocks, fileLinks(openFile), reading, unknownNames, meter, direction];
  return Prec.highest([...reads, typing, completeWhileTyping(complete), marks, EditorView.lineWrapping, theme]);
}

/** Makes the extension of one editor, of the model of its cell or of something else that has no prompt. */
export function makePromptCells(actions) {
  const features = makeFeatures(actions);
  return model => (model.type === 'code' ? followFirstLine(features, model.sharedModel.getSource()) : []);
}

function followFirstLine(features, source) {
  const slot = new Compartment();
  const choose = isPrompt => (isPrompt ? features : []);
  const follow = EditorState.transactionExtender.of(({ docChanged, newDoc, startState }) => {
    const isPrompt = docChanged && findMagicLine(newDoc) !== null;
    return docChanged && isPrompt !== (findMagicLine(startState.doc) !== null) ? { effects: slot.reconfigure(choose(isPrompt)) } : null;
  });
  return [slot.of(choose(findMagicLine(Text.of(source.split('\n'))) !== null)), follow];
}
