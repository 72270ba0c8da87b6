import type {UsedTokens} from '../plan.js'

/** `usage` of chat completions and completions. */
export const usageOf = ({prompt, cached, completion}: UsedTokens): object => ({
  prompt_tokens: prompt,
  completion_tokens: completion,
  total_tokens: prompt + completion,
  prompt_tokens_details: {cached_tokens: cached, audio_tokens: 0},
  completion_tokens_details: {
    reasoning_tokens: 0,
    audio_tokens: 0,
    accepted_prediction_tokens: 0,
    rejected_prediction_tokens: 0,
  },
})
