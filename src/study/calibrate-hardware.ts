/** Fits the kernel coefficients of one accelerator to measurements of it: the whole of `hardware calibrate`. */
import {existsSync} from 'node:fs'
import {join} from 'node:path'
import type {
  CollectiveKind,
  Fit,
  GemmClass,
  Hardware,
  Kernels,
  MeasuredCollective,
} from '../catalogue/hardware-shape.js'
import {joinSamples, type KernelSamples, noSamples} from '../catalogue/kernel-samples.js'
import {readKernelTables} from '../catalogue/kernel-tables.js'
import {bundleSamples, layerTableSamples} from '../catalogue/layer-tables.js'
import {loadModel} from '../catalogue/models.js'
import {Problem} from '../errors.js'
import {attentionErrorOn, fitDecode, fitMixed, fitPrefill} from '../latency/fit/attention-fit.js'
import type {AttentionMachine} from '../latency/fit/attention-rows.js'
import {fitCollective} from '../latency/fit/collective-fit.js'
import {fitGemm, type GemmDevice, gemmErrorOn} from '../latency/fit/gemm-fit.js'
import {fitMoe} from '../latency/fit/moe-fit.js'
import {fitSkew} from '../latency/fit/skew-fit.js'
import {peak16FlopsPerNs, precisionOfClass} from '../latency/precision.js'
import type {LayerSource, MeasurementSources} from './measurement-sources.js'

/** What the measurements of a device give. */
export interface Calibration {
  readonly kernels: Kernels
  /** All-reduce of the engine's own kernel, and what the collective library does. */
  readonly allReduce: MeasuredCollective | null
  readonly library: {readonly [Kind in CollectiveKind]?: MeasuredCollective}
  /** Names of the data, for the file's `source`. */
  readonly credits: readonly string[]
  /** Laws and terms that were compared on shapes left out of the fit, one line each. */
  readonly comparisons: readonly string[]
}

/** Samples of a device with the name of where each kind came from. */
export interface Measurements {
  /** 16-bit products and attention. */
  readonly layers: KernelSamples
  readonly layersFrom: string
  /** Everything else. */
  readonly tables: KernelSamples
  readonly tablesFrom: string
}

/**
 * Reads the sources below the data root.
 *
 * @throws Problem KERNELS_BAD_FILE, PROFILE_BAD_FILE
 */
export const readMeasurements = async (
  root: string,
  sources: MeasurementSources,
): Promise<Measurements> => {
  const tables = sources.tables === undefined ? null : await readTables(root, sources.tables)
  const profiles = [
    ...(await Promise.all((sources.bundles ?? []).map((source) => readBundleOf(root, source)))),
    ...(await Promise.all((sources.layers ?? []).map((source) => readLayersOf(root, source)))),
  ]
  const from = profilesFrom(sources)
  const tablesFrom = `aiconfigurator kernel tables (NVIDIA, Apache-2.0), ${tables?.engine}`
  const tableSamples = tables?.samples ?? noSamples
  return {
    layers: profiles.length > 0 ? joinSamples(profiles) : tableSamples,
    layersFrom: profiles.length > 0 ? from : tablesFrom,
    tables: tableSamples,
    tablesFrom,
  }
}

const profilesFrom = ({bundles = [], layers = []}: MeasurementSources): string => {
  const all = [...bundles, ...layers]
  const models = [...new Set(all.map(({model}) => model))].join(', ')
  const degrees = [...new Set(all.map(({tp}) => `tp${tp}`))].join(', ')
  const release = bundles.length > 0 ? 'vLLM 0.19' : 'release 0'
  return `LLMServingSim layer profiles (KAIST, MIT), ${release}, ${models} ${degrees}`
}

const folderOf = (root: string, folder: string): string => {
  const path = join(root, folder)
  if (existsSync(path)) return path
  throw new Problem('KERNELS_BAD_FILE', `${path}: there is no such folder of measurements.`, {
    suggestions: [
      '--data DIR, or LLMSIM_DATA, names the folder that holds kernels/ and llmservingsim/',
    ],
  })
}

