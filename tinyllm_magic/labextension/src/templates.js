/** Opens a template file where the kernel would find it: beside the notebook, or in `prompts/`. */
import { Notification } from '@jupyterlab/apputils';
import { PathExt } from '@jupyterlab/coreutils';

export async function openTemplate(app, notebook, name) {
  const folder = PathExt.dirname(notebook ?? '');
  for (const path of [PathExt.join(folder, name), PathExt.join(folder, 'prompts', name)]) {
    const found = await app.serviceManager.contents.get(path, { content: false }).catch(() => null);
    if (found) {
      await app.commands.execute('docmanager:open', { path });
      return;
    }
  }
  Notification.warning(`There is no file ${name} beside the notebook, nor in prompts/.`);
}
