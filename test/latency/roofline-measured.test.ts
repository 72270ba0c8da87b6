/**
 * The roofline against measured layer times: LLMServingSim's profile bundles (KAIST, MIT), if they are
 * there. The table is printed as it is; the bounds are loose, and catch a broken term rather than a drift.
 */
import {existsSync, readFileSync} from 'node:fs'
import {expect} from 'chai'
import {loadEngine} from '#llmsim/catalogue/engines.js'
import {linkOf, loadHardware} from '#llmsim/catalogue/hardware.js'
import type {ModelShape} from '#llmsim/catalogue/model-shape.js'
import {type HostTerms, hostTermsOf} from '#llmsim/latency/host.js'
import {rooflineModel} from '#llmsim/latency/roofline.js'
import type {BatchShape} from '#llmsim/latency/step-time.js'
import {llama8b, qwen32b, qwenMoe} from './models.js'
import {shapeOf} from './shapes.js'

const defaultHostTerms = hostTermsOf((await loadEngine('vllm-0.19')).profile, 'filtered')

const root = `${process.env.LLMSIM_DATA ?? '../shared/data'}/llmservingsim/perf`

/** The bundles time the sampler apart. */
const host: HostTerms = {
  ...defaultHostTerms,
  sampler: {stepNs: 0, perEntryNs: 0, perSequenceEntryNs: 0},
}

interface Bundle {
  readonly hardware: string
  readonly path: string
  readonly model: ModelShape
  readonly tp: number
  /** Bound of the step's mean error where the fit never saw the model. */
  readonly unseenBound?: number
}

const bundles: readonly Bundle[] = [
  {hardware: 'RTX4090', path: 'RTX4090/meta-llama/Llama-3.1-8B/bf16', model: llama8b, tp: 1},
  {hardware: 'RTXPRO6000', path: 'RTXPRO6000/meta-llama/Llama-3.1-8B/bf16', model: llama8b, tp: 1},
  {hardware: 'RTXPRO6000', path: 'RTXPRO6000/meta-llama/Llama-3.1-8B/bf16', model: llama8b, tp: 2},
  // 16-bit products and attention of that card are fitted to Llama-3.1-8B alone (its file says so).
  ...[1, 2].map((tp) => ({
    ...{hardware: 'RTXPRO6000', path: 'RTXPRO6000/Qwen/Qwen3-32B/bf16', model: qwen32b},
    ...{tp, unseenBound: 0.08},
  })),
  {
    hardware: 'RTXPRO6000',
    path: 'RTXPRO6000/Qwen/Qwen3-30B-A3B-Instruct-2507/bf16',
    model: qwenMoe,
    tp: 1,
  },
]

const rowsOf = (file: string): string[][] =>
  readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .slice(1)
    .map((line) => line.split(','))

/** Linear between the measured counts of a layer. */
const tableOf = (file: string): Map<string, [number, number][]> => {
  const table = new Map<string, [number, number][]>()
  for (const [layer, count, time] of rowsOf(file)) {
    const points = table.get(layer!) ?? []
    points.push([Number(count), Number(time)])
    table.set(layer!, points)
  }
  return table
}

const at = (points: readonly [number, number][], count: number): number => {
  const above = Math.max(
    1,
    points.findIndex(([known]) => known >= count),
  )
  const [low, high] = [points[above - 1]!, points[above]!]
  return low[1] + ((count - low[0]) / (high[0] - low[0])) * (high[1] - low[1])
}

interface Regime {
  readonly name: string
  readonly holds: (row: {
    chunk: number
    cached: number
    decodes: number
    context: number
  }) => boolean
}

const regimes: readonly Regime[] = [
  {name: 'decode', holds: (row) => row.chunk === 0 && row.decodes > 0},
  {name: 'prefill', holds: (row) => row.chunk > 1 && row.decodes === 0},
  {name: 'mixed', holds: (row) => row.chunk > 1 && row.decodes > 0},
]

const percent = (value: number): string => `${(100 * value).toFixed(1)} %`.padStart(8)

const errorsOf = (pairs: readonly (readonly [number, number])[]) => {
  const errors = pairs.map(([predicted, measured]) => predicted / measured - 1)
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
  return {mean: mean(errors.map(Math.abs)), bias: mean(errors)}
}

