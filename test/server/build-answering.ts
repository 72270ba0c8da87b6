/** A port's answers without a port. */
import {type Answering, type AnsweringOptions, buildAnswering} from '#llmsim/server/answering.js'
import {ApiError} from '#llmsim/server/api-error.js'
import type {Plan} from '#llmsim/server/plan.js'

export const answeringOf = (options: Partial<AnsweringOptions> = {}): Promise<Answering> =>
  buildAnswering({
    answer: 'filler',
    outputTokens: 'lognormal:mean=220,p99=1200',
    served: {names: ['test-model'], others: 'refused'},
    modelName: 'meta-llama/Llama-3.1-8B-Instruct',
    maxModelLen: 8192,
    seed: 42,
    ...options,
  })

/** A chat of one message. */
export const chatBody = (fields: object = {}, content: unknown = 'Hello'): object => ({
  model: 'test-model',
  messages: [{role: 'user', content}],
  ...fields,
})

/** The text of answer `index` of a plan. */
export const textIn = (plan: Plan, index = 0): string =>
  JSON.parse(plan.text!(index).answer) as string

/** The error that a call throws or rejects with; any other outcome fails the test. */
export async function apiErrorOf(run: () => unknown): Promise<ApiError> {
  try {
    await run()
  } catch (error) {
    if (error instanceof ApiError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

/** What a client reads from a stream of a plan: the data of each event. */
export function streamOf(plan: Plan): string[] {
  const used = {prompt: plan.answers[0]!.promptIds.length, cached: 0, completion: 0}
  let text = ''
  for (const [index, {outputIds}] of plan.answers.entries()) {
    for (let k = 0; k < outputIds.length; k++) text += plan.writer.token(index, k)
    text += plan.writer.last(index)
    used.completion += outputIds.length
  }
  text += plan.writer.end(used)
  return text
    .split('\n\n')
    .filter((each) => each !== '')
    .map((each) => each.replace(/^(event: .*\n)?data: /, ''))
}
