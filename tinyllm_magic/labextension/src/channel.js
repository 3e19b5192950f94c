/** The comm between a notebook and its kernel. It opens once the extension is loaded there, and a busy kernel is never asked. */
import { Signal } from '@lumino/signaling';
import { Workload } from './workload.js';

const TARGET = 'tinyllm_magic';
const PATIENCE = 5000; // milliseconds that a reply is waited for
const OVER = ['restarting', 'autorestarting', 'dead', 'terminating'];

export class Channel {
  constructor(sessionContext) {
    this.connected = new Signal(this);
    this.changed = new Signal(this);
    this.sessionContext = sessionContext;
    this.comm = null;
    this.asksNobody = false;
    this.waiting = new Map();
    this.count = 0;
    this.workload = new Workload(content => this.comm !== null && content.comm_id === this.comm.commId);
    sessionContext.kernelChanged.connect(() => this.follow());
    sessionContext.statusChanged.connect((_, status) => OVER.includes(status) && this.forget());
    void sessionContext.ready.then(() => {
      this.follow();
      void this.reconnect();
    });
  }

  get kernel() {
    return this.sessionContext.session?.kernel ?? null;
  }

  get isOpen() {
    return this.comm !== null && !this.comm.isDisposed;
  }

  /** Whether a message would be answered at once: nothing but messages such as ours keeps the kernel busy. */
  get isReady() {
    return this.isOpen && this.workload.isEmpty;
  }

  /** Emits each time the kernel has done all that it was asked. */
  get rested() {
    return this.workload.emptied;
  }

  /** Resolves when the kernel has done all that it was asked, and what widgets have held back until then. */
  async rest() {
    do {
      await this.workload.whenEmpty();
      await new Promise(resolve => setTimeout(resolve));
    } while (!this.workload.isEmpty);
  }

  follow() {
    if (this.workload.kernel !== this.kernel) {
      this.forget();
      this.workload.follow(this.kernel);
    }
  }

  forget() {
    this.comm = null;
    this.workload.clear();
    this.waiting.forEach(resolve => resolve(null));
    this.waiting.clear();
    this.changed.emit();
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
      () => this.comm === comm && this.isOpen && this.onConnected(),
      () => this.comm === comm && this.forget()
    );
  }

  onConnected() {
    this.connected.emit();
    this.changed.emit();
  }

  onReply(reply) {
    this.asksNobody = reply.asks_nobody ?? this.asksNobody; // it is said when the comm opens
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