const readTables = (root: string, folder: string) => readKernelTables(folderOf(root, folder))

const readBundleOf = async (root: string, {folder, model, tp}: LayerSource) =>
  bundleSamples(folderOf(root, folder), (await loadModel(model)).model, tp)

const readLayersOf = async (root: string, {folder, model, tp}: LayerSource) =>
  layerTableSamples(folderOf(root, folder), (await loadModel(model)).model, tp)

const classesFromTables: readonly GemmClass[] = ['fp8', 'int8', 'fp4', 'w8a16', 'w4a16']

/** Fits everything that the measurements tell. */
export const calibrateHardware = (
  hardware: Hardware,
  measurements: Measurements,
  sources: MeasurementSources,
): Calibration => {
  const {layers, layersFrom, tables, tablesFrom} = measurements
  const comparisons: string[] = []
  const gemm: {[Class in GemmClass]?: NonNullable<Kernels['gemm'][Class]>} = {}
  const fitClass = (gemmClass: GemmClass, samples: KernelSamples, from: string): void => {
    const known = gemmDevice(hardware, gemmClass)
    if (!known) return
    // A layer profile runs a whole layer between two runs of a product: nothing of its weights is left in the cache.
    const device = from === tablesFrom ? known : {...known, l2Mb: null}
    const fitted = fitGemm(samples.gemm, gemmClass, device, sources.slowStart)
    if (!fitted) return
    gemm[gemmClass] = {...fitted.fit, source: from}
    for (const {name, leftOutBeyondL2, leftOutAll} of fitted.comparison.filter(isKnown))
      comparisons.push(
        `gemm ${gemmClass}, ${name}: ${leftOutBeyondL2} % left out beyond L2, ${leftOutAll} % of all`,
      )
  }
  fitClass('bf16', layers, layersFrom)
  for (const gemmClass of classesFromTables) fitClass(gemmClass, tables, tablesFrom)
  const {computeEfficiency: mostCompute = 1, memoryEfficiency: mostMemory = 1} = gemm.bf16 ?? {}
  const attention = fitAttention(hardware, layers, {...sources, mostCompute, mostMemory})
  comparisons.push(...attention.comparisons)
  if (layers !== tables) comparisons.push(...onTables(hardware, tables, {gemm, ...attention}))
  const collectives = fitCollectives(tables, tablesFrom)
  const named = <T extends object>(fit: T | null): (T & Fit) | null =>
    fit ? {...fit, source: layersFrom} : null
  return {
    kernels: {
      gemm,
      decodeAttention: named(attention.decode),
      prefillAttention: named(attention.prefill),
      mixedAttention: named(attention.mixed),
      moe: fitExperts(hardware, tables, {source: tablesFrom, dense: gemm}),
    },
    ...collectives,
    credits: [...new Set([layersFrom, ...(sources.tables ? [tablesFrom] : [])])],
    comparisons,
  }
}

/** A single model has too few shapes to leave some out. */
const isKnown = ({leftOutBeyondL2}: {leftOutBeyondL2: number}): boolean =>
  Number.isFinite(leftOutBeyondL2)

const gemmDevice = (hardware: Hardware, gemmClass: GemmClass): GemmDevice | null => {
  const precision = precisionOfClass(gemmClass, hardware)
  const {bandwidthGbS, l2Mb, multiprocessors} = hardware
  return precision && {precision, bandwidthGbS, l2Mb, multiprocessors}
}

const moeClasses: readonly GemmClass[] = ['bf16', 'fp8', 'fp4', 'w4a16', 'mxfp4']

const fitExperts = (
  hardware: Hardware,
  {moe: samples}: KernelSamples,
  {source, dense}: {source: string; dense: Kernels['gemm']},
) => {
  const moe: {[Class in GemmClass]?: NonNullable<Kernels['moe'][Class]>} = {}
  for (const gemmClass of moeClasses) {
    const device = gemmDevice(hardware, gemmClass)
    if (!device) continue
    // Ragged rows run no faster than those of one matrix; 4-bit weights are multiplied as 16 bit.
    const isWeightOnly = gemmClass === 'w4a16' || gemmClass === 'mxfp4'
    const most = dense[isWeightOnly ? 'bf16' : gemmClass]?.computeEfficiency ?? 1
    const fit = fitMoe(samples, gemmClass, {...device, mostCompute: most})
    if (fit) moe[gemmClass] = {...fit, source}
  }
  return moe
}

