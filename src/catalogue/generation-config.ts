/** Hugging Face's generation_config.json: what vLLM's server samples with when a request says nothing. */
import {Problem} from '../errors.js'
import {isObject, shown} from './config-fields.js'
import type {Sampling} from './engine-profile.js'

/** @throws Problem MODEL_BAD_CONFIG */
export const readSampling = (config: unknown, file: string): Sampling => {
  if (!isObject(config)) {
    const message = `${file}: a generation configuration must be an object, got ${shown(config)}.`
    throw new Problem('MODEL_BAD_CONFIG', message)
  }
  const number = (name: string, none: number): number => {
    const value = config[name] ?? none
    if (typeof value === 'number') return value
    const message = `${file}: ${name} must be a number, got ${shown(value)}.`
    throw new Problem('MODEL_BAD_CONFIG', message)
  }
  if (number('repetition_penalty', 1) !== 1) return 'penalised'
  return number('top_p', 1) < 1 || number('top_k', 0) > 0 ? 'filtered' : 'plain'
}
