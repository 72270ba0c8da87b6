/**
 * What a device, its links and the host around it draw. A hardware file gives what is known in its section
 * `power`; what it leaves out takes the figures below, and every result says which it was.
 */
import type {Hardware} from './hardware-shape.js'

/** One accelerator. */
export interface DevicePower {
  /** Nothing ran for longer than `standbySeconds`. */
  readonly idleW: number
  /** Clocks are still up after work. */
  readonly standbyW: number
  /** A step runs. */
  readonly activeW: number
  readonly standbySeconds: number
}

/** One server around up to `devices` accelerators. */
export interface HostPower {
  readonly devices: number
  /** Board, fans and what else is always on. */
  readonly baseW: number
  readonly cpuIdleW: number
  readonly cpuActiveW: number
  /** Share of the CPU that is busy while no step runs, and while one does. */
  readonly cpuIdleLoad: number
  readonly cpuBusyLoad: number
  readonly dimms: number
  readonly dimmIdleW: number
  readonly nics: number
  readonly nicIdleW: number
  readonly drives: number
  readonly driveIdleW: number
}

/** Links between devices. */
export interface LinkPower {
  /** Per link; a device of an engine with several has one. */
  readonly idleW: number
  readonly pjPerBit: number
}

export interface PowerFigures {
  readonly device: DevicePower
  readonly host: HostPower
  readonly link: LinkPower
  /** Where the three come from, one sentence. */
  readonly source: string
}

/** The section `power` of a hardware file: any part of the figures. */
export interface PowerSection {
  readonly device: Partial<DevicePower>
  readonly host: Partial<HostPower>
  readonly link: Partial<LinkPower>
  readonly source: string
}

const published = 'the power example of LLMServingSim 2.0 (KAIST)'

/** Idle 35 W and standby 300 W of 600 W, for 18 s: LLMServingSim's example of an RTX PRO 6000, as shares. */
const ofBoardPower = {idle: 35 / 600, standby: 300 / 600, standbySeconds: 18}

/** LLMServingSim's example; `cpuBusyLoad` is the 0.7 of its formulas, eight devices are a common server. */
const defaultHost: HostPower = {
  devices: 8,
  baseW: 60,
  cpuIdleW: 10,
  cpuActiveW: 200,
  cpuIdleLoad: 0.15,
  cpuBusyLoad: 0.7,
  dimms: 16,
  dimmIdleW: 2,
  nics: 1,
  nicIdleW: 20,
  drives: 2,
  driveIdleW: 5,
}

const defaultLink: LinkPower = {idleW: 5, pjPerBit: 4}

const numbers = (part: object): number =>
  Object.values(part).filter((value) => value !== undefined).length

/** Whether a section gives all figures but the active one, which has a default of its own. */
const isWhole = ({device, host, link}: PowerSection): boolean =>
  numbers({...device, activeW: undefined}) === 3 &&
  numbers(host) === numbers(defaultHost) &&
  numbers(link) === numbers(defaultLink)

/** The figures of a device: those of its file, and defaults for the others. */
export function powerFiguresOf(hardware: Pick<Hardware, 'powerW' | 'power'>): PowerFigures {
  const {powerW, power} = hardware
  const device: DevicePower = {
    idleW: powerW * ofBoardPower.idle,
    standbyW: powerW * ofBoardPower.standby,
    activeW: powerW,
    standbySeconds: ofBoardPower.standbySeconds,
  }
  const active = 'active is board power'
  const rest = `other figures from ${published}`
  if (power === null) {
    const source = `${active}; ${rest}`
    return {device, host: defaultHost, link: defaultLink, source}
  }
  const left = [
    ...(power.device.activeW === undefined ? [active] : []),
    ...(isWhole(power) ? [] : [rest]),
  ]
  return {
    device: {...device, ...power.device},
    host: {...defaultHost, ...power.host},
    link: {...defaultLink, ...power.link},
    source: [
      power.source,
      ...(left.length > 0 ? [`what it leaves out: ${left.join('; ')}`] : []),
    ].join('; '),
  }
}
