/**
 * What a kernel has been asked and has not done: each request by itself, for the kernel's own status turns to idle with every
 * reply of another channel (a debugger's, a subshell's) while a cell still runs, and between two cells that both are queued.
 */
import { Signal } from '@lumino/signaling';

export class Workload {
  /** `isLight(content)` tells messages that keep nobody waiting. */
  constructor(isLight) {
    this.emptied = new Signal(this);
    this.isLight = isLight;
    this.kernel = null;
    this.undone = new Set();
    this.light = new Set();
  }

  get isEmpty() {
    return this.undone.size === 0;
  }

  follow(kernel) {
    this.kernel?.anyMessage.disconnect(this.note, this);
    this.kernel?.connectionStatusChanged.disconnect(this.onConnection, this);
    this.kernel = kernel;
    kernel?.anyMessage.connect(this.note, this);
    kernel?.connectionStatusChanged.connect(this.onConnection, this);
    this.clear();
  }

  clear() {
    this.undone.clear();
    this.light.clear();
    this.emptied.emit();
  }

  /** Of what ended while the connection was lost nothing is heard: a request that waits its turn stands for all that is left. */
  onConnection(kernel, status) {
    if (status === 'connected') {
      this.undone.clear();
      void kernel.requestCommInfo({}).catch(() => null);
    }
  }

  note(_, { msg, direction }) {
    const { header, parent_header: parent, content, channel } = msg;
    if (direction === 'send') {
      if (channel === 'shell') {
        (this.isLight(content) ? this.light : this.undone).add(header.msg_id);
      }
    } else if (header.msg_type === 'status') {
      this.noteStatus(parent.msg_id, content.execution_state);
    }
  }

  noteStatus(id, state) {
    if (state === 'busy' && id && !this.light.has(id)) {
      this.undone.add(id);
    } else if (state === 'idle') {
      this.light.delete(id);
      if (this.undone.delete(id) && this.isEmpty) {
        this.emptied.emit();
      }
    }
  }

  async whenEmpty() {
    while (!this.isEmpty) {
      await new Promise(resolve => {
        const once = () => {
          this.emptied.disconnect(once);
          resolve();
        };
        this.emptied.connect(once);
      });
    }
  }
}