describe('roofline against measured layers', function () {
  this.timeout(60_000)

  before(function () {
    if (existsSync(root)) return
    console.log(`      no profile bundles at ${root}: skipped (LLMSIM_DATA names the folder)`)
    this.skip()
  })

  for (const bundle of bundles) {
    it(`${bundle.model.id} on ${bundle.hardware}, tp ${bundle.tp}`, async () => {
      const {tp} = bundle
      const folder = `${root}/${bundle.path}/tp${tp}`
      const hardware = await loadHardware(bundle.hardware)
      const roofline = rooflineModel({
        model: bundle.model,
        hardware,
        link: linkOf(hardware),
        parallelism: {tp, ep: 1},
        kvDtype: 'auto',
        host,
      })
      const layers = bundle.model.groups[0]!.count
      // What does not depend on tp was measured once.
      const dense = new Map([
        ...[...tableOf(`${root}/${bundle.path}/tp1/dense.csv`)].filter(([layer]) =>
          ['layernorm', 'qk_norm'].includes(layer),
        ),
        ...tableOf(`${folder}/dense.csv`),
      ])
      const head = tableOf(`${folder}/per_sequence.csv`)
      const outside = ['embedding', 'final_layernorm']
      const perLayer = (tokens: number) =>
        [...dense].reduce(
          (sum, [layer, points]) =>
            outside.includes(layer)
              ? sum
              : sum + at(points, tokens) * (layer === 'layernorm' ? 2 : 1),
          0,
        )
      const experts = existsSync(`${folder}/moe.csv`)
      for (const regime of regimes) {
        const attention: [number, number][] = []
        const step: [number, number][] = []
        for (const row of rowsOf(`${folder}/attention.csv`)) {
          const [chunk, cached, decodes, context, time] = row.map(Number) as [
            number,
            number,
            number,
            number,
            number,
          ]
          if (!regime.holds({chunk, cached, decodes, context})) continue
          // Small working sets stay in the L2 of the benchmark, which no serving step does.
          if (decodes > 0 && (decodes < 4 || context < 256)) continue
          if (regime.name === 'prefill' && chunk < 128) continue
          // No card keeps more than that beside the weights.
          if (regime.name === 'mixed' && decodes * context + cached > 262_144) continue
          const shape: BatchShape = shapeOf({
            chunks: chunk > 1 ? [[chunk, cached]] : [],
            contexts: new Array<number>(decodes).fill(context),
          })
          if (shape.tokens > 2048) continue
          const parts = roofline.partsOf(shape)
          attention.push([parts.attention / 1000 / layers, time])
          const lmHead = at(head.get('lm_head')!, shape.sequences)
          step.push([
            (parts.gemm + parts.elementwise + parts.host + parts.attention) / 1000 +
              (tp === 1 ? parts.head / 1000 : 0),
            // Gathering the logits of several ranks is not in the bundle.
            (perLayer(shape.tokens) + time) * layers + (tp === 1 ? lmHead : 0),
          ])
        }
        const [one, all] = [errorsOf(attention), errorsOf(step)]
        console.log(
          `      ${regime.name.padEnd(8)} ${String(attention.length).padStart(6)} rows  attention mean ${percent(one.mean)} bias ${percent(one.bias)}  step${experts ? ' without experts' : ''} mean ${percent(all.mean)} bias ${percent(all.bias)}`,
        )
        expect(one.mean, `attention, ${regime.name}`).to.be.below(0.5)
        expect(all.mean, `step, ${regime.name}`).to.be.below(bundle.unseenBound ?? 0.35)
      }
      if (!experts) return
      const pairs = rowsOf(`${folder}/moe.csv`)
        .map((row) => row.map(Number) as [number, number, number])
        // Rows whose number of activated experts is what even routing makes of their tokens.
        .filter(([tokens, activated]) => {
          const even = 128 * (1 - (1 - 8 / 128) ** tokens)
          return Math.abs(activated / even - 1) < 0.1
        })
        .map(([tokens, , time]): [number, number] => {
          const shape = shapeOf({contexts: new Array<number>(tokens).fill(100)})
          return [roofline.partsOf(shape).moe / 1000 / layers, time]
        })
      const moe = errorsOf(pairs)
      console.log(
        `      experts  ${String(pairs.length).padStart(6)} rows  mean ${percent(moe.mean)} bias ${percent(moe.bias)}`,
      )
      expect(moe.mean, 'experts').to.be.below(0.5)
    })
  }
})
