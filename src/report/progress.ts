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

/** One line that says where a search is, written over as it goes on, and gone at its end. */
export interface PassingLine {
  show(text: string): void
  clear(): void
}

/** Silent where no person looks, or the terminal cannot go back in its line. */
export function passingLineOn(
  stream: Pick<NodeJS.WriteStream, 'isTTY' | 'columns' | 'write'>,
  env: {readonly [name: string]: string | undefined},
): PassingLine {
  if (!stream.isTTY || env.TERM === 'dumb') return {show() {}, clear() {}}
  // To the beginning of the line, and erase what is there (ECMA-48: EL).
  const erase = '\r\u001B[2K'
  return {
    // One column is left free: a full line makes some terminals go on to the next.
    show: (text) => stream.write(erase + text.slice(0, (stream.columns || 80) - 1)),
    clear: () => stream.write(erase),
  }
}
