/**
 * Published measurements that are figures, not requests: the workload is rebuilt from what their authors say of it.
 * One reader per data set; docs/accuracy.md names the publishers.
 */
import {join} from 'node:path'
import {cyclicTrace} from '../trace/cyclic.js'
import type {Trace} from '../trace/trace.js'
import {badMeasured, Fields, isFile, readRows, readText} from './fields.js'
import type {MeasuredRun, MeasuredSpread, MeasuredStage} from './measured-run.js'

const seed = 42

interface PublishedSet {
  readonly isAt: (folder: string) => boolean
  readonly read: (folder: string) => MeasuredRun[]
}

/**
 * Tokens that the server counted, by system plus question tokens asked of the client: text that is
 * tokenised again is about 5 % longer.
 */
const countedPrompt: Readonly<Record<number, number>> = {547: 575, 566: 592, 750: 786, 1034: 1082}

/** BLIS (inference-sim organisation): open loop over 100 prompts, figures per stage. */
const trainingRuns: PublishedSet = {
  isAt: (folder) =>
    isFile(join(folder, 'experiment_specs.json')) && isFile(join(folder, 'actuals.csv')),
  read: (folder) => {
    const rows = readRows(join(folder, 'actuals.csv'))
    const specs = JSON.parse(readText(join(folder, 'experiment_specs.json'))) as unknown[]
    return specs.map((spec, i) => {
      const fields = new Fields(spec, `${join(folder, 'experiment_specs.json')}: [${i}]`)
      return trainingRun(fields, rows)
    })
  },
}

function trainingRun(spec: Fields, rows: readonly Readonly<Record<string, string>>[]): MeasuredRun {
  const id = spec.text('id')
  const asked = spec.child('workload').child('inference_perf')
  const shared = asked.child('shared_prefix')
  const [system, question] = [shared.number('system_prompt_len'), shared.number('question_len')]
  const stages = asked.children('stages')
  const {trace, stageOf} = cyclicTrace({
    stages: stages.map((stage) => ({
      ratePerS: stage.number('rate'),
      durationS: stage.number('duration'),
    })),
    prompts: 100,
    groups: 10,
    sharedTokens: Math.round(system * 1.05),
    inputTokens: countedPrompt[system + question] ?? Math.round((system + question) * 1.05),
    outputTokens: shared.number('output_len'),
    seed,
  })
  const own = rows.filter((row) => row.experiment!.startsWith(`${id}-`))
  if (own.length === 0) throw badMeasured(`${spec.place}: actuals.csv has no row of ${id}.`)
  return {
    name: own[0]!.experiment!,
    format: 'published stages',
    settings: {
      model: spec.text('model'),
      hardware: spec.text('hardware'),
      engine: '0.15.1',
      tp: spec.number('tp'),
      maxNumSeqs: spec.number('max_num_seqs'),
      maxNumBatchedTokens: spec.number('max_num_batched_tokens'),
      maxModelLen: 4096,
      numGpuBlocks: spec.number('total_kv_blocks'),
      // Tokens that the start-up line says fit, by 16; no context is as long as a chunk of Llama 4.
      disableHybridKvCacheManager: true,
      frontEnd: 'http',
    },
    trace,
    stages: stages.map((stage, k): MeasuredStage => {
      const row = own.find((each) => each.stage === String(k))
      if (row === undefined) throw badMeasured(`${spec.place}: actuals.csv has no stage ${k}.`)
      const spread = (name: string): MeasuredSpread => ({
        mean: Number(row[`${name}_mean_ms`]),
        p90: Number(row[`${name}_p90_ms`]),
        p99: Number(row[`${name}_p99_ms`]),
      })
      return {
        name: `stage ${k} (${stage.number('rate')} req/s)`,
        has: (at) => stageOf[at] === k,
        spreads: {
          ttft: spread('ttft'),
          tpot: {mean: Number(row.tpot_true_mean_ms)},
          e2e: spread('e2e'),
        },
        throughput: {},
      }
    }),
    notes: [
      `Rebuilt: 100 prompts of ${trace.inputTokens[0]} tokens, cycled; Poisson conditioned on the count; seed ${seed}.`,
    ],
  }
}

/** kubernetes-sigs/inference-perf, its KubeCon example: seven stages, each simulated for itself. */
const kubecon: PublishedSet = {
  isAt: (folder) => isFile(join(folder, 'metrics_long.csv')),
  read: (folder) => {
    const rows = readRows(join(folder, 'metrics_long.csv'))
    const variants = [...new Set(rows.map(({variant}) => variant!))]
    return variants.flatMap((variant) =>
      [...Array(7).keys()].map((stage) => kubeconRun(variant, stage, rows)),
    )
  },
}

