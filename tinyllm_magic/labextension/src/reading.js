/** What the kernel last said of a prompt: the words of its meter, its share of the context window, the names it does not know. */
import { StateEffect, StateField } from '@codemirror/state';

export const setReading = StateEffect.define();

export const reading = StateField.define({
  create: () => null,
  update: (value, transaction) => transaction.effects.findLast(effect => effect.is(setReading))?.value ?? value
});

/** Whether an update brings a new reading. */
export const hasNewReading = update => update.startState.field(reading, false) !== update.state.field(reading, false);
