/** Whatever was measured on a real server → runs that can be simulated. */
import {join} from 'node:path'
import {Problem} from '../errors.js'
import {readCapture} from './capture.js'
import {readClientResult} from './client-results.js'
import {badMeasured, isFile, isFolder} from './fields.js'
import {isBench, readBench} from './llmservingsim-bench.js'
import type {MeasuredRun} from './measured-run.js'
import {readPublishedSet} from './published-sets.js'

/** Names that load generators give to the file with single requests. */
const clientFiles = [
  'per_request_lifecycle_metrics.json',
  'profile_export.jsonl',
  'benchmarks.json',
  'trace.csv',
]

const kinds = [
  "a folder of LLMServingSim's bench run (meta.json, requests.jsonl)",
  'a trace with the columns ttft_ms and e2e_ms, such as listen records',
  'per_request_lifecycle_metrics.json of inference-perf, profile_export.jsonl of aiperf, benchmarks.json of GuideLLM',
  'the JSON of vllm bench serve --save-result --save-detailed',
]

/** A trace format is not what was asked for. */
function orKinds(error: unknown): never {
  if (!(error instanceof Problem) || error.code !== 'TRACE_FORMAT_UNKNOWN') throw error
  const message = error.message.replace(/; known are .*$/s, ', which is no measured run.')
  throw new Problem('MEASURED_BAD_FILE', message, {cause: error, suggestions: kinds})
}

/** What `simulate` kept has the columns of a measured trace, in one of its files. */
function noRunIn(folder: string): Problem {
  const requests = join(folder, 'requests.csv')
  if (!isFile(requests))
    return badMeasured(`${folder}: nothing in this folder is a measured run.`, kinds)
  const what = isFile(join(folder, 'run.json')) ? 'a run that was simulated' : 'no measured run'
  return badMeasured(`${folder}: this folder is ${what}; its requests.csv may stand for one.`, [
    requests,
    ...kinds,
  ])
}

/**
 * The runs of a file or folder; a published set has several.
 * @throws Problem MEASURED_BAD_FILE, TRACE_…
 */
export async function readMeasured(path: string): Promise<MeasuredRun[]> {
  if (isFolder(path)) {
    if (isBench(path)) return [readBench(path)]
    const set = readPublishedSet(path)
    if (set) return set
    const file = clientFiles.map((name) => join(path, name)).find(isFile)
    if (file !== undefined) return readMeasured(file)
    throw noRunIn(path)
  }
  if (!isFile(path)) throw badMeasured(`${path}: there is no such file or folder.`, kinds)
  const client = readClientResult(path)
  return [client ?? (await readCapture(path).catch(orKinds))]
}