function kubeconRun(
  variant: string,
  stage: number,
  rows: readonly Readonly<Record<string, string>>[],
): MeasuredRun {
  const value = (metric: string, stat: string): number => {
    const row = rows.find(
      (each) =>
        each.variant === variant &&
        each.stage === String(stage) &&
        each.metric === metric &&
        each.stat === stat,
    )
    return row === undefined ? Number.NaN : Number(row.value)
  }
  const both = variant !== 'vllm'
  const rate = value('requested_rate', 'value')
  const {trace} = cyclicTrace({
    stages: [{ratePerS: rate, durationS: 60}],
    prompts: 100,
    groups: 10,
    sharedTokens: 128,
    inputTokens: 204,
    outputTokens: 64,
    seed: seed + stage,
  })
  // Beyond capacity the client has 440 requests in flight at most, so only rates and TPOT can be compared.
  const isBounded = value('send_duration', 'value') > 61
  const seconds = (metric: string): MeasuredSpread => ({
    mean: value(metric, 'mean'),
    p50: value(metric, 'median'),
    p90: value(metric, 'p90'),
    p99: value(metric, 'p99'),
  })
  return {
    name: `${variant}, ${rate} req/s`,
    format: 'published stages',
    settings: {
      model: 'meta-llama/Llama-3.1-8B-Instruct',
      hardware: 'H100',
      engine: '0.11.0',
      maxNumSeqs: 128,
      maxModelLen: 512,
      gpuMemoryUtilization: 0.9,
      enablePrefixCaching: both,
      enableChunkedPrefill: both,
      frontEnd: 'http',
    },
    trace,
    stages: [
      {
        name: isBounded ? 'beyond capacity' : 'all',
        has: () => true,
        spreads: {
          ...(isBounded
            ? {}
            : {ttft: seconds('time_to_first_token'), e2e: seconds('request_latency')}),
          tpot: {mean: value('tpot_true_mean', 'mean')},
        },
        throughput: {requestsPerS: value('requests_per_sec', 'value')},
      },
    ],
    notes: [`Rebuilt: 100 prompts of 204 tokens, cycled; seed ${seed + stage}.`],
  }
}

/** A closed loop of `clients` over requests alike in length but for a spread, which keeps them out of step. */
function closedTrace(clients: number, input: number, output: number): Trace {
  const length = clients * 3
  const outputTokens = Int32Array.from({length}, (_, row) => {
    // The golden ratio spreads lengths evenly, in any order that they are taken.
    const share = 0.75 + 0.5 * ((row * 0.618_033_988_75) % 1)
    return Math.max(2, Math.round(output * share))
  })
  return {
    length,
    arrivedAt: new Float64Array(length),
    inputTokens: new Int32Array(length).fill(input),
    outputTokens,
    notes: [],
    format: 'reconstructed',
  }
}

/** ML.ENERGY leaderboard: gaps between tokens while all seats are taken. */
const decodeSteady: PublishedSet = {
  isAt: (folder) => isFile(join(folder, 'ml-energy.csv')),
  read: (folder) =>
    readRows(join(folder, 'ml-energy.csv')).map((row): MeasuredRun => {
      const isChat = row.task === 'lm-arena-chat'
      const seats = Number(row.max_num_seqs)
      // Prompt lengths are not published: both are short against the output.
      const trace = closedTrace(seats, isChat ? 100 : 250, Number(row.avg_output_len))
      return {
        name: `${row.model} ${row.task} tp${row.tp} batch ${Math.round(Number(row.avg_batch_size))}`,
        format: 'published points',
        settings: {
          model: row.model,
          hardware: row.gpu,
          engine: '0.11.1',
          tp: Number(row.tp),
          maxNumSeqs: seats,
          maxNumBatchedTokens: Math.max(8192, seats),
          maxModelLen: isChat ? 20_480 : 40_960,
          asyncScheduling: true,
          frontEnd: 'chat',
        },
        trace,
        concurrency: seats,
        stages: [
          {
            name: 'steady state',
            has: () => true,
            spreads: {itl: {p50: Number(row.median_itl_ms)}},
            throughput: {},
          },
        ],
        notes: [],
      }
    }),
}

/** AIConfigurator's silicon sample: TPOT at a fixed number of clients, Qwen3-32B. */
const closedLoop: PublishedSet = {
  isAt: (folder) => isFile(join(folder, 'silicon-vllm.csv')),
  read: (folder) =>
    readRows(join(folder, 'silicon-vllm.csv')).map((row): MeasuredRun => {
      const clients = Number(row.batch_size)
      const [input, output] = [Number(row.isl), Number(row.osl)]
      const {length} = closedTrace(clients, input, output)
      return {
        name: `Qwen3-32B${row.precision === 'fp8' ? ' fp8' : ''} tp${Number(row.tp_size)} ${input}/${output} × ${clients}`,
        format: 'published points',
        settings: {
          model: row.precision === 'fp8' ? 'Qwen/Qwen3-32B-FP8' : row.model_path,
          hardware: 'H100',
          engine: row.backend_version,
          tp: Number(row.tp_size),
          // Its benchmark client, aiperf, sends chat completions unless told otherwise.
          frontEnd: 'chat',
        },
        trace: {
          ...closedTrace(clients, input, output),
          outputTokens: new Int32Array(length).fill(output),
        },
        concurrency: clients,
        stages: [
          {
            name: 'closed loop',
            has: () => true,
            spreads: {tpot: {mean: Number(row.silicon_tpot_ms)}},
            throughput: {},
          },
        ],
        notes: [],
      }
    }),
}

const sets = [trainingRuns, kubecon, decodeSteady, closedLoop]

/** The runs of a published set, or undefined where the folder holds none that is known. */
export const readPublishedSet = (folder: string): MeasuredRun[] | undefined =>
  sets.find(({isAt}) => isAt(folder))?.read(folder)
