/** Every trace format, in the order in which they are asked: the particular before the general. */
import {azure} from './azure.js'
import {burstgpt} from './burstgpt.js'
import type {TraceFormat} from './format.js'
import {llmservingsim} from './llmservingsim.js'
import {llmsimCsv} from './llmsim-csv.js'
import {mooncake} from './mooncake.js'
import {openai} from './openai.js'
import {vidur} from './vidur.js'
import {vllmBench} from './vllm-bench.js'

export const traceFormats: readonly TraceFormat[] = [
  vidur,
  azure,
  burstgpt,
  llmservingsim,
  mooncake,
  openai,
  vllmBench,
  llmsimCsv,
]

/** Names that say more than one needs to know: the two years of Azure are read alike. */
const otherNames: Readonly<Record<string, string>> = {
  'azure-2023': 'azure',
  'azure-2024': 'azure',
  'llmsim-csv': 'llmsim',
  csv: 'llmsim',
}

export const formatNames: readonly string[] = [
  ...traceFormats.map(({name}) => name),
  ...Object.keys(otherNames),
].sort()

/** The format of that name, or undefined. */
export function formatOf(name: string): TraceFormat | undefined {
  const lower = name.toLowerCase()
  return traceFormats.find((format) => format.name === (otherNames[lower] ?? lower))
}
