/** Keeps the readings of a notebook's prompt cells: of the one somebody types in, of those that have run, of those in sight. */
import { findMagicLine } from './magic_line.js';
import { setReading } from './reading.js';

const PAUSE = 250; // milliseconds between two requests

/** The editor view of a code cell that is a prompt; null for other cells, and where the cell is not drawn. */
function promptView(cell) {
  const view = cell?.model?.type === 'code' ? cell.editor?.editor : null;
  return view && findMagicLine(view.state.doc) ? view : null;
}

export class Counting {
  constructor(notebook, channel, options) {
    this.notebook = notebook;
    this.channel = channel;
    this.options = options;
    this.due = new Set();
    this.isAsking = false;
    this.next = 0;
    this.watched = null;
    notebook.activeCellChanged.connect((_, cell) => this.watch(cell));
    channel.connected.connect(() => this.countVisible());
    channel.rested.connect(() => this.ask());
    this.watch(notebook.activeCell);
  }

  watch(cell) {
    this.watched?.model?.contentChanged.disconnect(this.onTyped, this);
    this.watched = cell;
    cell?.model.contentChanged.connect(this.onTyped, this);
    this.count(cell);
  }

  onTyped() {
    this.count(this.watched);
  }

  /** Count the cells in sight again, the active one first: what they say may have changed. */
  countVisible() {
    this.count(this.notebook.activeCell);
    this.notebook.widgets.filter(cell => cell.inViewport !== false).forEach(cell => this.count(cell));
  }

  count(cell) {
    if (promptView(cell)) {
      this.due.add(cell);
      this.ask();
    }
  }

  async ask() {
    const wait = this.next - Date.now();
    if (this.isAsking || !this.due.size || !this.channel.isReady) {
      return;
    }
    this.isAsking = true;
    if (wait > 0) {
      await new Promise(resolve => setTimeout(resolve, wait));
    }
    const [cell] = this.due;
    this.due.delete(cell);
    const source = promptView(cell)?.state.doc;
    if (source) {
      this.next = Date.now() + PAUSE;
      const reply = await this.channel.request('count', { cell: source.toString() });
      this.show(cell, source, reply);
    }
    this.isAsking = false;
    void this.ask();
  }

  /** Show a reply where the text is still the one that was counted. */
  show(cell, source, reply) {
    const view = promptView(cell);
    if (reply === null) {
      this.due.add(cell); // the kernel became busy: once more when it rests
    } else if (view?.state.doc.eq(source) && !reply.error) {
      view.dispatch({ effects: setReading.of({ ...reply, isShown: this.options.meter }) });
    }
  }
}
