/** On saving, marks prompt cells as Markdown for VS Code, which has no extension that would colour them; `tinyllm-magic mark` does the same. */
import { isPromptCell } from './magic_line.js';

const LANGUAGE = 'markdown';

/** Follows the saves of a notebook; `options.languageId` says whether marks are written. */
export function markOnSave(context, notebook, options) {
  context.saveState.connect((_, state) => {
    if (state === 'started' && options.languageId) {
      notebook.widgets.filter(({ model }) => model.type === 'code').forEach(mark);
    }
  });
}

function mark(cell) {
  const { languageId, ...others } = cell.model.getMetadata('vscode') ?? {};
  const isMarked = languageId === LANGUAGE;
  if (isPromptCell(cell)) {
    if (!isMarked) {
      cell.model.setMetadata('vscode', { ...others, languageId: LANGUAGE });
    }
  } else if (isMarked && !/^\s*%%/.test(cell.model.sharedModel.getSource())) {
    // The cell has become Python. VS Code marks `%%markdown` cells itself.
    if (Object.keys(others).length) {
      cell.model.setMetadata('vscode', others);
    } else {
      cell.model.deleteMetadata('vscode');
    }
  }
}
