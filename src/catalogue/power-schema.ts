/** The section `power` of a hardware file, checked. */

import type {DevicePower, HostPower, LinkPower, PowerSection} from './power-figures.js'
import type {Section} from './schema-section.js'

const deviceKeys = {
  idle_w: 'idleW',
  standby_w: 'standbyW',
  active_w: 'activeW',
  standby_s: 'standbySeconds',
} as const satisfies Record<string, keyof DevicePower>

const hostKeys = {
  devices: 'devices',
  base_w: 'baseW',
  cpu_idle_w: 'cpuIdleW',
  cpu_active_w: 'cpuActiveW',
  cpu_idle_load: 'cpuIdleLoad',
  cpu_busy_load: 'cpuBusyLoad',
  dimms: 'dimms',
  dimm_idle_w: 'dimmIdleW',
  nics: 'nics',
  nic_idle_w: 'nicIdleW',
  drives: 'drives',
  drive_idle_w: 'driveIdleW',
} as const satisfies Record<string, keyof HostPower>

const linkKeys = {idle_w: 'idleW', pj_per_bit: 'pjPerBit'} as const satisfies Record<
  string,
  keyof LinkPower
>

/** @throws SchemaFault */
export function powerFrom(section: Section): PowerSection {
  const device = numbers(section, deviceKeys)
  checkOrder(section, device)
  const host = section.has('host')
    ? numbers(section.section('host', Object.keys(hostKeys)), hostKeys)
    : {}
  for (const load of ['cpu_idle_load', 'cpu_busy_load'] as const) {
    if ((host[hostKeys[load]] ?? 0) <= 1) continue
    throw section.section('host', null).fault(load, 'must be a share between 0 and 1')
  }
  if (host.devices !== undefined && !(Number.isSafeInteger(host.devices) && host.devices >= 1))
    throw section.section('host', null).fault('devices', 'must be a whole number of at least 1')
  return {
    device,
    host,
    link: section.has('link')
      ? numbers(section.section('link', Object.keys(linkKeys)), linkKeys)
      : {},
    source: section.text('source'),
  }
}

/** Keys of the section that `power` allows. */
export const powerKeys = [...Object.keys(deviceKeys), 'host', 'link', 'source']

/** The keys that are there; none may be below 0. */
function numbers<Field extends string>(
  section: Section,
  keys: Readonly<Record<string, Field>>,
): {[F in Field]?: number} {
  const found: {[F in Field]?: number} = {}
  for (const [key, field] of Object.entries(keys))
    if (section.has(key)) found[field] = section.notNegative(key)
  return found
}

/** A device that draws more while it idles is a slip of the pen. */
function checkOrder(section: Section, {idleW, standbyW, activeW}: Partial<DevicePower>): void {
  if (idleW !== undefined && idleW > (standbyW ?? activeW ?? idleW))
    throw section.fault('idle_w', 'must not be above standby_w and active_w')
  if (standbyW !== undefined && standbyW > (activeW ?? standbyW))
    throw section.fault('standby_w', 'must not be above active_w')
}
