/** A progress bar for long runs: on a terminal only, and only once a run takes a while. */
import cliProgress from 'cli-progress'

/** How long a run stays silent. */
const patienceMs = 700

export class ProgressLine {
  readonly #stream: NodeJS.WriteStream
  readonly #startedAt = performance.now()
  #bar: cliProgress.SingleBar | undefined

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream
  }

  /** `done` of `total` requests have left. */
  show(done: number, total: number): void {
    if (!this.#stream.isTTY || performance.now() - this.#startedAt < patienceMs) return
    if (!this.#bar) {
      this.#bar = new cliProgress.SingleBar({
        stream: this.#stream,
        clearOnComplete: true,
        hideCursor: true,
        format: '{bar} {value}/{total} requests',
      })
      this.#bar.start(total, done)
    }
    this.#bar.update(done)
  }

  clear(): void {
    this.#bar?.stop()
    this.#bar = undefined
  }
}
