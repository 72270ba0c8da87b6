/** How far off a run's means may be, learned from measured runs (engines/error-bands.json, docs/accuracy.md). */
import {readFileSync} from 'node:fs'
import type {DeployedEngine, Deployment} from './deployment.js'

export interface ErrorBand {
  readonly kind: string
  /** Nine in ten stage means lay within so many percent. */
  readonly ttft: number
  readonly tpot: number
  readonly e2e: number
  /** Measured stages that it was learned from. */
  readonly stages: number
}

const file = new URL('../../engines/error-bands.json', import.meta.url)
let read: readonly ErrorBand[] | undefined

function bands(): readonly ErrorBand[] {
  read ??= (JSON.parse(readFileSync(file, 'utf8')) as {bands: ErrorBand[]}).bands
  return read
}

interface BandOfEngine {
  readonly engine: DeployedEngine
  readonly band: ErrorBand
}

/** The widest band of the run's engines, and whose it is. */
function widest({request, engines}: Deployment): BandOfEngine | undefined {
  if (request.compat !== undefined) return undefined
  if (engines.some(({instance, weights}) => instance.pim ?? weights)) return undefined
  if (engines.some(({instance}) => instance.settings.enforceEager)) return undefined
  let found: BandOfEngine | undefined
  for (const engine of engines) {
    const band = bands().find(({kind}) => kind === bandKind(engine))
    if (band && (found === undefined || band.tpot > found.band.tpot)) found = {engine, band}
  }
  return found
}

/**
 * The widest band of the run's engines; undefined where another simulator is repeated, which is exact or wrong, and with
 * memory that computes, weights on their way or no CUDA graphs, which none of the measured runs had.
 */
export const errorBand = (deployment: Deployment): ErrorBand | undefined => widest(deployment)?.band

const older: readonly string[] = ['vllm-0.11', 'vllm-0.12']

/** What is known of an engine, as far as its errors differ by it: device, kind of model, release. */
export function bandKind({instance, latency}: DeployedEngine): string {
  if (latency.source === 'profile') return 'profile'
  const {model, profile} = instance
  if (model.groups.some(({attention}) => attention.kind === 'latent')) return 'latent attention'
  const isFitted = latency.source === 'roofline' && instance.hardware?.calibrated === true
  const isPlain = model.quantization === null && model.groups.every(({mlp}) => !mlp.experts)
  if (!isPlain) return `${isFitted ? 'calibrated' : 'class defaults'}, experts or quantised`
  if (!isFitted) return 'class defaults'
  return older.includes(profile.id) ? 'calibrated, vLLM 0.11 to 0.13' : 'calibrated'
}

/**
 * For the head of the tables: what the band was chosen by, which is a matter of the device, and which terms of this very
 * step are class defaults all the same. docs/results.md has the rule.
 */
export function bandLine(deployment: Deployment): string | undefined {
  const found = widest(deployment)
  if (found === undefined) return undefined
  return `expect: ${bandText(found.band)} (${basisOf(found)}; nine in ten of ${found.band.stages} measured stages)`
}

/** The band alone, for one of several devices. */
export const bandText = ({ttft, tpot, e2e}: ErrorBand): string =>
  `TTFT ±${ttft} %, TPOT ±${tpot} %, E2E ±${e2e} % in the mean`

function basisOf({engine, band}: BandOfEngine): string {
  const {source, provenance} = engine.latency
  const unfitted = source === 'datasheet' ? 'datasheet' : 'device not calibrated'
  const basis = band.kind
    .replace(/^calibrated\b/, 'calibrated device')
    .replace(/^class defaults\b/, unfitted)
    .replace('quantised', 'quantised weights')
  const terms = provenance.filter(({from}) => from === 'class default').map(({term}) => term)
  if (terms.length === 0 || source === 'datasheet') return basis
  const last = terms.pop()!
  const listed = terms.length === 0 ? last : `${terms.join(', ')} and ${last}`
  return `${basis}, class defaults for ${listed}`
}
