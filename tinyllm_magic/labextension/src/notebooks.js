/** What each open notebook has: a channel to its kernel, the readings of its prompts, buttons at its answers, and word of its renames. */
import { NotebookActions } from '@jupyterlab/notebook';
import { Asking } from './asking.js';
import { CardButtons } from './card_buttons.js';
import { watchOutputs } from './cards.js';
import { Channel } from './channel.js';
import { Counting } from './counting.js';
import { markOnSave } from './languages.js';
import { addAskButton } from './panel_button.js';
import { Renames } from './renames.js';

const LOADS = /^\s*%%llm(?!\S)|tinyllm_magic/;

export class Notebooks {
  constructor(tracker, contents, options) {
    this.options = options;
    this.parts = new WeakMap();
    tracker.widgetAdded.connect((_, panel) => this.add(panel, contents));
    tracker.forEach(panel => this.add(panel, contents));
    NotebookActions.executed.connect((_, { notebook, cell }) => this.onExecuted(notebook, cell));
  }

  add(panel, contents) {
    const channel = new Channel(panel.sessionContext);
    const counting = new Counting(panel.content, channel, this.options);
    const asking = new Asking(panel.content, panel.sessionContext, channel, () => counting.countVisible());
    const buttons = new CardButtons(panel.content, channel, asking);
    this.parts.set(panel, { channel, counting });
    this.parts.set(panel.content, { channel, counting, asking });
    watchOutputs(panel.content, {
      onCard: (...card) => buttons.add(...card),
      onPanel: element => addAskButton(element, channel, asking)
    });
    markOnSave(panel.context, panel.content, this.options);
    void panel.context.ready.then(() => new Renames(panel.context, path => contents.localPath(path), channel));
  }

  channelOf(panel) {
    return this.parts.get(panel)?.channel;
  }

  countVisible(panel) {
    this.parts.get(panel)?.counting.countVisible();
  }

  /** A cell that has run may have loaded the extension in the kernel, and has changed what the prompts say. */
  onExecuted(notebook, cell) {
    const { channel, counting, asking } = this.parts.get(notebook) ?? {};
    if (!channel) {
      return;
    }
    asking.note(cell);
    if (!channel.isOpen && LOADS.test(cell.model.sharedModel.getSource())) {
      channel.connect();
    } else {
      counting.countVisible();
    }
  }
}
