/** A progress bar for long runs: on a terminal only, and only once a run takes a while. */
import type {SingleBar} from 'cli-progress'

/** How long a run stays silent. */
const patienceMs = 700

export interface Progress {
  /** `done` of `total` requests have left; without a total that is all one knows. */
  show(done: number, total: number | undefined): void
  clear(): void
}

const silent: Progress = {show() {}, clear() {}}

/** The library is loaded only where somebody could see the bar: pipes and scripts start faster without it. */
export async function progressOn(stream: NodeJS.WriteStream): Promise<Progress> {
  if (!stream.isTTY) return silent
  const {default: cliProgress} = await import('cli-progress')
  const bar = new cliProgress.SingleBar({
    stream,
    clearOnComplete: true,
    hideCursor: true,
    format: '{bar} {value}/{total} requests',
  })
  return new PatientBar(bar)
}

class PatientBar implements Progress {
  readonly #bar: SingleBar
  readonly #startedAt = performance.now()
  #isShown = false

  constructor(bar: SingleBar) {
    this.#bar = bar
  }

  show(done: number, total: number | undefined): void {
    if (!this.#isShown && performance.now() - this.#startedAt < patienceMs) return
    if (total === undefined) this.#bar.setTotal(done)
    if (this.#isShown) this.#bar.update(done)
    else this.#bar.start(total ?? done, done)
    this.#isShown = true
  }

  clear(): void {
    if (this.#isShown) this.#bar.stop()
  }
}
