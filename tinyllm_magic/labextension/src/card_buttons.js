/** The buttons of a card on a live page: the saved card has none, so that it stays without script. */
import { Clipboard } from '@jupyterlab/apputils';
import { findCodeBlocks, writeMarkdown } from './answer_text.js';
import { insertBelow } from './cells.js';
import { isPromptCell } from './magic_line.js';
import { readPrompt } from './recorded_prompt.js';

export class CardButtons {
  /** `asking` runs cells, `channel` leads to the kernel. */
  constructor(notebook, channel, asking) {
    this.notebook = notebook;
    this.channel = channel;
    this.asking = asking;
    channel.changed.connect(() => notebook.node.querySelectorAll('.tlm-actions [data-kernel]').forEach(button => this.update(button)));
  }

  /** Draw the buttons of a card; `facts` are the answer's own, `isAlone` says that the cell has no other. */
  add(article, cell, { answer, key }, isAlone) {
    if (article.querySelector(':scope > .tlm-actions')) {
      return;
    }
    const row = new Row();
    if (answer) {
      row.add('Copy', 'Copy the answer as it was written', () => copy(answer));
    }
    if (isAlone && isPromptCell(cell)) {
      this.addForKernel(row, 'asks', 'Ask again', 'Run the cell once and replace the recorded answer', () => this.asking.askAgain(cell));
    }
    if (key) {
      const button = this.addForKernel(row, 'shows', 'Prompt', 'Show what was asked', () => this.togglePrompt(article, button, key, row));
      button.setAttribute('aria-expanded', 'false');
    }
    if (answer) {
      row.add('To Markdown', 'Insert the answer below as a Markdown cell', () => this.insertMarkdown(cell, answer));
    }
    const code = answer ? findCodeBlocks(answer) : '';
    if (code) {
      row.add('To code', 'Insert the code of the answer below as a code cell, which is not run', () => insertBelow(this.notebook, cell, 'code', code));
    }
    article.append(row.node);
  }

  addForKernel(row, need, label, tip, act) {
    const button = row.add(label, tip, () => this.whyNot(button) || act());
    button.dataset.kernel = need;
    button.dataset.tip = tip;
    this.update(button);
    return button;
  }

  /** Why a button cannot do what it is for; empty where it can. */
  whyNot({ dataset }) {
    if (!this.channel.isOpen) {
      return 'The kernel has not loaded tinyllm_magic.';
    }
    return dataset.kernel === 'asks' && this.channel.asksNobody ? 'In strict replay nobody is asked.' : '';
  }

  update(button) {
    const why = this.whyNot(button);
    button.setAttribute('aria-disabled', String(Boolean(why)));
    button.title = why || button.dataset.tip;
  }

  async togglePrompt(article, button, key, row) {
    const shown = article.querySelector(':scope > .tlm-shown-prompt');
    button.setAttribute('aria-expanded', String(!shown));
    if (shown) {
      shown.remove();
      return '';
    }
    const place = document.createElement('div');
    place.className = 'tlm-shown-prompt';
    row.node.before(place);
    if (!this.channel.isReady) {
      row.say('The prompt is shown when the kernel rests.');
    }
    const html = await readPrompt(this.channel.kernel, key, this.notebook.rendermime.sanitizer);
    place.innerHTML = html ?? '';
    if (html === null) {
      place.remove();
      button.setAttribute('aria-expanded', 'false');
    }
    return html === null ? 'No record has this prompt.' : '';
  }

  async insertMarkdown(cell, answer) {
    insertBelow(this.notebook, cell, 'markdown', await writeMarkdown(answer, this.notebook.rendermime.markdownParser));
  }
}

/** One line of buttons, and a place where they say what came of them. */
class Row {
  constructor() {
    this.node = document.createElement('div');
    this.node.className = 'tlm-actions tex2jax_ignore mathjax_ignore';
    this.node.setAttribute('role', 'group');
    this.node.setAttribute('aria-label', 'This answer');
    this.status = document.createElement('span');
    this.status.setAttribute('role', 'status');
    this.node.append(this.status);
  }

  /** A button; what `act` returns is said. */
  add(label, tip, act) {
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = label;
    button.title = tip;
    button.dataset.lmSuppressShortcuts = 'true'; // else the notebook takes bare keys
    button.addEventListener('click', async () => this.say((await act()) || ''));
    this.status.before(button);
    return button;
  }

  say(text) {
    this.status.textContent = text;
  }
}

async function copy(text) {
  await navigator.clipboard.writeText(text).catch(() => Clipboard.copyToSystem(text));
  return 'Copied.';
}
