/** The `power` section of a node in LLMServingSim's cluster JSON. */
import type {DevicePower, HostPower, LinkPower} from '../catalogue/power-figures.js'
import type {Node} from './cluster-json.js'

export interface NodePower {
  /** By name of the hardware. */
  readonly devices: ReadonlyMap<string, DevicePower>
  /** Its `devices` counts those of the node. */
  readonly host: HostPower
  readonly link: LinkPower & {readonly count: number}
}

/** Load of the CPU while an NPU runs, in LLMServingSim's formulas. */
const busyLoad = 0.7

/** @throws Problem CLUSTER_BAD_FILE: LLMServingSim has no defaults, so every figure must be there */
export function readPower(node: Node): NodePower {
  const power = node.object('power')
  const cpu = power.object('cpu')
  const nic = power.object('nic')
  const storage = power.object('storage')
  const link = power.object('link')
  const load = cpu.number('util', 'not negative')
  if (load > 1) throw cpu.fault('util', 'must be a share between 0 and 1')
  return {
    devices: devicesOf(node, power.object('npu')),
    host: {
      devices: Number.MAX_SAFE_INTEGER,
      baseW: power.number('base_node_power', 'not negative'),
      cpuIdleW: cpu.number('idle_power', 'not negative'),
      cpuActiveW: cpu.number('active_power', 'not negative'),
      cpuIdleLoad: load,
      cpuBusyLoad: Math.max(busyLoad, load),
      ...dimmsOf(node, power.object('dram')),
      nics: nic.number('num_nics', 'not negative'),
      nicIdleW: nic.number('idle_power', 'not negative'),
      drives: storage.number('num_devices', 'not negative'),
      driveIdleW: storage.number('idle_power', 'not negative'),
    },
    link: {
      count: link.number('num_links', 'not negative'),
      idleW: link.number('idle_power', 'not negative'),
      pjPerBit: link.number('energy_per_bit', 'not negative'),
    },
  }
}

function devicesOf(node: Node, npu: Node): Map<string, DevicePower> {
  for (const instance of node.list('instances')) {
    const hardware = instance.text('hardware')
    if (npu.get(hardware) === undefined)
      throw npu.fault(hardware, 'is missing, but an instance of this node runs on it')
  }
  return new Map(
    npu.keys().map((name) => {
      const device = npu.object(name)
      return [
        name,
        {
          idleW: device.number('idle_power', 'not negative'),
          standbyW: device.number('standby_power', 'not negative'),
          activeW: device.number('active_power', 'not negative'),
          // Its documentation says ns, its code takes seconds, and so do its files.
          standbySeconds: device.number('standby_duration', 'not negative'),
        },
      ]
    }),
  )
}

/** Whole modules, as many as fit. */
function dimmsOf(node: Node, dram: Node): Pick<HostPower, 'dimms' | 'dimmIdleW'> {
  const size = node.object('cpu_mem').number('mem_size', 'positive')
  return {
    dimms: Math.floor(size / dram.number('dimm_size', 'positive')),
    dimmIdleW: dram.number('idle_power', 'not negative'),
  }
}
