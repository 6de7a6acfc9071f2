// Asks again and again, never twice at once, and less often the longer an answer takes: a gateway with ten thousand
// workloads must not be kept busy by whoever looks at it.

const SHARE_OF_TIME = 0.05;

/** Asks with `work` every `seconds`, while the page is seen. `failed` is told what it throws. */
export class Poll {
  constructor(seconds, work, failed) {
    this.seconds = seconds;
    this.work = work;
    this.failed = failed;
    this.timer = null;
    this.isBusy = false;
    this.isDue = false;
    this.isStopped = false;
    document.addEventListener("visibilitychange", () => document.hidden || this.soon());
  }

  /** Ask in a moment; several wishes are one. */
  soon(milliseconds = 250) {
    if (this.isStopped) return;
    if (this.isBusy) {
      this.isDue = true;
      return;
    }
    this.#set(milliseconds, true);
  }

  /** Ask no more. */
  stop() {
    this.isStopped = true;
    clearTimeout(this.timer);
  }

  async run() {
    clearTimeout(this.timer);
    this.timer = null;
    if (this.isStopped || this.isBusy) return;
    this.isBusy = true;
    const begun = performance.now();
    try {
      await this.work();
    } catch (error) {
      this.failed(error);
    }
    this.isBusy = false;
    const cost = performance.now() - begun;
    const pause = Math.max(this.seconds * 1000, cost / SHARE_OF_TIME);
    const isDue = this.isDue;
    this.isDue = false;
    this.#set(isDue ? Math.min(pause, Math.max(250, 3 * cost)) : pause, isDue);
  }

  #set(milliseconds, isHurried) {
    if (this.isStopped || (document.hidden && !isHurried)) return;
    const due = performance.now() + milliseconds;
    if (this.timer !== null && this.due <= due) return;
    clearTimeout(this.timer);
    this.due = due;
    this.timer = setTimeout(() => this.run(), milliseconds);
  }
}
