/** `--output-tokens`: how long answers are by themselves. */
import {stat} from 'node:fs/promises'
import {Problem} from '../../errors.js'
import {readTrace} from '../../trace/read.js'
import {type Distribution, empirical, parseDistribution} from '../../trace/samplers.js'

export interface AnswerLengths {
  /** Tokens of an answer, at least 1, for a throw `u` in [0, 1). */
  at(u: number): number
  readonly says: string
}

const lengths = (distribution: Distribution, says: string): AnswerLengths => ({
  at: (u) => Math.max(1, Math.round(distribution.quantile(u))),
  says,
})

/**
 * From a distribution (`lognormal:mean=220,p99=1200`, `fixed:100`, `100`) or from the output lengths of a trace file.
 * @throws Problem FLAG_BAD_VALUE, or what is wrong with the trace
 */
export async function loadLengths(spec: string): Promise<AnswerLengths> {
  if (await isFile(spec)) {
    const {outputTokens} = await readTrace([spec])
    return lengths(empirical(outputTokens.slice().sort()), `as in ${spec}`)
  }
  if (/\.(csv|jsonl?|gz)$/i.test(spec) || spec.includes('/')) {
    throw new Problem('TRACE_NOT_FOUND', `--output-tokens ${spec}: there is no such file.`, {
      suggestions: ['--output-tokens lognormal:mean=220,p99=1200', '--output-tokens fixed:100'],
    })
  }
  return lengths(parseDistribution(spec, 'output-tokens'), spec)
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile()
  } catch {
    return false
  }
}
