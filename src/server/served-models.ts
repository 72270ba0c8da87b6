/** The names under which the model answers. */
import {ApiError} from './api-error.js'

export interface ServedNames {
  /** At least one; the first is the model's own or the one that it was given. */
  readonly names: readonly string[]
  readonly others: 'answered' | 'refused'
}

export class ServedModels {
  readonly #served: ServedNames
  /** Seconds since 1970. */
  readonly #since = Math.floor(Date.now() / 1000)
  readonly #maxModelLen: number

  constructor(served: ServedNames, maxModelLen: number) {
    this.#served = served
    this.#maxModelLen = maxModelLen
  }

  get names(): readonly string[] {
    return this.#served.names
  }

  /** @throws ApiError 404 whose message names the ways out */
  check(name: string): void {
    const {names, others} = this.#served
    if (others === 'answered' || names.includes(name)) return
    throw new ApiError(
      404,
      `The model '${name}' does not exist. Served here: ${names.join(', ')}. To serve it, start with --served-model-name ${name}, or with --any-model to answer to every name.`,
      {param: 'model', code: 'model_not_found'},
    )
  }

  /** An OpenAI model object. @throws ApiError 404 */
  model(name: string): object {
    this.check(name)
    return {
      id: name,
      object: 'model',
      created: this.#since,
      owned_by: 'llmsim',
      root: this.#served.names[0],
      parent: null,
      max_model_len: this.#maxModelLen,
    }
  }

  list(): object {
    return {object: 'list', data: this.#served.names.map((name) => this.model(name))}
  }
}
