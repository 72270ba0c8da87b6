/** Work put off to the end of the present turn of the event loop, once, whoever asks for it how often. */
export class TurnEnd {
  readonly #task: () => void
  #pending: NodeJS.Immediate | undefined

  constructor(task: () => void) {
    this.#task = task
  }

  /** The task will run in this turn. */
  ask(): void {
    this.#pending ??= setImmediate(() => this.now())
  }

  /** The task runs now, and not again in this turn. */
  now(): void {
    if (this.#pending !== undefined) clearImmediate(this.#pending)
    this.#pending = undefined
    this.#task()
  }
}
