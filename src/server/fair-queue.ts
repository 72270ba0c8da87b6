/**
 * Tasks in order, but only so much of them in one turn of the event loop: a burst of requests must not keep timers,
 * tokens and other clients waiting.
 */
/** On a machine that is busy with other things time says little about work. */
const leastTasks = 8

export class FairQueue {
  readonly #budgetMs: number
  #tasks: (() => void)[] = []
  #first = 0
  #running: NodeJS.Immediate | undefined

  /** `budgetMs` of each turn of the event loop. */
  constructor(budgetMs = 4) {
    this.#budgetMs = budgetMs
  }

  /** Runs `task` in a later turn, after all that were added before. */
  add(task: () => void): void {
    this.#tasks.push(task)
    this.#running ??= setImmediate(this.#run)
  }

  readonly #run = (): void => {
    const until = performance.now() + this.#budgetMs
    this.#running = undefined
    for (let done = 0; this.#first < this.#tasks.length; done++) {
      if (done >= leastTasks && performance.now() >= until) break
      this.#tasks[this.#first++]!()
    }
    if (this.#first < this.#tasks.length) {
      this.#running ??= setImmediate(this.#run)
      if (this.#first < 1024) return
    }
    this.#tasks.splice(0, this.#first)
    this.#first = 0
  }
}
