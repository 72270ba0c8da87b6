/** What a client is told when its request cannot be served: OpenAI's body, type and code. */

export interface ErrorDetails {
  /** Field of the body that is wrong, as OpenAI names it: `messages[0].role`. */
  readonly param?: string | undefined
  readonly code?: string | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
}

const typeOf = (status: number): string => {
  if (status === 401) return 'invalid_request_error'
  if (status === 429) return 'rate_limit_error'
  return status >= 500 ? 'server_error' : 'invalid_request_error'
}

export class ApiError extends Error {
  override readonly name = 'ApiError'
  readonly status: number
  readonly details: ErrorDetails

  constructor(status: number, message: string, details: ErrorDetails = {}) {
    super(message)
    this.status = status
    this.details = details
  }

  /** JSON, ready to be sent. */
  get body(): string {
    const {param = null, code = null} = this.details
    return JSON.stringify({
      error: {message: this.message, type: typeOf(this.status), param, code},
    })
  }
}
