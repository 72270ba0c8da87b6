/**
 * Loads accelerators: `hardware/*.yaml` by name or alias, a user's own file by path.
 * Only the file asked for is read; an alias costs a look into the others.
 */
import {readdirSync} from 'node:fs'
import {basename, dirname, extname, resolve} from 'node:path'
import {fileURLToPath} from 'node:url'
import {closest} from '../edit-distance.js'
import {Problem} from '../errors.js'
import {fieldsOf, measuredOn, merged, mergedKernels, usableOf} from './extended-card.js'
import {hardwareFrom} from './hardware-schema.js'
import type {Hardware, Link} from './hardware-shape.js'
import {checkPlausible} from './plausible.js'
import {SchemaFault} from './schema-section.js'
import {readYamlFile, type YamlFile} from './yaml-file.js'

const folder = fileURLToPath(new URL('../../hardware/', import.meta.url))

interface Source {
  readonly path: string
  readonly file: YamlFile
}

/**
 * The accelerator of that name or alias (case, spaces, dashes and underscores do not matter), or the
 * one that a `.yaml` file describes, which may say `extends: NAME` and change some figures only.
 *
 * @throws Problem HARDWARE_UNKNOWN, HARDWARE_BAD_FILE
 */
export const loadHardware = async (nameOrPath: string): Promise<Hardware> => {
  const source = await readSource(await hardwarePath(nameOrPath))
  return checked(source, await extended(source, []))
}

/** The file of an accelerator: by name or alias, or the path as given. */
export const hardwarePath = async (nameOrPath: string): Promise<string> =>
  isPath(nameOrPath) ? resolve(nameOrPath) : catalogueFile(nameOrPath)

/** Every accelerator of the catalogue, in alphabetical order of id. */
export const listHardware = async (): Promise<Hardware[]> => {
  const paths = cataloguePaths()
  return Promise.all(paths.map((path) => loadHardware(path)))
}

/**
 * The link of that name, or the default (first) one; null for a device that has none.
 *
 * @throws Problem LINK_UNKNOWN, naming the links that there are
 */
export const linkOf = (hardware: Hardware, name?: string): Link | null => {
  if (name === undefined) return hardware.links[0] ?? null
  const plus = name.indexOf('+')
  if (plus >= 0)
    return joined(linkOf(hardware, name.slice(0, plus) || undefined), name.slice(plus + 1))
  const link = hardware.links.find((candidate) => plain(candidate.name) === plain(name))
  if (link) return link
  const names = hardware.links.map((candidate) => candidate.name)
  const has = names.length === 0 ? 'has no links' : `has ${names.join(', ')}`
  throw new Problem('LINK_UNKNOWN', `--link: ${hardware.id} has no link "${name}"; it ${has}.`, {
    suggestions: names.map((known) => `--link ${known}`),
  })
}

const networks = {infiniband: 'fabric', ethernet: 'ethernet'} as const

/** A link whose groups a network joins, `infiniband:50`: its kind, and GB/s of each device's port. */
function joined(link: Link | null, network: string): Link | null {
  if (link === null) return null
  const match = /^(infiniband|ethernet):(\d+(?:\.\d+)?)$/i.exec(network.trim())
  const gbPerS = Number(match?.[2])
  if (!(gbPerS > 0)) {
    throw new Problem(
      'FLAG_BAD_VALUE',
      `--link: "${network}" is no network; it is infiniband or ethernet, a colon, and GB/s of a device's port.`,
      {suggestions: [`--link ${link.name}+infiniband:50`]},
    )
  }
  const kind = networks[match![1]!.toLowerCase() as keyof typeof networks]
  return {...link, name: `${link.name}+${network.trim()}`, scaleOut: {kind, gbPerS}}
}

const plain = (text: string): string => text.toLowerCase().replaceAll(/[\s_-]/g, '')

const isPath = (text: string): boolean => /\.ya?ml$/i.test(text) || /[/\\]/.test(text)

const stem = (path: string): string => basename(path, extname(path))

const cataloguePaths = (): string[] =>
  readdirSync(folder)
    .filter((name) => name.endsWith('.yaml'))
    .map(stem)
    .sort()
    .map((id) => `${folder}${id}.yaml`)

