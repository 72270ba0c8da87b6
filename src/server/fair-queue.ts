/**
 * Tasks in order, but only so much of them in one turn of the event loop: a burst of requests must not keep timers,
 * tokens and other clients waiting.
 */
type Task = () => void

/** What a queue takes of one turn of the event loop, ms. */
const budgetMs = 1

/** On a machine that is busy with other things time says little about work. */
const leastTasks = 4

export class FairQueue {
  #tasks: (Task | undefined)[] = []
  #first = 0
  /** What goes on before anything new begins. */
  #going: Task[] = []
  #running: NodeJS.Immediate | undefined

  /** Runs `task` in a later turn, after all that were added before. */
  add(task: Task): void {
    this.#tasks.push(task)
    this.#running ??= setImmediate(this.#run)
  }

  /**
   * Runs the rest of what a task has begun, before any other begins: what is half done holds memory, and a thousand
   * halves are more than the young generation of the heap can hold cheaply.
   */
  goOn(task: Task): void {
    this.#going.push(task)
    this.#running ??= setImmediate(this.#run)
  }

  /** Resolves when all that were added so far have run. */
  passed(): Promise<void> {
    return new Promise((resolve) => this.add(resolve))
  }

  readonly #run = (): void => {
    const until = performance.now() + budgetMs
    this.#running = undefined
    for (let done = 0; done < leastTasks || performance.now() < until; done++) {
      const task = this.#going.shift() ?? this.#next()
      if (task === undefined) break
      task()
    }
    if (this.#going.length > 0 || this.#first < this.#tasks.length) {
      this.#running ??= setImmediate(this.#run)
      if (this.#first < 1024) return
    }
    this.#tasks.splice(0, this.#first)
    this.#first = 0
  }

  #next(): Task | undefined {
    if (this.#first === this.#tasks.length) return undefined
    const task = this.#tasks[this.#first]
    // Whatever it holds on to may go.
    this.#tasks[this.#first++] = undefined
    return task
  }
}
