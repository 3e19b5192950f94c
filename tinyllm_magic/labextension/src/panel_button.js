/** The panel's **ask** button: no widget asks a model, the page runs the last prompt cell with the panel's values. */

export function addAskButton(panel, channel, asking) {
  const row = panel.querySelector('.tlm-last');
  if (!row || row.querySelector('.tlm-ask')) {
    return;
  }
  const button = document.createElement('button');
  button.type = 'button';
  button.className = 'tlm-ask';
  button.textContent = 'ask';
  button.title = 'Run the last prompt cell with these values';
  button.setAttribute('aria-label', 'ask: run the last prompt cell with these values');
  button.dataset.lmSuppressShortcuts = 'true';
  // a field that is left by this click may move the row from under the pointer
  button.addEventListener('pointerdown', event => button.setPointerCapture(event.pointerId));
  const status = panel.querySelector('[role=status]');
  button.addEventListener('click', async () => {
    if (!channel.isOpen) {
      status.textContent = 'The kernel has not loaded tinyllm_magic.';
    } else if (!asking.lastPrompt) {
      status.textContent = 'No prompt cell has run yet.';
    } else {
      await asking.askLast();
    }
  });
  row.prepend(button);
}
