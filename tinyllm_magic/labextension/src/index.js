/** The extension of JupyterLab and Jupyter Notebook: prompt cells that look and type like prompts. */
import { EditorExtensionRegistry, IEditorExtensionRegistry } from '@jupyterlab/codemirror';
import { ICompletionProviderManager } from '@jupyterlab/completer';
import { INotebookTracker } from '@jupyterlab/notebook';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { PromptCompletions, keepOthersOut } from './completer.js';
import { addKeys } from './keys.js';
import { Notebooks } from './notebooks.js';
import { makePromptCells } from './prompt_cell.js';
import { openTemplate } from './templates.js';

const ID = 'tinyllm-magic:prompt-cell';

function activate(app, editorExtensions, tracker, completers, settings) {
  const options = { meter: true, languageId: false };
  const notebooks = new Notebooks(tracker, app.serviceManager.contents, options);
  const openFile = name => openTemplate(app, tracker.currentWidget?.context.path, name);
  const makePromptCell = makePromptCells({
    openFile,
    complete: () => tracker.currentWidget && completers?.invoke(tracker.currentWidget.id)
  });
  editorExtensions.addExtension(
    Object.freeze({ name: ID, factory: ({ model }) => EditorExtensionRegistry.createImmutableExtension(makePromptCell(model)) })
  );
  addKeys(app.commands, () => tracker.activeCell.editor.editor, openFile);
  if (completers) {
    const own = new PromptCompletions(panel => notebooks.channelOf(panel));
    completers.registerProvider(own);
    void app.restored.then(() => keepOthersOut(completers, own));
  }
  void settings?.load(ID).then(loaded => followSettings(loaded, options, () => tracker.forEach(panel => notebooks.countVisible(panel))));
}

function followSettings(loaded, options, changed) {
  const read = () => {
    options.meter = loaded.get('meter').composite !== false;
    options.languageId = loaded.get('languageId').composite === true;
    changed();
  };
  loaded.changed.connect(read);
  read();
}

export default {
  id: ID,
  description: 'Prompt cells that look and type like prompts.',
  autoStart: true,
  requires: [IEditorExtensionRegistry, INotebookTracker],
  optional: [ICompletionProviderManager, ISettingRegistry],
  activate
};