const fitAttention = (
  hardware: Hardware,
  {attention: samples, skew}: KernelSamples,
  {
    isUnsplit,
    neverSplits = false,
    mostCompute,
    mostMemory,
  }: MeasurementSources & {mostCompute: number; mostMemory: number},
) => {
  const machine: AttentionMachine = {
    peakFlopsPerNs: peak16FlopsPerNs(hardware),
    bandwidthGbS: hardware.bandwidthGbS,
    l2Mb: hardware.l2Mb,
    multiprocessors: hardware.multiprocessors,
    memoryGib: hardware.memoryGib,
    isUnsplit,
    neverSplits,
    mostCompute,
    mostMemory: neverSplits ? mostMemory : 1,
  }
  const decode = fitDecode(samples, machine)
  const prefill = decode && fitPrefill(samples, machine, decode.fit)
  const mixed =
    prefill && isUnsplit
      ? fitMixed(samples, machine, {decode: prefill.decode, prefill: prefill.fit})
      : null
  const share = prefill && fitSkew(skew, {...machine, ...prefill, prefill: prefill.fit, mixed})
  return {
    machine,
    /** What predicts all regimes; null where one is missing. */
    fits: prefill && {decode: prefill.decode, prefill: prefill.fit, mixed},
    decode: decode && {
      ...decode.fit,
      ...prefill?.decode,
      ...(share === null ? {} : {skewShare: share}),
    },
    prefill: prefill?.fit ?? null,
    mixed,
    comparisons: [
      ...(decode?.tried ?? []).map((line) => `decode attention, ${line}`),
      ...(prefill?.tried ?? []).map((line) => `prefill attention, ${line}`),
    ],
  }
}

/** How well what was fitted to layer profiles predicts kernel tables of the same device, where both were measured. */
const onTables = (
  hardware: Hardware,
  {gemm, attention}: KernelSamples,
  fitted: Pick<Kernels, 'gemm'> & Pick<ReturnType<typeof fitAttention>, 'fits' | 'machine'>,
): string[] => {
  const {machine, fits} = fitted
  const device = gemmDevice(hardware, 'bf16')
  const own = fitted.gemm.bf16
  const errors = {
    ...(own && device && {'gemm bf16': gemmErrorOn(gemm, 'bf16', own, device)}),
    ...(fits && attentionErrorOn(attention, machine, fits)),
  }
  return Object.entries(errors)
    .filter(([, {samples}]) => samples > 0)
    .map(([term, {samples, meanPercent, biasPercent}]) => {
      return `${term} of the tables, not fitted: ${samples} rows, ${meanPercent} % (bias ${biasPercent} %)`
    })
}

const libraryKinds: readonly CollectiveKind[] = [
  ...(['all-reduce', 'all-gather', 'reduce-scatter', 'all-to-all'] as const),
]

const fitCollectives = (
  {collectives}: KernelSamples,
  from: string,
): Pick<Calibration, 'allReduce' | 'library'> => {
  const inGraph = fitCollective(collectives, 'all-reduce', 'custom')
  const eager = inGraph ? null : fitCollective(collectives, 'all-reduce', 'custom-eager')
  const own = inGraph ?? eager
  const library: {[Kind in CollectiveKind]?: MeasuredCollective} = {}
  for (const kind of libraryKinds) {
    const fitted = fitCollective(collectives, kind, 'nccl')
    if (fitted) library[kind] = {...fitted, source: `NCCL; ${from}`}
  }
  const where = inGraph ? 'inside a CUDA graph' : 'without a CUDA graph'
  return {
    allReduce: own && {...own, source: `custom all-reduce ${where}; ${from}`},
    library,
  }
}
