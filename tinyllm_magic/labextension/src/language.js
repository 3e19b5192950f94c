/** The language of a prompt: Jinja over Markdown. */
import { jinja } from '@codemirror/lang-jinja';
import { markdown, markdownLanguage } from '@codemirror/lang-markdown';
import { Language, LanguageSupport, defineLanguageFacet } from '@codemirror/language';
import { Parser } from '@lezer/common';
import { maskPrompt } from './mask.js';

const templates = jinja({ base: markdown({ base: markdownLanguage, addKeymap: false }) }).language;

class PromptParser extends Parser {
  createParse(input, fragments, ranges) {
    const source = input.read(0, input.length);
    // What is typed at one end of a `{# … #}` may change what stands at its other end: then nothing is taken from before.
    return templates.parser.startParse(maskPrompt(source), source.includes('{#') ? [] : fragments, ranges);
  }
}

export const prompt = new LanguageSupport(new Language(defineLanguageFacet(), new PromptParser(), [], 'prompt'));

/** The text of a syntax node. */
export const textOf = (state, node) => state.sliceDoc(node.from, node.to);
