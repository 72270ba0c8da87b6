/** What the devices, hosts and links of a deployment draw: the catalogue's figures, or those of a cluster file. */
import {layerCount} from '../catalogue/model-shape.js'
import {
  type DevicePower,
  type HostPower,
  type LinkPower,
  powerFiguresOf,
} from '../catalogue/power-figures.js'
import type {PimMemory} from '../latency/pim.js'
import type {EnginePower, PowerPlan} from '../report/energy.js'
import type {Instance} from './instance.js'
import {streamedBytes, type WeightPlacement} from './weights/placement.js'

/** Engines that share hosts. */
interface Room {
  readonly instances: readonly Instance[]
  readonly host: HostPower
  readonly link: LinkPower
  readonly links: number
  readonly deviceOf: (instance: Instance) => DevicePower
  readonly source: string
}

/** What else an engine has beside its devices. */
interface Beside {
  readonly pimOf?: (instance: Instance) => PimMemory | undefined
  readonly weightsOf?: (instance: Instance) => WeightPlacement | undefined
}

/** Undefined where a device is in no catalogue and no file says what it draws. */
export function planPower(
  instances: readonly Instance[],
  {pimOf, weightsOf}: Beside = {},
): PowerPlan | undefined {
  const rooms = roomsOf(instances)
  if (rooms === undefined) return undefined
  const roomOf = new Map(rooms.flatMap((room) => room.instances.map((one) => [one, room] as const)))
  const sum = (of: (room: Room) => number) => rooms.reduce((all, room) => all + of(room), 0)
  return {
    engines: instances.map((instance) => {
      const plain = engineOf(instance, roomOf.get(instance)!)
      const weights = weightsOf?.(instance)
      const engine = weights ? besideWeights(plain, weights, instance) : plain
      const pim = pimOf?.(instance)
      return pim ? {...engine, device: besidePim(engine.device, pim)} : engine
    }),
    hostsW: sum((room) => hostsIn(room) * restingW(room.host)),
    linksW: sum((room) => room.links * room.link.idleW),
    sources: [...new Set(rooms.map(({source}) => source))],
  }
}

function roomsOf(instances: readonly Instance[]): Room[] | undefined {
  const file = instances[0]?.machine?.file
  if (file?.power) return file.power.map((_, node) => roomOfNode(instances, node))
  const kinds = new Map<Instance['hardware'], Instance[]>()
  for (const instance of instances) {
    const {hardware} = instance
    kinds.set(hardware, [...(kinds.get(hardware) ?? []), instance])
  }
  if (kinds.has(undefined)) return undefined
  return [...kinds].map(([hardware, members]) => {
    const figures = powerFiguresOf(hardware!)
    return {
      instances: members,
      host: figures.host,
      link: figures.link,
      // A device that is alone in its engine talks to none.
      links: members.reduce((all, one) => all + (devicesOf(one) > 1 ? devicesOf(one) : 0), 0),
      deviceOf: () => figures.device,
      source: `${hardware!.id}: ${figures.source}`,
    }
  })
}

function roomOfNode(instances: readonly Instance[], node: number): Room {
  const members = instances.filter(({machine}) => machine!.instance.node === node)
  const power = members[0]!.machine!.file.power![node]!
  return {
    instances: members,
    host: power.host,
    link: power.link,
    links: power.link.count,
    deviceOf: ({hardwareName}) => power.devices.get(hardwareName)!,
    source: 'the power section of the cluster file',
  }
}

const devicesOf = ({tp, pp}: Instance): number => tp * pp

const devicesIn = ({instances}: Room): number =>
  instances.reduce((all, one) => all + devicesOf(one), 0)

const hostsIn = (room: Room): number => Math.ceil(devicesIn(room) / room.host.devices)

/** A host while no step runs, W. */
const restingW = (host: HostPower): number =>
  host.baseW +
  host.cpuIdleW +
  (host.cpuActiveW - host.cpuIdleW) * host.cpuIdleLoad +
  host.dimms * host.dimmIdleW +
  host.nics * host.nicIdleW +
  host.drives * host.driveIdleW

function engineOf(instance: Instance, room: Room): EnginePower {
  const {host, link} = room
  const busyW = (host.cpuActiveW - host.cpuIdleW) * (host.cpuBusyLoad - host.cpuIdleLoad)
  return {
    devices: devicesOf(instance),
    device: room.deviceOf(instance),
    linkBytesPerToken: bytesPerToken(instance),
    linkBytesPerStep: 0,
    linkJoulesPerByte: link.pjPerBit * 8 * 1e-12,
    hostBusyW: hostsIn(room) * Math.max(0, busyW) * (devicesOf(instance) / devicesIn(room)),
  }
}

/** An engine whose weights cross its links in every step. */
function besideWeights(engine: EnginePower, weights: WeightPlacement, {tp}: Instance): EnginePower {
  const {perStep, perToken} = streamedBytes(weights, tp)
  const linkBytesPerToken = engine.linkBytesPerToken + perToken
  return {...engine, linkBytesPerToken, linkBytesPerStep: perStep}
}

/** A device with its PIM channels: these draw their peak while a step runs, which is the most that they may. */
function besidePim(device: DevicePower, {spec, channels}: PimMemory): DevicePower {
  const {idle, peak} = spec.power
  return {
    ...device,
    idleW: device.idleW + channels * idle,
    standbyW: device.standbyW + channels * idle,
    activeW: device.activeW + channels * peak,
  }
}

/** Activations are 16-bit whatever the format of the weights. */
const activationBytes = 2
/** After attention and after the feed-forward part. */
const reducesPerLayer = 2

/**
 * What all devices together send for a token: a ring all-reduce of S bytes over n devices moves 2(n − 1)·S, and every
 * stage of a pipeline hands the hidden state to the next.
 */
function bytesPerToken({model, tp, pp}: Instance): number {
  const reduces = layerCount(model) * reducesPerLayer * 2 * (tp - 1)
  return (reduces + pp - 1) * model.hiddenSize * activationBytes
}
