/** How a prompt cell looks, by JupyterLab's own colours, so that every theme has them. */
import { HighlightStyle, syntaxHighlighting } from '@codemirror/language';
import { Prec } from '@codemirror/state';
import { EditorView } from '@codemirror/view';
import { tags } from '@lezer/highlight';

/** A colour of the theme, nearer to that of its text, so that it can be read on every background that a cell has. */
const legible = (name, share) => `color-mix(in srgb, var(${name}) ${share}%, var(--jp-content-font-color0))`;

const layout = EditorView.theme({
  '.tlm-magic': { color: legible('--jp-mirror-editor-meta-color', 75), fontWeight: 'bold' },
  '.tlm-option': { color: legible('--jp-mirror-editor-attribute-color', 80) },
  '.tlm-value': { color: legible('--jp-mirror-editor-string-color', 80) },
  '.tlm-role-system, .tlm-role-developer': { '--tlm-role': 'var(--md-purple-400, #ab47bc)' },
  '.tlm-role-user': { '--tlm-role': 'var(--md-blue-400, #42a5f5)' },
  '.tlm-role-assistant': { '--tlm-role': 'var(--md-green-500, #4caf50)' },
  '.tlm-role': {
    boxShadow: 'inset 3px 0 var(--tlm-role)',
    backgroundColor: 'color-mix(in srgb, var(--tlm-role) 7%, transparent)',
    paddingLeft: '6px'
  },
  '.tlm-role-part': { backgroundColor: 'color-mix(in srgb, var(--tlm-role) 14%, transparent)' },
  '.tlm-file': { textDecoration: 'underline', textUnderlineOffset: '2px' },
  '.tlm-unknown': { textDecoration: 'underline wavy var(--jp-error-color1, #d32f2f)', textUnderlineOffset: '3px', textDecorationSkipInk: 'none' },
  '.cm-panels': { backgroundColor: 'transparent', color: 'inherit' },
  '.cm-panels-bottom': { borderTop: 'none' },
  '.tlm-meter': {
    display: 'flex',
    flexWrap: 'wrap',
    alignItems: 'center',
    padding: '2px 6px 3px',
    fontFamily: 'var(--jp-ui-font-family)',
    fontSize: 'var(--jp-ui-font-size0)',
    lineHeight: '1.5',
    color: 'var(--jp-ui-font-color1)'
  },
  '.tlm-meter > span + span:not(.tlm-bar)::before': { content: '"·"', margin: '0 5px' },
  '.tlm-meter > .tlm-bar + span::before': { content: 'none !important' },
  '.tlm-bar': {
    width: '48px',
    height: '4px',
    marginRight: '6px',
    borderRadius: '2px',
    overflow: 'hidden',
    backgroundColor: 'var(--jp-border-color2)'
  },
  '.tlm-bar > span': { display: 'block', height: '100%', minWidth: '1px', backgroundColor: 'var(--jp-brand-color1)' },
  '.tlm-bar[data-level=warning] > span': { backgroundColor: 'var(--jp-warn-color1)' },
  '.tlm-bar[data-level=error] > span': { backgroundColor: 'var(--jp-error-color1)' },
  '.tlm-meter [data-level=warning]': { color: legible('--jp-warn-color1', 50) },
  '.tlm-meter [data-level=error]': { color: legible('--jp-error-color1', 60), fontWeight: 'bold' },
  '.tlm-meter [data-level=recorded]': { color: legible('--jp-success-color1', 50) },
  '.tlm-meter [data-level=quiet]': { color: 'color-mix(in srgb, var(--jp-content-font-color0) 70%, transparent)' },
  '.tlm-tip': { padding: '2px 6px', fontFamily: 'var(--jp-ui-font-family)', fontSize: 'var(--jp-ui-font-size1)' },
  '.tlm-tip button': { border: 'none', padding: '0', background: 'none', color: 'var(--jp-content-link-color)', cursor: 'pointer', font: 'inherit' }
});

const colours = HighlightStyle.define([
  { tag: tags.brace, color: legible('--jp-mirror-editor-operator-color', 75) },
  { tag: tags.comment, color: legible('--jp-mirror-editor-comment-color', 70) },
  { tag: [tags.keyword, tags.modifier], color: legible('--jp-mirror-editor-keyword-color', 75) },
  { tag: tags.string, color: legible('--jp-mirror-editor-string-color', 80) },
  { tag: tags.number, color: legible('--jp-mirror-editor-number-color', 75) },
  { tag: [tags.special(tags.variableName), tags.standard(tags.variableName)], color: legible('--jp-mirror-editor-builtin-color', 75) },
  { tag: tags.propertyName, color: legible('--jp-mirror-editor-property-color', 80) },
  { tag: [tags.processingInstruction, tags.monospace], color: legible('--jp-mirror-editor-operator-color', 60) },
  { tag: tags.heading, color: legible('--jp-mirror-editor-header-color', 75), fontWeight: 'bold' },
  { tag: tags.definition(tags.variableName), color: legible('--jp-mirror-editor-def-color', 60) },
  { tag: tags.quote, color: legible('--jp-mirror-editor-comment-color', 50) },
  { tag: [tags.link, tags.url], color: legible('--jp-mirror-editor-link-color', 75) }
]);

export const theme = [layout, Prec.high(syntaxHighlighting(colours))];
