/** Decorations that follow the text: built anew when the text, its syntax tree or what the kernel says of it changes. */
import { syntaxTree } from '@codemirror/language';
import { Decoration, ViewPlugin } from '@codemirror/view';

/** An extension that shows the decorations `find(state)` gives as a list of ranges; `also(update)` says what else changes them. */
export function decorate(find, also = () => false) {
  const build = state => Decoration.set(find(state), true);
  return ViewPlugin.fromClass(
    class {
      constructor({ state }) {
        this.tree = syntaxTree(state);
        this.decorations = build(state);
      }

      update(update) {
        const tree = syntaxTree(update.state);
        if (update.docChanged || tree !== this.tree || also(update)) {
          this.tree = tree;
          this.decorations = build(update.state);
        }
      }
    },
    { decorations: plugin => plugin.decorations }
  );
}
