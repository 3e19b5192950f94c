/** The comm between a notebook and its kernel. It opens once the extension is loaded there, and a busy kernel is never asked. */
import { Signal } from '@lumino/signaling';

const TARGET = 'tinyllm_magic';
const PATIENCE = 5000; // milliseconds that a reply is waited for

export class Channel {
  constructor(sessionContext) {
    this.connected = new Signal(this);
    this.rested = new Signal(this);
    this.sessionContext = sessionContext;
    this.comm = null;
    this.waiting = new Map();
    this.count = 0;
    this.busyWith = null;
    sessionContext.kernelChanged.connect(() => this.forget());
    sessionContext.iopubMessage.connect((_, message) => this.onMessage(message));
    sessionContext.statusChanged.connect((_, status) => this.onStatus(status));
    void sessionContext.ready.then(() => this.reconnect());
  }

  get kernel() {
    return this.sessionContext.session?.kernel ?? null;
  }

  get isOpen() {
    return this.comm !== null && !this.comm.isDisposed;
  }

  /** Whether a message would be answered at once: the kernel rests, or is at work on a message such as ours. */
  get isReady() {
    return this.isOpen && (this.kernel?.status === 'idle' || this.busyWith === 'comm_msg');
  }

  onMessage({ header, parent_header, content }) {
    if (header.msg_type === 'status') {
      this.busyWith = content.execution_state === 'busy' ? parent_header.msg_type : null;
    }
  }

  onStatus(status) {
    if (['restarting', 'autorestarting', 'dead', 'terminating'].includes(status)) {
      this.forget();
    } else if (status === 'idle') {
      this.rested.emit();
    }
  }

  forget() {
    this.comm = null;
    this.waiting.forEach(resolve => resolve(null));
    this.waiting.clear();
  }

  /** Connect where a page before this one was connected to the same kernel. */
  async reconnect() {
    const known = await this.kernel?.requestCommInfo({ target_name: TARGET }).catch(() => null);
    if (Object.keys(known?.content?.comms ?? {}).length) {
      this.connect();
    }
  }

  /** Open the comm; a kernel in which the extension is not loaded closes it at once. */
  connect() {
    if (this.isOpen || !this.kernel?.handleComms) {
      return;
    }
    const comm = this.kernel.createComm(TARGET);
    comm.onMsg = message => this.onReply(message.content.data);
    comm.onClose = () => this.comm === comm && this.forget();
    this.comm = comm;
    comm.open({}).done.then(
      () => this.comm === comm && this.isOpen && this.connected.emit(),
      () => this.comm === comm && this.forget()
    );
  }

  onReply(reply) {
    this.waiting.get(reply.id)?.(reply);
    this.waiting.delete(reply.id);
  }

  /** The reply to a message; null where there is none: not connected, or (unless it `waits`) busy. */
  async request(type, content, { waits = false } = {}) {
    if (waits ? !this.isOpen : !this.isReady) {
      return null;
    }
    const id = ++this.count;
    const reply = new Promise(resolve => this.waiting.set(id, resolve));
    this.comm.send({ id, type, ...content });
    return waits ? reply : Promise.race([reply, new Promise(resolve => setTimeout(resolve, PATIENCE, null))]);
  }
}