/**
 * The nearest names, or those within a longer one, such as a driver's `NVIDIA A100-SXM4-80GB`, or around a shorter one,
 * such as `3090`. How many cards, as in `4xH100`, is a flag of its own.
 */
const meantCards = (name: string, known: readonly string[]): string[] => {
  const [, count, card] = /^(\d+)\s*[x×*]\s*(.+)$/i.exec(name) ?? []
  const one = known.find((own) => card !== undefined && plain(own) === plain(card))
  if (one !== undefined) return [`--hardware ${one} --npu ${count}`]
  const near = closest(name, known, 3)
  if (near.length > 0) return near
  const within = known.filter(
    (own) =>
      plain(name).includes(plain(own)) || (name.length > 2 && plain(own).includes(plain(name))),
  )
  return within.sort((a, b) => b.length - a.length).slice(0, 3)
}

const catalogueFile = async (name: string): Promise<string> => {
  const paths = cataloguePaths()
  const direct = paths.find((path) => plain(stem(path)) === plain(name))
  if (direct) return direct
  const known: string[] = paths.map(stem)
  for (const path of paths) {
    const {file} = await readSource(path)
    const aliases = (file.value as {aliases?: string[]}).aliases ?? []
    if (aliases.some((alias) => plain(alias) === plain(name))) return path
    known.push(...aliases)
  }
  throw new Problem(
    'HARDWARE_UNKNOWN',
    `--hardware: there is no accelerator "${name}" in the catalogue; "llmsim hardware list" shows all, and a path to a .yaml file describes your own.`,
    {suggestions: meantCards(name, known)},
  )
}

const readSource = async (path: string): Promise<Source> => ({
  path,
  file: await readYamlFile(path, 'HARDWARE_BAD_FILE'),
})

/** The document with everything that it inherits; `behind` are the files that extend this one. */
const extended = async (source: Source, behind: readonly string[]): Promise<unknown> => {
  const own = fieldsOf(source.file.value)
  if (!own || own.extends === undefined || own.extends === null) return source.file.value
  const base = own.extends
  if (typeof base !== 'string' || base.trim() === '')
    throw await source.file.problem(
      new SchemaFault(['extends'], 'must name an accelerator or a file'),
    )
  const path = isPath(base) ? resolve(dirname(source.path), base) : await baseFile(source, base)
  if (path === source.path || behind.includes(path))
    throw await source.file.problem(new SchemaFault(['extends'], 'leads back to this file'))
  const baseSource = await readSource(path)
  const document: Readonly<Record<string, unknown>> =
    fieldsOf(await extended(baseSource, [...behind, source.path])) ?? {}
  const inherited: Readonly<Record<string, unknown>> = {
    ...document,
    kernels: measuredOn(String(document.id), document.kernels),
  }
  const id = own.id ?? stem(source.path)
  return {
    ...inherited,
    // What is not measured on this very card does not count as measured.
    calibrated: false,
    ...own,
    // In place of where to read it: the cards behind this one, nearest first.
    extends: [
      document.id ?? stem(path),
      ...(Array.isArray(document.extends) ? document.extends : []),
    ],
    id,
    name: own.name ?? id,
    aliases: own.aliases ?? [],
    usable_bytes: usableOf(inherited, own),
    peak_tflops: merged(inherited.peak_tflops, own.peak_tflops),
    kernels: mergedKernels(inherited, own),
    power: merged(inherited.power, own.power),
  }
}

const baseFile = async (source: Source, name: string): Promise<string> => {
  try {
    return await catalogueFile(name)
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    const rule = `names "${name}", which is not in the catalogue`
    throw await source.file.problem(new SchemaFault(['extends'], rule), error.suggestions)
  }
}

const checked = async (source: Source, document: unknown): Promise<Hardware> => {
  try {
    const hardware = hardwareFrom(document)
    const unusual = checkPlausible(hardware, Object.keys(fieldsOf(source.file.value) ?? {}))
    return unusual.length === 0 ? hardware : {...hardware, unusual}
  } catch (error) {
    if (error instanceof SchemaFault) throw await source.file.problem(error)
    throw error
  }
}
