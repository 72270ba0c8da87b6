/** `POST /tokenize` and `POST /detokenize`, as vLLM has them. */
import type {FastifyInstance} from 'fastify'
import type {Answering} from './answering.js'
import {ApiError} from './api-error.js'
import {parseBody} from './json-body.js'
import {parseDetokenize, parseTokenize} from './requests/tokenization.js'

export function addTokenizer(app: FastifyInstance, answering: Answering): void {
  const {tokenizer} = answering.tokens
  app.post('/tokenize', async ({body}) => {
    const {model, prompt, tools, wantsStrings} = parseTokenize(parseBody(body))
    if (model !== undefined) answering.models.check(model)
    const tokens = Array.from(await answering.idsOf(prompt, tools))
    return {
      count: tokens.length,
      max_model_len: answering.maxModelLen,
      tokens,
      token_strs: wantsStrings ? tokens.map((id) => tokenizer.decode([id]) ?? null) : null,
    }
  })
  app.post('/detokenize', ({body}) => {
    const {model, tokens} = parseDetokenize(parseBody(body))
    if (model !== undefined) answering.models.check(model)
    const prompt = tokenizer.decode(tokens)
    if (prompt !== undefined) return {prompt}
    throw new ApiError(400, `Tokens cannot be turned back: ${tokenizer.whyNotDecoded}.`, {
      param: 'tokens',
    })
  })
}
