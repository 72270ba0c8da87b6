/** `llmsim hardware calibrate`: which devices, from which measurements, into which files. */
import {readFile} from 'node:fs/promises'
import {resolve} from 'node:path'
import {hardwarePath, loadHardware} from '../catalogue/hardware.js'
import {Problem} from '../errors.js'
import {writeOutput} from '../make-folder.js'
import {type Calibration, calibrateHardware, readMeasurements} from './calibrate-hardware.js'
import {calibratedText, isCalibrated} from './calibrated-file.js'
import {
  type LayerSource,
  type MeasurementSources,
  measurementSources,
} from './measurement-sources.js'

export interface CalibrationRequest {
  /** Ids of the catalogue or one path; empty: every device with known sources. */
  readonly names: readonly string[]
  /** Root of the known data sets. */
  readonly data: string
  /** Measurements of the user's own device; none: those of the catalogue. */
  readonly own: {
    readonly tables?: string | undefined
    readonly bundles?: readonly string[] | undefined
    readonly layers?: readonly string[] | undefined
    readonly link?: string | undefined
  }
  readonly write: boolean
}

export interface CalibratedDevice extends Calibration {
  readonly id: string
  readonly path: string
  readonly calibrated: boolean
  /** Whether the file on disk says the same as this fit; after --write it does. */
  readonly isUpToDate: boolean
}

/**
 * Fits the devices one after the other.
 *
 * @throws Problem HARDWARE_UNKNOWN, KERNELS_BAD_FILE, FLAG_CONFLICT, FLAG_BAD_VALUE, OUTPUT_NOT_WRITABLE
 */
export const calibrateCatalogue = async (
  request: CalibrationRequest,
): Promise<CalibratedDevice[]> => {
  const own = ownSources(request)
  const names = request.names.length > 0 ? request.names : Object.keys(measurementSources)
  if (own && request.names.length !== 1)
    throw new Problem(
      'FLAG_CONFLICT',
      '--tables, --bundle and --layers are measurements of one device: name that one.',
    )
  const devices: CalibratedDevice[] = []
  for (const name of names) devices.push(await calibrateOne(name, own, request))
  return devices
}

const calibrateOne = async (
  name: string,
  own: MeasurementSources | null,
  {data, write}: CalibrationRequest,
): Promise<CalibratedDevice> => {
  const hardware = await loadHardware(name)
  const path = await hardwarePath(name)
  const sources = own ?? knownSources(hardware.id)
  const measurements = await readMeasurements(own ? '' : data, sources)
  const calibration = calibrateHardware(hardware, measurements, sources)
  const before = await readFile(path, 'utf8')
  const after = await calibratedText(before, calibration, sources)
  if (write && after !== before) writeOutput(path, after)
  return {
    id: hardware.id,
    path,
    calibrated: isCalibrated(calibration),
    isUpToDate: write || after === before,
    ...calibration,
  }
}

const knownSources = (id: string): MeasurementSources => {
  const sources = measurementSources[id]
  if (sources) return sources
  throw new Problem(
    'KERNELS_BAD_FILE',
    `There are no measurements of ${id} among the known data sets.`,
    {
      suggestions: [
        `llmsim hardware calibrate ${id} --tables DIR`,
        ...Object.keys(measurementSources),
      ],
    },
  )
}

const ownSources = ({own}: CalibrationRequest): MeasurementSources | null => {
  const {tables, bundles = [], layers = [], link} = own
  if (tables === undefined && bundles.length === 0 && layers.length === 0) return null
  return {
    ...(tables === undefined ? {} : {tables: resolve(tables)}),
    bundles: bundles.map((folder) => layerSource('--bundle', folder)),
    layers: layers.map((folder) => layerSource('--layers', folder)),
    ...(link === undefined ? {} : {link}),
    isUnsplit: false,
    slowStart: false,
  }
}

/** The model and tp that the path of a layer profile names. */
const layerSource = (flag: string, folder: string): LayerSource => {
  const path = resolve(folder)
  const parts = path.split(/[/\\]/)
  const tp = /^tp([1-9]\d*)$/.exec(parts.at(-1) ?? '')
  const at = flag === '--bundle' ? -4 : -3
  const model = parts.slice(at, at + 2).join('/')
  if (!tp || parts.length < 4)
    throw new Problem(
      'FLAG_BAD_VALUE',
      `${flag} ${folder}: the path must end in <org>/<model>/${flag === '--bundle' ? '<variant>/' : ''}tp<N>.`,
    )
  return {folder: path, model, tp: Number(tp[1])}
}
