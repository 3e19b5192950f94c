/** Tells the kernel a notebook's new name, so that the recorded answers follow it. */
import { Notification } from '@jupyterlab/apputils';

export class Renames {
  /** `localPath(path)` is the path as the server knows it. */
  constructor(context, localPath, channel) {
    this.channel = channel;
    this.path = localPath(context.path);
    this.untold = [];
    context.pathChanged.connect((_, path) => this.note(localPath(path)));
    channel.connected.connect(() => this.tell());
  }

  note(path) {
    this.untold.push({ old: this.path, new: path });
    this.path = path;
    void this.tell();
  }

  /** Tell what the kernel has not heard, now or when it is connected. */
  async tell() {
    while (this.untold.length && this.channel.isOpen) {
      const rename = this.untold.shift();
      const reply = await this.channel.request('renamed', rename, { waits: true });
      if (reply?.error) {
        Notification.warning(`The recorded answers of ${rename.old} stay where they are: ${reply.error}`);
      }
    }
  }
}
