/** Runs prompt cells for buttons, as normal executions: what a button asks is what its cell would ask. */
import { CodeCell } from '@jupyterlab/cells';
import { isPromptCell } from './magic_line.js';

const ASKS_AGAIN = { tinyllm_magic_ask_again: true }; // to the kernel, beside the cell's text

export class Asking {
  constructor(notebook, sessionContext, channel, onDone) {
    this.notebook = notebook;
    this.sessionContext = sessionContext;
    this.channel = channel;
    this.onDone = onDone;
    this.last = null;
  }

  /** A cell has run. */
  note(cell) {
    if (isPromptCell(cell)) {
      this.last = cell;
    }
  }

  /** The prompt cell that ran last, null where none did; on a page that was opened later the execution counts tell. */
  get lastPrompt() {
    const cells = this.notebook.widgets.filter(cell => isPromptCell(cell) && cell.model.executionCount);
    const known = this.notebook.widgets.includes(this.last) && isPromptCell(this.last) ? this.last : null;
    return known ?? cells.sort((a, b) => b.model.executionCount - a.model.executionCount)[0] ?? null;
  }

  /** Run a cell once in the recording mode `refresh`, whatever it says; its text stays. */
  askAgain(cell) {
    this.notebook.activeCellIndex = this.notebook.widgets.indexOf(cell);
    this.notebook.mode = 'command';
    this.notebook.activate();
    return this.run(cell, ASKS_AGAIN);
  }

  /** Run the prompt cell that ran last, with what a panel has told the kernel before. */
  async askLast() {
    await this.channel.rest();
    const cell = this.lastPrompt;
    return cell ? this.run(cell, {}) : undefined;
  }

  async run(cell, more) {
    const deletedCells = this.notebook.model.deletedCells;
    const { recordTiming } = this.notebook.notebookConfig;
    await CodeCell.execute(cell, this.sessionContext, { deletedCells: [...deletedCells], recordTiming, ...more }).catch(() => null); // the cell shows it
    deletedCells.splice(0, deletedCells.length);
    this.note(cell);
    this.onDone();
  }
}
