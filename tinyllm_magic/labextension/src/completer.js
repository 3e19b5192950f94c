/** Completions of prompt cells in JupyterLab's own list: what fits the place, from the kernel, while one types and on Tab. */
import { EditorView } from '@codemirror/view';
import { LabIcon, codeIcon, fileIcon, filterListIcon, kernelIcon, listIcon, settingsIcon, spreadsheetIcon } from '@jupyterlab/ui-components';
import { findMagicLine } from './magic_line.js';
import { isOnMagicLine, openMark } from './place.js';

const LONGEST = 60; // characters of what is shown beside a word

/** JupyterLab's icons under a name of our own, by which the style knows our items. */
const ICONS = Object.fromEntries(
  Object.entries({
    file: fileIcon,
    filter: filterListIcon,
    model: kernelIcon,
    name: codeIcon,
    option: settingsIcon,
    table: spreadsheetIcon,
    tag: listIcon
  }).map(([kind, { svgstr }]) => [kind, new LabIcon({ name: `tinyllm-magic:${kind}`, svgstr })])
);

const VALUE_OF = '--?(?:m|model|compare|map|schema|tools|t|template|c|chat|f|format|mode|p|param|grid)';
const ON_MAGIC_LINE = new RegExp(`(?:\\s--?[\\w-]*|\\s${VALUE_OF}[ =]\\S*)$`);
const IN_JINJA = /(?:\{[{%][-+]?\s*\w*|\|\s*\w*|[\w\])]\.\w*|\[["'][^"'\]]*|\b(?:include|import|from|extends)\s+["'][^"']*|\b(?:in|is|not|if|and|or)\s+\w*)$/;

/** Whether what stands before the cursor asks for completions by itself. */
function asksForCompletions(state) {
  const { head } = state.selection.main;
  if (isOnMagicLine(state, head)) {
    const { from } = findMagicLine(state.doc);
    const before = state.sliceDoc(from, head);
    return ON_MAGIC_LINE.test(before) || (before.includes('{{') && IN_JINJA.test(before));
  }
  return openMark(state, head) !== null && IN_JINJA.test(state.sliceDoc(Math.max(0, head - 200), head));
}

/** Calls `invoke` when something was typed that asks for completions. */
export const completeWhileTyping = invoke =>
  EditorView.updateListener.of(({ docChanged, transactions, state }) => {
    if (docChanged && transactions.some(transaction => transaction.isUserEvent('input.type')) && asksForCompletions(state)) {
      setTimeout(invoke); // the list that is open closes first where it no longer fits
    }
  });

const isPrompt = context => {
  const view = context.editor?.editor;
  return context.editor?.model?.type === 'code' && view !== undefined && findMagicLine(view.state.doc) !== null;
};

export class PromptCompletions {
  identifier = 'tinyllm-magic:completions';
  rank = 2000;

  /** `channelOf(widget)` is the channel of a notebook. */
  constructor(channelOf) {
    this.channelOf = channelOf;
  }

  async isApplicable(context) {
    return isPrompt(context);
  }

  /** Our own typing asks, so that prose is left alone. */
  shouldShowContinuousHint() {
    return false;
  }

  async fetch({ text, offset }, context) {
    const before = [...text].slice(0, offset).join('');
    const reply = await this.channelOf(context.widget)?.request('complete', { text: before });
    const { fragment = '', items = [] } = reply ?? {};
    return {
      start: offset - [...fragment].length,
      end: offset,
      items: items.map(({ text: word, about }) => ({
        label: word,
        insertText: word,
        type: about.length > LONGEST ? `${about.slice(0, LONGEST - 1)}…` : about || 'name',
        documentation: about,
        icon: ICONS[kindOf(before, about)]
      }))
    };
  }
}

/** What kind of word fits a place, for its icon. */
function kindOf(before, about) {
  if (/\{%[-+]?\s*\w*$/.test(before)) {
    return 'tag';
  }
  if (/\|\s*\w*$/.test(before)) {
    return 'filter';
  }
  if (/^(?:beside the notebook|in prompts)/.test(about)) {
    return 'file';
  }
  if (/key \S/.test(about)) {
    return 'model';
  }
  if (/ × |^list of|^dict of/.test(about)) {
    return 'table';
  }
  return /\n|\{[{%]/.test(before) ? 'name' : 'option';
}

/** Keeps what completes Python out of prompts. */
export function keepOthersOut(manager, own) {
  for (const provider of manager.getProviders().values()) {
    if (provider !== own && !provider.isKeptOutOfPrompts) {
      const isApplicable = provider.isApplicable.bind(provider);
      provider.isApplicable = async context => !isPrompt(context) && isApplicable(context);
      provider.isKeptOutOfPrompts = true;
    }
  }
}
