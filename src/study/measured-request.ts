/** The settings of a measured run as a request for a simulated one. Whatever a flag said holds; the rest is the file's. */
import {listHardware, loadHardware} from '../catalogue/hardware.js'
import {Problem} from '../errors.js'
import type {MeasuredRun} from '../measured/measured-run.js'
import type {RunRequest} from './run-request.js'

export interface ValidationFlags {
  /** What the flags say, their defaults included. */
  readonly request: RunRequest
  /** Names of the flags that were really given. */
  readonly given: ReadonlySet<string>
}

/** @throws Problem FLAG_MISSING for a model or device that neither file nor flag names, HARDWARE_UNKNOWN */
export async function requestFor(run: MeasuredRun, flags: ValidationFlags): Promise<RunRequest> {
  const {request: base, given} = flags
  const {settings} = run
  const model = given.has('model') ? base.model : settings.model
  if (model === undefined) throw unnamed(run, 'model', '--model meta-llama/Llama-3.1-8B-Instruct')
  const hardware = base.hardware ?? (await deviceOf(settings.hardware))
  if (hardware === undefined) throw unnamed(run, 'hardware', '--hardware H100')
  const {engine} = base
  return {
    ...base,
    model,
    hardware,
    layout: {...base.layout, tp: base.layout.tp ?? settings.tp},
    engineProfile: given.has('engine')
      ? base.engineProfile
      : (settings.engine ?? base.engineProfile),
    sampling: given.has('sampling') ? base.sampling : (settings.sampling ?? base.sampling),
    frontEnd: given.has('front-end') ? base.frontEnd : (settings.frontEnd ?? base.frontEnd),
    engine: {
      ...engine,
      maxNumSeqs: engine.maxNumSeqs ?? settings.maxNumSeqs,
      maxNumBatchedTokens: engine.maxNumBatchedTokens ?? settings.maxNumBatchedTokens,
      maxModelLen: engine.maxModelLen ?? settings.maxModelLen,
      numGpuBlocksOverride: engine.numGpuBlocksOverride ?? settings.numGpuBlocks,
      gpuMemoryUtilization: engine.gpuMemoryUtilization ?? settings.gpuMemoryUtilization,
      enablePrefixCaching: engine.enablePrefixCaching ?? settings.enablePrefixCaching,
      enableChunkedPrefill: engine.enableChunkedPrefill ?? settings.enableChunkedPrefill,
      asyncScheduling: engine.asyncScheduling ?? settings.asyncScheduling,
      disableHybridKvCacheManager:
        engine.disableHybridKvCacheManager ?? settings.disableHybridKvCacheManager,
      enforceEager: engine.enforceEager ?? settings.enforceEager,
      kvCacheDtype: engine.kvCacheDtype ?? settings.kvCacheDtype,
    },
  }
}

const unnamed = (run: MeasuredRun, what: string, hint: string): Problem =>
  new Problem('FLAG_MISSING', `${run.name} does not say which ${what} it was measured on.`, {
    suggestions: [hint],
  })

/** A driver's name (NVIDIA GeForce RTX 4090, NVIDIA H100 80GB HBM3) → the catalogue's. */
async function deviceOf(name: string | undefined): Promise<string | undefined> {
  if (name === undefined) return undefined
  const all = await listHardware()
  const exact = all.find((hardware) => hardware.name === name)
  if (exact) return exact.id
  const words = name
    .replace(/^(NVIDIA|AMD|Intel)\s+/i, '')
    .replace(/^GeForce\s+/i, '')
    .split(' ')
  for (let count = words.length; count > 0; count--) {
    const candidate = words.slice(0, count).join(' ')
    const found = await loadHardware(candidate).catch((error: unknown) => {
      if (error instanceof Problem && error.code === 'HARDWARE_UNKNOWN') return undefined
      throw error
    })
    if (found) return found.id
  }
  throw new Problem(
    'HARDWARE_UNKNOWN',
    `The run was measured on "${name}", which the catalogue does not have.`,
    {
      suggestions: ['--hardware NAME', 'llmsim hardware list'],
    },
  )
}
