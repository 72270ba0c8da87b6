/** Fields that several bodies share. Clients send null for what they do not set. */
import {z} from 'zod'
import type {JsonSchema} from './generation-request.js'

/** The value, or undefined for null and for nothing. */
export const optional = <Schema extends z.ZodType>(schema: Schema) =>
  schema.nullish().transform((value) => value ?? undefined)

const whole = z.number().int()
/** Largest number of answers per prompt. */
const mostAnswers = 128

export const jsonSchema: z.ZodType<JsonSchema> = z.union([
  z.record(z.string(), z.unknown()),
  z.boolean(),
])

export const samplingFields = {
  model: z.string().min(1),
  stream: optional(z.boolean()),
  stream_options: optional(z.looseObject({include_usage: optional(z.boolean())})),
  n: optional(whole.min(1).max(mostAnswers)),
  min_tokens: optional(whole.min(0)),
  ignore_eos: optional(z.boolean()),
  stop: optional(z.union([z.string(), z.array(z.string()).max(16)])),
  seed: optional(whole),
  temperature: optional(z.number().min(0).max(2)),
  top_p: optional(z.number().min(0).max(1)),
  presence_penalty: optional(z.number().min(-2).max(2)),
  frequency_penalty: optional(z.number().min(-2).max(2)),
  priority: optional(whole),
  user: optional(z.string()),
} as const

interface SamplingFields {
  readonly stop?: string | readonly string[] | undefined
  readonly seed?: number | undefined
  readonly temperature?: number | undefined
}

/** Stop strings; an empty one stops nothing. */
export const stopsOf = ({stop}: SamplingFields): string[] =>
  (typeof stop === 'string' ? [stop] : [...(stop ?? [])]).filter((text) => text !== '')

/** Greedy sampling gives the same answer each time, as a seed does. */
export const seedOf = ({seed, temperature}: SamplingFields): number | undefined =>
  seed ?? (temperature === 0 ? 0 : undefined)
