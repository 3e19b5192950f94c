/** New cells below a cell. */

/** Insert a cell below another and make it the active one, as JupyterLab's own command does; Markdown is drawn, code is not run. */
export function insertBelow(notebook, cell, type, source) {
  const index = notebook.widgets.indexOf(cell) + 1;
  notebook.model.sharedModel.insertCell(index, { cell_type: type, source, metadata: {} });
  notebook.activeCellIndex = index;
  if (type === 'markdown') {
    notebook.widgets[index].rendered = true;
  }
  notebook.mode = 'command';
  notebook.activate();
}
