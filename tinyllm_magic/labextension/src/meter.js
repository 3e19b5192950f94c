/** The footer of a prompt cell: tokens, share of the context window, cost at most, and whether its answer is recorded. */
import { showPanel } from '@codemirror/view';
import { hasNewReading, reading } from './reading.js';

const shows = value => value !== null && !value.off && value.isShown;

function makePanel(view) {
  const dom = document.createElement('div');
  dom.className = 'tlm-meter';
  dom.setAttribute('role', 'group');
  dom.setAttribute('aria-label', 'Size of this prompt');
  const draw = value => dom.replaceChildren(...(value.share === null ? [] : [drawBar(value)]), ...value.parts.map(drawPart));
  draw(view.state.field(reading));
  return {
    dom,
    update(update) {
      if (hasNewReading(update)) {
        draw(update.state.field(reading));
      }
    }
  };
}

function drawBar({ share, parts }) {
  const bar = document.createElement('span');
  bar.className = 'tlm-bar';
  bar.setAttribute('aria-hidden', 'true');
  bar.dataset.level = parts.find(({ level }) => level === 'warning' || level === 'error')?.level ?? '';
  bar.appendChild(document.createElement('span')).style.width = `${Math.min(100, 100 * share)}%`;
  return bar;
}

function drawPart({ text, level }) {
  const part = document.createElement('span');
  part.textContent = text;
  part.dataset.level = level;
  return part;
}

export const meter = showPanel.from(reading, value => (shows(value) ? makePanel : null));
