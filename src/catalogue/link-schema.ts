/** The links of a hardware file, with the collectives that were measured on them. */
import {fitFrom, fitKeys} from './fit-schema.js'
import {
  type CollectiveCurve,
  type CollectiveKind,
  collectiveKinds,
  type Link,
  linkKinds,
  type MeasuredCollective,
} from './hardware-shape.js'
import {SchemaFault, type Section} from './schema-section.js'

/** @throws SchemaFault for the first rule that is broken. */
export const linksFrom = (file: Section): Link[] => {
  if (!file.has('links')) return []
  const section = file.section('links', null)
  return section.keys().map((name) => {
    const link = section.section(name, ['kind', 'gb_s', 'max_devices', 'all_reduce', 'library'])
    return {
      name,
      kind: link.oneOf('kind', linkKinds),
      gbPerS: link.rate('gb_s'),
      maxDevices: link.count('max_devices'),
      allReduce: link.has('all_reduce') ? collectiveFrom(link, 'all_reduce', 'all-reduce') : null,
      library: link.has('library') ? libraryFrom(link) : {},
    }
  })
}

const libraryKeys: Readonly<Record<CollectiveKind, string>> = {
  'all-reduce': 'all_reduce',
  'all-gather': 'all_gather',
  'reduce-scatter': 'reduce_scatter',
  'all-to-all': 'all_to_all',
}

const libraryFrom = (link: Section): Link['library'] => {
  const section = link.section('library', Object.values(libraryKeys))
  const library: {[Kind in CollectiveKind]?: MeasuredCollective} = {}
  for (const kind of collectiveKinds) {
    const key = libraryKeys[kind]
    if (section.has(key)) library[kind] = collectiveFrom(section, key, kind)
  }
  return library
}

const collectiveFrom = (link: Section, name: string, kind: CollectiveKind): MeasuredCollective => {
  const keys = ['message_bytes', 'degrees', 'median_error_percent', ...fitKeys]
  const section = link.section(name, keys)
  const messageBytes = section.positives('message_bytes')
  if (messageBytes.some((size, index) => index > 0 && size <= messageBytes[index - 1]!))
    throw section.fault('message_bytes', 'must ascend')
  const byDegree = section.section('degrees', null)
  const degrees = byDegree.keys().map((key) => {
    if (!/^[1-9]\d*$/.test(key) || Number(key) < 2)
      throw new SchemaFault([...byDegree.path, key], 'must be a whole number of devices from 2')
    return {degree: Number(key), curve: curveFrom(byDegree, key, {messageBytes, kind})}
  })
  if (degrees.length === 0) throw section.fault('degrees', 'must name at least one degree')
  degrees.sort((a, b) => a.degree - b.degree)
  return {
    ...fitFrom(section),
    ...(section.has('median_error_percent')
      ? {medianErrorPercent: section.notNegative('median_error_percent')}
      : {}),
    messageBytes,
    degrees,
  }
}

const curveFrom = (
  byDegree: Section,
  key: string,
  {messageBytes: sizes, kind}: {messageBytes: readonly number[]; kind: CollectiveKind},
): CollectiveCurve => {
  const section = byDegree.section(key, ['floor_us', 'bus_gb_s'])
  const curve = {floorUs: section.positive('floor_us'), busGbS: section.positives('bus_gb_s')}
  if (curve.busGbS.length !== sizes.length)
    throw section.fault('bus_gb_s', `must have one figure per message size (${sizes.length})`)
  // A larger message that arrives sooner would make a larger batch faster than a smaller one.
  let last = curve.floorUs * 1e-6
  for (const [index, bus] of curve.busGbS.entries()) {
    const seconds = sizes[index]! / bus / 1e9
    const passes = kind === 'all-reduce' ? 2 : 1
    const scaled = (passes * (Number(key) - 1) * seconds) / Number(key)
    if (scaled < last) throw section.fault('bus_gb_s', 'must not make a larger message faster')
    last = scaled
  }
  return curve
}
